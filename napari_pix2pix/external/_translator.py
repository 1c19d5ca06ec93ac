"""A translator whose network another program runs."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from napari_pix2pix._apply import ImagePredictor
from napari_pix2pix.inference.networks import ExternalNetwork
from napari_pix2pix.training.config import AppliedWeights
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.translator import Translator

if TYPE_CHECKING:
    from torch import Tensor


class ExternalTranslator(Translator):
    """A model of an ONNX file or a BioImage.IO package, which `load` returns.

    It is applied as any other is. It holds no weights of ours: it can't be trained on, saved or
    exported, and knows nothing of a discriminator or of what is usual.

    Parameters
    ----------
    network : ExternalNetwork
        What maps planes to planes.
    info : ModelInfo
        All else that is true of the model.
    """

    def __init__(self, network: ExternalNetwork, info: ModelInfo) -> None:
        self.info = info
        self._network = network
        ImagePredictor.__init__(
            self,
            network,
            info.source_codec,
            info.target_codec,
            conditions=info.conditions,
            z_context=info.config.z_context,
            pixel_size=info.made_for.pixel_size,
        )

    @cached_property
    def digest(self) -> str:
        """Hash of the file's network and steps, 16 hexadecimal digits."""
        return self._network.digest

    @property
    def library(self) -> str:
        """The library that a process needs to run it, besides those of this package; or ""."""
        return self._network.library

    @property
    def tensors(self) -> dict[str, Tensor]:
        """Refused: another program has the weights."""
        self.info.check_weights()
        return {}

    def with_weights(self, weights: AppliedWeights) -> Translator:
        """Return itself if it has these weights; raises `InputError` if not."""
        self.info.with_weights(weights)
        return self

    def save(
        self, path: str | os.PathLike[str], *, slim: bool = False, overwrite: bool = True
    ) -> None:
        """Refused: copy the file that it was loaded from."""
        self.info.check_weights()

    def export(
        self,
        path: str | os.PathLike[str],
        *,
        authors: str | None = None,
        licence: str | None = None,
        overwrite: bool = True,
    ) -> tuple[str, ...]:
        """Refused: copy the file that it was loaded from."""
        self.info.check_weights()
        return ()
