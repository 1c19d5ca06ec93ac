"""Translated images as layers next to their sources, with a record in the layer's metadata."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.channel_look import Looks
from napari_pix2pix.data.codecs import Codec, ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.napari_layers._colormaps import (
    AMBER,
    GREEN,
    PINK,
    deviation_colormap,
    difference_colormap,
)
from napari_pix2pix.napari_layers._stated import look_keywords
from napari_pix2pix.napari_layers.snapshots import CHANNEL, KEY, MAP, Snapshot

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


_NEARLY_ALL = 99.9  # percent of the values of a difference that the colours reach over


def output_layer(
    array: NDArray[Any],
    like: Snapshot,
    *,
    layout: Layout,
    kind: str,
    name: str,
    metadata: Mapping[str, Any] | None = None,
    look: Mapping[str, Any] | None = None,
) -> Layer:
    """Make an Image or Labels layer at the place of its source; it is not added to a viewer.

    `like` is the source, or the first of several. Channels come first, except RGB. `look` is as in
    `Snapshot`; an image without limits is shown from its lowest to its highest value.
    """
    from napari.layers import Image, Labels

    transform, array = like.field_transform, to_layer_data(array, layout)
    if layout.channel_axis is not None and not layout.rgb:
        transform = transform.with_axis_in_front(CHANNEL)
    keywords = {"name": name, "metadata": dict(metadata or {}), **transform.keywords()}
    if kind != "image":
        return Labels(array, **keywords)
    if layout.rgb:
        return Image(array, rgb=True, **keywords)
    look = dict(look or {})
    if "contrast_limits" not in look:
        look["contrast_limits"] = _limits(array)
    return Image(array, rgb=False, **keywords, **look)


def to_layer_data(array: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Convert an array to a layer's data: channels on the first axis, uint8 for booleans."""
    data = array.astype(np.uint8) if array.dtype == bool else array
    if layout.channel_axis is None or layout.rgb:
        return data
    return np.moveaxis(data, max(layout.channel_axis, -data.ndim), 0)


def result_layer(
    array: NDArray[Any], like: Snapshot, codec: Codec, record: Mapping[str, Any], looks: Looks = ()
) -> Layer:
    """Make the layer of a translation, shown like the training's targets.

    `codec` is that of the targets, as `looks` are; `record`, see `result_record`, goes into the
    layer's metadata. If it names a channel, the layer has that one alone.
    """
    channel = record.get("channel")
    return output_layer(
        array if channel is None else pick_channel(array, codec.layout, channel),
        like,
        layout=codec.layout if channel is None else Layout(),
        kind="image" if array.dtype.kind == "f" else codec.kind,
        name=result_name(record),
        metadata={KEY: dict(record)},
        look=shown_like(codec, looks, record),
    )


def result_layers(
    array: NDArray[Any], like: Snapshot, codec: Codec, record: Mapping[str, Any], looks: Looks = ()
) -> list[Layer]:
    """Make the layers of a translation, one for each channel of the targets."""
    return [
        result_layer(array, like, codec, of_channel(record, number), looks)
        for number in range(codec.channels)
    ]


def pick_channel(array: NDArray[Any], layout: Layout, channel: int) -> NDArray[Any]:
    """Return one channel of an array that is laid out like the targets, as a view."""
    assert layout.channel_axis is not None
    axis = max(layout.channel_axis, -array.ndim)
    picked: NDArray[Any] = np.moveaxis(array, axis, 0)[channel]
    return picked


def join_channels(arrays: Sequence[NDArray[Any]], layout: Layout) -> NDArray[Any]:
    """Return an array laid out like the targets, of one array for each channel."""
    joined = np.stack(arrays)
    assert layout.channel_axis is not None
    return np.moveaxis(joined, 0, max(layout.channel_axis, -joined.ndim))


def generated_layer(
    array: NDArray[Any], codec: Codec, record: Mapping[str, Any], looks: Looks = ()
) -> Layer:
    """Make the layer of images (n, ...) that were generated without a source, at the origin.

    If `record` names a channel, the layer has that one alone.
    """
    from napari.layers import Image, Labels

    channel, layout = record.get("channel"), codec.layout
    if channel is not None:
        array, layout = pick_channel(array, layout, channel), Layout()
    data = to_layer_data(array, layout)
    keywords: dict[str, Any] = {"name": result_name(record), "metadata": {KEY: dict(record)}}
    if codec.kind != "image":
        return Labels(data, **keywords)
    return Image(data, rgb=layout.rgb, **keywords, **shown_like(codec, looks, record))


