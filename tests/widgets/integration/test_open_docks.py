"""Opening a dock is quick: nothing heavy is imported for it."""

import ast
from importlib import import_module
from pathlib import Path

import pytest
from helpers import run_python
from qtpy.QtWidgets import QWidget

import napari_pix2pix.widgets


@pytest.mark.parametrize("module", ["apply.dock", "compare.dock", "evaluate.dock", "train.dock"])
def test_dock_is_there_without_the_heavy_libraries(module):
    code = (
        "import sys, napari\n"
        "before = set(sys.modules)\n"
        f"import napari_pix2pix.widgets.{module}\n"
        "print(*(set(sys.modules) - before))\n"
    )
    loaded = set(run_python(code))
    assert f"napari_pix2pix.widgets.{module}" in loaded
    heavy = {"torch", "lightning_fabric", "pyqtgraph", "scipy.stats", "skimage", "matplotlib"}
    assert not loaded & heavy


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
    assert run_python(code) == ["end"]


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


# --- connections ---------------------------------------------------------------------------------

# A lambda that holds a widget is kept by PySide6 for ever, and with it the dock and its viewer.
SOURCES = sorted(Path(napari_pix2pix.widgets.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_no_signal_is_connected_to_a_lambda(source):
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "connect":
            assert not any(isinstance(given, ast.Lambda) for given in node.args), node.lineno
