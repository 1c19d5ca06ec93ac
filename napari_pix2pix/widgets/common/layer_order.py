"""Which layers of a viewer are seen: what lies over what, and where the view is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.napari_layers import visible_region
from napari_pix2pix.widgets.common.layer_choice import unwrapped

if TYPE_CHECKING:
    from napari.components import LayerList
    from napari.layers import Layer

_NAMES = 3  # of layers in a sentence; the others are counted
_OPAQUE = {"opaque", "translucent", "translucent_no_depth"}


def overlap(layer: Layer, other: Layer) -> bool:
    """Whether two layers share a place, by the axes that both have."""
    count = min(layer.ndim, other.ndim)
    low, high = layer.extent.world[:, -count:]
    other_low, other_high = other.extent.world[:, -count:]
    return bool(np.all(low < other_high) and np.all(other_low < high))


def index_on_top(layers: LayerList, layer: Layer, above: Layer | None = None) -> int:
    """Return where to insert a layer so that nothing at its place lies over it.

    It is right above the uppermost layer at its place, and above the layer `above`.
    """
    plain = [unwrapped(other) for other in layers]
    below = [
        number
        for number, other in enumerate(plain)
        if other is not layer and (other is above or overlap(layer, other))
    ]
    return below[-1] + 1 if below else len(plain)


def move_on_top(layers: LayerList, layer: Layer) -> None:
    """Move a layer above everything at its place; it stays where it is if that is below it."""
    index, goal = layers.index(layer), index_on_top(layers, layer)
    if goal > index + 1:
        layers.move(index, goal)


def is_in_view(viewer: Any, layer: Layer) -> bool:
    """Whether some of a layer lies in the part and the frame that the viewer shows."""
    rows, columns = visible_region(viewer, layer)
    return (
        rows.stop > rows.start and columns.stop > columns.start and not _wrong_axes(viewer, layer)
    )


def move_view_to(viewer: Any, layer: Layer) -> bool:
    """Show a layer if none of it is in view; return whether the view has moved."""
    if is_in_view(viewer, layer):
        return False
    low, high = layer.extent.world
    for axis, place in _wrong_axes(viewer, layer):
        viewer.dims.set_point(axis, np.clip(viewer.dims.point[axis], low[place], high[place]))
    if not is_in_view(viewer, layer):
        viewer.fit_to_view(layers=[layer])
    return True


def _wrong_axes(viewer: Any, layer: Layer) -> list[tuple[int, int]]:
    """Return the sliders that stand outside of a layer, each with the layer's own axis."""
    dims, (low, high) = viewer.dims, layer.extent.world
    axes = [(axis, axis - dims.ndim + layer.ndim) for axis in dims.not_displayed]
    return [
        (axis, own)
        for axis, own in axes
        if own >= 0 and not low[own] <= dims.point[axis] <= high[own]
    ]


def covers(layer: Layer, other: Layer) -> bool:
    """Whether nothing of a lower layer is seen through a layer: an opaque image on all of it."""
    from napari.layers import Image

    if not (isinstance(layer, Image) and layer.visible and layer.opacity == 1):
        return False
    if not layer.rgb and np.min(layer.colormap.colors[:, 3]) < 1:  # clear in places
        return False
    count = min(layer.ndim, other.ndim)
    low, high = layer.extent.world[:, -count:]
    other_low, other_high = other.extent.world[:, -count:]
    inside = np.all(low <= other_low + 1e-9) and np.all(other_high <= high + 1e-9)
    return str(layer.blending) in _OPAQUE and bool(inside)


def say_what_is_seen(viewer: Any, results: Sequence[Layer]) -> str:
    """Say which results are seen, which are hidden, and what they cover; "" without results."""
    layers = [unwrapped(layer) for layer in viewer.layers]
    results = [layer for layer in results if layer in layers]
    hidden = [layer for layer in results if not layer.visible]
    shown = [layer for layer in layers if layer.visible]
    covered = [
        layer
        for number, layer in enumerate(shown)
        if any(covers(upper, layer) for upper in shown[number + 1 :] if upper in results)
    ]
    under = [layer for layer in results if layer in shown and _lies_under(layer, shown, results)]
    away = [*hidden, *covered, *under]
    seen = [layer for layer in results if layer not in away]
    parts = [
        f"Shown: {join_names(seen)}." if seen else "",
        f"Under other layers: {join_names(under)}." if under else "",
        f"Covered by {'it' if len(seen) == 1 else 'them'}: {join_names(covered)}."
        if covered
        else "",
        f"Hidden: {join_names(hidden)}." if hidden else "",
    ]
    return " ".join(filter(None, parts))


def _lies_under(layer: Layer, shown: Sequence[Layer], results: Sequence[Layer]) -> bool:
    above = shown[shown.index(layer) + 1 :]
    return any(covers(upper, layer) for upper in above if upper not in results)


def join_names(layers: Sequence[Layer]) -> str:
    """Name layers from the uppermost to the lowest; of many, the first ones and how many more."""
    names = [layer.name for layer in reversed(layers)]
    more = len(names) - _NAMES
    if more > 1:
        return f"{', '.join(names[:_NAMES])} and {more} others"
    return ", ".join(names)
