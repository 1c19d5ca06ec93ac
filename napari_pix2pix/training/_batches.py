"""Draws from torch's generators that depend on given numbers alone.

Batches of patches on the device, one for each step.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import numpy as np
import torch
from torch import Tensor

from napari_pix2pix.data.patches import PatchBatch, PatchSampler

_CPU = torch.device("cpu")


@contextmanager
def seeded(*entropy: int, device: torch.device = _CPU) -> Iterator[None]:
    """Draw from torch's generators as seeded by ``entropy``, and leave them as they were.

    Parameters
    ----------
    *entropy : int
        The same numbers in the same order give the same draws.
    device : torch.device
        Where is drawn beside the CPU. Generators of other devices are not touched: each costs time
        at every step.
    """
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield


@dataclass(frozen=True)
class TensorBatch:
    """A batch of patches on the device.

    Attributes
    ----------
    source, target : torch.Tensor
        (B, P, H, W) and (B, Q, H, W), network range.
    valid : torch.Tensor or None
        (B, 1 or Q, H, W) bool, False where the target is unlabelled; None when all is labelled.
    condition : torch.Tensor
        (B,) indices of the conditions.
    """

    source: Tensor
    target: Tensor
    valid: Tensor | None
    condition: Tensor


class BatchFeed:
    """Gives the batch of each step; on an accelerator the next one is drawn meanwhile.

    Parameters
    ----------
    sampler : PatchSampler
        Draws the patches.
    device : torch.device
        Where the batches go.
    memory_format : torch.memory_format
        How their planes are laid out.
    part : int
        Which part of each batch, where several processes share it.
    """

    def __init__(
        self,
        sampler: PatchSampler,
        device: torch.device,
        memory_format: torch.memory_format,
        part: int = 0,
    ) -> None:
        self._sampler = sampler
        self._part = part
        self._device = device
        self._memory_format = memory_format
        # On a CPU, drawing ahead would only take a core from the step that is being learnt.
        self._pool = None if device.type == "cpu" else ThreadPoolExecutor(max_workers=1)
        self._ahead: dict[int, Future[PatchBatch]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown()

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
            return self._sampler.batch(step, self._part)
        drawn = self._ahead.pop(step, None) or self._submit(self._pool, step)
        self._ahead = {step + 1: self._submit(self._pool, step + 1)}
        return drawn.result()

    def _submit(self, pool: ThreadPoolExecutor, step: int) -> Future[PatchBatch]:
        return pool.submit(self._sampler.batch, step, self._part)

    def _send(self, planes: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(planes).contiguous(memory_format=self._memory_format)
        return tensor.to(self._device, non_blocking=True)
