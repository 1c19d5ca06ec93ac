"""Dropout by place: a window drops what the whole drops there."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from napari_pix2pix.translation.dropping import PlacedDropout, dropping
from napari_pix2pix.translation.tiles import Box, Tile


def drop(box: Box, *, smaller: int = 4, seed: int = 0, probability: float = 0.25) -> Tensor:
    layer = PlacedDropout(probability, (seed, 0))
    layer.windows = [box]
    height, width = box.size
    return layer(torch.ones(1, 3, height // smaller, width // smaller))[0]


@settings(deadline=None, max_examples=25)
@given(
    top=st.integers(0, 30), left=st.integers(0, 30), height=st.integers(1, 30),
    width=st.integers(1, 30), smaller=st.sampled_from([1, 2, 8]),
)  # fmt: skip
def test_a_window_is_dropped_as_the_whole(
    top: int, left: int, height: int, width: int, smaller: int
) -> None:
    whole = drop(Box(0, 60 * smaller, 0, 60 * smaller), smaller=smaller)
    box = Box(top * smaller, (top + height) * smaller, left * smaller, (left + width) * smaller)
    cut = whole[:, top : top + height, left : left + width]
    assert torch.equal(drop(box, smaller=smaller), cut)


def test_the_mean_stays_and_a_share_is_dropped() -> None:
    dropped = drop(Box(0, 800, 0, 800))
    assert dropped.mean().item() == pytest.approx(1, abs=0.02)
    assert (dropped == 0).float().mean().item() == pytest.approx(0.25, abs=0.01)
    assert not torch.equal(dropped[0], dropped[1])
    assert not torch.equal(dropped, drop(Box(0, 800, 0, 800), seed=1))


def test_layers_are_put_back_and_differ() -> None:
    network = nn.Sequential(nn.Dropout(0.5), nn.Dropout(0.5)).eval()
    before = list(network)
    x, box = torch.ones(1, 2, 64, 64), Box(0, 64, 0, 64)
    with dropping(network, 0) as tell:
        tell([Tile(box, box)])
        both, first = network(x), network[0](x)
        assert not torch.equal(both, 2 * first)  # the second drops others than the first
    assert list(network) == before
    with dropping(network, None) as tell:
        tell([Tile(box, box)])
        assert torch.equal(network(x), x)
