import signal

import numpy as np
import pytest
from helpers import strict_json

from napari_pix2pix import load
from napari_pix2pix.cli import _demo
from napari_pix2pix.cli._console import Ended
from napari_pix2pix.cli._progress import to_json
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import ConfigError, FileError
from napari_pix2pix.napari_layers.samples import stain_nuclei
from napari_pix2pix.training.events import Step

SCORES = {"l1", "psnr", "ssim", "pearson", "nrmse"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "new"
    return folder, _demo.run_demo(folder, max_seconds=0.5, quiet=True)


def test_report(made):
    folder, report = made
    assert (folder / "report.json").read_text() == to_json(report) + "\n"
    assert set(report) == {"seconds", "device", "validation", "labels"}
    assert report["device"] == "cpu" or ":" in report["device"]
    assert 0 < report["seconds"] < 60
    validation = report["validation"]
    assert set(validation) == {"prediction", "baseline"}
    assert all(set(scores) >= SCORES for scores in validation.values())
    # The source nearly tells the target: a demo that shows less than this shows nothing.
    assert 0.9 < validation["baseline"]["pearson"] < 0.98


def test_report_of_the_labels(made):
    labels = made[1]["labels"]
    assert set(labels) == {"seconds", "validation"}
    assert 0 < labels["seconds"] < 60
    scores = labels["validation"]
    assert set(scores) == {"prediction", "baseline"}
    assert all(0 <= scores[side][key] <= 1 for side in scores for key in ("f1", "dice"))
    # What Otsu's threshold finds alone: a change of the samples or of the map shows here.
    assert scores["baseline"]["f1"] == pytest.approx(0.72, abs=0.02)
    assert scores["baseline"]["dice"] == pytest.approx(0.88, abs=0.02)


@pytest.mark.parametrize("name", ["panel.png", "panel_labels.png"])
def test_panel(made, name):
    import imageio.v3 as imageio

    panel = imageio.imread(made[0] / name)
    height, width = panel.shape[:2]
    assert 400 < height < 2000
    assert 400 < width < 2000
    assert panel[..., :3].std() > 10


def test_panel_paints_labels_and_leaves_the_background(tmp_path):
    import imageio.v3 as imageio

    source = np.full((40, 40, 3), 200, np.uint8)
    labels = np.zeros((40, 40), np.uint16)
    labels[:, 20:] = 1
    pair = Pair(source, labels)
    scores = {"prediction": {"f1": 0.25, "dice": 0.5}, "baseline": {"f1": 0.0, "dice": 0.0}}
    images = {"prediction": labels, "baseline": np.zeros_like(labels)}
    _demo._write_labels_panel(tmp_path / "a.png", pair, images, scores)
    panel = imageio.imread(tmp_path / "a.png")[..., :3].astype(int)
    coloured = np.ptp(panel, axis=-1) > 50
    middle, centre = panel.shape[0] // 2, panel.shape[1] // 2
    quarters = [
        coloured[rows, columns].mean()
        for rows in (slice(0, middle), slice(middle, None))
        for columns in (slice(0, centre), slice(centre, None))
    ]
    assert quarters[0] == quarters[3] == 0  # source, and Otsu that found nothing
    assert min(quarters[1:3]) > 0.3


def test_objects_have_the_colour_of_the_true_one_that_they_cover_most():
    truth = np.zeros((4, 12), np.uint16)
    truth[:, :4], truth[:, 6:10] = 5, 2
    labels = np.zeros_like(truth)
    labels[:, :3], labels[:, 3:8], labels[:2, 8:10], labels[:, 11:] = 9, 1, 4, 3
    numbers = _demo._match_numbers(labels, truth)
    assert numbers[0].tolist() == [5, 5, 5, 2, 2, 2, 2, 2, 2, 2, 0, 5 + 3]
    assert numbers[3, 9] == 0


def test_nothing_else_is_left(made):
    models, panels = {"labels.safetensors", "model.safetensors"}, {"panel.png", "panel_labels.png"}
    assert {path.name for path in made[0].iterdir()} == models | panels | {"report.json"}


def test_model_is_that_of_the_report(made):
    tissue, stain = _demo._tissue_and_stain()
    assert (tissue.shape, tissue.dtype) == ((512, 512, 3), np.uint8)
    assert (stain.shape, stain.dtype) == ((512, 512), np.uint16)
    model = load(made[0] / "model.safetensors")
    assert model(tissue[:20, :30]).dtype == np.uint16


def test_labels_are_labels_of_the_source(made):
    model = load(made[0] / "labels.safetensors")
    assert model.target_codec.kind == "instances"
    tissue, _, truth, unseen = (layer[0] for layer in stain_nuclei())
    assert not np.array_equal(tissue[: unseen.shape[0], : unseen.shape[1]], unseen)
    assert (model(unseen).dtype, model(unseen).shape) == (truth.dtype, truth.shape)


def test_refused_before_any_work(tmp_path):
    with pytest.raises(ConfigError, match="max_seconds should be greater than 0"):
        _demo.run_demo(tmp_path / "new", max_seconds=0)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "none" / "new"):
        with pytest.raises(FileError, match="Can't make the folder"):
            _demo.run_demo(folder, max_seconds=1)


def test_ctrl_c_in_a_training_keeps_its_model(tmp_path, monkeypatch, interruptible):
    training_events = _demo.training_events

    def interrupted(*args, **how):
        for event in (events := training_events(*args, **how)):
            yield event
            if isinstance(event, Step):
                signal.raise_signal(signal.SIGINT)
                return (yield from events)
        raise AssertionError

    monkeypatch.setattr(_demo, "training_events", interrupted)
    with pytest.raises(Ended, match=r"Stopped\. .* keeps model.safetensors; .*--overwrite"):
        _demo.run_demo(tmp_path / "demo", max_seconds=5, quiet=True)
    assert load(tmp_path / "demo" / "model.safetensors").info.steps == 1


def test_ctrl_c_between_the_trainings_says_what_is_kept(tmp_path, monkeypatch, interruptible):
    monkeypatch.setattr(_demo, "stain_nuclei", lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Ended, match=r"keeps model.safetensors, panel.png; run the demo again"):
        _demo.run_demo(tmp_path / "demo", max_seconds=0.5, quiet=True)
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "model.safetensors",
        "panel.png",
    ]


# --- the command ----------------------------------------------------------------------------------


def test_command_writes_its_report(tmp_path, run):
    done = run("demo", "--max-seconds", "0.5", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert strict_json(done.stdout) == strict_json((tmp_path / "demo" / "report.json").read_text())
    assert (tmp_path / "demo" / "panel.png").stat().st_size > 10_000


def test_demo_says_both_parts(tmp_path, monkeypatch, succeed):
    def sides(**scores):
        return {"validation": {"prediction": scores, "baseline": scores}}

    report = sides(pearson=0.75) | {"labels": sides(dice=0.5, f1=0.25)}
    monkeypatch.setattr("napari_pix2pix.cli._demo.run_demo", lambda *_, **__: report)
    result = succeed("demo -o", tmp_path / "out")
    words = ["Stain, ", "pearson", "0.75", "Labels of nuclei", "dice", "0.5", "f1", "0.25"]
    places = [result.stdout.find(word) for word in [*words, "panel_labels.png"]]
    assert min(places) >= 0
    assert places == sorted(places)
