"""What of an image target is content, measured once on the training's sample of blocks.

A run that is resumed reads the same blocks, so it measures the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec, ImageCodec
from napari_pix2pix.data.outliers import PERCENTILES, leave_out_hot, some_values
from napari_pix2pix.data.sample import SampleBlock
from napari_pix2pix.errors import InputError, rounded
from napari_pix2pix.training.config import TrainConfig

_MANY = 2**20  # values that tell percentiles, means and thresholds well enough
# A target is sparse if its percentiles lie within so small a part of its range.
_SPARSE = 0.5
# Of the pixels: a dark foreground that is so large is rather the background between dense objects.
_MOST_DARK = 0.3


@dataclass(frozen=True)
class ChannelContent:
    """The ground and the content of one channel, in the values of its plane."""

    ground: float  # its median
    # Otsu's, if asked for: the foreground lies beyond it, seen from the ground, so it is the side
    # that holds fewer pixels.
    threshold: float
    gain: float  # what a full range of distance from the ground adds to a weight of 1; 0: dense
    share: float  # of the pixels, the foreground's


TargetContent: TypeAlias = tuple[ChannelContent, ...]  # one a channel


def find_content(
    codec: Codec, blocks: Sequence[SampleBlock], config: TrainConfig
) -> TargetContent | None:
    """Measure a target's content where it is to weigh more: on request, or in light if sparse."""
    _check_foreground(codec, config)
    wanted = asks_for_foreground(config)
    if not isinstance(codec, ImageCodec) or not (wanted or config.preset == "light"):
        return None
    images = [block.target for block in blocks]
    masks = leave_out_hot(images, [block.valid for block in blocks])
    content = tuple(
        _measure(some_values(images, masks, channel, _MANY), codec, channel, config)
        for channel in range(codec.channels)
    )
    return content if wanted or any(channel.gain for channel in content) else None


def asks_for_foreground(config: TrainConfig) -> bool:
    """Whether a term of the objective needs the target's foreground."""
    return config.foreground_weight > 0 or config.foreground_dice > 0


def _check_foreground(codec: Codec, config: TrainConfig) -> None:
    """Refuse to look for the foreground of labels, which say it themselves."""
    for name in ("foreground_weight", "foreground_dice"):
        if getattr(config, name) and codec.kind != "image":
            raise InputError(
                f"{name} needs a target of intensities, and the target is taken for {codec.kind}: "
                f"leave {name} out, or set target_kind='image' if it holds intensities."
            )


def describe_content(content: TargetContent, codec: Codec, config: TrainConfig) -> list[str]:
    """Say what weighs more than the ground, a sentence each."""
    notes = []
    if asks_for_foreground(config):
        assert isinstance(codec, ImageCodec)
        channels = zip(content, codec.low, codec.high, strict=True)
        found = " and ".join(_describe_foreground(*channel) for channel in channels)
        notes.append(f"The target's foreground, by Otsu's threshold, is what lies {found}.")
    most = 1 + max(channel.gain for channel in content)
    if most > 1 and not config.foreground_weight:
        notes.append(
            "The target is sparse: its content fills little of the images, so a pixel weighs up to "
            f"{rounded(most)} times as much as the ground, the more it differs from it."
        )
    return notes


def foreground_warning(content: TargetContent, config: TrainConfig) -> str:
    """Say where the foreground may be the background between dense objects; else return ""."""
    dark = [channel.share for channel in content if channel.threshold < channel.ground]
    if not asks_for_foreground(config) or max(dark, default=0.0) <= _MOST_DARK:
        return ""
    names = [name for name in ("foreground_weight", "foreground_dice") if getattr(config, name)]
    return (
        "The target's foreground is the side of Otsu's threshold that holds fewer pixels, here the "
        f"dark one with {rounded(100 * max(dark))} % of them: if that is the background between "
        f"bright objects, leave {' and '.join(names)} out."
    )


def _describe_foreground(channel: ChannelContent, low: float, high: float) -> str:
    side = "above" if channel.threshold >= channel.ground else "below"
    value = low + (channel.threshold + 1) * (high - low) / 2
    return f"{side} {value:.6g} ({rounded(100 * channel.share)} % of the pixels)"


def _measure(
    values: NDArray[np.float64], codec: ImageCodec, channel: int, config: TrainConfig
) -> ChannelContent:
    if not values.size:  # fine-tuning may lack a channel
        return ChannelContent(0.0, 0.0, 0.0, 0.0)
    low, high = codec.low[channel], codec.high[channel]
    first, ground, last = np.percentile(values, (PERCENTILES[0], 50, PERCENTILES[1]))
    # Of what the range holds: a few bright pixels beyond it would draw the threshold up.
    threshold = _otsu(values.clip(low, high)) if asks_for_foreground(config) else float(ground)
    beyond = values > threshold if threshold >= ground else values < threshold
    distance = float(np.abs(values - ground).mean()) / (high - low)
    is_sparse = codec.method == "percentile" and last - first < _SPARSE * (high - low)
    weighs_more = config.preset == "light" and is_sparse and distance > 0
    return ChannelContent(
        ground=float(2 * (ground - low) / (high - low) - 1),
        threshold=float(2 * (threshold - low) / (high - low) - 1),
        gain=distance**-0.5 if weighs_more else 0.0,
        share=float(beyond.mean()),
    )


def _otsu(values: NDArray[np.float64]) -> float:
    from skimage.filters import threshold_otsu

    threshold = float(threshold_otsu(values))
    above = values > threshold
    if not above.any():
        return threshold
    # At Otsu's optimum the threshold is the middle of both means. In an empty gap of the histogram
    # all thresholds are as good, and scikit-image takes the lowest, at the edge of the dark side.
    return float(values[above].mean() + values[~above].mean()) / 2
