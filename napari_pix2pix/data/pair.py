"""A pair: two images of the same field, and what else is known about it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.interruption import stop_if_asked
from napari_pix2pix.data.lazy_image import ContextPlanes, NoPlanes, Planes, as_planes
from napari_pix2pix.errors import InputError


@dataclass(frozen=True, eq=False)
class Pair:
    """Two images that show the same field in two ways.

    Parameters
    ----------
    source, target : array or tuple of arrays
        numpy, dask or zarr arrays of the same height, width and frames: boolean, integer or
        float, in any range, with any number of channels. A tuple holds channels of one image.
        NaN pixels count as unlabelled, and so does a channel for which a target's tuple has None:
        it enters no loss and no score. The source may be None: its model makes images from noise
        and condition alone.
    condition : hashable, optional
        What this pair was made with (a stain, a marker), for one model that has several targets.
    mask : array, optional
        Boolean, or integer with 0 outside: the pixels that are trained and scored. ``(Y, X)``
        holds for all frames.
    channel_axis : int or pair of int, optional
        Axis of the channels in the source, in the target, or in both: it is used in those of the
        two that then show the same field. A pair ``(source's, target's)`` leaves nothing to find
        out. Without any only RGB is recognised.
    name : str
        What errors and notes call the pair.

    Examples
    --------
    >>> pair = Pair(np.zeros((13, 64, 48), np.uint16), np.zeros((64, 48)), channel_axis=0)
    >>> opened = open_pair(pair)
    >>> opened.source.channels, opened.target.channels, opened.frames
    (13, 1, 1)
    """

    source: Any
    target: Any
    _: KW_ONLY
    condition: Hashable | None = None
    mask: Any = None
    channel_axis: int | tuple[int | None, int | None] | None = None
    name: str = ""

    def __repr__(self) -> str:
        parts = [f"source={_describe(self.source)}", f"target={_describe(self.target)}"]
        parts += [
            f"{key}={_describe(value)}"
            for key in ("condition", "mask", "channel_axis")
            if (value := getattr(self, key)) is not None
        ]
        return f"Pair({', '.join([*parts, f'name={self.name!r}'])})"


@dataclass(frozen=True, eq=False)
class OpenPair:
    """A pair that was checked and can be read window by window."""

    source: Planes
    target: Planes
    mask: Planes | None
    condition: Hashable | None
    name: str

    @property
    def height(self) -> int:
        """Height in pixels, the same for source and target."""
        return self.target.height

    @property
    def width(self) -> int:
        """Width in pixels."""
        return self.target.width

    @property
    def frames(self) -> int:
        """Number of frames: all positions, times and depths."""
        return self.target.frames

    def read(
        self, frame: int, rows: slice, columns: slice
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
        """Read the same window of source and target, and which of its pixels count.

        Returns
        -------
        source : array (C, h, w)
        target : array (D, h, w)
        valid : bool array (1, h, w) or (D, h, w), or None
            Inside the mask, and finite in the target's channel and in all of the source; None
            where the dtypes and the missing mask leave no doubt about any pixel.

        Raises
        ------
        StoppedError
            Within `stops_when`, once that is asked.
        """
        stop_if_asked()
        source = self.source.read(frame, rows, columns)
        target = self.target.read(frame, rows, columns)
        parts = []
        if self.mask is not None:
            parts.append(self.mask.read(frame % self.mask.frames, rows, columns) != 0)
        if source.dtype.kind == "f":
            parts.append(np.isfinite(source).all(axis=0, keepdims=True))
        if target.dtype.kind == "f":
            parts.append(_shared(np.isfinite(target)))
        if self.target.absent:
            present = np.ones(target.shape, bool)
            present[list(self.target.absent)] = False
            parts.append(present)
        if not parts:
            return source, target, None
        valid = parts[0]
        for part in parts[1:]:
            valid = valid & part
        return source, target, valid


def open_pair(pair: Pair, z_context: int = 0) -> OpenPair:
    """Check that a pair shows one field, and make it readable.

    Parameters
    ----------
    pair : Pair
    z_context : int
        Neighbouring frames on each side that become channels of the source (2.5D).

    Raises
    ------
    InputError
        If sizes, frames, dtypes or axes don't fit; the sentence gives both sizes.
    """
    name = pair.name or "the pair"
    if pair.target is None:
        raise InputError(
            f"There is no target in {name}; give one (the source alone may be left out)."
        )
    source, target = _without_source(pair, name) if pair.source is None else _read_both(pair, name)
    mask = None if pair.mask is None else _open_mask(pair.mask, target, name)
    if z_context and source.channels:
        source = ContextPlanes(source, z_context)
    return OpenPair(source, target, mask, pair.condition, name)


def _without_source(pair: Pair, name: str) -> tuple[Planes, Planes]:
    axis = pair.channel_axis[1] if isinstance(pair.channel_axis, tuple) else pair.channel_axis
    target = as_planes(pair.target, channel_axis=axis, what=f"target of {name}", may_lack=True)
    return NoPlanes(target.height, target.width, target.frame_shape), target


def _read_both(pair: Pair, name: str) -> tuple[Planes, Planes]:
    """Use the channel axis in both images, or in that one which then matches the other."""
    axis = pair.channel_axis
    choices: list[tuple[int | None, int | None]]
    if axis is None or isinstance(axis, tuple):
        choices = [axis or (None, None)]
    else:
        choices = [(axis, axis), (axis, None), (None, axis)]
    problems = []
    for source_axis, target_axis in choices:
        try:
            source = as_planes(pair.source, channel_axis=source_axis, what=f"source of {name}")
            target = as_planes(
                pair.target, channel_axis=target_axis, what=f"target of {name}", may_lack=True
            )
            _check_same_field(source, target, name)
        except InputError as error:
            problems.append(error)
        else:
            return source, target
    # The plainest reading, both with the axis, makes the most useful sentence.
    raise problems[0]


def _check_same_field(source: Planes, target: Planes, name: str) -> None:
    if (source.height, source.width) != (target.height, target.width):
        raise InputError(
            f"The source of {name} is {source.height} x {source.width} pixels, the target "
            f"{target.height} x {target.width}; both must show the same field in the same size."
        )
    if _long(source.frame_shape) != _long(target.frame_shape):
        raise InputError(
            f"The source of {name} has frames {source.frame_shape}, the target "
            f"{target.frame_shape}; give both the same frames, or channel_axis where an axis "
            "holds channels."
        )


def _open_mask(array: Any, target: Planes, name: str) -> Planes:
    mask = as_planes(array, what=f"mask of {name}")
    if mask.dtype.kind not in "biu":
        raise InputError(f"The mask of {name} has dtype {mask.dtype}; give booleans or integers.")
    shape = (mask.channels, mask.height, mask.width)
    if shape != (1, target.height, target.width):
        raise InputError(
            f"The mask of {name} is {mask.height} x {mask.width} pixels in {mask.channels} "
            f"channel(s), the target {target.height} x {target.width}; give one channel of the "
            "same size."
        )
    if mask.frames != 1 and _long(mask.frame_shape) != _long(target.frame_shape):
        raise InputError(
            f"The mask of {name} has frames {mask.frame_shape}, the target {target.frame_shape}; "
            "give the same frames, or one plane for all of them."
        )
    return mask


def _long(frame_shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(length for length in frame_shape if length != 1)


def _shared(finite: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """One plane where all channels agree, the usual case."""
    return finite[:1] if (finite == finite[:1]).all() else finite


def _describe(value: Any) -> str:
    if isinstance(value, tuple) and any(hasattr(one, "shape") for one in value):
        return f"({', '.join(_describe(one) for one in value)})"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"<{value.dtype} {tuple(value.shape)}>"
    return repr(value)
