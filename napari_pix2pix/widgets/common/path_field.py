"""A line with the path of a file or folder, and a button that opens a dialog for it."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLineEdit, QMenu, QToolButton, QWidget

Wanted = Literal["file", "folder"]

_TYPING = 400  # milliseconds without a key before a path is taken


class PathField(QWidget):
    """A path, typed or chosen; also a pattern such as ``cells/*_ch0.tif`` where one is allowed."""

    changed = Signal()  # another path is shown

    def __init__(self, *wanted: Wanted, tip: str, filters: str = "") -> None:
        super().__init__()
        self._filters = filters  # of files, as Qt's dialogs have them
        self._taken: Path | None = None
        self.line = QLineEdit()
        self.line.setToolTip(tip)
        self.line.setMinimumWidth(60)
        self.browse = QToolButton()
        self.browse.setText("…")
        self.browse.setToolTip("Choose it in a dialog.")
        self.browse.setMinimumWidth(32)  # room for the arrow of a menu
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_TYPING)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(3)
        row.addWidget(self.line, 1)
        row.addWidget(self.browse)
        self._offer(wanted)
        self.line.textEdited.connect(self._later.start)
        self.line.editingFinished.connect(self._take)
        self._later.timeout.connect(self._take)

    @property
    def path(self) -> Path | None:
        """The path; None where the line is empty."""
        text = self.line.text().strip()
        return Path(text).expanduser() if text else None

    @path.setter
    def path(self, path: Path | None) -> None:
        self.line.setText("" if path is None else str(path))
        self._take()

    def _take(self) -> None:
        self._later.stop()
        if self.path != self._taken:
            self._taken = self.path
            self.changed.emit()

    def _offer(self, wanted: tuple[Wanted, ...]) -> None:
        slots = {"file": self._ask_file, "folder": self._ask_folder}
        if len(wanted) == 1:
            self.browse.clicked.connect(slots[wanted[0]])
            return
        menu = QMenu(self.browse)
        for name in wanted:
            action = menu.addAction(f"A {name} …")
            assert action is not None
            action.triggered.connect(slots[name])
        self.browse.setMenu(menu)
        self.browse.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)

    def _ask_file(self) -> None:
        name, _ = QFileDialog.getOpenFileName(self, "Choose a file", self._folder(), self._filters)
        if name:
            self.path = Path(name)

    def _ask_folder(self) -> None:
        name = QFileDialog.getExistingDirectory(self, "Choose a folder", self._folder())
        if name:
            self.path = Path(name)

    def _folder(self) -> str:
        """Return where a dialog begins: at the path that is shown, as far as it exists."""
        path = self.path
        while path is not None and not path.exists() and path != path.parent:
            path = path.parent
        return "" if path is None else str(path)
