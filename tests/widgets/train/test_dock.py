import dataclasses
import gc
import json
import threading
import weakref
from contextlib import suppress
from pathlib import Path

import dask.array
import helpers
import numpy as np
import pytest
from helpers import make_model, noise, with_other_best
from qtpy.QtWidgets import QMessageBox

import napari_pix2pix._train
from napari_pix2pix._load import load
from napari_pix2pix.errors import ConfigError, FileError, InputError
from napari_pix2pix.training import dataset
from napari_pix2pix.training.config import DERIVE_FIELDS, TrainConfig
from napari_pix2pix.training.events import Control
from napari_pix2pix.translator import Translator
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.common import known_models, settings
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.runs.records import KeptRun, kept_runs
from napari_pix2pix.widgets.train import _closing, _run
from napari_pix2pix.widgets.train._run_options import FIELDS
from napari_pix2pix.widgets.train.dock import TrainDock

TINY = helpers.TINY | {"depth": 3, "discriminator_layers": 1}


@pytest.fixture(autouse=True)
def own_folder(tmp_path):
    """Return the folder of kept runs, which is the test's own."""
    return tmp_path / "data" / "autosave"


@pytest.fixture
def make_dock(make_napari_viewer_proxy):
    """Return a maker of docks in a viewer with two layers."""
    made: list[TrainDock] = []

    def make(viewer=None, **fields):
        if viewer is None:
            viewer = make_napari_viewer_proxy()
            source = np.random.default_rng(0).random((96, 80)).astype(np.float32)
            viewer.add_image(source, name="stain", scale=(2, 0.5), translate=(3, 4))
            viewer.add_image(1 - source, name="dapi", colormap="magma")
        dock = TrainDock(viewer)
        viewer.window.add_dock_widget(dock, name=f"Train {len(made)}")
        dock.set_fields(**{**TINY, "epochs": 1, "steps": 5, **fields})
        made.append(dock)
        return viewer, dock

    yield make
    while made:  # pytest holds the list for longer than napari allows docks to live
        with suppress(RuntimeError):  # of a viewer that the test has closed
            made.pop().close_work()


def wait_for(qtbot, dock, *states):
    qtbot.waitUntil(lambda: dock.state in states)


def run_until(qtbot, dock, state):
    dock.train()
    wait_for(qtbot, dock, state)


def stop(qtbot, dock):
    dock.stop()
    wait_for(qtbot, dock, "stopped")


def train_to_end(make_dock, qtbot, **fields):
    viewer, dock = make_dock(**fields)
    run_until(qtbot, dock, "done")
    return viewer, dock


LONG = {"steps": 100_000, "epochs": 1000}


def begin_long_run(make_dock, qtbot, **fields):
    viewer, dock = make_dock(**LONG, **fields)
    run_until(qtbot, dock, "training")
    return viewer, dock


def run_until_there_are_curves(make_dock, qtbot, **fields):
    viewer, dock = begin_long_run(make_dock, qtbot, **fields)
    qtbot.waitUntil(lambda: bool(dock.view.curves.points("reconstruction")[0]))
    return viewer, dock


def buttons(dock):
    status = dock.view.status
    return tuple(button.isEnabled() for button in (status.train, status.pause, status.stop))


def wait_until_ready(qtbot, dock):
    qtbot.waitUntil(lambda: dock.view.status.train.isEnabled())


def test_five_steps_and_a_model(make_dock, qtbot, tmp_path):
    _, dock = make_dock()
    states: list[str] = []
    dock.state_changed.connect(states.append)
    dock.train()
    assert dock.state == "preparing"
    wait_for(qtbot, dock, "done")
    assert states == ["preparing", "training", "done"]
    assert isinstance(dock.translator, Translator)
    assert models().last().translator is dock.translator
    with pytest.raises(FileError, match="that of another format"):
        dock.save(tmp_path / "model.onnx")
    dock.save(tmp_path / "model.safetensors")
    assert load(tmp_path / "model.safetensors").config == dock.translator.config
    assert models().last().path == tmp_path / "model.safetensors"
    steps, _ = dock.view.curves.points("reconstruction")
    assert steps[-1] == 5
    previewed = dock.view.preview.steps
    assert (previewed[0], previewed[-1]) == (0, 5)
    assert dock.view.outcome.isVisibleTo(dock)
    table = dock.view.outcome.scores
    rows = {table.item(row, 0).text() for row in range(table.rowCount())}
    columns = {table.horizontalHeaderItem(at).text() for at in range(table.columnCount())}
    assert {"L1", "PSNR (dB)", "Pearson"} <= rows
    assert "Baseline" in columns
    assert dock.view.status.bar.value() == dock.view.status.bar.maximum()


