import dask.array
import numpy as np
import pytest
from napari.layers import Image, Labels, Points, Shapes

from napari_pix2pix.data.pair import Pair, make_pairs, open_pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import (
    mask_of,
    pair_of,
    read_pair,
    read_pairs,
    snapshot,
    transforms_differ,
)
from napari_pix2pix.napari_layers.snapshots import transform_of

ALL = slice(None)


def image(*shape: int, name: str = "image", **keywords) -> Image:
    data = np.random.default_rng(0).integers(0, 200, shape or (20, 30)).astype("uint16")
    return Image(data, rgb=False, name=name, **keywords)


def rectangle(top: float, left: float, bottom: float, right: float) -> np.ndarray:
    return np.array([[top, left], [top, right], [bottom, right], [bottom, left]], float)


def test_layers_of_one_field_become_a_pair(layer):
    target = Labels(np.ones(snapshot(layer).field_shape, np.uint8), name="target")
    pair = pair_of([layer], [target], condition="DAPI")
    opened = open_pair(pair)
    assert (opened.name, opened.condition) == ("source -> target", "DAPI")
    assert opened.source.channels == (3 if snapshot(layer).rgb else 1)
    source, truth, valid = opened.read(opened.frames - 1, ALL, ALL)
    data = np.asarray(snapshot(layer).data)
    frames = data.reshape(opened.frames, opened.height, opened.width, -1)
    np.testing.assert_array_equal(source, np.moveaxis(frames[-1], -1, 0)[:3])
    assert truth.shape[1:] == source.shape[1:]
    assert valid is None


def test_several_layers_are_channels_and_named_together():
    pair = pair_of([image(name="a"), image(name="b")], [image(name="c")])
    assert open_pair(pair).source.channels == 2
    assert pair.name == "a + b -> c"


def test_layers_of_other_sizes_are_refused_by_name():
    with pytest.raises(InputError, match="'a' is 20 x 30 pixels, 'b' 20 x 31; both must show"):
        pair_of([image(name="a")], [image(20, 31, name="b")])
    with pytest.raises(InputError, match="'dots' is a Points layer"):
        pair_of([image()], [Points(np.zeros((1, 2)), name="dots")])


def test_frames_of_length_one_count_for_none():
    opened = open_pair(pair_of([image(1, 20, 30)], [image()]))
    assert opened.frames == 1


def test_pairs_of_arrays_stay_as_they_are():
    pair = Pair(np.zeros((4, 4)), np.zeros((4, 4)), name="plain")
    read = read_pair(pair)
    assert read.source is pair.source
    assert read.target is pair.target
    assert read.name == "plain"


def test_a_layer_may_be_paired_with_an_array():
    read = read_pair(Pair(image(), np.ones((20, 30))))
    assert open_pair(read).target.channels == 1
    with pytest.raises(InputError, match="give layers or arrays in it, not both"):
        read_pair(Pair((image(), np.ones((20, 30))), image()))


def test_lists_of_layers_are_pairs_named_by_them():
    sides = [image(name="a"), image(name="b")], [image(name="c"), image(name="d")]
    pairs = read_pairs(make_pairs(*sides, condition=["x", "y"]))
    assert [(pair.name, pair.condition) for pair in pairs] == [("a -> c", "x"), ("b -> d", "y")]


def test_a_channel_axis_is_used_where_it_fits():
    (pair,) = read_pairs(make_pairs(image(5, 20, 30), image(), channel_axis=0))
    opened = open_pair(pair)
    assert (opened.source.channels, opened.target.channels) == (5, 1)


def test_layers_at_different_places_are_paired_with_a_warning():
    here, there = image(name="a"), image(name="b", scale=(2, 2))
    with pytest.warns(UserWarning, match="'a' and 'b' lie at different places"):
        read_pairs(make_pairs(here, there))


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({}, False),
        ({"translate": (0, 1)}, True),
        ({"rotate": 5}, True),
        ({"affine": np.diag([2.0, 1.0, 1.0])}, True),
        ({"scale": (1000, 1000), "units": ("nm", "nm")}, False),
    ],
)
def test_misplaced_layers_are_said(keywords, said):
    one = image(scale=(1, 1), units=("um", "um"))
    other = image(**{"units": ("um", "um")} | keywords)
    assert bool(transforms_differ([one, other])) == said


def test_places_are_compared_on_the_axes_that_both_have():
    stack = image(4, 20, 30, scale=(7, 2, 2))
    assert transforms_differ([stack, image(scale=(2, 2))]) == ""
    channels = image(4, 20, 30, axis_labels=("c", "y", "x"), scale=(7, 2, 2))
    assert transforms_differ([stack, channels]) == ""
    assert transforms_differ([stack, image()]) != ""


