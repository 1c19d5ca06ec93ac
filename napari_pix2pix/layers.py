"""Between napari's layers and pairs: what a layer shows, and where it lies.

napari is imported inside functions only: without a viewer nothing here needs it.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.pairs.layouts import Layout
from napari_pix2pix.pairs.pair import Pair
from napari_pix2pix.pairs.planes import Planes

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

_CHANNEL = "channel"  # axis label of the channels, here and in what others write
_CHANNEL_LABELS = {"c", _CHANNEL, "channels"}
_LOOK = ("colormap", "contrast_limits", "gamma")

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Place:
    """Where a layer lies: its transforms, and unit and label of each axis, RGB not among them.

    Attributes
    ----------
    scale, translate : tuple of float
        One an axis.
    rotate, shear : tuple of tuples of float
        Matrices, (ndim, ndim).
    affine : tuple of tuples of float
        Matrix, (ndim + 1, ndim + 1), applied after the others.
    units, axis_labels : tuple of str
        One an axis.
    """

    scale: tuple[float, ...]
    translate: tuple[float, ...]
    rotate: Matrix
    shear: Matrix
    affine: Matrix
    units: tuple[str, ...]
    axis_labels: tuple[str, ...]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.scale)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """From data to world coordinates, (ndim + 1, ndim + 1)."""
        inner = np.eye(self.ndim + 1)
        inner[:-1, :-1] = np.array(self.rotate) @ np.array(self.shear) @ np.diag(self.scale)
        inner[:-1, -1] = self.translate
        return np.array(self.affine) @ inner

    def keywords(self) -> dict[str, Any]:
        """Return what a layer takes to lie here."""
        matrices = {name: np.array(getattr(self, name)) for name in ("rotate", "shear", "affine")}
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | matrices

    def without(self, axis: int) -> Place:
        """Leave an axis out, such as that of the channels."""
        kept = [i for i in range(self.ndim) if i != axis % self.ndim]
        return self._of(kept)

    def last(self, count: int) -> Place:
        """Keep the last axes only."""
        return self._of(list(range(self.ndim - count, self.ndim)))

    def with_axis_in_front(self, label: str) -> Place:
        """Add a first axis that changes nothing, with a label of its own."""

        def grown(matrix: Matrix) -> Matrix:
            larger = np.eye(len(matrix) + 1)
            larger[1:, 1:] = matrix
            return _frozen(larger)

        return Place(
            scale=(1.0, *self.scale),
            translate=(0.0, *self.translate),
            rotate=grown(self.rotate),
            shear=grown(self.shear),
            affine=grown(self.affine),
            units=("pixel", *self.units),
            axis_labels=(label, *self.axis_labels),
        )

    def _of(self, axes: list[int]) -> Place:
        def part(values: Any) -> tuple[Any, ...]:
            return tuple(values[axis] for axis in axes)

        def block(matrix: Matrix, axes: list[int] = axes) -> Matrix:
            return _frozen(np.array(matrix)[np.ix_(axes, axes)])

        return Place(
            scale=part(self.scale),
            translate=part(self.translate),
            rotate=block(self.rotate),
            shear=block(self.shear),
            affine=block(self.affine, [*axes, self.ndim]),
            units=part(self.units),
            axis_labels=part(self.axis_labels),
        )


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
    """

    data: Any = field(repr=False)
    name: str
    place: Place = field(repr=False)
    rgb: bool = False
    labels: bool = False
    channel_axis: int | None = None
    look: Mapping[str, Any] = field(default_factory=dict, repr=False)

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


def is_layer(value: object) -> bool:
    """Whether a value is a layer of napari; napari need not be there."""
    layers = sys.modules.get("napari.layers")
    return layers is not None and isinstance(value, layers.Layer)


def place_of(layer: Layer) -> Place:
    """Read where a layer lies."""
    _, told, _ = layer.as_layer_data_tuple()
    shear = np.asarray(told["shear"], float)
    if shear.ndim == 1:
        matrix = np.eye(layer.ndim)
        matrix[np.triu_indices(layer.ndim, 1)] = shear
        shear = matrix
    return Place(
        scale=tuple(map(float, told["scale"])),
        translate=tuple(map(float, told["translate"])),
        rotate=_frozen(told["rotate"]),
        shear=_frozen(shear),
        affine=_frozen(told["affine"]),
        units=tuple(map(str, told["units"])),
        axis_labels=tuple(told["axis_labels"]),
    )


