"""Arrays of any layout, read lazily as windows (C, h, w) of one frame at a time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.channel_look import Looks
from napari_pix2pix.data.layouts import ChannelArray, Layout, MissingChannel
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.errors import InputError, plural


class LazyImage:
    """An image, a stack or a tuple of channels, read window by window; errors call it `what`."""

    # The last two axes that are not the channel axis are Y and X, all others are frames. Without
    # `rgb` and `channel_axis` the last axis tells whether it holds channels, see `find_layout`.
    # `may_lack` allows None in a tuple for a channel that this image lacks (`absent`); it is read
    # as 0.

    depth = 1  # planes of each frame, see `VolumeImage`
    is_volume = False  # whether frames are volumes (C, Z, H, W)
    absent: tuple[int, ...] = ()
    channel_names: tuple[str, ...] = ()  # one each, or empty
    looks: Looks = ()  # likewise
    pixel_size: PixelSize | None = None  # where the file or layer states it

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
        if isinstance(array, tuple):
            _check_tuple(array, may_lack, what)
        present = {
            index: ChannelArray(member, _axis_in_tuple(member, channel_axis, arrays), rgb, what)
            for index, member in enumerate(arrays)
            if member is not None or len(arrays) == 1
        }
        first, *others = members = list(present.values())
        for other in others:
            _check_same_field(first, other, what)
        missing = MissingChannel(first.height, first.width)
        self._members = [present.get(index, missing) for index in range(len(arrays))]
        self.what = what
        self.frame_shape = first.frame_shape
        self.frames = int(np.prod(first.frame_shape, dtype=np.int64))
        self.height, self.width = first.height, first.width
        self.channels = sum(member.channels for member in self._members)
        self.dtype = np.result_type(*(member.dtype for member in members))
        lacks = [isinstance(m, MissingChannel) for m in self._members for _ in range(m.channels)]
        self.absent = tuple(np.flatnonzero(lacks).tolist())
        self.shape, self.layout = first.shape, first.layout
        if len(self._members) > 1:
            self.shape = (*self.frame_shape, self.channels, self.height, self.width)
            self.layout = Layout(channel_axis=-3)
        self.note = next((member.note for member in members if member.note), "")

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window (C, h, w) of a frame, counted row-major; it may be a view."""
        index = self._frame_index(frame)
        if len(self._members) == 1:
            return self._members[0].read(index, rows, columns)
        parts = [member.read(index, rows, columns) for member in self._members]
        return np.concatenate(parts, dtype=self.dtype)

    def read_with_finite(
        self, frame: int, rows: slice, columns: slice
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a window, and where it is finite; None for a dtype without NaN."""
        window = self.read(frame, rows, columns)
        return window, np.isfinite(window) if window.dtype.kind == "f" else None

    @property
    def members(self) -> tuple[ChannelArray, ...]:
        """The arrays that the image is made of, without channels that it lacks."""
        return tuple(member for member in self._members if isinstance(member, ChannelArray))

    @property
    def is_split(self) -> bool:
        """Whether each of several channels is an array of its own."""
        return len(self._members) == self.channels > 1

    def named(self, names: Sequence[str]) -> LazyImage:
        """Return the same image with names of its channels."""
        if not np.iterable(names):
            raise InputError(f"channel_names must be names, one a channel, got {names!r}.")
        if names and len(names) != self.channels:
            raise InputError(
                f"There are {plural(len(names), 'channel name')} for the "
                f"{plural(self.channels, 'channel')} of the {self.what}: give one for each."
            )
        other = copy(self)
        other.channel_names = tuple(map(str, names))
        return other

    def stating(self, pixel_size: PixelSize | None, looks: Looks) -> LazyImage:
        """Return the same image with what its file or layers state of it."""
        other = copy(self)
        other.pixel_size, other.looks = pixel_size, looks
        return other

    def on(self, arrays: Iterable[Any]) -> LazyImage:
        """Return the same image on other arrays of the same shapes, one for each of `members`."""
        other, remaining = copy(self), iter(arrays)
        other._members = [
            member.on(next(remaining)) if isinstance(member, ChannelArray) else member
            for member in self._members
        ]
        return other

    def frames_seen(self, frame: int) -> list[tuple[int, ...]]:
        """Return the indices into `frame_shape` of all frames that `read` reads for one."""
        return [self._frame_index(frame)]

    def _frame_index(self, frame: int) -> tuple[int, ...]:
        return tuple(int(i) for i in np.unravel_index(frame, self.frame_shape))

    def __repr__(self) -> str:
        frames = "1 frame" if self.frames == 1 else f"{self.frames} frames"
        size = f"{self.channels} x {self.height} x {self.width}"
        return f"<{type(self).__name__} {self.what}: {frames} of {size}, {self.dtype}>"


class ImageView(LazyImage):
    """Another way to read an image; a subclass says which."""

    def __init__(self, image: LazyImage) -> None:
        vars(self).update(vars(image))
        self._image = image

    def _resize(self, height: int, width: int, planes: int | None = None) -> None:
        """Give the view another height and width than the image's, and other planes."""
        self.height, self.width = height, width
        shape, axis = list(self.shape), self.layout.channel_axis
        *frames, y, x = [i for i in range(-len(shape), 0) if i != axis]
        shape[y], shape[x] = height, width
        if planes is not None:
            shape[frames[-1]] = planes
            self.frame_shape = (*self.frame_shape[:-1], planes)
            self.frames = math.prod(self.frame_shape)
        self.shape = tuple(shape)

    def on(self, arrays: Iterable[Any]) -> LazyImage:
        """Return the same view of the image on other arrays of the same shapes."""
        other = copy(self)
        other._image = self._image.on(arrays)
        other._members = other._image._members
        return other


class ImageWithContext(ImageView):
    """An image whose channels are a frame and its `z_context` neighbours on each side, for 2.5D."""

    # The outermost frame is repeated at the ends of the stack. `layout` stays that of one frame.

    def __init__(self, image: LazyImage, z_context: int) -> None:
        if z_context < 0:
            raise InputError(f"z_context is the number of neighbours, 0 or more; got {z_context}.")
        super().__init__(image)
        self.channels = image.channels * (2 * z_context + 1)
        self.z_context = z_context

    @property
    def planes(self) -> int:
        """The number of planes of a stack, of which each has neighbours."""
        return self.frame_shape[-1] if self.frame_shape else 1

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window ((2 * z_context + 1) * C, h, w)."""
        near = self._near(frame)
        windows = {index: self._image.read(index, rows, columns) for index in set(near)}
        return np.concatenate([windows[index] for index in near])

    def frames_seen(self, frame: int) -> list[tuple[int, ...]]:
        """Return the indices of a frame and its neighbours."""
        return [self._frame_index(index) for index in self._near(frame)]

    def _near(self, frame: int) -> list[int]:
        depth = self.planes
        start, z = frame - frame % depth, frame % depth
        steps = range(-self.z_context, self.z_context + 1)
        return [start + min(max(z + step, 0), depth - 1) for step in steps]


class GrayAsRGB(ImageView):
    """An image of one channel, read as three equal ones, as by pix2pix for PyTorch."""

    def __init__(self, image: LazyImage) -> None:
        super().__init__(image)
        self.channels = 3

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window (3, h, w)."""
        return np.repeat(self._image.read(frame, rows, columns), 3, axis=0)


class CroppedImage(ImageView):
    """An image without some rows, columns and planes: the first ones if positive, else the last."""

    def __init__(self, image: LazyImage, rows: int, columns: int, planes: int = 0) -> None:
        super().__init__(image)
        depth = image.frame_shape[-1] - abs(planes) if planes else None
        self._resize(image.height - abs(rows), image.width - abs(columns), depth)
        self._top, self._left, self._first = (max(cut, 0) for cut in (rows, columns, planes))

    def _inner(self, frame: int) -> int:
        """Return the number of a frame in the image."""
        if self.frame_shape == self._image.frame_shape:
            return frame
        volume, plane = divmod(frame, self.frame_shape[-1])
        return volume * self._image.frame_shape[-1] + plane + self._first

    def frames_seen(self, frame: int) -> list[tuple[int, ...]]:
        """Return the indices, in the image, of all frames that are read for one."""
        return self._image.frames_seen(self._inner(frame))

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window (C, h, w)."""
        top, bottom, _ = rows.indices(self.height)
        left, right, _ = columns.indices(self.width)
        return self._image.read(
            self._inner(frame),
            slice(top + self._top, bottom + self._top),
            slice(left + self._left, right + self._left),
        )


class LabelImage(ImageView):
    """Labels in another dtype, or by other numbers; where floats are NaN, they are read as 0."""

    def __init__(
        self,
        image: LazyImage,
        dtype: np.dtype[Any],
        *,
        renamed: Mapping[int, int] | None = None,  # labels to what they are read as
        two_levels: bool = False,  # values near 0 and 255 are read as 0 and 255
    ) -> None:
        super().__init__(image)
        self.dtype = dtype
        self._renamed, self._two_levels = dict(renamed or {}), two_levels

    def over(self, image: LazyImage) -> LazyImage:
        """Return another image, read as this one is."""
        inner = self._image
        below = inner.over(image) if isinstance(inner, LabelImage) else image
        return LabelImage(below, self.dtype, renamed=self._renamed, two_levels=self._two_levels)

    def read(self, frame: int, rows: slice, columns: slice) -> NDArray[Any]:
        """Read one window (C, h, w) of labels."""
        return self.read_with_finite(frame, rows, columns)[0]

    def read_with_finite(
        self, frame: int, rows: slice, columns: slice
    ) -> tuple[NDArray[Any], NDArray[np.bool_] | None]:
        """Read a window of labels, and where the image is finite."""
        window, finite = self._image.read_with_finite(frame, rows, columns)
        if finite is not None:
            window = np.where(finite, window, 0)
            self._check(window[window != np.rint(window)])
        if self._two_levels:
            window = np.where(window > 127, 255, 0)
        labels = window
        if self._renamed:
            labels = window.copy()
            for value, name in self._renamed.items():
                labels[window == value] = name
        if labels.dtype != self.dtype and self.dtype.kind != "b":
            limits = np.iinfo(self.dtype)
            self._check(labels[(labels < limits.min) | (labels > limits.max)])
        return labels.astype(self.dtype), finite

    def _check(self, wrong: NDArray[Any]) -> None:
        if wrong.size:
            raise InputError(
                f"The {self.what} is read as {self.dtype} labels, which are whole numbers up to "
                f"{np.iinfo(self.dtype).max}, and it holds {wrong.flat[0]:g}: renumber the labels, "
                "or treat it as an image."
            )


class EmptyImage(LazyImage):
    """The source of a pair that has none: the target's size and frames, and no channel."""

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
        """Return an empty window (0, h, w)."""
        size = len(range(*rows.indices(self.height))), len(range(*columns.indices(self.width)))
        return np.empty((0, *size), self.dtype)


def as_lazy_image(
    array: Any,
    *,
    channel_axis: int | None = None,
    like: Layout | None = None,
    what: str = "source",
    may_lack: bool = False,
) -> LazyImage:
    """Make a `LazyImage` of an array or a tuple; `like` is a layout to read it with."""
    if isinstance(array, LazyImage):
        return array
    if like is None:
        return LazyImage(array, channel_axis=channel_axis, what=what, may_lack=may_lack)
    if isinstance(array, tuple):
        return LazyImage(array, what=what)
    if like.rgb or like.channel_axis is None:
        return LazyImage(array, rgb=like.rgb or None, what=what)
    ndim = len(getattr(array, "shape", ()))
    return LazyImage(array, channel_axis=max(like.channel_axis, -ndim), what=what)


def _axis_in_tuple(array: Any, axis: int | None, arrays: tuple[Any, ...]) -> int | None:
    """Return None for a plain plane among the arrays of a tuple: it has no axis to spare."""
    plain = len(arrays) > 1 and len(getattr(array, "shape", ())) == 2
    return None if plain else axis


def _check_tuple(arrays: tuple[Any, ...], may_lack: bool, what: str) -> None:
    if not arrays:
        raise InputError(f"The {what} is an empty tuple; give at least one array.")
    if all(array is None for array in arrays):
        raise InputError(f"The {what} is a tuple of nothing but None; give at least one array.")
    if not may_lack and any(array is None for array in arrays):
        raise InputError(
            f"The {what} is a tuple with None in it; only a target may lack channels, so give all."
        )


def _check_same_field(first: ChannelArray, other: ChannelArray, what: str) -> None:
    if first.field != other.field:
        sizes = " and ".join(" x ".join(map(str, member.field)) for member in (first, other))
        raise InputError(
            f"The {what}'s arrays are {sizes} pixels; channels of one image need the same "
            "frames, height and width."
        )
