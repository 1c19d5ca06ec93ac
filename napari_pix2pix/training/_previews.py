"""What is previewed while a network trains, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_pix2pix.training.events import PreviewWish, Region

if TYPE_CHECKING:
    from napari_pix2pix.training.dataset import TrainingData

_MAX_OVERHEAD = 0.1  # largest share of the time for previews between two epochs


class PreviewPlan:
    """Follows what a viewer wishes to see: a region, a frame of a stack, every few seconds."""

    def __init__(self, preview: Region | PreviewWish | None, data: TrainingData) -> None:
        self._wish = preview if isinstance(preview, PreviewWish) else PreviewWish(preview)
        self._data = data
        self._next: float | None = None  # seconds of the clock, of the next preview in time
        self._soonest = 0.0  # before which even another frame has to wait
        self._frame = self._wish.frame  # that was shown last

    def region(self) -> Region | None:
        """Return what is wished, in the images as they are read; None for a held-out block."""
        wish = self._wish
        if wish.region is not None:
            frame = wish.region.frame if wish.frame is None else wish.frame
            return self._in_frame(wish.region.moved(self._data.origin), frame)
        block = None if wish.frame is None else self._first_block()
        return None if block is None else self._in_frame(block, wish.frame)

    def due(self, now: float) -> Region | None:
        """Return what to preview between two epochs: in time, or where another frame is shown."""
        if self._next is None:
            self._next = now + self._wish.seconds
        has_moved = self._wish.frame != self._frame and now >= self._soonest
        if not has_moved and now < self._next:
            return None
        return self.region() or self._first_block()

    def begin(self) -> None:
        """Note that a preview of what is wished now begins."""
        self._frame = self._wish.frame

    def end(self, began: float, now: float) -> None:
        """Let the next one come so late that the training hardly slows down."""
        self._soonest = now + (now - began) / _MAX_OVERHEAD
        self._next = max(now + self._wish.seconds, self._soonest)

    def _first_block(self) -> Region | None:
        if self._data.validation is None:
            return None
        block = self._data.validation.blocks[0]
        return Region(block.pair, block.frame, block.rows, block.columns)

    def _in_frame(self, region: Region, frame: int | None) -> Region:
        if frame is None:
            return region
        return replace(region, frame=self._data.frame_of_pair(region.pair, frame))
