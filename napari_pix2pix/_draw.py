"""All frames of an image: drawn, summed up or judged, while an open viewer stays alive."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from napari_pix2pix.data.lazy_image import Planes
from napari_pix2pix.inference.discriminator_map import Judge
from napari_pix2pix.inference.frames import FrameTranslator
from napari_pix2pix.inference.stochastic import sample_seed
from napari_pix2pix.inference.uncertainty import Spread, draw_spread
from napari_pix2pix.napari_layers.keep_responsive import Desk, keep_alive

OnTile = Callable[[int, int], None]


def draw_samples(
    translator: FrameTranslator,
    planes: Planes,
    samples: int,
    seed: int,
    how: Mapping[str, Any],
    *,
    title: str,
    on_tile: OnTile | None = None,
) -> list[np.ndarray]:
    """Translate all frames once a sample, and lay them out as the targets were.

    Parameters
    ----------
    translator : FrameTranslator
    planes : Planes
        The source.
    samples, seed : int
        As when a `Translator` is called.
    how : mapping
        For `FrameTranslator.translate_planes`.
    title : str
        Of the bar in napari's activity dock.
    on_tile : callable, optional
        As when a `Translator` is called.

    Returns
    -------
    list of numpy.ndarray
        One a sample.
    """
    layout = translator.target_codec.layout

    def draw(desk: Desk) -> list[np.ndarray]:
        drawn = []
        for number in range(samples):
            own, frames = sample_seed(seed, number), []
            for frame in range(planes.frames):
                before = number * planes.frames + frame
                told = partial(_tell, desk, on_tile, before, samples * planes.frames)
                frames.append(
                    translator.translate_planes(planes, frame, seed=own, on_tile=told, **how)
                )
            drawn.append(layout.assemble(np.stack(frames), planes.frame_shape))
        return drawn

    return keep_alive(draw, title=title)


def spread_samples(
    translator: FrameTranslator,
    planes: Planes,
    samples: int,
    seed: int,
    how: Mapping[str, Any],
    *,
    levels: Sequence[float],
    on_tile: OnTile | None = None,
) -> Spread:
    """Draw samples of all frames, frame by frame, and keep what `Spread` says of them.

    Parameters
    ----------
    translator, planes, samples, seed, how, on_tile
        As for `draw_samples`.
    levels : sequence of float
        Of the quantiles.
    """
    layout = translator.target_codec.layout

    def draw(desk: Desk) -> Spread:
        def translate(number: int, frame: int, step: int) -> np.ndarray:
            told = partial(_tell, desk, on_tile, step, planes.frames * samples)
            own = sample_seed(seed, number)
            return translator.translate_planes(planes, frame, seed=own, on_tile=told, **how)

        return draw_spread(translate, samples, layout, planes.frame_shape, levels)

    return keep_alive(draw, title="Translation")


def judge_frames(judge: Judge, source: Planes, prediction: Planes, **how: Any) -> np.ndarray:
    """Ask a discriminator about all frames of a prediction.

    Parameters
    ----------
    judge : Judge
    source, prediction : Planes
    **how
        For `Judge.judge`.

    Returns
    -------
    numpy.ndarray
        (..., H, W) float32.
    """

    def ask(desk: Desk) -> np.ndarray:
        found = []
        for frame in range(prediction.frames):
            told = partial(_tell, desk, None, frame, prediction.frames)
            found.append(judge.judge(source, prediction, frame, on_tile=told, **how))
        return np.reshape(found, (*prediction.frame_shape, *found[0].shape))

    return keep_alive(ask, title="Verdict")


def _tell(
    desk: Desk, on_tile: OnTile | None, frame: int, frames: int, done: int, every: int
) -> None:
    """Say of all frames how far one frame is."""
    desk.show((frame + done / every) / frames)
    if on_tile is not None:
        desk.call(partial(on_tile, done, every))
