"""The whole way on a sample: train, apply to the unseen image, and compare with the truth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame

from napari_pix2pix.errors import Pix2PixError
from napari_pix2pix.metrics.names import primary_metric
from napari_pix2pix.napari_layers.samples import Sample, SampleName
from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.common.elements import Sentence, lay_out_column, push_button, row_of
from napari_pix2pix.widgets.common.layer_choice import insert_inactive, unwrapped
from napari_pix2pix.widgets.common.runner import errors_in_words

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

    from napari_pix2pix.translator import Translator

SAMPLE: SampleName = "phase_fluorescence"
# Small, so that a minute is enough on a slow laptop, too (docs/decisions/063-the-first-minute.md).
FIELDS: dict[str, Any] = {"max_seconds": 60.0, "width": 8, "depth": 4, "batch": 4}

_GAP = 16  # pixels between prediction and truth
_BESIDE = "napari-pix2pix truth beside"  # metadata key of the copy of the truth


class TryIt(QFrame):
    """Says how far the trial is; at its end, how good the prediction is. Hidden without a trial."""

    ended = Signal(str)  # the trial is over: its last sentence

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._sample: Sample | None = None  # of the trial in progress
        self._apply: Any = None  # the docks that the trial waits for
        self._evaluate: Any = None
        self._shown: list[Layer] = []  # prediction and truth
        self.message = Sentence()
        self.error = Sentence(is_error=True)
        self.close_button = push_button("Close", "Hide this text; layers and docks stay.")
        lay_out_column(self, self.message, self.error, row_of(self.close_button), spacing=4)
        self.close_button.clicked.connect(self.hide)
        self.hide()

    @property
    def is_running(self) -> bool:
        """Whether a trial is in progress."""
        return self._sample is not None

    def begin(self, sample: Sample) -> None:
        """Say what happens now."""
        self._sample = sample
        self.error.set_text("")
        self.message.set_text(
            f"The network learns to predict {sample.train_target} from {sample.train_source}, for "
            "at most a minute. The preview shows a part that it does not learn from. Stop ends "
            "the training earlier. The model is then applied to an image that it has never seen."
        )
        self.close_button.hide()
        self.show()

    def give_up(self, sentence: str) -> None:
        """End the trial with an error."""
        self._end("", sentence)

    def apply(self, translator: Translator) -> None:
        """Apply the trained model to the unseen image, in the Apply dock."""
        assert self._sample is not None
        self._apply = open_dock(self._viewer, "Apply")
        self._apply.current_frame = self._apply.visible_only = self._apply.replaces = False
        self._apply.set_model(translator)
        self._apply.ended.connect(self._on_applied)
        self._try_to(self._start_apply)

    def _start_apply(self) -> None:
        assert self._sample is not None
        self._apply.set_layers([self._layer(self._sample.unseen_source)])
        self._apply.apply()

    def _on_applied(self, message: str, is_error: bool) -> None:
        self._apply.ended.disconnect(self._on_applied)
        if is_error:
            self.give_up(message)
        else:
            self._try_to(self._compare)

    def _compare(self) -> None:
        """Show prediction and truth beside each other, and score the prediction."""
        assert self._sample is not None
        [result] = self._apply.results
        source, truth = (
            self._layer(name) for name in (self._sample.unseen_source, self._sample.unseen_target)
        )
        self._shown = [result, self._add_beside(truth, result)]
        self._evaluate = open_dock(self._viewer, "Evaluate")
        self._evaluate.adds_difference = False  # it would cover the prediction
        self._evaluate.set_prediction(result, truth, source)
        self._evaluate.ended.connect(self._on_evaluated)
        self._evaluate.evaluate()

    def _on_evaluated(self, message: str, is_error: bool) -> None:
        self._evaluate.ended.disconnect(self._on_evaluated)
        if is_error:
            self.give_up(message)
            return
        assert self._sample is not None
        scores = self._evaluate.scores
        name, score = primary_metric(scores["prediction"])
        baseline = primary_metric(scores["baseline"])[1]
        self._end(
            f"Done. Left: what the network predicts for {self._sample.unseen_source}, which it has "
            f"never seen. Right: the truth. {name} {score:.2f}, where 1 is perfect; the "
            f"best linear map of the source has {baseline:.2f}. Evaluate shows more scores. To "
            "train on your own images, open them and choose them below as source and target."
        )

    def _end(self, message: str, error: str = "") -> None:
        self._sample = self._apply = self._evaluate = None
        self.message.set_text(message)
        self.error.set_text(error)
        self.close_button.show()
        open_dock(self._viewer, "Train")  # brings it to the front
        shown, self._shown = self._shown, []
        if shown:  # now that all docks are open, which make the canvas narrower
            self._viewer.fit_to_view(layers=shown)
        self.ended.emit(message or error)

    def _try_to(self, work: Callable[[], None]) -> None:
        try:
            with errors_in_words():
                work()
        except Pix2PixError as error:
            self.give_up(str(error))

    def _layer(self, name: str) -> Layer:
        return self._viewer.layers[name]

    def _add_beside(self, truth: Layer, result: Layer) -> Layer:
        """Add a copy of the truth to the right of its place, in the look of the prediction."""
        layers = self._viewer.layers
        for old in [layer for layer in layers if _BESIDE in layer.metadata]:
            layers.remove(old)
        truth = unwrapped(truth)
        beside = type(truth)(
            truth.data,
            name=f"{truth.name} (copy beside)",
            scale=truth.scale,
            translate=np.add(truth.translate, (0, truth.scale[1] * (truth.data.shape[1] + _GAP))),
            units=truth.units,
            axis_labels=truth.axis_labels,
            metadata={_BESIDE: True},
        )
        beside.contrast_limits, beside.colormap = result.contrast_limits, result.colormap
        insert_inactive(layers, len(layers), beside)
        return beside
