"""Objects by Otsu's threshold and watershed, as users find them by hand."""
# They are the baseline for labels, and a segmenter for the FCN score of Isola et al. (2017):
# whether a predicted image segments as the true one does.

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.outliers import leave_out_hot
from napari_pix2pix.errors import InputError, errors_of_caller, plural
from napari_pix2pix.metrics.labels import LabelKind, label_counts, pool_label_scores

Array: TypeAlias = NDArray[Any]
# Source (C, h, w), target (K, h, w), and None or bool that broadcasts to the target.
Block: TypeAlias = tuple[Array, Array, Array | None]
Segmenter: TypeAlias = Callable[[Array], Any]

HAEMATOXYLIN = -1  # in place of a channel's number

_MIN_DISTANCES = (3, 5, 7, 10, 15, 20)
_MOST_BLOCKS = 32  # watershed is slow, and few blocks show the best distance


@dataclass(frozen=True)
class OtsuBaseline:
    """Otsu's threshold of each image, and watershed for instances."""

    kind: LabelKind  # classes are two
    channel: int  # or the haematoxylin of the three colours (Ruifrok & Johnston, 2001)
    bright: bool  # whether the foreground is above the threshold
    values: tuple[int, int] = (0, 1)  # labels of background and foreground
    min_distance: int = 0  # pixels between the centres of two objects
    smallest: int = 1  # objects of fewer pixels are left out
    white: float = 1.0  # in the source's colours

    @classmethod
    def fit(
        cls,
        pairs: Iterable[Block],
        *,
        kind: LabelKind,
        rgb: bool = False,
        channel: int | None = None,
        smallest: int = 1,
    ) -> OtsuBaseline:
        """Choose channel and polarity by Dice, then the distance of objects by F1."""
        blocks = list(pairs)
        if not blocks or not len(blocks[0][0]):
            raise InputError("There is no source channel to threshold; give at least one pair.")
        values = _two_values(blocks) if kind == "classes" else (0, 1)
        channels = list(range(len(blocks[0][0])))
        if rgb and len(channels) == 3:
            channels.append(HAEMATOXYLIN)
        if channel is not None:
            channels = [channel]
        white = _white(blocks) if HAEMATOXYLIN in channels else 1.0
        candidates = [
            cls(kind, number, bright, values, white=white)
            for number in channels
            for bright in (True, False)
        ]
        best = max(candidates, key=lambda candidate: candidate._dice(blocks))
        if kind == "classes":
            return best
        filled = [block for block in blocks if block[1].any()]
        few = filled[:: -(-len(filled) // _MOST_BLOCKS) or 1] or blocks[:1]
        spaced = [
            replace(best, min_distance=distance, smallest=smallest) for distance in _MIN_DISTANCES
        ]
        return max(spaced, key=lambda candidate: candidate._f1(few))

    def predict(self, source: Array) -> Array:
        """Segment an image (C, H, W), or a volume (C, Z, H, W), into labels (1, ...)."""
        needed = 3 if self.channel == HAEMATOXYLIN else self.channel + 1
        if source.ndim not in (3, 4) or len(source) < needed:
            raise InputError(
                f"The source has shape {source.shape}; give (channels, height, width). This "
                f"baseline needs {plural(needed, 'channel')}."
            )
        inside = self._foreground(source)
        if self.kind == "classes":
            return np.where(inside, self.values[1], self.values[0])[np.newaxis]
        return _split(inside, self.min_distance, self.smallest)[np.newaxis]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; "map" tells which baseline it is."""
        return {"map": "otsu", **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> OtsuBaseline:
        """Rebuild the baseline from what `to_dict` returned."""
        low, high = map(int, values["values"])
        return cls(
            kind="classes" if values["kind"] == "classes" else "instances",
            channel=int(values["channel"]),
            bright=bool(values["bright"]),
            values=(low, high),
            min_distance=int(values["min_distance"]),
            smallest=int(values["smallest"]),
            white=float(values["white"]),
        )

    def _foreground(self, source: Array) -> NDArray[np.bool_]:
        # The info of every model has such a baseline: scikit-image waits until it is used.
        from skimage.filters import threshold_otsu

        is_stain = self.channel == HAEMATOXYLIN
        plane = _haematoxylin(source, self.white) if is_stain else source[self.channel]
        # Hot pixels would have a class of their own.
        (mask,) = leave_out_hot([plane.reshape(1, -1, plane.shape[-1])], [None])
        counted = np.isfinite(plane)
        counted = counted if mask is None else counted & mask.reshape(plane.shape)
        values = plane[counted]
        if not values.size or values.min() == values.max():
            return np.zeros(plane.shape, bool)
        if values.dtype.itemsize > 2 or values.dtype.kind == "b":
            values = values.astype(np.float64)  # each level of a wide integer would get a bin
        above = plane > threshold_otsu(values)
        return counted & (above if self.bright else ~above)

    def _dice(self, blocks: Sequence[Block]) -> float:
        both = total = 0
        for source, target, valid in blocks:
            predicted, true = self._foreground(source), target[0] != self.values[0]
            if valid is not None:
                inside = np.broadcast_to(np.asarray(valid, bool), target.shape)[0]
                predicted, true = predicted & inside, true & inside
            both += int(np.count_nonzero(predicted & true))
            total += int(np.count_nonzero(predicted) + np.count_nonzero(true))
        return 2 * both / total if total else 0.0

    def _f1(self, blocks: Sequence[Block]) -> float:
        counts = [
            label_counts(self.predict(source), target, kind="instances", valid=valid)
            for source, target, valid in blocks
            if valid is None or valid.any()
        ]
        return pool_label_scores(counts)["f1"] if counts else 0.0


def _two_values(blocks: Sequence[Block]) -> tuple[int, int]:
    values = np.unique(np.concatenate([np.unique(target) for _, target, _ in blocks]))
    if len(values) != 2:
        raise InputError(
            f"Otsu's threshold separates 2 classes, and the labels hold "
            f"{plural(len(values), 'class')}: fit a DiscriminantBaseline."
        )
    return int(values[0]), int(values[1])


def _white(blocks: Sequence[Block]) -> float:
    dtype = blocks[0][0].dtype
    if dtype.kind in "iu":
        return float(np.iinfo(dtype).max)
    return max(1.0, *(float(np.nan_to_num(source, posinf=0.0).max()) for source, *_ in blocks))


def _haematoxylin(source: Array, white: float) -> NDArray[np.float64]:
    from skimage.color import rgb2hed

    colours = np.nan_to_num(source.astype(np.float64) / white)
    return np.asarray(rgb2hed(np.clip(colours, 0, 1), channel_axis=0)[0])


def _split(inside: NDArray[np.bool_], min_distance: int, smallest: int) -> Array:
    """Cut touching objects where their distance transform is narrow."""
    from scipy import ndimage
    from skimage.feature import peak_local_max
    from skimage.segmentation import watershed

    distance = ndimage.distance_transform_edt(inside)
    regions, _ = ndimage.label(inside)
    peaks = peak_local_max(
        distance, min_distance=min_distance, labels=regions, exclude_border=False
    )
    seeds = np.zeros(inside.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    labels = watershed(-distance, seeds, mask=inside)
    sizes = np.bincount(labels.ravel())
    kept = sizes >= smallest
    kept[0] = False
    return np.where(kept, np.cumsum(kept), 0)[labels]


_SEGMENTER = OtsuBaseline(kind="instances", channel=0, bright=True, min_distance=5, smallest=16)


def segment_otsu(image: NDArray[Any]) -> NDArray[Any]:
    """Find bright objects of 16 pixels or more in an image (H, W) by Otsu and watershed."""
    if image.ndim != 2:
        raise InputError(
            f"Otsu's threshold segments images of one channel, got shape {image.shape}: give "
            "another segmenter."
        )
    return _SEGMENTER.predict(image[np.newaxis])[0]


def run_segmenter(segmenter: Segmenter, image: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Segment an image of height and width ``size``, and check the labels; return (1, H, W)."""
    with errors_of_caller():
        labels = np.asarray(segmenter(image))
    if labels.dtype.kind not in "biu" or labels.shape != size:
        raise InputError(
            f"The segmenter returned {labels.dtype} values of shape {labels.shape}: it must return "
            f"integer labels of shape {size}."
        )
    return labels[np.newaxis]
