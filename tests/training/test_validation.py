"""Scores on held-out blocks, beside those of the baseline."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.data.sample import SampleBlock
from napari_pix2pix.metrics.baselines import Baselines, LinearBaseline
from napari_pix2pix.metrics.images import image_scores
from napari_pix2pix.training._validation import baseline_scores, score_blocks
from napari_pix2pix.training.dataset import prepare
from napari_pix2pix.training.loop import TrainingLoop


@pytest.fixture
def blocks() -> tuple[SampleBlock, SampleBlock]:
    rng = np.random.default_rng(0)
    made = []
    for number, size in enumerate((40, 20)):
        source = rng.normal(size=(1, size, size)).astype(np.float32)
        valid = np.ones((1, size, size), bool)
        valid[:, : size // 2] = number == 0
        whole = slice(0, size)
        made.append(SampleBlock(number, 0, whole, whole, source, 2 * source + 1, valid))
    return made[0], made[1]


def codec_of(block: SampleBlock, method: str = "minmax") -> ImageCodec:
    return ImageCodec.fit([block.target], method=method, layout=Layout(None, False))


def test_blocks_weigh_by_their_labelled_pixels(blocks: tuple[SampleBlock, SampleBlock]) -> None:
    codec = codec_of(blocks[0])
    predictions = [block.target + shift for block, shift in zip(blocks, (1.0, 3.0), strict=True)]
    scores = score_blocks(predictions, blocks, codec)
    assert scores["l1"] == pytest.approx((1600 * 1.0 + 200 * 3.0) / 1800, rel=1e-5)


def test_unlabelled_pixels_are_not_scored(blocks: tuple[SampleBlock, SampleBlock]) -> None:
    codec = codec_of(blocks[0])
    predictions = [block.target + 0.1 for block in blocks]
    spoilt = [np.where(block.valid, p, 99.0) for block, p in zip(blocks, predictions, strict=True)]
    for name in ("l1", "psnr", "pearson", "nrmse"):
        one, other = (score_blocks(p, blocks, codec)[name] for p in (predictions, spoilt))
        assert one == pytest.approx(other)


def test_the_baseline_solves_a_linear_task(blocks: tuple[SampleBlock, SampleBlock]) -> None:
    linear = LinearBaseline.fit((block.source, block.target, block.valid) for block in blocks)
    scores = baseline_scores(Baselines((linear,)), blocks, [0, 0], codec_of(blocks[0]))
    assert scores["pearson"] == pytest.approx(1, abs=1e-6)
    assert scores["l1"] < 1e-3


def test_the_baseline_is_rounded_as_a_model_is() -> None:
    """Both answer in the target's dtype; an unrounded fit would have an edge."""
    rng = np.random.default_rng(0)
    source = rng.random((1, 32, 32)).astype(np.float32)
    target = rng.integers(0, 4, (1, 32, 32)).astype(np.uint8)
    whole = slice(0, 32)
    block = SampleBlock(0, 0, whole, whole, source, target, np.ones((1, 32, 32), bool))
    linear = LinearBaseline.fit([(source, target, block.valid)])
    codec = codec_of(block, "dtype")
    rounded = np.rint(linear.predict(source)).astype(np.uint8)
    expected = image_scores(rounded, target, data_range=codec.data_range, valid=block.valid)
    assert baseline_scores(Baselines((linear,)), [block], [0], codec)["l1"] == pytest.approx(
        expected["l1"]
    )


def test_predictions_are_the_models(make_loop: Callable[..., TrainingLoop]) -> None:
    loop = make_loop(steps=1)
    validation = loop.data.validation
    assert validation is not None
    scores, preview = validation.scores(loop.model())
    block = validation.blocks[0]
    assert preview.shape == block.target.shape
    assert preview.dtype == block.target.dtype
    planes = loop.model().translate(
        lambda rows, columns: block.source[:, rows, columns], *block.source.shape[-2:], tile=0
    )
    assert np.array_equal(preview, loop.data.target_codec.decode(planes))
    assert set(scores) == set(validation.baseline) == {"l1", "psnr", "ssim", "pearson", "nrmse"}


def test_each_block_is_translated_under_its_condition(
    make_pair: Callable[..., Pair], make_loop: Callable[..., TrainingLoop], tiny: Callable
) -> None:
    pairs = [make_pair(seed, condition=name) for seed, name in enumerate("ab")]
    data = prepare(pairs, tiny(steps=1))
    loop = make_loop(data=data, steps=1)
    validation = data.validation
    assert validation is not None
    assert set(validation.conditions) == {0, 1}
    position = validation.conditions.index(1)
    block = validation.blocks[position]
    wanted, other = (
        loop.model().translate(
            lambda rows, columns: block.source[:, rows, columns],
            *block.source.shape[-2:],
            condition=condition,
            tile=0,
        )
        for condition in (1, 0)
    )
    got = validation.predict(loop.model(), position)
    assert np.array_equal(got, data.target_codec.decode(wanted))
    assert not np.array_equal(got, data.target_codec.decode(other))
