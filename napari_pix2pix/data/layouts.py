"""Where an image keeps its channels, and one array of an image, read window by window."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import InputError, Pix2PixError, UnreadableError, is_out_of_memory

# Nobody trains on stripes this wide: behind axes that are much longer, such a last axis holds
# channels.
_MOST_TRAILING, _TIMES_LONGER = 16, 4
# Boolean, signed, unsigned, float: what has an order and a range.
_NUMBERS = "biuf"
_MOST_VALUES = 2**62  # of which numpy can still count the bytes of a part
_REASON = 200  # characters


@dataclass(frozen=True)
class Layout:
    """The channel axis of an image, negative so that it holds for any number of frame axes."""

    channel_axis: int | None = None  # None for one channel
    rgb: bool = False  # the channels are red, green and blue

    def assemble(self, planes: NDArray[Any], frame_shape: tuple[int, ...] = ()) -> NDArray[Any]:
        """Lay planes (F, C, H, W) out as an image: (*frame_shape, H, W) with the channel axis.

        Of volumes (F, C, Z, H, W) the planes come after the axes of `frame_shape`.
        """
        if planes.ndim == 5:
            planes = np.moveaxis(planes, 2, 1)
            frame_shape = (*frame_shape, planes.shape[1])
            planes = planes.reshape(-1, *planes.shape[2:])
        channels, height, width = planes.shape[1:]
        if self.channel_axis is None:
            if channels != 1:
                raise InputError(
                    f"An image without a channel axis holds 1 channel, got {channels}; "
                    "give the layout a channel axis."
                )
            return planes.reshape(*frame_shape, height, width)
        stack = planes.reshape(*frame_shape, channels, height, width)
        axis = max(self.channel_axis, -stack.ndim)
        return np.ascontiguousarray(np.moveaxis(stack, -3, axis))


def find_layout(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    channel_axis: int | None,
    rgb: bool | None,
    what: str,
) -> Layout:
    """Find where an array keeps its channels; errors call it `what`."""
    if rgb is None:
        rgb = channel_axis is None and _looks_rgb(shape, dtype)
        if channel_axis is None and has_trailing_channels(shape):
            channel_axis = -1
    if rgb:
        if len(shape) < 3 or shape[-1] not in (3, 4):
            raise InputError(
                f"The {what} has shape {shape}; an RGB image has a last axis of length 3, or 4 "
                "with alpha."
            )
        return Layout(channel_axis=-1, rgb=True)
    if channel_axis is None:
        return Layout()
    try:
        ndim, axis = len(shape), operator.index(channel_axis)
    except TypeError:
        raise InputError(
            f"channel_axis must be an integer, got {channel_axis!r} for the {what}."
        ) from None
    if ndim < 3 or not -ndim <= axis < ndim:
        raise InputError(
            f"channel_axis={axis} does not fit the {what} of shape {shape}; "
            "it must be one of its axes and leave at least Y and X."
        )
    return Layout(channel_axis=axis if axis < 0 else axis - ndim)


class ChannelArray:
    """One array of an image, which knows which of its axes is which."""

    def __init__(self, array: Any, channel_axis: int | None, rgb: bool | None, what: str) -> None:
        _check_array(array, what)
        self.array, self._what = array, what
        self.dtype = np.dtype(array.dtype).newbyteorder("=")
        self.shape = shape = tuple(int(n) for n in array.shape)
        self.layout = find_layout(shape, self.dtype, channel_axis, rgb, what)
        axis = self.layout.channel_axis
        self._channel_axis = None if axis is None else axis + len(shape)
        others = [i for i in range(len(shape)) if i != self._channel_axis]
        self._frame_axes, self._plane_axes = others[:-2], others[-2:]
        self.frame_shape = tuple(shape[i] for i in self._frame_axes)
        self.height, self.width = (shape[i] for i in self._plane_axes)
        stored = 1 if axis is None else shape[axis]
        self.channels = 3 if self.layout.rgb else stored
        has_alpha = stored > self.channels
        if has_alpha and rgb is None:
            self._check_alpha()
        self.note = f"The alpha channel of the {what} is left out." if has_alpha else ""

    def on(self, array: Any) -> ChannelArray:
        """Return the same description of another array of the same shape."""
        other = copy(self)
        other.array = array
        return other

    def in_plane(self, values: Sequence[Any]) -> list[Any]:
        """Return those for Y and X among values that there are one of for each axis."""
        return [values[axis] for axis in self._plane_axes]

    def extent(
        self, frames: Sequence[tuple[int, ...]], rows: slice, columns: slice
    ) -> tuple[slice, ...]:
        """Return the slices of the array, one an axis, that hold a window of some frames."""
        spans = [slice(0, self.channels)] * len(self.shape)
        for axis, positions in zip(self._frame_axes, zip(*frames, strict=True), strict=True):
            spans[axis] = slice(min(positions), max(positions) + 1)
        for axis, span in zip(self._plane_axes, (rows, columns), strict=True):
            spans[axis] = span
        return tuple(spans)

    def read(self, frame: tuple[int, ...], rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window (C, h, w) of one frame."""
        index: list[Any] = [slice(0, self.channels)] * len(self.shape)
        for axis, position in zip(self._frame_axes, frame, strict=True):
            index[axis] = position
        return self._read(index, rows, columns)

    def read_planes(self, frame: tuple[int, ...], rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window (C, Z, h, w) of all planes along the last frame axis."""
        index: list[Any] = [slice(0, self.channels)] * len(self.shape)
        for axis, position in zip(self._frame_axes[:-1], frame, strict=True):
            index[axis] = position
        index[self._frame_axes[-1]] = slice(0, self.frame_shape[-1])
        return self._read(index, rows, columns)

    def _read(self, index: list[Any], rows: slice, columns: slice) -> NDArray[Any]:
        """Read a window, where other axes than Y and X are as in the index; channels first."""
        index[self._plane_axes[0]] = slice(*rows.indices(self.height))
        index[self._plane_axes[1]] = slice(*columns.indices(self.width))
        window = self.read_window(tuple(index))
        if self._channel_axis is None:
            return window[np.newaxis]
        # Axes that are not read whole are gone.
        before = sum(isinstance(part, slice) for part in index[: self._channel_axis])
        return np.moveaxis(window, before, 0)

    def _check_alpha(self) -> None:
        """Refuse what only looks like RGB with alpha: more than 8 bits that vary, as data do."""
        *frames, height, _, _ = self.shape
        # Of an array that is read lazily, one row is looked at.
        rows: tuple[Any, ...] = (*(0 for _ in frames), height // 2)
        if isinstance(self.array, np.ndarray):
            rows = (slice(None),) * len(rows)
        fourth = self.read_window((*rows, slice(None), 3))
        if self.dtype != np.uint8 and (fourth != fourth.flat[0]).any():
            raise InputError(
                f"The {self._what}, {self.shape} of {self.dtype}, is taken for RGB with alpha, but "
                "its fourth channel varies and may be data: say which axis holds the channels to "
                "keep all four, or give the first three alone."
            )

    def read_window(self, index: tuple[Any, ...]) -> NDArray[Any]:
        """Read a part, given by an index for each axis; refuse one that is not as was stated."""
        try:
            window = np.asarray(self.array[index])
        except (Pix2PixError, Warning):
            raise
        except Exception as error:  # which errors these are is up to whoever made the array
            if is_out_of_memory(error):
                raise
            reason = " ".join(str(error).split())[:_REASON] or "without a reason"
            raise UnreadableError(
                f"A part of the {self._what} can't be read ({type(error).__name__}: {reason}): "
                "repair what it is read or computed from."
            ) from error
        wanted = tuple(
            len(range(*part.indices(length)))
            for part, length in zip(index, self.shape, strict=True)
            if isinstance(part, slice)
        )
        if window.shape != wanted or window.dtype.kind not in _NUMBERS:
            raise UnreadableError(
                f"A part of the {self._what} came as {window.dtype} of shape {window.shape}, where "
                f"{self.dtype} of shape {wanted} was stated: it changed meanwhile, or states a "
                "wrong shape."
            )
        return window.astype(self.dtype, copy=False)

    @property
    def field(self) -> tuple[int, ...]:
        """Frames, height and width: what arrays of one image have in common."""
        return (*self.frame_shape, self.height, self.width)


class MissingChannel:
    """A channel that an image lacks, beside those that it has; it is read as 0."""

    channels = 1

    def __init__(self, height: int, width: int) -> None:
        self._size = height, width

    def read(self, frame: tuple[int, ...], rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window (1, h, w)."""
        spans = zip((rows, columns), self._size, strict=True)
        return np.zeros((1, *(len(range(*part.indices(length))) for part, length in spans)), bool)


def has_trailing_channels(shape: tuple[int, ...]) -> bool:
    """Tell whether the last axis is too short to be the width of an image, so holds channels.

    >>> has_trailing_channels((128, 128, 1)), has_trailing_channels((13, 64, 48))
    (True, False)
    """
    few = shape[-1] if len(shape) >= 3 else 0
    return 0 < few <= _MOST_TRAILING and min(shape[-3:-1]) > _TIMES_LONGER * few


def _looks_rgb(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    colours = dtype in (np.uint8, np.uint16) or dtype.kind == "f"
    return (
        colours
        and len(shape) >= 3
        and shape[-1] in (3, 4)
        and all(length > shape[-1] for length in shape[-3:-1])
    )


def _check_array(array: Any, what: str) -> None:
    if isinstance(array, np.ma.MaskedArray):
        raise InputError(
            f"The {what} is a masked array; give its data, and the valid pixels as the pair's mask."
        )
    try:
        states_all = all(hasattr(array, name) for name in ("shape", "dtype", "__getitem__"))
        shape, dtype = (array.shape, np.dtype(array.dtype)) if states_all else ((), None)
        shape = tuple(operator.index(length) for length in shape)
    except Exception as error:  # which errors these are is up to whoever made the array
        raise InputError(
            f"The {what} of type {type(array).__name__} does not state its shape and dtype "
            f"({type(error).__name__}: {error}); of a dask array, compute the chunk sizes first."
        ) from error
    if dtype is None:
        raise InputError(
            f"The {what} is of type {type(array).__name__}; give a numpy, dask or zarr array, "
            "or a tuple of arrays that are channels of one image."
        )
    if dtype.kind not in _NUMBERS:
        raise InputError(f"The {what} has dtype {array.dtype}; give booleans, integers or floats.")
    if len(shape) < 2:
        raise InputError(f"The {what} has shape {shape}; an image has at least the axes Y and X.")
    if min(shape) < 1:
        raise InputError(
            f"The {what} has shape {shape}, which holds no pixel; "
            "give an image of at least 1 x 1 pixels."
        )
    if math.prod(shape) > _MOST_VALUES:
        raise InputError(f"The {what} has shape {shape}, which is more than any image has.")
