"""Four rival recipes in the small, written from their papers, fed by the very patches of ours.

- ``fnet``: U-Net of four halvings, mean squared error, Adam at 1e-3 (Ounkomol et al. 2018).
- ``care``: U-Net of two halvings with 5x5 convolutions that predicts a correction of the source,
  mean absolute error, Adam at 4e-4 (Weigert et al. 2018).
- ``unext``: a ConvNeXt encoder with a pixel-shuffle decoder, L1, AdamW with warm-up (VisCy, Liu et
  al. 2025), and with it a modern GAN: non-saturating loss, lazy R1, averaged weights, spectral norm
  at two scales.

The PyTorch implementation's recipe is our preset ``reference``.
"""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.dataset import TrainingData, prepare

STRIDE = 32  # sides of an image are padded to multiples of this


@dataclass(frozen=True)
class Rival:
    """A recipe: its network, its loss, and its optimiser with the rate at a progress."""

    network: Callable[[int, int], nn.Module]  # planes in, planes out
    loss: Callable[[Tensor, Tensor], Tensor]
    optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer]
    rate: Callable[[float], float]  # factor of the learning rate at a progress in [0, 1]
    adversarial: bool = False


def train_rival(
    rival: Rival, pairs: list[Pair], config: TrainConfig
) -> tuple[TrainingData, nn.Module, int]:
    """Train until the seconds of `config` are used; the patches are drawn as ours are."""
    began = time.perf_counter()
    torch.manual_seed(config.seed)
    data = prepare(pairs, config)
    network = rival.network(data.planes.generator_in, data.planes.generator_out)
    optimizer = rival.optimizer(list(network.parameters()))
    first_rates = [group["lr"] for group in optimizer.param_groups]
    gan = _Gan(data.planes.discriminator_in) if rival.adversarial else None
    average, step = copy.deepcopy(network), 0
    while (progress := _progress(config, step, began)) < 1:
        for group, first in zip(optimizer.param_groups, first_rates, strict=True):
            group["lr"] = first * rival.rate(progress)
        batch = data.sampler.batch(step)
        source, target = torch.from_numpy(batch.source), torch.from_numpy(batch.target)
        output = network(source)
        loss = rival.loss(output, target)
        if gan is not None:
            loss = loss + gan(source, target, output, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if gan is not None:
            for mean, new in zip(
                average.state_dict().values(), network.state_dict().values(), strict=True
            ):
                mean.copy_(mean.lerp(new, 0.005) if mean.is_floating_point() else new)
    return data, (network if gan is None else average).eval(), step


def _progress(config: TrainConfig, step: int, began: float) -> float:
    if config.steps:
        return step / config.steps
    assert config.max_seconds is not None
    return (time.perf_counter() - began) / config.max_seconds


@torch.inference_mode()
def apply_rival(network: nn.Module, planes: Tensor) -> Tensor:
    """Translate (1, P, H, W) at once, padded by reflection to whole strides."""
    height, width = planes.shape[-2:]
    below, right = -height % STRIDE, -width % STRIDE
    padded = F.pad(planes, (0, right, 0, below), mode="reflect")
    result: Tensor = network(padded)[..., :height, :width]
    return result


class PlainUNet(nn.Module):
    """A U-Net of blocks: two convolutions a level, and skips that are concatenated."""

    def __init__(
        self, inputs: int, outputs: int, *, depth: int, width: int, kernel: int, norm: bool
    ) -> None:
        super().__init__()

        def block(first: int, last: int) -> nn.Sequential:
            layers: list[nn.Module] = []
            for planes in (first, last):
                layers.append(nn.Conv2d(planes, last, kernel, padding=kernel // 2))
                layers += [nn.BatchNorm2d(last)] if norm else []
                layers.append(nn.ReLU(inplace=True))
            return nn.Sequential(*layers)

        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(
            block(a, b) for a, b in zip([inputs, *widths], widths, strict=False)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in widths[:-1])
        self.merge = nn.ModuleList(block(2 * w, w) for w in widths[:-1])
        self.last = nn.Conv2d(width, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H, W)."""
        kept = []
        for level, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if level else x)
            kept.append(x)
        for level in range(len(self.up) - 1, -1, -1):
            x = self.merge[level](torch.cat([self.up[level](x), kept[level]], 1))
        output: Tensor = self.last(x)
        return output


class Care(PlainUNet):
    """CARE's U-Net; it predicts what is to be added to the source if both have as many planes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, depth=2, width=32, kernel=5, norm=False)
        self.residual = inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H, W)."""
        output = super().forward(x)
        return x + output if self.residual else output


class ConvNeXtBlock(nn.Module):
    """A 7x7 depthwise convolution and two pointwise ones beside the identity (Liu et al. 2022)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.GroupNorm(1, width)
        self.widen = nn.Conv2d(width, 4 * width, 1)
        self.narrow = nn.Conv2d(4 * width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H, W)."""
        output: Tensor = x + self.narrow(F.gelu(self.widen(self.norm(self.mix(x)))))
        return output


class UNext(nn.Module):
    """ConvNeXt encoder, decoder by pixel shuffle, skips that are concatenated."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        widths = [24, 48, 96, 192]
        self.stem = nn.Conv2d(inputs, widths[0], 4, 4)
        self.stages = nn.ModuleList(
            nn.Sequential(ConvNeXtBlock(w), ConvNeXtBlock(w)) for w in widths
        )
        self.down = nn.ModuleList(nn.Conv2d(a, b, 2, 2) for a, b in itertools.pairwise(widths))
        self.up = nn.ModuleList(
            nn.Sequential(nn.Conv2d(b, 4 * a, 1), nn.PixelShuffle(2))
            for a, b in itertools.pairwise(widths)
        )
        self.merge = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2 * w, w, 3, padding=1), ConvNeXtBlock(w)) for w in widths[:-1]
        )
        self.head = nn.Sequential(nn.Conv2d(widths[0], 16 * 16, 1), nn.PixelShuffle(4))
        self.last = nn.Sequential(
            nn.Conv2d(16 + inputs, 16, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(16, outputs, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H, W)."""
        kept, y = [], self.stem(x)
        for level, stage in enumerate(self.stages):
            y = stage(self.down[level - 1](y) if level else y)
            kept.append(y)
        for level in (2, 1, 0):
            y = self.merge[level](torch.cat([self.up[level](y), kept[level]], 1))
        output: Tensor = self.last(torch.cat([self.head(y), x], 1))
        return output


class _Gan:
    """A discriminator at two scales, and the generator's adversarial loss against it."""

    def __init__(
        self, planes: int, weight: float = 0.01, r1: float = 10.0, every: int = 16
    ) -> None:
        self.scales = nn.ModuleList(self._patch_gan(planes) for _ in range(2))
        self.optimizer = torch.optim.Adam(self.scales.parameters(), 1e-4, betas=(0.0, 0.99))
        self.weight, self.r1, self.every = weight, r1, every

    @staticmethod
    def _patch_gan(planes: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        for first, last in ((planes, 16), (16, 32), (32, 64)):
            layers += [spectral_norm(nn.Conv2d(first, last, 4, 2, 1)), nn.LeakyReLU(0.2)]
        return nn.Sequential(*layers, spectral_norm(nn.Conv2d(64, 1, 4, 1, 1)))

    def _logits(self, pair: Tensor) -> list[Tensor]:
        return [self.scales[0](pair), self.scales[1](F.avg_pool2d(pair, 2))]

    def __call__(self, source: Tensor, target: Tensor, output: Tensor, step: int) -> Tensor:
        """Train the discriminator by one step; return the generator's loss (Goodfellow 2014)."""
        real = torch.cat([source, target], 1).requires_grad_(step % self.every == 0)
        real_logits = self._logits(real)
        fake_logits = self._logits(torch.cat([source, output.detach()], 1))
        terms = [F.softplus(-logits).mean() for logits in real_logits]
        terms += [F.softplus(logits).mean() for logits in fake_logits]
        if step % self.every == 0:
            (slope,) = torch.autograd.grad(
                sum(logits.sum() for logits in real_logits), real, create_graph=True
            )
            terms.append(
                0.5
                * self.r1
                * self.every
                * slope.square().flatten(1).sum(1).mean()
                / slope[0].numel()
            )
        self.optimizer.zero_grad()
        torch.stack(terms).sum().backward()
        self.optimizer.step()
        logits = self._logits(torch.cat([source, output], 1))
        return self.weight * torch.stack([F.softplus(-scale).mean() for scale in logits]).mean()


def _warm_cosine(progress: float) -> float:
    if progress < 0.05:
        return progress / 0.05
    return 0.5 * (1 + math.cos(math.pi * (progress - 0.05) / 0.95))


def _plateaus(progress: float) -> float:
    """Halve the rate three times, as CARE's reduction on a plateau comes to in practice."""
    return 0.5 ** int(4 * progress)


def _fnet(inputs: int, outputs: int) -> nn.Module:
    return PlainUNet(inputs, outputs, depth=4, width=32, kernel=3, norm=True)


RIVALS = {
    "fnet": Rival(
        _fnet, F.mse_loss, lambda p: torch.optim.Adam(p, 1e-3, betas=(0.5, 0.999)), lambda _: 1.0
    ),
    "care": Rival(Care, F.l1_loss, lambda p: torch.optim.Adam(p, 4e-4), _plateaus),
    "unext": Rival(UNext, F.l1_loss, lambda p: torch.optim.AdamW(p, 1e-3), _warm_cosine),
    "unext gan": Rival(UNext, F.l1_loss, lambda p: torch.optim.AdamW(p, 1e-3), _warm_cosine, True),
}
