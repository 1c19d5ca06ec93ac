"""State, progress and buttons of a training, always in view below the dock's scroll area."""

from __future__ import annotations

from enum import StrEnum

from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QMovie
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QVBoxLayout, QWidget

from napari_pix2pix.napari_layers.activity import Activity
from napari_pix2pix.training.events import Step
from napari_pix2pix.widgets.common.elements import Sentence
from napari_pix2pix.widgets.common.settings import in_time_units

_PARTS = 1000  # of the bars
_PERIOD = 1000  # milliseconds between two looks at how far the run is


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
    shown : Signal()
        It is about to show how far the run is: what else is drawn now costs least.

    Notes
    -----
    Whatever is drawn makes Qt put the whole window together, the canvas too. Where no graphics card
    does that, it takes from the training, so all that changes with the steps is drawn at once, and
    once a second.
    """

    train_clicked = Signal()
    pause_clicked = Signal()
    stop_clicked = Signal()
    shown = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.state = State.IDLE
        self._activity = Activity()
        self._ready = False
        self._stopping = False
        self._step: Step | None = None  # the last
        self._epochs: int | None = None
        self._later = QTimer(self)
        self._later.setSingleShot(True)
        self._later.setInterval(_PERIOD)
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
        self._later.timeout.connect(self._show)
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
            self._hold_spinners(True)
        elif not state.is_busy:
            self._later.stop()
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
        """Show soon how far the run is.

        Parameters
        ----------
        step : Step
        epochs : int, optional
            Of the budget, where that is in epochs.
        """
        self._step, self._epochs = step, epochs
        if not self._later.isActive():
            self._later.start()

    def close_activity(self) -> None:
        """Take the bar out of napari's activity dock."""
        self._activity.end()
        self._hold_spinners(False)

    def _show(self) -> None:
        step = self._step
        assert step is not None
        of = "" if self._epochs is None else f"/{self._epochs}"
        left = f"{in_time_units(step.seconds_left)} left"
        # First, since napari draws at once what waits for it.
        self._activity.show(step.progress, f"Epoch {step.epoch}{of}, {left}")
        self.shown.emit()
        self.bar.setUpdatesEnabled(False)
        self.bar.setRange(0, _PARTS)
        self.bar.setValue(round(step.progress * _PARTS))
        self.bar.setFormat(f"Epoch {step.epoch}{of}, step {step.step}, {left}")
        self.bar.setUpdatesEnabled(True)

    def _hold_spinners(self, hold: bool) -> None:
        """Stop what is animated in the window, such as the activity dock's spinner, or go on."""
        window = self.window()
        assert window is not None  # a widget without a parent is its own
        for label in window.findChildren(QLabel):
            movie = label.movie()
            if movie is not None and movie.state() != QMovie.MovieState.NotRunning:
                movie.setPaused(hold)

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
