"""Instance maps to planes in [-1, 1] that a network can learn, and back."""
# Plane 0 is the foreground, plane 1 the depth within the object, clipped at a few pixels. Planes 2
# and 3 say whether a pixel and its right or lower neighbour are of one object; of volumes a further
# one says so of the neighbour in the next plane. A network learns
# depth well and these thin lines badly, but only they make the planes of any map exact: depth alone
# can't tell a narrow neck from a border.

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.codec_base import LabelCodec, check_label_blocks, distinct_values
from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import InputError

# Depth goes on for half the radius of a typical object: deep enough that each has one summit, and
# no deeper, since a network measures badly what is far from any border. Bounds are in pixels.
_REACH = 0.5
_LEAST_REACH, _MOST_REACH = 3, 12

# Axes along which neighbours are compared: columns, rows, and planes of volumes.
_AXES = (-1, -2, -3)

_SMOOTH = 1.0  # sigma in pixels
# A valley of depth parts two objects where it is this deep, seen from the lower summit; where
# planes are noisy, it takes this many standard deviations. The best of a grid on images held out
# from short trainings (fluorescent and stained nuclei of BBBC038), and not sharply so.
_VALLEY = 0.2
_NOISE = 1.2
# Noise is measured around each pixel, so that a part of an image measures what the whole does.
_AROUND = 32  # pixels; shares of a power of 2 of them are exact
_RATIO = 1.1  # of two depths of valleys that are told apart
_DEEPEST = 2.0  # the range of depth: no valley is deeper
# Fragments are of one object where the planes are this sure of it, in the mean over their border.
_SAME = 0.8
_REACH_OF_SPECKS = 3.0  # pixels over which objects take in what is left of specks

# Pixels beyond an object by which it is told apart: what smoothing, specks and noise reach over.
# And the largest object where it was not measured, in units of `reach`, which is a quarter of a
# typical diameter.
MARGIN = 8 + _AROUND // 2
_LARGEST_BY_REACH = 10


