"""What the dock shows of the chosen pairs before a run: a summary, and patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDialog, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_pix2pix.data.codecs import picture
from napari_pix2pix.data.pair import Pair, stop_when
from napari_pix2pix.data.volumes import flat_codec, middle_plane
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.common.elements import Sentence, picture_label, push_button
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.train._advice import Advice, advise
from napari_pix2pix.widgets.train._file_choice import OpenSets
from napari_pix2pix.widgets.train._relevance import PairFacts

if TYPE_CHECKING:
    from napari_pix2pix.training.dataset import TrainingData
    from napari_pix2pix.translator import Translator

_KINDS = ("source_kind", "target_kind")
_COLUMNS = 6
_SIDE = 112  # pixels of a patch on the screen


@dataclass(frozen=True)
class PairSummary:
    """What a training on the chosen pairs would be."""

    text: str  # names, sizes and kinds of source and target, and how they lie, in words
    advice: tuple[Advice, ...]  # what looks wrong
    notes: tuple[str, ...]  # what else the user should know
    config: TrainConfig  # with what the pairs decide, such as the kind of the target
    inferred: Mapping[str, Any]  # what the pairs, or the model to start from, decide
    texts: Mapping[str, str]  # what auto and None mean, by field
    facts: PairFacts
    target_looks_like: str | None  # the kind of labels that it may well hold
    steps_per_epoch: int
    most_steps: int | None  # after which the limit of passes ends the training
    memory: int  # estimate of the memory on the device, in bytes


def summarise_pairs(
    control: Control,
    pairs: Sequence[Pair],
    config: TrainConfig,
    start: Translator | Path | None = None,
    held_out: Sequence[Pair] = (),
    names: tuple[str, str] | None = None,
) -> PairSummary:
    """Prepare a training on pairs, only to describe it; done in a thread.

    ``names`` are those of the first pair's source and target, else they are in the pair's name.
    """
    # These import torch, which the GUI thread must not wait for.
    from napari_pix2pix._train import open_pretrained
    from napari_pix2pix.data.patches import patch_count
    from napari_pix2pix.inference.devices import choose_device, out_of_memory_in_words
    from napari_pix2pix.training.dataset import prepare
    from napari_pix2pix.training.hardware import training_memory
    from napari_pix2pix.training.summary import describe_pairs

    choose_device(config.device)
    given = config
    model = None if start is None else open_pretrained(start)
    config = config if model is None else model.fill(config)
    hint = "Close other programs, or crop the layers."
    with out_of_memory_in_words("reading the layers", hint), stop_when(lambda: control.stopped):
        data = prepare(pairs, config, held_out=held_out, start=model)
    text = describe_pairs(
        data.opened[: len(pairs)],
        data.source_codec,
        data.target_codec,
        patches=patch_count(data.opened, data.areas, data.config.patch),
        alignment=data.alignment,
        names=names,
        z_context=data.config.z_context,
    )
    told = (*data.warnings, data.held_out)
    return PairSummary(
        text=f"{text} {data.held_out}",
        advice=advise(data),
        notes=tuple(note for note in data.notes if note not in told),
        config=data.config,
        inferred=_inferred(given, data.config),
        texts=_texts(data),
        facts=PairFacts(
            data.config.source_kind,
            data.config.target_kind,
            has_stacks=any(pair.frames > 1 for pair in data.opened),
            has_several=len(pairs) > 1,
        ),
        target_looks_like=data.target_looks_like,
        steps_per_epoch=data.steps_per_epoch,
        most_steps=data.most_steps,
        memory=training_memory(data),
    )


def summarise_chosen(
    control: Control, open_sets: OpenSets, config: TrainConfig, start: Translator | Path | None
) -> PairSummary:
    """Read what is chosen, and describe a training on it; done in a thread."""
    with stop_when(lambda: control.stopped):
        sets = open_sets()
    return summarise_pairs(control, sets.train, config, start, sets.held_out, sets.names)


def _inferred(given: TrainConfig, used: TrainConfig) -> dict[str, Any]:
    """Return the values that will be used of the fields that the user did not set."""
    # The forms show those of the preset.
    shown, wanted = TrainConfig(preset=given.preset).model_dump(), used.model_dump()
    return {
        name: value
        for name, value in wanted.items()
        if value != shown[name] and name not in _KINDS and name not in given.model_fields_set
    }


def _texts(data: TrainingData) -> dict[str, str]:
    """Say what auto and None mean for these pairs."""
    from napari_pix2pix.data.class_codec import ClassCodec
    from napari_pix2pix.data.codecs import InstanceCodec

    source, target = data.source_codec, data.target_codec
    texts: dict[str, str] = {"source_kind": source.kind, "target_kind": target.kind}
    if isinstance(target, ClassCodec):
        texts["classes"] = f"{len(target.values)}, as found"
    if isinstance(target, InstanceCodec):
        texts["smallest"] = f"{target.smallest}, as measured"
    return texts


@dataclass(frozen=True, eq=False)
class Patches:
    """Pictures of patches, (H, W, 3) uint8 each."""

    sources: tuple[np.ndarray, ...]
    targets: tuple[np.ndarray, ...]
    side: int


class PatchPreview(QDialog):
    """A window with patches as the network sees them, source above target; drawn in a thread."""

    def __init__(
        self,
        open_sets: OpenSets,
        config: TrainConfig,
        start: Translator | Path | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle("Patches as the network sees them")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self._open = open_sets
        self._config = config
        self._start = start
        self._step = 0
        self.patches: Patches | None = None
        self._grid = QGridLayout()
        self._grid.setSpacing(4)
        self._message = Sentence()
        self._other = push_button("Other patches", "Draw the patches of another step.")
        layout = QVBoxLayout(self)
        layout.addLayout(self._grid)
        layout.addWidget(self._message)
        layout.addWidget(self._other)
        self._runner = Runner(self)
        self._runner.finished.connect(self._show)
        self._runner.failed.connect(self._message.set_text)
        self._runner.ended.connect(self._on_ended)
        self._other.clicked.connect(self.draw)
        self.finished.connect(self._on_closed)
        self.resize(_COLUMNS * (_SIDE + 4) + 60, 2 * _SIDE + 110)
        self.draw()

    def draw(self) -> None:
        """Draw the patches of the next step."""
        if self._runner.running:
            return
        self._other.setEnabled(False)
        self._message.set_text("Drawing patches…")
        open_sets, config, start, step = self._open, self._config, self._start, self._step
        self._runner.start(lambda control: _draw(open_sets, config, start, step))
        self._step += 1

    def _on_ended(self) -> None:
        self._other.setEnabled(True)

    def _on_closed(self) -> None:
        self._runner.close()

    def _show(self, patches: Patches) -> None:
        self.patches = patches
        while (item := self._grid.takeAt(0)) is not None:
            old = item.widget()
            if old is not None:
                old.deleteLater()
        rows = {"source": patches.sources, "target": patches.targets}
        for row, (title, pictures) in enumerate(rows.items()):
            self._grid.addWidget(QLabel(title), row, 0)
            for column, shown in enumerate(pictures):
                self._grid.addWidget(picture_label(shown, _SIDE), row, column + 1)
        side = patches.side
        self._message.set_text(
            f"{side} x {side} pixels each, turned, mirrored and jittered as in training."
        )


def _draw(
    open_sets: OpenSets, config: TrainConfig, start: Translator | Path | None, step: int
) -> Patches:
    from napari_pix2pix._train import open_pretrained
    from napari_pix2pix.training.dataset import prepare

    model = None if start is None else open_pretrained(start)
    config = config if model is None else model.fill(config)
    pairs, config = open_sets().train, config.model_copy(update={"batch": _COLUMNS})
    data = prepare(pairs, config, start=model)
    batch = data.sampler.batch(step)
    # Of volumes the middle plane is shown.
    codecs = flat_codec(data.source_codec), flat_codec(data.target_codec)
    sources, targets = (
        tuple(picture(middle_plane(planes)[: codec.planes], codec) for planes in side)
        for side, codec in zip((batch.source, batch.target), codecs, strict=True)
    )
    return Patches(sources, targets, config.patch)
