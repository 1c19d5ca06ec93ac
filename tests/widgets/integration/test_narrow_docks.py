"""Every dock fits beside a viewer on a small screen."""

import numpy as np
import pytest
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QToolButton, QWidget

from napari_pix2pix.widgets.common.elements import Section

pytestmark = pytest.mark.window

NARROWEST = 280  # pixels, at the size of the font that napari comes with
DOCKS = "Train", "Apply", "Evaluate", "Compare"


def open_everything(dock: QWidget) -> None:
    """Open all sections and all lines that are folded away."""
    for section in dock.findChildren(Section):
        section.expand(animate=False)
    for button in dock.findChildren(QToolButton):
        if button.isCheckable():
            button.setChecked(True)
    QTest.qWait(100)


@pytest.mark.parametrize("name", DOCKS)
def test_each_dock_can_be_narrow_with_all_its_sections_open(make_napari_viewer_proxy, name):
    viewer = make_napari_viewer_proxy(show=True)  # forms are made once they are seen
    viewer.add_image(np.zeros((64, 64), np.uint8), name="phase contrast of the left field")
    viewer.add_image(np.zeros((64, 64), np.uint8), name="DAPI of the left field")
    _, dock = viewer.window.add_plugin_dock_widget("napari-pix2pix", name)
    open_everything(dock)
    assert dock.minimumSizeHint().width() <= NARROWEST
