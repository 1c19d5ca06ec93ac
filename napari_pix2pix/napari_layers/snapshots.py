"""Snapshots of layers: what they show and where they lie, safe to use while they change."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.layouts import Layout, has_trailing_channels
from napari_pix2pix.data.lazy_array import TakenChannels
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers._stated import looks_of, pixel_size_of

if TYPE_CHECKING:
    from napari.layers import Layer

KEY = "napari-pix2pix"  # of a layer's metadata, with the record of a result
MAP = f"{KEY}-map"  # of the metadata of maps about an image, which are no image themselves
CHANNEL = "channel"  # axis label of the channels in the layers that we make
_CHANNEL_LABELS = {"c", CHANNEL, "channels"}
_SMALL = 2**25  # bytes; copying them takes about 10 ms
_LOOK = ("colormap", "contrast_limits", "gamma", "blending")

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class LayerTransform:
    """Where a layer lies: its transforms, and unit and label of each axis except RGB."""

    scale: tuple[float, ...]
    translate: tuple[float, ...]
    rotate: Matrix  # (ndim, ndim), like shear
    shear: Matrix
    affine: Matrix  # (ndim + 1, ndim + 1), applied last
    units: tuple[str, ...]
    axis_labels: tuple[str, ...]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.scale)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """Matrix from data to world coordinates, (ndim + 1, ndim + 1)."""
        inner = np.eye(self.ndim + 1)
        inner[:-1, :-1] = np.array(self.rotate) @ np.array(self.shear) @ np.diag(self.scale)
        inner[:-1, -1] = self.translate
        return np.array(self.affine) @ inner

    def keywords(self) -> dict[str, Any]:
        """Return the keywords that place a new layer here."""
        matrices = {name: np.array(getattr(self, name)) for name in ("rotate", "shear", "affine")}
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | matrices

    def without(self, axis: int) -> LayerTransform:
        """Leave an axis out, such as that of the channels."""
        return self._select([i for i in range(self.ndim) if i != axis % self.ndim])

    def last(self, count: int) -> LayerTransform:
        """Keep only the last axes."""
        return self._select(list(range(self.ndim - count, self.ndim)))

    def moved(self, offset: Sequence[float]) -> LayerTransform:
        """Return the transform of a part that begins some pixels into the layer, one an axis."""
        inner = np.array(self.rotate) @ np.array(self.shear) @ np.diag(self.scale)
        begin = np.array(self.translate) + inner @ np.array(offset, float)
        return replace(self, translate=tuple(map(float, begin)))

    def with_axis_in_front(self, label: str) -> LayerTransform:
        """Add a first axis with scale 1, translation 0 and a label."""

        def enlarge(matrix: Matrix) -> Matrix:
            larger = np.eye(len(matrix) + 1)
            larger[1:, 1:] = matrix
            return _frozen(larger)

        return LayerTransform(
            scale=(1.0, *self.scale),
            translate=(0.0, *self.translate),
            rotate=enlarge(self.rotate),
            shear=enlarge(self.shear),
            affine=enlarge(self.affine),
            units=("pixel", *self.units),
            axis_labels=(label, *self.axis_labels),
        )

    def _select(self, axes: list[int]) -> LayerTransform:
        def part(values: Any) -> tuple[Any, ...]:
            return tuple(values[axis] for axis in axes)

        def block(matrix: Matrix, axes: list[int] = axes) -> Matrix:
            return _frozen(np.array(matrix)[np.ix_(axes, axes)])

        return LayerTransform(
            scale=part(self.scale),
            translate=part(self.translate),
            rotate=block(self.rotate),
            shear=block(self.shear),
            affine=block(self.affine, [*axes, self.ndim]),
            units=part(self.units),
            axis_labels=part(self.axis_labels),
        )


def transform_of(layer: Layer) -> LayerTransform:
    """Read where a layer lies."""
    _, metadata, _ = layer.as_layer_data_tuple()
    shear = np.asarray(metadata["shear"], float)
    if shear.ndim == 1:  # the upper triangle of the matrix
        matrix = np.eye(layer.ndim)
        matrix[np.triu_indices(layer.ndim, 1)] = shear
        shear = matrix
    return LayerTransform(
        scale=tuple(map(float, metadata["scale"])),
        translate=tuple(map(float, metadata["translate"])),
        rotate=_frozen(metadata["rotate"]),
        shear=_frozen(shear),
        affine=_frozen(metadata["affine"]),
        units=tuple(map(str, metadata["units"])),
        axis_labels=tuple(metadata["axis_labels"]),
    )


def _frozen(matrix: Any) -> Matrix:
    return tuple(tuple(map(float, row)) for row in np.asarray(matrix))


@dataclass(frozen=True, eq=False)
class Snapshot:
    """What a layer showed at one moment, safe to read from any thread."""

    # The finest level; numpy arrays are read-only, lazy ones (dask, zarr) are kept unread.
    data: Any = field(repr=False)
    name: str
    transform: LayerTransform = field(repr=False)  # of all axes except that of RGB
    rgb: bool = False
    labels: bool = False
    channel_axis: int | None = None  # negative, in `data`; None for RGB
    # colormap, contrast_limits, gamma and blending of an image that is not RGB
    look: Mapping[str, Any] = field(default_factory=dict, repr=False)
    layer_id: str = field(default="", repr=False)
    channel_names: tuple[str, ...] = field(default=(), repr=False)  # one each, if they are known

    @property
    def field_transform(self) -> LayerTransform:
        """The transform without the axis of the channels."""
        axis = self.channel_axis
        return self.transform if axis is None else self.transform.without(axis)

    @property
    def field_shape(self) -> tuple[int, ...]:
        """Lengths of the frame axes, height and width."""
        shape = tuple(int(n) for n in self.data.shape)
        axis = -1 if self.rgb else self.channel_axis
        return shape if axis is None else tuple(np.delete(shape, axis).tolist())

    @property
    def channels(self) -> int:
        """Number of channels; 3 of RGB, whose alpha is left out."""
        if self.rgb:
            return 3
        return 1 if self.channel_axis is None else int(self.data.shape[self.channel_axis])

    def copied(self) -> Snapshot:
        """Return the same with data that no one else can change; call it in any thread."""
        return replace(self, data=copied(self.data))


def is_layer(value: object) -> bool:
    """Tell whether a value is a napari layer, without importing napari."""
    layers = sys.modules.get("napari.layers")
    return layers is not None and isinstance(value, layers.Layer)


CopyMode = bool | Literal["small"]


def snapshot(layer: Layer, *, copy: CopyMode = True) -> Snapshot:
    """Keep what a layer shows, for work that runs while it may change; call it in the main thread.

    Without `copy` a numpy array is shared, read-only. "small" copies small arrays only, because
    large ones would freeze the viewer: call `Snapshot.copied` soon, in another thread.
    """
    from napari.layers import Image, Labels

    if not isinstance(layer, Image | Labels):
        raise InputError(f"{named(layer)}; give an Image or a Labels layer.")
    rgb = bool(getattr(layer, "rgb", False))
    transform = transform_of(layer)
    data = layer.data[0] if layer.multiscale else layer.data
    has_look = isinstance(layer, Image) and not rgb
    return Snapshot(
        data=_frozen_data(data, copy=copy),
        name=layer.name,
        transform=transform,
        rgb=rgb,
        labels=isinstance(layer, Labels),
        channel_axis=channel_axis_of(layer, transform),
        look={name: getattr(layer, name) for name in _LOOK} if has_look else {},
        layer_id=str(layer.unique_id),
        channel_names=_names_of(layer),
    )


def _names_of(layer: Layer) -> tuple[str, ...]:
    """Return the names of a layer's channels: a result's record has them, else it is one itself."""
    record = layer.metadata.get(KEY)
    return (layer.name,) if record is None else tuple(record.get("channel_names", ()))


def with_model_channels(snapshots: Sequence[Snapshot], layout: Layout) -> list[Snapshot]:
    """Give a single layer without a channel axis the channel axis of a model's sources."""
    if len(snapshots) == 1 and layout.channel_axis is not None and not layout.rgb:
        (layer,) = snapshots
        ndim = layer.transform.ndim
        if not layer.rgb and layer.channel_axis is None and ndim > 2:
            return [replace(layer, channel_axis=max(layout.channel_axis, -ndim))]
    return list(snapshots)


