"""One run in the gallery: what it shows, and its buttons."""

from __future__ import annotations

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_pix2pix.errors import Pix2PixError, plural
from napari_pix2pix.metrics.names import describe_score, primary_metric
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.common.elements import (
    Sentence,
    WeightsChoice,
    lay_out_column,
    pixmap,
    push_button,
    row_of,
)
from napari_pix2pix.widgets.common.runner import errors_in_words
from napari_pix2pix.widgets.common.settings import in_bytes
from napari_pix2pix.widgets.runs.records import KeptRun

_WIDTH, _HEIGHT = 288, 96  # pixels, the most of the three pictures
_MOST_SCORES = 3


class RunCard(QFrame):
    """A run: its pictures, name, date, steps, scores and note, which can be edited."""

    use_wanted = Signal(object)  # each has the `KeptRun`
    train_on_wanted = Signal(object)
    resume_wanted = Signal(object)
    save_wanted = Signal(object)
    delete_wanted = Signal(object)
    renamed = Signal(object, str)
    noted = Signal(object, str)
    weights_chosen = Signal(object, str)

    def __init__(self) -> None:
        super().__init__()
        self.run: KeptRun | None = None
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.picture = QLabel()
        self.caption = _small_captions()
        self.name = QLineEdit()
        self.name.setToolTip(
            "The name of the model; results are named after it. Click to change it"
        )
        self.facts = Sentence()
        self.scores = Sentence()
        self.error = Sentence(is_error=True)
        self.weights = WeightsChoice()
        self.note = QLineEdit()
        self.note.setPlaceholderText("Note")
        self.note.setToolTip("What you want to remember of this run")
        self.use = push_button("Use", "Open the Apply dock with this model.")
        self.train_on = push_button(
            "Train on", "Start from this model in the Train dock; the pairs may be others."
        )
        self.resume = push_button(
            "Resume", "Continue where the run was interrupted, with the same layers or files."
        )
        self.save = push_button(
            "Save…", "Save the model to a file, or export it for PyTorch, ONNX or BioImage.IO."
        )
        self.delete = push_button("Delete…", "Delete the run and its model, after a question.")
        self._lay_out()
        self._connect()

    def show_run(self, run: KeptRun) -> None:
        """Show a run as it is now."""
        self.run = run
        info, error = None, ""
        try:
            with errors_in_words():
                info = run.info()
        except Pix2PixError as problem:
            error = str(problem)
        self.error.set_text(error)
        for line, text in ((self.name, run.name), (self.note, run.record.note)):
            if not line.hasFocus():
                line.setText(text)
        self.facts.set_text(_facts(run, info))
        self.scores.set_text("" if info is None else _scores(info))
        self.weights.offer(info)
        self.resume.setVisible(run.is_interrupted and info is not None)
        for button in (self.use, self.train_on, self.save):
            button.setEnabled(info is not None)
        self._show_picture(info)

    def matches(self, words: str) -> bool:
        """Whether name, note, layers or files hold these words."""
        assert self.run is not None
        text = " ".join((self.run.name, self.run.title, self.run.record.note)).casefold()
        return all(word in text for word in words.casefold().split())

    def _show_picture(self, info: ModelInfo | None) -> None:
        shown = None if info is None else info.thumbnail
        self.caption.setVisible(shown is not None)
        if shown is None:
            self.picture.setText("no picture")
            return
        height, width, _ = shown.shape
        scale = min(_WIDTH / width, _HEIGHT / height)
        self.picture.setPixmap(pixmap(shown, max(1, int(height * scale))))

    def _connect(self) -> None:
        self._wanted = {
            self.use: self.use_wanted,
            self.train_on: self.train_on_wanted,
            self.resume: self.resume_wanted,
            self.save: self.save_wanted,
            self.delete: self.delete_wanted,
        }
        for button in self._wanted:
            button.clicked.connect(self._on_button)
        self.name.editingFinished.connect(self._on_name)
        self.note.editingFinished.connect(self._on_note)
        self.weights.activated.connect(self._on_weights)

    def _on_button(self) -> None:
        button = self.sender()
        assert isinstance(button, QPushButton)
        self._wanted[button].emit(self.run)

    def _on_name(self) -> None:
        assert self.run is not None
        name = self.name.text().strip()
        if not name:
            self.name.setText(self.run.name)
        elif name != self.run.name:
            self.renamed.emit(self.run, name)

    def _on_note(self) -> None:
        assert self.run is not None
        if self.note.text() != self.run.record.note:
            self.noted.emit(self.run, self.note.text())

    def _on_weights(self) -> None:
        self.weights_chosen.emit(self.run, self.weights.value)

    def _lay_out(self) -> None:
        self.picture.setFixedWidth(_WIDTH)
        self.picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        left = QVBoxLayout()
        left.addWidget(self.picture)
        left.addWidget(self.caption)
        left.addStretch(1)
        right = QWidget()
        buttons = row_of(self.use, self.train_on, self.resume, self.save, self.delete)
        lay_out_column(
            right,
            *(self.name, self.facts, self.scores, self.error, self.weights, self.note),
            buttons,
            spacing=3,
        )
        row = QHBoxLayout(self)
        row.setContentsMargins(6, 6, 6, 6)
        row.addLayout(left)
        row.addWidget(right, 1)


def _facts(run: KeptRun, info: ModelInfo | None) -> str:
    """Say when the run began, how far it came, what it takes, and where it was saved."""
    facts = [run.record.began]
    if info is not None:
        facts.append(plural(info.steps, "step"))
    if run.is_interrupted:
        facts.append("interrupted: usable as it is")
    facts.append(f"{in_bytes(run.size)} on the disk")
    saved = run.record.saved
    facts.append("not saved elsewhere" if saved is None else f"saved as {saved.name}")
    return ", ".join(facts)


def _scores(info: ModelInfo) -> str:
    """Say some scores on the held-out data, each beside the baseline's."""
    if info.scores is None:
        return "Nothing was held out, so there are no scores."
    made, rival = info.scores.prediction, info.scores.baseline
    # The score that decides which weights are the best comes first.
    title, score = primary_metric(made)
    others = [name for name in made if name in rival and made[name] is not score]
    shown = [f"{title} {score:.3f} ({primary_metric(rival)[1]:.3f})"]
    for name in others[: _MOST_SCORES - 1]:
        shown.append(f"{describe_score(name).title} {made[name]:.3f} ({rival[name]:.3f})")
    return f"Held out, with the baseline in brackets: {', '.join(shown)}"


def _small_captions() -> QWidget:
    captions = QWidget()
    captions.setFixedWidth(_WIDTH)
    grid = QGridLayout(captions)
    grid.setContentsMargins(0, 0, 0, 0)
    for column, text in enumerate(("source", "prediction", "truth")):
        grid.addWidget(QLabel(text), 0, column, Qt.AlignmentFlag.AlignCenter)
        grid.setColumnStretch(column, 1)
    return captions
