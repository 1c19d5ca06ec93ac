"""Arrays of any layout, read lazily as stacks of planes (C, H, W), one frame at a time."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._channel_arrays import (
    AbsentMember,
    Member,
    absent_channels,
    check_lacking,
    check_same_place,
)
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import InputError

__all__ = ["ContextPlanes", "Layout", "Planes", "as_planes"]


class Planes:
    """An image, a stack or a set of channels, read window by window.

    Parameters
    ----------
    array : array or tuple of arrays
        numpy, dask, zarr or anything else with ``shape``, ``dtype`` and slicing: boolean, integer
        or float. The last two axes that are not the channel axis are Y and X, all others are
        frames. The arrays of a tuple are channels of one image; where their dtypes differ, the
        narrowest dtype that holds them all is used.
    channel_axis : int, optional
        Axis of the channels.
    rgb : bool, optional
        Whether the last axis holds RGB or RGBA; alpha is left out, and `note` says so. By default
        it does where there is no `channel_axis`, the dtype is uint8, uint16 or float, and the last
        axis has length 3 or 4 and is shorter than Y and X.
    what : str
        What the image is called in errors, for example "source".
    may_lack : bool
        Whether a tuple may hold None for a channel that this image lacks; it is read as 0.

    Attributes
    ----------
    shape, frame_shape : tuple of int
        Of the whole image (channels in front of Y and X for a tuple), and of its frame axes.
    frames, channels, height, width : int
    dtype : numpy.dtype
        In the machine's byte order.
    layout : Layout
    absent : tuple of int
        Channels that are lacking.
    note : str
        Empty, or a sentence about what is not used.

    Raises
    ------
    InputError
        If the array has no usable dtype, axes or size.

    Examples
    --------
    >>> planes = Planes(np.zeros((7, 64, 48, 3), np.uint8))
    >>> planes.frames, planes.channels, planes.height, planes.width, planes.layout.rgb
    (7, 3, 64, 48, True)
    >>> planes.read(6, slice(0, 16), slice(8, 16)).shape
    (3, 16, 8)
    """

    absent: tuple[int, ...] = ()

    def __init__(
        self,
        array: Any,
        *,
        channel_axis: int | None = None,
        rgb: bool | None = None,
        what: str = "source",
        may_lack: bool = False,
    ) -> None:
        arrays = array if isinstance(array, tuple) else (array,)
        if not arrays:
            raise InputError(f"The {what} is an empty tuple; give at least one array.")
        if isinstance(array, tuple):
            check_lacking(array, may_lack, what)
        present = {
            index: Member(one, _axis_in_tuple(one, channel_axis, arrays), rgb, what)
            for index, one in enumerate(arrays)
            if one is not None or len(arrays) == 1
        }
        first, *others = members = list(present.values())
        for other in others:
            check_same_place(first, other, what)
        absent = AbsentMember(first.height, first.width)
        self._members = [present.get(index, absent) for index in range(len(arrays))]
        self.what = what
        self.frame_shape = first.frame_shape
        self.frames = int(np.prod(first.frame_shape, dtype=np.int64))
        self.height, self.width = first.height, first.width
        self.channels = sum(member.channels for member in self._members)
        self.dtype = np.result_type(*(member.dtype for member in members))
        self.absent = absent_channels(self._members)
        self.shape, self.layout = first.shape, first.layout
        if len(self._members) > 1:
            self.shape = (*self.frame_shape, self.channels, self.height, self.width)
            self.layout = Layout(channel_axis=-3)
        self.note = next((member.note for member in members if member.note), "")

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window of one frame, and nothing else.

        Parameters
        ----------
        frame : int
            Index into the frames, row-major over `frame_shape`.
        rows, columns : slice
            Of step 1.

        Returns
        -------
        array (C, h, w)
            In the image's dtype. It may be a view of the image: don't write into it.
        """
        index = self._place(frame)
        if len(self._members) == 1:
            return self._members[0].read(index, rows, columns)
        parts = [member.read(index, rows, columns) for member in self._members]
        return np.concatenate(parts, dtype=self.dtype)

    @property
    def members(self) -> tuple[Member, ...]:
        """The arrays that the image is made of, without channels that it lacks."""
        return tuple(one for one in self._members if isinstance(one, Member))

    def on(self, arrays: Iterable[Any]) -> Planes:
        """Return the same image on other arrays of the same shapes, such as parts of them.

        Parameters
        ----------
        arrays : iterable of array
            One for each of `members`.
        """
        twin, others = copy(self), iter(arrays)
        twin._members = [
            one.on(next(others)) if isinstance(one, Member) else one for one in self._members
        ]
        return twin

    def frames_seen(self, frame: int) -> list[tuple[int, ...]]:
        """Return the places, in `frame_shape`, of the frames that one is read from."""
        return [self._place(frame)]

    def _place(self, frame: int) -> tuple[int, ...]:
        return tuple(int(i) for i in np.unravel_index(frame, self.frame_shape))

    def __repr__(self) -> str:
        size = f"{self.channels} x {self.height} x {self.width}"
        return f"<Planes {self.what}: {self.frames} frame(s) of {size}, {self.dtype}>"


