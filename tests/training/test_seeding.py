"""Draws that depend on given numbers alone."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest
import torch

from napari_pix2pix.training.seeding import seeded


def test_seeded_draws_depend_on_all_of_its_entropy_and_leave_no_trace() -> None:
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


def test_seeded_touches_no_other_device(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("a GPU's generator was used")

    for name in ("get_rng_state", "set_rng_state", "manual_seed", "manual_seed_all"):
        monkeypatch.setattr(torch.cuda, name, refuse)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    with seeded(1):
        torch.rand(1)


def test_seeded_on_a_gpu_touches_that_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[Any] = []
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
