"""How far a run is, drawn seldom: drawing takes from the training."""

import pytest
from helpers import make_model, noise, with_other_best
from PIL import Image
from qtpy.QtGui import QMovie
from qtpy.QtWidgets import QLabel

from napari_pix2pix.training.events import Step
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.train._status import Outcome, RunStatus, State


@pytest.fixture
def status(qtbot):
    made = RunStatus()
    qtbot.addWidget(made)
    made._later.setInterval(50)
    return made


def step(number: int) -> Step:
    return Step(number, 2, {}, {}, number / 100, 42.0)


def test_the_last_of_many_steps_is_shown_once(status, qtbot):
    shown: list[int] = []
    status.shown.connect(lambda: shown.append(1))
    status.enter(State.TRAINING)
    for number in range(1, 31):
        status.show_step(step(number), epochs=3)
    assert not shown
    qtbot.waitUntil(lambda: bool(shown))
    qtbot.wait(120)
    assert len(shown) == 1
    assert status.bar.format() == "Epoch 2/3, step 30, 42 s left"
    assert status.bar.value() == 0.3 * status.bar.maximum()


def test_there_is_no_empty_bar(status):
    assert not status.bar.isVisibleTo(status)
    for state, is_seen in ((State.PREPARING, True), (State.FAILED, False), (State.DONE, True)):
        status.enter(state)
        assert status.bar.isVisibleTo(status) is is_seen


def test_a_run_that_has_ended_shows_no_step_any_more(status, qtbot):
    status.enter(State.TRAINING)
    status.show_step(step(99), None)
    status.enter(State.DONE)
    qtbot.wait(120)
    assert status.bar.value() == status.bar.maximum()
    assert status.bar.format() == "%p%"


def test_spinners_stand_still_during_a_run(status, qtbot, tmp_path):
    pictures = [Image.new("L", (4, 4), value) for value in (0, 200)]
    file = tmp_path / "spinner.gif"
    pictures[0].save(file, save_all=True, append_images=pictures[1:], duration=50, loop=0)
    spinner, idle = QLabel(status), QLabel(status)
    for label in (spinner, idle):
        label.setMovie(QMovie(str(file)))
    spinner.movie().start()
    status.enter(State.PREPARING)
    assert spinner.movie().state() == QMovie.MovieState.Paused
    status.enter(State.DONE)
    assert spinner.movie().state() == QMovie.MovieState.Running
    assert idle.movie().state() == QMovie.MovieState.NotRunning
    spinner.movie().stop()


@pytest.fixture(scope="module")
def model():
    image = noise(48, 48)
    return with_other_best(make_model(image, 1 - image))  # best at 800 of 1200 steps


def test_weights_of_a_step_are_taken_where_they_were_kept(model, viewer, qtbot):
    outcome = Outcome(viewer)
    qtbot.addWidget(outcome)
    outcome.show_model(models().remember(model, "run"))
    chosen = []
    outcome.weights_chosen.connect(chosen.append)
    outcome.choose_step(800)
    assert chosen[-1].info.applied == "best"
    assert outcome.message.text() == "The weights of step 800 are applied from now on."
    outcome.choose_step(300)
    kept = "last (1,200 steps) and best (800 steps)"
    assert outcome.message.text() == f"The weights of step 300 were not kept: only {kept}."
    assert len(chosen) == 1
    outcome.choose_step(1200)
    assert chosen[-1].info.applied == "last"
