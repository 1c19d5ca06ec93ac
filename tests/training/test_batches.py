from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from napari_pix2pix.pairs.patches import PatchBatch
from napari_pix2pix.training.batches import BatchFeed


class Sampler:
    """Draws batches that hold their step, and remembers in which threads."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def batch(self, step: int, part: int) -> PatchBatch:
        self.threads.append(threading.current_thread().name)
        planes = np.full((2, 3, 4, 4), step, np.float32)
        return PatchBatch(planes, planes[:, :1], planes[:, :1] > 0, np.full(2, step))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_batches_come_laid_out_for_their_step(memory_format: torch.memory_format) -> None:
    with BatchFeed(Sampler(), torch.device("cpu"), memory_format) as feed:  # type: ignore[arg-type]
        for step in (0, 1, 7):
            batch = feed.batch(step)
            assert batch.source.is_contiguous(memory_format=memory_format)
            assert batch.source.shape == (2, 3, 4, 4)
            assert (batch.source == step).all()
            assert batch.valid is not None
            assert batch.valid.dtype == torch.bool
            assert batch.condition.tolist() == [step, step]


def test_a_cpu_draws_in_line() -> None:
    sampler = Sampler()
    with BatchFeed(sampler, torch.device("cpu"), torch.contiguous_format) as feed:  # type: ignore[arg-type]
        feed.batch(0)
    assert sampler.threads == [threading.current_thread().name]


def test_an_accelerator_has_the_next_batch_drawn_meanwhile() -> None:
    # The meta device stands for one: it takes tensors and is not the CPU.
    before = set(threading.enumerate())
    sampler = Sampler()
    with BatchFeed(sampler, torch.device("meta"), torch.channels_last) as feed:  # type: ignore[arg-type]
        for step in range(3):
            feed.batch(step)
    assert len(sampler.threads) == 4  # steps 0 to 3
    assert threading.current_thread().name not in sampler.threads
    assert set(threading.enumerate()) == before
