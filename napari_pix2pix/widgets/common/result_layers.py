"""Puts results into a viewer where their sources lie: adds, updates, replaces, undoes."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.data.channel_look import Looks
from napari_pix2pix.data.codecs import Codec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.napari_layers import (
    KEY,
    LayerTransform,
    Snapshot,
    is_of_spread,
    is_result_of,
    join_channels,
    output_layer,
    pick_channel,
    result_key,
    shown_like,
    to_layer_data,
)
from napari_pix2pix.widgets.common.layer_choice import insert_inactive, unwrapped
from napari_pix2pix.widgets.common.layer_order import index_on_top, move_on_top

if TYPE_CHECKING:
    from napari.layers import Layer

_PARTIAL = " (partial)"
# Pixels that are not translated yet are 0: added to the source, they let it show.
_OVERLAY, _SOLID = "additive", "translucent_no_depth"
_SAMPLED, _NEARLY_ALL = 1_000_000, 99.9  # values, and the percent of them
_DRAWING_SHARE = 0.2  # of the time, at most
_SECONDS_A_PIXEL = 50e-9  # between two drawings of a plane: 2.5 s for 7,000 x 7,000 pixels


@dataclass(frozen=True, eq=False)
class ResultSpec:
    """All that is known of a result before it is there."""

    source: Layer  # the first one, of several channels
    like: Snapshot  # the source as it was when the work began
    codec: Codec  # the codec of the model's targets
    name: str  # name of the layer, such as ``stain [nuclei]``
    # See `result_record`; of several samples, ``shown`` is one of `shown_names`.
    record: dict[str, Any]
    looks: Looks = ()  # how the targets of the training were shown, as far as that is known
    is_part: bool = False  # whether only a part of each frame is translated

    @property
    def channel(self) -> int | None:
        """The channel that the layer holds, where each has a layer of its own."""
        channel: int | None = self.record["channel"]
        return channel

    def data_of(self, array: np.ndarray) -> np.ndarray:
        """Return the layer's data by an array that is laid out like the targets."""
        if self.channel is None:
            return to_layer_data(array, self.codec.layout)
        return to_layer_data(pick_channel(array, self.codec.layout, self.channel), Layout())

    @property
    def is_deviation(self) -> bool:
        """Whether it is the deviation of samples, which lies over their mean."""
        return bool(self.record["shown"] == "deviation")

    @property
    def is_seen(self) -> bool:
        """Whether the layer is shown: quantiles would cover the mean and its deviation."""
        return self.is_deviation or not is_of_spread(self.record)

    @property
    def place(self) -> LayerTransform:
        """Where the result lies."""
        layout, place = self.codec.layout, self.like.field_transform
        moves = layout.channel_axis is not None and not layout.rgb and self.channel is None
        return place.with_axis_in_front("channel") if moves else place

    @property
    def look(self) -> dict[str, Any]:
        """How it is shown, as for `output_layer`."""
        return shown_like(self.codec, self.looks, self.record)

    def layer(self, array: np.ndarray) -> Layer:
        """Return a new layer of the result."""
        is_whole = self.channel is None
        layer = output_layer(
            array if is_whole else self.data_of(array),
            self.like,
            layout=self.codec.layout if is_whole else Layout(),
            kind=self.codec.kind,
            name=self.name,
            metadata={KEY: self.record},
            look=self.look,
        )
        if self.codec.kind == "image" and not self.is_deviation:
            layer.blending = _OVERLAY
        layer.visible = self.is_seen
        return layer


def results_of(
    viewer: Any, source: Layer, condition: Any, codec: Codec
) -> dict[tuple[str, str], Callable[[], np.ndarray]]:
    """Return what gives earlier results of a source, laid out like the targets, by `result_key`."""
    axis = None if codec.layout.rgb else codec.layout.channel_axis
    arrays: dict[tuple[str, str], Callable[[], np.ndarray]] = {}
    split: defaultdict[tuple[str, str], dict[int, np.ndarray]] = defaultdict(dict)
    for layer, record in _results_of(viewer, source, condition):
        data, channel = layer.data, record.get("channel")
        if channel is not None:
            split[result_key(record)][channel] = data
            continue
        moved = data if axis is None else np.moveaxis(data, 0, max(axis, -data.ndim))
        arrays[result_key(record)] = partial(np.asarray, moved)
    for key, channels in split.items():
        if len(channels) == codec.channels and len({data.shape for data in channels.values()}) == 1:
            ordered = [channels[number] for number in sorted(channels)]
            # Joining copies all of it, which the viewer must not wait for.
            arrays[key] = partial(join_channels, ordered, codec.layout)
    return arrays