def test_a_dock_says_that_enough_passes_ended_its_run(make_dock, qtbot, monkeypatch):
    monkeypatch.setattr(dataset, "steps_for_passes", lambda *_: 3)
    _, dock = make_dock(steps=None, epochs=2)
    wait_until_ready(qtbot, dock)
    qtbot.waitUntil(lambda: dock.view.form.estimate.text().startswith("3 steps (the most"))
    run_until(qtbot, dock, "done")
    assert "The training ended before its budget, after 3 steps: " in dock.view.health.text()


def test_pause_resume_and_stop(make_dock, qtbot, monkeypatch):
    wait, begun = Control.wait, [0]

    def count(control):
        waited = wait(control)
        begun.append(begun[-1] + 1)
        return waited

    monkeypatch.setattr(Control, "wait", count)
    _, dock = begin_long_run(make_dock, qtbot)
    assert buttons(dock) == (False, True, True)
    dock.pause()
    assert dock.state == "paused"
    assert dock.view.status.pause.text() == "Resume"
    before = begun[-1]
    qtbot.wait(200)
    assert begun[-1] <= before + 1  # the one that was under way
    dock.resume()
    qtbot.waitUntil(
        lambda: max(dock.view.curves.points("reconstruction")[0], default=0) > before + 1
    )
    stop(qtbot, dock)
    assert dock.translator is not None
    qtbot.waitUntil(lambda: buttons(dock) == (True, False, False))


def test_second_run_is_refused_while_one_goes_on(make_dock, qtbot):
    _, dock = make_dock(**LONG)
    dock.train()
    with pytest.raises(InputError, match="A training is in progress"):
        dock.train()
    stop(qtbot, dock)


def test_preview_lies_in_the_source(make_dock, qtbot):
    viewer, dock = make_dock()
    selected = [layer.name for layer in viewer.layers.selection]
    run_until(qtbot, dock, "done")
    layer = viewer.layers["preview [stain]"]
    assert layer.colormap.name == "magma"
    np.testing.assert_allclose(layer.scale, (2, 0.5))
    low, high = viewer.layers["stain"].extent.world
    inside_low, inside_high = layer.extent.world
    assert (inside_low >= low - 1e-9).all()
    assert (inside_high <= high + 1e-9).all()
    # The held-out strip ends where the source ends.
    assert np.isclose(inside_high, high).any()
    assert [layer.name for layer in viewer.layers.selection] == selected


def test_next_run_has_a_preview_again(make_napari_viewer_proxy, qtbot):
    viewer = make_napari_viewer_proxy()
    image = np.random.default_rng(0).random((96, 80)).astype(np.float32)
    viewer.add_image(image, name="stain")
    viewer.add_image(1 - image, name="dapi")
    dock = open_dock(viewer, "Train")  # napari tells a plugin's dock of each layer that goes
    dock.set_fields(**TINY, epochs=1, steps=3)
    for _ in range(2):
        dock.train()
        wait_for(qtbot, dock, "done")
        assert [layer.name for layer in viewer.layers].count("preview [stain]") == 1
    dock.close_work()


def test_preview_that_the_user_removes_stays_away(make_dock, qtbot):
    viewer, dock = make_dock(**LONG)
    dock.train()
    qtbot.waitUntil(lambda: max(dock.view.preview.steps, default=0) > 0)
    viewer.layers.remove("preview [stain]")
    seen = len(dock.view.preview.steps)
    qtbot.waitUntil(lambda: len(dock.view.preview.steps) > seen)
    assert [layer.name for layer in viewer.layers] == ["stain", "dapi"]
    stop(qtbot, dock)


