"""A small model in files, and how to call the command on it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from helpers import TINY, gray_noise, make_model

from napari_pix2pix.cli import main

FIELDS = TINY | {"steps": 2, "dropout": 0}
TINY = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in FIELDS.items())
SIZES = {"Y": 0.5, "X": 0.25, "Z": 2.0, "T": 30.0}


def invoke(*arguments) -> Result:
    """Call a command in this process; strings are split into words, paths are not."""
    words = [word for one in arguments for word in (one.split() if isinstance(one, str) else [one])]
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(*arguments) -> Result:
    """Call a command in this process that has no reason to fail."""
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    return result


def run(*arguments, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Call the script that is installed."""
    command = [Path(sys.executable).with_name("napari-pix2pix"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False)


def write(path: Path, array: np.ndarray, axes: str, *, ome: bool = False) -> Path:
    """Write a file as ImageJ, or a microscope, would."""
    photometric = "rgb" if axes.endswith("S") else "minisblack"
    if ome:
        sizes = {f"PhysicalSize{axis}": SIZES[axis] for axis in axes if axis in "ZYX"}
        units = {f"{key}Unit": "µm" for key in sizes}
        times = {"TimeIncrement": SIZES["T"], "TimeIncrementUnit": "s"} if "T" in axes else {}
        tifffile.imwrite(
            path, array, ome=True, photometric=photometric,
            metadata={"axes": axes, **sizes, **units, **times},
        )  # fmt: skip
        return path
    more = {"spacing": SIZES["Z"]} if "Z" in axes else {}
    more |= {"finterval": SIZES["T"]} if "T" in axes else {}
    tifffile.imwrite(
        path, array, imagej=True, photometric=photometric,
        resolution=(1 / SIZES["X"], 1 / SIZES["Y"]),
        metadata={"axes": axes, "unit": "micron", **more},
    )  # fmt: skip
    return path


def sentence(result: Result | subprocess.CompletedProcess[str]) -> str:
    """The one line that a refused command says."""
    code = result.exit_code if isinstance(result, Result) else result.returncode
    assert code == 2, result.stderr
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("Error: ")
    return lines[0]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Images, and a gray model in ``gray.safetensors``."""
    place = tmp_path_factory.mktemp("cli")
    image = gray_noise(96, 80)
    write(place / "source.tif", image, "YX")
    write(place / "target.tif", 255 - image, "YX")
    files = place / "source.tif", place / "target.tif"
    succeed("train", *files, "-o", place / "gray.safetensors", TINY)
    return place


@pytest.fixture(scope="session")
def gray(folder):
    return folder / "gray.safetensors"


@pytest.fixture(scope="session")
def files(folder):
    """The source and the target that the gray model was trained on."""
    return folder / "source.tif", folder / "target.tif"


@pytest.fixture(scope="session")
def models():
    """A model for each kind of source and target, trained on first use."""
    images = {
        "gray": gray_noise(48, 48),
        "rgb": gray_noise(48, 48, 3),
        "channels": gray_noise(2, 48, 48, dtype=np.uint16),
    }
    made = {}

    def model(source, target, path):
        if (source, target) not in made:
            axes = tuple(0 if kind == "channels" else None for kind in (source, target))
            inverted = images[target].max() - images[target]
            made[source, target] = make_model(images[source], inverted, channel_axis=axes)
        made[source, target].save(path)
        return path

    return model


def _offered(name, value):
    """Tests can't import a conftest, so they are given its functions as fixtures."""
    return pytest.fixture(lambda: value, scope="session", name=name)


_tiny = _offered("tiny", TINY)  # options of a training that takes no time
_invoke = _offered("invoke", invoke)
_succeed = _offered("succeed", succeed)
_run = _offered("run", run)
_write = _offered("write", write)
_sentence = _offered("sentence", sentence)
