"""Take the pictures of the docks in docs/images, of a short training on real data.

Run it with a folder of real pairs: python tools/screenshots.py /path/to/data [minutes]
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
from PIL import Image
from qtpy.QtCore import QSettings, Qt
from qtpy.QtTest import QTest
from tifffile import imread

from napari_pix2pix.widgets.commands import open_dock
from napari_pix2pix.widgets.common.elements import Scroll, Section
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.runs.gallery import show_gallery

IMAGES = Path(__file__).parents[1] / "docs" / "images"
SIZE = 1366, 768  # a small laptop's screen
PIXEL = {"scale": (0.65, 0.65), "units": ("um", "um"), "axis_labels": ("y", "x")}
THEMES = "dark", "light"


def read_field(data: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read phase contrast and DAPI of one field."""
    folder = data / "phase_to_fluorescence"
    phase = imread(next(folder.glob("source_phase*.tif")))
    return phase[6], imread(next(folder.glob("target_*.tif")))[0]


def open_viewer(theme: str, **layers: np.ndarray) -> Any:
    """Open a viewer of a laptop's size; what is fluorescent is shown in green."""
    viewer = napari.Viewer(show=True, show_welcome_screen=False)
    viewer.window.resize(*SIZE)
    viewer.theme = theme
    for name, image in layers.items():
        look = {"colormap": "green", "blending": "additive"} if "DAPI" in name else {}
        viewer.add_image(image, name=name.replace("_", " "), **look, **PIXEL)
    return viewer


def wait(condition: Callable[[], bool], seconds: float = 300) -> None:
    """Let the viewer live until a condition holds."""
    for _ in range(int(seconds * 10)):
        if condition():
            break
        QTest.qWait(100)
    QTest.qWait(600)


def picture(viewer: Any, name: str) -> None:
    """Save the whole window, in so few colours that the file is small."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    path = IMAGES / f"{name}.png"
    QTest.qWait(600)
    few_colours(viewer.screenshot(canvas_only=False, flash=False)[..., :3]).save(
        path, optimize=True
    )
    print(path, path.stat().st_size // 1000, "kB")


def few_colours(shot: np.ndarray) -> Image.Image:
    """Keep frequent colours as they are, such as those of controls; curves have rare ones."""
    colours, which, counts = np.unique(
        shot.reshape(-1, 3), axis=0, return_inverse=True, return_counts=True
    )
    frequent = colours[np.argsort(-counts)[:128]]
    rare = Image.fromarray(shot).quantize(128, Image.Quantize.MAXCOVERAGE).getpalette() or []
    few = np.concatenate([frequent, np.reshape(rare, (-1, 3))]).astype(np.float32)
    # Pillow takes no more than nearly the nearest.
    nearest = (np.square(few).sum(1) - 2 * (colours @ few.T)).argmin(1).astype(np.uint8)
    image = Image.fromarray(nearest[which].reshape(shot.shape[:2]))
    image.putpalette(few.astype(np.uint8).tobytes())
    return image


def forget(folder: str) -> None:
    """Let docks remember nothing, neither of the user nor of an earlier picture."""
    own = tempfile.mkdtemp(dir=folder)
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, own)
    os.environ["XDG_DATA_HOME"] = own  # autosaves
    models.cache_clear()


def train(data: Path, theme: str, minutes: float) -> None:
    """Take the Train dock before, while and after it trains."""
    phase, nuclei = read_field(data)
    viewer = open_viewer(theme, phase_contrast=phase, DAPI=nuclei)
    dock = open_dock(viewer, "Train")
    wait(dock.view.status.train.isEnabled)
    picture(viewer, f"train-setup-{theme}")
    # Small, so that there is something to see after a few minutes on any computer.
    dock.set_fields(max_seconds=60 * minutes, width=16, patch=64)
    dock.train()
    wait(lambda: len(dock.view.preview.steps) > 1 or not dock.view.status.state.is_busy)
    viewer.layers["DAPI"].visible = False
    picture(viewer, f"train-running-{theme}")
    wait(lambda: not dock.view.status.state.is_busy)
    wait(dock.view.status.train.isEnabled)
    picture(viewer, f"train-done-{theme}")
    groups = dock.view.form.groups
    QTest.mouseClick(groups.sections["Learning"].toggleButton(), Qt.MouseButton.LeftButton)
    QTest.qWait(600)
    dock.view.body.verticalScrollBar().setValue(groups.y() - 60)
    picture(viewer, f"train-advanced-{theme}")
    gallery = show_gallery(viewer, dock)
    gallery.resize(720, 420)
    QTest.qWait(600)
    seen = gallery.rect().adjusted(0, 0, 0, -150)  # without the folder, which is of this machine
    gallery.grab(seen).save(str(IMAGES / f"runs-{theme}.png"))
    gallery.close()
    viewer.close()


def choose_files(data: Path, theme: str) -> None:
    """Take the Train dock with folders, and the Apply dock with its part for files."""
    folder = data / "nuclei_fluorescence" / "train"
    viewer = open_viewer(theme)
    dock = open_dock(viewer, "Train")
    dock.set_folders(folder / "source", folder / "target")
    wait(dock.view.status.train.isEnabled)
    picture(viewer, f"train-folders-{theme}")
    viewer.window.remove_dock_widget(dock)
    apply = open_dock(viewer, "Apply")
    for section in apply.findChildren(Section):
        if section.toggleButton().text() == "Files and folders":
            QTest.mouseClick(section.toggleButton(), Qt.MouseButton.LeftButton)
    apply.files.choose(
        folder / "source", Path("results"), ending=".ome.zarr", overwrite=False, acquisition=None
    )
    QTest.qWait(600)
    apply.findChild(Scroll).ensureWidgetVisible(apply.files)
    picture(viewer, f"apply-files-{theme}")
    viewer.close()


def learn(data: Path, minutes: float, path: Path) -> None:
    """Train on the left of the field and save the model; the right is held out."""
    from napari_pix2pix import train as train_model

    phase, nuclei = read_field(data)
    half = phase.shape[1] // 2
    how: dict[str, Any] = {"width": 16, "patch": 64, "max_seconds": 60 * minutes}
    train_model(phase[:, :half], nuclei[:, :half], **how).save(path, slim=True)


def use(data: Path, theme: str, model: Path) -> None:
    """Take the Apply dock and the Evaluate dock with the half of the field that was held out."""
    phase, nuclei = (one[:, one.shape[1] // 2 :] for one in read_field(data))
    viewer = open_viewer(theme, held_out=phase, held_out_DAPI=nuclei)
    source, truth = viewer.layers
    truth.visible = False
    apply = open_dock(viewer, "Apply")
    apply.set_model(models().of_file(model))
    apply.set_layers([source])
    wait(lambda: apply.check() == "")
    apply.apply()
    wait(lambda: not apply.running)
    (result,) = apply.results
    # Beside it, for the picture: in place it lies on its source.
    viewer.canvas.grid.enabled = True
    viewer.reset_view()
    picture(viewer, f"apply-{theme}")
    viewer.canvas.grid.enabled = False
    viewer.window.remove_dock_widget(apply)
    evaluate = open_dock(viewer, "Evaluate")
    evaluate.set_prediction(result, truth, source=source)
    wait(lambda: evaluate.check() == "")
    evaluate.evaluate()
    wait(lambda: not evaluate.running)
    viewer.reset_view()
    picture(viewer, f"evaluate-{theme}")
    viewer.close()


def compare_recipes(data: Path, theme: str, minutes: float) -> None:
    """Take the window that compares recipes, when it has trained three."""
    phase, nuclei = read_field(data)
    viewer = open_viewer(theme, phase_contrast=phase, DAPI=nuclei)
    dock = open_dock(viewer, "Train")
    dock.set_fields(max_seconds=60 * minutes, width=16, patch=64)
    wait(dock.view.form.compare.isEnabled)
    dock.view.form.compare.click()
    window = dock.view.form.comparison
    window.show()
    window.start.click()
    wait(lambda: not window.runner.running)
    window.resize(900, 470)
    QTest.qWait(600)
    window.grab().save(str(IMAGES / f"compare-recipes-{theme}.png"))
    window.close()
    viewer.close()


def learn_objects(data: Path, minutes: float, path: Path) -> None:
    """Train on stained tissue and its nuclei, and save the model."""
    from napari_pix2pix import train as train_model

    images, labels = read_tissue(data / "nuclei_histology" / "train")
    how: dict[str, Any] = {"width": 24, "max_seconds": 60 * minutes}
    train_model(images, labels, **how).save(path)


def read_tissue(folder: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Read stained tissue and its nuclei."""
    images = [
        imread(path) if path.suffix == ".tif" else np.asarray(Image.open(path).convert("RGB"))
        for path in sorted((folder / "source").iterdir())
    ]
    labels = [
        imread(path) if path.suffix == ".tif" else np.asarray(Image.open(path))
        for path in sorted((folder / "target").iterdir())
    ]
    return images, labels