def snapshot(layer: Layer, *, copy: bool = True) -> Snapshot:
    """Keep what a layer shows, for work that goes on while the layer may change.

    Parameters
    ----------
    layer : Image or Labels
        A channel axis is known by its axis label: c, channel or channels. Call this in the main
        thread only.
    copy : bool
        Whether numpy arrays are copied; a memory map is not, like all that is read lazily.

    Raises
    ------
    InputError
        When it is another kind of layer.
    """
    from napari.layers import Image, Labels

    if not isinstance(layer, Image | Labels):
        raise InputError(
            f"{_named(layer)} is a {type(layer).__name__} layer; give an Image or a Labels layer."
        )
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
        channel_axis=None if rgb else _labelled_channels(place),
        look={name: getattr(layer, name) for name in _LOOK} if one_colour else {},
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
                f"{first.name!r} is {_size(first)} pixels, {other.name!r} {_size(other)}; channels "
                "of one image need the same frames, height and width."
            )
    if len(snapshots) == 1:
        return Planes(first.data, channel_axis=first.channel_axis, rgb=first.rgb, what=what)
    arrays = tuple(channel for one in snapshots for channel in _channels(one))
    return Planes(arrays, rgb=False, what=what)


def mask_of(layer: Layer, like: Snapshot) -> NDArray[np.bool_]:
    """Rasterise a mask in the pixels of another layer.

    Parameters
    ----------
    layer : Labels or Shapes
        Labels: what is not 0, pixel by pixel. Shapes: what lies inside, drawn where the viewer
        shows them; shapes in a plane of a stack hold for that plane, shapes in 2D for all.
    like : Snapshot
        The source.

    Returns
    -------
    bool array
        Of the source's frames, height and width, or (Y, X) for all frames.

    Raises
    ------
    InputError
        When it is another kind of layer, has another size, or covers no pixel.
    """
    from napari.layers import Labels, Shapes

    if isinstance(layer, Shapes):
        mask = _drawn(layer, like)
    elif isinstance(layer, Labels):
        mask = np.asarray(layer.data[0] if layer.multiscale else layer.data) != 0
    else:
        raise InputError(
            f"{_named(layer)} is a {type(layer).__name__} layer; a mask is a Labels or a Shapes "
            "layer."
        )
    if mask.shape not in (like.field_shape, like.field_shape[-2:]):
        size = " x ".join(map(str, mask.shape))
        raise InputError(
            f"The mask {layer.name!r} is {size} pixels, {like.name!r} {_size(like)}; give a mask "
            "of the same size."
        )
    if not mask.any():
        raise InputError(
            f"The mask {layer.name!r} covers no pixel of {like.name!r}; draw it over the image, or "
            "leave it out."
        )
    return mask


def pair_of(
    sources: Sequence[Layer],
    targets: Sequence[Layer],
    *,
    mask: Layer | None = None,
    condition: Hashable | None = None,
    copy: bool = True,
) -> Pair:
    """Pair layers that show the same field.

    Parameters
    ----------
    sources, targets : sequence of Image or Labels
        Several layers are channels of one image.
    mask : Labels or Shapes, optional
    condition : hashable, optional
    copy : bool
        As in `snapshot`.

    Raises
    ------
    InputError
        When the layers are of the wrong kind or differ in size.
    """
    source = [snapshot(layer, copy=copy) for layer in sources]
    target = [snapshot(layer, copy=copy) for layer in targets]
    opened = planes_of(source, "source"), planes_of(target, "target")
    if _long(source[0].field_shape) != _long(target[0].field_shape):
        raise InputError(
            f"{source[0].name!r} is {_size(source[0])} pixels, {target[0].name!r} "
            f"{_size(target[0])}; both must show the same field in the same size and frames."
        )
    return Pair(
        *opened,
        mask=None if mask is None else mask_of(mask, source[0]),
        condition=condition,
        name=f"{_joined(source)} -> {_joined(target)}",
    )


def misplaced(layers: Sequence[Layer]) -> str:
    """Say in a sentence that layers of one pair lie at different places; empty if they don't.

    Layers are paired pixel by pixel, whatever their transforms.
    """
    first, *others = layers
    here = place_of(first)
    for other in others:
        there = place_of(other)
        count = min(here.ndim, there.ndim)
        if not np.allclose(here.last(count).matrix, there.last(count).matrix):
            return (
                f"{first.name!r} and {other.name!r} lie at different places in the viewer (scale, "
                "translation or rotation); they are paired pixel by pixel all the same."
            )
    return ""


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

    place = like.field_place
    if layout.channel_axis is not None and not layout.rgb:
        array = np.moveaxis(array, max(layout.channel_axis, -array.ndim), 0)
        place = place.with_axis_in_front(_CHANNEL)
    keywords = {"name": name, "metadata": dict(metadata or {}), **place.keywords()}
    if kind != "image":
        return Labels(array.astype(np.uint8) if array.dtype == bool else array, **keywords)
    if layout.rgb:
        return Image(array, rgb=True, **keywords)
    shown = {"contrast_limits": _limits(array)} | dict(look or {})
    return Image(array, rgb=False, **keywords, **shown)


