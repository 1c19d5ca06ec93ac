"""What a dock does beside applying: work that ends in one new layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QObject, Signal

from napari_pix2pix.widgets.apply_generate import Made
from napari_pix2pix.widgets.layer_choice import unwrapped
from napari_pix2pix.widgets.runner import Runner, Work

if TYPE_CHECKING:
    import napari.viewer


class NewLayer:
    """A layer that was added, and how to undo it."""

    def __init__(self, viewer: napari.viewer.Viewer, layer: Any) -> None:
        self._viewer, self.layer = viewer, layer
        active = unwrapped(viewer.layers.selection.active)
        viewer.add_layer(layer)
        if active is not None:  # so that what is done next is done with it again
            viewer.layers.selection.active = active

    def undo(self) -> None:
        """Take the layer out again."""
        if self.layer in self._viewer.layers:
            self._viewer.layers.remove(self.layer)


class SideRun(QObject):
    """Does work in a thread and adds what it returns as a layer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    parent : QObject

    Attributes
    ----------
    progressed : Signal(float, str)
        How far it is, from 0 to 1.
    added : Signal(object)
        The `NewLayer`.
    ended : Signal(str, bool)
        What to tell, and whether it is an error.
    """

    progressed = Signal(float, str)
    added = Signal(object)
    ended = Signal(str, bool)

    def __init__(self, viewer: napari.viewer.Viewer, parent: QObject) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._make: Callable[[Any], Any] | None = None
        self._said = ""
        self.runner = Runner(self, latest=(Made,))
        self.runner.reported.connect(self._take)
        self.runner.finished.connect(self._finish)
        self.runner.failed.connect(self._fail)

    def start(self, work: Work, make: Callable[[Any], Any], said: str) -> None:
        """Work in a thread; ``make`` makes the layer of what comes back, in the main thread."""
        self._make, self._said = make, said
        self.runner.start(work)

    def _take(self, made: Made) -> None:
        part = made.done / made.total
        self.progressed.emit(part, f"{part:.0%}")

    def _finish(self, found: Any) -> None:
        assert self._make is not None
        if found is None:
            self.ended.emit("Cancelled.", False)
            return
        self.added.emit(NewLayer(self._viewer, self._make(found)))
        self.ended.emit(self._said, False)

    def _fail(self, sentence: str) -> None:
        self.ended.emit(sentence, True)
