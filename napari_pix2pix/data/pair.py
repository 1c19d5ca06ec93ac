"""A pair: two images of the same field, with their mask and condition."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import KW_ONLY, dataclass, replace
from functools import reduce
from numbers import Number
from operator import and_
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.intensities import Intensities
from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.data.lazy_image import (
    CroppedImage,
    EmptyImage,
    ImageWithContext,
    LazyImage,
    as_lazy_image,
)
from napari_pix2pix.data.outliers import HotPixels
from napari_pix2pix.errors import InputError, StoppedError, own_errors, plural

_should_stop: ContextVar[Callable[[], bool]] = ContextVar("should_stop", default=lambda: False)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two images that show the same field in two ways.

    Parameters
    ----------
    source, target : array or tuple of arrays
        numpy, dask or zarr arrays of the same height, width and frames: boolean, integer or
        float, in any range, with any number of channels. A tuple holds channels of one image.
        NaN pixels are unlabelled: they count in no loss and no score. So are channels for which a
        target's tuple has None. The source may be None: then the model makes images from noise
        and the condition alone.
    condition : hashable, optional
        The kind of target, such as a stain or marker, for one model of several kinds.
    mask : array, optional
        Boolean, or integer with 0 outside: the pixels that are trained on and scored. A ``(Y, X)``
        mask holds for all frames.
    channel_axis : int or pair of int, optional
        Axis of the channels. A number is used for the source, the target or both, as their sizes
        demand; a pair of numbers is for the source and for the target. By default RGB is
        recognised, and a last axis that is too short to be a width, as in ``(Y, X, 2)``.
    channel_names : sequence of str, optional
        Names of the target's channels, such as stains, where neither file nor layers have them.
    name : str
        What errors and notes call the pair.
    group : hashable, optional
        What the pair belongs to, such as a well or a patient. Pairs of one group are held out
        together, where there are several groups.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_pix2pix import Pair
    >>> Pair(np.zeros((13, 64, 48), np.uint16), np.zeros((64, 48)), channel_axis=0)
    Pair(source=<uint16 (13, 64, 48)>, target=<float64 (64, 48)>, channel_axis=0, name='')
    """

    source: Any
    target: Any
    _: KW_ONLY
    condition: Hashable | None = None
    mask: Any = None
    channel_axis: int | tuple[int | None, int | None] | None = None
    channel_names: Sequence[str] = ()
    name: str = ""
    group: Hashable | None = None

    @own_errors()
    def __repr__(self) -> str:
        parts = [f"source={_describe(self.source)}", f"target={_describe(self.target)}"]
        parts += [
            f"{key}={_describe(value)}"
            for key in ("condition", "mask", "channel_axis", "group")
            if (value := getattr(self, key)) is not None
        ]
        return f"Pair({', '.join([*parts, f'name={self.name!r}'])})"


