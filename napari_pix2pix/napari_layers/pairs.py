"""Pairs of layers that show the same field, and masks from layers."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers.snapshots import (
    CopyMode,
    LayerTransform,
    Snapshot,
    channel_axis_of,
    copied,
    is_layer,
    lazy_image_of_layers,
    named,
    size_of,
    snapshot,
    transform_of,
    with_model_channels,
)

if TYPE_CHECKING:
    from napari.layers import Layer, Shapes


def pair_of(
    sources: Sequence[Layer],
    targets: Sequence[Layer],
    *,
    mask: Layer | None = None,
    condition: Hashable | None = None,
    copy: CopyMode = True,
) -> Pair:
    """Pair layers that show the same field, pixel by pixel; several are channels of one image.

    Without sources the pair has none.
    """
    return read_pair(
        Pair(tuple(sources) or None, tuple(targets), mask=mask, condition=condition), copy=copy
    )


def read_pair(pair: Pair, *, copy: CopyMode = True) -> Pair:
    """Replace the layers in a pair by what they show; other pairs are returned as they are."""
    source, target = (
        None if layers is None else [snapshot(layer, copy=copy) for layer in layers]
        for layers in (layers_in(pair.source), layers_in(pair.target))
    )
    _check_different(layers_in(pair.source) or (), layers_in(pair.target) or ())
    fields: dict[str, Any] = {}
    if source is not None:
        fields["source"] = _open(source, "source", pair)
    if target is not None:
        fields["target"] = _open(target, "target", pair)
    if source is not None and target is not None:
        if pair.channel_axis is None:
            _check_same_size(source[0], target[0])
        fields["name"] = pair.name or " -> ".join(map(_joined_names, (source, target)))
    elif target is not None and pair.source is None:
        fields["name"] = pair.name or _joined_names(target)
    if is_layer(pair.mask):
        like = target if pair.source is None else source
        if like is None:
            raise InputError(
                f"The mask {pair.mask.name!r} is a layer, but the source is not: give both as "
                "layers or both as arrays."
            )
        fields["mask"] = mask_of(pair.mask, like[0])
    return replace(pair, **fields)


def copied_pair(pair: Pair) -> Pair:
    """Return the same pair with data that no one else can change; call it in any thread."""
    return replace(
        pair,
        source=None if pair.source is None else _copied_planes(pair.source),
        target=_copied_planes(pair.target),
        mask=copied(pair.mask),
    )


def _copied_planes(planes: LazyImage) -> LazyImage:
    return planes.on([copied(channel.array) for channel in planes.members])


def read_pairs(pairs: Iterable[Pair]) -> list[Pair]:
    """Replace the layers of pairs as `read_pair` does; warn if those of a pair lie apart."""
    read = []
    for pair in pairs:
        layers = [*(layers_in(pair.source) or ()), *(layers_in(pair.target) or ())]
        note = transforms_differ(layers)
        if note:
            warnings.warn(note, UserWarning, stacklevel=4)
        if layers_in(pair.source) and layers_in(pair.target):
            pair = replace(pair, name="")  # the layers' names say more than a number
        read.append(read_pair(pair))
    return read


def layers_in(value: Any) -> list[Layer] | None:
    """Return the layers that make one image; None for arrays; refuse a mixture."""
    members = value if isinstance(value, tuple) else (value,)
    layers = [member for member in members if is_layer(member)]
    if not layers:
        return None
    if len(layers) < len(members):
        raise InputError(
            "A tuple holds the channels of one image: give layers or arrays in it, not both."
        )
    return layers


def image_of(value: Any, layout: Layout) -> tuple[Any, list[Snapshot]]:
    """Open layers with the layout of a model's images, and return their snapshots; keep arrays."""
    snapshots = with_model_channels([snapshot(layer) for layer in layers_in(value) or []], layout)
    return (lazy_image_of_layers(snapshots) if snapshots else value), snapshots


