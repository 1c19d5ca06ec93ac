"""Noise planes of an image and seeds of its samples: each number belongs to its pixel.

Dropout of which each activation's fate belongs to its place, so that tiles drop alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from napari_pix2pix.inference.norm_statistics import replaced
from napari_pix2pix.inference.tiling import Box, Tile, overlap

NoiseKind = Literal["image", "pixel"]
ReadWindow = Callable[[slice, slice], np.ndarray]

_NOISE_BLOCK = 64  # pixels; another number gives other noise


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
        shape = channels, _NOISE_BLOCK, _NOISE_BLOCK
        return np.random.default_rng([seed, i, j]).standard_normal(shape, np.float32)

    return read_blocks(draw, _NOISE_BLOCK, channels, rows, columns)


_DROPOUT_BLOCK = 16  # cells of the layer; another number drops others


class PlacedDropout(nn.Module):
    """Drops whole numbers of a layer by seed, channel and place in the image.

    Parameters
    ----------
    probability : float
        Of an activation to be dropped; the others grow so that their mean stays.
    entropy : sequence of int
        The same numbers drop the same, on any device and in any window.

    Attributes
    ----------
    windows : sequence of Box
        Where each image of the next batch lies, in pixels on the grid of the network's stride.
    """

    def __init__(self, probability: float, entropy: Sequence[int]) -> None:
        super().__init__()
        self._probability, self._entropy = probability, list(entropy)
        self.windows: Sequence[Box] = ()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same."""
        kept = np.stack([self._kept(x.shape[1], x.shape[2], window) for window in self.windows])
        mask = torch.from_numpy(kept).to(x.device, x.dtype)
        return x * mask / (1 - self._probability)

    def _kept(self, channels: int, height: int, window: Box) -> np.ndarray:
        smaller = window.size[0] // height
        rows, columns = (
            slice(span.start // smaller, span.stop // smaller)
            for span in (window.rows, window.columns)
        )

        def draw(i: int, j: int) -> np.ndarray:
            # The 1 makes them others than the numbers of noise planes, see `noise_reader`.
            rng = np.random.default_rng([*self._entropy, i, j, 1])
            shape = channels, _DROPOUT_BLOCK, _DROPOUT_BLOCK
            return rng.random(shape, np.float32) >= np.float32(self._probability)

        return read_blocks(draw, _DROPOUT_BLOCK, channels, rows, columns)


@contextmanager
def dropping(generator: nn.Module, seed: int | None) -> Iterator[Callable[[Sequence[Tile]], None]]:
    """Let a generator's dropout layers drop by place, and in the end be as they were.

    Parameters
    ----------
    generator : torch.nn.Module
        Changed within the context only.
    seed : int or None
        None: nothing is dropped.

    Yields
    ------
    callable
        To be told the tiles of each batch before the generator is given them.
    """
    found = [(k, layer) for k, layer in generator.named_modules() if isinstance(layer, nn.Dropout)]
    layers = {}
    if seed is not None:
        layers = {name: PlacedDropout(old.p, (seed, n)) for n, (name, old) in enumerate(found)}

    def tell(tiles: Sequence[Tile]) -> None:
        for layer in layers.values():
            layer.windows = [tile.window for tile in tiles]

    with replaced(generator, layers):
        yield tell
