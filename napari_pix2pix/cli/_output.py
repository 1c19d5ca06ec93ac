"""Checks of output files; results and errors as text."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from napari_pix2pix.cli._console import say
from napari_pix2pix.cli._progress import to_json
from napari_pix2pix.errors import FileError, Pix2PixError, Remedy, rounded
from napari_pix2pix.io.model_header import CHECKPOINT_ENDINGS
from napari_pix2pix.io.outputs import check_replaceable, check_replaceable_model
from napari_pix2pix.io.plates import is_zarr_name
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
    Remedy.READ_LIMIT: "--read-limit",
}


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
