from types import SimpleNamespace

import pytest
from qtpy.QtCore import Qt

from napari_pix2pix.training.events import Prepared, Step, Validated
from napari_pix2pix.training.history import EpochRecord, HeldOutScores
from napari_pix2pix.widgets.train._curves import Curves


def step(number: int, **losses: float) -> Step:
    return Step(number, 1, losses, {}, 0.1, 1.0)


@pytest.fixture
def curves(viewer, qtbot):
    made = Curves(viewer)
    qtbot.addWidget(made)
    made.clear()
    made.show()
    return viewer, made


def test_losses_and_scores_are_drawn(curves, qtbot):
    _, made = curves
    made.add(step(1, G_GAN=2.0, G_L1=30.0, D_real=0.5, D_fake=0.7))
    made.add(step(2, G_L1=20.0))
    made.add(Validated(2, 1, {"pearson": 0.5}, {"pearson": 0.4}, True))
    assert made.points("generator") == ([1], [2.0])
    assert made.points("reconstruction") == ([1, 2], [30.0, 20.0])
    assert made.points("discriminator") == ([1], [0.6])
    assert made.points("score") == ([2], [0.5])
    assert made.points("baseline") == ([0, 2], [0.4, 0.4])
    made.draw()
    assert len(made._lines["reconstruction"].getData()[0]) == 2
    assert made._lines["baseline"].opts["pen"].style() == Qt.PenStyle.DashLine
    before = made._lines["reconstruction"]
    made.add(step(3, G_L1=10.0))
    made.draw()
    assert len(made._lines["reconstruction"].getData()[0]) == 3
    assert made._lines["reconstruction"] is before


def test_names_of_axes_lie_in_the_plot_and_in_the_middle(curves, qtbot):
    _, made = curves
    made.add(step(1, G_L1=30.0))
    made.draw()
    qtbot.waitUntil(lambda: made._plots[1].getAxis("left").size().height() > 50)
    made.add(Validated(1, 1, {"pearson": 0.5}, {"pearson": 0.4}, True))
    made.draw()
    losses, scores = made._plots
    left, bottom = scores.getAxis("left"), scores.getAxis("bottom")
    assert left.label.toPlainText().strip() == "Pearson"
    name = left.label.mapRectToParent(left.label.boundingRect())
    assert abs(name.center().y() - left.size().height() / 2) <= 1
    assert bottom.label.sceneBoundingRect().bottom() <= scores.viewport().height()
    assert losses.getAxis("left").mapToScene(0, 0).y() >= 7  # half a number


def test_what_can_not_be_seen_is_drawn_when_it_comes_into_view(curves, qtbot):
    _, made = curves
    made.hide()
    made.add(step(1, G_L1=1.0))
    made.draw()
    assert made._lines["reconstruction"].getData()[0] is None
    made.show()
    qtbot.waitUntil(lambda: made._lines["reconstruction"].getData()[0] is not None)


def test_long_runs_are_thinned_out(curves, monkeypatch):
    monkeypatch.setattr("napari_pix2pix.widgets.train._curves._MOST_POINTS", 50)
    _, made = curves
    for number in range(1, 1001):
        made.add(step(number, G_L1=1.0))
    steps, values = made.points("reconstruction")
    assert len(steps) == len(values) <= 50
    assert (steps[0], steps[-1]) == (1, 1000)
    assert steps == sorted(steps)


def test_new_run_begins_with_empty_curves(curves):
    _, made = curves
    made.add(step(1, G_L1=1.0))
    made.clear()
    assert made.points("reconstruction") == ([], [])


def test_loss_of_wgan_below_zero_is_left_out(curves, qtbot):
    _, made = curves
    made.add(step(1, G_GAN=-2.0, G_L1=1.0))
    made.add(step(2, G_GAN=3.0, G_L1=1.0))
    values = made.points("generator")[1]
    assert str(values) == "[nan, 3.0]"
    made.draw()


def test_colours_follow_the_theme(curves, qtbot):
    viewer, made = curves
    made.add(step(1, G_L1=1.0))
    made.draw()
    dark = made._plots[0].backgroundBrush().color().name()
    viewer.theme = "light"
    assert made._plots[0].backgroundBrush().color().name() != dark


def test_reconstruction_is_called_by_its_loss(curves):
    _, made = curves
    made.add(step(1, G_L1=1.0))
    made.draw()
    assert "L1" in made._legends[0].text()
    made.add(Prepared("", (), "CPU", 1, reconstruction="l2"))
    assert "L2" in made._legends[0].text()
    assert "L1" not in made._legends[0].text()


def test_resumed_run_keeps_its_curves(curves):
    _, made = curves
    history = (
        EpochRecord(100, 1, {"G_GAN": 2.0, "G_L1": 30.0}, {"pearson": 0.5}),
        EpochRecord(150, 2, {"G_L1": 25.0}),
        EpochRecord(200, 2, {"G_L1": 20.0}, {"pearson": 0.6}),
    )
    scores = HeldOutScores({"pearson": 0.6}, {"pearson": 0.4})
    made.add_history(SimpleNamespace(history=history, scores=scores))
    made.add(step(201, G_L1=19.0))
    assert made.points("reconstruction") == ([100, 150, 200, 201], [30.0, 25.0, 20.0, 19.0])
    assert made.points("score") == ([100, 200], [0.5, 0.6])
    assert made.points("baseline") == ([0, 100, 200], [0.4, 0.4, 0.4])