def visible_region(viewer: ViewerModel, layer: Layer) -> tuple[slice, slice]:
    """Find the rows and columns of a layer that are in view.

    Parameters
    ----------
    viewer : napari.Viewer
    layer : Image or Labels
        In the viewer. Of a multiscale layer the rows and columns are those of the finest level.

    Returns
    -------
    rows, columns : slice
        All of them where the viewer doesn't show the layer's last two axes as a plane; empty where
        the layer is out of view.
    """
    data = layer.data[0] if layer.multiscale else layer.data
    height, width = data.shape[layer.ndim - 2 : layer.ndim]
    shown = tuple(viewer.dims.displayed)[-2:]
    if viewer.dims.ndisplay != 2 or shown != (viewer.dims.ndim - 2, viewer.dims.ndim - 1):
        return slice(0, height), slice(0, width)
    corners = np.asarray(layer.corner_pixels, float)[:, -2:]
    if layer.multiscale:
        corners = corners * np.asarray(layer.downsample_factors)[layer.data_level][-2:]
    (top, left), (bottom, right) = np.floor(corners[0]), np.ceil(corners[1] + 1)
    return (
        slice(max(int(top), 0), min(int(bottom), height)),
        slice(max(int(left), 0), min(int(right), width)),
    )


def _frozen(matrix: Any) -> Matrix:
    return tuple(tuple(map(float, row)) for row in np.asarray(matrix))


def _kept(data: Any, *, copy: bool) -> Any:
    """Return what no one else can change, as far as that goes without reading what is lazy."""
    if not isinstance(data, np.ndarray):
        return data
    kept = data.copy() if copy and not isinstance(data, np.memmap) else data.view()
    kept.flags.writeable = False
    return kept


def _labelled_channels(place: Place) -> int | None:
    labels = [label.lower() for label in place.axis_labels]
    found = [axis for axis, label in enumerate(labels) if label in _CHANNEL_LABELS]
    return found[0] - place.ndim if found and place.ndim > 2 else None


def _channels(one: Snapshot) -> list[Any]:
    """Split a layer into arrays of one channel, without reading what is lazy."""
    if not one.rgb and one.channel_axis is None:
        return [one.data]
    data = one.data
    if not isinstance(data, np.ndarray):
        import dask.array

        data = dask.array.asarray(data)
    axis = -1 if one.rgb else one.channel_axis
    count = 3 if one.rgb else data.shape[axis]
    index: list[Any] = [slice(None)] * data.ndim
    parts = []
    for channel in range(count):
        index[axis] = channel
        parts.append(data[tuple(index)])
    return parts


def _drawn(layer: Any, like: Snapshot) -> NDArray[np.bool_]:
    """Rasterise shapes in the pixels of a source that may lie elsewhere."""
    from napari.layers import Shapes

    count = layer.ndim if layer.ndim == len(like.field_shape) else 2
    there, here = place_of(layer).last(count).matrix, like.field_place.last(count).matrix
    move = np.linalg.inv(here) @ there
    data = [np.asarray(one)[:, -count:] @ move[:-1, :-1].T + move[:-1, -1] for one in layer.data]
    shape = like.field_shape[-count:]
    if not data:
        return np.zeros(shape, bool)
    moved = Shapes(data, shape_type=list(layer.shape_type), ndim=count)
    return np.asarray(moved.to_labels(shape)) != 0


def _limits(array: NDArray[Any]) -> tuple[float, float]:
    finite = array[np.isfinite(array)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    return low, high if high > low else low + 1


def _named(layer: object) -> str:
    return f"{layer.name!r}" if is_layer(layer) else repr(layer)  # type: ignore[attr-defined]


def _joined(snapshots: Sequence[Snapshot]) -> str:
    return " + ".join(one.name for one in snapshots)


def _size(one: Snapshot) -> str:
    return " x ".join(map(str, one.field_shape))


def _long(shape: tuple[int, ...]) -> tuple[int, ...]:
    return (*(length for length in shape[:-2] if length != 1), *shape[-2:])