def lazy_image_of_layers(snapshots: Sequence[Snapshot], what: str = "image") -> LazyImage:
    """Open layers as one image, with several as its channels; errors call it `what`."""
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
        image = LazyImage(first.data, channel_axis=first.channel_axis, rgb=first.rgb, what=what)
    else:
        arrays = tuple(channel for layer in snapshots for channel in _channels(layer))
        image = LazyImage(arrays, rgb=False, what=what)
        colours = [LazyImage(layer.data, rgb=True, what=what) for layer in snapshots if layer.rgb]
        image.note = next((each.note for each in colours if each.note), "")
    names = [name for layer in snapshots for name in layer.channel_names]
    image = image.named(names) if len(names) == image.channels else image
    looks = looks_of((layer.look, layer.channels) for layer in snapshots)
    place = first.field_transform
    return image.stating(pixel_size_of(place.scale, place.units, place.axis_labels), looks)


def copied(array: Any) -> Any:
    """Return a read-only copy of an array; memory maps and lazy arrays are returned as they are."""
    owned = isinstance(array, np.ndarray) and array.base is None and not array.flags.writeable
    if owned or not isinstance(array, np.ndarray) or isinstance(array, np.memmap):
        return array
    frozen = array.copy()
    frozen.flags.writeable = False
    return frozen


