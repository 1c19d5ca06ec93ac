"""Translated images as layers beside their sources.

What the metadata of a result say of it, and how results are found again by that.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codecs import Codec, ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.napari_layers.snapshots import CHANNEL, Snapshot

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer


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
    """Make a layer that lies where its source does; it is not added to a viewer.

    Parameters
    ----------
    array : numpy.ndarray
        What a translator made of the source.
    like : Snapshot
        The source; of several the first.
    layout : Layout
        Where the array has its channels. They come on an axis in front; RGB stays as it is.
    kind : {"image", "classes", "instances"}
        All but "image" becomes a Labels layer.
    name : str
    metadata : mapping, optional
    look : mapping, optional
        ``colormap``, ``contrast_limits`` and ``gamma`` to show an image in one colour with; by
        default gray from the lowest to the highest value.

    Returns
    -------
    Image or Labels
    """
    from napari.layers import Image, Labels

    place, array = like.field_place, as_shown(array, layout)
    if layout.channel_axis is not None and not layout.rgb:
        place = place.with_axis_in_front(CHANNEL)
    keywords = {"name": name, "metadata": dict(metadata or {}), **place.keywords()}
    if kind != "image":
        return Labels(array, **keywords)
    if layout.rgb:
        return Image(array, rgb=True, **keywords)
    shown = dict(look or {})
    if "contrast_limits" not in shown:
        shown["contrast_limits"] = _limits(array)
    return Image(array, rgb=False, **keywords, **shown)


def as_shown(array: NDArray[Any], layout: Layout) -> NDArray[Any]:
    """Bring the channels to the front, as a layer shows them, and booleans into a layer's dtype."""
    shown = array.astype(np.uint8) if array.dtype == bool else array
    if layout.channel_axis is None or layout.rgb:
        return shown
    return np.moveaxis(shown, max(layout.channel_axis, -shown.ndim), 0)


def result_layer(
    array: NDArray[Any], like: Snapshot, codec: Codec, record: Mapping[str, Any]
) -> Layer:
    """Make the layer of what a translator made, shown in the range of the training's targets.

    Parameters
    ----------
    array : numpy.ndarray
    like : Snapshot
        The source; of several the first.
    codec : Codec
        Of the model's targets.
    record : mapping
        As `result_record` makes it; kept in the layer's metadata under `KEY`.
    """
    return output_layer(
        array,
        like,
        layout=codec.layout,
        kind="image" if array.dtype.kind == "f" else codec.kind,
        name=result_name(record),
        metadata={KEY: dict(record)},
        look={"colormap": "magma"} if record["shown"] == "deviation" else trained_look(codec),
    )


def made_layer(array: NDArray[Any], codec: Codec, record: Mapping[str, Any]) -> Layer:
    """Make the layer of images that were made without a source: they lie at the origin.

    Parameters
    ----------
    array : numpy.ndarray
        (n, ...), laid out like the targets.
    codec : Codec
        Of the model's targets.
    record : mapping
        As `result_record` makes it.
    """
    from napari.layers import Image, Labels

    layout = codec.layout
    if layout.channel_axis is not None and not layout.rgb:
        array = np.moveaxis(array, max(layout.channel_axis, -array.ndim), 0)
    keywords: dict[str, Any] = {"name": result_name(record), "metadata": {KEY: dict(record)}}
    if codec.kind != "image":
        return Labels(array.astype(np.uint8) if array.dtype == bool else array, **keywords)
    return Image(array, rgb=layout.rgb, **keywords, **trained_look(codec))


def verdict_layer(array: NDArray[Any], like: Snapshot) -> Layer:
    """Make the layer of a discriminator's verdict: what looks false in one colour, real in another.

    Parameters
    ----------
    array : numpy.ndarray
        (..., H, W), 0 where it can't tell.
    like : Snapshot
        What was judged.
    """
    most = float(np.abs(array).max(initial=0)) or 1.0
    layer = output_layer(
        array,
        like,
        layout=Layout(),
        kind="image",
        name=f"{like.name} [verdict]",
        look={"colormap": "PiYG", "contrast_limits": (-most, most)},
    )
    layer.opacity = 0.6  # what is judged shows through
    return layer


