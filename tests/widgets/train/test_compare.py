import pytest
from helpers import TINY, noise

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.settings import read_settings
from napari_pix2pix.widgets.runs.records import kept_runs
from napari_pix2pix.widgets.train._compare import CompareDialog
from napari_pix2pix.widgets.train._file_choice import TrainingSets
from napari_pix2pix.widgets.train._form import TrainForm


@pytest.fixture
def dialog(qtbot):
    image = noise(96, 96)
    fields = {**TINY, "steps": 2, "preset": "light"}
    dialog = CompareDialog(
        lambda: TrainingSets([Pair(image, 1 - image)], of_layers=False), fields, "a → b"
    )
    qtbot.addWidget(dialog, before_close_func=CompareDialog.close_work)
    return dialog


def tick(dialog, *names):
    for name, box in dialog.recipes.items():
        box.setChecked(name in names)


def test_ticked_recipes_fill_table_and_lists(dialog, qtbot):
    tick(dialog, "L1", "L1+cGAN")
    dialog.start.click()
    assert not dialog.start.isEnabled()
    qtbot.waitUntil(lambda: dialog.comparison is not None, timeout=30_000)
    rows = [dialog.table.verticalHeaderItem(row).text() for row in range(dialog.table.rowCount())]
    assert rows == ["L1", "L1+cGAN", "baseline"]
    assert [entry.name for entry in models().known()] == ["a → b L1+cGAN", "a → b L1"]
    kept = kept_runs(read_settings().autosave_folder)
    assert {run.name for run in kept} == {"a → b L1+cGAN", "a → b L1"}
    assert all(run.record.state == "ended" and run.path.exists() for run in kept)
    assert dialog.comparison.best.name in dialog.status.text()
    bold = [dialog.table.item(row, 0).font().bold() for row in range(3)]
    assert sum(bold) == 1


def test_one_recipe_is_no_comparison(dialog):
    tick(dialog, "L1")
    dialog.start.click()
    assert "needs 2 recipes or more" in dialog.error.text()
    assert not dialog.runner.running


def test_the_window_closes_with_its_dock(viewer, qtbot):
    image = noise(96, 96)
    for name, data in (("a", image), ("b", 1 - image)):
        viewer.add_image(data, name=name)
    form = TrainForm(viewer)
    qtbot.addWidget(form)
    qtbot.waitUntil(form.compare.isEnabled, timeout=30_000)
    form.hold(True)
    assert not form.compare.isEnabled()
    form.hold(False)
    form.compare.click()
    runner = form.comparison.runner
    form.comparison.start.click()
    assert runner.running
    form.close_work()
    assert not runner.running
    assert form.comparison is None
