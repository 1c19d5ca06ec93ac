import dask.array
import numpy as np
import pytest
import zarr
from helpers import run_python
from napari.layers import Image, Labels, Points

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import InputError
from napari_pix2pix.io.image_file import unit_symbol
from napari_pix2pix.napari_layers import (
    Snapshot,
    copied_pair,
    lazy_image_of_layers,
    pair_of,
    snapshot,
    snapshots,
    with_model_channels,
)
from napari_pix2pix.napari_layers.snapshots import is_layer, transform_of

ALL = slice(None)


def image(*shape: int, **keywords) -> Image:
    data = np.arange(np.prod(shape)).reshape(shape).astype("uint16")
    return Image(data, **{"rgb": False, "name": "image"} | keywords)


def read(snapshots: list[Snapshot], frame: int = 0) -> np.ndarray:
    return lazy_image_of_layers(snapshots).read(frame, ALL, ALL)


def test_layers_are_known_without_importing_napari():
    imports = "import sys; from napari_pix2pix.napari_layers.snapshots import is_layer"
    code = f"{imports}; print(is_layer(3), *sys.modules)"
    known, *modules = run_python(code)
    assert known == "False"
    assert not {"napari", "qtpy", "torch"} & set(modules)


def test_layers_are_told_from_arrays(layer):
    assert is_layer(layer)
    assert not is_layer(np.zeros((4, 4)))
    assert not is_layer(layer.data)


def test_snapshot_says_what_the_layer_says(layer):
    taken = snapshot(layer)
    data = layer.data[0] if layer.multiscale else layer.data
    assert taken.name == "source"
    assert taken.transform == transform_of(layer)
    assert taken.rgb == getattr(layer, "rgb", False)
    assert taken.labels == isinstance(layer, Labels)
    assert taken.field_shape == tuple(data.shape[: layer.ndim])
    np.testing.assert_array_equal(np.asarray(taken.data), np.asarray(data))


def test_an_image_knows_the_size_of_its_pixels():
    place = {"scale": (9, 0.5, 0.5), "units": ("pixel", "um", "um")}
    layer = image(3, 4, 5, axis_labels=("channel", "y", "x"), **place)
    planes = lazy_image_of_layers([snapshot(layer)])
    assert planes.channels == 3
    assert (planes.pixel_size.x, unit_symbol(planes.pixel_size.unit)) == (0.5, "µm")
    assert lazy_image_of_layers([snapshot(image(4, 5))]).pixel_size is None


def test_snapshot_stays_when_the_layer_changes():
    layer = image(4, 5)
    taken, shared = snapshot(layer), snapshot(layer, copy=False)
    layer.data[0, 0] = 99
    assert (taken.data[0, 0], shared.data[0, 0]) == (0, 99)
    for one in (taken, shared):
        with pytest.raises(ValueError, match="read-only"):
            one.data[0, 0] = 1
    layer.data[0, 0] = 98  # the layer itself stays writable


@pytest.mark.parametrize("make", [lambda a: dask.array.from_array(a, chunks=4), zarr.array])
def test_lazy_arrays_are_kept_lazy(make):
    lazy = make(np.ones((8, 8), np.uint8))
    layer = Image(lazy, rgb=False, contrast_limits=(0, 1))
    assert snapshot(layer).data is layer.data is lazy


def test_a_memory_map_is_not_copied(tmp_path):
    mapped = np.memmap(tmp_path / "a.bin", np.uint8, "w+", shape=(8, 8))
    assert np.shares_memory(snapshot(Image(mapped)).data, mapped)


def test_multiscale_is_read_at_its_finest_level():
    fine = np.random.default_rng(0).integers(0, 9, (16, 16))
    layer = Image([fine, fine[::2, ::2]], multiscale=True)
    np.testing.assert_array_equal(read([snapshot(layer)])[0], fine)


def test_the_look_of_one_colour_is_kept():
    layer = image(4, 5, colormap="magma", contrast_limits=(2, 7), gamma=0.5)
    look = snapshot(layer).look
    assert (look["colormap"].name, look["gamma"]) == ("magma", 0.5)
    assert tuple(look["contrast_limits"]) == (2, 7)
    assert snapshot(Image(np.zeros((9, 9, 3)), rgb=True)).look == {}
    assert snapshot(Labels(np.zeros((9, 9), int))).look == {}


