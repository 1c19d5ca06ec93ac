"""Where an image is unlike those of the training, seen by the generator while it runs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.core.encoder import cell_sides, feature_layer
from napari_pix2pix.data.box import Box
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.tiling import Tile

_NO_CHANCE = 10  # unlike cells: a small image has some by chance

Cells = NDArray[np.float32]  # (J, h, w), one vector a cell; of a volume (J, Z, h, w)


def map_options(options: PredictOptions) -> PredictOptions:
    """Return what a map of an image takes of the options, which is computed as it is read."""
    return PredictOptions(
        condition=options.condition, tile=options.tile, batch=options.batch, device=options.device
    )


class FeatureWatch:
    """Reads the features of a generator that runs on tiles, and keeps what is measured of them."""

    # Tiles see their halo, so each cell is that of the whole image. A cell that is computed again,
    # where memory ran out or a second precision is tried, is written again.

    def __init__(self, generator: UNet | ResNet, measure: nn.Module, area: Box, depth: int) -> None:
        self._layer = feature_layer(generator)
        *self._planes, _, self._cell = cell_sides(generator)
        self._measure = measure  # (B, K, h, w) to (B, J, h, w)
        self._area = _in_cells(area, self._cell)
        self._depth = depth  # planes of a volume; 1 for an image
        self._cut: Tile | None = None  # what of a volume's planes is run next, as rows
        self._thread = threading.get_ident()  # others may run the same layers
        self._tiles: Sequence[Tile] = ()
        self.cells: Cells | None = None  # of the area, as far as it is done

    def expect(self, tiles: Sequence[Tile]) -> None:
        """Watch the next batch: its windows lie where these tiles say."""
        self._tiles = tiles

    def expect_planes(self, cut: Tile) -> None:
        """Say which planes of the batch are run next, as the rows of a tile."""
        self._cut = cut

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the end of the block."""
        hook = self._layer.register_forward_hook(self._see)
        try:
            yield
        finally:
            hook.remove()

    def _see(self, _layer: nn.Module, _inputs: object, features: Tensor) -> None:
        if not self._tiles or threading.get_ident() != self._thread:
            return
        with torch.autocast(features.device.type, enabled=False):
            measured = self._measure.to(features.device)(features).float().cpu().numpy()
        shown, seen, is_last = self._cells_of_planes()
        if self.cells is None:
            depth = [-(-self._depth // side) for side in self._planes]
            self.cells = np.zeros((measured.shape[1], *depth, *self._area.size), np.float32)
        for tile, planes in zip(self._tiles, measured, strict=True):
            here = _in_cells(tile.kept, self._cell).within(self._area)
            part = _in_cells(tile.crop, self._cell)
            kept = planes[:, *seen, part.rows, part.columns]
            self.cells[:, *shown, here.rows, here.columns] = kept
        if is_last:
            self._tiles = ()

    def _cells_of_planes(self) -> tuple[list[slice], list[slice], bool]:
        """Return where the cells of these planes lie: in the volume, and in what is run.

        Also whether no planes follow. There are no slices of an image.
        """
        if self._cut is None:
            return [], [], True
        [side] = self._planes
        kept, crop = (_in_cells(box, side).rows for box in (self._cut.kept, self._cut.crop))
        return [kept], [crop], self._cut.kept.bottom == self._depth


def share_unlike(cells: Cells) -> float:
    """Return the share of a frame's cells (1, h, w) that are unlike; 0 if that may be chance."""
    count = int((cells > 1).sum())
    return count / cells.size if count >= _NO_CHANCE else 0.0


def in_pixels(cells: Cells, sides: Sequence[int], *size: int) -> Cells:
    """Show cells (1, h, w) on the pixels that they stand for, (height, width).

    Sides and sizes are those of each axis; a volume has planes in front.
    """
    shown = cells[0]
    for axis, (side, length) in enumerate(zip(sides, size, strict=True)):
        shown = shown.repeat(side, axis).take(range(length), axis)
    return shown


def _in_cells(box: Box, cell: int) -> Box:
    """Return the cells of a box that begins on their grid."""
    return Box(box.top // cell, -(-box.bottom // cell), box.left // cell, -(-box.right // cell))
