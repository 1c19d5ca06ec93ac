import numpy as np
import pytest
from helpers import assert_same_place
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.napari_layers import (
    is_result_of,
    lazy_image_of_layers,
    output_layer,
    result_key,
    result_name,
    result_record,
    snapshot,
    visible_region,
    with_model_channels,
)
from napari_pix2pix.napari_layers.snapshots import transform_of

GRAY, RGB = Layout(), Layout(channel_axis=-1, rgb=True)


def translated(layer, layout: Layout = GRAY, channels: int = 1, dtype: str = "uint8", **how):
    """Put together an output as a translator does."""
    like = snapshot(layer)
    planes = lazy_image_of_layers([like])
    size = planes.frames * channels * planes.height * planes.width
    array = np.arange(size).astype(dtype).reshape(-1, channels, planes.height, planes.width)
    array = layout.assemble(array, planes.frame_shape)
    return output_layer(array, like, layout=layout, **{"kind": "image", "name": "out"} | how)


@pytest.mark.parametrize(
    ("kind", "how"),
    [
        (Image, {}),
        (Labels, {"kind": "instances", "dtype": "uint16"}),
        (Image, {"layout": RGB, "channels": 3}),
    ],
    ids=["image", "labels", "colours"],
)
def test_output_lies_where_its_source_lies(layer, kind, how):
    output = translated(layer, **how)
    assert isinstance(output, kind)
    assert getattr(output, "rgb", False) == ("layout" in how)
    assert_same_place(output, layer)


def test_channels_come_in_front_on_an_axis_of_their_own(layer):
    for channel_axis in (-3, -1):
        output = translated(layer, Layout(channel_axis=channel_axis), channels=4)
        assert output.data.shape == (4, *snapshot(layer).field_shape)
        assert output.axis_labels == ("channel", *layer.axis_labels)
        assert transform_of(output).without(0) == transform_of(translated(layer))
        assert snapshot(output).channel_axis == -output.ndim
        assert lazy_image_of_layers([snapshot(output)]).channels == 4


def test_channels_of_the_source_are_left_out():
    layer = Image(
        np.zeros((2, 5, 6, 7)),
        scale=(9, 8, 2, 3),
        translate=(9, 8, 2, 3),
        units=("s", "pixel", "um", "um"),
        axis_labels=("t", "kind", "y", "x"),
    )
    (like,) = with_model_channels([snapshot(layer)], Layout(channel_axis=-3))
    output = output_layer(np.zeros((2, 6, 7)), like, layout=GRAY, kind="image", name="out")
    assert output.axis_labels == ("t", "y", "x")
    np.testing.assert_array_equal(output.scale, (9, 2, 3))
    np.testing.assert_array_equal(output.translate, (9, 2, 3))
    assert [str(unit) for unit in output.units] == ["second", "micrometer", "micrometer"]


def test_name_and_metadata_are_given():
    layer = Image(np.zeros((6, 7)))
    output = translated(layer, name="source [model]", metadata={"model": "1234"})
    assert (output.name, output.metadata) == ("source [model]", {"model": "1234"})


def test_contrast_is_that_of_the_values():
    layer = Image(np.zeros((6, 7)), contrast_limits=(0, 3), colormap="magma")
    output = translated(layer)
    assert (tuple(output.contrast_limits), output.colormap.name) == ((0, 41), "gray")


@pytest.mark.parametrize(
    ("values", "limits"),
    [((np.nan, 2.0, 3.0, np.inf), (2, 3)), ((np.nan,) * 4, (0, 1)), ((5.0,) * 4, (5, 6))],
)
def test_contrast_is_found_in_odd_values(values, limits):
    like = snapshot(Image(np.zeros((2, 2))))
    array = np.reshape(values, (2, 2)).astype(np.float32)
    output = output_layer(array, like, layout=GRAY, kind="image", name="out")
    assert tuple(output.contrast_limits) == limits


def test_the_look_of_the_target_can_be_given():
    target = Image(np.zeros((6, 7)), colormap="cyan", contrast_limits=(1, 30), gamma=2.0)
    output = translated(Image(np.zeros((6, 7))), look=snapshot(target).look)
    assert output.colormap.name == "cyan"
    assert (tuple(output.contrast_limits), output.gamma) == ((1, 30), 2.0)