def test_layers_removed_renamed_and_changed_while_training(make_dock, qtbot):
    viewer, dock = begin_long_run(make_dock, qtbot)
    viewer.layers["stain"].name = "other"
    viewer.layers["dapi"].data = np.zeros((10, 10))
    viewer.layers.remove("other")
    qtbot.waitUntil(lambda: max(dock.view.preview.steps, default=0) > 0)
    stop(qtbot, dock)
    assert "96 x 80" in dock.translator.info.summary


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (RuntimeError("odd shape"), "RuntimeError: odd shape"),
        (RuntimeError("CUDA out of memory"), "Memory ran out"),
        (InputError("Give other images."), "Give other images."),
    ],
)
def test_error_in_the_worker_is_a_sentence_and_buttons_come_back(
    make_dock, qtbot, monkeypatch, error, message
):
    _, dock = make_dock()
    wait_until_ready(qtbot, dock)

    def events(*args, **kwargs):
        yield from ()
        raise error

    monkeypatch.setattr(napari_pix2pix._train, "training_events", events)
    run_until(qtbot, dock, "failed")
    assert message in dock.view.status.error.text()
    assert dock.view.status.error.isVisibleTo(dock)
    assert buttons(dock) == (True, False, False)


def test_memory_of_the_run_is_released(make_dock, qtbot, monkeypatch):
    from napari_pix2pix.training.loop import TrainingLoop

    seen = []
    before = TrainingLoop.__init__

    def spy(self, state, data, *args, **kwargs):
        seen.extend(weakref.ref(one) for one in (self, state, state.generator, data))
        before(self, state, data, *args, **kwargs)

    monkeypatch.setattr(TrainingLoop, "__init__", spy)
    train_to_end(make_dock, qtbot)
    gc.collect()
    assert [one() for one in seen] == [None] * 4


def test_viewer_that_a_script_closes_ends_the_run_and_keeps_its_autosave(
    make_dock, qtbot, own_folder, caplog
):
    viewer, _ = run_until_there_are_curves(make_dock, qtbot)
    viewer.close()
    assert "what it has learned is kept under Runs" in caplog.text
    assert not any(thread.name == "napari-pix2pix" for thread in threading.enumerate())
    (record,) = own_folder.glob("*.json")
    assert json.loads(record.read_text())["state"] == "closed"
    assert load(record.with_suffix(".safetensors")).config.width == 4


def answer_with(monkeypatch, answer):
    """Answer the question of a closing window; return what was asked."""
    asked: list[str] = []
    monkeypatch.setattr(_closing, "ask_what_to_keep", lambda _, text: asked.append(text) or answer)
    return asked


@pytest.mark.parametrize("answer", ["keep", "discard", "cancel"])
def test_user_who_closes_the_window_says_what_becomes_of_a_training(
    make_dock, qtbot, own_folder, monkeypatch, answer
):
    _, dock = run_until_there_are_curves(make_dock, qtbot)
    asked = answer_with(monkeypatch, answer)
    dock.window().close()  # as the menu and its shortcut do
    assert len(asked) == 1
    assert "stain → dapi is being trained" in asked[0]
    assert dock.state == ("training" if answer == "cancel" else "stopped")
    states = [json.loads(path.read_text())["state"] for path in own_folder.glob("*.json")]
    assert states == {"keep": ["closed"], "discard": [], "cancel": ["running"]}[answer]
    assert bool(list(own_folder.glob("*.safetensors"))) is (answer == "keep") or answer == "cancel"


