from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import tifffile
from helpers import TINY, gray_noise
from napari.settings import get_plugin_settings
from npe2 import PluginManifest
from plate_files import write_wells
from qtpy.QtCore import Qt

import napari_pix2pix
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.widgets.common import settings
from napari_pix2pix.widgets.runs.file_choice import FileChoice
from napari_pix2pix.widgets.train import _closing
from napari_pix2pix.widgets.train._data_source import DataSource
from napari_pix2pix.widgets.train._pair_rows import PairRows
from napari_pix2pix.widgets.train.dock import TrainDock

MANIFEST = Path(napari_pix2pix.__file__).parent / "napari.yaml"


@pytest.fixture
def folders(tmp_path):
    """Three pairs of files, whose names tell nothing."""
    for folder in ("source", "target"):
        (tmp_path / folder).mkdir()
        for number in range(3):
            image = gray_noise(48, 40, seed=number)
            path = tmp_path / folder / f"{folder[0]}_{number}.tif"
            tifffile.imwrite(path, image if folder == "source" else 255 - image)
    return tmp_path / "source", tmp_path / "target"


@pytest.fixture
def data(viewer, qtbot):
    pairs = PairRows(viewer)
    data = DataSource(pairs)
    qtbot.addWidget(data, before_close_func=DataSource.close_work)
    return data


def tick(data, row):
    data.files.list.item(row, 0).setCheckState(Qt.CheckState.Checked)


def test_ticked_pairs_of_files_are_held_out(data, folders):
    source, target = folders
    data.set_files(FileChoice(origin="folders", source=source, target=target))
    assert [one.name for one in data.files.listed.files] == ["s_0.tif", "s_1.tif", "s_2.tif"]
    tick(data, 1)
    chosen = data.open(copy=False)
    sets = chosen.open()
    assert [pair.name for pair in sets.train] == ["s_0.tif", "s_2.tif"]
    assert [pair.name for pair in sets.held_out] == ["s_1.tif"]
    assert chosen.files.held_out == ("s_1.tif",)
    assert chosen.name == "source → target"
    assert sets.names == ("source/s_0.tif", "target/t_0.tif")
    for row in (0, 2):
        tick(data, row)
    with pytest.raises(InputError, match="All pairs are held out"):
        data.open(copy=False)


def test_files_that_are_typed_are_listed_in_a_thread(data, folders, qtbot):
    data.origin.setCurrentIndex(data.origin.findData("folders"))
    assert data.files.count.text().startswith("Choose a source")
    data.files.source.path, data.files.target.path = folders
    with pytest.raises(InputError, match="being listed"):
        data.open(copy=False)
    qtbot.waitUntil(lambda: data.files.listed is not None)
    assert data.files.count.text() == "3 pairs."
    data.files.target.path = folders[1].with_name("nothing")
    qtbot.waitUntil(lambda: bool(data.files.error.text()))
    assert "There is no file or folder" in data.files.error.text()


def test_the_acquisition_of_a_plate_is_chosen(data, folders, tmp_path, qtbot):
    fields = {name: gray_noise(1, 40, 48) for name in ("A/1/0", "A/1/1", "B/1/0")}
    plate = write_wells(tmp_path / "plate.zarr", fields, later=["A/1/1"])
    data.set_files(FileChoice(origin="folders", source=folders[0], target=folders[1]))
    assert data.files.acquisition.isHidden()
    data.set_files(FileChoice(origin="folders", source=plate, target=plate))
    assert not data.files.acquisition.isHidden()
    data.files.acquisition.clear()
    qtbot.keyClicks(data.files.acquisition, "day 2")
    qtbot.keyClick(data.files.acquisition, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: data.files.listed is not None)
    assert [one.name for one in data.files.listed.files] == ["A/1/1"]
    assert data.files.listed.remembered().acquisition == "day 2"
    with pytest.raises(InputError, match=r"choose from 1 \(day 1\), 2 \(day 2\)"):
        data.set_files(
            FileChoice(origin="folders", source=plate, target=plate, acquisition="day 3")
        )