def test_other_layers_are_refused_in_words():
    with pytest.raises(InputError, match="'dots' is a Points layer; give an Image or a Labels"):
        snapshot(Points(np.zeros((3, 2)), name="dots"))


def test_rgb_is_said_by_the_layer_and_not_guessed():
    data = np.zeros((24, 32, 3), np.uint8)
    coloured, volume = (lazy_image_of_layers([snapshot(Image(data, rgb=x))]) for x in (True, False))
    assert (coloured.channels, coloured.frames, coloured.height, coloured.width) == (3, 1, 24, 32)
    assert (volume.channels, volume.frames, volume.height, volume.width) == (1, 24, 32, 3)


@pytest.mark.parametrize("label", ["c", "C", "channel", "Channels"])
def test_channels_are_known_by_their_label(label):
    taken = snapshot(image(2, 5, 6, 7, axis_labels=("t", label, "y", "x")))
    planes = lazy_image_of_layers([taken])
    assert (planes.frames, planes.channels, planes.layout) == (2, 5, Layout(channel_axis=-3))
    assert taken.field_transform.axis_labels == ("t", "y", "x")
    assert taken.field_shape == (2, 6, 7)


def test_several_layers_are_channels_in_their_order():
    one = snapshot(image(2, 6, 7))
    colours = np.arange(2 * 6 * 7 * 4, dtype=np.uint8).reshape(2, 6, 7, 4)
    rgb = snapshot(Image(colours, rgb=True))
    many = snapshot(image(2, 5, 6, 7, axis_labels=("t", "c", "y", "x")))
    together = [one, rgb, many]
    assert lazy_image_of_layers(together).channels == 1 + 3 + 5
    expected = [one.data[1][None], np.moveaxis(colours[1], -1, 0)[:3], many.data[1]]
    np.testing.assert_array_equal(read(together, 1), np.concatenate(expected))


def test_channels_of_a_lazy_layer_are_split_lazily():
    reads = []

    class Counted:
        shape, dtype, ndim = (6, 7, 3), np.dtype("uint8"), 3

        def __getitem__(self, index):
            reads.append(index)
            return np.zeros(self.shape, self.dtype)[index]

    colours = Snapshot(Counted(), "colours", transform_of(image(6, 7)), rgb=True)
    planes = lazy_image_of_layers([snapshot(image(6, 7)), colours])
    assert not reads
    assert planes.read(0, slice(2, 4), slice(0, 3)).shape == (4, 2, 3)
    assert {str(index[:2]) for index in reads} == {"(slice(2, 4, None), slice(0, 3, None))"}


def test_channels_of_other_sizes_are_refused_with_both_names():
    layers = [image(6, 7, name="a"), image(6, 8, name="b")]
    with pytest.raises(InputError, match="'a' is 6 x 7 pixels, 'b' 6 x 8; channels of one image"):
        lazy_image_of_layers([snapshot(layer) for layer in layers])
    with pytest.raises(InputError, match="no layer for the target"):
        lazy_image_of_layers([], "target")


@pytest.mark.parametrize(
    ("shape", "layout", "channels"),
    [
        ((5, 6, 7), Layout(channel_axis=-3), 5),
        ((2, 5, 6, 7), Layout(channel_axis=-3), 5),
        ((6, 7, 5), Layout(channel_axis=-1), 5),
        ((5, 6, 7), Layout(channel_axis=-4), 5),
        ((5, 6, 7), Layout(), 1),
        ((5, 6, 7), Layout(channel_axis=-1, rgb=True), 1),
        ((6, 7), Layout(channel_axis=-3), 1),
    ],
)
def test_a_layer_is_taken_for_what_a_model_was_trained_on(shape, layout, channels):
    given = with_model_channels([snapshot(image(*shape))], layout)
    assert lazy_image_of_layers(given).channels == channels


