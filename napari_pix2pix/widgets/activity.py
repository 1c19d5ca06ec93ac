"""A bar in napari's activity dock, which can be done without."""

from __future__ import annotations

from typing import Any

_PARTS = 1000


class Activity:
    """Shows how far a piece of work is; call it in the GUI thread.

    Notes
    -----
    Activity docks of viewers that were closed may still listen to all bars, and raise then. What
    they don't show must not stop the work.
    """

    def __init__(self) -> None:
        self._bar: Any = None

    def begin(self, words: str) -> None:
        """Show a bar, in place of the last one."""
        from napari.utils import progress

        self.end()
        try:
            self._bar = progress(total=_PARTS, desc=words)
        except RuntimeError:
            self._bar = None

    def show(self, part: float, words: str) -> None:
        """Show that a part of the work, from 0 to 1, is done."""
        if self._bar is None:
            return
        try:
            self._bar.set_description(words)
            self._bar.update(round(part * _PARTS) - self._bar.n)
        except RuntimeError:
            self._bar = None

    def end(self) -> None:
        """Take the bar away."""
        bar, self._bar = self._bar, None
        if bar is not None:
            try:
                bar.close()
            except RuntimeError:
                return
