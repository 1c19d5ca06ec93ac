"""What the call of a translator may ask for: checked before any work is done."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from torch import nn

from napari_pix2pix.errors import InputError
from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.sets import foreign_dtype
from napari_pix2pix.translation.inference import measures_its_input


def check_call(
    generator: nn.Module,
    *,
    samples: Any,
    seed: Any,
    tile: Any,
    batch: Any,
    dropout: bool,
    statistics: str,
    output: str,
) -> None:
    """Refuse what can't be done with a generator.

    Parameters are those that a `Translator` is called with.

    Raises
    ------
    InputError
        A number that is none or out of range, a word that is not known, or something that the
        generator has no layers for or that needs the whole image where tiles are asked for.
    """
    if samples != 1:
        raise InputError(f"samples must be 1 for now, got {samples!r}: call once per seed.")
    _check_integer("seed", seed, 0)
    _check_integer("tile", tile, 0)
    _check_integer("batch", batch, 1)
    if output not in ("target", "float"):
        raise InputError(f"output must be 'target' or 'float', got {output!r}.")
    if statistics not in ("stored", "image"):
        raise InputError(f"statistics must be 'stored' or 'image', got {statistics!r}.")
    if dropout and not _has(generator, nn.Dropout):
        raise InputError("This model has no dropout layers: leave dropout=False.")
    if statistics == "image" and not _has(generator, nn.BatchNorm2d):
        raise InputError("This model has no batch norm: leave statistics='stored'.")
    if tile:
        _check_tiles(generator, tile, dropout, statistics)


def condition_index(conditions: Sequence[Hashable], condition: Hashable) -> int:
    """Return which of a model's conditions is asked for; 0 for a model without any.

    Raises
    ------
    InputError
        When it is none of them.
    """
    if not conditions and condition is not None:
        raise InputError(f"This model has no conditions, got {condition!r}: leave condition out.")
    if conditions and condition not in conditions:
        known = ", ".join(map(repr, conditions))
        raise InputError(f"condition must be one of {known}, got {condition!r}.")
    return conditions.index(condition) if conditions else 0


def warn_of_dtype(codec: Codec, given: np.dtype[Any]) -> None:
    """Warn when an image's dtype lets expect intensities that the model was not trained on.

    Parameters
    ----------
    codec : Codec
        Of the model's sources.
    given : numpy.dtype
        The image's.

    Warns
    -----
    UserWarning
        When the kind of number differs from that of the training, or the size of an integer.
    """
    if note := foreign_dtype(codec, given):
        warnings.warn(note, UserWarning, stacklevel=3)


def warn_of_missing() -> None:
    """Warn that an image has pixels that say nothing."""
    warnings.warn(
        "The image has pixels that are NaN or infinite: what is translated there and around them "
        "means little.",
        UserWarning,
        stacklevel=3,
    )


def _check_integer(name: str, value: Any, lowest: int) -> None:
    if value is None:
        return
    try:
        fits = operator.index(value) >= lowest
    except TypeError:
        raise InputError(f"{name} must be an integer, got {value!r}.") from None
    if not fits:
        raise InputError(f"{name} must be {lowest} or more, got {value}.")


def _check_tiles(generator: nn.Module, tile: int, dropout: bool, statistics: str) -> None:
    """Refuse tiles that would differ from the whole image."""
    if statistics == "image":
        raise InputError(
            f"statistics='image' needs the whole image at once, got tile={tile}: leave tile "
            "out, or use statistics='stored'."
        )
    if dropout:
        raise InputError(
            f"dropout=True needs the whole image at once, got tile={tile}: leave tile out, or "
            "dropout=False."
        )
    if measures_its_input(generator):
        raise InputError(
            "This model's norms measure each image and need the whole at once, got "
            f"tile={tile}: leave tile out."
        )


def _has(generator: nn.Module, layer: type[nn.Module]) -> bool:
    return any(isinstance(module, layer) for module in generator.modules())
