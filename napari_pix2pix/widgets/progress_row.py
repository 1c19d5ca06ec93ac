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
        self.setRange(0, _STEPS)
        self.setValue(round(part * _STEPS))
        self.setFormat(text)
        self._activity.show(part, self._title)

    def finish(self) -> None:
        """Nothing is done any more."""
        self.hide()
        self._activity.end()


def time_left(seconds: float) -> str:
    """Say a length of time.

    Examples
    --------
    >>> time_left(0.42), time_left(42.3), time_left(150), time_left(8000)
    ('0.4 s', '42 s', '2 min', '2.2 h')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
