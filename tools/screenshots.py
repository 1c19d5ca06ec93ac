"""Take the pictures of the docks in docs/images, of a short training on real data.

Run it with a folder of real pairs: python tools/screenshots.py /path/to/data [minutes]
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
from qtpy.QtCore import QSettings
from qtpy.QtTest import QTest
from tifffile import imread

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE = 1366, 768  # a small laptop's screen
PIXEL = {"scale": (0.65, 0.65), "units": ("um", "um"), "axis_labels": ("y", "x")}


def open_viewer(data: Path, theme: str) -> Any:
    """Open a viewer of a laptop's size with phase contrast and fluorescence of one field."""
    folder = data / "phase_to_fluorescence"
    phase = imread(next(folder.glob("source_phase*.tif")))
    fluorescence = imread(next(folder.glob("target_*.tif")))
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(*SIZE)
    viewer.theme = theme
    viewer.add_image(phase[6], name="phase contrast", **PIXEL)
    viewer.add_image(fluorescence[0], name="DAPI", colormap="green", blending="additive", **PIXEL)
    return viewer


def wait(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Let the viewer live until a condition holds."""
    for _ in range(int(seconds * 10)):
        if condition():
            break
        QTest.qWait(100)
    QTest.qWait(600)


def picture(viewer: Any, name: str) -> None:
    """Save the whole window."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    viewer.screenshot(IMAGES / f"{name}.png", canvas_only=False, flash=False)
    print(IMAGES / f"{name}.png")


def train(data: Path, theme: str, minutes: float) -> None:
    """Take the Train dock before, while and after it trains."""
    viewer = open_viewer(data, theme)
    _, dock = viewer.window.add_plugin_dock_widget("napari-pix2pix", "Train")
    wait(dock.status.train.isEnabled)
    picture(viewer, f"train-setup-{theme}")
    # Small, so that there is something to see after a few minutes on any computer.
    dock.set_fields(max_seconds=60 * minutes, width=16, patch=64)
    dock.train()
    wait(lambda: len(dock.preview.steps) > 1 or not dock.status.state.is_busy)
    viewer.layers["DAPI"].visible = False
    QTest.qWait(600)
    picture(viewer, f"train-running-{theme}")
    wait(lambda: not dock.status.state.is_busy)
    picture(viewer, f"train-done-{theme}")
    dock.form.advanced_section.set_open(True)
    dock.body.verticalScrollBar().setValue(dock.form.advanced_section.y() - 60)
    QTest.qWait(600)
    picture(viewer, f"train-advanced-{theme}")
    viewer.close()


def main() -> None:
    """Take all pictures, in both themes."""
    data = Path(sys.argv[1])
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 2
    with tempfile.TemporaryDirectory() as folder:
        # Nothing that the user's docks remember should show.
        QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, folder)
        for theme in sys.argv[3:] or ("dark", "light"):
            train(data, theme, minutes)


if __name__ == "__main__":
    main()
