"""State, progress and buttons of a training, always in view below the dock's scroll area."""

from __future__ import annotations

import time
from enum import StrEnum

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_pix2pix.activity import Activity
from napari_pix2pix.training.events import Step
from napari_pix2pix.widgets.pace import in_time_units
from napari_pix2pix.widgets.sentence import Sentence

_PARTS = 1000  # of the bars
_SLOW = 10  # percent of an animation's speed
_PERIOD = 0.25  # seconds between two looks at how far the run is


class State(StrEnum):
    """What a training dock is doing."""

    IDLE = "idle"
    PREPARING = "preparing"
    TRAINING = "training"
    PAUSED = "paused"
    STOPPED = "stopped"
    DONE = "done"
    FAILED = "failed"

    @property
    def is_busy(self) -> bool:
        """Whether a run is going on."""
        return self in (State.PREPARING, State.TRAINING, State.PAUSED)


class RunStatus(QWidget):
    """The state in words, a bar here and in napari's activity dock, Train, Pause and Stop.

    Attributes
    ----------
    train_clicked, pause_clicked, stop_clicked : Signal()
    """

    train_clicked = Signal()
    pause_clicked = Signal()
    stop_clicked = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.state = State.IDLE
        self._activity = Activity()
        self._ready = False
        self._stopping = False
        self._shown = 0.0  # when
        self.said = Sentence()
        self.error = Sentence(is_error=True)
        self.bar = QProgressBar()
        self.bar.setRange(0, _PARTS)
        self.train = QPushButton("Train")
        self.train.setToolTip("Begin to train; the viewer stays alive meanwhile.")
        self.pause = QPushButton("Pause")
        self.pause.setToolTip("Hold the training, and go on with it.")
        self.stop = QPushButton("Stop")
        self.stop.setToolTip("End the training and keep the model as it is now.")
        self._lay_out()
        self.train.clicked.connect(self.train_clicked)
        self.pause.clicked.connect(self.pause_clicked)
        self.stop.clicked.connect(self.stop_clicked)
        self.enter(State.IDLE)

    def set_ready(self, ready: bool, reason: str = "") -> None:
        """Say whether the choices can be trained on, and if not, why not."""
        self._ready = ready
        self.train.setToolTip(reason or "Begin to train; the viewer stays alive meanwhile.")
        self._update()

    def enter(self, state: State, words: str = "") -> None:
        """Enter a state.

        Parameters
        ----------
        state : State
        words : str
            What else there is to say; of a failure what went wrong.
        """
        self.state = state
        self._stopping = self._stopping and state in (State.TRAINING, State.PAUSED)
        failed = state is State.FAILED
        self.error.say(words if failed else "")
        if not self._stopping:
            more = f": {words}" if words and not failed else ""
            self.said.say(f"{state.capitalize()}{more}")
        if state is State.PREPARING:
            self.bar.setRange(0, 0)
            self.bar.setFormat("")
            self._activity.begin("Preparing to train")
            self._set_animations(_SLOW)
        elif not state.is_busy:
            self.bar.setRange(0, _PARTS)
            self.bar.setFormat("%p%" if state in (State.DONE, State.STOPPED) else "")
            self.close_activity()
            if state is not State.STOPPED:
                self.bar.setValue(_PARTS if state is State.DONE else 0)
        self._update()

    def show_stopping(self) -> None:
        """Show that the run was asked to stop."""
        self._stopping = True
        self.said.say("Stopping ...")
        self._update()

    def show_step(self, step: Step, epochs: int | None) -> None:
        """Show how far the run is, a few times a second: drawing takes from the training.

        Parameters
        ----------
        step : Step
        epochs : int, optional
            Of the budget, where that is in epochs.
        """
        now = time.perf_counter()
        if now - self._shown < _PERIOD:
            return
        self._shown = now
        of = "" if epochs is None else f"/{epochs}"
        words = f"Epoch {step.epoch}{of}, {in_time_units(step.seconds_left)} left"
        value = round(step.progress * _PARTS)
        self.bar.setRange(0, _PARTS)
        self.bar.setValue(value)
        self.bar.setFormat(words)
        if self.state is State.TRAINING and not self._stopping:
            self.said.say(f"Training: step {step.step}")
        self._activity.show(step.progress, words)

    def close_activity(self) -> None:
        """Take the bar out of napari's activity dock."""
        self._activity.end()
        self._set_animations(100)

    def _set_animations(self, percent: int) -> None:
        """Set the speed of what is animated in the window, such as the activity dock's spinner.

        Each of its pictures makes Qt put the whole window together, the canvas too. Where no
        graphics card does that, the spinner took a third of the training's time.
        """
        window = self.window()
        assert window is not None  # a widget without a parent is its own
        for label in window.findChildren(QLabel):
            movie = label.movie()
            if movie is not None:
                movie.setSpeed(percent)

    def _update(self) -> None:
        busy = self.state.is_busy
        self.train.setEnabled(self._ready and not busy)
        is_held = self._stopping or self.state is State.PREPARING
        self.pause.setEnabled(busy and not is_held)
        self.pause.setText("Resume" if self.state is State.PAUSED else "Pause")
        self.stop.setEnabled(busy and not self._stopping)

    def _lay_out(self) -> None:
        self.bar.setTextVisible(True)
        buttons = QHBoxLayout()
        for button in (self.train, self.pause, self.stop):
            buttons.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        for widget in (self.error, self.said, self.bar):
            layout.addWidget(widget)
        layout.addLayout(buttons)
