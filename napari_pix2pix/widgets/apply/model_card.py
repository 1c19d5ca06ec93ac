"""What a model is, for people: read from its file without PyTorch, or from the model itself."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec, ImageCodec, codec_from_dict, codecs_for_dtypes
from napari_pix2pix.data.inputs import known_intensities
from napari_pix2pix.data.intensities import Intensities
from napari_pix2pix.errors import FileError, plural
from napari_pix2pix.io.model_header import conditions_in, read_header, read_thumbnail
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.training.config import TrainConfig

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator
    from napari_pix2pix.widgets.common.known_models import ModelEntry


@dataclass(frozen=True, eq=False)
class Card:
    """What has to be known of a model to offer it; the attributes are those of `Translator`.

    But for ``judges``: whether it has a discriminator to ask, as far as its header tells.
    """

    summary: str
    config: TrainConfig
    source_codec: Codec
    target_codec: Codec
    conditions: tuple[Hashable, ...]
    scores: Mapping[str, Mapping[str, float]]
    steps: int
    judges: bool
    notes: tuple[str, ...]
    intensities: tuple[Intensities, Intensities] | None = None
    thumbnail: NDArray[np.uint8] | None = None

    @classmethod
    def of(cls, known: ModelEntry) -> Card:
        """Read the card of a model in memory, or else of its file.

        Raises
        ------
        FileError
            When the file can't be read.
        """
        if known.translator is not None:
            return cls._of_translator(known.translator)
        assert known.path is not None
        return cls._of_header(read_header(known.path), known.path)

    @property
    def channels(self) -> int:
        """Channels of a source image, without those of neighbouring planes."""
        return self.source_codec.channels // (2 * self.config.z_context + 1)

    @property
    def takes_layers(self) -> bool:
        """Whether each channel may be a layer of its own."""
        return self.channels > 1 and not self.source_codec.layout.rgb

    def makes(self, given: np.dtype[Any]) -> Codec:
        """Return the codec of what is made of images of a dtype."""
        return codecs_for_dtypes(self.source_codec, self.target_codec, given)[1]

    def lines(self) -> list[str]:
        """Describe the model in short lines."""
        config = self.config
        lines = [self.summary]
        if self.steps:
            lines.append(f"{self._sides()}. Preset {config.preset}, {self.steps} steps.")
        else:  # another program trained it
            lines.append("Trained elsewhere.")
        if isinstance(self.source_codec, ImageCodec) and self.source_codec.assumed:
            lines.append("Intensities: the whole range of the layer's dtype.")
        if self.conditions:
            lines.append(f"Conditions: {', '.join(map(str, self.conditions))}.")
        if self.scores:
            name, score = primary_metric(self.scores["prediction"])
            _, baseline = primary_metric(self.scores["baseline"])
            lines.append(f"Held-out {name} {score:.3f}; baseline {baseline:.3f}.")
        elif self.steps:
            lines.append("No scores: nothing was held out.")
        return lines

    def _sides(self) -> str:
        target = self.target_codec
        made = {"image": _counted(target.channels, target.layout.rgb)}
        source = "noise"
        if self.channels:
            source = _counted(self.channels, self.source_codec.layout.rgb)
        return f"{source} -> {made.get(target.kind, target.kind)}"

    @classmethod
    def _of_translator(cls, translator: Translator) -> Card:
        return cls(
            summary=translator.summary,
            config=translator.config,
            source_codec=translator.source_codec,
            target_codec=translator.target_codec,
            conditions=translator.conditions,
            scores=translator.scores,
            steps=translator.steps,
            notes=translator.notes,
            judges=any(name.startswith("discriminator.") for name in translator.tensors),
            intensities=translator.intensities,
            thumbnail=translator.thumbnail,
        )

    @classmethod
    def _of_header(cls, header: Mapping[str, Any], path: Path) -> Card:
        try:
            return cls(
                summary=header["summary"],
                config=TrainConfig(**header["config"]),
                source_codec=codec_from_dict(header["source_codec"]),
                target_codec=codec_from_dict(header["target_codec"]),
                conditions=conditions_in(header),
                scores=header["scores"],
                steps=header["step"],
                notes=tuple(header["notes"]),
                judges=header["config"]["adversarial_weight"] > 0,
                intensities=known_intensities(header),
                thumbnail=read_thumbnail(header),
            )
        except FileError:
            raise
        except (KeyError, TypeError, ValueError) as error:
            raise FileError(
                f"{path} is a napari-pix2pix file, but its header does not fit together "
                f"({type(error).__name__}: {error}); take another copy of it."
            ) from error


def _counted(channels: int, rgb: bool) -> str:
    return "RGB" if rgb else plural(channels, "channel")