def test_booleans_become_labels():
    output = translated(Image(np.zeros((6, 7))), kind="classes", dtype="bool")
    assert output.data.dtype == np.uint8


@pytest.fixture
def viewer():
    """A viewer without a window, of 400 x 600 canvas pixels."""
    viewer = ViewerModel()
    viewer.canvas.size = (400, 600)
    return viewer


def look_at(viewer, y: float, x: float, zoom: float) -> None:
    viewer.scene.camera.center = (0, y, x)
    viewer.scene.camera.zoom = zoom


def test_visible_region_is_what_the_camera_shows(viewer):
    layer = viewer.add_image(np.zeros((3, 400, 600)), scale=(1, 2, 2), translate=(0, 50, 50))
    look_at(viewer, 450, 650, 4)  # 100 x 150 world units around row and column (200, 300)
    assert visible_region(viewer, layer) == (slice(175, 226), slice(262, 339))
    look_at(viewer, 50, 50, 4)
    assert visible_region(viewer, layer) == (slice(0, 26), slice(0, 39))
    look_at(viewer, -900, 50, 4)
    rows, columns = visible_region(viewer, layer)
    assert rows == slice(0, 0)
    assert columns == slice(0, 39)


def test_visible_region_of_a_turned_layer_bounds_what_is_shown(viewer):
    layer = viewer.add_image(np.zeros((400, 600)), rotate=90)
    look_at(viewer, *layer.data_to_world((200, 300)), 4)  # 150 data rows, 100 data columns
    assert visible_region(viewer, layer) == (slice(125, 276), slice(250, 351))


def test_visible_region_of_a_multiscale_layer_counts_pixels_of_the_finest(viewer):
    layer = viewer.add_image([np.zeros((512, 512)), np.zeros((128, 128))], multiscale=True)
    look_at(viewer, 256, 256, 4)
    assert visible_region(viewer, layer) == (slice(206, 307), slice(181, 332))


def test_visible_region_is_all_where_no_plane_is_shown(viewer):
    layer = viewer.add_image(np.zeros((30, 400, 600)))
    look_at(viewer, 200, 300, 4)
    viewer.dims.ndisplay = 3
    assert visible_region(viewer, layer) == (slice(0, 400), slice(0, 600))
    viewer.dims.ndisplay = 2
    viewer.dims.order = (1, 0, 2)
    assert visible_region(viewer, layer) == (slice(0, 400), slice(0, 600))


def test_visible_region_in_a_real_viewer(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    layer = viewer.add_image(np.zeros((400, 600)))
    viewer.reset_view()
    assert visible_region(viewer, layer) == (slice(0, 400), slice(0, 600))
    look_at(viewer, 200, 300, viewer.scene.camera.zoom * 4)
    rows, columns = visible_region(viewer, layer)
    assert 0 < rows.start < 200 < rows.stop < 400
    assert 0 < columns.start < 300 < columns.stop < 600


def record_of(*layers: Image, **given):
    known = {"model": "m", "digest": "abc", "weights": "last", "condition": None}
    known |= {"trained_on": "", "scores": {}}
    return result_record([snapshot(one) for one in layers], **{**known, **given})


def test_a_result_is_known_by_source_condition_and_answer():
    stain = Image(np.zeros((4, 5)), name="stain")
    other = Image(np.zeros((4, 5)), name="stain")
    record = record_of(stain, condition="a", samples=3, shown="mean")
    assert is_result_of(record, str(stain.unique_id), "a")
    assert not is_result_of(record, str(stain.unique_id), "b")
    assert not is_result_of(record, str(other.unique_id), "a")
    assert not is_result_of(None, str(stain.unique_id), "a")
    assert result_key(record) == ("abc", "mean")


def test_names_say_what_differs():
    one, two = (Image(np.zeros((4, 5)), name=name) for name in "xy")
    assert result_name(record_of(one)) == "x [m]"
    assert result_name(record_of(one, two, condition="a")) == "x + y [m, a]"
    assert result_name(record_of(one, samples=3, shown="sample 2")) == "x [m, sample 2 of 3]"
