"""How the planes of a volume are cut: like the rows of an image, on a grid of their own."""
# Tiles are cut in Y and X, see `tiling`; what is read of them holds all planes. Only the network,
# which needs much more memory than it is given, sees some planes at a time.

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from napari_pix2pix.core import DiscriminatorMap, run_part
from napari_pix2pix.inference.networks import ExternalNetwork, Network
from napari_pix2pix.inference.tiling import Tile, TileGrid, reflected

_ENOUGH_HALOS = 2  # as many planes are kept of a window, so half of its planes are


def depth_grid(generator: Network | DiscriminatorMap, depth: int, tile: int | None) -> TileGrid:
    """Return how the planes of a volume are cut, as rows; `tile` is as in `PredictOptions`."""
    if isinstance(generator, ExternalNetwork) and generator.plane_tile is not None:
        tile = generator.plane_tile
    stride, halo, least = generator.strides[0], generator.halos[0], generator.least_sizes[0]
    if tile is None:
        tile = max(stride, _ENOUGH_HALOS * halo)
    return TileGrid(depth, 1, stride, halo, tile, least)


def planes_at_once(network: Network | DiscriminatorMap, depth: int, tile: int | None) -> int:
    """Return how many planes a network sees at a time; 1 for one of images."""
    if network.ndim == 2:
        return 1
    return depth_grid(network, depth, tile).window[0]


def run_volume(
    generator: Network | DiscriminatorMap,
    x: Tensor,
    rows: slice,
    columns: slice,
    tile: int | None,
    before: Callable[[Tile], None] | None = None,
    compiled: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    """Return the rows and columns of a network's output, (B, K, Z, h, w), of all planes of `x`.

    `before` is told of each window before it is run; its rows are planes. What is `compiled` of the
    network is run on whole windows.
    """
    depth, parts = x.shape[2], []
    for cut in depth_grid(generator, depth, tile).tiles():
        if before is not None:
            before(cut)
        window, planes = _window(x, cut, depth), cut.crop.rows
        if compiled is not None:
            parts.append(compiled(window)[:, :, planes, rows, columns])
        elif isinstance(generator, DiscriminatorMap | ExternalNetwork):
            parts.append(generator(window)[:, :, planes, rows, columns])
        else:
            parts.append(run_part(generator, window, planes, rows, columns))
    return parts[0] if len(parts) == 1 else torch.cat(parts, 2)


def _window(x: Tensor, cut: Tile, depth: int) -> Tensor:
    """Return the planes of a window; beyond the last one they are mirrored."""
    window = cut.window
    if window.bottom <= depth:
        return x[:, :, window.rows]
    shown = reflected(window.top, window.bottom, depth)
    return x.index_select(2, torch.from_numpy(shown).to(x.device))
