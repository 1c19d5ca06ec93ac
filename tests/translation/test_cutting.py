"""How an image is cut, by the memory that is free."""

from __future__ import annotations

from typing import Any

import pytest

from napari_pix2pix.core import UNet
from napari_pix2pix.translation import cutting, memory
from napari_pix2pix.translation.cutting import block_side, cut_image
from napari_pix2pix.translation.memory import estimate_bytes_per_pixel
from napari_pix2pix.translation.tiles import TileGrid

NETWORK = UNet(1, 1, depth=5, width=2)  # stride 32, halo 64


def cut(size: int = 2000, **how: Any) -> TileGrid:
    grid = TileGrid(size, size, stride=NETWORK.stride, halo=NETWORK.halo)
    return cut_image(NETWORK, 1, grid, device="cpu", batch=1, **how)[0]


def test_windows_as_large_as_the_image_are_the_whole() -> None:
    chosen = cut(size=90, tile=32)
    assert chosen.whole
    assert chosen.tile == 0


def test_windows_fill_the_memory_with_all_of_their_halo(monkeypatch: pytest.MonkeyPatch) -> None:
    per_pixel = estimate_bytes_per_pixel(NETWORK, 1, side=64)
    for window in (640, 192):
        monkeypatch.setattr(memory, "free_memory", lambda _, n=window: 2 * per_pixel * n**2)
        assert cut().window == (window, window)
        assert cut().tile == window - 128


@pytest.mark.parametrize(
    ("free", "side"),  # of windows that fit, and of the blocks
    [
        (3000, 0),  # all of the image
        (1000, 864),
        (200, 64),  # 128 would not fit
        (4000, 0),
    ],
)
def test_blocks_fill_the_memory(monkeypatch: pytest.MonkeyPatch, free: int, side: int) -> None:
    per_pixel = estimate_bytes_per_pixel(NETWORK, 1, side=64)
    monkeypatch.setattr(cutting, "free_memory", lambda _: 2 * per_pixel * free**2)
    grid = TileGrid(2000, 2000, stride=NETWORK.stride, halo=NETWORK.halo)
    assert block_side(NETWORK, 1, grid, device="cpu") == side


def test_a_large_halo_takes_more_than_a_gigabyte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "_BLOCK_BYTES", 1 << 20)
    per_pixel = estimate_bytes_per_pixel(NETWORK, 1, side=64)
    grid = TileGrid(9000, 9000, stride=NETWORK.stride, halo=NETWORK.halo)
    sides = []
    for free in (160, 224, 2000, 20000):
        monkeypatch.setattr(cutting, "free_memory", lambda _, n=free: 2 * per_pixel * n**2)
        sides.append(block_side(NETWORK, 1, grid, device="cpu"))
    assert sides == [32, 96, 128, 128]
