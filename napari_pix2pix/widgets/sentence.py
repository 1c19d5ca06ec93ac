"""Sentences in a dock: as wide as the dock, as high as they need, gone when there is none."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QLabel, QSizePolicy

RED = "#e5534b"  # readable on napari's dark and light themes


class Sentence(QLabel):
    """Text that wraps and can be selected; hidden while empty.

    Parameters
    ----------
    is_error : bool
        Whether it is red.
    """

    def __init__(self, *, is_error: bool = False) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        if is_error:
            self.setStyleSheet(f"color: {RED}")
        self.hide()

    def say(self, text: str) -> None:
        """Show a text; an empty one hides the label."""
        self.setText(text)
        self.setVisible(bool(text))
