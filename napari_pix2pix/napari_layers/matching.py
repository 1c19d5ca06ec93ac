"""Layers that show the same field in other numbers of pixels, brought to the same ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.resampling import Resampling
from napari_pix2pix.napari_layers.snapshots import Snapshot

if TYPE_CHECKING:
    from napari.layers import Layer

_ALIKE = 0.02  # by how much two sizes of the same field may differ


def shows_same_field(layer: Snapshot, like: Snapshot) -> bool:
    """Say whether two layers show the same field in other numbers of pixels.

    By their scales; where none has a scale, by their proportions.
    """
    sizes = np.array([one.field_shape[-2:] for one in (layer, like)], float)
    if (sizes[0] == sizes[1]).all() or layer.field_shape[:-2] != like.field_shape[:-2]:
        return False
    scales = np.array([one.field_transform.scale[-2:] for one in (layer, like)])
    if not (scales == 1).all():
        sizes = sizes * scales
        return bool(np.allclose(sizes[0], sizes[1], rtol=_ALIKE))
    down, right = sizes[0] / sizes[1]
    return bool(abs(down / right - 1) < _ALIKE)


def resampled_data(layer: Snapshot, like: Snapshot) -> NDArray[Any]:
    """Return a layer's data on the pixels of another; labels by the nearest pixel."""
    data = np.asarray(layer.data)
    if layer.rgb:
        data = np.moveaxis(data, -1, -3)
    elif layer.channel_axis is not None:
        data = np.moveaxis(data, layer.channel_axis, -3)
    else:
        data = data[..., np.newaxis, :, :]
    size = like.field_shape[-2:]
    way = Resampling((data.shape[-2], data.shape[-1]), (size[0], size[1]), nearest=layer.labels)
    frames = data.reshape(-1, *data.shape[-3:])
    new = np.stack([_resampled(frame, way) for frame in frames])
    new = new.reshape(*data.shape[:-2], *size)
    if layer.rgb:
        return np.moveaxis(new, -3, -1)
    if layer.channel_axis is not None:
        return np.moveaxis(new, -3, layer.channel_axis)
    return new[..., 0, :, :]


def _resampled(frame: NDArray[Any], way: Resampling) -> NDArray[Any]:
    """Return a whole frame (C, h, w) at its other size."""
    return way.window(lambda rows, columns: frame[:, rows, columns], Box.of_size(*way.after))


def resampled_layer(data: NDArray[Any], layer: Snapshot, like: Snapshot) -> Layer:
    """Return a layer with the resampled data of one layer, at the place of the other."""
    from napari.layers import Image, Labels

    place = like.field_transform.keywords() if layer.channel_axis is None else {}
    name = f"{layer.name} (resampled)"
    if layer.labels:
        return Labels(data, name=name, **place)
    return Image(data, name=name, rgb=layer.rgb, **layer.look, **place)