def test_labels_mask_what_is_not_zero_and_lazy_ones_lazily():
    labels = np.zeros((20, 30), int)
    labels[3:5, 6:9] = 7
    mask = mask_of(Labels(labels), snapshot(image(4, 20, 30)))
    assert mask.dtype == bool
    np.testing.assert_array_equal(mask, labels == 7)
    lazy = dask.array.ones((20, 30), dtype=np.uint8, chunks=10)
    assert mask_of(Labels(lazy), snapshot(image())) is lazy


PLACES = {
    "plain": {},
    "scale": {"scale": (0.5, 0.25)},
    "translate": {"translate": (7, -3)},
    "rotate": {"rotate": 90, "translate": (4, 40)},
    "shear": {"shear": [0.5]},
    "affine": {"affine": np.array([[0.0, 2.0, 5.0], [1.0, 0.0, 6.0], [0.0, 0.0, 1.0]])},
    "both": {"scale": (3, 2), "rotate": 30, "translate": (5, 5)},
}


@pytest.mark.parametrize("shapes_place", PLACES)
@pytest.mark.parametrize("source_place", PLACES)
def test_shapes_land_where_they_are_shown(source_place, shapes_place):
    source = image(**PLACES[source_place])
    shapes = Shapes(ndim=2, **PLACES[shapes_place])
    corners = [source.data_to_world(corner) for corner in rectangle(4, 6, 10, 21)]
    shapes.add_polygons(np.array([shapes.world_to_data(corner) for corner in corners]))
    mask = mask_of(shapes, snapshot(source))
    assert mask.shape == (20, 30)
    inside = np.zeros((20, 30), bool)
    inside[5:10, 7:21] = True
    assert mask[inside].all()
    outside = np.ones((20, 30), bool)
    outside[3:12, 5:23] = False
    assert not mask[outside].any()


def test_an_ellipse_is_filled():
    shapes = Shapes(rectangle(4, 5, 15, 26), shape_type="ellipse")
    mask = mask_of(shapes, snapshot(image()))
    assert mask[9, 15]
    assert not mask[5, 6]


def test_shapes_in_a_stack_hold_for_their_frame():
    drawn = np.column_stack([np.full(4, 2.0), rectangle(4, 6, 10, 20)])
    source = image(3, 20, 30, scale=(5, 1, 1))
    mask = mask_of(Shapes([drawn], shape_type="polygon", scale=(5, 1, 1)), snapshot(source))
    assert mask.shape == (3, 20, 30)
    assert mask.any(axis=(1, 2)).tolist() == [False, False, True]


@pytest.mark.parametrize("shape", [(3, 20, 30), (2, 3, 20, 30)])
def test_shapes_in_a_plane_hold_for_all_frames(shape):
    shapes = Shapes(rectangle(4, 6, 10, 20), shape_type="polygon")
    source, target = image(*shape, name="a"), image(*shape, name="b")
    mask = mask_of(shapes, snapshot(source))
    assert mask.shape == (20, 30)
    opened = open_pair(pair_of([source], [target], mask=shapes))
    for frame in range(opened.frames):
        np.testing.assert_array_equal(opened.read(frame, ALL, ALL)[2][0], mask)


def test_masks_that_do_not_fit_are_refused_in_words():
    like = snapshot(image(name="source"))
    with pytest.raises(InputError, match="'mask' is 20 x 31 pixels, 'source' 20 x 30"):
        mask_of(Labels(np.ones((20, 31), int), name="mask"), like)
    with pytest.raises(InputError, match="'mask' covers no pixel of 'source'"):
        mask_of(Shapes(rectangle(100, 100, 120, 120), name="mask"), like)
    with pytest.raises(InputError, match="'mask' covers no pixel"):
        mask_of(Shapes(ndim=2, name="mask"), like)
    with pytest.raises(InputError, match="'image' is an Image layer; a mask is a Labels or a"):
        mask_of(image(), like)
    with pytest.raises(InputError, match="give both as layers or both as arrays"):
        read_pair(Pair(np.ones((4, 4)), np.ones((4, 4)), mask=Labels(np.ones((4, 4), int))))


def test_pair_reads_the_source_as_it_was():
    layer = image()
    before = layer.data.copy()
    pair = pair_of([layer], [image()])
    layer.data[:] = 0
    np.testing.assert_array_equal(open_pair(pair).read(0, ALL, ALL)[0][0], before)
    assert transform_of(layer).ndim == 2
