"""Results of the Apply dock lie where their sources do, whatever the source is."""

from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from helpers import apply_without_error, assert_same_place, make_model
from napari.layers import Labels

LAYERS = run_path(str(Path(__file__).parents[2] / "napari_layers" / "conftest.py"))
CASES, values = LAYERS["CASES"], LAYERS["values"]
COLOURS = {"rgb", "rgba stack"}


@pytest.fixture(scope="module")
def translators():
    """Gray to gray, gray to labels, RGB to RGB, gray to two channels."""
    gray = values(64, 64)
    colours = values(64, 64, 3, dtype="uint8")
    return {
        "gray": make_model(gray, 200 - gray),
        "labels": make_model(gray, (gray > 100).astype(np.uint8), target_kind="classes"),
        "colours": make_model(colours, 255 - colours),
        "channels": make_model(gray, np.stack([gray, 200 - gray]), channel_axis=(None, 0)),
    }


def applied(viewer, dock, qtbot, source, translator):
    """Apply a model to a layer in the dock, and return the result's layer."""
    viewer.add_layer(source)
    dock.set_model(translator)
    dock.set_layers([source])
    apply_without_error(dock, qtbot)
    (result,) = dock.results
    return result


@pytest.mark.filterwarnings("ignore:The model was trained on uint16 images")
@pytest.mark.filterwarnings("ignore:The alpha channel of the image is left out")
@pytest.mark.parametrize("case", CASES)
def test_result_lies_where_its_source_does(viewer, dock, qtbot, translators, case):
    source = CASES[case]()
    translator = translators["colours" if case in COLOURS else "gray"]
    result = applied(viewer, dock, qtbot, source, translator)
    assert_same_place(result, source)
    np.testing.assert_array_equal(result.data, translator(source).data)
    assert list(viewer.layers) == [source, result]


@pytest.mark.parametrize("case", ["all at once", "multiscale", "dask", "t and z, rotated"])
def test_labels_lie_where_their_source_does(viewer, dock, qtbot, translators, case):
    source = CASES[case]()
    result = applied(viewer, dock, qtbot, source, translators["labels"])
    assert isinstance(result, Labels)
    assert_same_place(result, source)


@pytest.mark.parametrize("case", ["all at once", "t and z"])
def test_channels_come_on_an_axis_in_front(viewer, dock, qtbot, translators, case):
    source = CASES[case]()
    result = applied(viewer, dock, qtbot, source, translators["channels"])
    assert result.axis_labels == ("channel", *source.axis_labels)
    assert result.data.shape == (2, *source.data.shape)
    np.testing.assert_allclose(result.scale[1:], source.scale)
    np.testing.assert_allclose(result.extent.world[:, 1:], source.extent.world, atol=1e-9)
