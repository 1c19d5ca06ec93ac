"""Make the source of a pair from its target: edges, gray, holes, blur, downsampling or noise."""
# Every window equals the same crop of the whole: filters read the pixels around it that they need,
# and random numbers depend on the seed and on the absolute position alone.

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import correlate1d, gaussian_filter

from napari_pix2pix.data.codecs import round_to
from napari_pix2pix.data.intensities import sample_windows
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_array import LazyArray
from napari_pix2pix.data.lazy_image import LazyImage, as_lazy_image
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError, plural

Array = NDArray[Any]
DerivedKind = Literal["edges", "gray", "holes", "blur", "downsample", "noise"]

# Windows on which levels such as the mean are measured.
_SAMPLED = 32
# Side of the squares that each have a random generator of their own.
_NOISE_BLOCK = 64
# scipy cuts a Gaussian off at so many standard deviations.
_TRUNCATE = 4
# ITU-R BT.709, as in scikit-image.
_LUMINANCE = (0.2125, 0.7154, 0.0721)


def derive_source(
    target: Any,
    kind: DerivedKind,
    *,
    seed: int = 0,
    channel_axis: int | None = None,
    **options: Any,
) -> DerivedArray:
    """Make the source of a pair from its target, as a lazy array of the same layout and dtype.

    Kinds, and their options with defaults:

    - ``edges``: gradient magnitude (uint8, no channels) after a Gaussian of ``sigma`` (1.5 px), of
      the channel with the strongest gradient; ``thin`` (True) keeps the ridges alone, as in Canny,
      A computational approach to edge detection, IEEE TPAMI 8 (1986), but graded.
    - ``gray``: luminance of an RGB image, without a channel axis.
    - ``holes``: a rectangle with sides of a quarter to a half of ``cell`` (128 px) in each
      ``cell x cell`` pixels, or with ``place="centre"`` the middle quarter of the image, as in
      Pathak et al., Context encoders, CVPR 2016. It is filled with the target's mean.
    - ``blur``: a Gaussian of ``sigma`` (2 px).
    - ``downsample``: mean of ``factor x factor`` pixels (4), brought back to size by
      ``interpolation="linear"`` or ``"nearest"``.
    - ``noise``: ``model="gaussian"`` of ``strength`` (0.5) standard deviations of the target, or
      ``model="poisson"`` with ``photons`` (30) in its brightest pixels.

    Raises an `InputError` if the kind or an option is unknown, out of range, or does not fit.

    >>> derive_source(np.zeros((64, 48, 3), np.uint8), "blur", sigma=3)[10:20, 5:9].shape
    (10, 4, 3)
    """
    if kind not in _KINDS:
        kinds = ", ".join(get_args(DerivedKind))
        raise InputError(f"A source can't be derived as {kind!r}; choose one of {kinds}.")
    allowed = list(_KINDS[kind].__kwdefaults__ or {})
    unknown = [name for name in options if name not in allowed]
    if unknown:
        takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
        raise InputError(f"{kind!r} has no option {unknown[0]!r}; {takes}.")
    image = as_lazy_image(target, channel_axis=channel_axis, what="target")
    if image.note:
        warnings.warn(image.note, UserWarning, stacklevel=2)
    return DerivedArray(image, _KINDS[kind](image, seed, **options), kind)


def with_derived_source(pair: Pair, kind: DerivedKind, *, seed: int = 0, **options: Any) -> Pair:
    """Return a pair without a source with one that is made of its target, see `derive_source`."""
    name = pair.name or "the pair"
    if pair.source is not None:
        raise InputError(
            f"{name[0].upper()}{name[1:]} has a source, and derive={kind!r} makes one: give targets"
            " alone, or leave derive out."
        )
    axis = pair.channel_axis[1] if isinstance(pair.channel_axis, tuple) else pair.channel_axis
    target = as_lazy_image(pair.target, channel_axis=axis, what=f"target of {name}")
    derived = derive_source(target, kind, seed=seed, **options)
    source = LazyImage(
        derived,
        channel_axis=derived.channel_axis,
        rgb=derived.channel_axis is not None and target.layout.rgb,
        what=f"source of {name}",
    )
    return replace(pair, source=source.stating(target.pixel_size, ()), target=target)


