"""Pairs that are predicted without any network."""

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from napari_pix2pix.data._instance_codec import InstanceCodec
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.evaluation import EvaluationCase, EvaluationResult, Measures, score_images
from napari_pix2pix.metrics.baselines import LinearBaseline


def texture(*shape: int, seed: int = 0) -> np.ndarray:
    rough = np.random.default_rng(seed).random(shape)
    smooth = [0] * (len(shape) - 2) + [2, 2]
    return (2000 * ndimage.gaussian_filter(rough, smooth)).astype(np.float32)


def case_of_images(
    truth: np.ndarray,
    predict: Callable[[np.ndarray], np.ndarray],
    *,
    name: str = "field",
    noise: float = 0,
    mask=None,
) -> EvaluationCase:
    """A case whose model adds noise, where it draws, to what ``predict`` makes of the truth."""
    opened = open_pair(Pair(truth, truth, mask=mask))
    block = truth[:1] if truth.ndim == 3 else truth[np.newaxis]

    def translate(frame, on_tile=None):
        if on_tile is not None:
            on_tile(1, 1)
        planes = opened.target.read(frame, slice(0, opened.height), slice(0, opened.width))
        return predict(planes)

    def draw(frame, number):
        made = translate(frame)
        return made + noise * np.random.default_rng(number).normal(0, 1, made.shape)

    codec = ImageCodec.fit([block[np.isfinite(block)].reshape(1, 1, -1)], layout=Layout())
    baseline = LinearBaseline(weights=((0.5,),), offsets=(100.0,))
    draws = draw if noise else None
    return EvaluationCase(name, opened, codec, translate, baseline=baseline, draw=draws)


def case_of_labels(truth: np.ndarray, found: np.ndarray) -> EvaluationCase:
    """A case of two label images, whose source is not known."""
    codec = InstanceCodec.fit([truth[np.newaxis]], layout=Layout())
    return EvaluationCase("nuclei", open_pair(Pair(found, truth)), codec)


def evaluated(*cases: EvaluationCase, measures: Measures | None = None) -> EvaluationResult:
    scored = [one for one in score_images(cases, measures or Measures()) if one is not None]
    facts = {"Model": "a <model>", "Digest": "0123"}
    return EvaluationResult.of([scores for _, scores in scored], facts)


# Tests can't import a conftest, so they are given these as fixtures.
_texture = pytest.fixture(lambda: texture, name="texture")
_case_of_images = pytest.fixture(lambda: case_of_images, name="case_of_images")
_case_of_labels = pytest.fixture(lambda: case_of_labels, name="case_of_labels")
_evaluated = pytest.fixture(lambda: evaluated, name="evaluated")
