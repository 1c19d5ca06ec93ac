"""Run a network over an image of any size, tile by tile, in bounded memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import takewhile
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from napari_pix2pix.core.layers import channels_last
from napari_pix2pix.data.box import Box
from napari_pix2pix.errors import ConfigError, DeviceError, is_out_of_memory
from napari_pix2pix.inference.tiling import Tile, TileGrid, reflected

FloatPlanes = NDArray[np.float32]
ReadPlanes = Callable[[slice, slice], NDArray[Any]]  # rows, columns -> (P, h, w) or (P, Z, h, w)


class TileNetwork(Protocol):
    """Maps windows (B, P, h, w) to the kept part (K, h, w) of each."""

    @property
    def device(self) -> torch.device: ...

    def __call__(self, windows: FloatPlanes, tiles: Sequence[Tile]) -> list[FloatPlanes]: ...


def iter_tiles(
    network: TileNetwork,
    read: ReadPlanes,
    grid: TileGrid,
    *,
    batch: int = 1,
    region: Box | None = None,
    first: Box | None = None,
    whole: bool = False,
    before_cut: Callable[[TileGrid], None] | None = None,
) -> Iterator[tuple[Box, FloatPlanes]]:
    """Run a network over an image and yield each part, (K, h, w), as soon as it is finished."""
    # Parts in and near `first` come first. `whole` is for a network that measures what it is given:
    # it gets the whole image, and `before_cut` is called with a new grid before that is cut because
    # memory ran out. All windows but the first are read in a thread, one batch ahead.
    if batch < 1:
        raise ConfigError(f"batch is {batch}; give the number of windows at once, 1 or more.")
    if whole and grid.tile:
        raise ConfigError(
            f"tile is {grid.tile}, but this network measures the image and needs it whole; give "
            "tile 0."
        )
    area = region or Box.of_size(grid.height, grid.width)
    pending = [Tile(Box.of_size(*grid.padded), area)] if whole else _ordered(grid, [area], first)
    warned = False
    with ThreadPoolExecutor(1) as reader:
        ahead: Future[FloatPlanes] | None = None
        while pending:
            chosen = _alike(pending[:batch])
            following = _alike(pending[len(chosen) : len(chosen) + batch])
            windows = ahead.result if ahead else partial(_read_windows, read, chosen, grid)
            ahead = reader.submit(_read_windows, read, following, grid) if following else None
            parts = None
            try:
                parts = network(windows(), chosen)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            if parts is not None:
                del pending[: len(chosen)]
                for tile, planes in zip(chosen, parts, strict=True):
                    yield tile.kept, planes
                continue
            # Out of the handler, whose traceback held on to the tensors that did not fit.
            free_cache(network.device)
            ahead = None
            smaller = None if whole and before_cut is None else grid.smaller()
            if len(chosen) == 1 and smaller is None:
                raise DeviceError(_too_large(network.device, grid))
            if before_cut is not None and whole and smaller is not None:
                before_cut(smaller)
            elif not warned:
                warnings.warn(_smaller_note(network.device, len(chosen), grid), stacklevel=2)
                warned = True
            if len(chosen) > 1:
                batch = len(chosen) // 2
            elif smaller is not None:
                grid, whole = smaller, False
                pending = _ordered(grid, [tile.kept for tile in pending], first)


def fits_in_memory(
    network: TileNetwork, read: ReadPlanes, grid: TileGrid, tiles: Sequence[Tile]
) -> bool:
    """Run a network for what its layers measure; False if memory ran out."""
    try:
        network(_read_windows(read, tiles, grid), tiles)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    else:
        return True
    free_cache(network.device)
    return False


def to_device(windows: FloatPlanes, device: torch.device) -> torch.Tensor:
    """Return windows as a tensor (B, P, h, w), laid out as convolutions are fastest."""
    return torch.from_numpy(windows).to(device, memory_format=channels_last(windows.ndim - 2))


def kept_parts(output: torch.Tensor, tiles: Sequence[Tile], wanted: Box) -> list[FloatPlanes]:
    """Cut the kept part of each tile out of what was computed of their windows."""
    # Copies: views would hold the whole batch for as long as they are used.
    crops = (tile.crop.within(wanted) for tile in tiles)
    parts = (planes[..., b.rows, b.columns] for planes, b in zip(output, crops, strict=True))
    return [np.array(part.float().cpu().numpy(), order="C") for part in parts]


def free_cache(device: torch.device) -> None:
    """Give back what PyTorch holds of a GPU's memory and does not use."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _ordered(grid: TileGrid, regions: Iterable[Box], first: Box | None) -> list[Tile]:
    tiles = [tile for region in regions for tile in grid.tiles(region)]
    return sorted(tiles, key=lambda tile: tile.kept.distance(first)) if first else tiles


def _alike(tiles: Sequence[Tile]) -> list[Tile]:
    """Return the first tiles, as far as they can be stacked; all, but after memory ran out."""
    return list(takewhile(lambda tile: tile.window.size == tiles[0].window.size, tiles))


def _read_windows(read: ReadPlanes, tiles: Sequence[Tile], grid: TileGrid) -> FloatPlanes:
    return np.stack([_read_window(read, tile.window, grid) for tile in tiles])


def _read_window(read: ReadPlanes, window: Box, grid: TileGrid) -> FloatPlanes:
    rows = reflected(window.top, window.bottom, grid.height)
    columns = reflected(window.left, window.right, grid.width)
    top, left = int(rows.min()), int(columns.min())
    block = read(slice(top, int(rows.max()) + 1), slice(left, int(columns.max()) + 1))
    block = np.asarray(block, dtype=np.float32)
    if window.bottom > grid.height:
        block = block[..., rows - top, :]
    if window.right > grid.width:
        block = block[..., columns - left]
    return block


def _too_large(device: torch.device, grid: TileGrid) -> str:
    height, width = grid.window
    return (
        f"{device} has not enough memory for a window of {height} x {width} pixels, and the image "
        "can't be cut into smaller ones; close other programs, choose another device or give a "
        "smaller image."
    )


def _smaller_note(device: torch.device, count: int, grid: TileGrid) -> str:
    height, width = grid.window
    return (
        f"{device} ran out of memory (batch {count}, windows of {height} x {width} pixels); going "
        "on in smaller pieces, with the same result. Give a smaller batch or tile next time."
    )
