import shutil

import numpy as np
import pytest
from helpers import make_model, noise, with_other_best
from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

from napari_pix2pix._load import load
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.runs.gallery import show_gallery
from napari_pix2pix.widgets.runs.records import KeptRun, LayerNames, find_run, kept_runs

ROWS = [LayerNames(sources=["stain"], targets=["dapi"])]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return the file of a model with a thumbnail, whose best weights are not its last."""
    image = noise(96, 96)
    path = tmp_path_factory.mktemp("models") / "m.safetensors"
    trained = make_model(image, 1 - image, validation=0.4)
    assert trained.info.thumbnail is not None
    with_other_best(trained).save(path)
    return path


@pytest.fixture
def keep(model):
    """Return a maker of kept runs, with the model in their files."""

    def make(name="stain → dapi", state="ended"):
        folder = read_settings().autosave_folder
        run = KeptRun.new(folder, name=name, rows=ROWS, fields={"width": 4}).begun()
        shutil.copy(model, run.path)
        return run.mark(state)

    return make


@pytest.fixture
def gallery(viewer, qtbot):
    dock = QWidget()
    viewer.window.add_dock_widget(dock, name="any")
    made = show_gallery(viewer, dock)
    yield made
    made.close()


def card_of(gallery, run):
    gallery.refresh()
    return gallery.cards[run.path]


def test_card_shows_pictures_steps_scores_and_where_it_is(gallery, keep):
    assert "There are no runs yet" in gallery.total.text()
    run = keep()
    card = card_of(gallery, run)
    assert card.name.text() == "stain → dapi"
    assert card.picture.pixmap().width() > 2.5 * card.picture.pixmap().height()
    assert run.record.began in card.facts.text()
    assert "1200 steps" in card.facts.text()
    assert "not saved elsewhere" in card.facts.text()
    assert "Pearson 0.500 (0.250)" in card.scores.text()
    assert not card.resume.isVisibleTo(card)
    assert "1 run, " in gallery.total.text()
    assert " MB in " in gallery.total.text()


def test_name_and_note_are_kept_and_found(gallery, keep):
    run, other = keep(), keep("other")
    card = card_of(gallery, run)
    card.name.setText("half the light")
    card.name.editingFinished.emit()
    card.note.setText("for the paper")
    card.note.editingFinished.emit()
    found = find_run(run.path)
    assert (found.name, found.record.note) == ("half the light", "for the paper")
    assert "half the light" in [entry.name for entry in models().listed()]
    gallery.refresh()
    gallery.search.setText("PAPER light")
    assert card.isVisibleTo(gallery)
    assert not gallery.cards[other.path].isVisibleTo(gallery)
    card.name.setText(" ")
    card.name.editingFinished.emit()
    assert card.name.text() == "half the light"


def test_run_is_used_with_the_weights_that_were_chosen(gallery, keep, viewer, qtbot):
    run = keep()
    card = card_of(gallery, run)
    card.weights.setCurrentIndex(1)
    card.weights.activated.emit(1)
    assert "Pearson 0.750 (0.250)" in card_of(gallery, run).scores.text()
    card.use.click()
    dock = open_dock(viewer, "Apply")
    assert dock.model.run == run.path
    assert dock.card.applied == "best"
    dock.close_down()


def test_dead_run_is_used_as_it_is_or_trained_on_without_its_layers(gallery, keep, viewer, qtbot):
    run = keep(state="closed")
    card = card_of(gallery, run)
    assert "interrupted" in card.facts.text()
    card.resume.click()
    assert "open these layers first: stain, dapi. Or press Use" in gallery.message.text()
    card.use.click()
    apply = open_dock(viewer, "Apply")
    layer = viewer.add_image(np.ones((64, 64), np.float32), name="another")
    apply.set_layers([layer])
    with qtbot.waitSignal(apply.ended) as ended:
        apply.apply()
    assert not ended.args[1]
    card.train_on.click()
    train = open_dock(viewer, "Train")
    start = train.start_from
    assert start == run.path or start.digest == load(run.path).digest
    for dock in (apply, train):
        getattr(dock, "close_down", getattr(dock, "close_work", None))()


@pytest.mark.parametrize("answer", ["Yes", "No"])
def test_run_is_deleted_after_a_question(gallery, keep, monkeypatch, answer):
    run = keep()
    card = card_of(gallery, run)
    button, asked = getattr(QMessageBox.StandardButton, answer), []
    monkeypatch.setattr(QMessageBox, "question", lambda *told: asked.append(told[-1]) or button)
    card.delete.click()
    assert asked[0].startswith(f"Delete stain → dapi of {run.record.began} (")
    assert "not saved anywhere else" in asked[0]
    assert len(kept_runs(read_settings().autosave_folder)) == (answer == "No")


def test_saved_run_says_where(gallery, keep, monkeypatch, qtbot, tmp_path):
    run = keep()
    path = str(tmp_path / "mine.safetensors")
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (path, ""))
    card = card_of(gallery, run)
    card.save.click()
    qtbot.waitUntil(lambda: "Saved as" in gallery.said.text())
    assert "saved as mine.safetensors" in card_of(gallery, run).facts.text()
    assert load(path).info.steps == 1200
    (entry,) = models().listed()  # one model, in two files
    assert entry.name == "mine"


def test_run_that_can_not_be_read_says_so_and_can_be_deleted(gallery, keep):
    run = keep()
    run.path.write_bytes(b"cut short")
    card = card_of(gallery, run)
    assert "Can't read" in card.error.text()
    assert not card.use.isEnabled()
    assert card.delete.isEnabled()


def test_one_window_has_one_gallery(gallery, viewer):
    dock = QWidget()
    viewer.window.add_dock_widget(dock, name="another")
    assert show_gallery(viewer, dock) is gallery


def test_many_cards_come_one_after_the_other(gallery, keep, qtbot):
    runs = [keep(str(number)) for number in range(12)]
    gallery.refresh()
    assert len(gallery.cards) == 10
    qtbot.waitUntil(lambda: len(gallery.cards) == 12)
    column = [gallery._column.itemAt(at).widget() for at in range(12)]
    assert [card.run.path for card in column] == [run.path for run in reversed(runs)]


def test_what_nobody_foresaw_in_a_run_is_said_on_its_card(gallery, keep, monkeypatch):
    monkeypatch.setattr("napari_pix2pix.widgets.runs.records._read_info", lambda *_: {}["a"])
    card = card_of(gallery, keep())
    assert "Something unexpected went wrong (KeyError: 'a')" in card.error.text()
