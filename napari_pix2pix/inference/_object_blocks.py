"""Objects of a large area that is predicted in memory, block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import Codec, InstanceCodec
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.object_parts import (
    Numbering,
    ObjectPart,
    PackedNumbers,
    find_objects,
    fits_one_part,
    object_blocks,
    object_halos,
)
from napari_pix2pix.inference._frame_job import FrameRun
from napari_pix2pix.inference._run_tiles import FloatPlanes, ReadPlanes, iter_tiles
from napari_pix2pix.inference.tiling import mosaic_region


def needs_blocks(codec: Codec, run: FrameRun, depth: int) -> TypeGuard[InstanceCodec]:
    """Tell whether the objects of an area are told apart block by block, to save memory."""
    # A network that is given the whole frame has needed more memory than all that comes then.
    return isinstance(codec, InstanceCodec) and not (run.whole or fits_one_part(run.area, depth))


def decode_in_blocks(
    codec: InstanceCodec, run: FrameRun, read: ReadPlanes, image: LazyImage
) -> Iterator[tuple[Box, int, NDArray[Any] | None]]:
    """Yield parts of an area with the pixels done; at last the area with its labels (C, h, w)."""
    done, parts = 0, list[ObjectPart]()
    packed: list[tuple[Box, PackedNumbers]] = []
    for block in object_blocks(run.area, codec, image.depth):
        begun = done
        for halo in object_halos(codec, image.depth):
            seen = block.grown(halo, run.area)
            tiles: list[tuple[Box, FloatPlanes]] = []
            for tile in iter_tiles(
                run.network, read, run.grid, batch=run.batch, region=run.grid.rounded(seen)
            ):
                tiles.append(tile)
                own = tile[0].shared(block)
                if own.pixels and done < begun + block.pixels:  # at the first try
                    done += own.pixels
                    if done < run.area.pixels:
                        yield own, done, None
            planes = mosaic_region(tiles, seen)
            tiles.clear()
            found = find_objects(
                planes,
                seen,
                block,
                area=run.area,
                size=(image.height, image.width),
                codec=codec,
                halo=halo,
            )
            del planes  # before more of them are made
            if not found.cut:
                break
        parts += found.parts
        packed.append((block, PackedNumbers.of(found.numbers)))
    yield run.area, done, _numbered(codec, run.area, parts, packed)


def _numbered(
    codec: InstanceCodec,
    area: Box,
    parts: list[ObjectPart],
    packed: list[tuple[Box, PackedNumbers]],
) -> NDArray[Any]:
    numbering = Numbering(parts)
    dtype = codec.dtype_for(numbering.largest)
    labels = np.empty((*packed[0][1].shape[:-2], *area.size), dtype)
    for block, numbers in packed:
        here = block.within(area)
        for channel, one in enumerate(numbers.unpacked()):
            labels[channel, ..., here.rows, here.columns] = numbering.renumber(one, channel, dtype)
    return labels
