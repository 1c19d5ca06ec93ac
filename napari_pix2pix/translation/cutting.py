"""How an image is cut: block, tile, halo, ramp and batch, by free memory and by cost."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from napari_pix2pix.translation.memory import (
    choose_tile,
    estimate_bytes_per_pixel,
    fit_to_memory,
    free_memory,
)
from napari_pix2pix.translation.tiles import TileGrid

# Windows that are larger than their tiles by more than this factor are too dear to be exact.
DEAR = 8.0
_BLOCK_BYTES = 1 << 30  # of which a block takes half: more would hardly be faster


def cut_image(
    network: nn.Module,
    channels: int,
    grid: TileGrid,
    *,
    device: torch.device | str,
    tile: int | None = None,
    batch: int | None = None,
    halo: int | None = None,
) -> tuple[TileGrid, int]:
    """Choose what was left open of how an image is cut.

    Parameters
    ----------
    network, channels, device, tile, batch
        As for `fit_to_memory`.
    grid : TileGrid
        The image, the stride, the exact halo and the least size.
    halo : int, optional
        Context of a tile in pixels; less than the exact one has tiles blended. None is the exact
        one, halved until a window is no more than `DEAR` times as large as its tile.

    Returns
    -------
    grid : TileGrid
        With tile, halo and ramp.
    batch : int
        Tiles at once.
    """
    cuts = []
    for trial in _halos(grid, halo):
        side, at_once = fit_to_memory(
            network, channels, trial, device=device, tile=tile, batch=batch
        )
        cut = replace(trial, tile=side)
        if cut.whole:
            return replace(grid, tile=0), at_once
        if cut.cost <= DEAR:
            return cut, at_once
        cuts.append((cut, at_once))
    return min(cuts, key=lambda one: one[0].cost)


def block_side(
    network: nn.Module, channels: int, grid: TileGrid, *, device: torch.device | str
) -> int:
    """Choose the side of blocks that are read, translated and written apart.

    Parameters
    ----------
    network, channels, device
        As for `fit_to_memory`.
    grid : TileGrid
        The image, the stride, the exact halo and the least size.

    Returns
    -------
    int
        In pixels; 0 where the whole image is a block. A window of the network takes half a GB,
        or more where its block would be less than twice the halo: there, it has four times the
        block's pixels.
    """
    side = max(2 * grid.stride, grid.least)
    each = estimate_bytes_per_pixel(network, channels, side=side)
    free = free_memory(device)
    block, most = (
        choose_tile(grid, bytes_per_pixel=each, free_bytes=bytes_)
        for bytes_ in (min(free, _BLOCK_BYTES), free)
    )
    enough = 2 * grid.halo
    return block if not 0 < block < enough else min(most or enough, enough)


def _halos(grid: TileGrid, wanted: int | None) -> list[TileGrid]:
    cells, exact = (-(-pixels // grid.stride) for pixels in (wanted or grid.halo, grid.halo))
    tried = [min(cells, exact)]
    while wanted is None and tried[-1] > 1:
        tried.append(tried[-1] // 2)
    return [grid if one == exact else _with_halo(grid, one * grid.stride) for one in tried]


def _with_halo(grid: TileGrid, halo: int) -> TileGrid:
    return replace(grid, halo=halo, ramp=halo)  # tiles fade over all that they overlap
