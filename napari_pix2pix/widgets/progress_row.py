"""A bar that says how far work is and how long it will take, here and in napari's activity dock."""

from __future__ import annotations

from qtpy.QtWidgets import QProgressBar, QWidget

from napari_pix2pix.activity import Activity

_STEPS = 1000


class ProgressRow(QProgressBar):
    """Hidden while nothing is done.

    Parameters
    ----------
    title : str
        What the activity dock calls the work.
    """

    def __init__(self, title: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._title = title
        self._activity = Activity()
        self.setToolTip("How far the work is, and about how long it will still take")
        self.hide()

    def begin(self, text: str) -> None:
        """Show that there is work whose length is not known yet."""
        self._activity.begin(self._title)
        self.setRange(0, 0)
        self.setFormat(text)
        self.show()

    def show_part(self, part: float, text: str) -> None:
        """Show how far it is, from 0 to 1, and what to say beside."""
        # Drawn once, since the whole window is drawn with it; first what napari draws at once.
        self._activity.show(part, self._title)
        self.setUpdatesEnabled(False)
        self.setRange(0, _STEPS)
        self.setValue(round(part * _STEPS))
        self.setFormat(text)
        self.setUpdatesEnabled(True)

    def finish(self) -> None:
        """Nothing is done any more."""
        self.hide()
        self._activity.end()
