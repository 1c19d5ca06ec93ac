"""What a discriminator thinks of a prediction, patch by patch, on the pixels that it judges."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import asdict, dataclass

import numpy as np
import torch

from napari_pix2pix.core import AdversarialLoss, DiscriminatorMap
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import InputError, plural
from napari_pix2pix.inference._run_tiles import iter_tiles, put_together
from napari_pix2pix.inference.calls import condition_index
from napari_pix2pix.inference.memory import cut_image
from napari_pix2pix.inference.model import network_grid
from napari_pix2pix.inference.norm_statistics import norms_that_measure
from napari_pix2pix.inference.tiling import TileGrid


@dataclass(frozen=True)
class DiscriminatorPredictor:
    """A discriminator with the codecs of what it sees.

    Attributes
    ----------
    network : DiscriminatorMap
        In ``eval`` mode, on its device.
    adversarial : {"vanilla", "lsgan", "hinge", "wgan"}
        What it was trained with.
    conditional : bool
        Whether it sees source and condition beside the image.
    source_codec, target_codec : Codec
    conditions : tuple of hashable
        Their names; empty without any.
    """

    network: DiscriminatorMap
    adversarial: AdversarialLoss
    conditional: bool
    source_codec: Codec
    target_codec: Codec
    conditions: tuple[Hashable, ...]

    def judge(
        self,
        source: LazyImage,
        prediction: LazyImage,
        frame: int,
        condition: Hashable = None,
        tile: int | None = None,
        on_tile: Callable[[int, int], object] | None = None,
    ) -> np.ndarray:
        """Judge one frame.

        Parameters
        ----------
        source, prediction : Planes
            Of the same frames, height and width.
        frame : int
        condition : hashable, optional
            One of the conditions; needed when there are any.
        tile : int, optional
            Side of the tiles in pixels, see `Translator.discriminator_map`.
        on_tile : callable, optional
            Called with the number of pixels done and of all.

        Returns
        -------
        numpy.ndarray
            (H, W) float32: the logits, 0 where it can't tell, positive for real.

        Raises
        ------
        InputError
            When the images don't fit each other or the model.
        """
        _check_same_size(source, prediction, self.target_codec.channels)
        index = condition_index(self.conditions, condition)
        size = prediction.height, prediction.width
        measures = bool(norms_that_measure(self.network))
        grid = TileGrid(*size, **network_grid(self.network))
        device = next(self.network.parameters()).device
        channels = self.network.discriminator.in_channels
        cut, batch = cut_image(
            self.network, channels, grid, device=device, tile=0 if measures else tile
        )
        pieces = iter_tiles(
            self._network,
            self._reader(source, prediction, frame, index),
            **asdict(cut),
            batch=batch,
            may_cut=not measures,
            device=device,
        )
        logits = put_together(pieces, *size, on_tile=on_tile)[0]
        return 2 * logits - 1 if self.adversarial == "lsgan" else logits

    def _network(self, x: torch.Tensor, rows: slice, columns: slice) -> torch.Tensor:
        logits: torch.Tensor = self.network(x)[..., rows, columns]
        return logits.float()

    def _reader(
        self, source: LazyImage, prediction: LazyImage, frame: int, condition: int
    ) -> Callable[[slice, slice], np.ndarray]:
        """Return what reads the planes of a window in the order of the training."""
        image = _encoded(prediction, frame, self.target_codec)
        if not self.conditional:
            return image
        count = len(self.conditions)
        told = np.eye(count, dtype=np.float32)[condition : condition + 1].reshape(count, 1, 1)

        def read(rows: slice, columns: slice) -> np.ndarray:
            judged = image(rows, columns)
            beside = np.broadcast_to(told, (count, *judged.shape[1:]))
            given = self.source_codec.encode(source.read(frame, rows, columns))
            return np.concatenate([given, beside, judged])

        return read


def _check_same_size(source: LazyImage, prediction: LazyImage, channels: int) -> None:
    """Refuse what can't be a prediction of a source."""
    if prediction.channels != channels:
        raise InputError(
            f"The model makes {plural(channels, 'channel')}, the prediction has "
            f"{prediction.channels}: give the same channels."
        )
    there, here = ((*one.frame_shape, one.height, one.width) for one in (source, prediction))
    if there != here:
        raise InputError(
            f"The source has the frames, height and width {there}, the prediction {here}: give a "
            "prediction of this source."
        )


def _encoded(image: LazyImage, frame: int, codec: Codec) -> Callable[[slice, slice], np.ndarray]:
    """Return what reads an image's planes; objects are encoded on the whole, where they end."""
    if codec.kind != "instances":
        return lambda rows, columns: codec.encode(image.read(frame, rows, columns))
    whole = codec.encode(image.read(frame, slice(0, image.height), slice(0, image.width)))
    return lambda rows, columns: whole[:, rows, columns]
