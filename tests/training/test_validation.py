import numpy as np
import pytest

from napari_pix2pix.data.codecs import ImageCodec, picture
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.sample import SampleBlock
from napari_pix2pix.metrics.baselines import Baselines, LinearBaseline
from napari_pix2pix.metrics.images import image_scores
from napari_pix2pix.training.dataset import prepare
from napari_pix2pix.training.validation import (
    HealthWatch,
    _liveliest,
    baseline_scores,
    make_thumbnail,
    not_finite,
    score_blocks,
)

WINNING = {"D_real": 1e-3, "D_fake": 1e-3, "G_L1": 5.0}
EVEN = {"D_real": 0.7, "D_fake": 0.7, "G_L1": 5.0}
VARIED = np.arange(4.0).reshape(1, 2, 2)


@pytest.fixture
def blocks():
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


def test_blocks_weigh_by_their_labelled_pixels(blocks):
    codec = codec_of(blocks[0])
    predictions = [block.target + shift for block, shift in zip(blocks, (1.0, 3.0), strict=True)]
    scores = score_blocks(predictions, blocks, codec)
    assert scores["l1"] == pytest.approx((1600 * 1.0 + 200 * 3.0) / 1800, rel=1e-5)


def test_unlabelled_pixels_are_not_scored(blocks):
    codec = codec_of(blocks[0])
    predictions = [block.target + 0.1 for block in blocks]
    spoilt = [np.where(block.valid, p, 99.0) for block, p in zip(blocks, predictions, strict=True)]
    for name in ("l1", "psnr", "pearson", "nrmse"):
        one, other = (score_blocks(p, blocks, codec)[name] for p in (predictions, spoilt))
        assert one == pytest.approx(other)


def test_the_baseline_solves_a_linear_task(blocks):
    linear = LinearBaseline.fit((block.source, block.target, block.valid) for block in blocks)
    scores = baseline_scores(Baselines((linear,)), blocks, [0, 0], codec_of(blocks[0]))
    assert scores["pearson"] == pytest.approx(1, abs=1e-6)
    assert scores["l1"] < 1e-3


def test_the_baseline_is_rounded_as_a_model_is():
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
    scores = baseline_scores(Baselines((linear,)), [block], [0], codec)
    assert scores["l1"] == pytest.approx(expected["l1"])


def test_predictions_are_the_models(make_loop):
    loop = make_loop(steps=1)
    validation = loop.data.validation
    scores, preview = validation.scores(loop.model())
    block = validation.blocks[0]
    assert preview.shape == block.target.shape
    assert preview.dtype == block.target.dtype
    planes = loop.model().predict_window(block.source, tile=0, decoded=False)
    assert np.array_equal(preview, loop.data.target_codec.decode(planes))
    assert set(scores) == set(validation.baseline) == {"l1", "psnr", "ssim", "pearson", "nrmse"}


def test_each_block_is_translated_under_its_condition(make_pair, make_loop, tiny):
    pairs = [make_pair(seed, condition=name) for seed, name in enumerate("ab")]
    data = prepare(pairs, tiny(steps=1))
    loop = make_loop(data=data, steps=1)
    validation = data.validation
    assert set(validation.conditions) == {0, 1}
    position = validation.conditions.index(1)
    block = validation.blocks[position]
    wanted, other = (
        loop.model().predict_window(block.source, condition, tile=0, decoded=False)
        for condition in (1, 0)
    )
    got = validation.predict(loop.model(), position)
    assert np.array_equal(got, data.target_codec.decode(wanted))
    assert not np.array_equal(got, data.target_codec.decode(other))


def test_a_discriminator_that_wins_is_said_once():
    watch = HealthWatch()
    assert watch.after_step(EVEN) is None
    said = [watch.after_step(WINNING) for _ in range(2, 600)]
    sentences = [(step, one) for step, one in enumerate(said) if one]
    assert len(sentences) == 1
    assert "discriminator wins" in sentences[0][1]
    assert sentences[0][0] > 50  # one good step is no verdict


def test_it_is_said_again_after_it_was_over():
    watch = HealthWatch()
    assert watch.after_step(WINNING)
    assert not any(watch.after_step(EVEN) for _ in range(2, 50))
    assert sum(bool(watch.after_step(WINNING)) for _ in range(50, 700)) == 1


@pytest.mark.parametrize("losses", [{"D_real": 1e-3, "D_fake": 0.5}, {"G_L1": 1e-4}])
def test_one_loss_that_is_small_is_no_win(losses):
    watch = HealthWatch()
    assert not any(watch.after_step(losses) for _ in range(300))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.float32])
def test_a_constant_output_is_said(dtype):
    watch, baseline = HealthWatch(), {"pearson": 0.5}
    constant, varied = np.ones((1, 2, 2), dtype), VARIED.astype(dtype)
    assert watch.after_validation(varied, varied, {"pearson": 0.9}, baseline, 1.0) == []
    (sentence,) = watch.after_validation(constant, varied, {"pearson": 0.9}, baseline, 1.0)
    assert "The output is constant" in sentence


@pytest.mark.parametrize(
    ("truth", "said"),
    [
        (np.zeros((1, 2, 2)), False),
        (np.full((1, 2, 2), np.nan), False),
        (np.array([[[0.0, 1.0], [np.nan, 1.0]]]), True),
    ],
)
def test_a_truth_without_content_asks_for_a_constant_output(truth, said):
    constant = np.zeros((1, 2, 2))
    found = HealthWatch().after_validation(constant, truth, {"pearson": 0.9}, {}, 0.4)
    assert bool(found) == said


@pytest.mark.parametrize(("progress", "score", "said"), [(0.4, 0.1, 0), (0.5, 0.1, 1), (1, 0.6, 0)])
def test_below_the_baseline_counts_from_half_time(progress, score, said):
    watch = HealthWatch()
    validation = (VARIED, VARIED, {"pearson": score}, {"pearson": 0.5}, progress)
    sentences = watch.after_validation(*validation)
    assert len(sentences) == said
    assert all("baseline" in sentence for sentence in sentences)
    again = watch.after_validation(*validation)
    assert again == []


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_the_loss_that_is_not_finite_is_named(value):
    assert f"D_real is {value}" in not_finite({"G_L1": 1.0, "D_real": value})
    assert not_finite({"G_L1": 1e30, "D_real": 0.0}) is None


def test_source_and_truth_stand_beside_what_was_made(make_loop):
    loop = make_loop(steps=1)
    validation = loop.data.validation
    made = make_thumbnail(loop.model(), validation, 0)
    height, width, _ = made.shape
    block, third = validation.blocks[0], width // 3
    assert (height, third) == tuple(min(n, 96) for n in block.source.shape[1:])
    sides = (
        (block.source, loop.data.source_codec, made[:, :third]),
        (block.target, loop.data.target_codec, made[:, 2 * third :]),
    )
    for image, codec, shown in sides:
        whole = picture(codec.encode(image), codec)
        windows = np.lib.stride_tricks.sliding_window_view(whole, (height, third, 3))
        assert (windows == shown).all(axis=(-3, -2, -1)).any()
    assert make_thumbnail(loop.model(), None, 0) is None


def test_it_is_taken_where_there_is_something_to_see():
    target = np.zeros((1, 300, 260), np.uint16)
    target[0, 150:170, 200:230] = 1000
    rows, columns = _liveliest(target)
    assert rows.start <= 150 < rows.stop
    assert columns.start <= 200 < columns.stop
    assert _liveliest(np.zeros((2, 40, 50))) == (slice(0, 96), slice(0, 96))
