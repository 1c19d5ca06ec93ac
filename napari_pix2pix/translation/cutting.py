"""How an image is cut: block, tile and batch, by the memory that is free."""

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

_BLOCK_BYTES = 1 << 30  # of which a block takes half: more would hardly be faster


def cut_image(
    network: nn.Module,
    channels: int,
    grid: TileGrid,
    *,
    device: torch.device | str,
    tile: int | None = None,
    batch: int | None = None,
) -> tuple[TileGrid, int]:
    """Choose what was left open of how an image is cut.

    Parameters
    ----------
    network, channels, grid, device, tile, batch
        As for `fit_to_memory`.

    Returns
    -------
    grid : TileGrid
        With its tile.
    batch : int
        Tiles at once.
    """
    side, at_once = fit_to_memory(network, channels, grid, device=device, tile=tile, batch=batch)
    cut = replace(grid, tile=side)
    return (replace(grid, tile=0) if cut.whole else cut), at_once


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
