"""How an image is cut: exact where it can be paid for, blended where not."""

from __future__ import annotations

from typing import Any

import pytest

from napari_pix2pix.core import UNet
from napari_pix2pix.translation import cutting, memory
from napari_pix2pix.translation.cutting import DEAR, block_side, cut_image
from napari_pix2pix.translation.memory import estimate_bytes_per_pixel
from napari_pix2pix.translation.tiles import TileGrid

NETWORK = UNet(1, 1, depth=5, width=2)  # stride 32, halo 64


def cut(size: int = 2000, **how: Any) -> TileGrid:
    grid = TileGrid(size, size, stride=NETWORK.stride, halo=NETWORK.halo)
    return cut_image(NETWORK, 1, grid, device="cpu", batch=1, **how)[0]


@pytest.mark.parametrize(
    ("how", "tile", "halo"),
    [
        ({"tile": 0}, 0, 64),
        ({"tile": 256}, 256, 64),
        ({"tile": 96}, 96, 64),  # windows of 224, 5.4 times as large
        ({"tile": 64}, 64, 32),  # 192 would be 9 times as large, 128 is 4 times
        ({"tile": 32}, 32, 32),  # dear in any case
        ({"tile": 32, "halo": 64}, 32, 64),
        ({"tile": 256, "halo": 1}, 256, 32),
        ({"tile": 256, "halo": 33}, 256, 64),
        ({"tile": 256, "halo": 999}, 256, 64),
    ],
)
def test_halo(how: dict[str, Any], tile: int, halo: int) -> None:
    chosen = cut(**how)
    assert (chosen.tile, chosen.halo) == (tile, halo)
    assert (chosen.ramp > 0) == (halo < NETWORK.halo)
    assert chosen.ramp <= halo


def test_windows_as_large_as_the_image_are_the_whole() -> None:
    chosen = cut(size=90, tile=32)
    assert chosen.whole
    assert (chosen.tile, chosen.ramp) == (0, 0)


def test_little_memory_makes_the_halo_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    per_pixel = estimate_bytes_per_pixel(NETWORK, 1, side=64)
    for window, halo in ((640, 64), (192, 32)):
        monkeypatch.setattr(memory, "free_memory", lambda _, n=window: 2 * per_pixel * n**2)
        chosen = cut()
        assert chosen.window == (window, window)
        assert chosen.halo == halo
        assert chosen.cost <= DEAR


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
