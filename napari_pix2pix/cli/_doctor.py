"""The command ``doctor``: what this installation consists of, and whether it works."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

import click

from napari_pix2pix.cli._options import json_option
from napari_pix2pix.cli._output import print_result
from napari_pix2pix.errors import plural

_GB = 2**30
_LEAST_MEMORY = 2 * _GB  # `light` trains in less
_LEAST_DISK = 1 * _GB  # for a model, its checkpoint and some results
_PACKAGES = (
    "napari-pix2pix",
    "torch",
    "numpy",
    "scipy",
    "scikit-image",
    "napari",
    "npe2",
    "magicgui",
    "qtpy",
    "PyQt6",
    "PyQt5",
    "PySide6",
    "dask",
    "zarr",
    "ome-zarr",
    "tifffile",
    "imagecodecs",
)
_EXTRAS = {
    "distributed": ("distributed",),
    "onnx": ("onnx", "onnxruntime"),
    "bioimageio": ("bioimageio.core",),
}
# In a process of its own: Qt ends a process that has no screen.
_OPEN_QT = """
from qtpy import API_NAME, QtCore
from qtpy.QtWidgets import QApplication
QApplication([])
print(API_NAME, QtCore.__version__)
"""


@dataclass(frozen=True)
class Finding:
    """What was looked at, what was found there, and what to do where it is wrong."""

    subject: str
    found: str
    advice: str = ""  # empty where there is nothing to do
    is_bad: bool = False  # whether a part of the package that this machine can run does not work

    def line(self) -> str:
        """Return a line for people."""
        mark = "BAD " if self.is_bad else "note" if self.advice else "ok  "
        return " ".join(
            word for word in (f"{mark} {self.subject}:", self.found, self.advice) if word
        )


@click.command()
@click.option(
    "--max-seconds",
    type=click.FloatRange(min=0),
    default=5.0,
    show_default=True,
    help="Time of the training that is tried; 0 leaves it out.",
)
@json_option
def doctor(max_seconds: float, as_json: bool) -> None:
    """Say what is installed, and whether it works.

    Versions, devices, Qt, memory, disk, folders and readers are looked at, and a small model is
    trained. Where something does not work, its line begins with BAD and says what to do, and the
    exit code is 1. A note is no fault. Nothing is sent anywhere. Copy what is printed into a
    report.

    \b
    napari-pix2pix doctor
    napari-pix2pix doctor --json > doctor.json
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    findings = examine(max_seconds)
    bad = [finding for finding in findings if finding.is_bad]
    verdict = "All is well." if not bad else f"Not well: {', '.join(one.subject for one in bad)}."
    result = {
        "well": not bad,
        "versions": package_versions(),
        "findings": [asdict(finding) for finding in findings],
    }
    lines = [*(one.line() for one in findings), verdict]
    print_result(result, "\n".join(lines), as_json=as_json)
    if bad:
        click.get_current_context().exit(1)


def package_versions() -> dict[str, str]:
    """Return the versions of those packages that are installed, by name."""
    found = {}
    for name in (*_PACKAGES, *(one for names in _EXTRAS.values() for one in names)):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def examine(max_seconds: float = 5.0) -> list[Finding]:
    """Look at everything, in the order in which it is needed.

    Parameters
    ----------
    max_seconds
        Time of the training that is tried; 0 for none.
    """
    looks: list[tuple[str, Callable[[], list[Finding]]]] = [
        ("versions", _look_at_versions),
        ("devices", _look_at_devices),
        ("Qt", _look_at_qt),
        ("napari", _look_at_napari),
        ("memory", _look_at_memory),
        ("folders", _look_at_folders),
    ]
    if max_seconds:
        looks.append(("training", lambda: [_try_training(max_seconds)]))
    findings = []
    for subject, look in looks:
        try:
            findings += look()
        except Exception as error:  # whatever is broken is what a doctor is to find
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            advice = "Install the package anew."
            findings.append(Finding(subject, f"failed ({reason}).", advice, is_bad=True))
    return findings


def _look_at_versions() -> list[Finding]:
    found = package_versions()
    system = f"{platform.system()} {platform.release()} {platform.machine()}"
    packages = ", ".join(f"{name} {number}" for name, number in found.items())
    extras = [
        f"{extra} {'is' if all(name in found for name in names) else 'is not'} installed"
        for extra, names in _EXTRAS.items()
    ]
    return [
        Finding("system", f"{system}, Python {platform.python_version()}"),
        Finding("packages", packages),
        Finding("extras", ", ".join(extras)),
    ]


