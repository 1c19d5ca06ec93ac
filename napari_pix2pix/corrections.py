"""A model learns from results that were corrected: fine-tuned on the corrected parts alone."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix._train import train
from napari_pix2pix.data.corrections import MARGIN, correction_mask
from napari_pix2pix.data.inputs import open_for_codec
from napari_pix2pix.data.lazy_image import LazyImage, as_lazy_image
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError, own_errors
from napari_pix2pix.napari_layers import image_of
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.translator import Translator

STEPS = 150  # that a model learns from corrections by default
# Of the model's learning rate: a correction is small, and the rest is to stay.
_RATE = 0.1


def correction_pairs(
    info: ModelInfo,
    source: LazyImage,
    before: Any,
    after: Any,
    *,
    mask: Any = None,
    condition: Hashable = None,
    margin: int = MARGIN,
) -> list[Pair]:
    """Return what a model is to learn from a corrected result.

    Of each frame with a correction there are two pairs: what was corrected, and all the rest as the
    model made it, so that it does not forget what it can do.

    Parameters
    ----------
    info : ModelInfo
        Of the model.
    source : LazyImage
        The source of the result, opened without neighbouring planes.
    before, after : array
        The result as the model made it, and as it was corrected; laid out like its targets.
    mask : array of bool, optional
        Where `after` is right; by default where it differs from `before`, see `correction_mask`.
    condition : hashable, optional
        The condition of the result.
    margin : int
        Pixels around a correction that count as looked at.

    Raises
    ------
    InputError
        When the arrays don't fit each other, or nothing was corrected.
    """
    codec = info.target_codec
    axis = codec.layout.channel_axis
    made, corrected = (
        as_lazy_image(np.asarray(one), like=codec.layout, what=what)
        for one, what in ((before, "result"), (after, "corrected result"))
    )
    _check_size(source, corrected)
    if mask is None:
        axis = None if axis is None else max(axis, -np.ndim(before))
        mask = correction_mask(
            before, after, objects=codec.kind == "instances", channel_axis=axis, margin=margin
        )
    mask = np.broadcast_to(np.asarray(mask) != 0, (*source.frame_shape, *np.shape(mask)[-2:]))
    by_frame = mask.reshape(-1, *mask.shape[-2:])
    if not by_frame.any():
        raise InputError("The mask is empty: mark where the correction is right.")
    if info.config.z_context or info.config.ndim == 3:  # a frame is seen with its neighbours
        return [
            Pair(source, corrected, mask=mask, condition=condition, name="corrected"),
            Pair(source, made, mask=~mask, condition=condition, name="kept"),
        ]
    pairs = []
    for frame in np.flatnonzero(by_frame.any(axis=(1, 2))).tolist():
        rows, columns = _window(by_frame[frame], info.config.patch)
        inside = by_frame[frame][rows, columns]
        for target, valid, name in ((corrected, inside, "corrected"), (made, ~inside, "kept")):
            if valid.any():
                seen = source.read(frame, rows, columns)
                wanted = target.read(frame, rows, columns)
                pairs.append(_pair(seen, wanted, valid, condition, f"{name}, frame {frame}"))
    return pairs


def correction_fields(info: ModelInfo) -> dict[str, Any]:
    """Return the fields of `TrainConfig` with which a model learns from corrections."""
    return {
        "validation": 0.0,
        "learning_rate": _RATE * info.config.learning_rate,
        # A small part may look like another kind, such as a single object like a class.
        "source_kind": info.source_codec.kind,
        "target_kind": info.target_codec.kind,
    }


@own_errors()
def learn_from_corrections(
    model: Translator,
    source: Any,
    before: Any,
    after: Any,
    *,
    mask: Any = None,
    condition: Hashable = None,
    margin: int = MARGIN,
    steps: int | None = None,
    **fields: Any,
) -> Translator:
    """Return a model that has learnt from a result that was corrected.

    Parameters
    ----------
    model : Translator
        The model that made the result; it stays as it is.
    source : array_like or napari layer
        What was translated.
    before, after : array_like
        The result as the model made it, and as it was corrected.
    mask : array_like of bool, optional
        Where `after` is right; by default where it differs from `before`, with whole objects and a
        margin around.
    condition : hashable, optional
        The condition of the result.
    margin : int
        Pixels around a correction that count as looked at.
    steps : int, optional
        The budget; 150 steps by default, unless another budget is among `fields`.
    **fields
        Other arguments of `train`, such as ``max_seconds`` or ``device``.

    Returns
    -------
    Translator
        A new model, fine-tuned on what was corrected, and on the rest of the result as it was.

    Raises
    ------
    InputError
        When the arrays don't fit each other, or nothing was corrected.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_pix2pix import train
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
    >>> result = model(image)
    >>> corrected = result.copy()
    >>> corrected[20:40, 20:40] = 0.5
    >>> better = learn_from_corrections(model, image, result, corrected, steps=2)
    """
    opened, _ = image_of(source, model.source_codec.layout)
    image = open_for_codec(opened, model.source_codec, 0)
    pairs = correction_pairs(
        model.info, image, before, after, mask=mask, condition=condition, margin=margin
    )
    if steps is None and not {"epochs", "max_seconds"} & set(fields):
        steps = STEPS
    given = correction_fields(model.info) | fields
    return train(
        [pair.source for pair in pairs],
        [pair.target for pair in pairs],
        mask=[pair.mask for pair in pairs],
        condition=[pair.condition for pair in pairs],
        start=model,
        steps=steps,
        **given,
    )


def _pair(
    source: NDArray[Any],
    target: NDArray[Any],
    valid: NDArray[np.bool_],
    condition: Hashable,
    name: str,
) -> Pair:
    """Make a pair of two windows, (C, h, w) each."""
    return Pair(
        LazyImage(source, channel_axis=0, what="source"),
        LazyImage(target, channel_axis=0, what="target"),
        mask=valid,
        condition=condition,
        name=name,
    )


def _window(mask: NDArray[np.bool_], patch: int) -> tuple[slice, slice]:
    """Return the rows and columns of a mask, with as much around them as patches see."""
    spans = []
    for axis, length in enumerate(mask.shape):
        inside = np.flatnonzero(mask.any(axis=1 - axis))
        first, last = int(inside[0]) - patch, int(inside[-1]) + 1 + patch
        spans.append(slice(max(first, 0), min(last, length)))
    return spans[0], spans[1]


def _check_size(source: LazyImage, corrected: LazyImage) -> None:
    sizes = [(image.frames, image.height, image.width) for image in (source, corrected)]
    if sizes[0] != sizes[1]:
        shown = (" x ".join(map(str, size)) for size in sizes)
        raise InputError(
            "The source has {} frames, rows and columns, the corrected result {}: give the result "
            "of this source.".format(*shown)
        )
