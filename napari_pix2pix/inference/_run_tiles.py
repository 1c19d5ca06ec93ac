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

from napari_pix2pix.errors import ConfigError, DeviceError
from napari_pix2pix.inference.memory import is_out_of_memory
from napari_pix2pix.inference.tiling import Box, Tile, TileGrid

Planes = NDArray[np.float32]
Read = Callable[[slice, slice], NDArray[Any]]
Tell = Callable[[Sequence[Tile]], None]


class Network(Protocol):
    """What maps windows (B, P, h, w) to these rows and columns of (B, K, h, w)."""

    def __call__(self, x: torch.Tensor, rows: slice, columns: slice) -> torch.Tensor:
        """Return (B, K, rows, columns)."""


def put_together(
    pieces: Iterable[tuple[slice, slice, NDArray[Any]]],
    height: int,
    width: int,
    *,
    on_tile: Callable[[int, int], object] | None = None,
) -> NDArray[Any]:
    """Put the parts of an image together.

    Parameters
    ----------
    pieces : iterable of (rows, columns, planes)
        As `iter_tiles` yields them; they cover each pixel once.
    height, width : int
        Size of the image in pixels.
    on_tile : callable, optional
        ``on_tile(done, total)`` is called after each part with numbers of pixels. To stop early,
        raise an exception in it, or leave the loop over the pieces.

    Returns
    -------
    ndarray
        (K, H, W), in the parts' dtype.

    Raises
    ------
    DeviceError
        If there is not enough memory for the result.
    """
    result: NDArray[Any] | None = None
    done = 0
    for rows, columns, planes in pieces:
        if result is None:
            result = _empty(len(planes), height, width, planes.dtype)
        result[:, rows, columns] = planes
        done += planes[0].size
        if on_tile is not None:
            on_tile(done, height * width)
    assert result is not None  # an image has at least one tile
    return result


def mosaic(parts: Sequence[tuple[Box, Planes]]) -> tuple[Box, Planes]:
    """Put parts together that cover a rectangle; return where that is, and (K, h, w)."""
    whole = Box.around(box for box, _ in parts)
    shifted = ((box.within(whole), planes) for box, planes in parts)
    return whole, put_together(((b.rows, b.columns, planes) for b, planes in shifted), *whole.size)


def iter_tiles(
    network: Network,
    read: Read,
    *,
    height: int,
    width: int,
    stride: int,
    halo: int,
    tile: int = 0,
    batch: int = 1,
    least: int = 0,
    may_cut: bool = True,
    device: torch.device | str = "cpu",
    region: Box | None = None,
    first: Box | None = None,
    tell: Tell | None = None,
) -> Iterator[tuple[slice, slice, Planes]]:
    """Translate an image and yield each part as soon as it is finished.

    However it is cut, the result is the same, where the network's statistics are fixed (a network
    in ``eval`` mode with batch norm or no norm) and `halo` covers its receptive field. Its mode is
    the caller's choice.

    Parameters
    ----------
    network : callable
        ``network(x, rows, columns)`` takes a (B, P, h, w) float32 tensor on `device`, h and w
        multiples of `stride`, and returns these rows and columns of its (B, K, h, w). Planes that
        do not come from the image, such as a condition, are added here.
    read : callable
        ``read(rows, columns)`` returns the network's planes (P, h, w) of a part of the image. All
        but the first are read in a thread of their own, one at a time, while the network runs.
    height, width : int
        Size of the image in pixels. Where it is no multiple of the stride, it is continued by
        reflection at its bottom and right.
    stride, halo, tile, least : int
        See `TileGrid`; tile 0 runs the whole image at once.
    batch : int
        Windows given to the network at once.
    may_cut : bool
        False where the network measures its input, as with the statistics of the image, so that
        tiles would change the result: then `tile` has to be 0, and running out of memory is an
        error.
    device : torch.device or str
        Where the network is.
    region : Box, optional
        Only this part of the image, which starts on the grid of the stride.
    first : Box, optional
        Parts in and near this part of the image come first.
    tell : callable, optional
        Is told the tiles of each batch before the network is given them.

    Yields
    ------
    rows, columns : slice
        Where the part lies in the image; the parts cover each pixel once.
    planes : ndarray of float32
        (K, h, w), in the network's own range.

    Warns
    -----
    UserWarning
        Once, if memory ran out and the work goes on in smaller pieces.

    Raises
    ------
    InputError, ConfigError
        If the image has no pixel; if the tile is negative, or not 0 where it has to be, or the
        batch less than 1.
    DeviceError
        If there is not enough memory for the smallest tile, or for the whole image where it may
        not be cut.

    Examples
    --------
    >>> image = np.arange(15, dtype=np.float32).reshape(1, 3, 5)
    >>> pieces = iter_tiles(
    ...     lambda x, rows, columns: 2 * x[..., rows, columns],
    ...     lambda rows, columns: image[:, rows, columns],
    ...     height=3, width=5, stride=2, halo=0, tile=2,
    ... )
    >>> bool((put_together(pieces, 3, 5) == 2 * image).all())
    True
    """
    if batch < 1:
        raise ConfigError(f"batch is {batch}; give the number of windows at once, 1 or more.")
    if tile and not may_cut:
        raise ConfigError(
            f"tile is {tile}, but this network measures the image and needs it whole; give tile 0."
        )
    device = torch.device(device)
    grid = TileGrid(height, width, stride=stride, halo=halo, tile=tile, least=least)
    pending = _in_order(grid, [region or Box(0, height, 0, width)], first)
    warned = False
    with ThreadPoolExecutor(1) as reader:
        ahead: Future[Planes] | None = None
        while pending:
            chosen = _alike(pending[:batch])
            following = _alike(pending[len(chosen) : len(chosen) + batch])
            windows = ahead.result if ahead else partial(_read_windows, read, chosen, grid)
            ahead = None
            if tell is not None:
                tell(chosen)
            if following:
                ahead = reader.submit(_read_windows, read, following, grid)
            outputs = _run(network, windows, chosen, device)
            if outputs is not None:
                del pending[: len(chosen)]
                for piece, planes in zip(chosen, outputs, strict=True):
                    yield piece.kept.rows, piece.kept.columns, planes
                continue
            ahead = None
            smaller = grid.smaller() if may_cut else None
            if len(chosen) == 1 and smaller is None:
                raise DeviceError(_too_large(device, grid))
            if not warned:
                warnings.warn(_going_on(device, len(chosen), grid), UserWarning, stacklevel=2)
                warned = True
            if len(chosen) > 1:
                batch = len(chosen) // 2
            elif smaller is not None:
                grid = smaller
                pending = _in_order(grid, [one.kept for one in pending], first)


