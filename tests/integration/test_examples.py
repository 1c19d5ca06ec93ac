"""The scripts of examples/ do what they say, in little time."""

from pathlib import Path

import numpy as np
import pytest
from helpers import run_script

pytest.importorskip("qtpy.QtWidgets", reason="a viewer needs a Qt binding", exc_type=ImportError)

EXAMPLES = Path(__file__).parents[2] / "examples"


# A second may not be enough for a step where other tests run beside.
@pytest.mark.filterwarnings("ignore:The budget was used up before the first step:UserWarning")
def test_console(viewer, capsys):
    result = run_script(EXAMPLES / "console.py").translate(viewer, seconds=1)
    source = viewer.layers["phase unseen"]
    assert result.name in viewer.layers
    assert result.data.shape == source.data.shape
    np.testing.assert_array_equal(result.extent.world, source.extent.world)
    assert "prediction" in capsys.readouterr().out


def test_docks(viewer):
    scores = run_script(EXAMPLES / "docks.py").main(viewer, steps=2, width=4, patch=32, batch=2)
    assert set(scores) == {"prediction", "baseline", "images"}
    assert "fluorescence unseen [difference]" in [layer.name for layer in viewer.layers]
