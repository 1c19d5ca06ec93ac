"""Instance maps to planes in [-1, 1] and back."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._instance_planes import PLANES, instance_planes, take_apart
from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.data.label_codec import (
    LabelCodec,
    check_channels,
    check_label_blocks,
    check_labels,
    check_output,
    distinct_values,
    holding_dtype,
    layout_from_dict,
)
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import FileError, InputError

# Depth goes on for half the radius of a typical object: deep enough that each has one summit, and
# no deeper, since what is far from any border is hard to measure. In pixels, and in these bounds.
_REACH = 0.5
_LEAST_REACH, _MOST_REACH = 3, 12


@dataclass(frozen=True)
class InstanceCodec(LabelCodec):
    """Four planes, see `napari_pix2pix.data._instance_planes`, from which objects are taken apart.

    Parameters
    ----------
    dtype : str
        Name of the dtype of the labels, in which `decode` answers where it holds all objects.
    smallest : int
        Objects of fewer pixels are taken for specks and left out by `decode`.
    layout : Layout
        Where the labels keep their channels.
    channels : int
        Maps side by side, each with planes of its own: one, or the frames of a z-context.
    reach : int
        Depth in pixels within an object that becomes +1.

    Notes
    -----
    A round trip is exact, up to the objects' numbers, for 4-connected objects of at least
    `smallest` pixels. Objects are formed on whole images only: planes of tiles are to be stitched
    before they are decoded.

    Examples
    --------
    >>> raw = np.array([[[1, 1, 2, 2], [1, 1, 2, 2]]], np.uint16)
    >>> codec = InstanceCodec.fit([raw], layout=Layout())
    >>> codec.encode(raw).shape
    (4, 2, 4)
    >>> codec.decode(codec.encode(raw)).tolist()
    [[[1, 1, 2, 2], [1, 1, 2, 2]]]
    """

    dtype: str
    smallest: int
    layout: Layout
    channels: int = 1
    reach: int = _LEAST_REACH

    @property
    def kind(self) -> Kind:
        """Always "instances"."""
        return "instances"

    @property
    def planes(self) -> int:
        """Number of planes, four a map."""
        return PLANES * self.channels

    @classmethod
    def fit(
        cls,
        blocks: Iterable[NDArray[Any]],
        valid: Iterable[NDArray[np.bool_]] | None = None,
        *,
        layout: Layout,
        what: str = "labels",
        smallest: int | None = None,
    ) -> InstanceCodec:
        """Measure the smallest object and the radius of a typical one.

        Parameters
        ----------
        blocks : iterable of arrays (C, h, w)
            Sample of the training set, all of one dtype; integers or bool.
        valid : iterable of bool arrays (1 or C, h, w), optional
            The pixels of each block that count.
        layout : Layout
        what : str
            What the labels are called in errors.
        smallest : int, optional
            Fewest pixels of an object. By default a quarter of the area below which lies 1 % of
            the training objects: specks among those, should there be any, are not learned from.

        Raises
        ------
        InputError
            If the labels are negative or floats, or hold one value only.
        """
        arrays = check_label_blocks(blocks, what)
        if valid is not None:
            arrays = [np.where(mask, array, 0) for array, mask in zip(arrays, valid, strict=True)]
        if not any(array.any() for array in arrays) or len(distinct_values(arrays)) < 2:
            raise InputError(
                f"The {what} holds one value only where it is labelled; there is nothing to learn "
                "from it, so give labels with objects on a background of 0."
            )
        areas = _areas(arrays)
        if smallest is None:
            smallest = max(1, int(np.percentile(areas, 1) // 4))
        radius = math.sqrt(np.median(areas) / math.pi)
        reach = min(max(round(_REACH * radius), _LEAST_REACH), _MOST_REACH)
        dtype = arrays[0].dtype.newbyteorder("=").name
        return cls(dtype, smallest, layout, arrays[0].shape[0], reach)

    def encode(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Map labels to planes.

        Parameters
        ----------
        raw : array (C, H, W)
            Integers or bool; 0 is the background.

        Returns
        -------
        float32 array (4 * C, H, W)
            In [-1, 1].

        Raises
        ------
        InputError
            If the labels are negative or floats, or have other channels.
        """
        check_channels(raw, self.channels)
        check_labels(raw, "labels")
        return np.concatenate([instance_planes(labels, self.reach) for labels in raw])

    def decode(self, planes: NDArray[Any], output: str = "target") -> NDArray[Any]:
        """Map planes back to labels.

        Parameters
        ----------
        planes : array (..., 4 * C, H, W)
            Of whole images.
        output : {'target'}
            Labels have no float form.

        Returns
        -------
        array (..., C, H, W)
            Numbered from 1 in each image, in the dtype of the training labels, or in a larger
            one where that can't hold so many objects.

        Raises
        ------
        ConfigError
            If another output is asked for.
        """
        check_output(output)
        *frames, _, height, width = planes.shape
        stacks = planes.reshape(-1, PLANES, height, width)
        labels = np.empty((len(stacks), height, width), np.int32)
        for number, stack in enumerate(stacks):
            labels[number] = take_apart(stack, self.smallest)
        return self.as_target(labels.reshape(*frames, self.channels, height, width))

    def as_target(self, values: NDArray[Any]) -> NDArray[Any]:
        """Keep the numbers of objects, in the labels' dtype or one that holds them."""
        return values.astype(holding_dtype(np.dtype(self.dtype), int(values.max(initial=0))))

    def to_dict(self) -> dict[str, Any]:
        """Return the codec as JSON values."""
        return {
            "kind": self.kind,
            "dtype": self.dtype,
            "smallest": self.smallest,
            "channels": self.channels,
            "reach": self.reach,
            "channel_axis": self.layout.channel_axis,
            "rgb": self.layout.rgb,
        }

    @classmethod
    def from_dict(cls, parts: dict[str, Any]) -> InstanceCodec:
        """Build a codec from what `to_dict` returned.

        Raises
        ------
        FileError
            If parts are missing or make no sense.
        """
        try:
            dtype = np.dtype(parts["dtype"])
            numbers = [operator.index(parts[key]) for key in ("smallest", "channels", "reach")]
            layout = layout_from_dict(parts)
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"The instances in the file are damaged: {error}.") from error
        if dtype.kind not in "biu" or min(numbers) < 1:
            raise FileError("The instances in the file are damaged: their values make no sense.")
        smallest, channels, reach = numbers
        return cls(dtype.name, smallest, layout, channels, reach)


def _areas(arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Return the areas of all objects that no edge cuts, or of all where each is cut."""
    whole, every = [], []
    for labels in (labels for array in arrays for labels in array):
        values, areas = np.unique(labels, return_counts=True)
        edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        every.append(areas[values != 0])
        whole.append(areas[(values != 0) & ~np.isin(values, edge)])
    uncut = np.concatenate(whole)
    return uncut if len(uncut) else np.concatenate(every)
