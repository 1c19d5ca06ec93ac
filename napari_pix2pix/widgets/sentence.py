"""Sentences in a dock: as wide as the dock, as high as they need, gone when there is none."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy

RED, AMBER = "#e5534b", "#c98500"  # readable on napari's dark and light themes


class Sentence(QLabel):
    """Text that wraps and can be selected; hidden while empty.

    Parameters
    ----------
    is_error, is_warning : bool
        Whether it is red, or amber.
    """

    def __init__(self, *, is_error: bool = False, is_warning: bool = False) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        if is_error or is_warning:
            self.setStyleSheet(f"color: {RED if is_error else AMBER}")
        self.hide()

    def say(self, text: str) -> None:
        """Show a text; an empty one hides the label."""
        self.setText(text)
        self.setVisible(bool(text))
