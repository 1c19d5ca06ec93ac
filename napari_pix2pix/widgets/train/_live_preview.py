"""A layer that shows the prediction of a held-out region, in its place, while training."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSlider,
    QWidget,
)

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import (
    LayerTransform,
    Snapshot,
    mask_of,
    output_layer,
    snapshot,
    to_layer_data,
)
from napari_pix2pix.training.events import Preview, PreviewWish, Region
from napari_pix2pix.widgets.common.elements import (
    lay_out_column,
    pass_wheel_on,
    push_button,
    row_of,
)
from napari_pix2pix.widgets.common.layer_choice import PREVIEW, LayerChoice, is_shapes, unwrapped
from napari_pix2pix.widgets.train._pair_rows import PairChoice
from napari_pix2pix.widgets.train._preview_channels import PreviewChannels
from napari_pix2pix.widgets.train._shown_frame import shown_frame

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer

_PERIOD = 5.0  # seconds between two previews
_MEMORY = 2**27  # bytes of history; above, every second picture is dropped
_SLIDER = 90  # pixels, below which the buttons go to the next line


@dataclass(frozen=True, eq=False)
class _PairLook:
    """A pair's layers and layout when the training begins, without pixels."""

    source: Snapshot
    target: Snapshot
    frame_shape: tuple[int, ...]
    layout: Layout
    layer: Callable[[], Layer | None]  # of the source, unless it was removed meanwhile