def run_tiles(
    network: Network,
    read: Read,
    grid: TileGrid,
    device: torch.device,
    tell: Tell,
    tiles: Sequence[Tile],
) -> bool:
    """Run the network on windows for what can be seen on its way; False if memory ran out."""
    tell(tiles)
    return _run(network, partial(_read_windows, read, tiles, grid), tiles, device) is not None


def _in_order(grid: TileGrid, regions: Iterable[Box], first: Box | None) -> list[Tile]:
    tiles = [tile for region in regions for tile in grid.tiles(region)]
    return sorted(tiles, key=lambda tile: tile.kept.distance(first)) if first else tiles


def _alike(tiles: Sequence[Tile]) -> list[Tile]:
    """Return the first tiles, as far as they can be stacked; all, but after memory ran out."""
    return list(takewhile(lambda tile: tile.window.size == tiles[0].window.size, tiles))


def _run(
    network: Network, windows: Callable[[], Planes], tiles: Sequence[Tile], device: torch.device
) -> list[Planes] | None:
    """Translate one batch and return the kept parts; None if memory ran out."""
    wanted = Box.around(tile.crop for tile in tiles)
    try:
        x = torch.from_numpy(windows())  # (B, P, h, w)
        x = x.to(device, memory_format=torch.channels_last)
        with torch.inference_mode():
            y = network(x, wanted.rows, wanted.columns)
        # Copies of the kept parts: views would hold the whole batch for as long as they are used.
        kept = (tile.crop.within(wanted) for tile in tiles)
        parts = (output[:, b.rows, b.columns] for output, b in zip(y, kept, strict=True))
        return [np.array(part.float().cpu().numpy(), order="C") for part in parts]
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
    # Out of the handler, which held on to the tensors that did not fit through its traceback.
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return None


def _read_windows(read: Read, tiles: Sequence[Tile], grid: TileGrid) -> Planes:
    return np.stack([_read_window(read, tile.window, grid) for tile in tiles])


def _read_window(read: Read, window: Box, grid: TileGrid) -> Planes:
    rows = _reflected(window.top, window.bottom, grid.height)
    columns = _reflected(window.left, window.right, grid.width)
    top, left = int(rows.min()), int(columns.min())
    block = read(slice(top, int(rows.max()) + 1), slice(left, int(columns.max()) + 1))
    block = np.asarray(block, dtype=np.float32)
    if window.bottom > grid.height:
        block = block[:, rows - top]
    if window.right > grid.width:
        block = block[:, :, columns - left]
    return block


def _reflected(start: int, stop: int, size: int) -> NDArray[np.intp]:
    """Return the pixel of the image that each pixel of the padded image shows."""
    period = max(1, 2 * (size - 1))  # there and back again, the last pixel once
    index = np.arange(start, stop) % period
    return np.minimum(index, period - index) if size > 1 else np.zeros_like(index)


def _too_large(device: torch.device, grid: TileGrid) -> str:
    height, width = grid.window
    return (
        f"{device} has not enough memory for a window of {height} x {width} pixels, and the image "
        "can't be cut into smaller ones; close other programs, choose another device or give a "
        "smaller image."
    )


def _going_on(device: torch.device, count: int, grid: TileGrid) -> str:
    height, width = grid.window
    return (
        f"{device} ran out of memory (batch {count}, windows of {height} x {width} pixels); going "
        "on in smaller pieces, with the same result. Give a smaller batch or tile next time."
    )


def _empty(channels: int, height: int, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    try:
        return np.empty((channels, height, width), dtype)
    except MemoryError:
        size = channels * height * width * dtype.itemsize / 2**30
        raise DeviceError(
            f"The result of {channels} x {height} x {width} pixels takes {size:.1f} GB, more than "
            "there is memory for; translate a part of the image at a time."
        ) from None
