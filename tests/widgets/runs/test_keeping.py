from helpers import gray_noise, make_model

from napari_pix2pix.widgets.runs.keeping import keep_model
from napari_pix2pix.widgets.runs.records import kept_runs


def test_a_kept_model_is_an_ended_run_that_can_be_loaded(tmp_path):
    image = gray_noise(64, 64)
    path = keep_model(make_model(image, 255 - image), tmp_path / "runs", "inverter")
    (run,) = kept_runs(tmp_path / "runs")
    assert (run.path, run.name, run.record.state) == (path, "inverter", "ended")
    assert run.info().steps == 1
    assert "1 step" in run.record.facts


def test_what_can_not_be_written_leaves_nothing(tmp_path):
    image = gray_noise(64, 64)
    (tmp_path / "file").touch()
    assert keep_model(make_model(image, 255 - image), tmp_path / "file", "inverter") is None
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
