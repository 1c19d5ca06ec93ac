"""The best trivial map for labels: the score that a network has to beat.

For a foreground or for objects it is what users do by hand: Otsu's threshold of each image, on the
channel that serves best, and watershed on the distance transform. More classes than two have
`napari_pix2pix.metrics._discriminant_baseline`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.labels import LabelKind, label_counts, pool_label_scores

Array = NDArray[Any]
Triple = tuple[Array, Array, Array | None]

HAEMATOXYLIN = -1  # in place of a channel's number

_MIN_DISTANCES = (3, 5, 7, 10, 15, 20)
_MOST_BLOCKS = 32  # watershed is slow, and the best distance is soon known


@dataclass(frozen=True)
class OtsuMap:
    """Otsu's threshold of each image, and watershed for instances.

    Attributes
    ----------
    kind : {'classes', 'instances'}
        Classes are two.
    channel : int
        Of the source; -1 is the haematoxylin of its three colours (Ruifrok & Johnston, 2001).
    bright : bool
        Whether the foreground is what lies above the threshold.
    values : pair of int
        Labels of background and foreground; 0 and 1 for instances.
    min_distance : int
        Fewest pixels between the centres of two objects; 0 for classes.
    smallest : int
        Objects of fewer pixels are left out.
    white : float
        Value of white in the source's colours.

    Examples
    --------
    >>> source = np.zeros((1, 8, 8))
    >>> source[0, 2:6, 2:6] = 5
    >>> otsu = OtsuMap.fit([(source, (source > 0).astype(int), None)], kind="classes")
    >>> otsu.channel, otsu.bright, int(otsu.predict(source).sum())
    (0, True, 16)
    """

    kind: LabelKind
    channel: int
    bright: bool
    values: tuple[int, int] = (0, 1)
    min_distance: int = 0
    smallest: int = 1
    white: float = 1.0

    @classmethod
    def fit(
        cls,
        pairs: Iterable[Triple],
        *,
        kind: LabelKind,
        rgb: bool = False,
        channel: int | None = None,
        smallest: int = 1,
    ) -> OtsuMap:
        """Choose channel, polarity and distance by their scores on the training pixels.

        Channel and polarity are those of the best Dice of the foreground; then, for instances,
        the distance is that of the best F1 on at most 32 of the pairs.

        Parameters
        ----------
        pairs : iterable of (source, target, valid)
            Source (C, h, w); target (1, h, w), integers or bool; valid None, or bool that
            broadcasts to the target.
        kind : {'classes', 'instances'}
            Of two classes the smaller value is the background.
        rgb : bool
            Whether the channels are red, green and blue, so that haematoxylin is a candidate.
        channel : int, optional
            The channel to take, -1 for haematoxylin, rather than the best.
        smallest : int
            Objects of fewer pixels are left out; what a network's output is held to, too.

        Returns
        -------
        OtsuMap

        Raises
        ------
        InputError
            If there is no pair or channel to threshold, or classes are not two.
        """
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
        best = max(candidates, key=lambda one: one._dice(blocks))
        if kind == "classes":
            return best
        full = [block for block in blocks if block[1].any()]
        few = full[:: -(-len(full) // _MOST_BLOCKS) or 1] or blocks[:1]
        spaced = [
            replace(best, min_distance=distance, smallest=smallest) for distance in _MIN_DISTANCES
        ]
        return max(spaced, key=lambda one: one._f1(few))

    def predict(self, source: Array) -> Array:
        """Segment an image.

        Parameters
        ----------
        source : array (C, H, W)
            With the channels that the map was fitted to.

        Returns
        -------
        int array (1, H, W)
            Labels.

        Raises
        ------
        InputError
            If the source lacks the channel.
        """
        wanted = 3 if self.channel == HAEMATOXYLIN else self.channel + 1
        if source.ndim != 3 or len(source) < wanted:
            raise InputError(
                f"The source has shape {source.shape}; this map needs {wanted} channels, give "
                "(channels, height, width)."
            )
        inside = self._foreground(source)
        if self.kind == "classes":
            return np.where(inside, self.values[1], self.values[0])[np.newaxis]
        return _split(inside, self.min_distance, self.smallest)[np.newaxis]

    def to_dict(self) -> dict[str, Any]:
        """Return the map as JSON values."""
        return {"map": "otsu", **asdict(self), "values": list(self.values)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> OtsuMap:
        """Rebuild a map from what `to_dict` gave."""
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
        coloured = self.channel == HAEMATOXYLIN
        plane = _haematoxylin(source, self.white) if coloured else source[self.channel]
        known = np.isfinite(plane)
        values = plane[known]
        if not values.size or values.min() == values.max():
            return np.zeros(plane.shape, bool)
        if values.dtype.itemsize > 2 or values.dtype.kind == "b":
            values = values.astype(np.float64)  # each level of a wide integer would get a bin
        above = plane > threshold_otsu(values)
        return known & (above if self.bright else ~above)

    def _dice(self, blocks: Sequence[Triple]) -> float:
        both = total = 0
        for source, target, valid in blocks:
            predicted, true = self._foreground(source), target[0] != self.values[0]
            if valid is not None:
                inside = np.broadcast_to(np.asarray(valid, bool), target.shape)[0]
                predicted, true = predicted & inside, true & inside
            both += int(np.count_nonzero(predicted & true))
            total += int(np.count_nonzero(predicted) + np.count_nonzero(true))
        return 2 * both / total if total else 0.0

    def _f1(self, blocks: Sequence[Triple]) -> float:
        counts = [
            label_counts(self.predict(source), target, kind="instances", valid=valid)
            for source, target, valid in blocks
            if valid is None or valid.any()
        ]
        return pool_label_scores(counts)["f1"] if counts else 0.0


def _two_values(blocks: Sequence[Triple]) -> tuple[int, int]:
    values = np.unique(np.concatenate([np.unique(target) for _, target, _ in blocks]))
    if len(values) != 2:
        raise InputError(
            f"The labels hold {len(values)} classes; Otsu's threshold tells 2 apart, so fit a "
            "ClassMap."
        )
    return int(values[0]), int(values[1])


def _white(blocks: Sequence[Triple]) -> float:
    dtype = blocks[0][0].dtype
    if dtype.kind in "iu":
        return float(np.iinfo(dtype).max)
    return max(1.0, *(float(np.nan_to_num(source, posinf=0.0).max()) for source, *_ in blocks))


def _haematoxylin(source: Array, white: float) -> NDArray[np.float64]:
    colours = np.nan_to_num(source.astype(np.float64) / white)
    return np.asarray(rgb2hed(np.clip(colours, 0, 1), channel_axis=0)[0])


def _split(inside: NDArray[np.bool_], min_distance: int, smallest: int) -> Array:
    """Cut touching objects where their distance transform is narrow."""
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
