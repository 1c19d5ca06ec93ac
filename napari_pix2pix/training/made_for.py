"""What a model was made for, as far as its training pairs state it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from napari_pix2pix.data.channel_look import Looks, shared_looks
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.data.pixel_size import PixelSize, median_size, told_size


@dataclass(frozen=True)
class MadeFor:
    """What a model was made for.

    Parameters
    ----------
    images : int
        Number of training pairs; 0 where it is not known.
    date : str
        Day of the training, such as ``2026-11-27``; empty where it is not known.
    pixel_size : PixelSize, optional
        What the training was told, or else the median over the pairs that state one.
    source_looks : tuple of ChannelLook
        How the source's channels were shown, one each; empty where that is not stated.
    target_looks : tuple of tuple of ChannelLook
        How the target's channels were shown: one tuple a condition, or one in all.
    target_split : bool
        Whether each of several channels of the targets was a layer, file or array of its own.
    """

    images: int = 0
    date: str = ""
    pixel_size: PixelSize | None = None
    source_looks: Looks = ()
    target_looks: tuple[Looks, ...] = ()
    target_split: bool = False

    def or_else(self, before: MadeFor) -> MadeFor:
        """Return the same, with what only the model says that the training began from."""
        return replace(
            self,
            pixel_size=self.pixel_size or before.pixel_size,
            source_looks=self.source_looks or before.source_looks,
            target_looks=self.target_looks if any(self.target_looks) else before.target_looks,
            target_split=self.target_split or before.target_split,
        )


def size_of_pairs(
    pairs: Sequence[OpenPair], pixel_size: float | None, plane_distance: float | None
) -> PixelSize | None:
    """Return the median of what pairs state, or what is told in micrometers in its place."""
    # Most programs write the size into both, some into one.
    stated = median_size(pair.source.pixel_size or pair.target.pixel_size for pair in pairs)
    return told_size(stated, pixel_size, plane_distance)


def collect_made_for(
    pairs: Sequence[OpenPair],
    conditions: Sequence[Hashable],
    kind: str,
    pixel_size: float | None = None,
    plane_distance: float | None = None,
) -> MadeFor:
    """Collect what training pairs state; `conditions` are their names, `kind` is the target's.

    `pixel_size` and `plane_distance` in micrometers replace what pairs state.
    """
    targets = [
        [_stated_looks(pair.target) for pair in pairs if pair.condition == condition]
        for condition in conditions or (None,)
    ]
    return MadeFor(
        images=len(pairs),
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        pixel_size=size_of_pairs(pairs, pixel_size, plane_distance),
        source_looks=shared_looks([_stated_looks(pair.source) for pair in pairs]),
        target_looks=tuple(map(shared_looks, targets)) if kind == "image" else (),
        target_split=all(pair.target.is_split for pair in pairs),
    )


def _stated_looks(image: LazyImage) -> Looks:
    """Return an image's looks, without ranges that are those of its dtype and say nothing."""
    return tuple(
        replace(look, limits=None) if look.limits == _whole_range(image.dtype) else look
        for look in image.looks
    )


def _whole_range(dtype: np.dtype[Any]) -> tuple[float, float] | None:
    """Return the range of an integer dtype of more than 8 bits."""
    if dtype.kind not in "iu" or dtype.itemsize == 1:
        return None
    limits = np.iinfo(dtype)
    return float(limits.min), float(limits.max)
