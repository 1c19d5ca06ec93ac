"""Weights in a file, compared with what its header says of them before any network is built.

A header can claim a network of any size. Its layers, its width and its planes are first held
against the number of the weights and the lengths of their axes, which are as real as the file is
large. Then names and shapes are compared, without memory for them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.core.encoder import feature_layer
from napari_pix2pix.errors import FileError
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.training.state import part_of, plan_discriminator, plan_generator

_GENERATORS = "generator", "averaged", "best"
_DISCRIMINATOR, _USUAL = "discriminator", "usual"
_OPTIMIZERS = {"optimizer_g": "generator", "optimizer_d": _DISCRIMINATOR}
_MOMENTS = "step", "exp_avg", "exp_avg_sq"
_SHOWN = 2  # names in a message


def check_weights(tensors: Mapping[str, Tensor], info: ModelInfo, path: Path) -> None:
    """Raise a `FileError` where weights are not finite or not those that the header describes."""
    parts = {name: part_of(tensors, name) for name in (*_GENERATORS, _DISCRIMINATOR, _USUAL)}
    if not any(parts[name] for name in _GENERATORS):
        raise _misfit(path, "it holds no generator")
    if bool(parts[_DISCRIMINATOR]) != info.has_discriminator:
        raise _misfit(path, "its header and its weights disagree about a discriminator")
    for name in _GENERATORS:
        if parts[name]:
            _check_size(path, parts[name], _generator_claims(info))
            _check_shapes(path, parts[name], lambda: _planned_generator(info))
    if parts[_DISCRIMINATOR]:
        _check_size(path, parts[_DISCRIMINATOR], _discriminator_claims(info))
        _check_shapes(path, parts[_DISCRIMINATOR], lambda: _planned_discriminator(info))
    if info.unlike is not None:
        with torch.device("meta"):
            features = feature_layer(_planned_generator(info)).out_channels
        _check_usual(path, parts[_USUAL], features)
    for name, part in parts.items():
        _check_finite(path, name, part)


def check_moments(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Raise a `FileError` where Adam's moments in a checkpoint are not those of its weights."""
    for optimizer, network in _OPTIMIZERS.items():
        weights, moments = part_of(tensors, network), part_of(tensors, optimizer)
        _check_finite(path, optimizer, moments)
        owners = {name.rpartition(".")[0] for name in moments}
        shapes = {
            f"{name}.{key}": _moment_shape(weights, name, key)
            for name in owners
            for key in _MOMENTS
        }
        # Adam computes in the type of its weights.
        given = {
            name: tuple(moment.shape) if moment.is_floating_point() else None
            for name, moment in moments.items()
        }
        if given != shapes:
            odd = sorted(name for name in {*given, *shapes} if given.get(name) != shapes.get(name))
            raise _misfit(path, f"{optimizer}.{odd[0]} is not that of a weight")


def _moment_shape(weights: Mapping[str, Tensor], name: str, key: str) -> tuple[int, ...] | None:
    weight = weights.get(name)
    return () if key == "step" else None if weight is None else tuple(weight.shape)


def _generator_claims(info: ModelInfo) -> tuple[int, list[int]]:
    """Return the fewest weights that a generator of this config has, and lengths of their axes."""
    config, planes = info.config, info.planes
    layers = config.blocks if config.generator == "resnet" else config.depth
    return 2 * layers, [config.width, planes.generator_in, planes.generator_out]


def _discriminator_claims(info: ModelInfo) -> tuple[int, list[int]]:
    config = info.config
    weights = config.discriminator_scales * (config.discriminator_layers + 2)
    return weights, [config.discriminator_width, info.planes.discriminator_in]


def _check_size(path: Path, weights: Mapping[str, Tensor], claims: tuple[int, list[int]]) -> None:
    fewest, lengths = claims
    longest = max(max(weight.shape, default=0) for weight in weights.values())
    if fewest > len(weights) or max(lengths) > longest:
        raise _misfit(
            path,
            f"its header describes a network of at least {fewest} weights with "
            f"{max(lengths)} channels, and it holds {len(weights)} of up to {longest}",
        )


def _planned_generator(info: ModelInfo) -> UNet | ResNet:
    planes = info.planes
    return plan_generator(
        info.config, planes_in=planes.generator_in, planes_out=planes.generator_out
    )


def _planned_discriminator(info: ModelInfo) -> nn.Module | None:
    return plan_discriminator(info.config, planes_in=info.planes.discriminator_in)


def _check_shapes(
    path: Path, weights: Mapping[str, Tensor], plan: Callable[[], nn.Module | None]
) -> None:
    """Compare names and shapes with those of the network that is planned."""
    try:
        with torch.device("meta"):  # where tensors have a shape and no memory
            network = plan()
    except (ValueError, RuntimeError) as error:
        raise _misfit(path, str(error)) from error
    if network is None:
        raise _misfit(path, "its config has no discriminator, and it holds weights of one")
    expected = network.state_dict()
    if wrong := list(_differences(weights, expected)):
        raise _misfit(path, f"its weights are not those of its network: {'; '.join(wrong)}")


def _differences(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> Iterator[str]:
    """Describe some of what differs."""
    for what, names in (
        ("missing", expected.keys() - weights.keys()),
        ("unexpected", weights.keys() - expected.keys()),
    ):
        if names:
            yield f"{', '.join(sorted(names)[:_SHOWN])} {what}"
    for name in expected.keys() & weights.keys():
        given, wanted = weights[name], expected[name]
        if given.shape != wanted.shape:
            yield f"{name} has shape {tuple(given.shape)}, expected {tuple(wanted.shape)}"
            return
        if given.is_floating_point() != wanted.is_floating_point():
            yield f"{name} has type {given.dtype}, expected {wanted.dtype}"
            return


def _check_usual(path: Path, usual: Mapping[str, Tensor], features: int) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in usual.items()}
    axes = shapes.get("axes", ())
    if (
        shapes.keys() != {"mean", "axes"}
        or shapes["mean"] != (features,)
        or axes[1:] != (features,)
        or not all(tensor.is_floating_point() for tensor in usual.values())
    ):
        raise _misfit(path, "what is usual for its generator has other features than that")


def _check_finite(path: Path, part: str, weights: Mapping[str, Tensor]) -> None:
    for name, weight in weights.items():
        if not weight.is_floating_point():
            continue
        negative = name.endswith("running_var") and bool((weight < 0).any())
        if negative or not bool(weight.isfinite().all()):
            what = "negative variances" if negative else "values that are not finite"
            raise _misfit(path, f"{part}.{name} holds {what}")


def _misfit(path: Path, reason: str) -> FileError:
    return FileError(
        f"Can't use {path}: {reason}. Take another copy of it, or train the model again."
    )
