"""Sources made from the target itself: edges, gray, holes, blur, downsampling, noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._degradations import Blur, Degradation, Downsample, Edges, Gray
from napari_pix2pix.data._noise import Holes, Noise
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_array import LazyArray
from napari_pix2pix.data.lazy_image import Planes, as_planes
from napari_pix2pix.errors import InputError

DerivedKind = Literal["edges", "gray", "holes", "blur", "downsample", "noise"]

_KINDS: Mapping[str, type[Degradation]] = {
    "edges": Edges,
    "gray": Gray,
    "holes": Holes,
    "blur": Blur,
    "downsample": Downsample,
    "noise": Noise,
}
# Windows and their side, from which levels such as the mean are taken.
_SAMPLED, _SAMPLE_SIDE = 32, 128


def derive_source(
    target: Any,
    kind: DerivedKind,
    *,
    seed: int = 0,
    channel_axis: int | None = None,
    **options: Any,
) -> DerivedArray:
    """Make the source of a pair from its target, to train on restoring what was taken away.

    Parameters
    ----------
    target : array, tuple of arrays or Planes
        numpy, dask or zarr, of any layout that a pair can have. It is not read whole.
    kind : {'edges', 'gray', 'holes', 'blur', 'downsample', 'noise'}
        - ``edges``: gradient magnitude after a Gaussian of ``sigma`` (default 1.5 px), the
          strongest channel's, thinned to ridges where ``thin`` (default True) as in Canny's method
          [1]_, but graded. uint8 without channels.
        - ``gray``: luminance of an RGB image. Without channels, in the target's dtype.
        - ``holes``: a rectangle of a quarter to a half of ``cell`` (default 128 px) in each
          ``cell x cell`` pixels, or with ``place="centre"`` the middle quarter of the image, as in
          the context encoder [2]_; filled with the target's mean.
        - ``blur``: a Gaussian of ``sigma`` (default 2 px).
        - ``downsample``: mean of ``factor x factor`` pixels (default 4), brought back to size by
          ``interpolation="linear"`` (default) or ``"nearest"``.
        - ``noise``: ``model="gaussian"`` (default) of ``strength`` (default 0.5) standard
          deviations of the target, or ``model="poisson"`` with ``photons`` (default 30) in its
          brightest pixels.
    seed : int
        Of holes, noise, and the sample that levels are measured on.
    channel_axis : int, optional
        As for `Pair`.
    **options
        As named at each kind.

    Returns
    -------
    DerivedArray
        Laid out like the target; the target's dtype except for edges. A window of it is computed
        from that window of the target and the pixels that the filter needs beside it, and is
        equal to the same crop of the whole. ``np.asarray`` gives the whole.

    Raises
    ------
    InputError
        If the kind or an option is unknown or out of range, or does not fit the target.

    References
    ----------
    .. [1] Canny, A computational approach to edge detection, IEEE TPAMI 8 (1986).
    .. [2] Pathak et al., Context encoders: feature learning by inpainting, CVPR 2016.

    Examples
    --------
    >>> target = np.zeros((64, 48, 3), np.uint8)
    >>> derive_source(target, "gray")
    <DerivedArray gray uint8 (64, 48)>
    >>> derive_source(target, "blur", sigma=3)[10:20, 5:9].shape
    (10, 4, 3)
    """
    if kind not in _KINDS:
        kinds = ", ".join(get_args(DerivedKind))
        raise InputError(f"A source can't be derived as {kind!r}; choose one of {kinds}.")
    make = _KINDS[kind]
    allowed = make.options()
    unknown = [name for name in options if name not in allowed]
    if unknown:
        takes = f"it takes {', '.join(allowed)}" if allowed else "it takes none"
        raise InputError(f"{kind!r} has no option {unknown[0]!r}; {takes}.")
    planes = as_planes(target, channel_axis=channel_axis, what="target")
    degradation = make(**options)
    degradation.fit(planes, _sample(planes, seed), seed)
    return DerivedArray(planes, degradation, kind)


class DerivedArray(LazyArray):
    """A source that is computed from its target where it is read; see `derive_source`."""

    def __init__(self, planes: Planes, degradation: Degradation, kind: str) -> None:
        self._planes, self._degradation, self.kind = planes, degradation, kind
        keeps = degradation.keeps_channels and planes.layout.channel_axis is not None
        self._layout = planes.layout if keeps else Layout()
        axes = [*planes.frame_shape, planes.height, planes.width]
        self._frame_axes = list(range(len(planes.frame_shape)))
        self._plane_axes = list(range(len(axes) - 2, len(axes)))
        self._channel_axis: int | None = None
        if self._layout.channel_axis is not None:
            at = len(axes) + 1 + self._layout.channel_axis
            axes.insert(at, planes.channels)
            self._channel_axis = at
            self._frame_axes = [axis + (axis >= at) for axis in self._frame_axes]
            self._plane_axes = [axis + (axis >= at) for axis in self._plane_axes]
        super().__init__(tuple(axes), degradation.dtype)

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Compute a window given by a slice of step 1 for each axis."""
        rows, columns = (window[axis] for axis in self._plane_axes)
        frames = [range(window[axis].start, window[axis].stop) for axis in self._frame_axes]
        frame_shape = tuple(len(one) for one in frames)
        numbers = np.arange(self._planes.frames).reshape(self._planes.frame_shape)
        chosen = numbers[np.ix_(*frames)].ravel().tolist() if frames else [0]
        channels = 1 if self._channel_axis is None else self._planes.channels
        size = (rows.stop - rows.start, columns.stop - columns.start)
        planes = np.empty((len(chosen), channels, *size), self.dtype)
        if 0 not in size:
            for plane, frame in zip(planes, chosen, strict=True):
                plane[...] = self._degradation.read(self._planes, frame, rows, columns)
        image = self._layout.assemble(planes, frame_shape)
        if self._channel_axis is None:
            return image
        return image[(slice(None),) * self._channel_axis + (window[self._channel_axis],)]

    def __repr__(self) -> str:
        return f"<DerivedArray {self.kind} {self.dtype} {self.shape}>"


def _sample(planes: Planes, seed: int) -> list[NDArray[Any]]:
    """Read a few windows (C, h, w) all over the image."""
    rng = np.random.default_rng([seed, 2])
    places = set()
    for _ in range(_SAMPLED):
        top = int(rng.integers(max(planes.height - _SAMPLE_SIDE, 0) + 1))
        left = int(rng.integers(max(planes.width - _SAMPLE_SIDE, 0) + 1))
        frame = int(rng.integers(planes.frames))
        places.add((frame, top, left))
    return [
        planes.read(frame, slice(top, top + _SAMPLE_SIDE), slice(left, left + _SAMPLE_SIDE))
        for frame, top, left in sorted(places)
    ]
