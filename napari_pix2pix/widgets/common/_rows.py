"""A row of widgets that goes on in the next line where it is too narrow for all of them."""

from __future__ import annotations

from qtpy.QtCore import QRect, QSize, Qt
from qtpy.QtWidgets import QLayout, QLayoutItem, QSizePolicy

_GAP = 6  # pixels between widgets, and between lines


class WrappingRow(QLayout):
    """Widgets beside each other, which share the width; hidden ones take no place.

    Those that expand share what is left in their line, or else all do.
    """

    def __init__(self) -> None:
        super().__init__()
        self._items: list[QLayoutItem] = []

    def addItem(self, a0: QLayoutItem | None) -> None:  # noqa: N802
        """Add an item at the end; Qt calls it."""
        if a0 is not None:
            self._items.append(a0)

    def count(self) -> int:
        """Return the number of items."""
        return len(self._items)

    def itemAt(self, index: int) -> QLayoutItem | None:  # noqa: N802
        """Return an item, or None where there is none."""
        return self._items[index] if 0 <= index < len(self._items) else None

    def takeAt(self, index: int) -> QLayoutItem | None:  # noqa: N802
        """Remove an item and return it, or None where there is none."""
        return self._items.pop(index) if 0 <= index < len(self._items) else None

    def expandingDirections(self) -> Qt.Orientation:  # noqa: N802
        """Say that the row takes all the width that it can have."""
        return Qt.Orientation.Horizontal

    def minimumSize(self) -> QSize:  # noqa: N802
        """Return the size of the widest item."""
        sizes = [item.minimumSize() for item in self._shown()]
        return QSize(
            max((size.width() for size in sizes), default=0),
            max((size.height() for size in sizes), default=0),
        )

    def sizeHint(self) -> QSize:  # noqa: N802
        """Return the size of all items in one line."""
        shown = self._shown()
        width = sum(_wanted(item) for item in shown) + _GAP * max(len(shown) - 1, 0)
        return QSize(width, max((item.sizeHint().height() for item in shown), default=0))

    def hasHeightForWidth(self) -> bool:  # noqa: N802
        """Say that the height depends on the width."""
        return True

    def heightForWidth(self, a0: int) -> int:  # noqa: N802
        """Return the height of all lines."""
        heights = [_height(line) for line in self._lines(a0)]
        return sum(heights) + _GAP * max(len(heights) - 1, 0)

    def setGeometry(self, a0: QRect) -> None:  # noqa: N802
        """Place the items."""
        super().setGeometry(a0)
        top = a0.y()
        for line in self._lines(a0.width()):
            height, left = _height(line), a0.x()
            for item, width in zip(line, _widths(line, a0.width()), strict=True):
                item.setGeometry(QRect(left, top, width, height))
                left += width + _GAP
            top += height + _GAP

    def _shown(self) -> list[QLayoutItem]:
        return [item for item in self._items if not item.isEmpty()]

    def _lines(self, width: int) -> list[list[QLayoutItem]]:
        lines: list[list[QLayoutItem]] = []
        left = 0
        for item in self._shown():
            if not lines or _wanted(item) > left:
                lines.append([])
                left = width
            lines[-1].append(item)
            left -= _wanted(item) + _GAP
        return lines


def _wanted(item: QLayoutItem) -> int:
    """Return the width below which an item goes to the next line."""
    least = item.minimumSize().width()
    return least if _grows(item) else max(item.sizeHint().width(), least)


def _grows(item: QLayoutItem) -> bool:
    """Whether an item takes what the others leave."""
    widget = item.widget()
    policy = None if widget is None else widget.sizePolicy().horizontalPolicy()
    is_expanding = bool(item.expandingDirections() & Qt.Orientation.Horizontal)
    return is_expanding or policy == QSizePolicy.Policy.Ignored


def _height(line: list[QLayoutItem]) -> int:
    return max(item.sizeHint().height() for item in line)


def _widths(line: list[QLayoutItem], width: int) -> list[int]:
    """Share the width of a line."""
    widths = [_wanted(item) for item in line]
    sharing = [i for i, item in enumerate(line) if _grows(item)] or list(range(len(line)))
    spare = width - sum(widths) - _GAP * (len(line) - 1)
    for place, index in enumerate(sharing):
        widths[index] += (spare * (place + 1)) // len(sharing) - (spare * place) // len(sharing)
    most = [item.maximumSize().width() for item in line]
    # An item alone in its line may be wider than the line.
    return [min(*pair, width) for pair in zip(widths, most, strict=True)]