@dataclass(frozen=True, eq=False)
class OpenPair:
    """A pair that was checked and can be read window by window."""

    source: LazyImage
    target: LazyImage
    mask: LazyImage | None
    condition: Hashable | None
    name: str
    # What sources and targets usually hold, to find hot pixels by; None where they aren't sought.
    usual: tuple[Intensities | None, Intensities | None] = (None, None)
    group: Hashable | None = None

    @property
    def height(self) -> int:
        """Height of source and target in pixels."""
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
        self, frame: int, rows: slice, columns: slice, *, hot: bool = False
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_] | None]:
        """Read a window: source (C, h, w), target (D, h, w), valid (1 or D, h, w) or None."""
        # Valid pixels lie inside the mask, and are finite and not hot in the channel and in all of
        # the source; with `hot`, hot pixels stay valid.
        stop_if_asked()
        source, finite_source = self.source.read_with_finite(frame, rows, columns)
        target, finite_target = self.target.read_with_finite(frame, rows, columns)
        parts = []
        if self.mask is not None:
            parts.append(self.mask.read(frame % self.mask.frames, rows, columns) != 0)
        if finite_source is not None:
            parts.append(finite_source.all(axis=0, keepdims=True))
        if finite_target is not None:
            parts.append(_shared(finite_target))
        if self.target.absent:
            present = np.ones(target.shape, bool)
            present[list(self.target.absent)] = False
            parts.append(present)
        if not hot:
            parts += self._not_hot(source, target)
        return source, target, reduce(and_, parts) if parts else None

    def read_with_mask(
        self, frame: int, rows: slice, columns: slice, *, hot: bool = False
    ) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.bool_]]:
        """Read a window as `read` does; valid is an array (1 or D, h, w) in any case."""
        source, target, valid = self.read(frame, rows, columns, hot=hot)
        return source, target, np.ones((1, *target.shape[1:]), bool) if valid is None else valid

    def knowing(
        self, kinds: tuple[Kind | None, Kind], usual: tuple[Intensities, Intensities]
    ) -> OpenPair:
        """Return the pair with what sources and targets usually hold, where they are images."""
        source, target = (
            one if kind == "image" else None for kind, one in zip(kinds, usual, strict=True)
        )
        return replace(self, usual=(source, target))

    def without_hot(
        self, source: NDArray[Any], target: NDArray[Any], valid: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Return the valid pixels of a window without those that are hot in source or target."""
        return reduce(and_, self._not_hot(source, target), valid)

    def _not_hot(self, source: NDArray[Any], target: NDArray[Any]) -> list[NDArray[np.bool_]]:
        usual_source, usual_target = self.usual
        hot_source = None if usual_source is None else usual_source.find_hot(source)
        hot_target = None if usual_target is None else usual_target.find_hot(target)
        parts = []
        if hot_source is not None:
            parts.append(np.asarray(~hot_source.any(axis=0, keepdims=True)))
        if hot_target is not None:
            parts.append(_shared(~hot_target))
        return parts

    def count_hot(
        self, source: NDArray[Any], target: NDArray[Any], valid: NDArray[np.bool_]
    ) -> tuple[HotPixels, HotPixels]:
        """Describe the hot pixels of a window's source and target that are else valid."""
        inside = np.asarray(valid.any(axis=0, keepdims=True))
        usual_source, usual_target = self.usual
        return (
            HotPixels() if usual_source is None else usual_source.count_hot(source, inside),
            HotPixels() if usual_target is None else usual_target.count_hot(target, valid),
        )


@contextmanager
def stop_when(asked: Callable[[], bool]) -> Iterator[None]:
    """Let pairs that are read in this thread raise a `StoppedError` once `asked` returns True."""
    token = _should_stop.set(asked)
    try:
        yield
    finally:
        _should_stop.reset(token)


def stop_if_asked() -> None:
    """Raise a `StoppedError` within `stop_when`, if that asks for it."""
    if _should_stop.get()():
        raise StoppedError


def make_pairs(
    source: Any,
    target: Any,
    *,
    condition: Hashable | Sequence[Hashable] = None,
    mask: Any = None,
    group: Hashable | Sequence[Hashable] = None,
    channel_axis: int | None = None,
    channel_names: Sequence[str] = (),
) -> list[Pair]:
    """Pair images, or lists of as many; condition, mask and group are one for all or for each."""
    targets = _as_list(target, "target")
    sources = [None] * len(targets) if source is None else _as_list(source, "source")
    count = len(sources)
    if not count or len(targets) != count:
        raise InputError(
            f"There are {plural(count, 'source')} and {plural(len(targets), 'target')}: give as "
            "many of one as of the other, at least one; channels of one image are a tuple, or have "
            "a channel_axis."
        )
    conditions = _one_each(condition, count, "condition")
    masks = _one_each(mask, count, "mask")
    groups = _one_each(group, count, "group")
    names = [f"pair {i + 1}" if count > 1 else "" for i in range(count)]
    return [
        Pair(
            source,
            target,
            condition=condition,
            mask=mask,
            channel_axis=channel_axis,
            channel_names=channel_names,
            name=name,
            group=group,
        )
        for source, target, condition, mask, name, group in zip(
            sources, targets, conditions, masks, names, groups, strict=True
        )
    ]


def open_pair(pair: Pair, z_context: int = 0) -> OpenPair:
    """Check that a pair shows one field, and make it readable; reads no pixel."""
    name = pair.name or "the pair"
    if pair.target is None:
        raise InputError(
            f"There is no target in {name}; give one (the source alone may be left out)."
        )
    source, target = _without_source(pair, name) if pair.source is None else _read_both(pair, name)
    if names := _names_of(pair):
        target = target.named(names)
    mask = None if pair.mask is None else _open_mask(pair.mask, target, name)
    if z_context and source.channels:
        source = ImageWithContext(source, z_context)
    return OpenPair(source, target, mask, pair.condition, name, group=pair.group)


def _names_of(pair: Pair) -> list[str]:
    """Return the names of a pair's channels; refuse what is none."""
    given: Any = pair.channel_names
    names = [given] if isinstance(given, str) else () if given is None else given
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise InputError(f"channel_names must be a list of names, got {given!r:.60}.")
    return list(names)


def correct_shift(pair: Pair, offset: tuple[float, float], planes: int = 0) -> Pair:
    """Cut a pair lazily to what it shares when the target is moved back by (down, right) pixels.

    The planes of volumes are moved back by `planes`, too.
    """
    if not np.isfinite(offset).all():
        raise InputError(f"A shift of {offset} pixels can't be corrected; give two numbers.")
    down, right = (round(float(value)) for value in offset)
    opened = open_pair(pair)
    if abs(down) >= opened.height or abs(right) >= opened.width:
        raise InputError(
            f"A shift of ({down}, {right}) pixels leaves nothing of {opened.name}, which is "
            f"{opened.height} x {opened.width} pixels; give a smaller one."
        )
    depth = opened.target.frame_shape[-1] if opened.target.frame_shape else 1
    if planes and abs(planes) >= depth:
        raise InputError(
            f"A shift of {plural(abs(planes), 'plane')} leaves nothing of {opened.name}, which has "
            f"{depth}; give a smaller one."
        )
    mask = opened.mask
    of_mask = 0 if mask is None or mask.frames == 1 else planes  # one for all planes
    return replace(
        pair,
        source=CroppedImage(opened.source, -down, -right, -planes),
        target=CroppedImage(opened.target, down, right, planes),
        mask=None if mask is None else CroppedImage(mask, down, right, of_mask),
        channel_axis=None,
    )


def _without_source(pair: Pair, name: str) -> tuple[LazyImage, LazyImage]:
    axis = pair.channel_axis[1] if isinstance(pair.channel_axis, tuple) else pair.channel_axis
    target = as_lazy_image(pair.target, channel_axis=axis, what=f"target of {name}", may_lack=True)
    return EmptyImage(target.height, target.width, target.frame_shape), target


def _read_both(pair: Pair, name: str) -> tuple[LazyImage, LazyImage]:
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
            source = as_lazy_image(pair.source, channel_axis=source_axis, what=f"source of {name}")
            target = as_lazy_image(
                pair.target, channel_axis=target_axis, what=f"target of {name}", may_lack=True
            )
            _check_same_field(source, target, name)
        except InputError as error:
            problems.append(error)
        else:
            return source, target
    # The plainest reading, both with the axis, makes the most useful sentence.
    raise problems[0]


def _check_same_field(source: LazyImage, target: LazyImage, name: str) -> None:
    if (source.height, source.width) != (target.height, target.width):
        raise InputError(
            f"The source of {name} is {source.height} x {source.width} pixels, the target "
            f"{target.height} x {target.width}; both must show the same field in the same size."
        )
    if _frame_axes(source) != _frame_axes(target):
        raise InputError(
            f"The source of {name} has {_count_frames(source)} "
            f"{'frame' if source.frames == 1 else 'frames'}, the target {_count_frames(target)}: "
            "give both the same frames, or channel_axis where an axis holds channels."
        )


def _open_mask(array: Any, target: LazyImage, name: str) -> LazyImage:
    mask = as_lazy_image(array, what=f"mask of {name}")
    if mask.dtype.kind not in "biu":
        raise InputError(f"The mask of {name} has dtype {mask.dtype}; give booleans or integers.")
    shape = (mask.channels, mask.height, mask.width)
    if shape != (1, target.height, target.width):
        raise InputError(
            f"The mask of {name} is {mask.height} x {mask.width} pixels in "
            f"{plural(mask.channels, 'channel')}, the target {target.height} x {target.width}; "
            "give one channel of the same size."
        )
    if mask.frames != 1 and _frame_axes(mask) != _frame_axes(target):
        raise InputError(
            f"The mask of {name} has {_count_frames(mask)} frames, the target "
            f"{_count_frames(target)}: give the same frames, or one frame for all of them."
        )
    return mask


def _frame_axes(image: LazyImage) -> tuple[int, ...]:
    """Return the frame axes that are longer than one."""
    return tuple(length for length in image.frame_shape if length != 1)


def _count_frames(image: LazyImage) -> str:
    return " x ".join(map(str, _frame_axes(image))) or "1"


def _as_list(value: Any, what: str) -> list[Any]:
    if isinstance(value, list) and any(isinstance(item, list | Number) for item in value):
        raise InputError(
            f"The {what} is a list of lists or numbers, and a list holds an image in each place: "
            "give an array, for example with numpy.asarray."
        )
    return value if isinstance(value, list) else [value]


def _one_each(value: Any, count: int, what: str) -> list[Any]:
    """Return one value for all pairs, or a list of one for each."""
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise InputError(
            f"There are {plural(len(value), what)} for {plural(count, 'pair')}: give one for each."
        )
    return value


def _shared(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return one channel (1, h, w) where all agree, the usual case."""
    return valid[:1] if (valid == valid[:1]).all() else valid


def _describe(value: Any) -> str:
    if isinstance(value, tuple) and any(hasattr(item, "shape") for item in value):
        return f"({', '.join(map(_describe, value))})"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"<{value.dtype} {tuple(value.shape)}>"
    return repr(value)