@pytest.mark.parametrize("answer", ["keep", "discard", "cancel"])
def test_finished_model_survives_closing_without_saving(
    make_dock, qtbot, own_folder, monkeypatch, answer
):
    viewer, dock = train_to_end(make_dock, qtbot)
    digest, window = dock.translator.digest, dock.window()
    viewer.window.remove_dock_widget(dock)  # the question does not need the dock
    asked = answer_with(monkeypatch, answer)
    window.close()
    assert len(asked) == 1
    assert "1 trained model is not saved: stain → dapi." in asked[0]
    models.cache_clear()  # as in the next napari
    last = models().last()
    if answer == "discard":
        assert last is None
        assert list(own_folder.iterdir()) == []
        return
    assert last.name == "stain → dapi"
    assert last.load().digest == digest
    assert last.details.endswith(tuple("0123456789)"))
    assert ", 5 steps, Pearson " in last.details
    (listed,) = models().listed()
    assert listed.run == last.run


def test_saved_or_deleted_models_are_not_asked_about(make_dock, qtbot, tmp_path, monkeypatch):
    _, dock = train_to_end(make_dock, qtbot)
    dock.save(tmp_path / "m.safetensors")
    run_until(qtbot, dock, "done")
    asked = answer_with(monkeypatch, "cancel")
    dock.window().close()
    assert "1 trained model is not saved" in asked[0]
    (unsaved, saved) = kept_runs(settings.read_settings().autosave_folder)
    assert saved.record.saved == tmp_path / "m.safetensors"
    models().delete(unsaved)
    assert not dock.view.outcome.isVisibleTo(dock)
    dock.window().close()
    assert len(asked) == 1


def test_model_is_kept_where_autosave_is_off(make_dock, qtbot, own_folder, monkeypatch):
    read = dataclasses.replace(settings.read_settings(), autosave=False)
    for module in (_run, known_models):
        monkeypatch.setattr(module, "read_settings", lambda: read)
    _, dock = begin_long_run(make_dock, qtbot)
    qtbot.waitUntil(lambda: bool(dock.view.curves.points("reconstruction")[0]))
    assert not own_folder.exists()
    dock.close_work()
    (run,) = kept_runs(own_folder)
    assert run.record.state == "ended"
    assert models().listed()[0].load().info.steps > 0


@pytest.mark.parametrize("error", [FileError("No space left."), KeyError("No space left.")])
def test_model_that_can_not_be_written_is_asked_about_and_stays_in_memory(
    make_dock, qtbot, monkeypatch, error
):
    def refuse(*_, **__):
        raise error

    _, dock = make_dock()
    monkeypatch.setattr(Translator, "save", refuse)
    monkeypatch.setattr(KeptRun, "mark", lambda run, _: run.discard() or run)
    run_until(qtbot, dock, "done")
    assert "No space left." in dock.view.health.text()
    assert "The model is in memory alone" in dock.view.health.text()
    assert "in memory alone" in dock.view.outcome.message.text()
    asked = answer_with(monkeypatch, "cancel")
    dock.window().close()
    assert "press Cancel, and save it, or it is lost" in asked[0]


def test_next_dock_offers_a_run_that_was_cut_off(make_dock, qtbot, own_folder):
    viewer, dock = run_until_there_are_curves(make_dock, qtbot, seed=3)
    dock.close_work()
    _, other = make_dock(viewer)
    assert other.view.offer.isVisibleTo(other)
    assert "stain → dapi" in other.view.offer.message.text()
    before = other.view.offer.run.info()
    other.view.offer.resume.click()
    wait_for(qtbot, other, "training")
    assert other.config.seed == 3
    qtbot.waitUntil(lambda: other.view.curves.points("reconstruction")[0][-1] > before.steps)
    assert other.view.curves.points("reconstruction")[0][0] == before.history[0].step
    stop(qtbot, other)
    assert len(list(own_folder.iterdir())) == 2


def test_run_is_not_resumed_without_its_layers(make_dock, qtbot, own_folder, monkeypatch):
    _, dock = run_until_there_are_curves(make_dock, qtbot)
    dock.close_work()
    viewer, other = make_dock()
    viewer.layers["dapi"].name = "renamed"
    other.view.offer.resume.click()
    assert "open these layers first: dapi" in other.view.offer.message.text()
    assert other.state == "idle"
    yes = QMessageBox.StandardButton.Yes
    monkeypatch.setattr(QMessageBox, "question", lambda *_: yes)
    other.view.offer.delete.click()
    assert not other.view.offer.isVisibleTo(other)
    assert list(own_folder.iterdir()) == []


