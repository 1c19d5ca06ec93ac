import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_pix2pix.data import object_parts
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import InstanceCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.object_parts import (
    Numbering,
    PackedNumbers,
    find_objects,
    fits_one_part,
    object_blocks,
    object_halos,
    parts_from_arrays,
    parts_to_arrays,
)


def crowded(seed: int, *size: int, radius: float = 6.0) -> np.ndarray:
    """Return labels of crowded round objects, many of which touch."""
    rng = np.random.default_rng(seed)
    count = max(2, int(np.prod(size) / (2.0 * radius) ** len(size)))
    ground = np.ones(size, bool)
    ground[tuple(rng.integers(0, n, count) for n in size)] = False
    distance, nearest = ndimage.distance_transform_edt(ground, return_indices=True)
    numbers = np.zeros(size, np.int32)
    numbers[~ground] = np.arange(1, (~ground).sum() + 1)
    return np.where(distance < radius, numbers[tuple(nearest)], 0)


def noise_like(planes: np.ndarray, seed: int) -> np.ndarray:
    """Return noise of standard deviation 1."""
    return np.random.default_rng(seed).standard_normal(planes.shape, np.float32)


def codec_of(labels: np.ndarray, **fields) -> InstanceCodec:
    """Fit a codec to labels (C, H, W) or (C, Z, H, W)."""
    return InstanceCodec.fit([labels], layout=Layout(), ndim=labels.ndim - 1, smallest=1, **fields)


def in_blocks(planes, codec: InstanceCodec, boxes: list[Box], tries: int = 3) -> np.ndarray:
    """Tell objects apart block by block, each by no more planes than it may see."""
    *_, height, width = planes.shape
    area, depth = Box.of_size(height, width), planes.shape[1] if planes.ndim == 4 else 1
    found = []
    for box in boxes:
        for halo in object_halos(codec, depth)[:tries]:
            seen = box.grown(halo, area)
            given = planes[..., seen.rows, seen.columns]
            fields = {"area": area, "size": area.size, "codec": codec, "halo": halo}
            objects = find_objects(given, seen, box, **fields)
            if not objects.cut:
                break
        found.append(objects)
    stored = [parts_from_arrays(parts_to_arrays(one.parts)) for one in found]
    numbering = Numbering([part for parts in stored for part in parts])
    result = np.empty((codec.channels, *planes.shape[1:]), np.int64)
    for box, one in zip(boxes, found, strict=True):
        numbers = PackedNumbers.of(one.numbers).unpacked()
        for channel, map_ in enumerate(numbers):
            renumbered = numbering.renumber(map_, channel, np.dtype(np.int64))
            result[channel, ..., box.rows, box.columns] = renumbered
    assert numbering.largest == result.max()
    return result


