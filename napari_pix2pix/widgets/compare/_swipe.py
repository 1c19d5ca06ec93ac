"""Two layers on the two sides of a line that is dragged over the canvas."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.data.lazy_array import RestOfArray
from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import transform_of
from napari_pix2pix.widgets.common.layer_choice import PREVIEW, insert_inactive, unwrapped
from napari_pix2pix.widgets.compare._shown import OnlyShown

if TYPE_CHECKING:
    from napari.layers import Layer

_GRIP = 12  # pixels of the canvas on each side of the line where the mouse takes it
_WIDTH = 3  # of the line, in pixels of the canvas
_COLOUR = "#ffb000"
_NAME = "swipe line"
_LINKED = ("contrast_limits", "colormap", "gamma")


class Swipe:
    """Shows one layer left of a line and another one right of it.

    The right side is a layer of its own: the part of the right layer that begins at the line. No
    pixel is copied for it. `on_moved` is told where the line is: 0 at the left end of the right
    layer, 1 at its right end.
    """

    def __init__(
        self, viewer: Any, left: Layer, right: Layer, on_moved: Callable[[float], None]
    ) -> None:
        dims = viewer.dims
        if dims.ndisplay != 2 or set(dims.displayed) != {dims.ndim - 2, dims.ndim - 1}:
            raise InputError(
                "The viewer does not show the last two axes as a plane: leave 3D, or roll the axes "
                "back, to swipe."
            )
        if left is right:
            raise InputError(f"{left.name!r} is on both sides: choose two layers to swipe.")
        self._viewer, self.left, self.right = viewer, left, right
        self._on_moved = on_moved
        self.shown = OnlyShown(viewer, [left])
        self._place = transform_of(right)
        self._axis = -2 if getattr(right, "rgb", False) else -1
        self._width = int(self._levels()[0].shape[self._axis])
        self._step = max(1, round(self._width / self._levels()[-1].shape[self._axis]))
        self._column = -1
        self.side = self._make_side()
        self.line = self._make_line()
        layers = viewer.layers
        for layer in (self.side, self.line):
            insert_inactive(layers, len(layers), layer)
        if hasattr(right, "contrast_limits") and not right.rgb:
            layers.link_layers([right, self.side], _LINKED)  # so that a change stays
        viewer.mouse_drag_callbacks.append(self._drag)
        viewer.scene.camera.events.zoom.connect(self._on_zoom)
        self.move_to(0.5)

    @property
    def position(self) -> float:
        """Where the line is, from 0 to 1."""
        return self._column / self._width

    def move_to(self, position: float) -> None:
        """Move the line to a part of the width, from 0 to 1."""
        column = round(np.clip(position, 0, 1) * self._width / self._step) * self._step
        column = min(column, self._width)
        if column == self._column:
            return
        self._column = column
        is_seen = column < self._width
        if self.side.visible != is_seen:
            self.side.visible = is_seen
        if is_seen:
            offset = [0.0] * (self.right.ndim - 1) + [float(column)]
            self.side.translate = self._place.moved(offset).translate
            self.side.data = self._rest(column)
        self.line.translate = (self._ends(column) - self._ends(0))[0]
        self._on_moved(self.position)

    def stop(self) -> None:
        """Remove line and side, and put the layers back."""
        viewer = self._viewer
        viewer.mouse_drag_callbacks.remove(self._drag)
        viewer.scene.camera.events.zoom.disconnect(self._on_zoom)
        for layer in (self.side, self.line):
            if layer in map(unwrapped, viewer.layers):
                viewer.layers.remove(layer)
        self.shown.undo()

    def _levels(self) -> list[Any]:
        return list(self.right.data) if self.right.multiscale else [self.right.data]

    def _rest(self, column: int) -> Any:
        """Return the right layer's data from a column on, without a copy."""
        levels = self._levels()
        rests = []
        for level in levels:
            first = column * int(level.shape[self._axis]) // self._width
            rests.append(_rest_of(level, self._axis, first))
        return rests if self.right.multiscale else rests[0]

    def _make_side(self) -> Layer:
        from napari.layers import Layer

        _, keywords, kind = self.right.as_layer_data_tuple()
        keywords |= {"name": f"swipe [{self.right.name}]", "visible": True, "opacity": 1.0}
        keywords["metadata"] = {PREVIEW: True}
        side = Layer.create(self._rest(0), keywords, kind)
        # What is blended additively would let the left layer show through.
        side.blending = "opaque" if kind == "image" else "translucent_no_depth"
        return side

    def _make_line(self) -> Layer:
        from napari.layers import Shapes

        line = Shapes(
            [self._ends(0)],
            shape_type="line",
            edge_color=_COLOUR,
            edge_width=self._line_width(),
            name=_NAME,
            metadata={PREVIEW: True},
            units=self._place.units[-2:],
            opacity=1.0,
        )
        line.editable = False
        return line

    def _ends(self, column: int) -> np.ndarray:
        """Return the ends of the line in the last two axes of the world."""
        height = self._levels()[0].shape[self._axis - 1]
        ends = np.zeros((2, self.right.ndim))
        ends[:, -2:] = [[-0.5, column - 0.5], [height - 0.5, column - 0.5]]
        return np.array([self.right.data_to_world(end)[-2:] for end in ends])

    def _line_width(self) -> float:
        return float(_WIDTH / self._viewer.scene.camera.zoom)

    def _on_zoom(self, _event: Any = None) -> None:
        self.line.edge_width = [self._line_width()]

    def _column_at(self, position: Any) -> float:
        """Return the column of the right layer under a point of the world."""
        return float(self.right.world_to_data(position)[-1]) + 0.5

    def _drag(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Follow the mouse from a press near the line to its release."""
        pixels = abs(self._place.scale[-1]) * viewer.scene.camera.zoom
        if abs(self._column_at(event.position) - self._column) * pixels > _GRIP:
            return
        camera = viewer.scene.camera
        pans, camera.mouse_pan = camera.mouse_pan, False  # else the image would move along
        event.handled = True
        yield
        while event.type == "mouse_move":
            self.move_to(self._column_at(event.position) / self._width)
            event.handled = True
            yield
        camera.mouse_pan = pans


def _rest_of(data: Any, axis: int, first: int) -> Any:
    """Return data from an index of an axis on; arrays that read when sliced stay lazy."""
    if isinstance(data, np.ndarray) or hasattr(data, "dask"):
        return data[(..., slice(first, None), *[slice(None)] * (-axis - 1))]
    return RestOfArray(data, axis, first)
