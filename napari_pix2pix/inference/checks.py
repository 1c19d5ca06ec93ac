"""Checks before any work: options that a model lacks, and images unlike the training's."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

from torch import nn

from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.inputs import check_input, dtype_note, names_note
from napari_pix2pix.data.intensities import Intensities
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pixel_size import RESAMPLE_ADVICE
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference._frame_job import check_compiler
from napari_pix2pix.inference._turns import TURNS
from napari_pix2pix.inference.devices import choose_device_of
from napari_pix2pix.inference.networks import ExternalNetwork, measures_input
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.predictor import Predictor, condition_index
from napari_pix2pix.inference.resampled import pixel_size_note, plane_distance_note


def check_options(options: PredictOptions, predictor: Predictor) -> None:
    """Raise `InputError` or `DeviceError` if a model can't be applied with these options."""
    generator = predictor.generator
    if isinstance(generator, ExternalNetwork):
        _check_external(options, generator)
    can_drop = _has(generator, nn.Dropout)
    condition_index(predictor.conditions, options.condition)
    if options.dropout and not can_drop:
        raise InputError("This model has no dropout layers: leave dropout off.")
    if options.norm_statistics == "per-image" and not _has(
        generator, nn.BatchNorm2d, nn.BatchNorm3d
    ):
        raise InputError("This model has no batch norm: leave its norm statistics at 'running'.")
    can_turn = not measures_input(generator, options.norm_statistics)
    if options.turns > 1 and not can_turn:
        raise InputError(
            "Norms that measure each image would measure each turn of it apart, so tiles would not "
            "fit together: take turns=1, or running norm statistics."
        )
    if options.samples > options.turns and not (predictor.noise_channels or options.dropout):
        which = "some of the" if options.turns > 1 else "all"
        remedies = ["turn dropout on"] * can_drop + ["take 8 turns and 8 samples"] * can_turn
        raise InputError(
            f"This model has no noise planes, so {which} {options.samples} samples would be "
            f"the same: {' or '.join([*remedies, 'take one sample'])}."
        )
    if options.compile:
        if options.dropout or measures_input(generator, options.norm_statistics):
            raise InputError(
                "Only networks that do the same with every image can be compiled, and here dropout "
                "is on or norms measure each image: turn compile off."
            )
        check_compiler(choose_device_of(generator, options.device))


def _check_external(options: PredictOptions, network: ExternalNetwork) -> None:
    """Refuse what can't be asked of a network that another program runs."""
    choose_device_of(network, options.device)
    if options.precision != "32-true" or options.compile:
        name = "compile" if options.compile else "precision"
        raise InputError(f"The model is run as its file has it: leave {name} out.")
    if options.tile is None or network.tile is None or options.tile == network.tile:
        return
    if network.tile:
        raise InputError(
            f"The model takes windows of one size, which give tiles of {network.tile} pixels: "
            "leave tile out."
        )
    raise InputError(
        "The model is given whole images, since its file does not say on how many pixels around "
        "it a pixel depends, or it measures the whole: leave tile out, or load it with a halo."
    )


def sampling_options(options: PredictOptions, predictor: Predictor) -> PredictOptions | None:
    """Return options with which samples differ: by noise, else dropout, else turns; None: never."""
    if predictor.noise_channels:
        return options
    if _has(predictor.generator, nn.Dropout):
        return options.model_copy(update={"dropout": True})
    if measures_input(predictor.generator):  # each turn would be measured apart
        return None
    return options.model_copy(update={"turns": len(TURNS), "samples": len(TURNS)})


def warn_of_type(image: LazyImage, codec: Codec, stacklevel: int = 3) -> None:
    """Warn of a dtype with other intensities than were trained on, and of alpha left out."""
    for note in filter(None, (dtype_note(codec, image.dtype), image.note)):
        warnings.warn(note, UserWarning, stacklevel=stacklevel)


def warn_of_intensities(
    image: LazyImage,
    source: Codec,
    target: Codec,
    trained: tuple[Intensities, Intensities] | None,
    stacklevel: int = 3,
) -> None:
    """Warn that an image looks like a target, or lies outside the training's intensities."""
    if sentence := check_input(image, source, target, trained):
        warnings.warn(sentence, UserWarning, stacklevel=stacklevel)


def warn_of_pixel_size(
    image: LazyImage, options: PredictOptions, predictor: Predictor, stacklevel: int = 3
) -> None:
    """Warn of pixels larger or smaller than the training's, unless resampled, and of planes."""
    trained = predictor.pixel_size
    if sentence := pixel_size_note(image, options, trained):
        warnings.warn(f"{sentence} {RESAMPLE_ADVICE}", UserWarning, stacklevel=stacklevel)
    seen = predictor.z_context, predictor.ndim
    if sentence := plane_distance_note(image, options, trained, *seen):
        warnings.warn(sentence, UserWarning, stacklevel=stacklevel)


def warn_of_names(image: LazyImage, trained: Sequence[str], stacklevel: int = 3) -> None:
    """Warn that channels have other names than the training's, or another order."""
    if sentence := names_note(image.channel_names, trained):
        warnings.warn(sentence, UserWarning, stacklevel=stacklevel)


def _has(generator: nn.Module, *layers: type[nn.Module]) -> bool:
    return any(isinstance(module, layers) for module in generator.modules())
