"""Combo boxes of layers; they keep the layers themselves, not their names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QMouseEvent, QStandardItem, QStandardItemModel
from qtpy.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from napari_pix2pix.widgets.common.elements import Choice

if TYPE_CHECKING:
    from napari.components import LayerList
    from napari.layers import Layer

PREVIEW = "napari-pix2pix preview"  # metadata key of preview layers, which are never offered
_TICK_WIDTH = 26  # pixels at the left of an entry that belong to its check box


def unwrapped(layer: Any) -> Any:
    """Return the layer itself: napari gives plugins a new proxy each time."""
    return getattr(layer, "__wrapped__", layer)


def is_image(layer: Layer) -> bool:
    """Whether a layer can be a source or a target."""
    from napari.layers import Image, Labels

    return isinstance(layer, Image | Labels) and PREVIEW not in layer.metadata


def is_mask(layer: Layer) -> bool:
    """Whether a layer can be a mask."""
    from napari.layers import Labels, Shapes

    return isinstance(layer, Labels | Shapes) and PREVIEW not in layer.metadata


def is_labels(layer: Layer) -> bool:
    """Whether a layer holds labels."""
    from napari.layers import Labels

    return isinstance(layer, Labels) and PREVIEW not in layer.metadata


def is_shapes(layer: Layer) -> bool:
    """Whether a layer can mark a region."""
    from napari.layers import Shapes

    return isinstance(layer, Shapes)


def insert_inactive(layers: LayerList, index: int, layer: Layer) -> None:
    """Insert a layer; those that are selected stay so, and the next run takes them."""
    selected = {unwrapped(chosen) for chosen in layers.selection}
    layers.insert(index, layer)
    if selected:
        layers.selection = selected


class LayerChoice(Choice):
    """Combo box of one layer, or of none."""

    changed = Signal()

    def __init__(
        self, takes: Callable[[Layer], bool], nothing: str = "none", *, least_text: str = "none"
    ) -> None:
        super().__init__(least_text=least_text)
        self._takes = takes
        self._nothing = nothing
        self._layers: list[Layer] = []
        self._chosen: Layer | None = None
        self.offer([])
        self.currentIndexChanged.connect(self._take)

    @property
    def layer(self) -> Layer | None:
        """The layer that is chosen, or None."""
        return self._chosen

    def choose(self, layer: Layer | None) -> None:
        """Choose a layer that is offered, or None."""
        layer = unwrapped(layer)
        index = self._layers.index(layer) + 1 if layer in self._layers else 0
        self.setCurrentIndex(index)

    def offer(self, layers: Iterable[Layer]) -> None:
        """Offer other layers; keep the choice if it is among them."""
        self._layers = [layer for layer in map(unwrapped, layers) if self._takes(layer)]
        before = self._chosen
        self.blockSignals(True)
        self.clear()
        self.addItems([self._nothing, *(layer.name for layer in self._layers)])
        self.setCurrentIndex(self._layers.index(before) + 1 if before in self._layers else 0)
        self.blockSignals(False)
        self.refresh_tip()
        if before is not None and before not in self._layers:
            self._take(0)

    def _take(self, index: int) -> None:
        self._chosen = self._layers[index - 1] if index > 0 else None
        self.refresh_tip()
        self.changed.emit()


class LayersChoice(Choice):
    """Combo box of several layers: a click on a name chooses it alone, on its box adds it."""

    changed = Signal()

    def __init__(
        self, takes: Callable[[Layer], bool], nothing: str, *, least_text: str = "none"
    ) -> None:
        super().__init__(least_text=least_text)
        self._takes = takes
        self._nothing = nothing
        self._layers: list[Layer] = []
        self._chosen: list[Layer] = []
        self._items = QStandardItemModel(self)
        self.setModel(self._items)
        # The combo box's own delegate draws no check boxes.
        self.setItemDelegate(_Delegate(self))
        view = self.view()
        assert view is not None
        viewport = view.viewport()
        assert viewport is not None
        viewport.installEventFilter(self)
        self.activated.connect(self._take_alone)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The chosen layers, in the order in which they were chosen."""
        return tuple(self._chosen)

    def choose(self, layers: Sequence[Layer]) -> None:
        """Choose layers that are offered."""
        chosen = [layer for layer in map(unwrapped, layers) if layer in self._layers]
        if chosen != self._chosen:
            self._chosen = chosen
            self._show()
            self.changed.emit()

    def offer(self, layers: Iterable[Layer]) -> None:
        """Offer other layers; keep the chosen ones that are among them."""
        self._layers = [layer for layer in map(unwrapped, layers) if self._takes(layer)]
        self._items.clear()
        for layer in self._layers:
            item = QStandardItem(layer.name)
            item.setToolTip(layer.name)
            item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
            item.setData(Qt.CheckState.Unchecked, Qt.ItemDataRole.CheckStateRole)
            self._items.appendRow(item)
        kept = [layer for layer in self._chosen if layer in self._layers]
        lost = len(kept) < len(self._chosen)
        self._chosen = kept
        self._show()
        if lost:
            self.changed.emit()

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Tick a check box without closing the list."""
        if isinstance(event, QMouseEvent) and event.type() == QEvent.Type.MouseButtonRelease:
            view = self.view()
            assert view is not None
            index = view.indexAt(event.position().toPoint())
            if index.isValid() and event.position().x() < _TICK_WIDTH:
                self.toggle(self._layers[index.row()])
                return True
        return super().eventFilter(watched, event)

    def toggle(self, layer: Layer) -> None:
        """Add a layer as the last channel, or leave it out."""
        layer = unwrapped(layer)
        others = [other for other in self._chosen if other is not layer]
        self.choose(others if layer in self._chosen else [*others, layer])

    def text(self) -> str:
        """Return the text of the closed box."""
        return " + ".join(layer.name for layer in self._chosen) or self._nothing

    def _take_alone(self, row: int) -> None:
        self.choose([self._layers[row]])

    def _show(self) -> None:
        for row, layer in enumerate(self._layers):
            ticked = layer in self._chosen
            state = Qt.CheckState.Checked if ticked else Qt.CheckState.Unchecked
            item = self._items.item(row)
            assert item is not None
            item.setData(state, Qt.ItemDataRole.CheckStateRole)
        self.setCurrentIndex(self._layers.index(self._chosen[0]) if self._chosen else -1)
        self.refresh_tip()
        self.update()


class _Delegate(QStyledItemDelegate):
    """Draws entries with their check boxes."""

    def sizeHint(self, option: QStyleOptionViewItem, index: Any) -> Any:  # noqa: N802
        """Leave room around the check boxes."""
        size = super().sizeHint(option, index)
        size.setHeight(size.height() + 4)
        return size
