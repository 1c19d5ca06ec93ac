import threading
from contextlib import nullcontext

import numpy as np
import pytest
import torch

from napari_pix2pix.data.patches import PatchBatch
from napari_pix2pix.training._batches import BatchFeed, make_rng, seeded


class Sampler:
    """Draws batches that hold their step, and remembers in which threads."""

    def __init__(self) -> None:
        self.threads: list[str] = []

    def batch(self, step: int, part: int) -> PatchBatch:
        self.threads.append(threading.current_thread().name)
        planes = np.full((2, 3, 4, 4), step, np.float32)
        return PatchBatch(planes, planes[:, :1], planes[:, :1] > 0, np.full(2, step))


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_batches_come_laid_out_for_their_step(memory_format):
    with BatchFeed(Sampler(), torch.device("cpu"), memory_format) as feed:  # type: ignore[arg-type]
        for step in (0, 1, 7):
            batch = feed.batch(step)
            assert batch.source.is_contiguous(memory_format=memory_format)
            assert batch.source.shape == (2, 3, 4, 4)
            assert (batch.source == step).all()
            assert batch.valid.dtype == torch.bool
            assert batch.condition.tolist() == [step, step]


def test_a_cpu_draws_in_line():
    sampler = Sampler()
    with BatchFeed(sampler, torch.device("cpu"), torch.contiguous_format) as feed:  # type: ignore[arg-type]
        feed.batch(0)
    assert sampler.threads == [threading.current_thread().name]


def test_an_accelerator_has_the_next_batch_drawn_meanwhile():
    # The meta device stands for one: it takes tensors and is not the CPU.
    before = set(threading.enumerate())
    sampler = Sampler()
    with BatchFeed(sampler, torch.device("meta"), torch.channels_last) as feed:  # type: ignore[arg-type]
        for step in range(3):
            feed.batch(step)
    assert len(sampler.threads) == 4  # steps 0 to 3
    assert threading.current_thread().name not in sampler.threads
    assert set(threading.enumerate()) == before


def test_seeded_draws_depend_on_all_of_its_entropy_and_leave_no_trace():
    torch.manual_seed(0)
    expected = torch.rand(2)
    torch.manual_seed(0)
    drawn = []
    for entropy in ((1, 2), (1, 2), (2, 1), (1,), (2**63 - 1, 0)):
        with seeded(*entropy):
            drawn.append(tuple(torch.rand(3).tolist()))
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) == 4
    assert torch.equal(torch.rand(2), expected)


def test_seeded_touches_no_other_device(monkeypatch):
    def refuse(*_):
        raise AssertionError("a GPU's generator was used")

    for name in ("get_rng_state", "set_rng_state", "manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with seeded(1):
        torch.rand(1)


def test_seeded_on_a_gpu_touches_that_gpu_alone(monkeypatch):
    used = []
    gpu = torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "get_rng_state", lambda device: used.append(("get", device)))
    monkeypatch.setattr(torch.cuda, "set_rng_state", lambda _, device: used.append(("set", device)))
    monkeypatch.setattr(torch.cuda, "manual_seed", lambda _: used.append("seed"))
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext(used.append(device)))
    with seeded(1, device=gpu):
        drawn = torch.rand(1)
    assert used == [("get", gpu), gpu, "seed", ("set", gpu)]
    with seeded(1):
        assert torch.equal(torch.rand(1), drawn)


def test_a_generator_of_ones_own_draws_the_same_as_seeded():
    with seeded(3, 4):
        expected = torch.rand(5)
    before = torch.get_rng_state()
    assert torch.equal(torch.rand(5, generator=make_rng(3, 4)), expected)
    assert torch.equal(torch.get_rng_state(), before)
