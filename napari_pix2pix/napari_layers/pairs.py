"""Layers as pairs: what shows the same field, and where it is trained."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import Pair, make_pairs
from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers.snapshots import (
    Copy,
    Snapshot,
    as_trained,
    copied,
    is_layer,
    labelled_channels,
    named,
    planes_of,
    size_of,
    snapshot,
)
from napari_pix2pix.napari_layers.transforms import LayerTransform, transform_of

if TYPE_CHECKING:
    from napari.layers import Layer


def pair_of(
    sources: Sequence[Layer],
    targets: Sequence[Layer],
    *,
    mask: Layer | None = None,
    condition: Hashable | None = None,
    copy: Copy = True,
) -> Pair:
    """Pair layers that show the same field, pixel by pixel.

    Parameters
    ----------
    sources, targets : sequence of Image or Labels
        Several layers are channels of one image.
    mask : Labels or Shapes, optional
        See `mask_of`.
    condition : hashable, optional
    copy : bool or "small"
        As in `snapshot`.

    Returns
    -------
    Pair
        Named by its layers. `transforms_differ` says whether they lie at different places.

    Raises
    ------
    InputError
        When the layers are of the wrong kind or differ in size.
    """
    return read_pair(
        Pair(tuple(sources), tuple(targets), mask=mask, condition=condition), copy=copy
    )


def read_pair(pair: Pair, *, copy: Copy = True) -> Pair:
    """Put in place of a pair's layers what they show; other pairs are returned as they are.

    Parameters
    ----------
    pair : Pair
        A source or target may be a layer or a tuple of layers, the mask a layer.
    copy : bool or "small"
        As in `snapshot`.

    Raises
    ------
    InputError
        As in `pair_of`.
    """
    source, target = (
        None if layers is None else [snapshot(layer, copy=copy) for layer in layers]
        for layers in (layers_in(pair.source), layers_in(pair.target))
    )
    found: dict[str, Any] = {}
    if source is not None:
        found["source"] = _opened(source, "source", pair)
    if target is not None:
        found["target"] = _opened(target, "target", pair)
    if source is not None and target is not None:
        if pair.channel_axis is None:
            _check_same_size(source[0], target[0])
        found["name"] = pair.name or " -> ".join(_joined(side) for side in (source, target))
    if is_layer(pair.mask):
        if source is None:
            raise InputError(
                f"The mask {pair.mask.name!r} is a layer and the source is not; give both as "
                "layers or both as arrays."
            )
        found["mask"] = mask_of(pair.mask, source[0])
    return replace(pair, **found)


def copied_pair(pair: Pair) -> Pair:
    """Return the same pair with data that no one else can change; in any thread."""
    return replace(
        pair,
        source=_copied_planes(pair.source),
        target=_copied_planes(pair.target),
        mask=copied(pair.mask),
    )


def _copied_planes(planes: LazyImage) -> LazyImage:
    return planes.on([copied(member.array) for member in planes.members])


def read_pairs(
    source: Any,
    target: Any,
    *,
    condition: Hashable | Sequence[Hashable] = None,
    mask: Any = None,
    channel_axis: int | None = None,
) -> list[Pair]:
    """Pair sources with targets as `make_pairs` does, where any of them may be layers.

    Warns
    -----
    UserWarning
        When the layers of a pair lie at different places.
    """
    pairs = make_pairs(source, target, condition=condition, mask=mask, channel_axis=channel_axis)
    read = []
    for pair in pairs:
        layers = [*(layers_in(pair.source) or ()), *(layers_in(pair.target) or ())]
        note = transforms_differ(layers)
        if note:
            warnings.warn(note, UserWarning, stacklevel=3)
        if layers_in(pair.source) and layers_in(pair.target):
            pair = replace(pair, name="")  # the layers' names say more than a number
        read.append(read_pair(pair))
    return read


def layers_in(value: Any) -> list[Layer] | None:
    """Return the layers that make one image; None for arrays.

    Raises
    ------
    InputError
        When a tuple holds both.
    """
    members = value if isinstance(value, tuple) else (value,)
    layers = [one for one in members if is_layer(one)]
    if not layers:
        return None
    if len(layers) < len(members):
        raise InputError(
            "A tuple holds the channels of one image: give layers or arrays in it, not both."
        )
    return layers


def image_of(value: Any, layout: Layout) -> tuple[Any, list[Snapshot]]:
    """Return an image laid out like those of a training, and what its layers show.

    Parameters
    ----------
    value : array, layer, or tuple of either
    layout : Layout
        Of the model's sources or targets.

    Returns
    -------
    image : array, tuple of arrays or Planes
        Arrays are returned as they are.
    shown : list of Snapshot
        Empty for arrays.
    """
    shown = as_trained([snapshot(one) for one in layers_in(value) or []], layout)
    return (planes_of(shown) if shown else value), shown


def transforms_differ(layers: Sequence[Layer]) -> str:
    """Say in a sentence that layers lie at different places; empty if they don't.

    Layers are paired pixel by pixel, whatever their transforms.
    """
    for other in layers[1:]:
        here, there = _field_place(layers[0]), _field_place(other)
        count = min(here.ndim, there.ndim)
        here, there = here.last(count), there.last(count)
        if here.units == there.units and not np.allclose(here.matrix, there.matrix):
            return (
                f"{layers[0].name!r} and {other.name!r} lie at different places in the viewer "
                "(scale, translation or rotation); they are paired pixel by pixel all the same."
            )
    return ""


def mask_of(layer: Layer, like: Snapshot) -> Any:
    """Rasterise a mask in the pixels of another layer.

    Parameters
    ----------
    layer : Labels or Shapes
        Labels: what is not 0, pixel by pixel. Shapes: what lies inside, where the viewer shows
        them; shapes with as many axes as the source hold for the frame they are drawn in, others
        for all.
    like : Snapshot
        The source.

    Returns
    -------
    array
        Boolean, of the source's frames, height and width, or (Y, X) for all frames. Labels that
        are read lazily are returned as they are.

    Raises
    ------
    InputError
        When it is another kind of layer, has another size, or covers no pixel.
    """
    from napari.layers import Labels, Shapes

    if isinstance(layer, Shapes):
        mask: Any = _drawn(layer, like)
    elif isinstance(layer, Labels):
        mask = layer.data[0] if layer.multiscale else layer.data
        mask = mask != 0 if isinstance(mask, np.ndarray) else mask
    else:
        raise InputError(f"{named(layer)}; a mask is a Labels or a Shapes layer.")
    wanted = _long(like.field_shape)
    if _long(tuple(mask.shape)) not in (wanted, wanted[-2:]):
        size = " x ".join(map(str, mask.shape))
        raise InputError(
            f"The mask {layer.name!r} is {size} pixels, {like.name!r} {size_of(like)}; give a mask "
            "of the same size."
        )
    if isinstance(mask, np.ndarray) and not mask.any():
        raise InputError(
            f"The mask {layer.name!r} covers no pixel of {like.name!r}; draw it over the image, or "
            "leave it out."
        )
    return mask


def _drawn(layer: Any, like: Snapshot) -> NDArray[np.bool_]:
    """Rasterise shapes in the pixels of a source that may lie elsewhere."""
    from napari.layers import Shapes

    count = layer.ndim if layer.ndim == len(like.field_shape) else 2
    there, here = transform_of(layer).last(count).matrix, like.field_place.last(count).matrix
    move = np.linalg.inv(here) @ there
    data = [np.asarray(one)[:, -count:] @ move[:-1, :-1].T + move[:-1, -1] for one in layer.data]
    shape = like.field_shape[-count:]
    if not data:
        return np.zeros(shape, bool)
    moved = Shapes(data, shape_type=list(layer.shape_type), ndim=count)
    return np.asarray(moved.to_labels(shape)) != 0


def _opened(snapshots: Sequence[Snapshot], what: str, pair: Pair) -> Any:
    """Open what a layer says; with a `channel_axis` to try, leave open what it doesn't say."""
    first = snapshots[0]
    said = first.rgb or first.channel_axis is not None or len(snapshots) > 1
    return planes_of(snapshots, what) if said or pair.channel_axis is None else first.data


def _check_same_size(source: Snapshot, target: Snapshot) -> None:
    if _long(source.field_shape) != _long(target.field_shape):
        raise InputError(
            f"{source.name!r} is {size_of(source)} pixels, {target.name!r} {size_of(target)}; both "
            "must show the same field in the same size and frames."
        )


def _field_place(layer: Layer) -> LayerTransform:
    place = transform_of(layer)
    axis = labelled_channels(place)
    return place if axis is None else place.without(axis)


def _joined(snapshots: Sequence[Snapshot]) -> str:
    return " + ".join(one.name for one in snapshots)


def _long(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*(length for length in shape[:-2] if length != 1), *shape[-2:])
