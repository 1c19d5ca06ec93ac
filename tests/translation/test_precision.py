from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_pix2pix.core import UNet
from napari_pix2pix.translation import precision
from napari_pix2pix.translation.precision import BOUND, run_network


@pytest.fixture
def network() -> UNet:
    torch.manual_seed(0)
    return UNet(1, 1, depth=3, width=8).eval()


def ran(network: UNet, planes: torch.Tensor, how: str) -> np.ndarray:
    with torch.inference_mode():
        made = run_network(network, planes, how, network)  # type: ignore[arg-type]
    assert made.dtype == torch.float32
    return made.numpy()


def test_half_is_near_and_tried_once(network: UNet) -> None:
    planes = torch.rand(2, 1, 32, 32) * 2 - 1
    full, half = ran(network, planes, "32-true"), ran(network, planes, "bf16-mixed")
    apart = np.sqrt(np.square(half - full).mean())
    assert 0 < apart <= BOUND
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    ran(network, planes, "bf16-mixed")
    assert len(calls) == 1
    ran(network, planes, "32-true")
    assert len(calls) == 2


def test_what_is_too_far_stays_in_full_precision(
    network: UNet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "BOUND", 1e-9)
    planes = torch.rand(1, 1, 32, 32)
    with pytest.warns(UserWarning, match="In half precision this model is off by .* full precis"):
        first = ran(network, planes, "bf16-mixed")
    np.testing.assert_array_equal(first, ran(network, planes, "32-true"))
    np.testing.assert_array_equal(ran(network, planes, "bf16-mixed"), first)


def test_a_single_column_at_the_bottom_is_computed_in_full_precision(network: UNet) -> None:
    ran(network, torch.rand(1, 1, 32, 32), "bf16-mixed")  # near enough
    planes = torch.rand(1, 1, 80, 8) * 2 - 1  # what the innermost level makes a column of ten
    full, half = ran(network, planes, "32-true"), ran(network, planes, "bf16-mixed")
    np.testing.assert_array_equal(half, full)
