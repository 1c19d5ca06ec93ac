"""Codecs turn images and labels into planes in [-1, 1] for the network, and back."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._instance_codec import InstanceCodec as InstanceCodec
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codec_base import CodecBase, read_parts
from napari_pix2pix.data.intensities import Method, measure_ranges
from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import FileError, InputError, plural

Output = Literal["target", "float"]

# Unlabelled pixels (NaN, Inf) enter the network as zero. That is the middle of its range and what
# its convolutions see beyond the image's edge, so it takes no side between dark and bright grounds.
_UNLABELLED = 0.0

# A source's values farther than the width of its range beyond it become this: one hot pixel of a
# camera would else be a hundred times as strong as all that its neighbours hold.
LIMIT = 3.0


@dataclass(frozen=True)
class ImageCodec(CodecBase):
    """Linear map of each channel's values to [-1, 1], measured over the training set."""

    # Only sources are clipped on the way in, far out. Planes are float32, so a round trip is exact
    # to one gray level if high - low spans fewer than 2**24 levels, and else to 2**-24 of that.

    kind: ClassVar[Kind] = "image"

    method: Method
    dtype: str
    low: tuple[float, ...]  # of each channel: becomes -1
    high: tuple[float, ...]  # becomes +1
    layout: Layout
    assumed: bool = False  # the file tells no range, so it depends on the dtype of each image
    gray: bool = False  # an image of one channel is read as three equal ones
    # Of sources: planes end at -3 and 3, so that a hot pixel does little harm.
    limited: bool = False
    stated: bool = True  # low and high are a range; else values stay as they are, in any range

    def __post_init__(self) -> None:
        rising = len(self.low) == len(self.high) and all(map(operator.lt, self.low, self.high))
        if np.dtype(self.dtype).kind not in "biuf" or not rising:
            raise ValueError("its values make no sense")

    @property
    def channels(self) -> int:
        """Number of channels of the image."""
        return len(self.low)

    @property
    def planes(self) -> int:
        """Number of planes, one a channel."""
        return len(self.low)

    @property
    def data_range(self) -> tuple[float, ...]:
        """For each channel ``high - low``, in the image's unit, as PSNR and SSIM ask for."""
        return tuple(high - low for low, high in zip(self.low, self.high, strict=True))

    @classmethod
    def fit(
        cls,
        blocks: Iterable[NDArray[Any]],
        valid: Iterable[NDArray[np.bool_]] | None = None,
        *,
        method: Method = "percentile",
        layout: Layout,
        percentiles: tuple[float, float] = (0.1, 99.9),
        what: str = "image",
    ) -> ImageCodec:
        """Measure the range of each channel in blocks (C, h, w), inside masks (1 or C, h, w)."""
        images = list(blocks)
        masks = [None] * len(images) if valid is None else list(valid)
        dtype, low, high = measure_ranges(
            images, masks, method=method, percentiles=percentiles, what=what
        )
        return cls(method, dtype.name, low, high, layout)

    def encode(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Map an image (C, H, W) to planes, about in [-1, 1]; 0 where it is not finite."""
        if raw.shape[0] != self.channels:
            raise InputError(
                f"The image has {plural(raw.shape[0], 'channel')}, the training images had "
                f"{self.channels}; give the same channels in the same order."
            )
        low, scale = self._columns()
        if _is_narrow(raw.dtype):
            gain, offset = (2 / scale).astype(np.float32), (-1 - 2 * low / scale)
            planes = np.multiply(raw, gain, dtype=np.float32)
            planes += offset.astype(np.float32)
            return self._limit(planes)
        finite = np.isfinite(raw)
        filled = raw if finite.all() else np.where(finite, raw, 0)
        wide = filled.astype(np.float64)
        wide -= low
        wide *= 2 / scale
        wide -= 1
        if filled is not raw:
            wide[~finite] = _UNLABELLED
        return self._limit(wide.astype(np.float32))

    def decode(self, planes: NDArray[Any], output: Output = "target") -> NDArray[Any]:
        """Map planes (..., C, H, W) to images: in the images' dtype, or unclipped floats."""
        low, scale = self._columns()
        dtype = np.dtype(self.dtype)
        values = (planes.astype(np.float64) + 1) * (scale / 2) + low
        if output == "float":
            small = _is_narrow(dtype) or dtype.name in ("float16", "float32")
            return values.astype(np.float32 if small else np.float64)
        return self.as_target(values)

    def as_target(self, values: NDArray[Any]) -> NDArray[Any]:
        """Round and clip values in the image's unit to what its dtype holds."""
        return round_to(values, np.dtype(self.dtype))

    def _limit(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Clip planes, in place, where they are limited."""
        return np.clip(planes, -LIMIT, LIMIT, out=planes) if self.limited else planes

    def _columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low = np.array(self.low).reshape(-1, 1, 1)
        return low, np.array(self.high).reshape(-1, 1, 1) - low


Codec: TypeAlias = ImageCodec | ClassCodec | InstanceCodec

# Of models that make images without a source: no channel becomes no plane.
NO_SOURCE = ImageCodec("dtype", "uint8", (), (), Layout())

_CODECS: Mapping[str, type[Codec]] = {
    "image": ImageCodec,
    "classes": ClassCodec,
    "instances": InstanceCodec,
}


def codec_from_dict(parts: Mapping[str, Any]) -> Codec:
    """Build the codec whose `to_dict` returned `parts`, whatever its kind."""
    kind = str(parts.get("kind"))
    if kind not in _CODECS:
        raise FileError(
            f"The file holds a codec of kind {kind!r}, which this version does not know; "
            "update napari-pix2pix."
        )
    layout = {name: parts.get(name, "missing") for name in ("channel_axis", "rgb")}
    whole = {**parts, "layout": layout}
    return read_parts(_CODECS[kind], whole, f"The {kind} codec in the file is")


def range_of_dtype(dtype: np.dtype[Any], channels: int, layout: Layout) -> ImageCodec:
    """Map all values that an integer dtype, or a boolean, can hold to [-1, 1]."""
    ends = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    low, high = ((float(end),) * channels for end in ends)
    return ImageCodec("dtype", dtype.name, low, high, layout)


def codec_for_dtype(codec: Codec, dtype: np.dtype[Any]) -> Codec:
    """Return the codec for images of an integer dtype: the dtype's range where it is assumed."""
    if not isinstance(codec, ImageCodec) or not codec.assumed or dtype.kind not in "biu":
        return codec
    return replace(range_of_dtype(dtype, codec.channels, codec.layout), gray=codec.gray)


def codecs_for_dtypes(
    source: Codec, target: Codec, given: np.dtype[Any], wanted: np.dtype[Any] | None = None
) -> tuple[Codec, Codec]:
    """Return a model's codecs for sources and targets of these dtypes; integers share theirs."""
    if wanted is None and given.kind in "iu":
        wanted = given
    return (
        codec_for_dtype(source, given),
        target if wanted is None else codec_for_dtype(target, wanted),
    )


def takes_gray(codec: Codec) -> bool:
    """Say whether a model reads an image of one channel as three equal ones."""
    return isinstance(codec, ImageCodec) and codec.gray


def picture(planes: NDArray[Any], codec: Codec) -> NDArray[np.uint8]:
    """Turn planes (P, h, w) into a picture (h, w, 3): RGB, the first channel, or label colours."""
    if codec.kind == "image":
        kept = planes[:3] if len(planes) >= 3 and codec.layout.rgb else planes[:1]
        shown = np.clip((kept + 1) * 127.5, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(
            np.broadcast_to(shown.transpose(1, 2, 0), (*shown.shape[1:], 3))
        )
    labels = codec.decode(planes)[0].astype(np.int64)
    colours = np.random.default_rng(0).integers(70, 256, (256, 3)).astype(np.uint8)
    colours[0] = 0
    return colours[np.where(labels == 0, 0, labels % 255 + 1)]


def _is_narrow(dtype: np.dtype[Any]) -> bool:
    """Whether float32 arithmetic keeps every grey level apart."""
    return dtype.kind in "biu" and dtype.itemsize <= 2


def round_to(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Round and clip values to what a dtype holds."""
    if dtype.kind == "f":
        finite = np.finfo(dtype)
        return np.clip(values, finite.min, finite.max).astype(dtype)
    if values.dtype == dtype:
        return values
    if dtype.kind == "b":
        return values >= 0.5
    limits = np.iinfo(dtype)
    # The largest integers of 64 bits round up to a float64 that the dtype does not hold.
    high = float(limits.max)
    high = high if int(high) <= limits.max else float(np.nextafter(high, 0))
    return np.clip(np.rint(values), float(limits.min), high).astype(dtype)