def test_training_goes_on_where_its_dock_is_closed_and_the_next_dock_finds_it(make_dock, qtbot):
    viewer, dock = begin_long_run(make_dock, qtbot, seed=3)
    viewer.window.remove_dock_widget(dock)
    view, seen = dock.view, len(dock.view.curves.points("reconstruction")[0])
    assert dock.state == "training"
    qtbot.waitUntil(lambda: len(view.curves.points("reconstruction")[0]) > seen)
    other = open_dock(viewer, "Train")
    assert other.view is view
    assert other.view.panel.isVisibleTo(other)
    assert other.state == "training"
    assert other.config.seed == 3
    stop(qtbot, other)
    assert other.translator is not None
    other.close_work()


def test_training_without_a_dock_ends_with_its_viewer(make_dock, qtbot, own_folder):
    viewer, dock = run_until_there_are_curves(make_dock, qtbot)
    viewer.window.remove_dock_widget(dock)
    viewer.close()
    assert dock.state == "stopped"
    assert not any(thread.name == "napari-pix2pix" for thread in threading.enumerate())
    (record,) = own_folder.glob("*.json")
    assert json.loads(record.read_text())["state"] == "closed"


def test_two_docks_share_nothing(make_dock, qtbot):
    viewer, one = make_dock(**LONG)
    _, two = make_dock(viewer, width=8)
    one.train()
    run_until(qtbot, two, "done")
    assert one.state in ("preparing", "training")
    assert two.translator.config.width == 8
    stop(qtbot, one)
    assert one.translator.config.width == 4


def test_model_to_start_from_is_handed_on(make_dock, qtbot, monkeypatch):
    given = []

    def events(*args, **kwargs):
        given.append(kwargs)
        raise InputError("Enough.")
        yield

    _, dock = train_to_end(make_dock, qtbot)
    model = dock.translator
    monkeypatch.setattr(napari_pix2pix._train, "training_events", events)
    for start in (None, model, Path("model.safetensors")):
        dock.start_from = start
        dock.train()
        wait_for(qtbot, dock, "failed")
        assert given[-1]["start"] == start
    assert given[0]["start"] is None


def test_run_starts_from_the_last_model(make_dock, qtbot):
    _, dock = train_to_end(make_dock, qtbot)
    model = dock.translator
    dock.view.form.reset_fields()
    dock.start_from = model
    assert not dock.view.form.options.preset.enabled
    wait_until_ready(qtbot, dock)
    assert "Starts from a model" in dock.view.form.notes.text()
    assert dock.view.form.groups.editor("width").value == 4  # the model's, and not the preset's
    assert "width" not in dock.view.form.fields
    dock.set_fields(steps=3)
    run_until(qtbot, dock, "done")
    assert dock.translator is not model
    assert dock.translator.config.width == 4
    assert dock.translator.info.started_from.steps == 5
    dock.start_from = None
    wait_until_ready(qtbot, dock)
    assert dock.view.form.groups.editor("width").value == TrainConfig().width


def test_model_that_does_not_fit_is_refused_beside_the_choice(make_dock, qtbot, tmp_path):
    viewer, dock = train_to_end(make_dock, qtbot)
    dock.save(tmp_path / "model.safetensors")
    (tmp_path / "other.safetensors").write_bytes(b"nothing")
    start_error = dock.view.form.options.start_error
    width = dock.view.form.groups.forms["Networks"]._rows["width"].error
    dock.start_from = tmp_path / "other.safetensors"
    qtbot.waitUntil(lambda: "other.safetensors" in start_error.text())
    assert not dock.view.status.train.isEnabled()
    dock.start_from = tmp_path / "model.safetensors"
    wait_until_ready(qtbot, dock)
    assert start_error.text() == ""
    dock.set_fields(width=6)
    qtbot.waitUntil(lambda: "has width=4, got 6" in width.text())
    dock.view.form.groups.reset("width")
    wait_until_ready(qtbot, dock)
    viewer.layers["dapi"].data = np.arange(96 * 80, dtype=np.uint16).reshape(96, 80)
    qtbot.waitUntil(lambda: "was trained on 1 of float32" in start_error.text())
    assert not dock.view.status.train.isEnabled()
    dock.train()  # what a script asks for is refused too
    wait_for(qtbot, dock, "failed")
    assert "was trained on 1 of float32" in dock.view.status.error.text()