def _frozen_data(data: Any, *, copy: CopyMode) -> Any:
    """Return read-only data, copied as `copy` says; lazy arrays are returned as they are."""
    if not isinstance(data, np.ndarray):
        return data
    if copy is True or (copy == "small" and data.nbytes <= _SMALL):
        return copied(data)
    view = data.view()
    view.flags.writeable = False
    return view


def channel_axis_of(layer: Layer, transform: LayerTransform) -> int | None:
    """Find the negative axis that holds the channels, by its label or its length; None for RGB."""
    if getattr(layer, "rgb", False):
        return None
    labels = [label.lower() for label in transform.axis_labels]
    axes = [axis for axis, label in enumerate(labels) if label in _CHANNEL_LABELS]
    if axes and transform.ndim > 2:
        return axes[0] - transform.ndim
    shape = (layer.data[0] if layer.multiscale else layer.data).shape
    # A layer with 3 or 4 columns says itself whether they are colours.
    guessed = labels[-1] != "x" and shape[-1] not in (3, 4) and has_trailing_channels(shape)
    return -1 if guessed else None


def _channels(layer: Snapshot) -> list[Any]:
    """Split a layer into arrays of one channel each, without reading a lazy array."""
    data = layer.data
    if not layer.rgb and layer.channel_axis is None:
        return [data]
    axis = data.ndim - 1 if layer.rgb else data.ndim + (layer.channel_axis or 0)
    if isinstance(data, np.ndarray):
        return list(np.moveaxis(data, axis, 0)[: layer.channels])
    return [TakenChannels(data, axis, channel) for channel in range(layer.channels)]


def named(value: Any) -> str:
    """Describe a value of the wrong kind for an error."""
    if not is_layer(value):
        return repr(value)
    kind = value.__class__.__name__  # of the layer inside napari's proxy
    return f"{value.name!r} is {'an' if kind[0] in 'AEIOU' else 'a'} {kind} layer"


def size_of(layer: Snapshot) -> str:
    """Return frames, height and width as text."""
    return " x ".join(map(str, layer.field_shape))