def test_what_layers_say_goes_before_what_a_model_was_trained_on():
    labelled = snapshot(image(3, 5, 6, 7, axis_labels=("c", "z", "y", "x")))
    rgb = snapshot(Image(np.zeros((6, 7, 3)), rgb=True))
    two = [snapshot(image(5, 6, 7)), snapshot(image(5, 6, 7))]
    for given in ([labelled], [rgb], two):
        assert with_model_channels(given, Layout(channel_axis=-3)) == given


def test_a_large_layer_is_shared_until_it_is_copied(monkeypatch):
    layer = image(6, 7)
    assert not np.shares_memory(snapshot(layer, copy="small").data, layer.data)
    monkeypatch.setattr(snapshots, "_SMALL", 0)
    shared = snapshot(layer, copy="small")
    assert np.shares_memory(shared.data, layer.data)
    own = shared.copied()
    assert not np.shares_memory(own.data, layer.data)
    assert own.copied().data is own.data  # no second copy of what is owned
    with pytest.raises(ValueError, match="read-only"):
        own.data[0, 0] = 1
    np.testing.assert_array_equal(own.data, layer.data)


def test_a_pair_is_copied_with_its_mask():
    layers = [image(3, 6, 7, axis_labels=("c", "y", "x")), image(6, 7)]
    mask = Labels(np.ones((6, 7), int))
    pair = pair_of(layers[:1], layers[1:], mask=mask, copy=False)
    own = copied_pair(pair)
    sides = [(pair.source, own.source), (pair.target, own.target)]
    expected = [before.read(0, ALL, ALL).copy() for before, _ in sides]
    for layer in layers:
        layer.data[:] = 0
    for (before, after), values in zip(sides, expected, strict=True):
        assert after.layout == before.layout
        np.testing.assert_array_equal(after.read(0, ALL, ALL), values)
    assert own.mask.all()


def test_matrix_is_the_layers(layer):
    place = transform_of(layer)
    assert place.ndim == layer.ndim
    for point in np.vstack([np.zeros(layer.ndim), np.eye(layer.ndim), np.full(layer.ndim, 3.5)]):
        world = place.matrix @ [*point, 1]
        np.testing.assert_allclose(world[:-1], layer.data_to_world(point), atol=1e-9)


def test_a_layer_given_the_keywords_lies_there(layer):
    place = transform_of(layer)
    other = Image(np.zeros((4,) * place.ndim), rgb=False, **place.keywords())
    assert transform_of(other).units == place.units
    np.testing.assert_allclose(transform_of(other).matrix, place.matrix, atol=1e-12)


def test_an_axis_left_out_and_one_added_leave_the_others(layer):
    place = transform_of(layer)
    grown = place.with_axis_in_front("channel")
    assert grown.axis_labels == ("channel", *place.axis_labels)
    assert grown.without(0) == place
    assert grown.without(-grown.ndim) == place == grown.last(place.ndim)


def test_an_axis_in_the_middle_is_left_out():
    layer = Image(
        np.zeros((2, 3, 4, 5)),
        scale=(2, 3, 4, 5),
        translate=(6, 7, 8, 9),
        units=("s", "pixel", "um", "um"),
        axis_labels=("t", "c", "y", "x"),
    )
    place = transform_of(layer).without(-3)
    assert (place.scale, place.translate) == ((2, 4, 5), (6, 8, 9))
    assert place.axis_labels == ("t", "y", "x")
    assert place.units == ("second", "micrometer", "micrometer")
    np.testing.assert_array_equal(place.matrix @ [1, 1, 1, 1], [8, 12, 14, 1])


def test_a_part_of_a_layer_begins_some_pixels_into_it():
    whole = Image(np.zeros((6, 8)), scale=(2, 3), translate=(5, -7), rotate=30, shear=[0.2])
    place = transform_of(whole).moved((1, 4))
    part = Image(np.zeros((5, 4)), **place.keywords())
    for corner in ((0, 0), (3, 2)):
        expected = whole.data_to_world((corner[0] + 1, corner[1] + 4))
        np.testing.assert_allclose(part.data_to_world(corner), expected)
