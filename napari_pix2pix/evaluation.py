"""How good a translator is on pairs that it was not trained on, beside the best trivial map."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.console import Desk, keep_alive
from napari_pix2pix.errors import InputError
from napari_pix2pix.layers import read_pairs
from napari_pix2pix.metrics.sets import Scored, score, summarise
from napari_pix2pix.pairs.class_codec import MOST_CLASSES
from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.pair import OpenPair, Pair, open_pair
from napari_pix2pix.translator import Translator


def evaluate(
    translator: Translator,
    source: Any,
    target: Any,
    *,
    condition: Any = None,
    mask: Any = None,
    channel_axis: int | None = None,
) -> dict[str, Any]:
    """Score a translator on pairs.

    Parameters
    ----------
    translator : Translator
        The model.
    source, target : array_like, napari layer, or list of them
        As in `train`.
    condition, mask, channel_axis
        As in `train`.

    Returns
    -------
    dict
        ``prediction`` and ``trivial``: means over the images of ``l1``, ``psnr``, ``ssim``,
        ``pearson``, ``nrmse``, each image weighted by its labelled pixels; ``images``: the same
        for each image (or frame) that has any, with its ``name``. The trivial map is the
        least-squares fit of the training; files of the PyTorch implementation have none.

    Raises
    ------
    InputError
        When the images don't fit each other or the model.

    Examples
    --------
    >>> import numpy as np
    >>> from napari_pix2pix import train
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
    >>> round(evaluate(model, image, 1 - image)["trivial"]["pearson"], 3)
    1.0
    """
    pairs = read_pairs(source, target, condition=condition, mask=mask, channel_axis=channel_axis)

    def score_all(desk: Desk) -> dict[str, Any]:
        return evaluate_pairs(translator, pairs, on_part=desk.show)

    return keep_alive(score_all, title="Evaluation")


def evaluate_pairs(
    translator: Translator,
    pairs: Sequence[Pair],
    *,
    on_part: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Score a translator on a sequence of `Pair`; see `evaluate`.

    ``on_part`` is called after each tile with the part of all pairs that is done, from 0 to 1.
    """
    if not translator.source_codec.channels:
        raise InputError(
            "This model was trained without a source: none of its images has to be like a target, "
            "so there is nothing to score; look at samples."
        )
    scored: list[tuple[str, dict[str, Scored]]] = []
    for number, pair in enumerate(pairs, start=1):
        opened = open_pair(pair, translator.config.z_context)
        _check_target(translator, opened)
        for frame in range(opened.frames):
            before = (number - 1 + frame / opened.frames) / len(pairs)
            share = 1 / (len(pairs) * opened.frames)
            on_tile = None if on_part is None else _shares(on_part, before, share)
            sides = _score_frame(translator, pair, opened, frame, on_tile)
            if sides:
                name = pair.name or f"pair {number}"
                scored.append((f"{name}, frame {frame}" if opened.frames > 1 else name, sides))
    return summarise(scored)


def _shares(
    on_part: Callable[[float], None], before: float, share: float
) -> Callable[[int, int], None]:
    """Turn what is done of one frame into what is done of all."""
    return lambda done, every: on_part(before + share * done / every)


def _check_target(translator: Translator, opened: OpenPair) -> None:
    wanted, got = translator.target_codec.channels, opened.target.channels
    if wanted != got:
        raise InputError(
            f"The model makes {wanted} channels, the target of {opened.name} has {got}: give the "
            "same channels."
        )


def _check_classes(codec: Codec, truth: NDArray[Any], name: str) -> None:
    """Refuse intensities as the truth of a model that makes classes."""
    if codec.kind == "classes" and (count := len(np.unique(truth))) > MOST_CLASSES:
        raise InputError(
            f"The model makes classes, and the target of {name} holds {count} values, more than "
            f"the {MOST_CLASSES} classes that there can be: give labels."
        )


def _score_frame(
    translator: Translator,
    pair: Pair,
    opened: OpenPair,
    frame: int,
    on_tile: Callable[[int, int], None] | None,
) -> dict[str, Scored]:
    """Score the network and the trivial map on one frame; empty where nothing is labelled."""
    everywhere = slice(0, opened.height), slice(0, opened.width)
    source, target, valid = opened.read(frame, *everywhere)
    if valid is None:
        valid = np.ones((1, *target.shape[1:]), bool)
    if not valid.any():
        return {}
    codec = translator.target_codec
    _check_classes(codec, target[np.broadcast_to(valid, target.shape)], opened.name)
    prediction = translator.translate_planes(opened.source, frame, pair.condition, on_tile=on_tile)
    condition = translator.conditions.index(pair.condition) if translator.conditions else 0
    predictions = {"prediction": prediction}
    if translator.trivial.maps:
        predictions["trivial"] = codec.as_target(translator.trivial.predict(source, condition))
    return {
        side: score(prediction, target, kind=codec.kind, valid=valid, data_range=codec.data_range)
        for side, prediction in predictions.items()
    }