class DerivedArray(LazyArray):
    """A source that is computed from its target where it is read; see `derive_source`."""

    def __init__(self, image: LazyImage, degradation: _Degradation, kind: str) -> None:
        self._image, self._degradation, self.kind = image, degradation, kind
        keeps = degradation.keeps_channels and image.layout.channel_axis is not None
        self._layout = image.layout if keeps else Layout()
        shape = [*image.frame_shape, image.height, image.width]
        self._channel_axis: int | None = None
        if self._layout.channel_axis is not None:
            self._channel_axis = len(shape) + 1 + self._layout.channel_axis
            shape.insert(self._channel_axis, image.channels)
        dtype = np.dtype(np.uint8) if degradation.makes_uint8 else image.dtype
        super().__init__(tuple(shape), dtype)

    @property
    def channel_axis(self) -> int | None:
        """The axis that holds the channels, if there is one."""
        return self._channel_axis

    def read_window(self, window: tuple[slice, ...]) -> Array:
        """Compute a window given by a slice of step 1 for each axis."""
        spans = list(window)
        channels = None if self._channel_axis is None else spans.pop(self._channel_axis)
        *frames, rows, columns = spans
        numbers = np.arange(self._image.frames).reshape(self._image.frame_shape)[tuple(frames)]
        count = 1 if channels is None else self._image.channels
        size = (rows.stop - rows.start, columns.stop - columns.start)
        planes = np.empty((numbers.size, count, *size), self.dtype)
        if planes.size:
            for plane, frame in zip(planes, numbers.ravel().tolist(), strict=True):
                plane[...] = self._degradation.read(self._image, frame, rows, columns, self.dtype)
        image = self._layout.assemble(planes, numbers.shape)
        axis = self._channel_axis
        return image if axis is None else image[(slice(None),) * axis + (channels,)]

    def __repr__(self) -> str:
        return f"<DerivedArray {self.kind} {self.dtype} {self.shape}>"


