"""Codecs as the steps of a BioImage.IO package, before and after the network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.data.codecs import LIMIT, Codec, ImageCodec

if TYPE_CHECKING:
    from bioimageio.spec.model.v0_5 import ClipDescr, EnsureDtypeDescr, ScaleLinearDescr

    Steps = list[ClipDescr | EnsureDtypeDescr | ScaleLinearDescr]


def package_dtype(codec: Codec) -> str:
    """Return the dtype of a tensor with these images; planes of labels are float32."""
    if not isinstance(codec, ImageCodec):
        return "float32"
    # The format has neither half floats nor, for intensities, booleans.
    return {"float16": "float32", "bool": "uint8"}.get(codec.dtype, codec.dtype)


def encoding_steps(codec: ImageCodec, conditions: int) -> Steps:
    """Return the steps that map images, and planes of conditions, to what the network takes."""
    low, high = np.array(codec.low), np.array(codec.high)
    gain = [*(2 / (high - low)).tolist(), *[1.0] * conditions]
    offset = [*(-1 - 2 * low / (high - low)).tolist(), *[0.0] * conditions]
    wide = _is_wide(np.dtype(package_dtype(codec)))
    steps = [_ensure_dtype("float64" if wide else "float32"), *_scale(gain, offset)]
    if codec.limited:
        steps.append(_clip(-LIMIT, LIMIT))
    return [*steps, _ensure_dtype("float32")]


def decoding_steps(codec: ImageCodec) -> Steps:
    """Return the steps that map what the network gives to images of the target's dtype."""
    low, high = np.array(codec.low), np.array(codec.high)
    gain, offset = (high - low) / 2, (high + low) / 2
    dtype = np.dtype(package_dtype(codec))
    if dtype.kind == "f":
        return [*_scale(gain.tolist(), offset.tolist()), _ensure_dtype(dtype.name)]
    limits = np.iinfo(dtype)
    least, most = (0, 1) if codec.dtype == "bool" else (int(limits.min), int(limits.max))
    # `ensure_dtype` cuts off what is behind the point, towards 0: with a half more, and no number
    # below 0, that is rounding. So signed integers take a way through unsigned ones.
    steps = [
        *([_ensure_dtype("float64")] if _is_wide(dtype) else []),
        *_scale(gain.tolist(), (offset - least + 0.5).tolist()),
        _clip(0.0, _below(most - least)),
        _ensure_dtype(f"uint{8 * dtype.itemsize}"),
    ]
    if least:
        steps += [*_scale([1.0], [float(least)]), _ensure_dtype(dtype.name)]
    return steps


def _is_wide(dtype: np.dtype[Any]) -> bool:
    """Whether float32 arithmetic can't keep neighbouring values apart."""
    return dtype.name == "float64" or (dtype.kind in "iu" and dtype.itemsize > 2)


def _below(most: int) -> float:
    """Return the largest float32 that an integer dtype holds."""
    value = np.float32(most)
    return float(value if int(value) <= most else np.nextafter(value, np.float32(0)))


def _scale(gain: list[float], offset: list[float]) -> Steps:
    from bioimageio.spec.model import v0_5

    if all(value == 1 for value in gain) and not any(offset):
        return []  # the format refuses a step that does nothing
    if len(gain) == 1:
        return [
            v0_5.ScaleLinearDescr(kwargs=v0_5.ScaleLinearKwargs(gain=gain[0], offset=offset[0]))
        ]
    along = v0_5.ScaleLinearAlongAxisKwargs(axis=_channel(), gain=gain, offset=offset)
    return [v0_5.ScaleLinearDescr(kwargs=along)]


def _clip(least: float, most: float) -> Any:
    from bioimageio.spec.model import v0_5

    return v0_5.ClipDescr(kwargs=v0_5.ClipKwargs(min=least, max=most))


def _ensure_dtype(name: str) -> Any:
    from bioimageio.spec.model import v0_5

    return v0_5.EnsureDtypeDescr(kwargs=v0_5.EnsureDtypeKwargs(dtype=name))


def _channel() -> Any:
    from bioimageio.spec.model import v0_5

    return v0_5.AxisId("channel")