def trained_look(codec: Codec) -> dict[str, Any]:
    """Return contrast limits that hold for all that a model makes; empty for colours and labels."""
    if not isinstance(codec, ImageCodec) or codec.layout.rgb:
        return {}
    low, high = min(codec.low), max(codec.high)
    return {"contrast_limits": (low, high)} if high > low else {}


def visible_region(viewer: ViewerModel, layer: Layer) -> tuple[slice, slice]:
    """Find the rows and columns of a layer that are in view.

    Parameters
    ----------
    viewer : napari.Viewer
    layer : Image or Labels
        Of a multiscale layer the rows and columns are those of the finest level.

    Returns
    -------
    rows, columns : slice
        All of them where the viewer doesn't show the layer's last two axes as a plane; empty where
        the layer is out of view.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    height, width = data.shape[layer.ndim - 2 : layer.ndim]
    dims, camera = viewer.dims, viewer.scene.camera
    if dims.ndisplay != 2 or set(dims.displayed) != {dims.ndim - 2, dims.ndim - 1}:
        return slice(0, height), slice(0, width)
    reach = np.array(viewer.canvas.size) / (2 * camera.zoom)
    found = []
    for corner in itertools.product((-1, 1), repeat=2):
        world = np.array(dims.point, float)
        world[list(dims.displayed)] = np.array(camera.center[-2:]) + corner * reach
        found.append(layer.world_to_data(world)[-2:])
    lowest, highest = np.floor(np.min(found, axis=0)), np.ceil(np.max(found, axis=0)) + 1
    (top, left), (bottom, right) = (
        np.clip(edge, 0, (height, width)).astype(int).tolist() for edge in (lowest, highest)
    )
    return slice(top, bottom), slice(left, right)


def _limits(array: NDArray[Any]) -> tuple[float, float]:
    finite = array[np.isfinite(array)] if array.dtype.kind == "f" else array
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return low, high if high > low else low + 1


KEY = "napari-pix2pix"  # of a layer's metadata


def result_record(
    sources: Sequence[Snapshot],
    *,
    model: str,
    digest: str,
    condition: Hashable,
    trained_on: str,
    scores: Mapping[str, Mapping[str, float]],
    samples: int = 1,
    shown: str = "",
) -> dict[str, Any]:
    """Say what a result is, for the metadata of its layer.

    Parameters
    ----------
    sources : sequence of Snapshot
        What it was made of: a layer, or several that are its channels; nothing where the model
        takes none.
    model, digest : str
        Name and hash of the model.
    condition : hashable
    trained_on : str
        The summary of the model's training.
    scores : mapping
        Of the training, for prediction and trivial map.
    samples : int
        How often the model was asked.
    shown : str
        Nothing for the only answer; else which of several it is, or what was computed of them.
    """
    return {
        "model": model,
        "digest": digest,
        "condition": condition,
        "source": " + ".join(one.name for one in sources),
        "source_id": sources[0].layer_id if sources else "",
        "trained_on": trained_on,
        "scores": {side: dict(of_side) for side, of_side in scores.items()},
        "samples": samples,
        "shown": shown,
    }


def result_name(record: Mapping[str, Any]) -> str:
    """Name the layer of a result, such as ``stain [nuclei, mean of 5]``."""
    told = [record["model"]]
    if record["condition"] is not None:
        told.append(str(record["condition"]))
    if record["shown"]:
        told.append(f"{record['shown']} of {record['samples']}")
    return f"{record['source'] or 'made'} [{', '.join(told)}]"


def is_result_of(record: Any, source_id: str, condition: Hashable) -> bool:
    """Whether what metadata hold under `KEY` is the record of a result of a layer."""
    wanted = {"condition": condition, "source_id": source_id}
    return isinstance(record, dict) and all(record.get(k) == v for k, v in wanted.items())


def answer_in(record: Mapping[str, Any]) -> tuple[str, str]:
    """Return the hash of the model that gave a result, and which of its answers it is."""
    return record["digest"], record["shown"]
