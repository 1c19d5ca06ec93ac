import dask.array as da
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pix2pix.data import infer_codec as module
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.infer_codec import all_values, infer_codec, large_parts
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.data.split import Area, whole_areas
from napari_pix2pix.errors import InputError

LABELS = np.zeros((1, 48, 48), np.uint16)
for _number, (_y, _x) in enumerate([(2, 2), (2, 26), (26, 2), (26, 26)], start=1):
    LABELS[0, _y : _y + 16, _x : _x + 16] = _number
VALID = [np.ones((1, 48, 48), bool)]


def fit(window, kind="auto", *, valid=VALID, layout=Layout(), **more):  # noqa: B008
    options = {"kind": kind, "method": "minmax", "layout": layout, "what": "target"}
    return infer_codec([window], valid, **options, **more)


def test_values_tell_their_kind():
    codec, words = fit(LABELS)
    assert codec.kind == "instances"
    assert words == "target uint16 -> 4 instances"
    noise = np.random.default_rng(0).integers(0, 255, (1, 48, 48)).astype(np.uint8)
    codec, words = fit(noise)
    assert (codec.kind, words) == ("image", "")


def test_a_kind_that_is_given_wins():
    codec, words = fit(LABELS, "classes")
    assert codec.planes == 5
    assert words == "target uint16 -> 5 classes"
    assert fit(LABELS, "image")[0].kind == "image"


def test_more_classes_may_be_stated_than_were_met():
    codec, words = fit(LABELS, classes=7)
    assert codec.kind == "classes"  # stating them says what they are
    assert (codec.values, words) == (tuple(range(7)), "target uint16 -> 7 classes")


def test_specks_are_of_instances():
    assert fit(LABELS, smallest=99)[0].smallest == 99
    with pytest.raises(InputError, match=r"smallest=99 is about objects, .* taken for classes"):
        fit(LABELS, "classes", smallest=99)


def test_floats_that_look_like_labels_are_an_image_with_a_word():
    labels = LABELS.astype(np.float32)
    labels[0, 0, 0] = np.nan
    codec, words = fit(labels, valid=[np.isfinite(labels)])
    assert codec.kind == "image"
    assert words.startswith("The target holds float32 values that look like labels")
    assert fit(LABELS.astype(np.float32), "image")[1] == ""  # said, so not doubted
    assert fit(LABELS + np.float32(0.5))[1] == ""
    assert fit(LABELS * np.float64(2.0**40))[1] == ""


def test_several_channels_of_labels_are_an_image_with_a_word():
    def words(window, layout=Layout(-3), kind="auto"):  # noqa: B008
        return fit(window, kind, layout=layout)[1]

    two = np.concatenate([LABELS, LABELS[:, ::-1]])
    assert words(two).startswith("Each of the 2 channels of the target looks like labels")
    noise = np.random.default_rng(0).integers(0, 255, LABELS.shape)
    assert words(np.concatenate([LABELS, noise])) == ""
    assert words(two, kind="image") == ""  # said, so not doubted
    assert words(np.concatenate([two, LABELS]), Layout(-1, rgb=True)) == ""
    assert words(two > 0) == ""


def test_what_can_be_no_labels_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="taken for instances; set target_kind if"):
        fit(np.random.default_rng(0).random((1, 48, 48)), "instances")


def test_labels_with_their_neighbours_are_labels():
    """Planes of a z-context have no channel axis; those of channels do."""
    stack = np.concatenate([LABELS, LABELS, LABELS])
    assert fit(stack)[0].kind == "instances"
    assert fit(stack, layout=Layout(channel_axis=-3))[0].kind == "image"


DTYPES = ["bool", "uint8", "int16", "uint16", "int32", "int64"]


def opened(target, **fields):
    return [open_pair(Pair(np.zeros(target.shape, np.uint8), target, **fields))]


@settings(deadline=None, max_examples=60)
@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)),
    strip=st.integers(1, 40),
    data=st.data(),
)
def test_every_value_inside_area_and_mask_is_found_however_it_is_read(dtype, shape, strip, data):
    largest = 1 if dtype == "bool" else np.iinfo(dtype).max
    elements = st.sampled_from([0, 1, largest])
    labels = data.draw(hnp.arrays(np.int64, shape, elements=elements)).astype(dtype)
    mask = data.draw(hnp.arrays(bool, shape))
    area = Area(0, Box(shape[1] // 2, shape[1], shape[2] // 3, shape[2]))
    inside = (slice(None), slice(area.box.top, None), slice(area.box.left, None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_STRIP", strip)
        every = all_values(opened(labels), [area], "target")
        masked = all_values(opened(labels, mask=mask), [area], "target")
    np.testing.assert_array_equal(every, np.unique(labels[inside]))
    np.testing.assert_array_equal(masked, np.unique(labels[inside][mask[inside]]))


def test_what_is_not_in_memory_is_not_read(tmp_path):
    labels = np.eye(8, dtype=np.uint8)
    mapped = np.memmap(tmp_path / "labels", np.uint8, "w+", shape=(8, 8))
    for target in (da.from_array(labels), mapped, np.asarray(mapped)[2:]):
        pairs = opened(target)
        assert all_values(pairs, whole_areas(pairs), "target") is None
    pairs = opened(labels, mask=da.from_array(labels))
    assert all_values(pairs, whole_areas(pairs), "target") is None
    pairs = opened(labels[1:])
    assert all_values(pairs, whole_areas(pairs), "target").tolist() == [0, 1]


def test_parts_are_large_few_and_inside_the_areas():
    labels = np.arange(40 * 3 * 5000).reshape(40, 3, 5000)
    pairs = opened(labels)
    parts = large_parts(pairs, [Area(0, Box(1, 3, 0, 5000))], "target")
    assert len(parts) == 14
    np.testing.assert_array_equal(parts[1], labels[3:4, 1:, 1476:3524])
    lazy = opened(da.from_array(labels))
    assert large_parts(lazy, whole_areas(lazy), "target") == []
