"""What layers show, kept for work that goes on while they may change."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_array import LazyArray
from napari_pix2pix.data.lazy_image import Planes
from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers.transforms import Place, place_of

if TYPE_CHECKING:
    from napari.layers import Layer

CHANNEL = "channel"  # axis label of the channels, here and in what others write
_CHANNEL_LABELS = {"c", CHANNEL, "channels"}
_SMALL = 2**25  # bytes that are copied in some 10 ms
_LOOK = ("colormap", "contrast_limits", "gamma")


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a layer showed at one moment, safe to read from any thread.

    Attributes
    ----------
    data : array
        Of a multiscale layer the finest level. numpy: read-only; dask, zarr and the like: itself,
        not read.
    name : str
    place : Place
        Of all axes but that of RGB.
    rgb, labels : bool
        What the layer says of its data.
    channel_axis : int, optional
        Negative axis of the channels in `data`, for a layer that is not RGB.
    look : mapping of str to object
        ``colormap``, ``contrast_limits`` and ``gamma`` of an image in one colour; else empty.
    layer_id : str
        The layer's `unique_id`.
    """

    data: Any = field(repr=False)
    name: str
    place: Place = field(repr=False)
    rgb: bool = False
    labels: bool = False
    channel_axis: int | None = None
    look: Mapping[str, Any] = field(default_factory=dict, repr=False)
    layer_id: str = field(default="", repr=False)

    @property
    def field_place(self) -> Place:
        """The place without the axis of the channels."""
        return self.place if self.channel_axis is None else self.place.without(self.channel_axis)

    @property
    def field_shape(self) -> tuple[int, ...]:
        """Lengths of the frame axes, height and width."""
        shape = tuple(int(n) for n in self.data.shape)
        axis = -1 if self.rgb else self.channel_axis
        return shape if axis is None else tuple(np.delete(shape, axis).tolist())

    def copied(self) -> Snapshot:
        """Return the same with data that no one else can change; in any thread."""
        return replace(self, data=copied(self.data))


def is_layer(value: object) -> bool:
    """Whether a value is a layer of napari; napari need not be there."""
    layers = sys.modules.get("napari.layers")
    return layers is not None and isinstance(value, layers.Layer)


Copy = bool | Literal["small"]


def snapshot(layer: Layer, *, copy: Copy = True) -> Snapshot:
    """Keep what a layer shows, for work that goes on while the layer may change.

    Parameters
    ----------
    layer : Image or Labels
        A channel axis is known by its axis label: c, channel or channels. Call this in the main
        thread only.
    copy : bool or "small"
        Whether numpy arrays are copied; a memory map is not, like all that is read lazily. With
        "small" a large one is not either: copying it would hold the viewer up. It is shared until
        `Snapshot.copied` is called, soon and in another thread.

    Raises
    ------
    InputError
        When it is another kind of layer.
    """
    from napari.layers import Image, Labels

    if not isinstance(layer, Image | Labels):
        raise InputError(f"{named(layer)}; give an Image or a Labels layer.")
    rgb = bool(getattr(layer, "rgb", False))
    place = place_of(layer)
    data = layer.data[0] if layer.multiscale else layer.data
    one_colour = isinstance(layer, Image) and not rgb
    return Snapshot(
        data=_kept(data, copy=copy),
        name=layer.name,
        place=place,
        rgb=rgb,
        labels=isinstance(layer, Labels),
        channel_axis=None if rgb else labelled_channels(place),
        look={name: getattr(layer, name) for name in _LOOK} if one_colour else {},
        layer_id=str(layer.unique_id),
    )


def as_trained(snapshots: Sequence[Snapshot], layout: Layout) -> list[Snapshot]:
    """Take a layer for an image laid out like those of a training.

    Parameters
    ----------
    snapshots : sequence of Snapshot
        The channels of one image.
    layout : Layout
        Of the model's sources.

    Returns
    -------
    list of Snapshot
        With the model's channel axis where there is one layer that says nothing of its own.
    """
    if len(snapshots) == 1 and layout.channel_axis is not None and not layout.rgb:
        (one,) = snapshots
        ndim = one.place.ndim
        if not one.rgb and one.channel_axis is None and ndim > 2:
            return [replace(one, channel_axis=max(layout.channel_axis, -ndim))]
    return list(snapshots)


def planes_of(snapshots: Sequence[Snapshot], what: str = "image") -> Planes:
    """Open layers as one image: several are its channels, in their order.

    Parameters
    ----------
    snapshots : sequence of Snapshot
    what : str
        What the image is called in errors.

    Raises
    ------
    InputError
        When there is none, when their shapes differ or the arrays can't be used.
    """
    if not snapshots:
        raise InputError(f"There is no layer for the {what}; give at least one.")
    first = snapshots[0]
    for other in snapshots[1:]:
        if other.field_shape != first.field_shape:
            raise InputError(
                f"{first.name!r} is {size_of(first)} pixels, {other.name!r} {size_of(other)}; "
                "channels of one image need the same frames, height and width."
            )
    if len(snapshots) == 1:
        return Planes(first.data, channel_axis=first.channel_axis, rgb=first.rgb, what=what)
    arrays = tuple(channel for one in snapshots for channel in _channels(one))
    return Planes(arrays, rgb=False, what=what)


def copied(array: Any) -> Any:
    """Return an array's own copy, read-only; memory maps and what is lazy are returned as given."""
    owned = isinstance(array, np.ndarray) and array.base is None and not array.flags.writeable
    if owned or not isinstance(array, np.ndarray) or isinstance(array, np.memmap):
        return array
    kept = array.copy()
    kept.flags.writeable = False
    return kept


def _kept(data: Any, *, copy: Copy) -> Any:
    """Return what no one else can change, as far as that goes without reading what is lazy."""
    if not isinstance(data, np.ndarray):
        return data
    if copy is True or (copy == "small" and data.nbytes <= _SMALL):
        return copied(data)
    kept = data.view()
    kept.flags.writeable = False
    return kept


def labelled_channels(place: Place) -> int | None:
    """Find the negative axis that its label says is the channels'."""
    labels = [label.lower() for label in place.axis_labels]
    found = [axis for axis, label in enumerate(labels) if label in _CHANNEL_LABELS]
    return found[0] - place.ndim if found and place.ndim > 2 else None


def _channels(one: Snapshot) -> list[Any]:
    """Split a layer into arrays of one channel, without reading what is lazy."""
    if not one.rgb and one.channel_axis is None:
        return [one.data]
    axis = one.data.ndim - 1 if one.rgb else one.data.ndim + (one.channel_axis or 0)
    count = 3 if one.rgb else one.data.shape[axis]
    if isinstance(one.data, np.ndarray):
        return list(np.moveaxis(one.data, axis, 0)[:count])
    return [_Channel(one.data, axis, channel) for channel in range(count)]


class _Channel(LazyArray):
    """One channel of an array, read where it is asked for."""

    def __init__(self, array: Any, axis: int, channel: int) -> None:
        shape = tuple(int(n) for n in np.delete(array.shape, axis))
        super().__init__(shape, np.dtype(array.dtype))
        self._array, self._axis, self._channel = array, axis, channel

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window of the channel."""
        index = (*window[: self._axis], self._channel, *window[self._axis :])
        return np.asarray(self._array[index])


def named(value: Any) -> str:
    """Return what errors call a value that should be another kind of layer."""
    return (
        f"{value.name!r} is a {value.__class__.__name__} layer" if is_layer(value) else repr(value)
    )


def size_of(one: Snapshot) -> str:
    """Return frames, height and width in words."""
    return " x ".join(map(str, one.field_shape))