def transforms_differ(layers: Sequence[Layer]) -> str:
    """Return a sentence if layers, paired pixel by pixel, lie at different places; else ''."""
    for other in layers[1:]:
        here, there = _field_transform(layers[0]), _field_transform(other)
        count = min(here.ndim, there.ndim)
        here, there = here.last(count), there.last(count)
        if here.units == there.units and not np.allclose(here.matrix, there.matrix):
            return (
                f"{layers[0].name!r} and {other.name!r} lie at different places in the viewer "
                "(scale, translation or rotation); they are paired pixel by pixel all the same."
            )
    return ""


def mask_of(layer: Layer, like: Snapshot) -> Any:
    """Rasterise a mask in the pixels of a source: boolean, (..., Y, X), or (Y, X) for all frames.

    Of Labels, what is not 0; lazy labels are kept. Of Shapes, their inside, where the viewer shows
    them: shapes with as many axes as the source apply to the frame that they are drawn in.
    """
    from napari.layers import Labels, Shapes

    if isinstance(layer, Shapes):
        mask: Any = _rasterise(layer, like)
    elif isinstance(layer, Labels):
        mask = layer.data[0] if layer.multiscale else layer.data
        mask = mask != 0 if isinstance(mask, np.ndarray) else mask
    else:
        raise InputError(f"{named(layer)}; a mask is a Labels or a Shapes layer.")
    expected = _squeeze_frames(like.field_shape)
    if _squeeze_frames(tuple(mask.shape)) not in (expected, expected[-2:]):
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


def _rasterise(layer: Shapes, like: Snapshot) -> NDArray[np.bool_]:
    """Rasterise shapes in the pixels of a source that may lie elsewhere."""
    from napari.layers import Shapes

    count = layer.ndim if layer.ndim == len(like.field_shape) else 2
    from_layer = transform_of(layer).last(count).matrix
    move = np.linalg.inv(like.field_transform.last(count).matrix) @ from_layer
    data = [np.asarray(d)[:, -count:] @ move[:-1, :-1].T + move[:-1, -1] for d in layer.data]
    shape = like.field_shape[-count:]
    if not data:
        return np.zeros(shape, bool)
    moved = Shapes(data, shape_type=list(layer.shape_type), ndim=count)
    return np.asarray(moved.to_labels(shape)) != 0


def _open(snapshots: Sequence[Snapshot], what: str, pair: Pair) -> Any:
    """Open layers as one image; leave it an array if only the pair's `channel_axis` is known."""
    first = snapshots[0]
    has_layout = first.rgb or first.channel_axis is not None or len(snapshots) > 1
    return (
        lazy_image_of_layers(snapshots, what)
        if has_layout or pair.channel_axis is None
        else first.data
    )


def _check_different(sources: Sequence[Layer], targets: Sequence[Layer]) -> None:
    """Refuse a layer on both sides; napari gives plugins a new proxy of it each time."""
    targeted = {id(getattr(layer, "__wrapped__", layer)) for layer in targets}
    for layer in sources:
        if id(getattr(layer, "__wrapped__", layer)) in targeted:
            raise InputError(
                f"{layer.name!r} is source and target at a time, so there is nothing to learn: "
                "choose another layer for one of them."
            )


def _check_same_size(source: Snapshot, target: Snapshot) -> None:
    if _squeeze_frames(source.field_shape) != _squeeze_frames(target.field_shape):
        raise InputError(
            f"{source.name!r} is {size_of(source)} pixels, {target.name!r} {size_of(target)}; both "
            "must show the same field in the same size and frames."
        )


def _field_transform(layer: Layer) -> LayerTransform:
    transform = transform_of(layer)
    axis = channel_axis_of(layer, transform)
    return transform if axis is None else transform.without(axis)


def _joined_names(snapshots: Sequence[Snapshot]) -> str:
    return " + ".join(layer.name for layer in snapshots)


def _squeeze_frames(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Drop frame axes of length 1."""
    return (*(length for length in shape[:-2] if length != 1), *shape[-2:])
