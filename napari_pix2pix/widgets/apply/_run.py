"""The runs of the Apply dock in threads: their results in the viewer, and how to undo them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary, ref

from qtpy.QtCore import QObject, Signal

from napari_pix2pix.data.inputs import unlabelled_note
from napari_pix2pix.widgets.apply._request import ApplyRequest
from napari_pix2pix.widgets.apply.work import JobDone, Loaded, Progress, apply_model
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.layer_choice import insert_inactive
from napari_pix2pix.widgets.common.layer_order import move_view_to, say_what_is_seen
from napari_pix2pix.widgets.common.result_layers import DrawingPace, Result
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.common.settings import in_time_units

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.translator import Translator


_LARGE = 2**24  # bytes of a result whose layers are added one by one


class NewLayer:
    """A layer that was added, and how to undo it."""

    def __init__(self, viewer: napari.viewer.Viewer, layer: Any) -> None:
        self._viewer, self.layer = viewer, layer
        insert_inactive(viewer.layers, len(viewer.layers), layer)
        move_view_to(viewer, layer)

    def undo(self) -> None:
        """Remove the layer again."""
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)


class FollowedLayer:
    """A layer of tiles that follows the view, and how to undo it."""

    def __init__(self, viewer: napari.viewer.Viewer, layer: Any) -> None:
        # Where the user removes it, its tiles are freed.
        self._viewer, self._layer = viewer, ref(layer)

    @property
    def layer(self) -> Any:
        """The layer, or None once it is gone."""
        return self._layer()

    def undo(self) -> None:
        """Remove the layer, which ends its work."""
        layer = self.layer
        if layer is not None and layer in self._viewer.layers:
            self._viewer.layers.remove(layer)


class Undoable(Protocol):
    """A layer that was added to a viewer."""

    @property
    def layer(self) -> Any:
        """The layer, or None where there is none."""

    def undo(self) -> None:
        """Put everything back as it was."""


class ApplyRun(QObject):
    """Applies models one after another, and remembers how to undo it."""

    progressed = Signal(float, str)  # the progress from 0 to 1, and as text with the time left
    made = Signal(object, object)  # the `ApplyRequest` and the layers of its results
    unusual = Signal(str)  # what is unusual about an image, as a sentence
    ended = Signal(str, bool)  # a sentence, and whether it is an error

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._request: ApplyRequest | None = None
        self._digest = ""
        # By job and what is shown: one, or one for each channel.
        self._results: dict[tuple[int, str], list[Result]] = {}
        self._finished: set[int] = set()
        self._invalid = self._view_moved = False
        self._last: Progress | None = None
        self._history: list[list[Undoable]] = []
        self._translator: Translator | None = None
        # Pixels per second and pass that a model's last run measured.
        self.speeds: WeakKeyDictionary[Translator, float] = WeakKeyDictionary()
        self._pace = DrawingPace()
        self.runner = Runner(self, latest=(Progress,))
        self.runner.reported.connect(self._take)
        self.runner.finished.connect(self._finish)
        self.runner.failed.connect(self._fail)

    @property
    def running(self) -> bool:
        """Whether a model is being applied."""
        return self.runner.running

    @property
    def can_undo(self) -> bool:
        """Whether there is a run to undo."""
        return bool(self._history) and not self.running

    @property
    def layers(self) -> list[Any]:
        """The layers that the last run made, updated or replaced."""
        results = self._history[-1] if self._history else []
        return [result.layer for result in results if result.layer is not None]

    @property
    def _all_results(self) -> list[Result]:
        return [result for results in self._results.values() for result in results]

    def speed(self, model: ModelEntry) -> float | None:
        """Return the pixels per second and pass of a model's last run; None before any."""
        return None if model.translator is None else self.speeds.get(model.translator)

    def start(self, request: ApplyRequest) -> None:
        """Apply a model in a thread."""
        self._request, self._last = request, None
        self._invalid = self._view_moved = False
        self._results, self._finished = {}, set()
        self.runner.start(
            lambda control: apply_model(
                control, request.model, request.jobs, request.options, request.quantiles
            )
        )

    def cancel(self) -> None:
        """Stop after the tile that is being done; what is done stays, marked as partial."""
        self.runner.stop()

    def undo(self) -> None:
        """Remove the last run's results from the viewer, or put back what they replaced."""
        if self.can_undo:
            for result in reversed(self._history.pop()):
                result.undo()

    def add_to_history(self, results: Sequence[Undoable]) -> None:
        """Count layers that were made in another way as a run of its own."""
        self._history.append(list(results))

    def close(self) -> None:
        """Stop and wait; no signal comes afterwards."""
        self.runner.close()

    def _take(self, event: Any) -> None:
        if isinstance(event, Loaded):
            self._remember(event)
        elif isinstance(event, Progress):
            self._paint(event)
        elif isinstance(event, JobDone):
            self._invalid = self._invalid or event.invalid
            self._report_unlike(event.unlike)
            self._complete(event.job, complete=event.complete)

    def _report_unlike(self, shares: Mapping[int, float]) -> None:
        usual = None if self._request is None else self._request.card.usual
        if usual is not None and (sentence := usual.warning(shares)):
            self.unusual.emit(sentence)

    def _remember(self, event: Loaded) -> None:
        assert self._request is not None
        self._digest = event.digest
        self._translator = models().remember_read(event.translator, self._request.model).translator

    def _paint(self, event: Progress) -> None:
        assert self._request is not None
        self._last = event
        draws, began = self._pace.is_due, time.perf_counter()
        has_added = False
        for shown, array in event.arrays.items():
            key = event.job, shown
            if key not in self._results:
                self._results[key] = [
                    Result(self._viewer, spec, replaces=self._request.replaces)
                    for spec in self._request.result_specs(*key, self._digest)
                ]
            is_first = not any(result.layer for result in self._all_results)
            for result in self._results[key]:
                if result.layer is None:
                    if has_added and array.nbytes > _LARGE:
                        continue  # with a later tile: each takes the viewer a tenth of a second
                    has_added = True
                result.paint(array, draws=draws)
                if result.gone:
                    self.cancel()
            if is_first:  # later the user may have moved the view
                self._view_moved = move_view_to(self._viewer, self._results[key][0].layer)
        if draws:
            self._pace.note(began, [one.layer for one in self._all_results if one.layer])
        if has_added:
            return  # napari would draw it at once, and the viewer wait for both
        part = event.done / event.total
        left = event.seconds * (1 / part - 1) if part > 0 else 0.0
        self.progressed.emit(part, f"{part:.0%}, {in_time_units(left)} left")

    def _complete(self, number: int, *, complete: bool) -> None:
        self._finished.add(number)
        for (job, shown), results in self._results.items():
            for result in results if job == number else ():
                if result.layer is None and self._last is not None and self._last.job == number:
                    result.paint(self._last.arrays[shown])
                result.finish(complete=complete)

    def _finish(self, _: object) -> None:
        done = len({job for job, _ in self._results})
        request, last = self._conclude()
        if done:
            self.made.emit(request, self.layers)
        if last is None or last.done < last.total or done < len(request.jobs):
            message = "Cancelled."
            if done:
                message += " What was done is kept and marked as partial."
        else:
            message = f"Done in {in_time_units(last.seconds)}."
            options = request.options
            # Resampled, the network has seen another number of pixels.
            if last.seconds > 0 and self._translator is not None and not options.resample:
                passes = last.total * options.passes / options.samples
                self.speeds[self._translator] = passes / last.seconds
        if done:
            message = f"{message} {say_what_is_seen(self._viewer, self.layers)}".rstrip()
        if self._view_moved:
            message += " The view moved there."
        if self._invalid and self._translator is not None:
            message += f" {unlabelled_note(self._translator.source_codec)}"
        self.ended.emit(message, False)

    def _fail(self, sentence: str) -> None:
        self._conclude()
        self.ended.emit(sentence, True)

    def _conclude(self) -> tuple[ApplyRequest, Progress | None]:
        """Mark unfinished results as partial, and remember all results to undo them."""
        assert self._request is not None
        for (job, _), results in self._results.items():
            for result in results if job not in self._finished else ():
                result.finish(complete=False)
        if self._results:
            self._history.append(list(self._all_results))
        request, last = self._request, self._last
        self._request = self._last = None
        self._results = {}
        return request, last
