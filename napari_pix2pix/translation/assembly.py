"""Put tiles together: side by side where they are exact, blended where they only nearly are.

Blended tiles overlap by a ramp on which one fades out as its neighbour fades in, each with half a
period of a cosine; everywhere the weights sum to one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.translation.tiles import Box, Tile, TileGrid

Planes = NDArray[np.float32]


@dataclass
class _Part:
    """A part of the image that is not finished: the sum so far, and how many tiles it lacks."""

    missing: int
    planes: Planes | None = None


class Assembly:
    """Tiles that are still to be done, and the parts of the image that they make.

    Parameters
    ----------
    grid : TileGrid
        How the image is cut.
    regions : sequence of Box
        What is wanted of it, without overlaps; on the grid of the stride where there is no ramp.
    first : Box, optional
        Tiles in and near this part of the image come first.

    Attributes
    ----------
    pending : list of Tile
        In the order in which they are to be done; whoever takes one removes it.
    """

    def __init__(self, grid: TileGrid, regions: Sequence[Box], first: Box | None = None) -> None:
        self.grid = grid
        self._first = first
        self._parts: dict[Box, _Part] = {}
        self._made_of: dict[Tile, list[Box]] = {}
        for region in regions:
            for box, tiles in self._cut(region):
                self._parts[box] = _Part(len(tiles))
                for tile in tiles:
                    self._made_of.setdefault(tile, []).append(box)
        self.pending = list(self._made_of)
        if first is not None:
            self.pending.sort(key=lambda tile: tile.kept.distance(first))

    def recut(self, grid: TileGrid) -> Assembly:
        """Cut what is not finished in another way."""
        return Assembly(grid, list(self._parts), self._first)

    def add(self, tile: Tile, planes: Planes) -> Iterator[tuple[Box, Planes]]:
        """Take the kept part of a tile, (K, h, w), and yield the parts that it finished."""
        if not self.grid.ramp:
            del self._parts[tile.kept]
            yield tile.kept, planes
            return
        weighted = planes * tile_weights(self.grid, tile)
        for box in self._made_of[tile]:
            part = self._parts[box]
            if part.planes is None:
                size = box.bottom - box.top, box.right - box.left
                part.planes = np.zeros((len(planes), *size), planes.dtype)
            _add(part.planes, box, weighted, tile.kept)
            part.missing -= 1
            if not part.missing:
                yield box, self._parts.pop(box).planes  # type: ignore[misc]

    def _cut(self, region: Box) -> Iterator[tuple[Box, list[Tile]]]:
        if self.grid.ramp:
            return self.grid.overlapping(region)
        return ((tile.kept, [tile]) for tile in self.grid.tiles(region))


def tile_weights(grid: TileGrid, tile: Tile) -> Planes:
    """Return how much each pixel of a tile's kept part counts, float32 (h, w) in [0, 1]."""
    kept = tile.kept
    down = _fade(kept.top, kept.bottom, grid.height, grid)
    over = _fade(kept.left, kept.right, grid.width, grid)
    return down[:, np.newaxis] * over


def _fade(start: int, stop: int, size: int, grid: TileGrid) -> Planes:
    ramp = min(grid.ramp, grid.side // 2)
    end = (start + ramp if start else 0) + grid.side  # where the next tile begins
    middles = np.arange(start, stop) + 0.5
    weights = np.ones(stop - start)
    if start and ramp:
        weights *= _rise((middles - start) / (2 * ramp))
    if end < size and ramp:
        weights *= _rise((end + ramp - middles) / (2 * ramp))
    return weights.astype(np.float32)


def _rise(way: NDArray[np.float64]) -> NDArray[np.float64]:
    """Go from 0 to 1 along half a period of a cosine."""
    return (1 - np.cos(np.pi * np.clip(way, 0, 1))) / 2


def _add(total: Planes, box: Box, planes: Planes, kept: Box) -> None:
    top, bottom = max(box.top, kept.top), min(box.bottom, kept.bottom)
    left, right = max(box.left, kept.left), min(box.right, kept.right)
    there = slice(top - box.top, bottom - box.top), slice(left - box.left, right - box.left)
    here = slice(top - kept.top, bottom - kept.top), slice(left - kept.left, right - kept.left)
    total[:, *there] += planes[:, *here]
