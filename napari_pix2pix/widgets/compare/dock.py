"""The dock that compares source, prediction and truth on the canvas."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from qtpy.QtWidgets import QWidget

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.widgets.common.closing import ClosingGuard
from napari_pix2pix.widgets.common.last_result import find_last_result
from napari_pix2pix.widgets.common.layer_choice import unwrapped
from napari_pix2pix.widgets.common.layer_order import join_names
from napari_pix2pix.widgets.common.runner import errors_in_words
from napari_pix2pix.widgets.compare._shown import SideBySide
from napari_pix2pix.widgets.compare._swipe import Swipe
from napari_pix2pix.widgets.compare._view import SIDES, STEPS, CompareView

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

Side = Literal["source", "prediction", "truth"]


class CompareDock(QWidget):
    """Compares source, prediction and truth: by a line to drag, or side by side.

    All that the mouse does is a property or a method here. The layers are put back as they were
    when the comparison ends.

    Parameters
    ----------
    napari_viewer : napari.viewer.Viewer
        The viewer that the dock belongs to.
    """

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._view = CompareView(self)
        self._shown: Swipe | SideBySide | None = None
        self._guard = ClosingGuard(self, napari_viewer, _no_question)
        self._guard.closing.connect(self.close_down)
        view = self._view
        view.swipe.clicked.connect(self._try_to_swipe)
        view.beside.clicked.connect(self._try_to_show_side_by_side)
        view.stop.clicked.connect(self.stop)
        view.slider.valueChanged.connect(self._on_slider)
        view.sides.currentIndexChanged.connect(self._swipe_again)
        self.reset_choices()
        self.choose_result()
        self._show_state()

    @property
    def layers(self) -> dict[str, Layer]:
        """The chosen layers, by "source", "prediction" and "truth"."""
        chosen = {name: choice.layer for name, choice in self._view.choices().items()}
        return {name: layer for name, layer in chosen.items() if layer is not None}

    def set_layers(
        self,
        source: Layer | None = None,
        prediction: Layer | None = None,
        truth: Layer | None = None,
    ) -> None:
        """Choose the layers to compare; two are enough."""
        self.stop()
        chosen = {"source": source, "prediction": prediction, "truth": truth}
        for name, choice in self._view.choices().items():
            choice.choose(chosen[name])
        texts = [text for text, sides in SIDES.items() if all(chosen[side] for side in sides)]
        if texts:
            self._view.sides.setCurrentText(texts[0])

    @property
    def comparing(self) -> str:
        """What is shown: "swipe", "side by side", or nothing."""
        if self._shown is None:
            return ""
        return "swipe" if isinstance(self._shown, Swipe) else "side by side"

    @property
    def position(self) -> float:
        """Where the line is: 0 at the left end of the image, 1 at the right one."""
        return self._shown.position if isinstance(self._shown, Swipe) else 0.5

    @position.setter
    def position(self, value: float) -> None:
        if isinstance(self._shown, Swipe):
            self._shown.move_to(value)

    def swipe(self, left: Side | None = None, right: Side | None = None) -> None:
        """Show one layer left of a line and one right of it, by default as chosen.

        Raises
        ------
        InputError
            When a layer is missing, both are the same, or the viewer shows no plane.
        """
        self.stop()
        sides = (left, right) if left and right else SIDES[self._view.sides.currentText()]
        layers = []
        for side in sides:
            if side not in get_args(Side):
                raise InputError(f"A side is source, prediction or truth, got {side!r}.")
            if side not in self.layers:
                raise InputError(f"Choose the layer of the {side}, or swipe between other layers.")
            layers.append(self.layers[side])
        shown = Swipe(self._viewer, layers[0], layers[1], self._on_moved)
        self._view.show_sides(*sides)
        self._begin(
            shown, f"Left: {layers[0].name}. Right: {layers[1].name}. Drag the line on the canvas."
        )

    def show_side_by_side(self) -> None:
        """Show the chosen layers beside each other; raises `InputError` with fewer than two."""
        self.stop()
        layers = sorted(set(self.layers.values()), key=self._index)
        names = ", ".join(layer.name for layer in layers)
        self._begin(SideBySide(self._viewer, layers), f"From left to right: {names}.")

    def stop(self) -> None:
        """Show the layers as they were before."""
        shown, self._shown = self._shown, None
        if shown is not None:
            self._viewer.layers.events.removed.disconnect(self._on_removed)
            shown.stop()
        self._view.problem.set_text("")
        self._view.status.set_text("")
        self._show_state()

    def reset_choices(self, _event: Any = None) -> None:
        """Follow the viewer's layer list; napari calls it."""
        layers = list(reversed(list(self._viewer.layers)))
        for choice in self._view.choices().values():
            choice.offer(layers)

    def close_down(self) -> None:
        """Show the layers as they were before."""
        self.stop()

    def _begin(self, shown: Swipe | SideBySide, sentence: str) -> None:
        self._shown = shown
        right = shown.right if isinstance(shown, Swipe) else None
        hidden = [layer for layer in shown.shown.hidden if layer is not right]
        note = f" Hidden until the end: {join_names(hidden)}." if hidden else ""
        self._view.status.set_text(f"{sentence}{note}")
        self._viewer.layers.events.removed.connect(self._on_removed)
        self._show_state()

    def _on_removed(self, _event: Any = None) -> None:
        """End a comparison of which a layer was removed."""
        shown = self._shown
        if shown is None:
            return
        needed = (
            [shown.left, shown.right, shown.side, shown.line]
            if isinstance(shown, Swipe)
            else shown.layers
        )
        present = list(map(unwrapped, self._viewer.layers))
        if any(layer not in present for layer in needed):
            self.stop()

    def _on_slider(self, value: int) -> None:
        self.position = value / STEPS

    def _on_moved(self, position: float) -> None:
        self._view.slider.blockSignals(True)
        self._view.slider.setValue(round(position * STEPS))
        self._view.slider.blockSignals(False)

    def _swipe_again(self) -> None:
        if self.comparing == "swipe":
            self._try_to_swipe()

    def _try_to_swipe(self) -> None:
        try:
            with errors_in_words():
                self.swipe()
        except Pix2PixError as error:
            self._view.problem.set_text(str(error))

    def _try_to_show_side_by_side(self) -> None:
        try:
            with errors_in_words():
                self.show_side_by_side()
        except Pix2PixError as error:
            self._view.problem.set_text(str(error))

    def _index(self, layer: Layer) -> int:
        return list(map(unwrapped, self._viewer.layers)).index(layer)

    def choose_result(self, results: Sequence[Layer] = ()) -> CompareDock:
        """Choose a result, by default the uppermost, its source, and what may be its truth."""
        found = find_last_result(self._viewer.layers, among=results)
        if found is not None:
            truth = found.truths[0] if found.truths else None
            self.set_layers(found.source, found.predictions[0], truth)
        return self

    def _show_state(self) -> None:
        self._view.stop.setEnabled(self._shown is not None)
        self._view.slider.setEnabled(isinstance(self._shown, Swipe))


def _no_question() -> str:
    return ""
