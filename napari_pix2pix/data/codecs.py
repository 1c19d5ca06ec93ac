"""Codecs: images to planes in [-1, 1] and back, with what was measured over the training set."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data._instance_codec import InstanceCodec
from napari_pix2pix.data._ranges import METHODS, Method, measure_ranges
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import FileError, InputError

Output = Literal["target", "float"]

# Unlabelled pixels (NaN, Inf) enter the network as zero. That is the middle of its range and what
# its convolutions see beyond the image's edge, so it takes no side between dark and bright grounds.
_UNLABELLED = 0.0


@dataclass(frozen=True)
class ImageCodec:
    """Linear map of each channel's values to [-1, 1], measured over the training set.

    Parameters
    ----------
    method : {'percentile', 'minmax', 'meanstd', 'dtype'}
        How `low` and `high` were found.
    dtype : str
        Name of the dtype of the images, in which `decode` answers.
    low, high : tuple of float
        For each channel the values that become -1 and +1.
    layout : Layout
        Where the images keep their channels.
    assumed : bool
        Whether nothing is known of the images' intensities, so that they depend on the dtype that
        a model is given, see `data.dtype_range`.
    gray : bool
        Whether an image of one channel is taken for three equal ones, as by the PyTorch
        implementation of pix2pix.

    Notes
    -----
    Nothing is clipped on the way in: values beyond `low` and `high` go beyond [-1, 1]. Planes are
    float32, so a round trip is exact to one grey level as long as ``high - low`` spans fewer than
    2**24 levels, whatever the dtype and offset, and to 2**-24 of that span otherwise.

    Examples
    --------
    >>> raw = np.arange(12, dtype=np.uint16).reshape(1, 3, 4)
    >>> codec = ImageCodec.fit([raw], method="minmax", layout=Layout())
    >>> codec.low, codec.high
    ((0.0,), (11.0,))
    >>> bool((codec.decode(codec.encode(raw)) == raw).all())
    True
    """

    method: Method
    dtype: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    layout: Layout
    assumed: bool = False
    gray: bool = False

    @property
    def kind(self) -> Kind:
        """Always "image"."""
        return "image"

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
        """Measure the range of each channel.

        Parameters
        ----------
        blocks : iterable of arrays (C, h, w)
            Sample of the training set, all of one dtype.
        valid : iterable of bool arrays (1 or C, h, w), optional
            The pixels of each block that count. NaN and Inf never do.
        method : {'percentile', 'minmax', 'meanstd', 'dtype'}
            'percentile' (robust against hot pixels), 'minmax', 'meanstd' (mean - 3 sd to
            mean + 3 sd, so that a tanh output reaches nearly all values) or 'dtype' (the whole
            range of an integer dtype; floats have none and get 'minmax'). Booleans always range
            from 0 to 1.
        layout : Layout
        percentiles : pair of float
            Used by 'percentile'; where the two are equal, as for a few bright spots on a constant
            ground, minimum and maximum are used.
        what : str
            What the images are called in errors.

        Raises
        ------
        InputError
            If dtypes or channel counts differ, or a channel is constant or has no finite value.
        ConfigError
            If the method is unknown.
        """
        images = list(blocks)
        masks = [None] * len(images) if valid is None else list(valid)
        dtype, low, high = measure_ranges(
            images, masks, method=method, percentiles=percentiles, what=what
        )
        return cls(method, dtype.name, low, high, layout)

    def encode(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Map an image to planes.

        Parameters
        ----------
        raw : array (C, H, W)
            In any dtype, in the unit of the training images.

        Returns
        -------
        float32 array (C, H, W)
            About [-1, 1]; 0 where the image is NaN or infinite.

        Raises
        ------
        InputError
            If the number of channels differs from the training images'.
        """
        if raw.shape[0] != self.channels:
            raise InputError(
                f"The image has {raw.shape[0]} channels, the training images had {self.channels}; "
                "give the same channels in the same order."
            )
        low, scale = self._columns()
        if _is_narrow(raw.dtype):
            gain, offset = (2 / scale).astype(np.float32), (-1 - 2 * low / scale)
            planes = np.multiply(raw, gain, dtype=np.float32)
            planes += offset.astype(np.float32)
            return planes
        finite = np.isfinite(raw)
        known = raw if finite.all() else np.where(finite, raw, 0)
        wide = known.astype(np.float64)
        wide -= low
        wide *= 2 / scale
        wide -= 1
        if known is not raw:
            wide[~finite] = _UNLABELLED
        return wide.astype(np.float32)

    def decode(self, planes: NDArray[Any], output: Output = "target") -> NDArray[Any]:
        """Map planes back to an image.

        Parameters
        ----------
        planes : array (..., C, H, W)
        output : {'target', 'float'}
            'target' answers in the training images' dtype: rounded, clipped to what it holds.
            'float' keeps all values: float32, or float64 for integers of 32 bits and more and for
            float64.

        Returns
        -------
        array (..., C, H, W)
        """
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

    def to_dict(self) -> dict[str, Any]:
        """Return the codec as JSON values; floats survive exactly."""
        marks = {name: True for name in ("assumed", "gray") if getattr(self, name)}
        return marks | {
            "kind": self.kind,
            "method": self.method,
            "dtype": self.dtype,
            "low": list(self.low),
            "high": list(self.high),
            "channel_axis": self.layout.channel_axis,
            "rgb": self.layout.rgb,
        }

    @classmethod
    def from_dict(cls, parts: dict[str, Any]) -> ImageCodec:
        """Build a codec from what `to_dict` returned.

        Raises
        ------
        FileError
            If parts are missing or make no sense.
        """
        try:
            low, high = (tuple(float(v) for v in parts[key]) for key in ("low", "high"))
            dtype = np.dtype(parts["dtype"])
            axis = parts["channel_axis"]
            layout = Layout(None if axis is None else operator.index(axis), bool(parts["rgb"]))
            known = parts["method"] in METHODS and dtype.kind in "biuf"
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(f"The normalisation in the file is damaged: {error}.") from error
        rising = len(low) == len(high) and all(map(operator.lt, low, high))
        if not (known and rising):
            raise FileError("The normalisation in the file is damaged: its values make no sense.")
        marks = {name: bool(parts.get(name)) for name in ("assumed", "gray")}
        return cls(parts["method"], dtype.name, low, high, layout, **marks)

    def _columns(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        low = np.array(self.low).reshape(-1, 1, 1)
        return low, np.array(self.high).reshape(-1, 1, 1) - low


Codec: TypeAlias = ImageCodec | ClassCodec | InstanceCodec

# Of models that make images without a source: no channel becomes no plane.
NO_SOURCE = ImageCodec("dtype", "uint8", (), (), Layout())


def codec_from_dict(parts: dict[str, Any]) -> Codec:
    """Build the codec whose `to_dict` returned `parts`, whatever its kind.

    Raises
    ------
    FileError
        If the kind is unknown or the parts are damaged.
    """
    kind = parts.get("kind")
    if kind == "image":
        return ImageCodec.from_dict(parts)
    if kind == "classes":
        return ClassCodec.from_dict(parts)
    if kind == "instances":
        return InstanceCodec.from_dict(parts)
    raise FileError(
        f"The file holds a codec of kind {kind!r}, which this version does not know; "
        "update napari-pix2pix."
    )


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
