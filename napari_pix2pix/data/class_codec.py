"""Class maps to planes in [-1, 1], one a class, and back."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.data.label_codec import (
    LabelCodec,
    check_channels,
    check_label_blocks,
    check_labels,
    check_output,
    distinct_values,
    labelled,
    layout_from_dict,
    listed,
)
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import FileError, InputError

MOST_CLASSES = 64


@dataclass(frozen=True)
class ClassCodec(LabelCodec):
    """One plane a class: +1 inside, -1 elsewhere; back by the largest plane.

    Parameters
    ----------
    dtype : str
        Name of the dtype of the labels, in which `decode` answers.
    values : tuple of int
        The classes in rising order, background included.
    layout : Layout
        Where the labels keep their channels.
    channels : int
        Class maps side by side, each with planes of its own: one, or the frames of a z-context.

    Examples
    --------
    >>> raw = np.array([[[0, 7], [7, 2]]], np.uint8)
    >>> codec = ClassCodec.fit([raw], layout=Layout())
    >>> codec.values, codec.encode(raw).shape
    ((0, 2, 7), (3, 2, 2))
    >>> codec.decode(codec.encode(raw)).tolist()
    [[[0, 7], [7, 2]]]
    """

    dtype: str
    values: tuple[int, ...]
    layout: Layout
    channels: int = 1

    @property
    def kind(self) -> Kind:
        """Always "classes"."""
        return "classes"

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
        """Find the classes.

        Parameters
        ----------
        blocks : iterable of arrays (C, h, w)
            Sample of the training set, all of one dtype; integers or bool.
        valid : iterable of bool arrays (1 or C, h, w), optional
            The pixels of each block that count. Values that occur outside alone are no classes.
        layout : Layout
        what : str
            What the labels are called in errors.
        classes : int, optional
            How many there are, where the sample may lack some: labels of any value if it holds
            that many, or else 0 to ``classes - 1``.
        values : sequence of int, optional
            What else the training set is known to hold.

        Raises
        ------
        InputError
            If the labels are negative or floats, hold one value only, more than 64, or more or
            others than stated.
        """
        arrays = check_label_blocks(blocks, what)
        inside = arrays if valid is None else labelled(arrays, valid)
        found = np.union1d(distinct_values(inside), np.asarray(values, np.int64))
        if len(found) < 2:
            raise InputError(
                f"The {what} holds one value only where it is labelled; there is nothing to learn "
                "from it, so give labels of at least two classes, the background being one."
            )
        if classes is not None:
            found = _stated(found, classes, arrays[0].dtype, what)
        if len(found) > MOST_CLASSES:
            raise InputError(
                f"The {what} holds {len(found)} values, but {MOST_CLASSES} classes at most can "
                "be told apart; treat it as instances or as an image, or merge classes."
            )
        dtype = arrays[0].dtype.newbyteorder("=").name
        return cls(dtype, tuple(int(value) for value in found), layout, arrays[0].shape[0])

    def encode(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Map labels to planes.

        Parameters
        ----------
        raw : array (C, H, W)
            Integers or bool.

        Returns
        -------
        float32 array (C * K, H, W)
            -1 and +1, K planes a channel; 0 in all of them where the value is no class.

        Raises
        ------
        InputError
            If the labels are negative or floats, or have other channels.
        """
        check_channels(raw, self.channels)
        check_labels(raw, "labels")
        values = np.array(self.values, np.int64)
        planes = (raw[:, np.newaxis] == values[:, np.newaxis, np.newaxis]).astype(np.float32)
        known = planes.any(axis=1, keepdims=True)
        planes *= 2
        planes -= 1
        if not known.all():
            planes *= known
        return planes.reshape(-1, *raw.shape[1:])

    def known(self, raw: NDArray[Any]) -> NDArray[np.bool_]:
        """Say of each pixel whether its value is a class."""
        return np.isin(raw, self.values)

    def decode(self, planes: NDArray[Any], output: str = "target") -> NDArray[Any]:
        """Map planes back to labels: at each pixel the class of the largest plane.

        Parameters
        ----------
        planes : array (..., C * K, H, W)
        output : {'target'}
            Labels have no float form.

        Returns
        -------
        array (..., C, H, W)
            In the dtype of the training labels.

        Raises
        ------
        ConfigError
            If another output is asked for.
        """
        check_output(output)
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
        """Weigh classes so that rare ones count in a loss.

        Parameters
        ----------
        blocks, valid
            As for `fit`.

        Returns
        -------
        tuple of float
            For each class a weight that goes with the inverse square root of its frequency; the
            mean over the pixels that count is 1. A class that the blocks lack weighs as much as
            one of a single pixel.
        """
        arrays = list(blocks)
        arrays = arrays if valid is None else labelled(arrays, valid)
        counts = np.array(
            [sum(np.count_nonzero(array == value) for array in arrays) for value in self.values]
        )
        weights = 1 / np.sqrt(np.maximum(counts, 1))
        weights *= counts.sum() / (weights @ counts)
        return tuple(float(weight) for weight in weights)

    def to_dict(self) -> dict[str, Any]:
        """Return the codec as JSON values."""
        return {
            "kind": self.kind,
            "dtype": self.dtype,
            "values": list(self.values),
            "channels": self.channels,
            "channel_axis": self.layout.channel_axis,
            "rgb": self.layout.rgb,
        }

    @classmethod
    def from_dict(cls, parts: dict[str, Any]) -> ClassCodec:
        """Build a codec from what `to_dict` returned.

        Raises
        ------
        FileError
            If parts are missing or make no sense.
        """
        try:
            dtype = np.dtype(parts["dtype"])
            values = tuple(operator.index(value) for value in parts["values"])
            layout = layout_from_dict(parts)
            channels = operator.index(parts["channels"])
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"The classes in the file are damaged: {error}.") from error
        known = dtype.kind in "biu" and channels > 0 and 2 <= len(values) <= MOST_CLASSES
        if not (known and list(values) == sorted(set(values)) and _fit_in(dtype, values)):
            raise FileError("The classes in the file are damaged: their values make no sense.")
        return cls(dtype.name, values, layout, channels)


def _stated(
    found: NDArray[np.int64], classes: int, dtype: np.dtype[Any], what: str
) -> NDArray[np.int64]:
    """Return the values of as many classes as are stated, of which some were found."""
    if len(found) > classes:
        raise InputError(
            f"The {what} holds {len(found)} classes ({listed(found.tolist())}), and {classes} are "
            "stated: state all, merge classes, or mask what is none."
        )
    stated = found if len(found) == classes else np.arange(classes)
    if found[-1] > stated[-1] or not _fit_in(dtype, stated.tolist()):
        raise InputError(
            f"The {what} holds {dtype} {listed(found.tolist())}, and {classes} classes are stated,"
            f" which would be 0 to {classes - 1}: renumber the labels, or state as many as there "
            "are."
        )
    return stated


def _fit_in(dtype: np.dtype[Any], values: Sequence[int]) -> bool:
    largest = 1 if dtype.kind == "b" else int(np.iinfo(dtype).max)
    return values[0] >= 0 and values[-1] <= largest