def generated_layers(
    array: NDArray[Any], codec: Codec, record: Mapping[str, Any], looks: Looks = ()
) -> list[Layer]:
    """Make the layers of generated images, one for each channel of the targets."""
    return [
        generated_layer(array, codec, of_channel(record, number), looks)
        for number in range(codec.channels)
    ]


def discriminator_layer(array: NDArray[Any], like: Snapshot) -> Layer:
    """Make the layer of a discriminator map (..., H, W) over the image `like` that was judged."""
    limit = float(np.abs(array).max(initial=0)) or 1.0
    layer = output_layer(
        array,
        like,
        layout=Layout(),
        kind="image",
        name=f"{like.name} [discriminator map]",
        metadata={MAP: True},
        look={"colormap": "PiYG", "contrast_limits": (-limit, limit)},
    )
    layer.opacity = 0.6  # lets the judged image show through
    return layer


def difference_layer(array: NDArray[Any], like: Snapshot, *, layout: Layout, kind: str) -> Layer:
    """Make the layer of a difference over its truth `like`; where both agree, it is clear.

    Of labels, 1 is only in the prediction, 2 only in the truth, 3 another class.
    """
    from napari.utils.colormaps import DirectLabelColormap

    look: dict[str, Any] = {}
    if kind == "image":
        most = float(np.nanpercentile(np.abs(array), _NEARLY_ALL)) if array.size else 0.0
        most = most or float(np.nanmax(np.abs(array), initial=0)) or 1.0
        look = {"colormap": difference_colormap(), "contrast_limits": (-most, most)}
    name = f"{like.name} [difference]"
    layer: Any = output_layer(
        array, like, layout=layout, kind=kind, name=name, metadata={MAP: True}, look=look
    )
    if kind == "image":
        layer.blending = "translucent_no_depth"
    else:
        colours = {1: (*GREEN, 1.0), 2: (*PINK, 1.0), 3: (*AMBER, 1.0), None: (0, 0, 0, 0)}
        layer.colormap = DirectLabelColormap(color_dict=colours)
    return layer


def unlikeness_layer(array: NDArray[Any], like: Snapshot) -> Layer:
    """Make the layer of an unlikeness map (..., H, W) over its image `like`: 1 is in the middle."""
    layer = output_layer(
        array,
        like,
        layout=Layout(),
        kind="image",
        name=f"{like.name} [unlikeness map]",
        metadata={MAP: True},
        look={"colormap": "inferno", "contrast_limits": (0.0, 2.0)},
    )
    layer.opacity = 0.6  # lets the image show through
    return layer


def shown_like(codec: Codec, looks: Looks, record: Mapping[str, Any]) -> dict[str, Any]:
    """Return how all images of a model are shown; empty for RGB and labels.

    They are those of the training's targets, or else reach over the range of their codec. There are
    no limits where no range is known. The deviation of samples lies over their mean.
    """
    if record["shown"] == "deviation":
        return {"colormap": deviation_colormap(), "blending": "translucent_no_depth"}
    if not isinstance(codec, ImageCodec) or codec.layout.rgb:
        return {}
    low, high, channel = min(codec.low), max(codec.high), record.get("channel")
    own = looks
    if channel is not None:
        low, high, own = codec.low[channel], codec.high[channel], looks[channel : channel + 1]
    known = codec.stated and high > low
    look: dict[str, Any] = {"contrast_limits": (low, high)} if known else {}
    if channel is not None:
        # Where nothing is stated, channels are added to the first one, as napari shows them.
        stated = own[0].blending if own else ""
        look["blending"] = stated or ("additive" if channel else "translucent_no_depth")
    return look | look_keywords(own)


