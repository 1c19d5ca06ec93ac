"""The state of a run at one step: networks, optimizers, averages, counters; as tensors and back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from napari_pix2pix.core import (
    MultiScaleDiscriminator,
    PatchDiscriminator,
    PixelDiscriminator,
    ResNet,
    UNet,
    initialise_,
    make_discriminator,
    make_generator,
)
from napari_pix2pix.core.layers import channels_last
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.history import EpochRecord
from napari_pix2pix.training.model_info import NetworkPlanes

Discriminator = PatchDiscriminator | PixelDiscriminator | MultiScaleDiscriminator
Weights = dict[str, Tensor]


def plan_generator(config: TrainConfig, *, planes_in: int, planes_out: int) -> UNet | ResNet:
    """Build the generator of a config for weights that are loaded afterwards."""
    return make_generator(
        config.generator,
        planes_in,
        planes_out,
        depth=config.depth,
        blocks=config.blocks,
        width=config.width,
        norm=config.norm,
        dropout=config.dropout,
        dropout_placement=config.dropout_placement,
        upsampling=config.upsampling,
        activation=config.activation,
        bias=config.bias,
        ndim=config.ndim,
        plane_levels=config.plane_levels or 0,
    )


def build_generator(config: TrainConfig, *, planes_in: int, planes_out: int) -> UNet | ResNet:
    """Build the generator of a config, its weights drawn from the seed."""
    generator = plan_generator(config, planes_in=planes_in, planes_out=planes_out)
    return initialise_(generator, rng=torch.Generator().manual_seed(config.seed))


def plan_discriminator(config: TrainConfig, *, planes_in: int) -> Discriminator | None:
    """Build a discriminator for weights that are loaded; None without an adversarial term."""
    if config.adversarial_weight == 0:
        return None
    return make_discriminator(
        planes_in,
        layers=config.discriminator_layers,
        width=config.discriminator_width,
        norm=config.discriminator_norm or config.norm,
        scales=config.discriminator_scales,
        spectral_norm=config.spectral_norm,
        bias=config.bias,
        ndim=config.ndim,
        plane_levels=config.plane_levels or 0,
    )


def build_discriminator(config: TrainConfig, *, planes_in: int) -> Discriminator | None:
    """Build the discriminator of a config; None when the adversarial term is off."""
    discriminator = plan_discriminator(config, planes_in=planes_in)
    if discriminator is None:
        return None
    # Not the generator's stream, so that the generator's depth does not change these weights.
    return initialise_(discriminator, rng=torch.Generator().manual_seed(config.seed + 1))


def build_networks(
    config: TrainConfig, planes: NetworkPlanes
) -> tuple[UNet | ResNet, Discriminator | None]:
    """Build both networks of a training."""
    generator = build_generator(
        config, planes_in=planes.generator_in, planes_out=planes.generator_out
    )
    return generator, build_discriminator(config, planes_in=planes.discriminator_in)


def generator_format(device: torch.device, ndim: int = 2) -> torch.memory_format:
    """Return the memory format in which a generator of images or volumes trains fastest."""
    # Convolutions are fastest in channels last, but on a CPU the gradients of transposed ones lose
    # more by it than all else wins (some 15 % of a step at batch 8).
    return torch.contiguous_format if device.type == "cpu" else channels_last(ndim)


_Count: TypeAlias = Annotated[int, Field(ge=0, le=10**12)]


@dataclass(frozen=True)
class Counters:
    """What a run counts, beside its tensors."""

    step: _Count  # steps done
    seconds: Annotated[float, Field(ge=0, le=1e12)]  # training time, without pauses
    best_score: float  # of the best validation so far; minus infinity before the first
    history: tuple[EpochRecord, ...]
    loss_sums: Mapping[str, float]  # since the last epoch
    loss_count: _Count  # steps since then


class TrainingState:
    """Networks on their device, optimizers, averages and counters of a run.

    It holds no random state: every draw derives from the seed, the step and an index.
    """

    def __init__(
        self, config: TrainConfig, generator: UNet | ResNet, discriminator: Discriminator | None
    ) -> None:
        self.config = config
        self.generator = generator
        self.discriminator = discriminator
        # Exponential moving average of the generator.
        self.averaged = copy.deepcopy(generator).requires_grad_(False) if config.ema else None
        self.optimizer_g = _adam(generator, config.learning_rate, config)
        self.optimizer_d = (
            _adam(discriminator, config.discriminator_learning_rate, config)
            if discriminator is not None
            else None
        )
        self.step = 0  # steps done
        self.steps_before = 0  # steps of the pretrained model
        self.warm_up = 0.0  # fraction of the budget in which a new discriminator learns alone
        self.seconds = 0.0  # training time, without pauses
        self.best: Weights | None = None  # applied weights at the best validation
        self.best_score = -float("inf")
        # Of the training targets, see `find_warps`; None before they are sought.
        self.warps: Weights | None = None
        self.history: list[dict[str, Any]] = []  # per epoch: step, epoch, mean losses, scores
        self.loss_sums: dict[str, float] = {}
        self.loss_count = 0

    @property
    def applied(self) -> UNet | ResNet:
        """The generator that is validated and applied: the average if there is one."""
        return self.generator if self.averaged is None else self.averaged

    def average(self) -> None:
        """Update the running average of the generator, faster in the first steps."""
        if self.averaged is None:
            return
        steps = self.steps_before + self.step
        decay = min(self.config.ema, (1 + steps) / (10 + steps))
        averaged, current = self.averaged.state_dict(), self.generator.state_dict()
        with torch.no_grad():
            for name, tensor in averaged.items():
                if tensor.is_floating_point():
                    tensor.lerp_(current[name], 1 - decay)
                else:
                    tensor.copy_(current[name])

    def add_losses(self, losses: Mapping[str, float]) -> None:
        """Add a step's losses to the epoch's sums."""
        for name, value in losses.items():
            self.loss_sums[name] = self.loss_sums.get(name, 0.0) + value
        self.loss_count += 1

    def take_mean_losses(self) -> dict[str, float]:
        """Return the mean losses since the last call, and reset them."""
        count = max(self.loss_count, 1)
        means = {name: total / count for name, total in self.loss_sums.items()}
        self.loss_sums, self.loss_count = {}, 0
        return means

    def networks(self) -> dict[str, nn.Module]:
        """Return the networks by the prefix of their tensors in a file."""
        networks = {
            "generator": self.generator,
            "averaged": self.averaged,
            "discriminator": self.discriminator,
        }
        return {name: network for name, network in networks.items() if network is not None}

    def snapshot(self) -> Weights:
        """Copy the networks' tensors, for `restore`."""
        return {name: tensor.clone() for name, tensor in self._network_tensors()}

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Load a `snapshot` (or the tensors of a file) into the networks."""
        for name, network in self.networks().items():
            network.load_state_dict(part_of(weights, name))

    def is_finite(self) -> bool:
        """Tell whether every weight is finite; a finite loss can have a gradient that is not."""
        finite = [t.isfinite().all() for _, t in self._network_tensors() if t.is_floating_point()]
        return bool(torch.stack(finite).all())

    def keep_best(self, score: float) -> bool:
        """Keep the applied weights if ``score`` is the best so far; return whether it is."""
        if not score > self.best_score:  # NaN is never the best
            return False
        self.best_score = score
        self.best = {name: tensor.clone() for name, tensor in self.applied.state_dict().items()}
        return True

    def model_tensors(self) -> Weights:
        """Return the tensors of the networks and the best weights, as a model file holds them."""
        best = {f"best.{name}": tensor for name, tensor in (self.best or {}).items()}
        return dict(self._network_tensors()) | best

    def tensors(self) -> Weights:
        """Return all tensors of a checkpoint: the model's and the optimizers'."""
        tensors = self.model_tensors()
        tensors |= {f"warps.{name}": tensor for name, tensor in (self.warps or {}).items()}
        for prefix, parameters, optimizer in self._optimizers():
            for name, parameter in parameters.items():
                for key, value in optimizer.state[parameter].items():
                    tensors[f"{prefix}.{name}.{key}"] = value
        return tensors

    def counters(self) -> Counters:
        """Return the counters of a checkpoint."""
        return Counters(
            self.step,
            self.seconds,
            self.best_score,
            tuple(EpochRecord(**record) for record in self.history),
            dict(self.loss_sums),
            self.loss_count,
        )

    def load(self, tensors: Mapping[str, Tensor], counters: Counters) -> None:
        """Load the `tensors` and `counters` of a checkpoint."""
        self.restore(tensors)
        for prefix, parameters, optimizer in self._optimizers():
            for name, parameter in parameters.items():
                saved = part_of(tensors, f"{prefix}.{name}")
                # In the parameter's memory layout: the fused Adam walks raw memory.
                optimizer.state[parameter] = {
                    key: torch.empty_like(
                        parameter if value.ndim else value, device=parameter.device
                    ).copy_(value)
                    for key, value in saved.items()
                }
        # Copies: a file that is still mapped can't be replaced on Windows.
        best = {name: tensor.clone() for name, tensor in part_of(tensors, "best").items()}
        self.best = best or None
        warps = {name: tensor.clone() for name, tensor in part_of(tensors, "warps").items()}
        self.warps = warps or None
        self.step, self.seconds = counters.step, counters.seconds
        self.best_score = counters.best_score
        self.history = [
            {name: value for name, value in vars(record).items() if value is not None}
            for record in counters.history
        ]
        self.loss_sums, self.loss_count = dict(counters.loss_sums), counters.loss_count

    def _network_tensors(self) -> Iterator[tuple[str, Tensor]]:
        for prefix, network in self.networks().items():
            for name, tensor in network.state_dict().items():
                yield f"{prefix}.{name}", tensor

    def _optimizers(
        self,
    ) -> Iterator[tuple[str, dict[str, nn.Parameter], torch.optim.Optimizer]]:
        yield "optimizer_g", dict(self.generator.named_parameters()), self.optimizer_g
        if self.discriminator is not None and self.optimizer_d is not None:
            yield "optimizer_d", dict(self.discriminator.named_parameters()), self.optimizer_d


def _adam(network: nn.Module, rate: float, config: TrainConfig) -> torch.optim.Adam:
    # Fused: one pass over the memory, which takes most of a step of a 54-million-parameter U-Net
    # at batch 1.
    device = next(network.parameters()).device
    return torch.optim.Adam(
        network.parameters(),
        lr=rate,
        betas=(config.beta1, config.beta2),
        fused=device.type in ("cpu", "cuda", "mps"),
    )


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> Weights:
    """Return the tensors below ``prefix``, without it."""
    prefix = f"{prefix}."
    return {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
