"""A bar in napari's activity dock, which can be done without; napari in functions only."""

from __future__ import annotations

from typing import Any

_PARTS = 1000


class Activity:
    """Shows how far a piece of work is; call it in the GUI thread.

    Parameters
    ----------
    cancelable : bool
        Whether the bar has a button to cancel the work.

    Notes
    -----
    Activity docks of viewers that were closed may still listen to all bars, and raise then. What
    they don't show must not stop the work.
    """

    def __init__(self, *, cancelable: bool = False) -> None:
        self._cancelable = cancelable
        self._bar: Any = None
        self._words = ""

    @property
    def canceled(self) -> bool:
        """Whether the user has cancelled the work."""
        return bool(getattr(self._bar, "is_canceled", False))

    def begin(self, words: str) -> None:
        """Show a bar, in place of the last one."""
        from napari.utils import cancelable_progress, progress

        self.end()
        make = cancelable_progress if self._cancelable else progress
        try:
            self._bar = make(total=_PARTS, desc=words)
        except RuntimeError:
            self._bar = None
        self._words = words

    def show(self, part: float, words: str) -> None:
        """Show that a part of the work, from 0 to 1, is done."""
        if self._bar is None:
            return
        done = round(part * _PARTS)
        try:
            if words != self._words:
                self._bar.set_description(words)
                self._words = words
            if done != self._bar.n:
                self._bar.update(done - self._bar.n)
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
