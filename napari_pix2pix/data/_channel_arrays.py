"""The arrays that an image is made of, and channels that it lacks."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.layouts import find_layout
from napari_pix2pix.errors import InputError

# Boolean, signed, unsigned, float: what has an order and a range.
_KINDS = "biuf"


class Member:
    """One array of an image: knows which of its axes is which; see `Planes` for parameters."""

    def __init__(self, array: Any, channel_axis: int | None, rgb: bool | None, what: str) -> None:
        _check_array(array, what)
        self._array = array
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        self.shape = shape = tuple(int(n) for n in array.shape)
        self.layout = find_layout(shape, self.dtype, channel_axis, rgb, what)
        axis = self.layout.channel_axis
        self._channel_axis = None if axis is None else axis + len(shape)
        plain = [i for i in range(len(shape)) if i != self._channel_axis]
        self._frame_axes, self._plane_axes = plain[:-2], plain[-2:]
        self.frame_shape = tuple(shape[i] for i in self._frame_axes)
        self.height, self.width = (shape[i] for i in self._plane_axes)
        stored = 1 if axis is None else shape[axis]
        self.channels = 3 if self.layout.rgb else stored
        self.note = (
            f"The alpha channel of the {what} is left out." if stored > self.channels else ""
        )

    @property
    def array(self) -> Any:
        """The array itself."""
        return self._array

    def on(self, array: Any) -> Member:
        """Return the same member with another array of the same shape."""
        twin = copy(self)
        twin._array = array
        return twin

    def in_plane(self, values: Sequence[Any]) -> list[Any]:
        """Return those of Y and X, of values one an axis."""
        return [values[axis] for axis in self._plane_axes]

    def extent(
        self, frames: Sequence[tuple[int, ...]], rows: slice, columns: slice
    ) -> tuple[slice, ...]:
        """Return the part of the array that windows of some frames lie in, a slice an axis."""
        spans = [slice(0, self.channels)] * len(self.shape)
        for axis, positions in zip(self._frame_axes, zip(*frames, strict=True), strict=True):
            spans[axis] = slice(min(positions), max(positions) + 1)
        for axis, span in zip(self._plane_axes, (rows, columns), strict=True):
            spans[axis] = span
        return tuple(spans)

    def read(self, frame: tuple[int, ...], rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window of one frame, ``(C, h, w)``."""
        index: list[Any] = [slice(0, self.channels)] * len(self.shape)
        for axis, position in zip(self._frame_axes, frame, strict=True):
            index[axis] = position
        index[self._plane_axes[0]] = slice(*rows.indices(self.height))
        index[self._plane_axes[1]] = slice(*columns.indices(self.width))
        window = np.asarray(self._array[tuple(index)]).astype(self.dtype, copy=False)
        if self._channel_axis is None:
            return window[np.newaxis]
        before = sum(axis < self._channel_axis for axis in self._plane_axes)
        return np.moveaxis(window, before, 0)


class AbsentMember:
    """A channel that an image lacks, beside those that it has; it is read as 0."""

    channels = 1

    def __init__(self, height: int, width: int) -> None:
        self._size = height, width

    def read(self, frame: tuple[int, ...], rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window, ``(1, h, w)``."""
        spans = zip((rows, columns), self._size, strict=True)
        return np.zeros((1, *(len(range(*part.indices(length))) for part, length in spans)), bool)


def absent_channels(members: Sequence[Member | AbsentMember]) -> tuple[int, ...]:
    """Return the channels of an image that are absent."""
    lacking = [
        isinstance(member, AbsentMember) for member in members for _ in range(member.channels)
    ]
    return tuple(channel for channel, lacks in enumerate(lacking) if lacks)


def check_lacking(arrays: tuple[Any, ...], may_lack: bool, what: str) -> None:
    """Refuse None among the arrays of an image that needs all, and an image of nothing else."""
    if all(one is None for one in arrays):
        raise InputError(f"The {what} is a tuple of nothing but None; give at least one array.")
    if not may_lack and any(one is None for one in arrays):
        raise InputError(
            f"The {what} is a tuple with None in it; only a target may lack channels, so give all."
        )


def _check_array(array: Any, what: str) -> None:
    if isinstance(array, np.ma.MaskedArray):
        raise InputError(
            f"The {what} is a masked array; give its data, and what is valid as the pair's mask."
        )
    if not all(hasattr(array, name) for name in ("shape", "dtype", "__getitem__")):
        raise InputError(
            f"The {what} is a {type(array).__name__}; give a numpy, dask or zarr array, "
            "or a tuple of arrays that are channels of one image."
        )
    if getattr(array.dtype, "kind", "O") not in _KINDS:
        raise InputError(f"The {what} has dtype {array.dtype}; give booleans, integers or floats.")
    if len(array.shape) < 2:
        raise InputError(
            f"The {what} has shape {tuple(array.shape)}; an image has at least the axes Y and X."
        )
    if 0 in array.shape:
        raise InputError(
            f"The {what} has shape {tuple(array.shape)}, which holds no pixel; "
            "give an image of at least 1 x 1 pixels."
        )


def check_same_place(first: Member, other: Member, what: str) -> None:
    """Refuse arrays of different sizes as channels of one image."""

    def place(member: Member) -> tuple[int, ...]:
        return (*member.frame_shape, member.height, member.width)

    if place(first) != place(other):
        sizes = " and ".join(" x ".join(map(str, place(m))) for m in (first, other))
        raise InputError(
            f"The {what}'s arrays are {sizes} pixels; channels of one image need the same "
            "frames, height and width."
        )
