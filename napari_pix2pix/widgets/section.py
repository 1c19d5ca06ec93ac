"""A part of a dock that opens and closes by its heading."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget


class Section(QWidget):
    """A heading with an arrow, and below it what it opens.

    Parameters
    ----------
    title : str
    content : QWidget
    is_open : bool
        Whether the content is shown at first.
    """

    def __init__(self, title: str, content: QWidget, *, is_open: bool = False) -> None:
        super().__init__()
        self.heading = QToolButton()
        self.heading.setText(title)
        self.heading.setCheckable(True)
        self.heading.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.heading.setAutoRaise(True)
        self.heading.setStyleSheet("QToolButton { text-align: left; border: none; padding: 2px 0 }")
        self.heading.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.heading.setToolTip(f"Show or hide: {title}")
        self.content = content
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.heading)
        layout.addWidget(content)
        self.heading.toggled.connect(self._toggle)
        self.heading.setChecked(is_open)
        self._toggle(is_open)

    @property
    def is_open(self) -> bool:
        """Whether the content is shown."""
        return self.heading.isChecked()

    def set_open(self, is_open: bool) -> None:
        """Show or hide the content."""
        self.heading.setChecked(is_open)

    def _toggle(self, is_open: bool) -> None:
        arrow = Qt.ArrowType.DownArrow if is_open else Qt.ArrowType.RightArrow
        self.heading.setArrowType(arrow)
        self.content.setVisible(is_open)
