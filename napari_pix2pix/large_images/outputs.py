"""Names of the files that are made of others: one for each input, or one for each sample of it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from napari_pix2pix.errors import FileError, InputError, own_errors, plural
from napari_pix2pix.io.matching import pair_names
from napari_pix2pix.io.outputs import check_apart
from napari_pix2pix.io.paths import file_stem, files_read, has_file_ending, make_folder
from napari_pix2pix.io.plates import Plate, plates_of
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


@own_errors()
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
    if plates := plates_of(given, inputs):
        return _prepare_plates(plates, inputs, out, tags, model)
    outputs = name_outputs(given, inputs, out, ending)
    tagged = name_tagged_outputs(outputs, tags)
    check_apart((path for paths in tagged for path in paths), [*files_read(inputs), model])
    if outputs != [out]:
        make_folder(out)
    return tagged


def _prepare_plates(
    plates: list[Plate], fields: list[Path], out: Path, tags: list[str], model: Path | None
) -> list[list[Path]]:
    """Name the outputs of each field, one a tag, and begin the plates that they lie in."""
    made = name_plates([plate.path for plate in plates], out, tags)
    check_apart((path for paths in made for path in paths), [*(p.path for p in plates), model])
    if len(plates) > 1:
        make_folder(out)
    for plate, paths in zip(plates, made, strict=True):
        for path in paths:
            begin_plate(path, plate)
    made_of = {plate.path: paths for plate, paths in zip(plates, made, strict=True)}
    return [
        [path / field.relative_to(field.parents[2]) for path in made_of[field.parents[2]]]
        for field in fields
    ]


def name_plates(plates: list[Path], out: Path, tags: list[str]) -> list[list[Path]]:
    """Name what is made of each plate, one for each sample or statistic."""
    is_folder = out.is_dir() and not is_zarr(out)
    if is_folder or (len(plates) > 1 and not (out.exists() or has_file_ending(out))):
        paths = [out / plate.absolute().name for plate in plates]
    elif len(plates) > 1:
        raise FileError(
            f"{len(plates)} plates can't be written to {out}, which must be a folder: name one."
        )
    else:
        paths = [out]
    for path in paths:
        if path.suffix.lower() != ".zarr" and has_file_ending(path):
            raise FileError(
                f"{plates[0]} is a plate, and what is made of it, too: give {path.name} the ending "
                ".zarr."
            )
    return name_tagged_outputs(paths, tags)