class DrawingPace:
    """When results that grow are drawn again, all at once: the larger they are, the less often."""

    def __init__(self) -> None:
        self._next = 0.0

    @property
    def is_due(self) -> bool:
        """Whether they are drawn again."""
        return time.perf_counter() > self._next

    def note(self, began: float, layers: Sequence[Layer]) -> None:
        """Remember how long they took, and how large they are."""
        now = time.perf_counter()
        # napari draws later, and gives all pixels of a layer to the graphics card again.
        least = _SECONDS_A_PIXEL * max(map(plane_pixels, layers), default=0)
        self._next = now + max((now - began) / _DRAWING_SHARE, least)


def plane_pixels(layer: Layer) -> int:
    """Return the pixels of a plane of a layer, at its finest level."""
    data: Any = layer.data[0] if getattr(layer, "multiscale", False) else layer.data
    return math.prod(data.shape[layer.ndim - 2 : layer.ndim])


class Result:
    """One result in a viewer, from its first tile until it is undone."""

    def __init__(self, viewer: Any, spec: ResultSpec, *, replaces: bool) -> None:
        self._viewer = viewer
        self._spec = spec
        self._replaces = replaces
        self._array: np.ndarray | None = None
        self._undo: list[Callable[[], None]] = []
        self._is_new = False  # whether the layer was made for it
        self._overlays = False  # the source shows where nothing is translated yet
        self.layer: Any = None

    @property
    def gone(self) -> bool:
        """Whether the user removed the layer from the viewer."""
        return self.layer is not None and self.layer not in self._viewer.layers

    def paint(self, array: np.ndarray, *, draws: bool = True) -> None:
        """Take the array as it is now; the first call adds the layer or finds an earlier one.

        It is drawn again if ``draws`` says so, or if it is another array.
        """
        if self.layer is None:
            self._begin(array)
        elif self.gone:
            return
        elif array is not self._array:
            self.layer.data = self._spec.data_of(array)
        elif draws:
            self.layer.refresh(thumbnail=False, highlight=False, extent=False)
        self._array = array

    def finish(self, *, complete: bool) -> None:
        """Draw all of it, mark it as complete or partial, and replace the source if asked."""
        if self.layer is None or self.gone:
            return
        record = {**self._spec.record, "partial": not complete}
        self.layer.metadata = {**self.layer.metadata, KEY: record}
        if self._overlays and self._spec.is_deviation:
            self._spread_colours()
        else:
            self._show_finished(complete=complete)
        if self.layer.name.removesuffix(_PARTIAL) == self._spec.name:
            self.layer.name = self._spec.name + ("" if complete else _PARTIAL)
        self.layer.refresh()
        if complete and self._replaces and self._spec.source in self._viewer.layers:
            self._replace()

    def _show_finished(self, *, complete: bool) -> None:
        """Cover the source, and show the range of all tiles, not of the first alone."""
        if complete and not self._spec.is_part and self._overlays:
            self.layer.blending = self._spec.look.get("blending", _SOLID)
        if self._is_new and _is_gray(self.layer) and "contrast_limits" not in self._spec.look:
            self.layer.reset_contrast_limits()

    def undo(self) -> None:
        """Put everything back as it was."""
        while self._undo:
            self._undo.pop()()

    def _begin(self, array: np.ndarray) -> None:
        self.layer = _earlier(self._viewer, self._spec)
        if self.layer is not None:
            self._update(array)
        else:
            self._overlays = self._spec.codec.kind == "image"
            self.layer = added = self._spec.layer(array)
            self._is_new = True
            self._insert(added)
            self._undo.append(lambda: self._remove(added))

    def _update(self, array: np.ndarray) -> None:
        layer, place = self.layer, self._spec.place.keywords()
        self._overlays = layer.metadata[KEY].get("partial", False)
        self._remember_order()
        self._remember(layer, ["data", "metadata", "name", "blending", "visible", *place])
        layer.data = self._spec.data_of(array)
        for name, value in place.items():
            setattr(layer, name, value)
        layer.visible = self._spec.is_seen
        move_on_top(self._viewer.layers, layer)

    def _spread_colours(self) -> None:
        """Show the deviation from 0 to nearly its largest value, known only at the end."""
        values = np.ravel(self.layer.data)
        most = float(np.percentile(values[:: len(values) // _SAMPLED + 1], _NEARLY_ALL))
        self.layer.contrast_limits = (0.0, most or 1.0)

    def _replace(self) -> None:
        """Give the source the result's data; if that does not fit, give the result its name."""
        source, result, layers = self._spec.source, self.layer, self._viewer.layers
        if _same_kind(source, result):
            look = ["contrast_limits", "colormap", "gamma"] if _is_gray(source) else []
            index = layers.index(result)
            self._remove(result)
            self._undo.append(lambda: layers.insert(min(index, len(layers)), result))
            self._remember(source, ["data", "metadata", *look])
            source.metadata = {**source.metadata, **result.metadata}
            for name in ("data", *look):
                setattr(source, name, getattr(result, name))
            self.layer = source
        else:
            # Undo runs in the opposite order, so that the name is free again.
            self._remember(source, ["name", "visible"])
            self._remember(result, ["name"])
            name, source.visible = source.name, False
            source.name = f"{name} (before)"  # first: no two layers have one name
            result.name = name
            layers.move(layers.index(result), layers.index(source))

    def _remember(self, layer: Layer, names: Sequence[str]) -> None:
        """Let `undo` restore attributes of a layer to their values of now."""
        values = {name: getattr(layer, name) for name in names}
        # A copy: napari writes new metadata into the old dictionary.
        values |= {"metadata": dict(layer.metadata)} if "metadata" in values else {}

        def restore() -> None:
            for name, value in values.items():
                setattr(layer, name, value)

        self._undo.append(restore)

    def _remember_order(self) -> None:
        """Let `undo` move the layer back to where it lies among the others."""
        layers, layer = self._viewer.layers, self.layer
        above = list(layers)[layers.index(layer) + 1 :]

        def restore() -> None:
            still = [other for other in above if other in layers]
            if layer in layers and still:
                layers.move(layers.index(layer), layers.index(still[0]))

        self._undo.append(restore)

    def _insert(self, layer: Layer) -> None:
        layers = self._viewer.layers
        insert_inactive(layers, index_on_top(layers, layer, self._spec.source), layer)

    def _remove(self, layer: Layer) -> None:
        if layer in self._viewer.layers:
            self._viewer.layers.remove(layer)


def _earlier(viewer: Any, spec: ResultSpec) -> Any:
    """Return the layer of an earlier result of the same model and source; None without."""
    for layer, record in _results_of(viewer, spec.source, spec.record["condition"]):
        is_same = result_key(record) == result_key(spec.record)
        if is_same and record.get("channel") == spec.channel:
            return layer
    return None


def _results_of(
    viewer: Any, source: Layer, condition: Any
) -> Iterator[tuple[Layer, dict[str, Any]]]:
    """Yield the results of a source, each with its record."""
    source_id = str(source.unique_id)
    for layer in map(unwrapped, viewer.layers):
        record = layer.metadata.get(KEY)
        if layer is not source and is_result_of(record, source_id, condition):
            yield layer, record


def _same_kind(source: Any, result: Any) -> bool:
    """Whether the source's layer can hold the result's data."""
    return (
        type(source) is type(result)
        and not source.multiscale
        and getattr(source, "rgb", False) == getattr(result, "rgb", False)
        and tuple(source.data.shape) == tuple(result.data.shape)
    )


def _is_gray(layer: Any) -> bool:
    return hasattr(layer, "contrast_limits") and not layer.rgb
