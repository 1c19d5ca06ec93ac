"""Instance maps to planes in [-1, 1] that a network can learn, and back."""
# Plane 0 is the foreground, plane 1 the depth within the object, clipped at a few pixels. Planes 2
# and 3 say whether a pixel and its right or lower neighbour are of one object. A network learns
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

PLANES = 4

_SMOOTH = 1.0  # sigma in pixels
# A valley of depth parts two objects where it is this deep, seen from the lower summit; where
# planes are noisy, it takes this many standard deviations. The best of a grid on images held out
# from short trainings (fluorescent and stained nuclei of BBBC038), and not sharply so.
_VALLEY = 0.2
_NOISE = 1.2
# Fragments are of one object where the planes are this sure of it, in the mean over their border.
_SAME = 0.8
_REACH_OF_SPECKS = 3.0  # pixels over which objects take in what is left of specks


@dataclass(frozen=True)
class InstanceCodec(LabelCodec):
    """Four planes for each map; exact for 4-connected objects of `smallest` pixels or more."""

    # Planes of tiles are stitched before they are decoded: only whole images show whole objects.

    kind: ClassVar[Kind] = "instances"

    dtype: str  # of the labels
    smallest: int  # objects of fewer pixels are specks, which `decode` leaves out
    layout: Layout
    channels: int = 1  # maps, such as the frames of a z-context
    reach: int = _LEAST_REACH  # the depth in pixels within an object that becomes +1

    def __post_init__(self) -> None:
        numbers = (self.smallest, self.channels, self.reach)
        if np.dtype(self.dtype).kind not in "biu" or min(numbers) < 1 or self.reach > _MOST_REACH:
            raise ValueError("its values make no sense")

    @property
    def planes(self) -> int:
        """Number of planes, four a map."""
        return PLANES * self.channels

    @classmethod
    def fit(
        cls,
        blocks: Iterable[NDArray[Any]],
        valid: Iterable[NDArray[np.bool_]] | None = None,
        *,
        layout: Layout,
        what: str = "labels",
        smallest: int | None = None,
    ) -> InstanceCodec:
        """Measure objects in blocks (C, h, w), inside the masks (1 or C, h, w)."""
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
        radius = math.sqrt(np.median(areas) / math.pi)
        reach = min(max(round(_REACH * radius), _LEAST_REACH), _MOST_REACH)
        dtype = arrays[0].dtype.newbyteorder("=").name
        return cls(dtype, smallest, layout, arrays[0].shape[0], reach)

    def encode(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Map labels (C, H, W) with a background of 0 to planes (4 * C, H, W) in [-1, 1]."""
        self.check_encodable(raw, self.channels)
        return np.concatenate([instance_planes(labels, self.reach) for labels in raw])

    def decode(self, planes: NDArray[Any], output: str = "target") -> NDArray[Any]:
        """Map planes (..., 4 * C, H, W) of whole images to labels (..., C, H, W) from 1 on."""
        self.check_output(output)
        *frames, _, height, width = planes.shape
        stacks = planes.reshape(-1, PLANES, height, width)
        labels = np.empty((len(stacks), height, width), np.int32)
        for number, stack in enumerate(stacks):
            labels[number] = split_objects(stack, self.smallest)
        return self.as_target(labels.reshape(*frames, self.channels, height, width))

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
        edge = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
        every.append(areas[values != 0])
        whole.append(areas[(values != 0) & ~np.isin(values, edge)])
    uncut = np.concatenate(whole)
    return uncut if len(uncut) else np.concatenate(every)


def instance_planes(labels: NDArray[Any], reach: int) -> NDArray[np.float32]:
    """Return the planes (4, H, W) of labels (H, W); `reach` is the depth that becomes +1."""
    # A window's planes equal the crop of the whole map's, except for the depth of objects that its
    # edge cuts, less than `reach` from it, and for planes 2 and 3 in its last column and row.
    inside = labels != 0
    right, below = inside.copy(), inside.copy()
    right[:, :-1] &= labels[:, :-1] == labels[:, 1:]
    below[:-1] &= labels[:-1] == labels[1:]
    planes = np.empty((PLANES, *labels.shape), np.float32)
    planes[0], planes[2], planes[3] = inside, right, below
    planes[1] = _depth(inside, right, below, reach)
    planes *= 2
    planes -= 1
    return planes


def _depth(
    inside: NDArray[np.bool_], right: NDArray[np.bool_], below: NDArray[np.bool_], reach: int
) -> NDArray[Any]:
    """Return the distance to the nearest other pixel: 0 in the background, 1 from `reach` on."""
    # scipy takes a while to import, and images don't need it.
    from scipy import ndimage

    within = right & below
    within[:, 1:] &= right[:, :-1]
    within[1:] &= below[:-1]
    if within.all():
        return np.ones(inside.shape, np.float32)
    # The way out of an object leads over its rim, which is one pixel away from what lies beyond.
    distance = ndimage.distance_transform_edt(within) + inside
    return np.minimum(distance / reach, 1)


def split_objects(planes: NDArray[Any], smallest: int = 1) -> NDArray[np.int32]:
    """Return the labels (H, W), numbered from 1, that planes (4, H, W) describe."""
    inside = planes[0] > 0
    labels = np.zeros(inside.shape, np.int32)
    if inside.any():
        labels[inside] = _objects(planes, inside) + 1
        _remove_specks(labels, smallest)
    return labels


def _objects(planes: NDArray[Any], inside: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return the object of each pixel of the foreground, numbered from 0."""
    first, second, same = _neighbours(planes, inside)
    basins = _basins(planes[1], inside, first, second)
    kept = (same > 0) & (basins[first] == basins[second])
    fragments = _components(len(basins), first[kept], second[kept])
    border = fragments[first] != fragments[second]
    pairs, numbers = _pairs(fragments[first][border], fragments[second][border])
    lengths = np.bincount(numbers, minlength=len(pairs))
    sure = np.bincount(numbers, same[border], minlength=len(pairs))
    joined = pairs[sure > _SAME * lengths]
    return _components(int(fragments.max()) + 1, joined[:, 0], joined[:, 1])[fragments]


def _basins(
    depth: NDArray[Any],
    inside: NDArray[np.bool_],
    first: NDArray[np.int32],
    second: NDArray[np.int32],
) -> NDArray[np.int64]:
    """Return the basin of each pixel of the foreground, cut along the valleys of depth."""
    from scipy import ndimage
    from skimage.segmentation import watershed

    depth = depth.astype(np.float32)
    smooth = ndimage.gaussian_filter(depth, _SMOOTH)
    basins = watershed(-smooth, mask=inside)[inside]
    heights = smooth[inside]
    summits = np.full(int(basins.max()) + 1, -np.inf, np.float32)
    np.maximum.at(summits, basins, heights)
    border = basins[first] != basins[second]
    first, second = first[border], second[border]
    pairs, numbers = _pairs(basins[first], basins[second])
    passes = np.full(len(pairs), -np.inf, np.float32)
    np.maximum.at(passes, numbers, np.minimum(heights[first], heights[second]))
    valley = max(_VALLEY, _NOISE * _noise(depth, inside))
    return _join_shallow(summits, pairs, passes, valley)[basins]


def _noise(depth: NDArray[Any], inside: NDArray[np.bool_]) -> float:
    """Return the standard deviation of noise, blind to slopes (Immerkaer, 1996)."""
    from scipy import ndimage

    curved = ndimage.convolve1d(ndimage.convolve1d(depth, (1, -2, 1), axis=0), (1, -2, 1), axis=1)
    return float(np.median(np.abs(curved[inside]))) / (6 * 0.6745)


def _join_shallow(
    summits: NDArray[np.float32],
    pairs: NDArray[np.int64],
    passes: NDArray[np.float32],
    valley: float,
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
    for (a, b), height in zip(pairs[order].tolist(), passes[order].tolist(), strict=True):
        low, high = sorted((find(a), find(b)), key=top.__getitem__)
        if low != high and top[low] - height < valley:
            basin[low] = high
    return np.array([find(number) for number in basin])


def _neighbours(
    planes: NDArray[Any], inside: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[Any]]:
    """Return all pairs of neighbours in the foreground, and the value of plane 2 or 3 for each."""
    numbers = np.cumsum(inside, dtype=np.int32).reshape(inside.shape) - 1
    beside, above = inside[:, :-1] & inside[:, 1:], inside[:-1] & inside[1:]
    first = np.concatenate([numbers[:, :-1][beside], numbers[:-1][above]])
    second = np.concatenate([numbers[:, 1:][beside], numbers[1:][above]])
    same = np.concatenate([planes[2][:, :-1][beside], planes[3][:-1][above]])
    return first, second, np.clip(same, -1, 1)


def _pairs(
    first: NDArray[Any], second: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct unordered pairs (n, 2), and which of them each given one is."""
    low, high = np.minimum(first, second).astype(np.int64), np.maximum(first, second)
    count = int(high.max(initial=0)) + 1
    keys, numbers = np.unique(low * count + high, return_inverse=True)
    return np.stack([keys // count, keys % count], axis=1), numbers


def _components(count: int, first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.int32]:
    """Return the connected component of each node of a graph, numbered from 0."""
    from scipy import sparse
    from scipy.sparse.csgraph import connected_components

    edges = (np.ones(len(first), bool), (first, second))
    graph = sparse.coo_array(edges, shape=(count, count))
    return connected_components(graph, directed=False)[1]


def _remove_specks(labels: NDArray[np.int32], smallest: int) -> None:
    """Remove objects of fewer pixels and close the gaps in the numbers, in place."""
    from skimage.segmentation import expand_labels

    kept = np.bincount(labels.ravel()) >= smallest
    kept[0] = False
    specks = (labels > 0) & ~kept[labels]
    labels[:] = np.where(kept, np.cumsum(kept), 0)[labels]
    if specks.any():
        labels[specks] = expand_labels(labels, _REACH_OF_SPECKS)[specks]