def visible_region(viewer: ViewerModel, layer: Layer) -> tuple[slice, slice]:
    """Return the rows and columns of a layer that are in view, at its finest level.

    All of them if its last two axes are not shown as a plane; empty slices if it is out of view.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    height, width = data.shape[layer.ndim - 2 : layer.ndim]
    dims, camera = viewer.dims, viewer.scene.camera
    if dims.ndisplay != 2 or set(dims.displayed) != {dims.ndim - 2, dims.ndim - 1}:
        return slice(0, height), slice(0, width)
    half_view = np.array(viewer.canvas.size) / (2 * camera.zoom)
    corners = []
    for corner in itertools.product((-1, 1), repeat=2):
        world = np.array(dims.point, float)
        world[list(dims.displayed)] = np.array(camera.center[-2:]) + corner * half_view
        corners.append(layer.world_to_data(world)[-2:])
    lowest, highest = np.floor(np.min(corners, axis=0)), np.ceil(np.max(corners, axis=0)) + 1
    (top, left), (bottom, right) = (
        np.clip(edge, 0, (height, width)).astype(int).tolist() for edge in (lowest, highest)
    )
    return slice(top, bottom), slice(left, right)


def _limits(array: NDArray[Any]) -> tuple[float, float]:
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return low, high if high > low else low + 1


def result_record(
    sources: Sequence[Snapshot],
    *,
    model: str,
    digest: str,
    weights: str,
    condition: Hashable,
    trained_on: str,
    scores: Mapping[str, Mapping[str, float]],
    channel_names: Sequence[str] = (),
    samples: int = 1,
    shown: str = "",
    channel: int | None = None,
) -> dict[str, Any]:
    """Describe a result for its layer's metadata.

    `weights` are those that were applied, last or best. Of several `samples`, `shown` names this
    one, or a statistic of them; else it is empty. `channel` is the one that the layer holds, where
    each has a layer of its own.
    """
    record = {
        "model": model,
        "digest": digest,
        "weights": weights,
        "condition": condition,
        "source": " + ".join(layer.name for layer in sources),
        "source_id": sources[0].layer_id if sources else "",
        "trained_on": trained_on,
        "scores": {side: dict(of_side) for side, of_side in scores.items()},
        "channel_names": list(channel_names),
        "samples": samples,
        "shown": shown,
        "channel": None,
    }
    return record if channel is None else of_channel(record, channel)


def of_channel(record: Mapping[str, Any], channel: int) -> dict[str, Any]:
    """Return the record of the layer of one channel, by that of all of them."""
    names = record["channel_names"] or [f"channel {number + 1}" for number in range(channel + 1)]
    return {**record, "channel": channel, "channel_names": [names[channel]]}


def result_name(record: Mapping[str, Any]) -> str:
    """Name the layer of a result, such as ``phase [stain, DAPI + MAP2, mean of 5]``."""
    details = [record["model"]]
    if record["condition"] is not None:
        details.append(str(record["condition"]))
    if (names := " + ".join(record["channel_names"])) not in ("", *details):
        details.append(names)
    if record["shown"]:
        details.append(f"{record['shown']} of {record['samples']}")
    return f"{record['source'] or 'made'} [{', '.join(details)}]"


def is_result_of(record: Any, source_id: str, condition: Hashable) -> bool:
    """Tell whether a layer's metadata under `KEY` are the record of a result of a source."""
    expected = {"condition": condition, "source_id": source_id}
    return isinstance(record, dict) and all(record.get(k) == v for k, v in expected.items())


def is_of_spread(record: Mapping[str, Any]) -> bool:
    """Tell whether a result shows how far samples differ, deviation or quantile, and no answer."""
    return str(record.get("shown", "")).startswith(("deviation", "quantile"))


def result_key(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return what tells a source's results apart: the model's hash, and the sample or statistic."""
    return record["digest"], record["shown"]


def layers_of_result(layers: Iterable[Layer], one: Layer) -> list[Layer]:
    """Return the layers of a result by one of them: all its channels in order, or it alone."""
    record = one.metadata.get(KEY, {})
    if record.get("channel") is None:
        return [one]
    same = "digest", "shown", "condition", "source_id"
    found = {
        other.metadata[KEY]["channel"]: other
        for other in layers
        if KEY in other.metadata
        and other.metadata[KEY].get("channel") is not None
        and all(other.metadata[KEY].get(key) == record[key] for key in same)
    }
    return [found[channel] for channel in sorted(found)]