@dataclass(frozen=True)
class InstanceCodec(LabelCodec):
    """Planes for each map; exact for connected objects of `smallest` pixels or more.

    Objects are connected by edges in images, and by faces in volumes.
    """

    # Planes of tiles are stitched before they are decoded: only whole images show whole objects.

    kind: ClassVar[Kind] = "instances"

    dtype: str  # of the labels
    smallest: int  # objects of fewer pixels are specks, which `decode` leaves out
    layout: Layout
    channels: int = 1  # maps, such as the frames of a z-context
    reach: int = _LEAST_REACH  # the depth in pixels within an object that becomes +1
    ndim: int = 2  # 3: maps are volumes
    z_step: float = 1.0  # distance of two planes of a volume, in pixels of a plane
    largest: int = 0  # height or width of the largest object in pixels; 0: not measured

    def __post_init__(self) -> None:
        numbers = (self.smallest, self.channels, self.reach)
        volume = self.ndim in (2, 3) and self.z_step > 0 and self.largest >= 0
        known = np.dtype(self.dtype).kind in "biu" and self.reach <= _MOST_REACH
        if not known or min(numbers) < 1 or not volume:
            raise ValueError("its values make no sense")

    @property
    def planes(self) -> int:
        """Number of planes: four a map, five a volume."""
        return (2 + self.ndim) * self.channels

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance of two pixels along each axis, in pixels of a plane."""
        return (self.z_step, 1.0, 1.0)[-self.ndim :]

    @property
    def halo(self) -> int:
        """Pixels around a part of an image that its objects are told apart by."""
        # Half more than the largest object, since others may be larger. Models that did not measure
        # it know about how large a typical one is.
        largest = self.largest or _LARGEST_BY_REACH * self.reach
        return largest + largest // 2 + MARGIN

    @classmethod
    def fit(
        cls,
        blocks: Iterable[NDArray[Any]],
        valid: Iterable[NDArray[np.bool_]] | None = None,
        *,
        layout: Layout,
        what: str = "labels",
        smallest: int | None = None,
        ndim: int = 2,
        z_step: float = 1.0,
    ) -> InstanceCodec:
        """Measure objects in blocks (C, h, w) or (C, Z, h, w), inside masks of 1 or C channels."""
        arrays = check_label_blocks(blocks, what)
        if valid is not None:
            arrays = [np.where(mask, array, 0) for array, mask in zip(arrays, valid, strict=True)]
        if not any(array.any() for array in arrays) or len(distinct_values(arrays)) < 2:
            raise InputError(
                f"The {what} holds one value only where it is labelled; there is nothing to learn "
                "from it, so give labels with objects on a background of 0."
            )
        areas = _areas(arrays)
        if smallest is None:
            # A quarter of the area of the smallest 1 %: smaller specks are not learned from.
            smallest = max(1, int(np.percentile(areas, 1) // 4))
        typical = float(np.median(areas))
        radius = math.sqrt(typical / math.pi)
        if ndim == 3:
            radius = (0.75 * typical * z_step / math.pi) ** (1 / 3)
        reach = min(max(round(_REACH * radius), _LEAST_REACH), _MOST_REACH)
        dtype = arrays[0].dtype.newbyteorder("=").name
        channels, largest = arrays[0].shape[0], _largest(arrays)
        return cls(dtype, smallest, layout, channels, reach, ndim, z_step, largest)

    def encode(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Map labels (C, H, W) with a background of 0 to planes (4 * C, H, W) in [-1, 1]."""
        self.check_encodable(raw, self.channels)
        maps = [instance_planes(labels, self.reach, self.spacing) for labels in raw]
        return np.concatenate(maps)

    def decode(self, planes: NDArray[Any], output: str = "target") -> NDArray[Any]:
        """Map planes (..., 4 * C, H, W) of whole images to labels (..., C, H, W) from 1 on.

        Of volumes they are (..., 5 * C, Z, H, W).
        """
        self.check_output(output)
        return self.as_target(self.split(planes))

    def split(self, planes: NDArray[Any]) -> NDArray[np.int32]:
        """Map planes, as `decode` does, to labels that are not of the labels' dtype yet."""
        frames, size = planes.shape[: -self.ndim - 1], planes.shape[-self.ndim :]
        stacks = planes.reshape(-1, 2 + self.ndim, *size)
        labels = np.empty((len(stacks), *size), np.int32)
        for number, stack in enumerate(stacks):
            labels[number] = split_objects(stack, self.smallest, self.spacing)
        return labels.reshape(*frames, self.channels, *size)

    def as_target(self, values: NDArray[Any]) -> NDArray[Any]:
        """Keep the numbers of objects, in the labels' dtype or one that holds them."""
        return values.astype(self.dtype_for(int(values.max(initial=0))))

    def dtype_for(self, largest: int) -> np.dtype[Any]:
        """Return the labels' dtype, or one that holds the number of the last object."""
        dtype = np.dtype(self.dtype)
        if dtype.kind == "b" or largest > np.iinfo(dtype).max:
            dtype = np.result_type(np.min_scalar_type(largest), np.uint8)
        return dtype

    def dtype_of_parts(self, height: int, width: int) -> np.dtype[Any]:
        """Return a dtype for objects that are not counted yet: as many as fit into a frame."""
        return self.dtype_for(height * width // self.smallest)


def _areas(arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Return the areas of all objects that no edge cuts, or of all where each is cut."""
    whole, every = [], []
    for labels in (labels for array in arrays for labels in array):
        values, areas = np.unique(labels, return_counts=True)
        ends = (labels.take((0, -1), axis).ravel() for axis in range(labels.ndim))
        edge = np.concatenate(list(ends))
        every.append(areas[values != 0])
        whole.append(areas[(values != 0) & ~np.isin(values, edge)])
    uncut = np.concatenate(whole)
    return uncut if len(uncut) else np.concatenate(every)


def _largest(arrays: Sequence[NDArray[Any]]) -> int:
    """Return the height or width of the largest object, as far as blocks show it."""
    from scipy import ndimage

    most = 0
    for labels in (labels for array in arrays for labels in array):
        numbers = labels
        if labels.max(initial=0) > labels.size:  # a list has a place for each number
            numbers = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
            numbers += int(labels.min(initial=0) > 0)  # where 0 is no background but an object
        for place in ndimage.find_objects(numbers.astype(np.int32)):
            if place is not None:
                most = max(most, *(span.stop - span.start for span in place[-2:]))
    return most


def instance_planes(
    labels: NDArray[Any], reach: int, spacing: Sequence[float] = (1.0, 1.0)
) -> NDArray[np.float32]:
    """Return the planes (4, H, W) of labels (H, W); `reach` is the depth that becomes +1."""
    # A window's planes equal the crop of the whole map's, except for the depth of objects that its
    # edge cuts, less than `reach` from it, and for planes 2 and 3 in its last column and row.
    inside = labels != 0
    planes = np.empty((2 + labels.ndim, *labels.shape), np.float32)
    planes[0] = inside
    within = inside.copy()  # no neighbour is of another object
    for same, axis in zip(planes[2:], _AXES, strict=False):
        before, after = _shifted(labels.ndim, axis)
        joined = inside.copy()  # with the next one along the axis
        joined[before] &= labels[before] == labels[after]
        within &= joined
        within[after] &= joined[before]
        same[...] = joined
    planes[1] = _depth(inside, within, reach, spacing)
    planes *= 2
    planes -= 1
    return planes


def _shifted(ndim: int, axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the indices of all pixels but the last along an axis, and of their next ones."""
    before, after = [slice(None)] * ndim, [slice(None)] * ndim
    before[axis], after[axis] = slice(None, -1), slice(1, None)
    return tuple(before), tuple(after)


def _depth(
    inside: NDArray[np.bool_], within: NDArray[np.bool_], reach: int, spacing: Sequence[float]
) -> NDArray[Any]:
    """Return the distance to the nearest other pixel: 0 in the background, 1 from `reach` on."""
    # scipy takes a while to import, and images don't need it.
    from scipy import ndimage

    if within.all():
        return np.ones(inside.shape, np.float32)
    # The way out of an object leads over its rim, which is one pixel away from what lies beyond.
    sampling = None if set(spacing) == {1.0} else spacing
    distance = ndimage.distance_transform_edt(within, sampling=sampling) + inside
    return np.minimum(distance / reach, 1)


def split_objects(
    planes: NDArray[Any], smallest: int = 1, spacing: Sequence[float] = (1.0, 1.0)
) -> NDArray[np.int32]:
    """Return the labels (H, W) that planes (4, H, W) describe, numbered by their first pixels."""
    inside = planes[0] > 0
    labels = np.zeros(inside.shape, np.int32)
    if inside.any():
        labels[inside] = _objects(planes, inside, spacing) + 1
        _remove_specks(labels, smallest, spacing)
    return labels


def _objects(
    planes: NDArray[Any], inside: NDArray[np.bool_], spacing: Sequence[float]
) -> NDArray[np.int32]:
    """Return the object of each pixel of the foreground, numbered from 0."""
    first, second, same = _neighbours(planes, inside)
    basins = _basins(planes[1], inside, first, second, spacing)
    kept = (same > 0) & (basins[first] == basins[second])
    fragments = connected(len(basins), first[kept], second[kept])
    border = fragments[first] != fragments[second]
    pairs, numbers = _pairs(fragments[first][border], fragments[second][border])
    lengths = np.bincount(numbers, minlength=len(pairs))
    sure = np.bincount(numbers, same[border], minlength=len(pairs))
    joined = pairs[sure > _SAME * lengths]
    return connected(int(fragments.max()) + 1, joined[:, 0], joined[:, 1])[fragments]


def _basins(
    depth: NDArray[Any],
    inside: NDArray[np.bool_],
    first: NDArray[np.int32],
    second: NDArray[np.int32],
    spacing: Sequence[float],
) -> NDArray[np.int64]:
    """Return the basin of each pixel of the foreground, cut along the valleys of depth."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    depth = depth.astype(np.float32)
    smooth = ndimage.gaussian_filter(depth, [_SMOOTH / step for step in spacing])
    basins = watershed(-smooth, mask=inside)[inside]
    heights = smooth[inside]
    summits = np.full(int(basins.max()) + 1, -np.inf, np.float32)
    np.maximum.at(summits, basins, heights)
    border = basins[first] != basins[second]
    first, second = first[border], second[border]
    pairs, numbers = _pairs(basins[first], basins[second])
    passes = np.full(len(pairs), -np.inf, np.float32)
    np.maximum.at(passes, numbers, np.minimum(heights[first], heights[second]))
    valleys = np.zeros(len(pairs), np.float32)
    np.maximum.at(valleys, numbers, _valleys(depth, inside)[first])
    return _join_shallow(summits, pairs, passes, valleys)[basins]


def _valleys(depth: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return how deep a valley parts two objects at each pixel of the foreground."""
    from scipy import ndimage

    # The median of the noise around each pixel, blind to slopes (Immerkaer, 1996); within planes.
    curved = ndimage.convolve1d(ndimage.convolve1d(depth, (1, -2, 1), axis=-2), (1, -2, 1), axis=-1)
    np.abs(curved, out=curved)
    valleys = np.full(inside.shape[-2:], _VALLEY, np.float32)
    half = _share_around(inside) / 2
    deeper = _VALLEY * _RATIO
    while deeper < _DEEPEST:
        noisy = _share_around(inside & (curved > deeper / _NOISE * 6 * 0.6745)) > half
        if not noisy.any():
            break
        valleys[noisy] = deeper
        deeper *= _RATIO
    return np.broadcast_to(valleys, inside.shape)[inside]


def _share_around(chosen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return which share of the pixels around each is chosen, in the mean over all planes."""
    from scipy import ndimage

    # No sum is rounded, so what lies farther away makes no difference.
    counts = chosen.reshape(-1, *chosen.shape[-2:]).sum(0, dtype=np.float64)
    return ndimage.uniform_filter(counts, _AROUND, mode="constant")


def _join_shallow(
    summits: NDArray[np.float32],
    pairs: NDArray[np.int64],
    passes: NDArray[np.float32],
    valleys: NDArray[np.float32],
) -> NDArray[np.int64]:
    """Join basins over shallow valleys, highest passes first; return a number for each."""
    basin = list(range(len(summits)))
    top = summits.tolist()

    def find(number: int) -> int:
        while basin[number] != number:
            basin[number] = basin[basin[number]]
            number = basin[number]
        return number

    order = np.argsort(-passes, kind="stable")
    ordered = pairs[order].tolist(), passes[order].tolist(), valleys[order].tolist()
    for (a, b), height, valley in zip(*ordered, strict=True):
        low, high = sorted((find(a), find(b)), key=top.__getitem__)
        if low != high and top[low] - height < valley:
            basin[low] = high
    return np.array([find(number) for number in basin])


def _neighbours(
    planes: NDArray[Any], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[Any]]:
    """Return all pairs of neighbours in the foreground, and what planes 2 and on say of each."""
    numbers = np.cumsum(inside, dtype=np.int32).reshape(inside.shape) - 1
    first, second, same = [], [], []
    for plane, axis in zip(planes[2:], _AXES, strict=False):
        before, after = _shifted(inside.ndim, axis)
        both = inside[before] & inside[after]
        first.append(numbers[before][both])
        second.append(numbers[after][both])
        same.append(plane[before][both])
    return np.concatenate(first), np.concatenate(second), np.clip(np.concatenate(same), -1, 1)


def _pairs(
    first: NDArray[Any], second: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct unordered pairs (n, 2), and which of them each given one is."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
    count = int(high.max(initial=0)) + 1
    keys, numbers = np.unique(low * count + high, return_inverse=True)
    return np.stack([keys // count, keys % count], axis=1), numbers


def connected(count: int, first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.int32]:
    """Return the connected component of each node of a graph, numbered from 0."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    edges = (np.ones(len(first), bool), (first, second))
    graph = sparse.coo_array(edges, shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _remove_specks(labels: NDArray[np.int32], smallest: int, spacing: Sequence[float]) -> None:
    """Remove objects of fewer pixels and close the gaps in the numbers, in place."""
    from skimage.segmentation import expand_labels

    kept = np.bincount(labels.ravel()) >= smallest
    kept[0] = False
    specks = (labels > 0) & ~kept[labels]
    labels[:] = np.where(kept, np.cumsum(kept), 0)[labels]
    if specks.any():
        step = 1 if set(spacing) == {1.0} else tuple(spacing)
        labels[specks] = expand_labels(labels, _REACH_OF_SPECKS, spacing=step)[specks]
        ranks = np.argsort(np.argsort(first_pixels(labels))) + 1
        labels[:] = np.concatenate([[0], ranks])[labels]


def first_pixels(labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the index of the first pixel of each object 1, 2, ... in the flattened labels."""
    flat = labels.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=0))  # of what is the same along a row
    first = np.zeros(int(flat.max(initial=0)) + 1, np.int64)
    first[flat[starts[::-1]]] = starts[::-1]  # the last one that is assigned counts
    return first[1:]