def test_conditions_are_shown_where_a_pair_has_one(data, folders, tmp_path):
    table = tmp_path / "pairs.csv"
    lines = [f"source/s_{n}.tif,target/t_{n}.tif,{'train' if n else 'validation'}" for n in (0, 1)]
    table.write_text("\n".join(["source,target,set", *lines]))
    data.set_files(FileChoice(origin="table", path=table))
    assert data.files.list.held_out == [False, True]  # those of training come first
    assert data.files.list.isColumnHidden(3)
    named = ["source,target,condition", *(f"{line.rpartition(',')[0]},DAPI" for line in lines)]
    table.write_text("\n".join(named))
    data.files.search_now()
    assert not data.files.list.isColumnHidden(3)
    assert data.files.list.item(0, 3).text() == "DAPI"


def test_a_folder_of_halves_and_a_missing_one(data, tmp_path):
    tifffile.imwrite(tmp_path / "ab.tif", np.hstack([gray_noise(32, 32), gray_noise(32, 32)]))
    data.set_files(FileChoice(origin="aligned", path=tmp_path, direction="BtoA"))
    (pair,) = data.open(copy=False).open().train
    assert pair.source.width == pair.target.width == 32
    assert data.files.listed.names[0].startswith("right half of ")
    with pytest.raises(FileError, match="There is no file or folder"):
        data.set_files(FileChoice(origin="aligned", path=tmp_path / "none"))


def test_sides_of_files_are_swapped_where_no_table_says_which_is_which(data, folders):
    data.set_files(FileChoice(origin="folders", source=folders[0], target=folders[1]))
    assert data.can_swap
    data.swap_sides()
    assert [one.target.name for one in data.files.search_now().files] == [
        "s_0.tif",
        "s_1.tif",
        "s_2.tif",
    ]
    data.set_source("edges")
    assert not data.can_swap
    data.set_source("")
    data.origin.setCurrentIndex(data.origin.findData("table"))
    assert not data.can_swap
    data.origin.setCurrentIndex(data.origin.findData("aligned"))
    data.swap_sides()
    assert data.files.direction.currentData() == "BtoA"


def test_sources_are_left_out_or_derived(data, viewer, folders):
    viewer.add_image(gray_noise(48, 40), name="cells")
    data.pairs.reset_choices()
    data.pairs.add((), [viewer.layers["cells"]])
    data.set_source("none")
    chosen = data.open(copy=False)
    assert chosen.open().train[0].source is None
    assert (chosen.name, data.values()) == ("cells", {})
    assert chosen.open().names == ("source", "cells")  # as its summary calls them
    data.set_source("edges")
    assert data.values() == {"derive": "edges"}
    data.set_files(FileChoice(origin="folders", target=folders[1]))
    assert data.open(copy=False).open().train[0].source is None
    with pytest.raises(InputError, match="There is no source 'contours'"):
        data.set_source("contours")


def test_options_of_a_derived_source_are_those_of_its_kind(data):
    assert data.derive.isHidden()
    data.set_source("blur")
    assert not data.derive.isHidden()
    data.set_values({"derive_sigma": 3.0})
    assert data.values() == {"derive": "blur", "derive_sigma": 3.0}
    data.set_source("holes")  # what the blur has is kept, and does not count
    assert data.values() == {"derive": "holes"}
    data.set_source("noise")
    data.derive.editor("derive_model").value = "poisson"
    data.derive.editor("derive_photons").value = 8
    assert data.values() == {"derive": "noise", "derive_model": "poisson", "derive_photons": 8.0}
    assert data.derive.editor("derive_strength").native.isHidden()
    data.set_source("gray")
    assert data.derive.isHidden()


def test_a_layer_pair_that_is_held_out_comes_last(data, viewer):
    layers = [viewer.add_image(gray_noise(48, 40, seed=n), name=f"l{n}") for n in range(4)]
    data.pairs.reset_choices()
    data.pairs.add(layers[:1], layers[1:2], held_out=True)
    data.pairs.add(layers[2:3], layers[3:])
    chosen = data.open(copy=False)
    assert [row.targets[0].name for row in chosen.rows] == ["l3", "l1"]
    assert [pair.name for pair in chosen.open().held_out] == ["l0 -> l1"]


