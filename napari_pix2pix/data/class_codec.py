"""Class maps to planes in [-1, 1], one a class, and back; pixels of unknown classes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codec_base import (
    CodecBase,
    LabelCodec,
    check_label_blocks,
    distinct_values,
    labelled,
    list_labels,
)
from napari_pix2pix.data.kinds import Kind, Side
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import InputError

MOST_CLASSES = 64


@dataclass(frozen=True)
class ClassCodec(LabelCodec):
    """One plane for each class: +1 inside, -1 elsewhere; decoded by the largest plane."""

    kind: ClassVar[Kind] = "classes"

    dtype: str  # of the labels
    values: tuple[int, ...]  # the classes in rising order, with the background
    layout: Layout
    channels: int = 1  # class maps, such as the frames of a z-context

    def __post_init__(self) -> None:
        dtype, values = np.dtype(self.dtype), self.values
        right = dtype.kind in "biu" and self.channels > 0 and 2 <= len(values) <= MOST_CLASSES
        if not (right and list(values) == sorted(set(values)) and _fit_in(dtype, values)):
            raise ValueError("its values make no sense")

    @property
    def planes(self) -> int:
        """Number of planes, one a class."""
        return self.channels * len(self.values)

    @classmethod
    def fit(
        cls,
        blocks: Iterable[NDArray[Any]],
        valid: Iterable[NDArray[np.bool_]] | None = None,
        *,
        layout: Layout,
        what: str = "labels",
        classes: int | None = None,
        values: Sequence[int] | NDArray[np.int64] = (),
    ) -> ClassCodec:
        """Find the classes in `values` and blocks (C, h, w), inside masks (1 or C, h, w)."""
        arrays = check_label_blocks(blocks, what)
        inside = arrays if valid is None else labelled(arrays, valid)
        present = np.union1d(distinct_values(inside), np.asarray(values, np.int64))
        if len(present) < 2:
            raise InputError(
                f"The {what} holds one value only where it is labelled; there is nothing to learn "
                "from it, so give labels of at least two classes, the background being one."
            )
        if classes is not None:
            present = _stated(present, classes, arrays[0].dtype, what)
        if len(present) > MOST_CLASSES:
            raise InputError(
                f"The {what} holds {len(present)} values, but {MOST_CLASSES} classes at most can "
                "be told apart; treat it as instances or as an image, or merge classes."
            )
        dtype = arrays[0].dtype.newbyteorder("=").name
        return cls(dtype, tuple(present.tolist()), layout, arrays[0].shape[0])

    def encode(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Map labels (C, H, W) to planes (C * classes, H, W) of -1 and +1; 0 at no class."""
        self.check_encodable(raw, self.channels)
        values = np.array(self.values, np.int64)
        planes = (raw[:, np.newaxis] == values[:, np.newaxis, np.newaxis]).astype(np.float32)
        has_class = planes.any(axis=1, keepdims=True)
        planes *= 2
        planes -= 1
        if not has_class.all():
            planes *= has_class
        return planes.reshape(-1, *raw.shape[1:])

    def is_class(self, raw: NDArray[Any]) -> NDArray[np.bool_]:
        """Say of each pixel whether its value is a class."""
        return np.isin(raw, self.values)

    def decode(self, planes: NDArray[Any], output: str = "target") -> NDArray[Any]:
        """Map planes (..., C * classes, H, W) to labels (..., C, H, W) in the labels' dtype."""
        self.check_output(output)
        *frames, _, height, width = planes.shape
        stacks = planes.reshape(*frames, self.channels, len(self.values), height, width)
        return np.array(self.values).astype(self.dtype)[np.argmax(stacks, axis=-3)]

    def as_target(self, values: NDArray[Any]) -> NDArray[Any]:
        """Turn numbers into the nearest class, in the labels' dtype."""
        classes = np.array(self.values, np.float64)
        nearest = np.searchsorted((classes[1:] + classes[:-1]) / 2, values)
        return np.array(self.values).astype(self.dtype)[nearest]

    def class_weights(
        self,
        blocks: Iterable[NDArray[Any]],
        valid: Iterable[NDArray[np.bool_]] | None = None,
    ) -> tuple[float, ...]:
        """Weigh classes by the inverse root of their frequency; the mean over pixels is 1."""
        arrays = list(blocks)
        arrays = arrays if valid is None else labelled(arrays, valid)
        counts = np.array(
            [sum(np.count_nonzero(array == value) for array in arrays) for value in self.values]
        )
        weights = 1 / np.sqrt(np.maximum(counts, 1))
        weights *= counts.sum() / (weights @ counts)
        return tuple(float(weight) for weight in weights)


def leave_out_unknown(
    raw: NDArray[Any], codec: CodecBase, valid: NDArray[np.bool_] | None, side: Side
) -> tuple[NDArray[np.bool_] | None, list[int]]:
    """Make pixels of raw (C, h, w) that have no class invalid; also return their values."""
    if not isinstance(codec, ClassCodec):
        return valid, []
    has_class = codec.is_class(raw)
    if has_class.all():
        return valid, []
    counted = has_class if valid is None else has_class | ~valid.any(axis=0)
    unknown = [int(value) for value in np.unique(raw[~counted])]
    inside = has_class.all(axis=0, keepdims=True) if side == "source" else has_class
    return np.asarray(inside if valid is None else valid & inside), unknown


def unknown_note(unknown: Sequence[int], side: Side) -> str:
    """Say that training has met values that belong to no class."""
    remedy = "; state classes if labels are 0 to classes - 1" if side == "target" else ""
    return (
        f"The {side} holds {list_labels(unknown)}, which no block held that was read before "
        f"training: such pixels are unlabelled{remedy}."
    )


def _stated(
    present: NDArray[np.int64], classes: int, dtype: np.dtype[Any], what: str
) -> NDArray[np.int64]:
    """Return the values of all stated classes; `present` are those of the sample."""
    if len(present) > classes:
        raise InputError(
            f"The {what} holds {len(present)} classes ({list_labels(present.tolist())}), and "
            f"{classes} are stated: state all, merge classes, or mask pixels of no class."
        )
    stated = present if len(present) == classes else np.arange(classes)
    if present[-1] > stated[-1] or not _fit_in(dtype, stated.tolist()):
        raise InputError(
            f"The {what} holds {dtype} {list_labels(present.tolist())}, and {classes} classes are "
            f"stated, which means 0 to {classes - 1}: renumber the labels, or state as many "
            "classes as there are."
        )
    return stated


def _fit_in(dtype: np.dtype[Any], values: Sequence[int]) -> bool:
    largest = 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)
    return values[0] >= 0 and values[-1] <= largest