@dataclass(frozen=True)
class _Degradation:
    """Makes a window (C, h, w) of the source from a window of the target."""

    apply: Callable[[Array, int, int, int], Array]  # (window, frame, top, left)
    margin: int = 0  # pixels that are read around a window
    grid: int = 1  # the window is widened to multiples of this
    keeps_channels: bool = True
    makes_uint8: bool = False

    def read(
        self, image: LazyImage, frame: int, rows: slice, columns: slice, dtype: np.dtype[Any]
    ) -> Array:
        """Return a window (C, h, w) of the source."""
        y, x = self._widen(rows, image.height), self._widen(columns, image.width)
        values = self.apply(image.read(frame, y, x), frame, y.start, x.start)
        values = values[:, rows.start - y.start :, columns.start - x.start :]
        values = values[:, : rows.stop - rows.start, : columns.stop - columns.start]
        return values.astype(dtype) if dtype.kind == "f" else round_to(values, dtype)

    def _widen(self, span: slice, length: int) -> slice:
        start = max(span.start - self.margin, 0) // self.grid * self.grid
        stop = -(-(span.stop + self.margin) // self.grid) * self.grid
        return slice(start, min(stop, length))


def _edges(image: LazyImage, seed: int, *, sigma: float = 1.5, thin: bool = True) -> _Degradation:
    _check_positive("sigma", sigma)

    def ridges(window: Array) -> NDArray[np.float64]:
        smooth = _gaussian(window, sigma)
        down, right = (correlate1d(smooth, (-0.5, 0, 0.5), i, mode="nearest") for i in (1, 2))
        strength = np.hypot(down, right)
        strongest = np.argmax(strength, axis=0)[np.newaxis]
        down, right, strength = (
            np.take_along_axis(values, strongest, 0)[0] for values in (down, right, strength)
        )
        return np.where(_is_ridge(strength, down, right), strength, 0) if thin else strength

    sample = sample_windows(image, most=_SAMPLED, seed=seed)
    strengths = np.concatenate([strength[strength > 0] for strength in map(ridges, sample)])
    white = float(np.quantile(strengths, 0.995)) if strengths.size else 1.0

    def apply(window: Array, frame: int, top: int, left: int) -> Array:
        return 255 * np.minimum(np.nan_to_num(ridges(window)) / white, 1)[np.newaxis]

    margin = math.ceil(_TRUNCATE * sigma) + 2  # one pixel for the gradient, one for its neighbours
    return _Degradation(apply, margin, keeps_channels=False, makes_uint8=True)


def _gray(image: LazyImage, seed: int) -> _Degradation:
    if image.channels != 3:
        raise InputError(
            f"'gray' takes the colour from an RGB target; got "
            f"{plural(image.channels, 'channel')}, so give red, green and blue."
        )

    def apply(window: Array, frame: int, top: int, left: int) -> Array:
        weighted = (weight * plane for weight, plane in zip(_LUMINANCE, window, strict=True))
        return np.asarray(sum(weighted))[np.newaxis]

    return _Degradation(apply, keeps_channels=False)


def _blur(image: LazyImage, seed: int, *, sigma: float = 2.0) -> _Degradation:
    _check_positive("sigma", sigma)
    return _Degradation(lambda window, *_: _gaussian(window, sigma), math.ceil(_TRUNCATE * sigma))


def _downsample(
    image: LazyImage, seed: int, *, factor: int = 4, interpolation: str = "linear"
) -> _Degradation:
    _check_whole("factor", factor, 2)
    _check_choice("interpolation", interpolation, ("linear", "nearest"))

    def enlarge(small: Array, axis: int, start: int, length: int) -> Array:
        position, first = np.arange(start, start + length), start // factor
        if interpolation == "nearest":
            return np.take(small, position // factor - first, axis)
        # From absolute positions: scipy's zoom would round otherwise in each window.
        centre = (position + 0.5) / factor - 0.5
        before = np.floor(centre).astype(np.int64)
        share = (centre - before).reshape([-1 if i == axis else 1 for i in range(3)])
        last = small.shape[axis] - 1
        low, high = (np.take(small, np.clip(before + i - first, 0, last), axis) for i in (0, 1))
        return np.asarray(low * (1 - share) + high * share)

    def apply(window: Array, frame: int, top: int, left: int) -> Array:
        values = _block_mean(window.astype(np.float64), factor)
        values = enlarge(values, 1, top, window.shape[1])
        return enlarge(values, 2, left, window.shape[2])

    return _Degradation(apply, margin=factor, grid=factor)


def _holes(image: LazyImage, seed: int, *, place: str = "random", cell: int = 128) -> _Degradation:
    _check_choice("place", place, ("random", "centre"))
    _check_whole("cell", cell, 4)
    mean = np.nanmean(_sampled_pixels(image, seed), axis=1)[:, np.newaxis, np.newaxis]
    mean = mean.astype(image.dtype) if image.dtype.kind == "f" else round_to(mean, image.dtype)

    def dig_centre(window: Array, frame: int, top: int, left: int) -> Array:
        window, y, x = window.copy(), image.height // 4, image.width // 4
        rows = slice(max(y - top, 0), max(image.height - y - top, 0))
        columns = slice(max(x - left, 0), max(image.width - x - left, 0))
        window[:, rows, columns] = mean
        return window

    def dig(window: Array, frame: int, top: int, left: int) -> Array:
        window = window.copy()
        for i, j in _cells(window, top, left, cell):
            rng = np.random.default_rng([seed, 3, frame, i, j])
            height, width = rng.integers(cell // 4, cell // 2 + 1, 2).tolist()
            y = i * cell + int(rng.integers(cell - height + 1)) - top
            x = j * cell + int(rng.integers(cell - width + 1)) - left
            window[:, y : y + height, x : x + width] = mean
        return window

    return _Degradation(dig_centre) if place == "centre" else _Degradation(dig, grid=cell)


def _noise(
    image: LazyImage,
    seed: int,
    *,
    model: str = "gaussian",
    strength: float | None = None,
    photons: float | None = None,
) -> _Degradation:
    _check_choice("model", model, ("gaussian", "poisson"))
    foreign = ("photons", photons) if model == "gaussian" else ("strength", strength)
    if foreign[1] is not None:
        raise InputError(f"{model} noise has no {foreign[0]}; leave it out.")
    strength = 0.5 if strength is None else strength
    photons = 30.0 if photons is None else photons
    _check_positive("strength", strength)
    _check_positive("photons", photons)
    pixels = _sampled_pixels(image, seed)[..., np.newaxis, np.newaxis]
    spread = strength * np.nanstd(pixels, axis=1)
    low, high = np.nan_to_num(np.nanquantile(pixels, (0.001, 0.999), axis=1))
    photon = np.where(high > low, high - low, 1) / photons

    def disturb(block: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
        if model == "gaussian":
            return block + spread * rng.standard_normal(block.shape)
        noisy = low + photon * rng.poisson(np.clip(np.nan_to_num((block - low) / photon), 0, None))
        return np.where(np.isfinite(block), noisy, block)

    def apply(window: Array, frame: int, top: int, left: int) -> Array:
        values = window.astype(np.float64)
        for i, j in _cells(values, top, left, _NOISE_BLOCK):
            y, x = i * _NOISE_BLOCK - top, j * _NOISE_BLOCK - left
            block = values[:, y : y + _NOISE_BLOCK, x : x + _NOISE_BLOCK]
            block[...] = disturb(block, np.random.default_rng([seed, 4, frame, i, j]))
        return values

    # Whole blocks: what a generator draws for a pixel depends on the pixels before it.
    return _Degradation(apply, grid=_NOISE_BLOCK)


_KINDS: dict[str, Callable[..., _Degradation]] = {
    "edges": _edges,
    "gray": _gray,
    "holes": _holes,
    "blur": _blur,
    "downsample": _downsample,
    "noise": _noise,
}


def _check_positive(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise InputError(f"{name} must be a number above 0; got {value!r}.")


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name} must be a whole number, at least {least}; got {value!r}.")


def _check_choice(name: str, value: Any, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{name} must be {' or '.join(map(repr, choices))}; got {value!r}.")


def _sampled_pixels(image: LazyImage, seed: int) -> NDArray[np.float64]:
    """Return pixels (C, N) of the target, NaN where they are not finite."""
    sample = sample_windows(image, most=_SAMPLED, seed=seed)
    pixels = np.concatenate([window.reshape(len(window), -1) for window in sample], axis=1)
    pixels = pixels.astype(np.float64)
    pixels[~np.isfinite(pixels)] = np.nan
    # A channel without any finite pixel would make numpy warn about its mean.
    pixels[np.isnan(pixels).all(axis=1)] = 0
    return pixels


def _gaussian(window: Array, sigma: float) -> NDArray[np.float64]:
    return gaussian_filter(window.astype(np.float64), (0, sigma, sigma))


def _cells(window: Array, top: int, left: int, side: int) -> Iterator[tuple[int, int]]:
    """Yield row and column of the squares of a grid that an aligned window (C, h, w) is made of."""
    _, height, width = window.shape
    for i, j in np.ndindex(-(-height // side), -(-width // side)):
        yield top // side + i, left // side + j


def _block_mean(window: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    """Return the mean of each square; the image's end may cut the last ones."""
    counts = []
    for axis in (1, 2):
        starts = np.arange(0, window.shape[axis], factor)
        counts.append(np.diff(starts, append=window.shape[axis]))
        window = np.add.reduceat(window, starts, axis)
    return window / np.multiply.outer(*counts)


def _is_ridge(
    strength: NDArray[np.float64], down: NDArray[np.float64], right: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Say of each pixel whether no neighbour along its gradient is stronger, in 8 directions."""
    padded = np.pad(strength, 1)
    steep = np.abs(down) > math.tan(math.pi / 8) * np.abs(right)
    flat = np.abs(right) > math.tan(math.pi / 8) * np.abs(down)
    falling = np.sign(down) * np.sign(right) < 0
    ridge = np.zeros(strength.shape, bool)
    for chosen, (i, j) in (
        (steep & ~flat, (1, 0)),
        (flat & ~steep, (0, 1)),
        (steep & flat & ~falling, (1, 1)),
        (steep & flat & falling, (1, -1)),
    ):
        before, after = (np.roll(padded, shift, (0, 1))[1:-1, 1:-1] for shift in ((i, j), (-i, -j)))
        # One > and one >=, so that a plateau two pixels wide leaves one.
        ridge |= chosen & (strength >= after) & (strength > before)
    return ridge
