"""Steps before and after the network of a BioImage.IO package, on planes (C, H, W) or volumes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import FileError

if TYPE_CHECKING:
    from bioimageio.spec.model.v0_5 import InputTensorDescr, OutputTensorDescr

Values = NDArray[Any]  # (C, H, W), or (C, Z, H, W), of any dtype
_SPACE = "zyx"  # names of a package's axes, in the order of ours; channels are axis 0


class Step(ABC):
    """One step; one that measures an image does nothing before it is `fitted`."""

    measures = False

    @abstractmethod
    def __call__(self, values: Values) -> Values:
        """Return what the step makes of an image, or a part of it."""

    def fitted(self, frame: Values) -> Step:
        """Return the step for all parts of a frame; itself if it measures nothing."""
        del frame
        return self


@dataclass(frozen=True, eq=False)
class _Linear(Step):
    """Scale and shift each channel, or all: (C, 1, 1), or (C, 1, 1, 1) of volumes, or scalars."""

    gain: Values
    offset: Values

    def __call__(self, values: Values) -> Values:
        return values * self.gain + self.offset


@dataclass(frozen=True, eq=False)
class _Clip(Step):
    low: Values | None
    high: Values | None

    def __call__(self, values: Values) -> Values:
        return np.clip(values, self.low, self.high)


@dataclass(frozen=True, eq=False)
class _Binarize(Step):
    threshold: Values

    def __call__(self, values: Values) -> Values:
        return values > self.threshold


@dataclass(frozen=True)
class _EnsureDtype(Step):
    """Convert as the format does: what is behind the point is cut off."""

    dtype: np.dtype[Any]

    def __call__(self, values: Values) -> Values:
        if values.dtype.kind == "f" and self.dtype.kind in "iu":
            # What the dtype does not hold would become anything.
            limits = np.iinfo(self.dtype)
            high = float(limits.max)
            high = high if int(high) <= limits.max else float(np.nextafter(high, 0))
            values = np.clip(values.astype(np.float64), float(limits.min), high)
        return values.astype(self.dtype)


@dataclass(frozen=True)
class _Sigmoid(Step):
    def __call__(self, values: Values) -> Values:
        from scipy.special import expit

        return np.asarray(expit(values))


@dataclass(frozen=True)
class _Softmax(Step):
    """Of the channels of each pixel."""

    def __call__(self, values: Values) -> Values:
        from scipy.special import softmax

        return np.asarray(softmax(values, axis=0))


@dataclass(frozen=True)
class _Measuring(Step):
    """A step that measures a frame, together along some of its axes."""

    axes: tuple[int, ...]

    measures = True

    def __call__(self, values: Values) -> Values:
        raise AssertionError("a step was not fitted")


@dataclass(frozen=True)
class _ZeroMean(_Measuring):
    eps: float

    def fitted(self, frame: Values) -> Step:
        wide = frame.astype(np.float64)
        mean = wide.mean(self.axes, keepdims=True)
        gain = 1 / (wide.std(self.axes, keepdims=True) + self.eps)
        return _linear(gain, -mean * gain)


@dataclass(frozen=True)
class _ScaleRange(_Measuring):
    low: float  # percentiles
    high: float
    eps: float

    def fitted(self, frame: Values) -> Step:
        low, high = np.percentile(frame, [self.low, self.high], self.axes, keepdims=True)
        gain = 1 / (high - low + self.eps)
        return _linear(gain, -low * gain)


@dataclass(frozen=True)
class _ClipPercentiles(_Measuring):
    low: float | None  # values or percentiles
    high: float | None
    are_percentiles: tuple[bool, bool]

    def fitted(self, frame: Values) -> Step:
        ends = [
            np.percentile(frame, end, self.axes, keepdims=True, method="inverted_cdf")
            if is_percentile and end is not None
            else _optional(end)
            for end, is_percentile in zip((self.low, self.high), self.are_percentiles, strict=True)
        ]
        return _Clip(*ends)


def measure_steps(steps: Sequence[Step]) -> bool:
    """Whether one of some steps measures the image."""
    return any(step.measures for step in steps)


def fit_steps(steps: Sequence[Step], frame: Values) -> tuple[Step, ...]:
    """Return the steps for parts of a frame, which is measured as it is before all steps."""
    return tuple(step.fitted(frame) for step in steps)


def run_steps(steps: Sequence[Step], values: Values) -> Values:
    """Apply steps one after the other."""
    for step in steps:
        values = step(values)
    return values


def read_steps(
    tensor: InputTensorDescr | OutputTensorDescr, channels: int, ndim: int
) -> tuple[Step, ...]:
    """Return what the package does with a tensor of so many channels; refuse what is not known.

    `ndim` is 2 for images, 3 for volumes.
    """
    is_input = hasattr(tensor, "preprocessing")
    described = tensor.preprocessing if is_input else tensor.postprocessing
    return tuple(_read(step, tensor, channels, ndim) for step in described)


def _read(step: Any, tensor: Any, channels: int, ndim: int) -> Step:
    name, kwargs = str(step.id), step.kwargs
    channel = next((axis.id for axis in tensor.axes if axis.type == "channel"), None)
    along = getattr(kwargs, "axis", None)
    if name != "softmax" and along is not None and along != channel:
        raise FileError(f"its step {name} differs along the axis {along}: only channels may")
    if (reference := getattr(kwargs, "reference_tensor", None)) and reference != tensor.id:
        raise FileError(f"its step {name} measures another tensor ({reference})")

    def column(values: float | Sequence[float]) -> Values:
        listed = np.atleast_1d(np.array(values, np.float64))
        if len(listed) not in (1, channels):
            raise FileError(f"its step {name} has {len(listed)} values for {channels} channels")
        return listed.reshape(-1, *[1] * ndim)

    if name == "ensure_dtype":
        return _EnsureDtype(np.dtype(kwargs.dtype))
    if name == "scale_linear":
        return _linear(column(kwargs.gain), column(kwargs.offset))
    if name == "fixed_zero_mean_unit_variance":
        gain = 1 / column(kwargs.std)
        return _linear(gain, -column(kwargs.mean) * gain)
    if name == "binarize":
        return _Binarize(column(kwargs.threshold).astype(np.float32))
    if name == "clip":
        return _read_clip(step, channel, ndim)
    if name == "sigmoid":
        return _Sigmoid()
    if name == "softmax" and kwargs.axis == channel:
        return _Softmax()
    if name == "zero_mean_unit_variance":
        return _ZeroMean(_axes(step, channel, ndim), kwargs.eps)
    if name == "scale_range":
        ends = kwargs.min_percentile, kwargs.max_percentile
        return _ScaleRange(_axes(step, channel, ndim), *ends, kwargs.eps)
    raise FileError(f"it has a step that is not done here ({name})")


def _read_clip(step: Any, channel: Any, ndim: int) -> Step:
    kwargs = step.kwargs
    low, high = (getattr(kwargs, f"{end}_percentile", None) for end in ("min", "max"))
    if low is None and high is None:
        return _Clip(_optional(kwargs.min), _optional(kwargs.max))
    ends = kwargs.min if low is None else low, kwargs.max if high is None else high
    are_percentiles = low is not None, high is not None
    return _ClipPercentiles(_axes(step, channel, ndim), *ends, are_percentiles)


def _axes(step: Any, channel: Any, ndim: int) -> tuple[int, ...]:
    """Return which axes of (C, H, W), or (C, Z, H, W), a step measures together; all if unnamed."""
    if step.kwargs.axes is None:
        return tuple(range(ndim + 1))
    names = [str(name) for name in step.kwargs.axes]
    # What is measured must hold for all windows, wherever they lie.
    if apart := [name for name in _SPACE[-ndim:] if name not in names]:
        raise FileError(f"its step {step.id} differs along the axis {apart[0]}: only channels may")
    space = tuple(range(1, ndim + 1))
    return (0, *space) if channel is not None and str(channel) in names else space


def _linear(gain: Values, offset: Values) -> Step:
    # In float32, as other programs have it, unless that would add nothing.
    return _Linear(gain.astype(np.float32), offset.astype(np.float32))


def scaling(low: float, high: float) -> Step:
    """Return the step that maps low and high to -1 and 1."""
    gain = 2 / (high - low)
    return _linear(np.array(gain), np.array(-1 - low * gain))


def _optional(value: float | None) -> Values | None:
    return None if value is None else np.array(value, np.float32)
