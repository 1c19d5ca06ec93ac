"""Where a discriminator takes a prediction for real: its logits, on the pixels it judges."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from napari_pix2pix.core import AdversarialLoss, DiscriminatorMap
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.volumes import as_seen, encode
from napari_pix2pix.errors import InputError, plural
from napari_pix2pix.inference._run_tiles import (
    FloatPlanes,
    ReadPlanes,
    iter_tiles,
    kept_parts,
    to_device,
)
from napari_pix2pix.inference.depth import planes_at_once, run_volume
from napari_pix2pix.inference.devices import cut_image
from napari_pix2pix.inference.norm_statistics import norms_that_measure
from napari_pix2pix.inference.predictor import condition_index
from napari_pix2pix.inference.tiling import OnTile, Tile, TileGrid, put_together


@dataclass(frozen=True)
class DiscriminatorPredictor:
    """A discriminator with the codecs of what it sees."""

    network: DiscriminatorMap  # in eval mode, on its device
    adversarial: AdversarialLoss  # that it was trained with
    conditional: bool  # whether it sees source and condition beside the image
    source_codec: Codec
    target_codec: Codec
    conditions: tuple[Hashable, ...]
    depth_tile: int | None = None  # planes of a volume that are kept of a window, see `depth_grid`

    def predict_frame(
        self,
        source: LazyImage,
        prediction: LazyImage,
        frame: int,
        condition: Hashable = None,
        tile: int | None = None,
        on_tile: OnTile | None = None,
    ) -> FloatPlanes:
        """Return the logits of one frame, (H, W): positive for real, 0 where it can't tell.

        Those of a volume are (Z, H, W).
        """
        source, prediction = (as_seen(image, self.network.ndim) for image in (source, prediction))
        _check_same_size(source, prediction, self.target_codec.channels)
        index = condition_index(self.conditions, condition)
        whole = bool(norms_that_measure(self.network))
        grid = TileGrid.of_network(self.network, prediction.height, prediction.width)
        run = replace(self, depth_tile=0 if whole else tile)
        grid, batch = cut_image(
            self.network,
            self.network.discriminator.in_channels,
            grid,
            device=self.device,
            tile=run.depth_tile,
            planes=planes_at_once(self.network, prediction.depth, run.depth_tile),
        )
        area, done, parts = Box.of_size(grid.height, grid.width), 0, []
        read = self._reader(source, prediction, frame, index)
        for box, planes in iter_tiles(run, read, grid, batch=batch, whole=whole):
            parts.append((box, planes))
            done += box.pixels
            if on_tile is not None:
                on_tile(done, area.pixels)
        logits: FloatPlanes = put_together(parts, area)[0]
        return 2 * logits - 1 if self.adversarial == "lsgan" else logits

    @property
    def device(self) -> torch.device:
        """Where the network is."""
        return next(self.network.parameters()).device

    def __call__(self, windows: FloatPlanes, tiles: Sequence[Tile]) -> list[FloatPlanes]:
        """Map windows (B, P, h, w) to the logits (1, h, w) of the kept part of each."""
        wanted = Box.around(tile.crop for tile in tiles)
        with torch.inference_mode():
            planes = to_device(windows, self.device)
            if self.network.ndim == 2:
                logits = self.network(planes)[..., wanted.rows, wanted.columns]
            else:
                logits = run_volume(
                    self.network, planes, wanted.rows, wanted.columns, self.depth_tile
                )
            return kept_parts(logits, tiles, wanted)

    def _reader(
        self, source: LazyImage, prediction: LazyImage, frame: int, condition: int
    ) -> ReadPlanes:
        """Return what reads the planes (P, h, w) of a window in the order of the training."""
        read_prediction = _encoded(prediction, frame, self.target_codec)
        if not self.conditional:
            return read_prediction
        count = len(self.conditions)
        one_hot = np.eye(count, dtype=np.float32)[condition : condition + 1]
        one_hot = one_hot.reshape(count, *[1] * self.network.ndim)

        def read(rows: slice, columns: slice) -> FloatPlanes:
            judged = read_prediction(rows, columns)
            condition_planes = np.broadcast_to(one_hot, (count, *judged.shape[1:]))
            given = encode(self.source_codec, source.read(frame, rows, columns))
            return np.concatenate([given, condition_planes, judged])

        return read


def _check_same_size(source: LazyImage, prediction: LazyImage, channels: int) -> None:
    """Raise `InputError` if an image can't be a prediction of a source."""
    if prediction.channels != channels:
        raise InputError(
            f"The model makes {plural(channels, 'channel')}, the prediction has "
            f"{prediction.channels}: give the same channels."
        )
    wanted, got = (
        (*image.frame_shape, *[image.depth] * image.is_volume, image.height, image.width)
        for image in (source, prediction)
    )
    if wanted != got:
        raise InputError(
            f"The source has the frames, height and width {wanted}, the prediction {got}: give a "
            "prediction of this source."
        )


def _encoded(image: LazyImage, frame: int, codec: Codec) -> Callable[[slice, slice], FloatPlanes]:
    """Return what reads an image's planes; objects are encoded on the whole, where they end."""
    if codec.kind != "instances":
        return lambda rows, columns: encode(codec, image.read(frame, rows, columns))
    whole = codec.encode(image.read(frame, slice(0, image.height), slice(0, image.width)))
    return lambda rows, columns: whole[..., rows, columns]
