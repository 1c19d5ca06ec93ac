"""What the call of a translator may ask for: checked before any work is done."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from napari_pix2pix.errors import InputError
from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.intensities import Intensities, sample_windows
from napari_pix2pix.pairs.kinds import find_kind
from napari_pix2pix.pairs.planes import Planes
from napari_pix2pix.pairs.sets import foreign_dtype, missing_note

# A larger share of an image outside the intensities of the training is warned of.
_OUTSIDE = 0.1
# Images that are nearer to the sources than this, in widths of their range, are no targets.
_APART = 0.1


def check_call(
    generator: nn.Module,
    *,
    noise_channels: int,
    samples: Any,
    seed: Any,
    tile: Any,
    batch: Any,
    halo: Any,
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
    lowest = {"seed": (seed, 0), "tile": (tile, 0), "batch": (batch, 1), "halo": (halo, 1)}
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
        advice = "pass dropout=True" if _has(generator, nn.Dropout) else "leave samples out"
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


def check_exact(halo: int | None, exact: int) -> None:
    """Refuse a halo that would make chunks and blocks differ from the whole.

    Raises
    ------
    InputError
        When it is less than the exact one.
    """
    if halo is not None and halo < exact:
        raise InputError(
            f"Chunks and blocks equal the whole, with a halo of {exact} pixels; got halo={halo}: "
            "leave halo out."
        )


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


def warn_of_intensities(
    planes: Planes, source: Codec, target: Codec, known: tuple[Intensities, Intensities]
) -> None:
    """Warn when an image looks like a target, or lies outside what was trained on.

    Parameters are those of `odd_intensities`.

    Warns
    -----
    UserWarning
        What that says, if anything.
    """
    if sentence := odd_intensities(planes, source, target, known):
        warnings.warn(sentence, UserWarning, stacklevel=3)


def odd_intensities(
    planes: Planes, source: Codec, target: Codec, known: tuple[Intensities, Intensities]
) -> str:
    """Say when an image looks like a target, or lies outside what was trained on.

    Parameters
    ----------
    planes : Planes
        The image, of which some windows are read.
    source, target : Codec
        Of the model.
    known : pair of Intensities
        Of the training's sources and targets.

    Returns
    -------
    str
        A sentence when the image is nearer to the targets than to the sources, and farther from
        the sources than any training block; or when more than a tenth of a channel's values lie
        outside the range of the sources. Otherwise nothing.
    """
    if source.kind != "image" or planes.dtype.kind == "b":
        return ""
    windows = sample_windows(planes)
    return _like_target(windows, target, known) or _outside(windows, known[0])


def _like_target(
    windows: Sequence[NDArray[Any]], target: Codec, known: tuple[Intensities, Intensities]
) -> str:
    sources, targets = known
    if target.kind != "image":
        if len(windows[0]) > 1 or find_kind(windows) == "image":
            return ""
        return (
            "The image looks like labels, as the targets of the training were, and not like its "
            "sources: check that source and target were not swapped."
        )
    if len(sources.quantiles) != len(targets.quantiles):
        return ""
    image = Intensities.measure(windows)
    apart = image.distance(sources)
    usual = max(sources.spread, _APART * sources.width)
    if apart <= usual or not 2 * image.distance(targets) < apart:
        return ""
    here, there, wanted = (f"{one.median(0):.5g}" for one in (image, targets, sources))
    return (
        f"The image looks like the targets of the training (median {here}; theirs {there}) and "
        f"not like its sources ({wanted}): check that source and target were not swapped."
    )


def _outside(windows: Sequence[NDArray[Any]], sources: Intensities) -> str:
    share, channel = sources.outside(windows)
    if share <= _OUTSIDE:
        return ""
    low, high = sources.range(channel)
    image = Intensities.measure(windows)
    median, known = image.median(channel), image.quantiles[channel]
    end, beyond = max(
        (known[0], low - known[0]), (known[-1], known[-1] - high), key=operator.itemgetter(1)
    )
    times = f", {beyond / (high - low):.2g} times that range beyond it" if high > low else ""
    where = f" in channel {channel}" if len(sources.quantiles) > 1 else ""
    return (
        f"{100 * share:.0f} % of the image{where} lies outside the intensities trained on, about "
        f"{low:.5g} to {high:.5g}; it reaches {end:.5g}{times} (median {median:.5g}, theirs "
        f"{sources.median(channel):.5g}): bring it into that range."
    )


def warn_of_missing(codec: Codec) -> None:
    """Warn that an image has pixels that say nothing."""
    warnings.warn(missing_note(codec), UserWarning, stacklevel=3)


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
