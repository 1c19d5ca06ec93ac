"""Hot pixels decide nothing, sparse spots are content, and what is left out or clipped is said."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
import tifffile
from helpers import TINY
from scipy.ndimage import gaussian_filter, label

from napari_pix2pix import Pair, TrainConfig, evaluate, load, train
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.intensities import Intensities
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.training.dataset import prepare

# Pictures: each a function of a seed, in the values of a 12-bit camera.


def cells(seed, side=64):
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.random((side, side)), 3)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return 150 + 2000 * smooth + rng.normal(0, 20, (side, side))


def spots(seed, side=64, count=1, peak=4000.0, sigma=1.0):
    """Spots on 0.1 % of the pixels or so, on a ground with noise."""
    rng = np.random.default_rng(seed)
    image = np.zeros((side, side))
    y, x = np.mgrid[:side, :side]
    for top, left in rng.integers(5, side - 5, (count, 2)):
        image = np.maximum(image, np.exp(-((y - top) ** 2 + (x - left) ** 2) / (2 * sigma**2)))
    return 100 + peak * image + rng.normal(0, 5, (side, side))


def with_hot(image, seed=0, count=3, value=65535):
    """Return a copy with a few single pixels at a value."""
    heated = image.copy()
    places = np.stack(np.mgrid[1 : image.shape[0] - 1 : 3, 1 : image.shape[1] - 1 : 3])
    places = places.reshape(2, -1)
    chosen = np.random.default_rng(seed).choice(places.shape[1], count, replace=False)
    heated[tuple(places[:, chosen])] = value
    return heated


def fit(*images, dtype="uint16", method="percentile", valid=None):
    blocks = [np.asarray(image)[np.newaxis].astype(dtype) for image in images]
    return ImageCodec.fit(blocks, valid, method=method, layout=Layout())


# Ranges.


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("method", ["percentile", "minmax", "meanstd"])
@pytest.mark.parametrize(("count", "value"), [(1, 65535), (3, 65535), (30, 65535), (3, 12000)])
def test_hot_pixels_move_no_range(dtype, method, count, value):
    images = [cells(seed) for seed in range(4)]
    clean = fit(*images, dtype=dtype, method=method)
    spoilt = fit(
        *(with_hot(image, 1, count, value) for image in images), dtype=dtype, method=method
    )
    assert spoilt.low == pytest.approx(clean.low, rel=0.02)
    assert spoilt.high == pytest.approx(clean.high, rel=0.02)


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_dead_pixels_move_no_range_either(dtype):
    images = [20000 + cells(seed) for seed in range(4)]
    spoilt = fit(*(with_hot(image, 1, 5, 0) for image in images), dtype=dtype, method="minmax")
    assert spoilt.low == pytest.approx(fit(*images, dtype=dtype, method="minmax").low)


@pytest.mark.parametrize("sigma", [0.75, 1.0, 2.0])
@pytest.mark.parametrize("dtype", ["uint16", "float32"])
@pytest.mark.parametrize("hot", [0, 3])
def test_the_range_reaches_sparse_spots_and_no_hot_pixel(sigma, dtype, hot):
    images = [spots(seed, side=128, sigma=sigma) for seed in range(6)]
    assert np.percentile(images, 99.9) < 2500  # so the spots lie beyond it
    codec = fit(*(with_hot(image, 1, hot) for image in images), dtype=dtype)
    assert codec.high[0] == pytest.approx(4100, rel=0.12)


def test_dark_spots_on_a_bright_ground_are_reached():
    codec = fit(*(6000 - spots(seed, side=128) for seed in range(6)))
    assert codec.low[0] == pytest.approx(1900, rel=0.1)


@pytest.mark.parametrize(
    ("image", "low", "high"),
    [
        (np.where(np.arange(4096).reshape(64, 64) % 1999 == 7, 9, 0), 0, 9),  # single pixels alone
        (np.minimum(cells(0), 900), 250, 900),  # saturated
        (np.arange(4096).reshape(64, 64) % 3, 0, 2),  # few levels
        (np.random.default_rng(0).poisson(0.3, (64, 64)), 0, 4),  # single photons
        (np.kron(np.eye(2), np.full((32, 32), 255)), 0, 255),
    ],
)
def test_ranges_of_what_has_no_outliers_stay_what_they_were(image, low, high):
    codec = fit(image)
    expected = np.percentile(image.astype(np.uint16), (0.1, 99.9))
    if expected[0] < expected[1]:
        np.testing.assert_allclose((codec.low[0], codec.high[0]), expected)
    assert codec.low[0] == pytest.approx(low, abs=150 if high > 255 else 0.01)
    assert codec.high[0] == pytest.approx(high, abs=1)


def test_what_is_nan_or_outside_the_mask_is_no_outlier():
    image = with_hot(cells(0)).astype(np.float32)
    image[:20, :20] = np.nan
    image[40:44, 40:44] = 1e9
    valid = np.ones((1, 64, 64), bool)
    valid[0, 40:44, 40:44] = False
    assert fit(image, dtype="float32", valid=[valid]).high[0] < 2300


# Training.


@pytest.fixture(scope="module")
def clean_pairs():
    sources = [cells(seed).astype(np.uint16) for seed in range(4)]
    # What a linear fit can't do, so that the baseline's correlation is no 1.
    targets = [
        (300 + 1500 * np.sin(source / 300.0) + source).clip(0).astype(np.uint16)
        for source in sources
    ]
    return sources, targets


def heat(images, seed):
    return [with_hot(image, seed + number) for number, image in enumerate(images)]


@pytest.fixture(scope="module")
def clean_model(clean_pairs):
    return train(*clean_pairs, steps=4, **TINY)


@pytest.mark.parametrize("side", ["source", "target", "both"])
@pytest.mark.parametrize("normalisation", ["percentile", "minmax", "dtype"])
def test_hot_pixels_move_no_held_out_score_and_are_said(
    clean_pairs, clean_model, side, normalisation
):
    sources, targets = clean_pairs
    sources = sources if side == "target" else heat(sources, 10)
    targets = targets if side == "source" else heat(targets, 20)
    model = train(sources, targets, steps=4, target_normalisation=normalisation, **TINY)
    known = clean_model.info.scores.baseline
    for name in ("pearson", "ssim", "nrmse"):
        if name == "pearson" or normalisation == "percentile":
            found = model.info.scores.baseline[name]
            assert found == pytest.approx(known[name], abs=0.03)
    noted = [note for note in model.info.notes if "hot pixels" in note]
    assert len(noted) == (2 if side == "both" else 1)
    assert all("12 of 16,384 values" in note and "65535" in note for note in noted)


def test_images_without_hot_pixels_are_not_said_to_have_any(clean_model):
    assert not any("hot" in note or "stored range" in note for note in clean_model.info.notes)


@pytest.mark.parametrize("heated", ["source", "target"])
def test_hot_pixels_move_no_score_of_evaluate_in_any_door(
    clean_pairs, clean_model, heated, tmp_path, invoke
):
    sources, targets = clean_pairs
    known = evaluate(clean_model, sources[0], targets[0])
    images = {"source": sources[0], "target": targets[0]}
    images[heated] = with_hot(images[heated], 5)
    found = evaluate(clean_model, images["source"], images["target"])
    assert found["baseline"]["pearson"] == pytest.approx(known["baseline"]["pearson"], abs=0.01)
    if heated == "target":
        assert found["prediction"]["l1"] == pytest.approx(known["prediction"]["l1"], rel=0.01)
    assert f"3 of 4,096 values of the {heated}" in found["notes"][0]
    assert "With them, Pearson would be 0." in found["notes"][-1]
    assert "notes" not in known

    for name, image in images.items():
        tifffile.imwrite(tmp_path / f"{name}.tif", image)
    clean_model.save(tmp_path / "m.safetensors")
    given = (
        "evaluate",
        tmp_path / "m.safetensors",
        tmp_path / "source.tif",
        tmp_path / "target.tif",
    )
    said = invoke(*given, "--csv", tmp_path / "s.csv", "--report", tmp_path / "r.html")
    assert said.exit_code == 0, said.output
    assert "3 of 4,096 values" in said.stdout
    assert "3 of 4,096 values" in (tmp_path / "r.html").read_text(encoding="utf-8")
    with (tmp_path / "s.csv").open(newline="", encoding="utf-8") as file:
        assert [row["hot pixels left out"] for row in csv.DictReader(file)] == ["3", "3"]
    machine = json.loads(invoke(*given, "--json").stdout)
    assert machine["baseline"]["pearson"] == pytest.approx(found["baseline"]["pearson"])


def test_a_hot_pixel_counts_in_no_choice_of_the_best(clean_pairs):
    """The scores that decide are those of the events."""
    from napari_pix2pix._train import training_events
    from napari_pix2pix.training.events import Validated

    def scores(targets):
        pairs = [Pair(*pair) for pair in zip(clean_pairs[0], targets, strict=True)]
        run = training_events(pairs, TrainConfig(steps=4, keep="best", **TINY))
        return [event.baseline["pearson"] for event in run if isinstance(event, Validated)]

    clean, spoilt = scores(clean_pairs[1]), scores(heat(clean_pairs[1], 20))
    assert spoilt == pytest.approx(clean, abs=0.01)


def test_a_prediction_with_hot_pixels_is_not_spared(viewer, evaluate_dock, qtbot):
    truth = cells(0).astype(np.float32)
    guess = viewer.add_image(with_hot(truth + 1), name="guess")
    evaluate_dock.set_prediction(guess, viewer.add_image(truth, name="truth"))
    with qtbot.waitSignal(evaluate_dock.ended):
        evaluate_dock.evaluate()
    assert evaluate_dock.scores["prediction"]["pearson"] < 0.5
    assert "notes" not in evaluate_dock.scores


def test_the_evaluate_dock_leaves_hot_pixels_out_and_says_so(viewer, evaluate_dock, qtbot):
    truth = cells(0).astype(np.float32)
    guess = viewer.add_image(truth + 1, name="guess")
    source = viewer.add_image(with_hot(2 * truth, 7), name="source")
    hot_truth = viewer.add_image(with_hot(truth, 8), name="truth")
    evaluate_dock.set_prediction(guess, hot_truth, source=source)
    with qtbot.waitSignal(evaluate_dock.ended) as ended:
        evaluate_dock.evaluate()
    assert evaluate_dock.scores["prediction"]["pearson"] == pytest.approx(1)
    assert evaluate_dock.scores["baseline"]["pearson"] == pytest.approx(1)
    said, is_error = ended.args
    assert not is_error
    assert "3 of 4,096 values of the source" in said
    assert "3 of 4,096 values of the target" in said


def test_the_train_dock_says_what_is_hot(clean_pairs):
    from napari_pix2pix.training.events import Control
    from napari_pix2pix.widgets.train._pair_summary import summarise_pairs

    pairs = [Pair(*pair) for pair in zip(clean_pairs[0], heat(clean_pairs[1], 3), strict=True)]
    notes = summarise_pairs(Control(), pairs, TrainConfig(**TINY)).notes
    assert any("values of the target" in note and "hot pixels" in note for note in notes)


@pytest.mark.parametrize("kind", ["classes", "instances"])
def test_hot_pixels_of_a_source_take_no_threshold_away(kind):
    images = [cells(seed) for seed in range(4)]
    labels = [label(image > 1300)[0].astype(np.uint16) for image in images]
    targets = labels if kind == "instances" else [(each > 0).astype(np.uint8) for each in labels]
    known, found = (
        train(sources, targets, target_kind=kind, steps=1, **TINY).info.scores.baseline["dice"]
        for sources in (images, heat(images, 10))
    )
    assert known > 0.8
    assert found == pytest.approx(known, abs=0.02)


# Sparse targets.


def test_a_sparse_target_weighs_more_in_light_alone_and_that_is_said():
    targets = [spots(seed, side=128) for seed in range(4)]
    sources = [gaussian_filter(target, 2) for target in targets]
    pairs = [Pair(*pair) for pair in zip(sources, targets, strict=True)]
    light = prepare(pairs, TrainConfig(**TINY))
    (content,) = light.target_content
    assert content.ground == pytest.approx(-0.99, abs=0.02)
    assert 10 < content.gain < 60
    assert any("target is sparse" in note for note in light.notes)
    published = prepare(pairs, TrainConfig(preset="reference", **TINY))
    assert published.target_content is None
    dense = prepare([Pair(cells(0), cells(1)), Pair(cells(2), cells(3))], TrainConfig(**TINY))
    assert dense.target_content is None


def test_an_image_that_is_brighter_as_a_whole_has_no_hot_pixels():
    known = Intensities.measure([cells(0)[np.newaxis]])
    noise = np.random.default_rng(0).random((1, 64, 64))
    assert known.find_hot(10 * cells(1)[np.newaxis]) is None
    assert known.find_hot(20_000 * noise) is None


def test_lines_of_one_pixel_are_no_hot_pixels():
    rng = np.random.default_rng(0)
    lines = rng.normal(100, 5, (128, 128))
    lines[[30, 60, 90], 10:110] += 3000
    np.fill_diagonal(lines, 3100)
    known = Intensities.measure([lines[np.newaxis]])
    hot = known.find_hot(lines[np.newaxis])
    assert hot is None or hot.sum() <= 8  # ends of lines
    assert known.ranges[0][1] > 2900


def test_more_hot_pixels_than_a_camera_has_are_a_warning():
    rng = np.random.default_rng(0)
    fields = [rng.normal(100, 5, (64, 64)) for _ in range(3)]
    for field in fields:
        field[8::16, 8::16] = rng.uniform(3000, 4000, (4, 4))
    with pytest.warns(UserWarning, match="No camera has so many"):
        train([gaussian_filter(field, 1) for field in fields], fields, steps=1, **TINY)


# What is clipped.


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"activation": "tanh"}, "will be clipped, as the output's tanh ends there"),
        ({}, "it takes long to learn"),
    ],
)
def test_what_lies_beyond_the_stored_range_is_said(changes, words):
    targets = [spots(seed, count=2) for seed in range(4)]
    sources = [gaussian_filter(target, 2) for target in targets]
    model = train(sources, targets, steps=1, target_normalisation="meanstd", **changes, **TINY)
    (said,) = (note for note in model.info.notes if "stored range" in note)
    assert words in said
    reached = train(sources, targets, steps=1, **changes, **TINY)
    assert not any(words in note for note in reached.info.notes)


def test_a_model_that_is_tuned_keeps_its_range_and_says_what_is_beyond(clean_pairs, clean_model):
    sources, targets = clean_pairs
    brighter = [5 * target for target in targets]
    tuned = train(sources, brighter, steps=1, start=clean_model, device="cpu")
    assert tuned.info.target_codec == clean_model.info.target_codec
    (said,) = (note for note in tuned.info.notes if "above the stored range" in note)
    assert "a new model can have another range" in said


def test_hot_pixels_of_one_condition_or_channel_are_told(clean_pairs):
    sources, targets = clean_pairs
    both = [np.stack([target, with_hot(2 * target, 4)]) for target in targets]
    model = train(
        sources,
        both,
        condition=["a", "b", "a", "b"],
        channel_axis=(None, 0),
        steps=1,
        **TINY,
    )
    codec = model.info.target_codec
    assert codec.high[1] == pytest.approx(2 * codec.high[0], rel=0.02)
    assert any("12 of 32,768 values of the target" in note for note in model.info.notes)


def test_a_file_keeps_what_is_usual_and_older_files_are_read(clean_model, tmp_path):
    clean_model.save(tmp_path / "m.safetensors")
    loaded = load(tmp_path / "m.safetensors")
    assert loaded.info.intensities == clean_model.info.intensities
    parts = clean_model.info.intensities[1].to_dict()
    del parts["ranges"]
    old = Intensities.from_dict(parts)
    hot = old.find_hot(with_hot(cells(0))[np.newaxis])
    assert hot is not None
    assert hot.sum() == 3


def test_lone_pixels_left_out_do_not_take_ms_ssim_away():
    truth = cells(0, side=192)
    known, found = (evaluate_planes(truth, target) for target in (truth, with_hot(truth, count=9)))
    assert found["ms_ssim"] == pytest.approx(known["ms_ssim"], abs=0.01)


def evaluate_planes(source, target):
    from napari_pix2pix.data.pair import Pair, open_pair
    from napari_pix2pix.evaluation import Measures, know_usual, score_images
    from napari_pix2pix.evaluation.scoring import EvaluationCase

    (opened,) = know_usual([open_pair(Pair(source + 30, target))], (None, "image"))
    case = EvaluationCase("", opened, fit(target, dtype="float64"))
    ((_, scores),) = score_images([case], Measures())
    return scores.scored["prediction"].scores


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("nuclei_fluorescence", "train/source/*"),
        ("timelapse_two_channels", "*.tif"),
        ("phase_to_fluorescence", "*.tif"),
        ("volume_nuclei", "source*.tif"),
    ],
)
def test_real_images_keep_their_percentiles(real_data, name, pattern):
    from skimage import io

    paths = sorted((real_data / name).glob(pattern))[:8]
    if pattern.endswith(".tif"):
        sets = [tifffile.imread(path) for path in paths]
    else:
        sets = [np.stack([io.imread(path) for path in paths])]
    for planes in sets:
        codec = fit(*planes, dtype=planes.dtype)
        expected = np.percentile(planes, (0.1, 99.9))
        width = np.ptp(expected)
        np.testing.assert_allclose((codec.low[0], codec.high[0]), expected, atol=0.02 * width)


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    pytest.importorskip("qtpy.QtWidgets", exc_type=ImportError)
    return make_napari_viewer_proxy()


@pytest.fixture
def evaluate_dock(viewer, qtbot):
    from napari_pix2pix.widgets.evaluate.dock import EvaluateDock

    dock = EvaluateDock(viewer)
    qtbot.addWidget(dock, before_close_func=EvaluateDock.close_down)
    viewer.layers.events.inserted.connect(dock.reset_choices)
    return dock


@pytest.fixture
def invoke():
    from click.testing import CliRunner

    from napari_pix2pix.cli import main

    return lambda *words: CliRunner().invoke(main, [str(word) for word in words])