class LivePreview(QWidget):
    """Adds the preview's layer, updates it, and looks back through its history."""

    weights_wanted = Signal(int)  # the user wants to apply those of this step

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._viewer = viewer
        self._pairs: list[_PairLook] = []
        self._history: list[Preview] = []
        self._wish = PreviewWish(seconds=_PERIOD)  # of the training in progress
        self._place = (0, 0, 0, 0)  # pair, frame, first row and column of what the layer shows
        self.layer: Layer | None = None
        self._channels = PreviewChannels(viewer)
        self._wanted = QCheckBox("Live preview of")
        self._wanted.setChecked(True)
        self._wanted.setToolTip(
            "Show in the viewer what the network predicts for a part of the image that it is not "
            "trained on. In a stack, it follows the frame that you look at, which may be one that "
            "is trained on."
        )
        self._where = LayerChoice(is_shapes, "a held-out part", least_text="a held-out part")
        self._where.setToolTip(
            "The part that is shown: one that is not trained on, or where you drew shapes, in the "
            "first pair. A change takes effect at the next training."
        )
        self._where.offer(viewer.layers)
        self._step = QLabel()
        self._slider = QSlider(Qt.Orientation.Horizontal)
        self._slider.setMinimumWidth(_SLIDER)
        pass_wheel_on(self._slider)
        self._slider.setToolTip(
            "Look back at earlier previews. At the right end, the newest is shown."
        )
        self._go = push_button("Go to", "Move the view to the preview.")
        self._keep = push_button("Keep", "Keep the layer; the next training adds a new one.")
        self._remove = push_button("Remove", "Remove the layer now, not at the next training.")
        self._weights = push_button(
            "Use weights",
            "Apply the weights of this step from now on: those of the best and of the last step "
            "are kept.",
        )
        self._weights.hide()
        self._lay_out()
        self._weights.clicked.connect(self._on_weights)
        self._wanted.toggled.connect(self._on_wanted)
        self._slider.valueChanged.connect(self._on_slider)
        self._go.clicked.connect(self.go_to)
        self._keep.clicked.connect(self.keep)
        self._remove.clicked.connect(self.remove)
        self._update_controls()

    @property
    def is_adding(self) -> bool:
        """Whether layers are still to be added."""
        return self._channels.is_adding

    @property
    def steps(self) -> list[int]:
        """The steps that have a preview."""
        return [event.step for event in self._history]

    def begin(self, choices: Sequence[PairChoice], pairs: Sequence[Pair]) -> None:
        """Forget the last training, and remember where the new pairs lie."""
        self.close_work()
        self.offer_weights(False)
        self._history = []
        self._pairs = [
            _PairLook(
                replace(snapshot((choice.sources or choice.targets)[0], copy=False), data=None),
                replace(snapshot(choice.targets[0], copy=False), data=None),
                pair.target.frame_shape,
                pair.target.layout,
                weakref.ref((choice.sources or choice.targets)[0]),
            )
            for choice, pair in zip(choices, pairs, strict=True)
        ]
        self._channels.begin([choice.targets for choice in choices])
        self._viewer.dims.events.current_step.connect(self._follow)
        self._update_controls()

    def place_files(self, pairs: Sequence[Pair]) -> None:
        """Show previews of files, which lie nowhere in the viewer, at its origin."""
        looks = [_look_of_file(pair) for pair in pairs]
        self._pairs = [
            _PairLook(look, look, pair.target.frame_shape, pair.target.layout, lambda: None)
            for look, pair in zip(looks, pairs, strict=True)
        ]

    def add(self, event: Preview) -> None:
        """Add a preview to the history, and show it unless the user looks back."""
        follows = self._slider.value() == self._slider.maximum()
        self._history.append(event)
        size = sum(preview.image.nbytes for preview in self._history)
        if size > _MEMORY and len(self._history) > 3:
            del self._history[1:-1:2]
        self._slider.blockSignals(True)
        self._slider.setMaximum(len(self._history) - 1)
        if follows:
            self._slider.setValue(len(self._history) - 1)
        self._slider.blockSignals(False)
        if self._wanted.isChecked() and len(self._history) == 1:
            self._add_layer(event)
            self._follow()
        elif follows:
            self._show(event)
        self._update_controls()

    def wish(self, choices: Sequence[PairChoice], pairs: Sequence[Pair]) -> PreviewWish:
        """Return what is to be previewed; raises `InputError` if a drawn region lies elsewhere.

        In a stack, it follows the frame that is shown.
        """
        region = self._drawn_region(choices, pairs)
        self._wish = PreviewWish(region, seconds=_PERIOD)
        return self._wish

    def _drawn_region(self, choices: Sequence[PairChoice], pairs: Sequence[Pair]) -> Region | None:
        """Return what the user drew in the first pair."""
        drawn = self._where.layer
        if drawn is None:
            return None
        if not choices:
            raise InputError(
                "Shapes mark a part of a layer, and the pairs come from files: let the preview "
                "show a held-out part."
            )
        layer, source = (choices[0].sources or choices[0].targets)[0], pairs[0].target
        like = snapshot(layer, copy=False)
        mask = mask_of(drawn, like)
        frame = shown_frame(self._viewer, layer, like.channel_axis, source.frame_shape)
        if mask.ndim > 2:
            frame = [int(n) for n in np.argwhere(mask)[0][: len(source.frame_shape)]]
            mask = mask[tuple(frame)]
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        return Region(
            pair=0,
            frame=int(np.ravel_multi_index(frame, source.frame_shape)) if frame else 0,
            rows=slice(int(rows[0]), int(rows[-1]) + 1),
            columns=slice(int(columns[0]), int(columns[-1]) + 1),
        )

    def _follow(self, _event: Any = None) -> None:
        """Wish for the frame that is shown now, of the pair that is previewed."""
        if not self._history:
            return
        shown = self._pairs[self._history[-1].pair]
        layer = shown.layer()
        if layer is None or not shown.frame_shape:
            return
        axis = shown.source.channel_axis
        frame = shown_frame(self._viewer, layer, axis, shown.frame_shape)
        self._wish.frame = int(np.ravel_multi_index(frame, shown.frame_shape))

    def remove(self) -> None:
        """Remove the layer from the viewer."""
        # First: removing calls `reset_choices`, which would take it for the user's doing.
        layer, self.layer = self.layer, None
        self._channels.remove()
        if layer is not None and layer in map(unwrapped, self._viewer.layers):
            self._viewer.layers.remove(layer)
        self._update_controls()

    def close_work(self) -> None:
        """Remove the layer, and follow the frames that are shown no more."""
        self._viewer.dims.events.current_step.disconnect(self._follow)
        self.remove()

    def offer_weights(self, offered: bool) -> None:
        """Let the user ask for the weights of the step that is shown, after a run."""
        self._weights.setVisible(offered)

    def keep(self) -> None:
        """Leave the layer to the user: don't update or remove it any more."""
        self.layer = None
        self._channels.keep()
        self._update_controls()

    def reset_choices(self) -> None:
        """Follow the viewer's layer list; a preview that the user removed does not come back."""
        self._where.offer(self._viewer.layers)
        if self.layer is not None and not self._in_viewer():
            self.layer = None
            self._wanted.blockSignals(True)
            self._wanted.setChecked(False)
            self._wanted.blockSignals(False)
            self._update_controls()

    def go_to(self) -> None:
        """Move the view to the preview."""
        if self.layer is None or not self._in_viewer():
            return
        low, high = np.asarray(self.layer.extent.world)
        centre = (low + high) / 2
        dims = self._viewer.dims
        for axis in dims.not_displayed:
            position = axis - (dims.ndim - len(centre))
            if position >= 0:
                dims.set_point(axis, centre[position])
        self._viewer.scene.camera.center = tuple(centre[-2:])

    def _in_viewer(self) -> bool:
        return any(unwrapped(layer) is self.layer for layer in self._viewer.layers)

    def _on_wanted(self, wanted: bool) -> None:
        if not wanted:
            self.remove()
        elif self._history and self.layer is None:
            self._add_layer(self._history[self._slider.value()])
        self._update_controls()

    def _on_weights(self) -> None:
        self.weights_wanted.emit(self._history[self._slider.value()].step)

    def _on_slider(self, index: int) -> None:
        self._show(self._history[index])
        self._update_controls()

    def _show(self, event: Preview) -> None:
        if self.layer is not None and self._in_viewer():
            layout, image = self._pairs[event.pair].layout, self._assemble(event)
            first = self._channels.first(event.pair, image, layout)
            self.layer.data = to_layer_data(first, self._channels.layout(event.pair, layout))
            self._channels.show(event.pair, image, layout)
            place = event.pair, event.frame, event.top, event.left
            if place != self._place:
                self._place = place
                self.layer.translate = self._make(event).translate  # the other channels follow

    def _add_layer(self, event: Preview) -> None:
        self.layer = self._make(event)
        self._place = event.pair, event.frame, event.top, event.left
        layers = self._viewer.layers
        selected = {unwrapped(layer) for layer in layers.selection}
        self._viewer.add_layer(self.layer)
        layout = self._pairs[event.pair].layout
        self._channels.add(self.layer, event.pair, self._assemble(event), layout)
        layers.selection = selected  # what the user selected stays selected

    def _assemble(self, event: Preview) -> np.ndarray:
        """Return a preview's image, laid out like the target."""
        shown = self._pairs[event.pair]
        return shown.layout.assemble(event.image[np.newaxis], (1,) * len(shown.frame_shape))

    def _make(self, event: Preview) -> Layer:
        """Return a layer of a preview, where its pixels lie."""
        shown = self._pairs[event.pair]
        frame = np.unravel_index(event.frame, shown.frame_shape)
        offset = [*(int(n) for n in frame), event.top, event.left]
        place = shown.source.field_transform.moved(offset)
        return output_layer(
            self._channels.first(event.pair, self._assemble(event), shown.layout),
            replace(shown.source, transform=place, channel_axis=None, rgb=False),
            layout=self._channels.layout(event.pair, shown.layout),
            kind=event.kind,
            name=f"preview [{shown.source.name}]",
            metadata={PREVIEW: True},
            look=shown.target.look,
        )

    def _update_controls(self) -> None:
        index = self._slider.value()
        has_history = bool(self._history)
        self._step.setText(f"step {self._history[index].step}" if has_history else "")
        self._slider.setEnabled(len(self._history) > 1)
        self._below.setVisible(has_history)
        self._go.setEnabled(self.layer is not None)
        self._keep.setEnabled(self.layer is not None)
        self._remove.setEnabled(self.layer is not None)

    def _lay_out(self) -> None:
        self._below = QWidget()
        look_back = QWidget()
        row = QHBoxLayout(look_back)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self._slider, 1)
        row.addWidget(self._step)
        look_back.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        below = row_of(look_back, self._go, self._keep, self._remove)
        lay_out_column(self._below, below)
        above = row_of(self._wanted, self._where)
        lay_out_column(self, above, self._below, self._weights, spacing=2)


def _look_of_file(pair: Pair) -> Snapshot:
    """Return how a pair of files would look as a layer at the origin, without pixels."""
    ndim = len(pair.target.frame_shape) + 2
    turn, whole = (tuple(map(tuple, np.eye(size).tolist())) for size in (ndim, ndim + 1))
    place = LayerTransform(
        scale=(1.0,) * ndim,
        translate=(0.0,) * ndim,
        rotate=turn,
        shear=turn,
        affine=whole,
        units=("pixel",) * ndim,
        axis_labels=tuple(f"axis {axis - ndim}" for axis in range(ndim)),
    )
    return Snapshot(None, pair.name, place)