def test_cut_off_run_that_began_from_a_model_goes_on(make_dock, qtbot):
    viewer, dock = train_to_end(make_dock, qtbot, preset="reference")
    dock.start_from = dock.translator
    dock.set_fields(**LONG)
    dock.train()
    qtbot.waitUntil(lambda: bool(dock.view.curves.points("reconstruction")[0]))
    dock.close_work()
    _, other = make_dock(viewer, preset="light")
    before = other.view.offer.run.info().steps
    other.view.offer.resume.click()
    qtbot.waitUntil(lambda: other.view.curves.points("reconstruction")[0][-1:] > [before])
    stop(qtbot, other)
    assert other.translator.config.preset == "reference"
    assert other.translator.info.started_from.steps == 5


def test_model_of_a_script_can_be_started_from(make_dock, qtbot):
    _, dock = train_to_end(make_dock, qtbot)
    dock.save(path := Path(settings.read_settings().models_folder / "model.safetensors"))
    loaded = load(path)
    dock.start_from = loaded
    assert dock.start_from is loaded


@pytest.mark.parametrize("kept", [False, True])
def test_closed_dock_takes_its_preview_with_it(make_dock, qtbot, kept):
    viewer, dock = train_to_end(make_dock, qtbot)
    assert "preview [stain]" in viewer.layers
    if kept:
        dock.view.preview.keep()
    viewer.window.remove_dock_widget(dock)
    assert ("preview [stain]" in viewer.layers) is kept


def test_stop_before_the_first_step(make_dock, qtbot, own_folder):
    _, dock = make_dock()
    wait_until_ready(qtbot, dock)
    dock.train()
    dock.stop()
    assert "Stopping" in dock.view.status.message.text()
    assert buttons(dock) == (False, False, False)
    wait_for(qtbot, dock, "stopped")
    assert "before the first step" in dock.view.status.message.text()
    assert dock.translator is None
    assert models().last() is None
    assert list(own_folder.iterdir()) == []
    qtbot.waitUntil(lambda: buttons(dock) == (True, False, False))


def test_stop_breaks_off_the_reading_of_slow_layers(make_dock, make_napari_viewer_proxy, qtbot):
    read: list[int] = []
    training, go_on = threading.Event(), threading.Event()

    def slowly(block):
        read.append(1)
        if training.is_set() and len(read) > 4:
            go_on.wait(60)
        return block

    viewer = make_napari_viewer_proxy()
    image = np.random.default_rng(0).random((512, 512)).astype(np.float32)
    slow = dask.array.from_array(image, chunks=32).map_blocks(slowly, dtype=np.float32)
    viewer.add_image(slow, name="stain", contrast_limits=(0, 1))
    viewer.add_image(1 - image, name="dapi")
    _, dock = make_dock(viewer)
    dock.add_pair(viewer.layers["stain"], viewer.layers["dapi"])
    read.clear()
    training.set()
    dock.train()
    qtbot.waitUntil(lambda: len(read) > 4)
    dock.stop()
    go_on.set()
    wait_for(qtbot, dock, "stopped")
    assert len(read) < 128  # of 256, of which most are sampled
    assert dock.translator is None


def test_stop_while_reading_leaves_a_run_that_was_to_go_on(make_dock, qtbot, own_folder):
    _, dock = run_until_there_are_curves(make_dock, qtbot)
    dock.close_work()
    _, other = make_dock()
    other.view.offer.resume.click()
    stop(qtbot, other)
    (record,) = own_folder.glob("*.json")
    assert json.loads(record.read_text())["state"] == "closed"
    assert record.with_suffix(".safetensors").exists()
    assert other.view.offer.isVisibleTo(other)


