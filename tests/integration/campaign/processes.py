"""What the processes of the campaign do, which are killed or disturb each other."""

from __future__ import annotations

import shutil
import sys
import warnings
from pathlib import Path

import torch
from helpers import gray_noise, make_model

from napari_pix2pix import load
from napari_pix2pix.errors import FileError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io import _leftovers as leftovers
from napari_pix2pix.io.locks import locked
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.resumable import remove_part
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.large_images import translate_file

REFUSED = 7  # the exit code of a run that another one keeps from its output
NAMES = {"source.zarr", "model.safetensors", "whole", "out.zarr"}


def prepare(folder: Path) -> Path:
    """Write a model and a source, and return their folder."""
    image = gray_noise(64, 64)
    make_model(image, 255 - image).save(folder / "model.safetensors", slim=True)
    write_image(folder / "source.zarr", gray_noise(6, 64, 64), "ZYX")
    return folder


def translate(folder: Path, out: Path, *, resume: bool = False, overwrite: bool = False) -> None:
    """Translate the source; end the process with a code of its own where that is refused."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    leftovers._looked_through.clear()  # as a new program would begin
    source = folder / "source.zarr"
    model, image = load(folder / "model.safetensors"), read_image(source)
    try:
        how = {"resume": resume, "overwrite": overwrite}
        translate_file(model, source, image, out, PredictOptions(), **how)
    except FileError as error:
        if "is being written by another run" not in str(error):
            raise
        sys.exit(REFUSED)


def clean_up(folder: Path, out: Path) -> None:
    """Do what the next run does where the output of a killed one is there as a whole."""
    leftovers._looked_through.clear()
    remove_part(out)
    with locked(out):
        pass


def remove(out: Path) -> None:
    """Make room for the next try."""
    shutil.rmtree(out)
