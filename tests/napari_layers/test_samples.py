from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import run_python, run_script
from skimage.filters import gaussian, threshold_otsu
from skimage.measure import label

from napari_pix2pix.io.reading import read_image
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.napari_layers.samples import SAMPLES, phase_fluorescence, stain_nuclei

FOLDER = Path(__file__).parents[2] / "sample_data"
NAMES = [
    f"{source}_{part}{suffix}"
    for source, target in (("stain", "_labels"), ("phase", "_fluorescence"))
    for part in ("train", "unseen")
    for suffix in ("", target)
]


@pytest.fixture(scope="module")
def script():
    return run_script(FOLDER / "draw.py")


@pytest.fixture(scope="module")
def drawn(script, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    script.main(folder)
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_script_draws_the_files(drawn, name):
    fresh = tifffile.imread(drawn / f"{name}.tif")
    stored = tifffile.imread(FOLDER / f"{name}.tif")
    assert (fresh.dtype, fresh.shape) == (stored.dtype, stored.shape)
    # Other processors and library versions may round a value the other way.
    assert np.mean(fresh != stored) < 1e-3


def test_same_seed_same_image(script):
    for draw in (script.draw_stain, script.draw_phase):
        first = draw(np.random.default_rng(3), (96, 110))
        second = draw(np.random.default_rng(3), (96, 110))
        other = draw(np.random.default_rng(4), (96, 110))
        for a, b, c in zip(first, second, other, strict=True):
            np.testing.assert_array_equal(a, b)
            assert (a != c).any()


def test_folder_is_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.is_file()) < 3e6


@pytest.mark.parametrize("name", NAMES)
def test_files_know_their_geometry(name):
    image = read_image(FOLDER / f"{name}.tif")
    colour = name in ("stain_train", "stain_unseen")
    assert image.axes == ("YXS" if colour else "YX")
    assert image.shape[:2] == ((512, 512) if "train" in name else (256, 320))
    assert image.dtype == ("uint8" if colour else "uint16")
    assert image.scale == pytest.approx({"Y": 0.5, "X": 0.5})
    assert image.units == {"Y": "micrometer", "X": "micrometer"}


@pytest.mark.parametrize("part", ["train", "unseen"])
def test_labels_are_whole_nuclei(part):
    labels = tifffile.imread(FOLDER / f"stain_{part}_labels.tif")
    values = np.unique(labels)
    np.testing.assert_array_equal(values, np.arange(len(values)))
    assert len(values) > 100
    assert all(label(labels == value).max() == 1 for value in values[1:40])


def test_a_threshold_does_not_find_the_nuclei():
    truth = tifffile.imread(FOLDER / "stain_unseen_labels.tif") > 0
    red = gaussian(255.0 - tifffile.imread(FOLDER / "stain_unseen.tif")[..., 0], 1)
    found = red > threshold_otsu(red)
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert 0.75 < dice < 0.9


def test_fluorescence_is_no_function_of_the_phase_value():
    phase = tifffile.imread(FOLDER / "phase_unseen.tif").astype(float)
    fluorescence = tifffile.imread(FOLDER / "phase_unseen_fluorescence.tif").astype(float)
    rank = np.digitize(phase, np.percentile(phase, range(1, 100)))
    best = np.array([fluorescence[rank == level].mean() for level in range(100)])[rank]
    assert np.corrcoef(best.ravel(), fluorescence.ravel())[0, 1] < 0.5
    assert fluorescence.min() > 1000  # the camera's offset


@pytest.mark.parametrize(
    ("sample", "kinds"),
    [
        (stain_nuclei, ["image", "labels", "labels", "image"]),
        (phase_fluorescence, ["image"] * 4),
    ],
)
def test_layers(sample, kinds):
    from napari.layers import Layer

    layers = [Layer.create(*layer) for layer in sample()]
    assert [layer[2] for layer in sample()] == kinds
    assert [layer.visible for layer in layers] == [True, True, False, True]
    assert len({layer.name for layer in layers}) == 4
    for layer in layers:
        assert layer.ndim == 2
        assert tuple(layer.scale) == (0.5, 0.5)
        assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
        assert layer.axis_labels == ("y", "x")
    train, _, truth, unseen = layers
    assert tuple(unseen.translate) == tuple(truth.translate)
    assert unseen.extent.world[0, 1] > train.extent.world[1, 1]


@pytest.mark.parametrize("sample", SAMPLES.values(), ids=SAMPLES)
def test_model_of_a_sample_is_small_and_far_better_than_the_baseline(sample):
    from napari_pix2pix import evaluate, load

    assert sample.model.stat().st_size < 500_000
    _, _, truth, unseen = (layer[0] for layer in sample.layers())
    model = load(sample.model)
    assert model.info.scores_by_side  # its card has held-out scores
    scores = evaluate(model, unseen, truth)
    (_, score), (_, baseline) = (primary_metric(scores[k]) for k in ("prediction", "baseline"))
    assert score > baseline + 0.1


def test_samples_do_not_import_napari():
    code = (
        "import sys; from napari_pix2pix.napari_layers import samples; samples.stain_nuclei();"
        "assert not {'napari', 'torch', 'qtpy'} & set(sys.modules)"
    )
    run_python(code)
