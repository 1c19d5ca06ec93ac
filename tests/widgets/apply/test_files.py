import time

import numpy as np
import pytest
import tifffile
from helpers import gray_noise, make_model
from plate_files import write_wells

from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.large_images import FileTranslation
from napari_pix2pix.widgets.common.known_models import models


@pytest.fixture(scope="module")
def model():
    image = gray_noise(64, 64)
    return make_model(image, 255 - image)


@pytest.fixture
def folder(tmp_path):
    """Two images."""
    (tmp_path / "in").mkdir()
    for number in range(2):
        tifffile.imwrite(tmp_path / "in" / f"a{number}.tif", gray_noise(40, 48, seed=number))
    return tmp_path / "in"


def translate(dock, qtbot, *paths, **fields):
    with qtbot.waitSignal(dock.files.ended, timeout=30_000) as ended:
        dock.apply_to_files(*paths, **fields)
    text, is_error = ended.args
    assert not is_error, text
    return dock.files.summary


def test_a_folder_is_translated_and_a_second_run_keeps_it(dock, qtbot, model, folder, tmp_path):
    dock.set_model(models().remember(model, "inverter"))
    out = tmp_path / "out"
    tifffile.imwrite(folder / "colour.tif", gray_noise(40, 48, 3), photometric="rgb")
    summary = translate(dock, qtbot, folder, out)
    assert [path.name for path in summary.written] == ["a0.tif", "a1.tif"]
    assert [name for name, _ in summary.failed] == ["colour.tif"]
    assert "Failed: colour.tif" in dock.files.status.text()
    np.testing.assert_array_equal(
        tifffile.imread(out / "a0.tif"), model(tifffile.imread(folder / "a0.tif"))
    )
    again = translate(dock, qtbot, folder, out)
    assert (again.written, again.kept) == ((), 2)
    assert len(translate(dock, qtbot, folder, out, overwrite=True).written) == 2


def test_zarr_is_written_where_it_is_chosen(dock, viewer, qtbot, model, folder, tmp_path):
    dock.set_model(models().remember(model, "inverter"))
    summary = translate(dock, qtbot, folder / "a0.tif", tmp_path / "out", ending=".ome.zarr")
    (path,) = summary.written
    assert path.name == "a0.ome.zarr"
    assert read_image(path).shape[-2:] == (40, 48)
    dock.files.show_results.click()
    assert dock.files.error.text() == ""
    assert [layer.name for layer in viewer.layers] == ["a0"]


def test_of_the_wells_that_are_chosen_a_plate_is_made(dock, qtbot, model, tmp_path):
    dock.set_model(models().remember(model, "inverter"))
    fields = {name: gray_noise(1, 40, 48) for name in ("A/1/0", "A/2/0", "B/1/0")}
    plate = write_wells(tmp_path / "plate.zarr", fields)
    summary = translate(dock, qtbot, plate / "A" / "*", tmp_path / "out")
    made = tmp_path / "out" / "plate.zarr"
    assert summary.written == (made / "A" / "1" / "0", made / "A" / "2" / "0")
    assert translate(dock, qtbot, plate / "A" / "2", tmp_path / "out").kept == 1


def test_of_the_acquisition_that_is_chosen_a_plate_is_made(dock, qtbot, model, tmp_path):
    dock.set_model(models().remember(model, "inverter"))
    fields = {name: gray_noise(1, 40, 48) for name in ("A/1/0", "A/1/1")}
    plate = write_wells(tmp_path / "plate.zarr", fields, later=["A/1/1"])
    summary = translate(dock, qtbot, plate, tmp_path / "out", acquisition="day 2")
    assert summary.written == (tmp_path / "out" / "plate.zarr" / "A" / "1" / "1",)
    with qtbot.waitSignal(dock.files.ended, timeout=30_000) as ended:
        dock.apply_to_files(plate, tmp_path / "out", acquisition="3")
    assert "choose from 1 (day 1), 2 (day 2)." in ended.args[0]


def test_quantiles_of_samples_are_written(dock, qtbot, model, folder, tmp_path):
    dock.set_model(models().remember(model, "inverter"))
    dock.options = PredictOptions(turns=8, samples=8)
    dock.files.summary_of.setText("mean,q5,q95")
    summary = translate(dock, qtbot, folder / "a0.tif", tmp_path / "out")
    assert [path.stem for path in summary.written] == ["a0_mean", "a0_q5", "a0_q95"]
    mean, low, high = map(tifffile.imread, summary.written)
    assert (low <= high).all()
    assert mean.dtype == np.float32


def test_cancelled_files_go_on_where_they_were(dock, qtbot, model, folder, tmp_path, monkeypatch):
    dock.set_model(models().remember(model, "inverter"))
    whole = FileTranslation.apply

    def slowly(self, source, outs, watch):
        made = whole(self, source, outs, watch)
        while not dock.files.runner.stopping:
            time.sleep(0.01)
        return made

    monkeypatch.setattr(FileTranslation, "apply", slowly)
    with qtbot.waitSignal(dock.files.ended, timeout=30_000):
        dock.apply_to_files(folder, tmp_path / "out")
        qtbot.waitUntil(lambda: (tmp_path / "out" / "a0.tif").exists())
        dock.cancel()
    assert (len(dock.files.summary.written), dock.files.summary.left) == (1, 1)
    assert "Cancelled with 1 input to go" in dock.files.status.text()
    monkeypatch.undo()
    summary = translate(dock, qtbot, folder, tmp_path / "out")
    assert ([path.name for path in summary.written], summary.kept) == (["a1.tif"], 1)


def test_what_is_missing_is_said(dock, model, tmp_path):
    with pytest.raises(InputError, match="Choose a model"):
        dock.apply_to_files(tmp_path, tmp_path)
    dock.set_model(models().remember(model, "inverter"))
    with pytest.raises(InputError, match="ending must be"):
        dock.apply_to_files(tmp_path, tmp_path, ending=".png")
    dock.files.input.path = None
    dock.files.apply.click()
    assert dock.files.error.text().startswith("Choose the files to translate")


def test_results_have_no_place_in_an_image(dock, qtbot, model, folder, tmp_path):
    dock.set_model(models().remember(model, "inverter"))
    image = write_image(tmp_path / "image.zarr", gray_noise(40, 48), "YX")
    (tmp_path / "file").touch()
    for place, words in (
        (image / "results", "lies in, an OME-Zarr"),
        (tmp_path / "file/a", "Can't"),
    ):
        with qtbot.waitSignal(dock.files.ended, timeout=30_000) as ended:
            dock.apply_to_files(folder, place)
        text, is_error = ended.args
        assert is_error
        assert words in text
    assert not (image / "results").exists()
