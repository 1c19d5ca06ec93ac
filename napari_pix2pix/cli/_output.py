"""Where results go: files that may be written, and what is said on standard output."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import click

from napari_pix2pix.cli._progress import to_json
from napari_pix2pix.errors import FileError, InputError, rounded
from napari_pix2pix.io.paths import file_stem
from napari_pix2pix.io.writing import find_writer
from napari_pix2pix.io.zarr_file import is_zarr

_FILE_ENDINGS = {".tif", ".tiff", ".png", ".npy", ".zarr"}  # of no folder that is to be made


def name_outputs(given: Path, inputs: list[Path], out: Path) -> list[Path]:
    """Name the file that each input's translation goes to.

    Parameters
    ----------
    given : Path
        File, folder or pattern, as the user named it.
    inputs : list of Path
        The files that it stands for.
    out : Path
        A file, where there is one input and it is not named by its folder; otherwise a folder,
        in which each translation is called as its source. It need not be there yet.

    Raises
    ------
    FileError
        When a folder is needed and a file is named, an ending is not known, or an output would
        replace an input.
    InputError
        When two inputs have the same name.
    """
    is_folder = out.is_dir() and not is_zarr(out)
    if not is_folder and len(inputs) == 1 and (inputs[0] == given or not given.is_dir()):
        outputs = [out]
    elif is_folder or not (out.exists() or out.suffix.lower() in _FILE_ENDINGS):
        outputs = [out / f"{file_stem(path)}.tif" for path in inputs]
    else:
        count = f"{len(inputs)} file{'s' if len(inputs) > 1 else ''}"
        raise FileError(f"{given} names {count}, so {out} must be a folder: name one.")
    twice = [path for path, count in Counter(outputs).items() if count > 1]
    if twice:
        raise InputError(f"Two inputs would both be written to {twice[0]}: rename one of them.")
    for source, path in zip(inputs, outputs, strict=True):
        find_writer(path)
        if path.resolve() == source.resolve():
            raise FileError(f"{path} is the input itself: choose another name or folder.")
    return outputs


def tag_outputs(outputs: list[Path], inputs: list[Path], tags: list[str]) -> list[list[Path]]:
    """Name the files of several answers to each input: ``a_1.tif``, ``a_2.tif``, ...

    Parameters
    ----------
    outputs : list of Path
        As `name_outputs` names them; the only answer is called so.
    inputs : list of Path
    tags : list of str
        What tells the answers apart, such as "1" and "2"; empty for only one.

    Raises
    ------
    FileError
        When a file would replace an input.
    """
    if not tags:
        return [[path] for path in outputs]
    numbered = []
    for path in outputs:
        stem = file_stem(path)
        ending = path.name.removeprefix(stem)
        names = [f"{stem}_{tag}{ending}" for tag in tags]
        numbered.append([path.with_name(name) for name in names])
    taken = {path.resolve() for path in inputs}
    for path in (one for names in numbered for one in names):
        if path.resolve() in taken:
            raise FileError(f"The sample {path} would replace an input: choose another folder.")
    return numbered


def check_output(path: Path, *, overwrite: bool) -> None:
    """Refuse an output before any work is done.

    Raises
    ------
    FileError
        No such folder, no permission, or something in the way.
    """
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


def score_table(scores: dict[str, Any]) -> str:
    """Lay out scores of the network beside the trivial map's, a row each.

    Where a segmenter was compared with true labels, what it reaches on the truth stands beside.
    """
    if not scores:
        return "No validation."
    columns = {"network": scores["prediction"], "trivial map": scores.get("trivial", {})}
    if "truth" in scores:
        columns["truth"] = scores["truth"]
    wide = max(12, *map(len, scores["prediction"]))
    rows = [" " * wide + "".join(f"{title:>13}" for title in columns)]
    for name in scores["prediction"]:
        cells = [rounded(side[name], 4) if name in side else "" for side in columns.values()]
        rows.append(f"{name:>{wide}}" + "".join(f"{cell:>13}" for cell in cells).rstrip())
    return "\n".join(rows)


def say_result(result: dict[str, Any], text: str, *, as_json: bool) -> None:
    """Print the result for people, or for machines."""
    click.echo(to_json(result) if as_json else text)
