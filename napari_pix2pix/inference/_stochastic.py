"""Noise planes and dropout that depend on seed and position, identical for every tiling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Literal

import numpy as np
import torch
from torch import Tensor, nn

from napari_pix2pix.data.box import Box, overlap
from napari_pix2pix.inference._turns import Turn
from napari_pix2pix.inference.norm_statistics import replaced
from napari_pix2pix.inference.tiling import Tile

NoiseKind = Literal["image", "pixel"]
ReadWindow = Callable[[slice, slice], np.ndarray]

_NOISE_BLOCK = 64  # pixels; another number gives other noise


def noise_reader(kind: NoiseKind, channels: int, seed: int, depth: int | None = None) -> ReadWindow:
    """Return what reads the noise planes (channels, h, w) of a window, in the image or not.

    With a `depth` they are those of a volume of so many planes, (channels, Z, h, w).
    """
    # "image" is one normal number for each channel, "pixel" one for each channel and pixel.
    if kind == "pixel":
        return partial(_pixels if depth is None else partial(_voxels, depth), channels, seed)
    vector = np.random.default_rng(seed).standard_normal(channels, np.float32)
    planes = () if depth is None else (depth,)

    def read(rows: slice, columns: slice) -> np.ndarray:
        size = *planes, rows.stop - rows.start, columns.stop - columns.start
        return np.broadcast_to(vector.reshape(-1, *[1] * len(size)), (channels, *size))

    return read


def read_blocks(
    draw: Callable[[int, int], np.ndarray], side: int, channels: int, rows: slice, columns: slice
) -> np.ndarray:
    """Cut a window (channels, h, w) out of blocks (channels, side, side) from `draw(i, j)`."""
    window = np.empty((channels, rows.stop - rows.start, columns.stop - columns.start), np.float32)
    for i in range(rows.start // side, -(-rows.stop // side)):
        for j in range(columns.start // side, -(-columns.stop // side)):
            block = slice(i * side, (i + 1) * side), slice(j * side, (j + 1) * side)
            inside, here = zip(*map(overlap, block, (rows, columns)), strict=True)
            window[:, *here] = draw(i, j)[:, *inside]
    return window


def _pixels(
    channels: int, seed: int, rows: slice, columns: slice, plane: tuple[int, ...] = ()
) -> np.ndarray:
    def draw(i: int, j: int) -> np.ndarray:
        shape = channels, _NOISE_BLOCK, _NOISE_BLOCK
        return np.random.default_rng([seed, i, j, *plane]).standard_normal(shape, np.float32)

    return read_blocks(draw, _NOISE_BLOCK, channels, rows, columns)


def _voxels(depth: int, channels: int, seed: int, rows: slice, columns: slice) -> np.ndarray:
    # The 2 keeps the streams of planes apart from those of dropout, see `PlacedDropout`.
    planes = [_pixels(channels, seed, rows, columns, (z, 2)) for z in range(depth)]
    return np.stack(planes, axis=1)


_DROPOUT_BLOCK = 16  # cells of the layer; another number drops others


class PlacedDropout(nn.Module):
    """Position-seeded dropout, identical for every tiling and on any device."""

    def __init__(self, probability: float, entropy: Sequence[int]) -> None:
        super().__init__()
        self._probability, self._entropy = probability, list(entropy)
        self.windows: Sequence[Box] = ()  # of the next batch, on the grid of the network's stride
        self.turn = Turn()  # in which the network sees them
        self.planes = slice(0, 1)  # of the volume that the network sees at a time

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) or (B, C, z, h, w) to the same."""
        height = x.shape[-1] if self.turn.transposed else x.shape[-2]
        kept = np.stack([self._kept_of(x, height, window) for window in self.windows])
        mask = self.turn.turn(torch.from_numpy(kept)).to(x.device, x.dtype)
        return x * mask / (1 - self._probability)

    def _kept_of(self, x: Tensor, height: int, window: Box) -> np.ndarray:
        channels = x.shape[1]
        if x.ndim == 4:
            return self._kept(channels, height, window)
        first = self.planes.start * x.shape[2] // (self.planes.stop - self.planes.start)
        cells = range(first, first + x.shape[2])
        return np.stack([self._kept(channels, height, window, (z,)) for z in cells], axis=1)

    def _kept(
        self, channels: int, height: int, window: Box, plane: tuple[int, ...] = ()
    ) -> np.ndarray:
        smaller = window.size[0] // height
        rows, columns = (
            slice(span.start // smaller, span.stop // smaller)
            for span in (window.rows, window.columns)
        )

        def draw(i: int, j: int) -> np.ndarray:
            # The 1 keeps this stream apart from that of the noise planes, see `noise_reader`.
            rng = np.random.default_rng([*self._entropy, *plane, i, j, 1])
            shape = channels, _DROPOUT_BLOCK, _DROPOUT_BLOCK
            return rng.random(shape, np.float32) >= np.float32(self._probability)

        return read_blocks(draw, _DROPOUT_BLOCK, channels, rows, columns)


class Dropouts:
    """Dropout layers by name that drop by position; none without a seed."""

    def __init__(self, generator: nn.Module, seed: int | None) -> None:
        self.layers: dict[str, PlacedDropout] = {}
        if seed is None:
            return
        modules = generator.named_modules()
        dropouts = [(name, layer) for name, layer in modules if isinstance(layer, nn.Dropout)]
        for number, (name, layer) in enumerate(dropouts):
            self.layers[name] = PlacedDropout(layer.p, (seed, number))

    def place(self, tiles: Sequence[Tile], turn: Turn) -> None:
        """Tell the layers where the windows of the next batch lie, and how they are turned."""
        for layer in self.layers.values():
            layer.windows, layer.turn = [tile.window for tile in tiles], turn

    def place_planes(self, planes: slice) -> None:
        """Tell the layers which planes of a volume the network sees next."""
        for layer in self.layers.values():
            layer.planes = planes


@contextmanager
def dropping(generator: nn.Module, seed: int | None) -> Iterator[Dropouts]:
    """Let a generator's dropout layers drop by position, and put the old ones back in the end."""
    dropouts = Dropouts(generator, seed)
    with replaced(generator, dropouts.layers):
        yield dropouts
