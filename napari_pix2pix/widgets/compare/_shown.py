"""What a comparison hides and shows in a viewer, and puts back at its end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from napari_pix2pix.errors import InputError
from napari_pix2pix.widgets.common.layer_choice import unwrapped
from napari_pix2pix.widgets.common.layer_order import move_view_to

if TYPE_CHECKING:
    from napari.layers import Layer


class OnlyShown:
    """Shows some images of a viewer and hides the others; annotations stay as they are."""

    def __init__(self, viewer: Any, layers: Sequence[Layer]) -> None:
        from napari.layers import Image, Labels

        # Previews of a training too, which would lie over both sides.
        all_layers = map(unwrapped, viewer.layers)
        images = [layer for layer in all_layers if isinstance(layer, Image | Labels)]
        self._before = {layer: layer.visible for layer in images}
        self._viewer = viewer
        for layer in images:
            layer.visible = layer in layers
        self.hidden = [layer for layer in images if self._before[layer] and layer not in layers]
        move_view_to(viewer, layers[0])

    def undo(self) -> None:
        """Show again what was shown, as far as it is still there."""
        present = set(map(unwrapped, self._viewer.layers))
        for layer, visible in self._before.items():
            if layer in present:
                layer.visible = visible


class SideBySide:
    """Shows layers beside each other in napari's grid, whose views move together."""

    def __init__(self, viewer: Any, layers: Sequence[Layer]) -> None:
        if len(layers) < 2:
            raise InputError("There is one layer: choose two or three to see side by side.")
        self._viewer, self.layers = viewer, list(layers)
        grid = viewer.canvas.grid
        self._before = grid.enabled, grid.stride, tuple(grid.shape)
        self.shown = OnlyShown(viewer, layers)
        # The upper layers come last, so that the order of the list is that from left to right.
        grid.stride, grid.shape, grid.enabled = 1, (1, -1), True
        viewer.fit_to_view(layers=[layers[0]])

    def stop(self) -> None:
        """Put the grid and the layers back."""
        grid = self._viewer.canvas.grid
        grid.enabled, grid.stride, grid.shape = self._before
        self.shown.undo()
        if not grid.enabled and self.layers[0] in map(unwrapped, self._viewer.layers):
            self._viewer.fit_to_view(layers=[self.layers[0]])
