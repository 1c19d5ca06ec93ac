"""Noise planes of an image and seeds of its samples: each number belongs to its pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from napari_pix2pix.translation.tiles import overlap

NoiseKind = Literal["image", "pixel"]
ReadWindow = Callable[[slice, slice], np.ndarray]

_BLOCK = 64  # pixels; another number gives other noise


def noise_reader(kind: NoiseKind, channels: int, seed: int) -> ReadWindow:
    """Return a function that reads the noise planes of any window of an image.

    However windows are cut, a pixel has the same noise in all of them.

    Parameters
    ----------
    kind : {"image", "pixel"}
        One normal number per plane and image, or one per plane and pixel.
    channels : int
        Number of planes.
    seed : int
        The same seed gives the same noise, on any device.

    Returns
    -------
    callable
        ``read(rows, columns)`` gives float32 (channels, h, w); slices of step 1 from 0 on, which
        may be any number of pixels away from the image.

    Examples
    --------
    >>> read = noise_reader("pixel", 2, seed=0)
    >>> whole = read(slice(0, 100), slice(0, 90))
    >>> bool((read(slice(50, 80), slice(60, 90)) == whole[:, 50:80, 60:90]).all())
    True
    """
    if kind == "pixel":
        return lambda rows, columns: _pixels(channels, seed, rows, columns)
    vector = np.random.default_rng(seed).standard_normal(channels, np.float32)

    def read(rows: slice, columns: slice) -> np.ndarray:
        size = rows.stop - rows.start, columns.stop - columns.start
        return np.broadcast_to(vector[:, np.newaxis, np.newaxis], (channels, *size))

    return read


def sample_seed(seed: int, number: int) -> int:
    """Return the seed of one of several samples; the first has the seed of the call itself.

    Parameters
    ----------
    seed : int
        Seed of the call.
    number : int
        Which sample, from 0 on; how many there are does not matter.
    """
    if number == 0:
        return seed
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])


def read_blocks(
    draw: Callable[[int, int], np.ndarray], side: int, channels: int, rows: slice, columns: slice
) -> np.ndarray:
    """Cut a window out of blocks that are drawn by their place alone.

    Parameters
    ----------
    draw : callable
        ``draw(i, j)`` gives float32 (channels, side, side) of block i from the top, j from the
        left.
    side : int
        Height and width of a block.
    channels : int
    rows, columns : slice
        As for a `noise_reader`.

    Returns
    -------
    numpy.ndarray
        float32 (channels, h, w).
    """
    window = np.empty((channels, rows.stop - rows.start, columns.stop - columns.start), np.float32)
    for i in range(rows.start // side, -(-rows.stop // side)):
        for j in range(columns.start // side, -(-columns.stop // side)):
            block = slice(i * side, (i + 1) * side), slice(j * side, (j + 1) * side)
            inside, here = zip(*map(overlap, block, (rows, columns)), strict=True)
            window[:, *here] = draw(i, j)[:, *inside]
    return window


def _pixels(channels: int, seed: int, rows: slice, columns: slice) -> np.ndarray:
    def draw(i: int, j: int) -> np.ndarray:
        shape = channels, _BLOCK, _BLOCK
        return np.random.default_rng([seed, i, j]).standard_normal(shape, np.float32)

    return read_blocks(draw, _BLOCK, channels, rows, columns)
