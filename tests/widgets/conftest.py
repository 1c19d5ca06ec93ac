"""Docks in tests remember nothing of the user's and leave nothing behind."""

from __future__ import annotations

import pytest

pytest.importorskip("qtpy.QtWidgets", reason="the docks need a Qt binding", exc_type=ImportError)

from qtpy.QtCore import QSettings

from napari_pix2pix.widgets.apply_dock import ApplyDock
from napari_pix2pix.widgets.models import models


@pytest.fixture(autouse=True)
def own_memory(tmp_path):
    """Let each test remember in a folder of its own, and know no models."""
    models.cache_clear()
    remembered = tmp_path / "remembered"
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(remembered))
    return remembered


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    return make_napari_viewer_proxy()


@pytest.fixture
def dock(viewer, qtbot):
    """Open the Apply dock; modules about another dock have a fixture of their own."""
    dock = ApplyDock(viewer)
    qtbot.addWidget(dock, before_close_func=ApplyDock.close_down)
    return dock
