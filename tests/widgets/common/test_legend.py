import numpy as np
import pytest
from napari.layers import Image, Labels

from napari_pix2pix.napari_layers._colormaps import difference_colormap
from napari_pix2pix.widgets.common.legend import DIFFERENCE, LABELS_DIFFER, Legend


@pytest.fixture
def legend(qtbot):
    made = Legend()
    qtbot.addWidget(made)
    return made


def test_values_follow_the_contrast_limits(legend):
    layer = Image(np.zeros((4, 4)), name="d", colormap=difference_colormap())
    layer.contrast_limits = (-2, 2)
    legend.show_map(layer, DIFFERENCE)
    assert legend.texts()[0] == "d"
    assert "-2\ntruth brighter" in legend.texts()
    assert "2\nprediction brighter" in legend.texts()
    layer.contrast_limits = (-1, 1)
    assert "1\nprediction brighter" in legend.texts()
    legend.forget_removed([layer])
    assert legend.texts()
    legend.forget_removed([])
    assert not legend.texts()
    layer.contrast_limits = (-3, 3)  # it no longer listens
    assert not legend.texts()


def test_labels_have_a_word_each(legend):
    legend.show_labels(Labels(np.zeros((4, 4), int)), LABELS_DIFFER)
    assert legend.texts() == [f"{label}: {text}" for label, text in LABELS_DIFFER.items()]
