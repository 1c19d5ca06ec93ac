"""A progress bar in napari's activity dock; its faults never stop the work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.utils import progress

_STEPS = 1000


class Activity:
    """Shows the progress of work, with a Cancel button if wanted; call it in the GUI thread.

    Activity docks of closed viewers may still listen to all bars and raise then: a bar that can't
    be shown is dropped.
    """

    def __init__(self, *, cancelable: bool = False) -> None:
        self._cancelable = cancelable
        self._bar: progress | None = None
        self._text = ""

    @property
    def canceled(self) -> bool:
        """Whether the user has cancelled the work."""
        return bool(getattr(self._bar, "is_canceled", False))

    def begin(self, text: str) -> None:
        """Show a new bar instead of the last one."""
        from napari.utils import cancelable_progress, progress

        self.end()
        make = cancelable_progress if self._cancelable else progress
        try:
            self._bar = make(total=_STEPS, desc=text)
        except RuntimeError:
            self._bar = None
        self._text = text

    def show(self, fraction: float, text: str) -> None:
        """Show that a fraction of the work, from 0 to 1, is done."""
        if self._bar is None:
            return
        done = round(fraction * _STEPS)
        try:
            if text != self._text:
                self._bar.set_description(text)
                self._text = text
            if done != self._bar.n:
                self._bar.update(done - self._bar.n)
        except RuntimeError:
            self._bar = None

    def end(self) -> None:
        """Remove the bar."""
        bar, self._bar = self._bar, None
        if bar is not None:
            try:
                bar.close()
            except RuntimeError:
                return
