from __future__ import annotations

import json

import numpy as np
import pytest

from napari_pix2pix import demo, load
from napari_pix2pix.errors import ConfigError, FileError

SCORES = {"l1", "psnr", "ssim", "pearson", "nrmse"}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo") / "new"
    return folder, demo.run_demo(folder, max_seconds=0.5, quiet=True)


def test_report(made):
    folder, report = made
    text = (folder / "report.json").read_text()
    assert json.loads(text) == report
    assert set(report) == {"seconds", "device", "validation"}
    assert report["device"] == "cpu" or ":" in report["device"]
    assert 0 < report["seconds"] < 60
    validation = report["validation"]
    assert set(validation) == {"prediction", "trivial"}
    assert all(set(scores) >= SCORES for scores in validation.values())
    # The source nearly tells the target: a demo that shows less than this shows nothing.
    assert 0.9 < validation["trivial"]["pearson"] < 0.97


def test_panel(made):
    import imageio.v3 as imageio

    panel = imageio.imread(made[0] / "panel.png")
    height, width = panel.shape[:2]
    assert 400 < height < 2000
    assert 400 < width < 2000
    assert panel[..., :3].std() > 10


def test_nothing_else_is_left(made):
    assert {path.name for path in made[0].iterdir()} == {
        "model.safetensors",
        "panel.png",
        "report.json",
    }


def test_model_is_that_of_the_report(made):
    tissue, stain = demo._tissue_and_stain()
    assert (tissue.shape, tissue.dtype) == ((512, 512, 3), np.uint8)
    assert (stain.shape, stain.dtype) == ((512, 512), np.uint16)
    model = load(made[0] / "model.safetensors")
    assert model(tissue[:20, :30]).dtype == np.uint16


def test_refused_before_any_work(tmp_path):
    with pytest.raises(ConfigError, match="max_seconds should be greater than 0"):
        demo.run_demo(tmp_path / "new", max_seconds=0)
    assert not (tmp_path / "new").exists()
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "none" / "new"):
        with pytest.raises(FileError, match="Can't make the folder"):
            demo.run_demo(folder, max_seconds=1)
