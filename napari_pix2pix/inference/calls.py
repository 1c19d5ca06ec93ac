"""What the call of a translator may ask for: checked before any work is done."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from torch import nn

from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.inputs import check_input, dtype_note, invalid_pixels_note
from napari_pix2pix.data.intensities import Intensities
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import InputError


def check_call(
    generator: nn.Module,
    *,
    noise_channels: int,
    samples: Any,
    seed: Any,
    tile: Any,
    batch: Any,
    dropout: bool,
    statistics: str,
    output: str,
    precision: str = "32-true",
) -> None:
    """Refuse what can't be done with a generator.

    Parameters are those that a `Translator` is called with, and how many noise planes it has.

    Raises
    ------
    InputError
        A number that is none or out of range, a word that is not known, or something that the
        generator has no layers for; several samples that would be the same.
    """
    check_integer("samples", samples, 1)
    lowest = {"seed": (seed, 0), "tile": (tile, 0), "batch": (batch, 1)}
    for name, (value, least) in lowest.items():
        if value is not None:
            check_integer(name, value, least)
    check_output(output)
    if statistics not in ("stored", "image"):
        raise InputError(f"statistics must be 'stored' or 'image', got {statistics!r}.")
    if precision not in ("32-true", "bf16-mixed"):
        raise InputError(f"precision must be '32-true' or 'bf16-mixed', got {precision!r}.")
    if dropout and not _has(generator, nn.Dropout):
        raise InputError("This model has no dropout layers: leave dropout=False.")
    if statistics == "image" and not _has(generator, nn.BatchNorm2d):
        raise InputError("This model has no batch norm: leave statistics='stored'.")
    if samples > 1 and not (noise_channels or dropout):
        can_drop = _has(generator, nn.Dropout)
        advice = "pass dropout=True (--dropout)" if can_drop else "leave samples out"
        raise InputError(
            f"This model has no noise planes, so all {samples} samples would be the same: {advice}."
        )


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


def check_lazy_call(conditions: Sequence[Hashable], condition: Hashable, on_tile: Any) -> None:
    """Refuse what would show only when a lazy array is computed, or can't be asked of one.

    Raises
    ------
    InputError
        When the condition is none of the model's, or progress is to be told.
    """
    condition_index(conditions, condition)
    if on_tile is not None:
        raise InputError(
            "on_tile tells how far a translation is, but that of a dask array is computed later: "
            "leave on_tile out."
        )


def warn_of_dtype(codec: Codec, given: np.dtype[Any], stacklevel: int = 3) -> None:
    """Warn when an image's dtype lets expect intensities that the model was not trained on.

    Parameters
    ----------
    codec : Codec
        Of the model's sources.
    given : numpy.dtype
        The image's.
    stacklevel : int
        Whose call the warning names: 3 is who called the caller.

    Warns
    -----
    UserWarning
        When the kind of number differs from that of the training, or the size of an integer.
    """
    if note := dtype_note(codec, given):
        warnings.warn(note, UserWarning, stacklevel=stacklevel)


def warn_of_intensities(
    planes: LazyImage,
    source: Codec,
    target: Codec,
    known: tuple[Intensities, Intensities] | None,
    stacklevel: int = 3,
) -> None:
    """Warn when an image looks like a target, or lies outside what was trained on.

    Parameters are those of `check_input`, and the `stacklevel` of `warn_of_dtype`.

    Warns
    -----
    UserWarning
        What that says, if anything.
    """
    if sentence := check_input(planes, source, target, known):
        warnings.warn(sentence, UserWarning, stacklevel=stacklevel)


def warn_of_missing(codec: Codec) -> None:
    """Warn that an image has pixels that say nothing."""
    warnings.warn(invalid_pixels_note(codec), UserWarning, stacklevel=3)


def check_output(output: str) -> None:
    """Refuse a kind of output that there is not.

    Raises
    ------
    InputError
        When it is neither "target" nor "float".
    """
    if output not in ("target", "float"):
        raise InputError(f"output must be 'target' or 'float', got {output!r}.")


def check_size(size: Any) -> tuple[int, int]:
    """Return the height and width that ``size``, a number or a pair of them, asks for.

    Raises
    ------
    InputError
        When it is neither, or there would be no pixel.
    """
    pair = tuple(size) if isinstance(size, tuple | list | np.ndarray) else (size, size)
    if len(pair) != 2:
        raise InputError(f"size must be a number of pixels or (height, width), got {size!r}.")
    for name, value in zip(("height", "width"), pair, strict=True):
        check_integer(name, value, 1)
    return operator.index(pair[0]), operator.index(pair[1])


def check_integer(name: str, value: Any, lowest: int) -> None:
    """Refuse what is no integer, or one below ``lowest``.

    Raises
    ------
    InputError
        When it is either.
    """
    try:
        fits = operator.index(value) >= lowest
    except TypeError:
        raise InputError(f"{name} must be an integer, got {value!r}.") from None
    if not fits:
        raise InputError(f"{name} must be {lowest} or more, got {value}.")


def _has(generator: nn.Module, layer: type[nn.Module]) -> bool:
    return any(isinstance(module, layer) for module in generator.modules())
