"""Names and checks of output files; results and errors as text."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

from napari_pix2pix.cli._console import say
from napari_pix2pix.cli._progress import to_json
from napari_pix2pix.errors import FileError, InputError, Pix2PixError, Remedy, plural, rounded
from napari_pix2pix.io.matching import pair_names
from napari_pix2pix.io.model_header import CHECKPOINT_ENDINGS
from napari_pix2pix.io.outputs import check_apart, check_replaceable, check_replaceable_model
from napari_pix2pix.io.paths import file_stem, files_read, has_file_ending, make_folder
from napari_pix2pix.io.plates import is_zarr_name, read_plate
from napari_pix2pix.io.writing import begin_plate, find_writer
from napari_pix2pix.io.zarr_file import is_zarr
from napari_pix2pix.metrics.names import describe_score

_OPTION_OF = {
    Remedy.AXES: "--axes",
    Remedy.TARGET_AXES: "--target-axes",
    Remedy.MASK_AXES: "--mask-axes",
    Remedy.CHANNELS: "--source-channels",
    Remedy.TARGET_CHANNELS: "--target-channels",
    Remedy.OVERWRITE: "--overwrite",
    Remedy.RESUME: "--resume",
    Remedy.SMALLER_TILE: "--tile",
    Remedy.DROPOUT: "--dropout",
    Remedy.TABLE: "--pairs",
    Remedy.WRITE_TABLE: "--write-pairs",
}


def name_outputs(given: Path, inputs: list[Path], out: Path) -> list[Path]:
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
        outputs = [out / f"{file_stem(name)}.tif" for name in names]
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
    given: Path, inputs: list[Path], out: Path, tags: list[str], *, model: Path
) -> list[list[Path]]:
    """Name the outputs of each input, one a tag; make the folder or the plates they go into."""
    if plate := read_plate(given):
        plates = name_plates(given, out, tags)
        check_apart(plates, [given, model])
        for path in plates:
            begin_plate(path, plate)
        return [[path / field.relative_to(given) for path in plates] for field in inputs]
    outputs = name_outputs(given, inputs, out)
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


def check_output(path: Path, *, overwrite: bool) -> None:
    """Fail early if an output can't be written: no folder, no permission, something in the way."""
    if not path.parent.is_dir():
        raise FileError(f"There is no folder {path.parent} to write {path.name} to: create it.")
    if not os.access(path.parent, os.W_OK):
        raise FileError(
            f"There is no permission to write {path.name} to {path.parent}: choose another folder."
        )
    if path.is_dir() and not is_zarr(path):
        raise FileError(f"{path} is a folder: name a file in it.")
    if path.exists() and not overwrite:
        raise FileError(f"{path} exists: choose another name, or pass --overwrite.")
    if path.suffix.lower() in CHECKPOINT_ENDINGS:
        check_replaceable_model(path)
    check_replaceable(path, folder=is_zarr_name(path))


def score_table(scores: dict[str, Any]) -> str:
    """Format the scores as a table: a row each; columns network, baseline and perhaps truth."""
    if not scores:
        return "No validation."
    columns = {"network": scores["prediction"], "baseline": scores.get("baseline", {})}
    if "truth" in scores:
        columns["truth"] = scores["truth"]
    width = max(12, *map(len, scores["prediction"]))
    rows = [" " * width + "".join(f"{title:>13}" for title in columns)]
    for name in scores["prediction"]:
        cells = [rounded(side[name], 4) if name in side else "" for side in columns.values()]
        rows.append(f"{name:>{width}}" + "".join(f"{cell:>13}" for cell in cells).rstrip())
    pooled: dict[str, list[str]] = {}
    for name in scores["prediction"]:
        pooled.setdefault(describe_score(name).pooled, []).append(name)
    rows += [f"{', '.join(names)}: {how}." for how, names in pooled.items()]
    return "\n".join([*rows, *scores.get("notes", ())])


def print_result(result: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print the result for people, or for machines."""
    say(to_json(result) if as_json else text)


def shell_message(error: Pix2PixError) -> str:
    """Return the sentence of an error, with the options that are its remedies in a shell."""
    options = ", ".join(_OPTION_OF[remedy] for remedy in error.remedies)
    return f"{str(error).rstrip('.')} ({options})." if options else str(error)
