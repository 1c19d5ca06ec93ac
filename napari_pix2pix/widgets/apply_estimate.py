"""How long applying will take and how much memory, from what is known so far."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.planes import Planes
from napari_pix2pix.translation.tiles import TileGrid
from napari_pix2pix.widgets.apply_card import Card
from napari_pix2pix.widgets.apply_work import Job, Speed, tile_side
from napari_pix2pix.widgets.pace import in_time_units

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator

_ENCODING = 1 / 3  # of the work, about: what is done on the halo too


def estimate(
    card: Card,
    jobs: Sequence[Job],
    planes: Sequence[Planes],
    *,
    measured: float | None,
    trial: Speed | None,
    tile: int | None,
    samples: int = 1,
) -> str:
    """Say what a run will cost.

    Parameters
    ----------
    card : Card
    jobs : sequence of Job
    planes : sequence of Planes
        The jobs' images.
    measured : float, optional
        Pixels per second of the last run.
    trial : Speed, optional
        What a trial told.
    tile : int, optional
        Side of the tiles in pixels; 0 where images go through the network as a whole.
    samples : int
        How often they do; of several, mean and deviation are kept as float32.

    Returns
    -------
    str
        Such as "4.2 Mpx, about 12 s; results 8.4 MB, network about 600 MB."
    """
    pairs = list(zip(jobs, planes, strict=True))
    pixels = [
        len(job.frames) * (job.region.pixels if job.region else one.height * one.width)
        for job, one in pairs
    ]
    results = sum(
        one.frames * one.height * one.width * _bytes_per_pixel(card.makes(one.dtype), samples)
        for one in planes
    )
    total = sum(pixels)
    said = f"{total / 1e6:.2g} Mpx" if total < 1e7 else f"{total / 1e6:.0f} Mpx"
    grids = [] if trial is None else [_grid(trial.translator, one, tile) for one in planes]
    seconds = None
    if measured:
        seconds = total / measured
    elif trial is not None:
        work = sum(count * _cost(grid) for count, grid in zip(pixels, grids, strict=True))
        seconds = work / trial.pixels_per_second
    if seconds is not None:
        said += f", about {in_time_units(samples * seconds)}"
    said += f"; results {in_bytes(results)}"
    if trial is not None:
        window = max(prod(grid.window) for grid in grids)
        said += f", network about {in_bytes(window * trial.bytes_per_pixel)}"
    return f"{said}."


def in_bytes(count: float) -> str:
    """Say a size in memory.

    Examples
    --------
    >>> in_bytes(3_400_000), in_bytes(2.5e9)
    ('3.4 MB', '2.5 GB')
    """
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.1f} MB" if count < 1e7 else f"{count / 1e6:.0f} MB"


def _bytes_per_pixel(codec: Codec, samples: int) -> int:
    return codec.channels * (np.dtype(codec.dtype).itemsize if samples == 1 else 8)


def _grid(translator: Translator, planes: Planes, tile: int | None) -> TileGrid:
    from napari_pix2pix.translation.inference import network_grid

    side = tile_side(translator) if tile is None else tile
    return TileGrid(planes.height, planes.width, tile=side, **network_grid(translator.generator))


def _cost(grid: TileGrid) -> float:
    """Return the work for a pixel in tiles, as a multiple of that in the whole."""
    if grid.whole:
        return 1.0
    kept = min(grid.side, grid.height) * min(grid.side, grid.width)
    return 1 + _ENCODING * (prod(grid.window) / kept - 1)