@pytest.mark.parametrize("kind", ["", "none", "noise"])
def test_the_dock_trains_on_folders(make_napari_viewer_proxy, qtbot, folders, kind, monkeypatch):
    # The viewer is empty when it closes, as if the user closed it.
    monkeypatch.setattr(_closing, "ask_what_to_keep", lambda *_: "keep")
    viewer = make_napari_viewer_proxy()
    dock = TrainDock(viewer)
    viewer.window.add_dock_widget(dock, name="Train")
    dock.set_fields(**TINY, epochs=1, steps=2)
    dock.set_source(kind)
    dock.set_folders(None if kind else folders[0], folders[1])
    if not kind:
        tick(dock.view.form.data, 2)
    assert dock.view.welcome.isHidden()
    qtbot.waitUntil(lambda: bool(dock.view.form.summary.text()))
    assert "target/t_0.tif, one channel" in dock.view.form.summary.text()
    dock.train()
    qtbot.waitUntil(lambda: dock.state in ("done", "failed"), timeout=30_000)
    assert dock.state == "done", dock.view.status.error.text()
    info = dock.translator.info
    assert bool(info.channels) == (kind != "none")
    assert info.config.derive == (kind if kind == "noise" else None)
    if not kind:
        assert "Validated on 1 pair given for it." in info.notes
        assert [layer.name for layer in viewer.layers] == ["preview [s_2.tif]"]
    dock.close_work()


def test_a_raised_limit_of_reading_lets_files_be_trained_on(
    make_napari_viewer_proxy, qtbot, tmp_path, plugin_settings, npe2pm
):
    npe2pm.register(PluginManifest.from_file(MANIFEST))
    page = get_plugin_settings(settings.PLUGIN)
    page.files.read_limit = 1
    for side in ("source", "target"):
        (tmp_path / side).mkdir()
        squares = np.random.default_rng(0).integers(0, 255, (30, 30), np.uint8)
        image = np.kron(squares, np.ones((40, 40), np.uint8))  # the file is small
        PIL.Image.fromarray(image).save(tmp_path / side / "a.png")
    viewer = make_napari_viewer_proxy()
    dock = TrainDock(viewer)
    viewer.window.add_dock_widget(dock, name="Train")
    dock.set_folders(tmp_path / "source", tmp_path / "target")
    error = dock.view.form.data.files.error
    qtbot.waitUntil(lambda: "File > Preferences" in error.text(), timeout=30_000)
    assert not dock.view.status.train.isEnabled()
    page.files.read_limit = 30
    qtbot.waitUntil(dock.view.status.train.isEnabled, timeout=30_000)
    assert error.text() == ""
    dock.close_work()


def test_an_interrupted_run_on_files_goes_on(make_napari_viewer_proxy, qtbot, folders, monkeypatch):
    home = folders[0].parent / "data"
    monkeypatch.setattr(settings, "_data_folder", lambda: home)
    viewer = make_napari_viewer_proxy()
    first = TrainDock(viewer)
    viewer.window.add_dock_widget(first, name="Train")
    first.set_fields(**TINY, epochs=100_000, checkpoint_seconds=0.01)
    first.set_folders(*folders)
    tick(first.view.form.data, 1)
    first.train()
    saved = home / "autosave"
    qtbot.waitUntil(lambda: any(saved.glob("*.safetensors")), timeout=30_000)
    first.close_work()
    second = TrainDock(viewer)
    viewer.window.add_dock_widget(second, name="Train again")
    assert second.view.offer.run.title == "source → target"
    second.view.offer.resume.click()
    qtbot.waitUntil(lambda: second.state in ("training", "failed"), timeout=30_000)
    assert second.state == "training", second.view.status.error.text()
    assert second.view.form.data.files.list.held_out == [False, True, False]
    second.close_work()


def test_paths_have_the_font_of_their_labels(data, qtbot):
    data.set_source("")
    data.origin.setCurrentIndex(data.origin.findData("folders"))
    data.show()
    data.setStyleSheet("QLabel { font-size: 17pt }")
    qtbot.waitUntil(lambda: data.files.source.line.font().pointSize() == 17)