class ContextPlanes(Planes):
    """Planes whose channels are a frame and its neighbours, for 2.5D (z_context).

    Parameters
    ----------
    planes : Planes
        C channels a frame.
    z_context : int
        Neighbours on each side along the last frame axis. At the ends of the stack the outermost
        frame is repeated.

    Notes
    -----
    There are ``(2 * z_context + 1) * C`` channels: all channels of the first neighbour, then all of
    the next. `layout` stays that of one frame.
    """

    def __init__(self, planes: Planes, z_context: int) -> None:
        if z_context < 0:
            raise InputError(f"z_context is the number of neighbours, 0 or more; got {z_context}.")
        vars(self).update(vars(planes))
        self.channels = planes.channels * (2 * z_context + 1)
        self._planes = planes
        self._z_context = z_context

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window of a frame and its neighbours, ``((2k + 1) * C, h, w)``."""
        near = self._near(frame)
        windows = {index: self._planes.read(index, rows, columns) for index in set(near)}
        return np.concatenate([windows[index] for index in near])

    def on(self, arrays: Iterable[Any]) -> Planes:
        """Return the same image on other arrays of the same shapes."""
        return ContextPlanes(self._planes.on(arrays), self._z_context)

    def frames_seen(self, frame: int) -> list[tuple[int, ...]]:
        """Return the places of a frame and its neighbours."""
        return [self._place(index) for index in self._near(frame)]

    def _near(self, frame: int) -> list[int]:
        """Return the frame and its neighbours on both sides, as many as there are channels of."""
        depth = self.frame_shape[-1] if self.frame_shape else 1
        start, z = frame - frame % depth, frame % depth
        reach = range(-self._z_context, self._z_context + 1)
        return [start + min(max(z + step, 0), depth - 1) for step in reach]


class NoPlanes(Planes):
    """The source of a pair that has none: a size, and no channel.

    Parameters
    ----------
    height, width : int
        In pixels.
    frame_shape : tuple of int
        Of the target.

    Examples
    --------
    >>> NoPlanes(64, 48).read(0, slice(0, 16), slice(8, 16)).shape
    (0, 16, 8)
    """

    def __init__(self, height: int, width: int, frame_shape: tuple[int, ...] = ()) -> None:
        self._members = []
        self.what, self.note = "source", ""
        self.height, self.width, self.channels = height, width, 0
        self.frame_shape = frame_shape
        self.frames = int(np.prod(frame_shape, dtype=np.int64))
        self.shape = (*frame_shape, 0, height, width)
        self.layout = Layout()
        self.dtype = np.dtype(np.uint8)

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window of nothing, ``(0, h, w)``."""
        size = len(range(*rows.indices(self.height))), len(range(*columns.indices(self.width)))
        return np.empty((0, *size), self.dtype)


def as_planes(
    array: Any,
    *,
    channel_axis: int | None = None,
    like: Layout | None = None,
    what: str = "source",
    may_lack: bool = False,
) -> Planes:
    """Return `array` as `Planes`; what is already planes is returned as it is.

    Parameters
    ----------
    array : array, tuple of arrays or Planes
    channel_axis : int, optional
        As for `Planes`.
    like : Layout, optional
        How another image kept its channels, in place of `channel_axis`: this one is read the same
        way, whatever its frame axes.
    what : str
        What the image is called in errors.
    may_lack : bool
        As for `Planes`.

    Examples
    --------
    >>> rgba = np.zeros((2, 2, 4), np.uint8)
    >>> as_planes(rgba, like=Layout(channel_axis=-1, rgb=True)).channels
    3
    """
    if isinstance(array, Planes):
        return array
    if like is None:
        return Planes(array, channel_axis=channel_axis, what=what, may_lack=may_lack)
    if isinstance(array, tuple):
        return Planes(array, what=what)
    if like.rgb or like.channel_axis is None:
        return Planes(array, rgb=like.rgb or None, what=what)
    ndim = len(getattr(array, "shape", ()))
    return Planes(array, channel_axis=max(like.channel_axis, -ndim), what=what)


def _axis_in_tuple(array: Any, axis: int | None, arrays: tuple[Any, ...]) -> int | None:
    """Return None for a plain plane among the arrays of a tuple: it has no axis to spare."""
    plain = len(arrays) > 1 and len(getattr(array, "shape", ())) == 2
    return None if plain else axis
