"""Weights that a network starts from."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils import parametrize

_POWER_ITERATIONS = 15  # as many as torch takes when it makes a spectral norm

Network = TypeVar("Network", bound=nn.Module)


@torch.no_grad()
def initialise_(
    network: Network, *, std: float = 0.02, rng: torch.Generator | None = None
) -> Network:
    """Draw a network's weights as Isola et al. 2017 do, in place.

    Convolutions come from N(0, std), weights of norms from N(1, std); biases are 0. The numbers are
    drawn on the generator's device, so that one seed gives one network on every device.

    Parameters
    ----------
    network : nn.Module
        Any network of this package, spectral norm included.
    std : float
        Standard deviation.
    rng : torch.Generator, optional
        Source of the random numbers; PyTorch's global one on the CPU if there is none.

    Returns
    -------
    nn.Module
        The same network.

    Examples
    --------
    >>> network = initialise_(nn.Conv2d(1, 8, 3), rng=torch.Generator().manual_seed(0))
    >>> network.bias.abs().max().item()
    0.0
    """
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            parameter.zero_()
        else:
            mean = 1.0 if parameter.ndim == 1 else 0.0  # a vector is the weight of a norm
            parameter.copy_(mean + std * _draw(parameter, rng))
    for module in network.modules():
        if parametrize.is_parametrized(module, "weight"):
            _settle_spectral_norm(module, rng)
    return network


def _settle_spectral_norm(module: nn.Module, rng: torch.Generator | None) -> None:
    """Find the singular vectors of new weights, which were those of the old ones."""
    for name, vector in module.named_buffers():
        if name.endswith(("._u", "._v")):
            vector.copy_(functional.normalize(_draw(vector, rng), dim=0))
    was_training = module.training
    module.train()  # each look at the weight is then a step of the power iteration
    for _ in range(_POWER_ITERATIONS):
        _ = module.weight
    module.train(was_training)


def _draw(like: torch.Tensor, rng: torch.Generator | None) -> torch.Tensor:
    device = torch.device("cpu") if rng is None else rng.device
    return torch.randn(like.shape, generator=rng, device=device).to(like.device)