def _look_at_devices() -> list[Finding]:
    from napari_pix2pix.training.hardware import find_devices

    fastest, *others = find_devices()
    found = fastest.name + "".join(f"; also {device.name}" for device in others)
    return [Finding("devices", f"{found}; {os.cpu_count()} CPU cores")]


def _look_at_qt() -> list[Finding]:
    done = subprocess.run(
        [sys.executable, "-c", _OPEN_QT], capture_output=True, text=True, timeout=60, check=False
    )
    if done.returncode == 0:
        return [Finding("Qt", f"{done.stdout.strip()} opens windows")]
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    if any("QtBindingsNotFoundError" in line or "ModuleNotFoundError" in line for line in said):
        advice = 'The docks need one: pip install "napari[pyqt6]". Python and shell do not.'
        return [Finding("Qt", "no binding is installed.", advice)]
    reason = said[0] if said else f"exit code {done.returncode}"
    if sys.platform == "linux" and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        return [Finding("Qt", "there is no screen.", "Python and shell work without, docks don't.")]
    advice = "On Linux, install the libraries that tools/install_system_libraries.sh names."
    return [Finding("Qt", f"can't open a window ({reason}).", advice, is_bad=True)]


def _look_at_napari() -> list[Finding]:
    from npe2 import PluginManager

    declared = [point.name for point in entry_points(group="napari.manifest")]
    if "napari-pix2pix" not in declared:
        advice = "Install the package in the environment of your napari, with pip."
        return [Finding("plugin", "napari does not find it.", advice, is_bad=True)]
    manager = PluginManager.instance()
    manager.discover()
    readers = sorted(
        manifest.display_name or manifest.name
        for manifest in manager.iter_manifests()
        if manifest.contributions.readers
    )
    return [
        Finding("plugin", "napari finds it"),
        Finding("reader plugins", ", ".join(readers) or "none"),
    ]


def _look_at_memory() -> list[Finding]:
    import psutil
    import torch

    from napari_pix2pix.inference.devices import free_memory

    free = free_memory(torch.device("cpu"))
    total = psutil.virtual_memory().total
    found = f"{free / _GB:.1f} of {total / _GB:.1f} GB free"
    if free >= _LEAST_MEMORY:
        return [Finding("memory", found)]
    advice = "Close other programs: training needs 2 GB."
    return [Finding("memory", f"{found}.", advice, is_bad=True)]


def _look_at_folders() -> list[Finding]:
    folders = {"this folder": Path.cwd(), "temporary files": Path(tempfile.gettempdir())}
    if any(name in package_versions() for name in ("PyQt6", "PyQt5", "PySide6")):
        from napari_pix2pix.widgets.common.settings import read_settings

        settings = read_settings()
        folders |= {"autosaves": settings.autosave_folder, "models": settings.models_folder}
    return [_look_at_folder(name, folder) for name, folder in folders.items()]


def _look_at_folder(name: str, folder: Path) -> Finding:
    """Try to write into a folder, or into the one that it would be made in."""
    subject = f"folder of {name}" if name != "this folder" else name
    place = next(one for one in (folder, *folder.parents) if one.is_dir())
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"written by napari-pix2pix doctor")
    except OSError as error:
        advice = "Choose another one, or allow writing."
        found = f"{folder} can't be written to ({error.strerror})."
        return Finding(subject, found, advice, is_bad=name != "this folder")
    free = shutil.disk_usage(place).free
    found = f"{folder} can be written to, {free / _GB:.1f} GB free"
    if free >= _LEAST_DISK:
        return Finding(subject, found)
    return Finding(subject, f"{found}.", "Free at least 1 GB.", is_bad=True)


def _try_training(max_seconds: float) -> Finding:
    """Train on a generated field, whose target is its source turned dark, and translate it."""
    import numpy as np
    from skimage.data import binary_blobs
    from skimage.filters import gaussian

    from napari_pix2pix._train import train

    blobs = gaussian(binary_blobs(128, rng=0).astype(np.float32), 1)
    source = np.rint(blobs * 200 + 20).astype(np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so short a training is no good one
        # The first step of a process loads much of PyTorch, and may take longer than the budget.
        train(source, 255 - source, steps=1, patch=64, callback=lambda _: None)
        began = time.perf_counter()
        translator = train(
            source, 255 - source, max_seconds=max_seconds, patch=64, callback=lambda _: None
        )
        seconds = time.perf_counter() - began
        translator(source)
    device = next(translator.generator.parameters()).device
    steps = plural(translator.info.steps, "step")
    found = f"{steps} in {seconds:.1f} s on {device}, and the model translates an image"
    return Finding("training", found)