def test_stop_while_paused_is_final(make_dock, qtbot):
    _, dock = run_until_there_are_curves(make_dock, qtbot)
    dock.pause()
    dock.stop()
    dock.resume()
    dock.pause()
    assert "Stopping" in dock.view.status.message.text()
    wait_for(qtbot, dock, "stopped")
    assert dock.translator is not None


def test_autosave_that_fails_at_the_end_loses_no_model(make_dock, qtbot, monkeypatch):
    def refuse(self, state):
        raise FileError("Can't write the autosave.")

    _, dock = make_dock()
    monkeypatch.setattr(KeptRun, "mark", refuse)
    run_until(qtbot, dock, "done")
    assert dock.translator is not None
    assert "Can't write the autosave." in dock.view.health.text()


def test_console_result_is_updated_by_the_apply_dock(make_dock, qtbot):
    viewer, dock = train_to_end(make_dock, qtbot)
    made = dock.translator(viewer.layers["stain"])
    viewer.add_layer(made)
    before = [layer.name for layer in viewer.layers]
    made.data = np.zeros_like(made.data)
    apply = open_dock(viewer, "Apply")
    apply.set_layers([viewer.layers["stain"]])
    with qtbot.waitSignal(apply.ended):
        apply.apply()
    assert [layer.name for layer in viewer.layers] == before
    assert made.data.any()


def test_train_is_off_until_all_is_right(make_dock, qtbot):
    viewer, dock = make_dock()
    assert not dock.view.status.train.isEnabled()
    wait_until_ready(qtbot, dock)
    assert "96" in dock.view.form.summary.text()
    dock.view.form.groups.editor("patch").value = 33
    assert not dock.view.status.train.isEnabled()
    qtbot.waitUntil(lambda: "patch should be" in dock.view.status.train.toolTip())
    with pytest.raises(ConfigError, match="patch should be"):
        dock.train()
    dock.view.form.groups.reset("patch")
    dock.set_fields(patch=32)
    wait_until_ready(qtbot, dock)
    viewer.layers["dapi"].data = np.zeros((50, 50))
    qtbot.waitUntil(lambda: dock.view.form.pairs.has_error())
    assert not dock.view.status.train.isEnabled()
    viewer.layers["dapi"].data = np.arange(96 * 80).reshape(96, 80)
    wait_until_ready(qtbot, dock)
    assert not dock.view.form.pairs.has_error()


def test_layers_are_not_looked_at_while_a_run_needs_the_processor(make_dock, qtbot, monkeypatch):
    viewer, dock = make_dock(**LONG)
    wait_until_ready(qtbot, dock)
    dock.train()
    wait_for(qtbot, dock, "training")
    looked: list[int] = []
    dock.view.form._check.due.connect(lambda: looked.append(1))
    viewer.layers["dapi"].data = np.zeros((50, 50))
    qtbot.wait(500)
    assert looked == []
    stop(qtbot, dock)
    assert not dock.view.status.train.isEnabled()
    qtbot.waitUntil(lambda: dock.view.form.pairs.has_error())


def test_fields_of_the_last_run_are_remembered(make_dock, qtbot):
    _, dock = train_to_end(make_dock, qtbot, preset="reference", z_context=0, width=6)
    viewer, _ = make_dock()
    other = TrainDock(viewer)
    assert other.config == dock.config
    other.close_work()
    other.deleteLater()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"epochs": 2, "max_seconds": 60}, "one field for epochs and max_seconds, got 2 and 60"),
        ({"widht": 8, "batch": 3}, "did you mean width"),
        ({"devices": 2}, "The dock has no field devices, got 2"),
        ({"default_epochs": 7}, "The dock has no field default_epochs"),
    ],
)
def test_fields_that_the_form_can_not_hold_are_refused(make_dock, fields, words):
    _, dock = make_dock()
    before = dock.config
    with pytest.raises(ConfigError, match=words):
        dock.set_fields(**fields)
    assert dock.config == before
    dock.set_fields(**TrainConfig(preset="reference", epochs=3).model_dump())
    assert dock.config.epochs == 3


