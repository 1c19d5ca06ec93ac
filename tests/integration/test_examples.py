"""The scripts of examples/ do what they say, in little time."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

pytest.importorskip("qtpy.QtWidgets", reason="a viewer needs a Qt binding", exc_type=ImportError)

EXAMPLES = Path(__file__).parents[2] / "examples"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# A second may not be enough for a step where other tests run beside.
@pytest.mark.filterwarnings("ignore:The budget was used up before the first step:UserWarning")
def test_console(make_napari_viewer_proxy, capsys):
    viewer = make_napari_viewer_proxy()
    result = script("console").translate(viewer, seconds=1)
    source = viewer.layers["phase unseen"]
    assert result.name in viewer.layers
    assert result.data.shape == source.data.shape
    np.testing.assert_array_equal(result.extent.world, source.extent.world)
    assert "prediction" in capsys.readouterr().out


def test_docks(make_napari_viewer_proxy):
    viewer = make_napari_viewer_proxy()
    scores = script("docks").main(viewer, steps=2, width=4, patch=32, batch=2)
    assert set(scores) == {"prediction", "baseline", "images"}
    assert "fluorescence unseen [difference]" in [layer.name for layer in viewer.layers]
