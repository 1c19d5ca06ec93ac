import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage import measure
from skimage.measure import label

from napari_pix2pix.data._instance_codec import InstanceCodec, instance_planes, split_objects
from napari_pix2pix.data.codecs import codec_from_dict
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores


def squares(dtype="uint16") -> np.ndarray:
    labels = np.zeros((1, 40, 40), dtype)
    for number, corner in enumerate(((2, 2), (2, 10), (20, 20), (20, 29)), start=1):
        labels[0, corner[0] : corner[0] + 8, corner[1] : corner[1] + 8] = 10 * number
    return labels


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint64"])
def test_objects_come_back_in_their_dtype(dtype):
    raw = squares(dtype)
    codec = InstanceCodec.fit([raw], layout=Layout())
    back = codec.decode(codec.encode(raw))
    assert back.dtype == raw.dtype
    np.testing.assert_array_equal(back, (raw + 9) // 10)


@settings(deadline=None, max_examples=40)
@given(
    dtype=st.sampled_from([f"{sign}int{bits}" for sign in ("u", "") for bits in (8, 16, 32, 64)]),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    side=st.integers(3, 9),
    seed=st.integers(0, 99),
)
def test_any_map_of_touching_objects_comes_back_in_its_dtype(dtype, shape, side, seed):
    order = np.random.default_rng(seed).permutation(np.prod(shape) + 1)[: np.prod(shape)]
    raw = np.kron(order.reshape(shape), np.ones((side, side), int))[np.newaxis].astype(dtype)
    codec = InstanceCodec(dtype, 1, Layout())
    back = codec.decode(codec.encode(raw))
    assert back.dtype == raw.dtype
    assert same_partition(back, raw)


@settings(deadline=None, max_examples=80)
@given(
    dtype=st.sampled_from(["uint8", "uint16", "int32", "uint32", "int64", "uint64"]),
    values=hnp.arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12)),
                      elements=st.integers(0, 3)),
    reach=st.integers(1, 12),
)  # fmt: skip
def test_any_map_of_connected_objects_comes_back(dtype, values, reach):
    """Objects of any shape, with holes, one pixel wide, wrapped round each other."""
    raw = measure.label(values, background=0, connectivity=1)[np.newaxis].astype(dtype)
    codec = InstanceCodec(dtype, 1, Layout(), reach=reach)
    back = codec.decode(codec.encode(raw))
    assert back.dtype == raw.dtype
    assert same_partition(back, raw)


def test_the_dtype_grows_with_the_number_of_objects():
    raw = np.zeros((1, 40, 40), np.uint16)
    raw[0, ::2, ::2] = np.arange(1, 401).reshape(20, 20)
    codec = InstanceCodec("uint8", 1, Layout())
    back = codec.decode(codec.encode(raw))
    assert back.dtype == np.uint16
    assert back.max() == 400
    few = InstanceCodec("bool", 1, Layout())
    assert few.decode(few.encode(raw[:, :4, :4])).dtype == np.uint8


def test_channels_and_frames_are_taken_apart_one_by_one():
    raw = np.concatenate([squares(), squares()[:, ::-1]])
    codec = InstanceCodec.fit([raw], layout=Layout())
    planes = codec.encode(raw)
    assert codec.planes == len(planes) == 8
    frames = codec.decode(np.stack([planes, planes]))
    assert frames.shape == (2, 2, 40, 40)
    np.testing.assert_array_equal(frames[1] > 0, raw > 0)
    assert frames.max() == 4


def test_smallest_is_a_quarter_of_a_small_object_that_no_edge_cuts():
    raw = squares()
    raw[0, 0, 39] = 99
    assert InstanceCodec.fit([raw], layout=Layout()).smallest == 16
    assert InstanceCodec.fit([raw], layout=Layout(), smallest=3).smallest == 3
    cut = np.array([[[1, 1, 0, 2]]])
    assert InstanceCodec.fit([cut], layout=Layout()).smallest == 1


def test_masked_objects_do_not_count():
    raw = squares()
    with pytest.raises(InputError, match="one value only"):
        InstanceCodec.fit([raw], [np.zeros(raw.shape, bool)], layout=Layout())


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (np.full((1, 2, 2), 3), "one value only"),
        (np.array([[[-1, 0]]]), "negative label -1"),
        (np.array([[[0.0, 1.0]]]), "float64 values"),
    ],
)
def test_unusable_labels_are_refused_in_words(raw, message):
    with pytest.raises(InputError, match=message):
        InstanceCodec.fit([raw], layout=Layout(), what="target")


def test_encoding_checks_labels():
    codec = InstanceCodec("uint16", 1, Layout())
    with pytest.raises(InputError, match="2 channels"):
        codec.encode(np.zeros((2, 3, 3), np.uint16))
    with pytest.raises(InputError, match="negative"):
        codec.encode(np.full((1, 3, 3), -2))


@pytest.mark.parametrize(
    "damage", [{"dtype": "float32"}, {"smallest": 0}, {"reach": 0.5}, {"channels": None}]
)
def test_damaged_parts_are_refused(damage):
    with pytest.raises(FileError, match="damaged"):
        codec_from_dict(InstanceCodec("uint8", 1, Layout()).to_dict() | damage)


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two maps differ in the objects' numbers alone, 0 being 0 in both."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    zeros = pairs[:, (pairs == 0).any(axis=0)]
    return len(set(pairs[0])) == pairs.shape[1] == len(set(pairs[1])) and not zeros.any()


