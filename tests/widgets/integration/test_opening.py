"""Opening a dock is quick: nothing heavy is imported for it."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
from qtpy.QtWidgets import QWidget


@pytest.mark.parametrize("module", ["apply.dock", "evaluate.dock", "train.dock"])
def test_dock_is_there_without_the_heavy_libraries(module):
    code = (
        "import sys, napari\n"
        "before = set(sys.modules)\n"
        f"import napari_pix2pix.widgets.{module}\n"
        "print(*(set(sys.modules) - before))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.split())
    assert f"napari_pix2pix.widgets.{module}" in loaded
    assert not loaded & {"torch", "lightning_fabric", "pyqtgraph", "scipy.stats", "matplotlib"}


def test_open_train_dock_waits_for_a_thread_to_import_pytorch():
    code = (
        "import sys, napari\n"
        "viewer = napari.Viewer(show=False)\n"
        "from napari_pix2pix.widgets.train.dock import TrainDock\n"
        "dock = TrainDock(viewer)\n"
        "viewer.window.add_dock_widget(dock)\n"
        "print(*({'torch', 'pyqtgraph', 'lightning_fabric'} & set(sys.modules)), 'end')\n"
        "dock.close_work(); viewer.close()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["end"], done.stderr


@pytest.mark.parametrize("name", ["apply.dock.ApplyDock", "evaluate.dock.EvaluateDock"])
def test_dock_shows_no_window_of_its_own(make_napari_viewer_proxy, monkeypatch, name):
    shown = []

    def set_visible(widget, visible):
        shown.extend([widget] if visible and widget.isWindow() else [])
        original(widget, visible)

    original = QWidget.setVisible
    monkeypatch.setattr(QWidget, "setVisible", set_visible)
    module, _, kind = name.rpartition(".")
    dock = getattr(import_module(f"napari_pix2pix.widgets.{module}"), kind)
    made = dock(make_napari_viewer_proxy())
    assert shown == []
    made.close_down()
