"""Dropout of which each activation's fate belongs to its place, so that tiles drop alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from napari_pix2pix.translation.draws import read_blocks
from napari_pix2pix.translation.measuring import replaced
from napari_pix2pix.translation.tiles import Box, Tile

_BLOCK = 16  # cells of the layer; another number drops others


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
            shape = channels, _BLOCK, _BLOCK
            return rng.random(shape, np.float32) >= np.float32(self._probability)

        return read_blocks(draw, _BLOCK, channels, rows, columns)


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