@settings(deadline=None, max_examples=15)
@given(
    seed=st.integers(0, 1000),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    side=st.integers(9, 70),
    part=st.integers(60, 100),
)
def test_objects_of_blocks_are_those_of_the_whole(seed, size, side, part):
    labels = crowded(seed, 2, *size)[:, : size[0]]
    if len(np.unique(labels)) < 2:
        return
    codec = codec_of(labels)
    planes = codec.encode(labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(object_parts, "_MOST_PIXELS", part**2)  # and blocks have several parts
        made = in_blocks(planes, codec, Box.of_size(*size).pieces(side))
    np.testing.assert_array_equal(made, codec.decode(planes))


@settings(deadline=None, max_examples=8)
@given(
    seed=st.integers(0, 1000),
    size=st.tuples(st.integers(2, 9), st.integers(1, 50), st.integers(1, 50)),
    side=st.integers(5, 40),
)
def test_objects_of_volumes_in_blocks_are_those_of_the_whole(seed, size, side):
    labels = crowded(seed, *size, radius=4.0)[np.newaxis]
    if len(np.unique(labels)) < 2:
        return
    codec = codec_of(labels, z_step=2.0)
    planes = codec.encode(labels)
    made = in_blocks(planes, codec, Box.of_size(*size[1:]).pieces(side))
    np.testing.assert_array_equal(made, codec.decode(planes))


@settings(deadline=None, max_examples=6)
@given(seed=st.integers(0, 1000), halo=st.integers(8, 20), side=st.integers(10, 40))
def test_objects_larger_than_the_halo_are_joined_where_blocks_overlap(seed, halo, side):
    labels = crowded(seed, 1, 120, 110, radius=40.0)
    codec = codec_of(labels)
    planes = codec.encode(labels)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(InstanceCodec, "halo", halo)
        made = in_blocks(planes, codec, Box.of_size(120, 110).pieces(side), tries=1)
    np.testing.assert_array_equal(made, codec.decode(planes))


def test_an_object_that_goes_on_beyond_what_is_seen_is_seen_with_a_wider_halo():
    labels = np.zeros((1, 90, 200), np.uint16)
    labels[0, 20:24, 10:190] = 1
    codec = InstanceCodec("uint16", 1, Layout(), largest=20)
    planes, area, box = codec.encode(labels), Box.of_size(90, 200), Box(0, 90, 40, 80)
    cut = []
    for halo in (*object_halos(codec, 1), 160):
        seen = box.grown(halo, area)
        given = planes[..., seen.rows, seen.columns]
        fields = {"area": area, "size": area.size, "codec": codec, "halo": halo}
        cut.append(find_objects(given, seen, box, **fields).cut)
    assert object_halos(codec, 1) == [54, 108, 216]
    assert cut == [True, True, False, False]
    beside = Box(40, 90, 40, 80)  # which the object is not in
    seen = beside.grown(38, area)
    given = planes[..., seen.rows, seen.columns]
    fields = {"area": area, "size": area.size, "codec": codec, "halo": 38}
    assert not find_objects(given, seen, beside, **fields).cut


@settings(deadline=None, max_examples=6)
@given(
    seed=st.integers(0, 1000),
    size=st.tuples(st.integers(150, 260), st.integers(150, 260)),
    side=st.integers(50, 130),
    noise=st.floats(0.1, 0.6),
)
def test_objects_of_a_noisy_network_are_those_of_the_whole(seed, size, side, noise):
    labels = crowded(seed, 1, *size, radius=7.0)
    codec = codec_of(labels)
    planes = ndimage.gaussian_filter(codec.encode(labels), (0, 1, 1))
    # More of it at the right: noise is measured where it is.
    grows = np.linspace(0.5, 1.5, size[1], dtype=np.float32)
    planes += np.float32(noise) * grows * noise_like(planes, seed)
    made = in_blocks(planes, codec, Box.of_size(*size).pieces(side))
    np.testing.assert_array_equal(made, codec.decode(planes))


@settings(deadline=None, max_examples=4)
@given(
    seed=st.integers(0, 1000),
    size=st.tuples(st.integers(3, 7), st.integers(60, 110), st.integers(60, 110)),
    side=st.integers(30, 60),
    noise=st.floats(0.1, 0.5),
)
def test_objects_of_noisy_volumes_are_those_of_the_whole(seed, size, side, noise):
    labels = crowded(seed, *size, radius=5.0)[np.newaxis]
    codec = codec_of(labels, z_step=2.0)
    planes = codec.encode(labels) + np.float32(noise) * noise_like(codec.encode(labels), seed)
    made = in_blocks(planes, codec, Box.of_size(*size[1:]).pieces(side))
    np.testing.assert_array_equal(made, codec.decode(planes))


def test_numbers_are_unique_and_dense_where_each_pixel_is_an_object():
    labels = np.arange(1, 4001).reshape(1, 40, 100)
    codec = codec_of(labels)
    made = in_blocks(codec.encode(labels), codec, Box.of_size(40, 100).pieces(30))
    np.testing.assert_array_equal(made, labels)
    assert object_parts.number_type((70_000, 70_000), 1) == np.uint64


def test_blocks_cover_an_area_once_and_their_planes_fit():
    codec = InstanceCodec("uint16", 4, Layout(), largest=60)
    area = Box(64, 20_064, 0, 20_001)
    blocks = object_blocks(area, codec, 1)
    assert sum(block.pixels for block in blocks) == area.pixels
    assert Box.around(blocks) == area
    halo = object_halos(codec, 1)[0]
    largest = max(block.grown(halo, area).pixels for block in blocks)
    assert 4 * 4 * largest <= 1 << 28
    assert object_halos(codec, 1) == [114, 228, 456]
    assert object_halos(codec, 64) == [93]  # a part of a volume is no more than memory holds
    assert fits_one_part(Box.of_size(2000, 2000), 1)
    assert not fits_one_part(Box.of_size(2000, 2000), 2)


def test_the_largest_object_is_measured_and_bounded_where_it_is_not():
    labels = np.zeros((1, 80, 90), np.uint32)
    labels[0, 3:70, 5:9] = 4_000_000_000
    labels[0, 20:30, 20:51] = 7
    assert codec_of(labels).largest == 67
    assert codec_of(labels[:, :40]).halo == 37 + 18 + 24  # cut by the edge
    assert InstanceCodec("uint8", 1, Layout(), reach=5).halo == 99
    volume = np.zeros((1, 30, 20, 20), np.uint16)
    volume[0, :, 4:9, 2:14] = 1
    assert codec_of(volume).largest == 12