def correct(data: Path, theme: str, model: Path) -> None:
    """Take the Apply dock when a model has learned from a corrected result."""
    images, labels = read_tissue(data / "nuclei_histology" / "test")
    viewer = open_viewer(theme, tissue=images[0])
    apply = open_dock(viewer, "Apply")
    apply.set_model(models().of_file(model))
    apply.set_layers([viewer.layers[0]])
    wait(lambda: apply.check() == "")
    apply.apply()
    wait(lambda: not apply.running)
    (result,) = apply.results
    # As if the left half had been painted right.
    half = result.data.shape[1] // 2
    left = labels[0][:, :half].astype(result.data.dtype)
    result.data[:, :half] = np.where(left > 0, left + result.data.max(), 0)
    result.refresh()
    for section in apply.findChildren(Section):
        if section.toggleButton().text() == "Learn from corrections":
            QTest.mouseClick(section.toggleButton(), Qt.MouseButton.LeftButton)
    apply.learn()
    wait(lambda: not apply.corrections.running and not apply.running)
    apply.findChild(Scroll).ensureWidgetVisible(apply.corrections.status)
    picture(viewer, f"apply-corrections-{theme}")
    viewer.close()


def main() -> None:
    """Take all pictures, most of them in both themes."""
    data = Path(sys.argv[1])
    minutes = float(sys.argv[2]) if len(sys.argv) > 2 else 2
    wanted = sys.argv[3:] or ("train", "recipes", "files", "use", "corrections")
    with tempfile.TemporaryDirectory() as folder:
        if "train" in wanted:
            for theme in THEMES:
                forget(folder)
                train(data, theme, minutes)
        if "recipes" in wanted:
            forget(folder)
            compare_recipes(data, "dark", minutes)
        if "files" in wanted:
            forget(folder)
            choose_files(data, "dark")
        if "use" in wanted:
            model = Path(folder) / "phase to DAPI.safetensors"
            learn(data, minutes, model)
            for theme in THEMES:
                forget(folder)
                use(data, theme, model)
        if "corrections" in wanted:
            model = Path(folder) / "nuclei.safetensors"
            learn_objects(data, 2 * minutes, model)
            forget(folder)
            correct(data, "dark", model)


if __name__ == "__main__":
    main()
