"""Everything that a run is made of at one step, and its way into tensors and back."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.networks import Discriminator

Weights = dict[str, Tensor]


class TrainingState:
    """Networks, optimizers, averages and counters of a run.

    There is no random state in it: every draw derives from the seed, the step and an index.

    Parameters
    ----------
    config : TrainConfig
        The run's configuration.
    generator : torch.nn.Module
        The generator, on its device.
    discriminator : PatchDiscriminator, PixelDiscriminator, MultiScaleDiscriminator or None
        The discriminator; None when the adversarial term is off.

    Attributes
    ----------
    averaged : torch.nn.Module or None
        Running average of the generator; None when ``config.ema`` is 0.
    step : int
        Steps done.
    steps_before : int
        Steps of the model that the run began from.
    warm_up : float
        Part of the budget for which the generator does not listen to a new discriminator.
    seconds : float
        Training time so far, pauses left out.
    best : dict of str to torch.Tensor or None
        Applied weights at the best validation, whose score is ``best_score``.
    history : list of dict
        One entry per validation: epoch, step, mean losses, scores.
    """

    def __init__(
        self, config: TrainConfig, generator: UNet | ResNet, discriminator: Discriminator | None
    ) -> None:
        self.config = config
        self.generator = generator
        self.discriminator = discriminator
        self.averaged = copy.deepcopy(generator).requires_grad_(False) if config.ema else None
        self.optimizer_g = _adam(generator, config.learning_rate, config)
        self.optimizer_d = (
            _adam(discriminator, config.discriminator_learning_rate, config)
            if discriminator is not None
            else None
        )
        self.step = 0
        self.steps_before = 0
        self.warm_up = 0.0
        self.seconds = 0.0
        self.best: Weights | None = None
        self.best_score = -float("inf")
        self.history: list[dict[str, Any]] = []
        self.loss_sums: dict[str, float] = {}
        self.loss_count = 0

    @property
    def applied(self) -> UNet | ResNet:
        """The generator that is validated and applied: the average where there is one."""
        return self.generator if self.averaged is None else self.averaged

    def average(self) -> None:
        """Move the running average towards the generator, faster while it is young."""
        if self.averaged is None:
            return
        age = self.steps_before + self.step
        decay = min(self.config.ema, (1 + age) / (10 + age))
        averaged, current = self.averaged.state_dict(), self.generator.state_dict()
        with torch.no_grad():
            for name, tensor in averaged.items():
                if tensor.is_floating_point():
                    tensor.lerp_(current[name], 1 - decay)
                else:
                    tensor.copy_(current[name])

    def add_losses(self, losses: Mapping[str, float]) -> None:
        """Add a step's losses to the means of the epoch."""
        for name, value in losses.items():
            self.loss_sums[name] = self.loss_sums.get(name, 0.0) + value
        self.loss_count += 1

    def take_mean_losses(self) -> dict[str, float]:
        """Return the mean losses since the last call and begin anew."""
        count = max(self.loss_count, 1)
        means = {name: total / count for name, total in self.loss_sums.items()}
        self.loss_sums, self.loss_count = {}, 0
        return means

    def networks(self) -> dict[str, nn.Module]:
        """Name the networks by the name that their tensors carry in a file."""
        named = {
            "generator": self.generator,
            "averaged": self.averaged,
            "discriminator": self.discriminator,
        }
        return {name: network for name, network in named.items() if network is not None}

    def snapshot(self) -> Weights:
        """Copy the networks' tensors, to come back to with `restore`."""
        return {name: tensor.clone() for name, tensor in self._network_tensors()}

    def restore(self, weights: Mapping[str, Tensor]) -> None:
        """Put a `snapshot` (or the tensors of a file) back into the networks."""
        for name, network in self.networks().items():
            network.load_state_dict(part_of(weights, name))

    def is_finite(self) -> bool:
        """Whether every weight is finite; a finite loss can have a gradient that is not."""
        finite = [t.isfinite().all() for _, t in self._network_tensors() if t.is_floating_point()]
        return bool(torch.stack(finite).all())

    def keep_best(self, score: float) -> bool:
        """Keep the applied weights if ``score`` is the best so far; return whether it is."""
        if not score > self.best_score:  # nor is NaN
            return False
        self.best_score = score
        self.best = {name: tensor.clone() for name, tensor in self.applied.state_dict().items()}
        return True

    def model_tensors(self) -> Weights:
        """Tensors of the networks and the best weights, as a model file holds them."""
        best = {f"best.{name}": tensor for name, tensor in (self.best or {}).items()}
        return dict(self._network_tensors()) | best

    def tensors(self) -> Weights:
        """All tensors of a checkpoint: those of the model and the optimizers'."""
        tensors = self.model_tensors()
        for prefix, parameters, optimizer in self._optimizers():
            for name, parameter in parameters.items():
                for key, value in optimizer.state[parameter].items():
                    tensors[f"{prefix}.{name}.{key}"] = value
        return tensors

    def counters(self) -> dict[str, Any]:
        """Return what of the run is not a tensor, ready for JSON."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "best_score": self.best_score,
            "history": self.history,
            "loss_sums": self.loss_sums,
            "loss_count": self.loss_count,
        }

    def load(self, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
        """Become the state whose `tensors` and `counters` are given."""
        self.restore(tensors)
        for prefix, parameters, optimizer in self._optimizers():
            for name, parameter in parameters.items():
                saved = part_of(tensors, f"{prefix}.{name}")
                # Laid out like the parameter: the fused Adam walks raw memory.
                optimizer.state[parameter] = {
                    key: torch.empty_like(
                        parameter if value.ndim else value, device=parameter.device
                    ).copy_(value)
                    for key, value in saved.items()
                }
        # Copies: a file that is still mapped can't be replaced on Windows.
        best = {name: tensor.clone() for name, tensor in part_of(tensors, "best").items()}
        self.best = best or None
        for name in self.counters():
            setattr(self, name, counters[name])

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
    # Fused: one pass over the memory, which is most of a step of a 54-million-parameter U-Net
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
    start = f"{prefix}."
    return {
        name.removeprefix(start): tensor
        for name, tensor in tensors.items()
        if name.startswith(start)
    }
