"""Names of the files that are made of others: one for each input, or one for each sample of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from napari_pix2pix.errors import FileError, InputError, plural
from napari_pix2pix.io.matching import pair_names
from napari_pix2pix.io.outputs import check_apart
from napari_pix2pix.io.paths import file_stem, files_read, has_file_ending, make_folder
from napari_pix2pix.io.plates import plate_of
from napari_pix2pix.io.writing import begin_plate, find_writer
from napari_pix2pix.io.zarr_file import is_zarr


def name_outputs(given: Path, inputs: list[Path], out: Path, ending: str = ".tif") -> list[Path]:
    """Name the output file of each input.

    `given` is the file, folder or pattern that stands for `inputs`. `out` is a file for a single
    input that is not named by its folder, otherwise a folder, which need not exist.
    """
    is_folder = out.is_dir() and not is_zarr(out)
    if not is_folder and len(inputs) == 1 and (inputs[0] == given or not given.is_dir()):
        outputs = [out]
    elif is_folder or not (out.exists() or has_file_ending(out)):
        names = list(inputs)
        if len({path.name for path in inputs}) < len(inputs):  # in several folders
            names = [Path(name.replace("/", "_")) for name in pair_names(inputs)]
        outputs = [out / f"{file_stem(name)}{ending}" for name in names]
    else:
        raise FileError(
            f"{given} names {plural(len(inputs), 'file')}, so {out} must be a folder: name one."
        )
    twice = [path for path, count in Counter(outputs).items() if count > 1]
    if twice:
        raise InputError(f"Two inputs would both be written to {twice[0]}: rename one of them.")
    for path in outputs:
        find_writer(path)
    return outputs


def name_tagged_outputs(outputs: list[Path], tags: list[str]) -> list[list[Path]]:
    """Name the output of each sample or statistic: ``a_1.tif``, ``a_mean.tif``; one if no tags."""
    if not tags:
        return [[path] for path in outputs]
    tagged = []
    for path in outputs:
        stem = file_stem(path)
        ending = path.name.removeprefix(stem)
        names = [f"{stem}_{tag}{ending}" for tag in tags]
        tagged.append([path.with_name(name) for name in names])
    return tagged


def prepare_outputs(
    given: Path,
    inputs: list[Path],
    out: Path,
    tags: list[str],
    ending: str = ".tif",
    *,
    model: Path | None,
) -> list[list[Path]]:
    """Name the outputs of each input, one a tag; make the folder or the plates they go into.

    `model` is the file of the model that is applied, which no output may replace; None without one.
    """
    if plate := plate_of(given, inputs):
        plates = name_plates(plate.path, out, tags)
        check_apart(plates, [plate.path, model])
        for path in plates:
            begin_plate(path, plate)
        return [[path / field.relative_to(plate.path) for path in plates] for field in inputs]
    outputs = name_outputs(given, inputs, out, ending)
    tagged = name_tagged_outputs(outputs, tags)
    check_apart((path for paths in tagged for path in paths), [*files_read(inputs), model])
    if outputs != [out]:
        make_folder(out)
    return tagged


def name_plates(plate: Path, out: Path, tags: list[str]) -> list[Path]:
    """Name the plate that is made of a plate, or one for each sample or statistic."""
    is_folder = out.is_dir() and not is_zarr(out)
    path = out / plate.name if is_folder else out
    if path.suffix.lower() != ".zarr" and has_file_ending(path):
        raise FileError(
            f"{plate} is a plate, and what is made of it, too: give {path.name} the ending .zarr."
        )
    return name_tagged_outputs([path], tags)[0]