def test_form_covers_every_field(make_dock):
    _, dock = make_dock()
    shown = {*FIELDS, *dock.view.form.groups.names}
    shown |= {"derive", *DERIVE_FIELDS}  # choices of `DataSource`
    # Several processes begin in a shell.
    assert shown == set(TrainConfig.model_fields) - {"devices", "num_nodes", "strategy"}


def test_save_without_a_model_is_refused(make_dock, tmp_path):
    _, dock = make_dock()
    with pytest.raises(InputError, match="no model yet"):
        dock.save(tmp_path / "model.safetensors")


def test_apply_is_one_click_away(make_dock, qtbot):
    viewer, dock = train_to_end(make_dock, qtbot)
    with qtbot.waitSignal(dock.apply_requested) as told:
        dock.view.outcome.apply.click()
    assert told.args == [dock.translator]
    assert open_dock(viewer, "Apply").model.translator is dock.translator


def test_weights_are_chosen_before_the_model_is_saved(make_dock, qtbot, tmp_path):
    _, dock = make_dock()
    with pytest.raises(InputError, match="no model yet"):
        dock.choose_weights("best")
    image = noise(48, 48)
    model = with_other_best(make_model(image, 1 - image))
    dock.session.translator = model
    dock.view.outcome.show_model(models().remember(model, "run"))
    outcome = dock.view.outcome
    assert outcome.weights.currentText() == "last (1,200 steps, Pearson 0.500)"
    outcome.weights.setCurrentIndex(1)
    outcome.weights.activated.emit(1)
    assert dock.translator.info.applied == "best"
    assert models().last().translator is dock.translator
    assert models().last().name == "run"
    dock.save(tmp_path / "m.safetensors")
    assert load(tmp_path / "m.safetensors").info.applied == "best"


def test_the_frame_that_is_shown_is_held_out_by_a_button(
    make_napari_viewer_proxy, make_dock, qtbot
):
    viewer = make_napari_viewer_proxy()
    stack = np.random.default_rng(0).random((6, 64, 64)).astype(np.float32)
    viewer.add_image(stack, name="phase")
    viewer.add_image(1 - stack, name="dapi")
    _, dock = make_dock(viewer)
    form = dock.view.form
    (row,) = form.pairs._rows
    row.expand.setChecked(True)
    for frame in (2, 4):
        viewer.dims.set_current_step(0, frame)
        row.hold_out_frame.click()
    assert dock.config.hold_out == "2, 4"
    wait_until_ready(qtbot, dock)
    assert "Held out, as asked: frames 2 and 4 (2 of 6)." in form.summary.text()
    dock.set_fields(hold_out="9")
    qtbot.waitUntil(lambda: bool(form.groups.error("hold_out")))
    assert "has 6 frames, numbered from 0 to 5" in form.groups.error("hold_out")


def test_half_a_pair_is_refused_in_words(make_dock):
    viewer, dock = make_dock()
    for names, side in (((["stain"], []), "target"), (([], ["dapi"]), "source")):
        dock.clear_pairs()
        dock.add_pair(*([viewer.layers[name] for name in side_names] for side_names in names))
        with pytest.raises(InputError, match=f"Choose a layer as {side}"):
            dock.train()
        assert dock.state == "idle"


def test_what_nobody_foresaw_in_a_slot_is_said_in_the_dock(make_dock, monkeypatch):
    _, dock = make_dock()
    form = dock.view.form
    monkeypatch.setattr(form.data, "open", lambda **_: {}["a"])
    form._on_due()
    assert "(KeyError: 'a')" in form.wrong.text()
    for button in (form.patches, form.compare):
        form.wrong.set_text("")
        button.setEnabled(True)
        button.click()
        assert "(KeyError: 'a')" in form.wrong.text()
