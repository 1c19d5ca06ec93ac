"""A small model in files, and how to call the command on it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from click.testing import CliRunner, Result
from helpers import TINY, gray_noise

from napari_pix2pix import train
from napari_pix2pix.cli import main

FIELDS = TINY | {"steps": 2, "dropout": 0}
TINY = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in FIELDS.items())
SIZES = {"Y": 0.5, "X": 0.25, "Z": 2.0, "T": 30.0}


def invoke(*arguments) -> Result:
    words = [word for one in arguments for word in (one.split() if isinstance(one, str) else [one])]
    result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(*arguments) -> Result:
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
            made[source, target] = train(
                images[source], images[target].max() - images[target],
                steps=1, width=4, depth=2, patch=32, batch=1,
                validation=0.0, adversarial_weight=0.0, device="cpu",
                channel_axis=tuple(0 if kind == "channels" else None for kind in (source, target)),
            )  # fmt: skip
        made[source, target].save(path)
        return path

    return model


@pytest.fixture(scope="session", name="tiny")
def _tiny():
    """Options of a training that takes no time."""
    return TINY


@pytest.fixture(scope="session", name="invoke")
def _invoke():
    """Call a command in this process; strings are split into words, paths are not."""
    return invoke


@pytest.fixture(scope="session", name="succeed")
def _succeed():
    """Call a command in this process that has no reason to fail."""
    return succeed


@pytest.fixture(scope="session", name="run")
def _run():
    return run


@pytest.fixture(scope="session", name="write")
def _write():
    return write


@pytest.fixture(scope="session", name="sentence")
def _sentence():
    return sentence