def random_objects(rng: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """4-connected objects of random shapes: rectangles and lines, over one another, nested."""
    labels = np.zeros((height, width), int)
    for number in range(1, count + 1):
        top, left = rng.integers(height), rng.integers(width)
        rows, columns = rng.choice([1, 1, 2, 3, 9], 2)
        labels[top : top + rows, left : left + columns] = number * rng.integers(2, size=1)[0]
    return label(labels, background=0, connectivity=1)


@settings(deadline=None, max_examples=300)
@given(
    seed=st.integers(0, 2**31),
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    count=st.integers(0, 60),
    reach=st.integers(1, 6),
)
def test_the_planes_of_any_map_give_it_back(seed, height, width, count, reach):
    labels = random_objects(np.random.default_rng(seed), height, width, count)
    planes = instance_planes(labels, reach)
    assert planes.dtype == np.float32
    assert np.abs(planes).max() <= 1
    assert same_partition(split_objects(planes), labels)


@pytest.mark.parametrize("density", [0.3, 0.7, 1.0])
def test_single_pixels_and_their_neighbours_come_back(density):
    rng = np.random.default_rng(0)
    # Three labels at random on each pixel: thin, branched, ringed and touching objects.
    labels = label(rng.integers(1, 4, (40, 50)) * (rng.random((40, 50)) < density), connectivity=1)
    assert same_partition(split_objects(instance_planes(labels, 3)), labels)


def test_an_object_that_is_narrow_in_the_middle_stays_one():
    labels = np.zeros((30, 50), int)
    labels[5:25, 2:20] = labels[5:25, 30:48] = labels[15, 20:30] = 1
    assert split_objects(instance_planes(labels, 3)).max() == 1


def test_depth_counts_from_whatever_is_another_object_up_to_the_reach():
    labels = np.array([[0, 1, 1, 1, 1, 1, 1, 2, 2]])
    depth = (instance_planes(labels, 2)[1, 0] + 1) / 2 * 2
    # Beyond its edges a map goes on, so that object 2 is cut by none.
    assert depth.tolist() == [0, 1, 2, 2, 2, 2, 1, 1, 2]


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), reach=st.integers(1, 5))
def test_planes_of_a_window_differ_near_its_edge_alone(seed, reach):
    labels = random_objects(np.random.default_rng(seed), 40, 40, 40)
    whole = instance_planes(labels, reach)[:, 10:30, 10:30]
    window = instance_planes(labels[10:30, 10:30], reach)
    np.testing.assert_array_equal(whole[0], window[0])
    np.testing.assert_array_equal(whole[2, :, :-1], window[2, :, :-1])
    np.testing.assert_array_equal(whole[3, :-1], window[3, :-1])
    inner = np.s_[reach - 1 : 21 - reach, reach - 1 : 21 - reach]
    np.testing.assert_array_equal(whole[1][inner], window[1][inner])


def test_specks_vanish_or_join_what_they_touch():
    labels = np.zeros((20, 20), int)
    labels[2:10, 2:10] = 1
    labels[2:4, 10] = 2  # touches 1
    labels[15, 15] = 3  # alone
    cleaned = split_objects(instance_planes(labels, 3), smallest=3)
    np.testing.assert_array_equal(cleaned, (labels == 1) | (labels == 2))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 2)])
@pytest.mark.parametrize("value", [0, 1])
def test_constant_maps_come_back(shape, value):
    labels = np.full(shape, value)
    np.testing.assert_array_equal(split_objects(instance_planes(labels, 3)), labels)


def discs(side: int, spacing: int, radius: float) -> np.ndarray:
    """Discs on a grid; neighbours touch where the radius exceeds half the spacing."""
    rows, columns = np.mgrid[:side, :side]
    numbers = (rows // spacing) * (side // spacing + 1) + columns // spacing + 1
    y, x = rows % spacing - spacing // 2, columns % spacing - spacing // 2
    return np.where(y**2 + x**2 <= radius**2, numbers, 0)


def test_touching_discs_survive_blur_and_noise():
    labels = discs(160, 16, 8.5)[:, :128]
    rng = np.random.default_rng(0)
    planes = ndimage.gaussian_filter(instance_planes(labels, 3), (0, 1, 1))
    found = split_objects(planes + rng.normal(0, 0.2, planes.shape), smallest=5)
    assert abs(found.max() - 80) <= 2
    counts = label_counts(found, labels, kind="instances")
    assert pool_label_scores([counts])["f1"] > 0.95


@pytest.mark.parametrize("name", ["nuclei_fluorescence", "nuclei_histology"])
def test_real_nuclei_survive_blur_and_noise(real_data, name):
    rng = np.random.default_rng(0)
    true = found = 0
    for path in sorted((real_data / name / "train" / "target").iterdir())[::4]:
        labels = label(tifffile.imread(path), background=0, connectivity=1)
        planes = instance_planes(labels, 3)
        assert same_partition(split_objects(planes), labels)
        blurred = ndimage.gaussian_filter(planes, (0, 1, 1))
        true += labels.max()
        found += split_objects(blurred + rng.normal(0, 0.2, planes.shape), smallest=5).max()
    assert abs(found / true - 1) < 0.04


def test_all_of_many_objects_are_found():
    labels = discs(1024, 44, 20)
    assert same_partition(split_objects(instance_planes(labels, 3), 5), labels)
    assert labels.max() > 500
