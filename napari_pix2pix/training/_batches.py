"""Batches of patches on the device, and random draws that depend on given numbers alone."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from napari_pix2pix.data.patches import PatchBatch, PatchSampler

_CPU = torch.device("cpu")


@contextmanager
def seeded(*entropy: int, device: torch.device = _CPU) -> Iterator[None]:
    """Seed torch's generators of the CPU and the device from numbers, and restore them after.

    All threads share these: only compiled networks, which know no others, draw from them.
    """
    seed = _seed_of(entropy)
    # Other devices' generators are left alone: each costs time at every step.
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


def make_rng(*entropy: int, device: torch.device = _CPU) -> torch.Generator:
    """Make a generator of random numbers that are those of `seeded`, and that nobody shares."""
    return torch.Generator(device).manual_seed(_seed_of(entropy))


def _seed_of(entropy: tuple[int, ...]) -> int:
    return int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)


@dataclass(frozen=True)
class TensorBatch:
    """A batch of patches on the device, in the network's range."""

    # Of volumes there is an axis of planes before H.
    source: Tensor  # (B, P, H, W)
    target: Tensor  # (B, Q, H, W)
    valid: Tensor | None  # (B, 1 or Q, H, W) bool, False where unlabelled; None: all is labelled
    condition: Tensor  # (B,) indices of the conditions


class BatchFeed:
    """Gives the batch of each step; on an accelerator the next one is drawn in the background."""

    def __init__(
        self,
        sampler: PatchSampler,
        device: torch.device,
        memory_format: torch.memory_format,
        rank: int = 0,  # of this process, which takes its own part of each batch
    ) -> None:
        self._sampler = sampler
        self._rank = rank
        self._device = device
        self._memory_format = memory_format
        # On a CPU a background thread would only take a core from the training step.
        self._pool = None if device.type == "cpu" else ThreadPoolExecutor(max_workers=1)
        self._ahead: dict[int, Future[PatchBatch]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def draw_again(self) -> None:
        """Forget the batch that was drawn in advance, since the sampler has changed."""
        self._ahead = {}

    def batch(self, step: int) -> TensorBatch:
        """Return the batch of a step."""
        drawn = self._draw(step)
        return TensorBatch(
            source=self._send(drawn.source),
            target=self._send(drawn.target),
            valid=None if drawn.valid is None else self._send(drawn.valid),
            condition=torch.from_numpy(drawn.condition).to(self._device),
        )

    def _draw(self, step: int) -> PatchBatch:
        if self._pool is None:
            return self._sampler.batch(step, self._rank)
        batch = self._ahead.pop(step, None) or self._submit(self._pool, step)
        self._ahead = {step + 1: self._submit(self._pool, step + 1)}
        return batch.result()

    def _submit(self, pool: ThreadPoolExecutor, step: int) -> Future[PatchBatch]:
        return pool.submit(self._sampler.batch, step, self._rank)

    def _send(self, planes: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(planes).contiguous(memory_format=self._memory_format)
        return tensor.to(self._device, non_blocking=True)
