"""Outputs that are there: whether they are what would be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_pix2pix.errors import FileError
from napari_pix2pix.formats.growing import fingerprint
from napari_pix2pix.formats.records import read_record
from napari_pix2pix.translation.draws import sample_seed
from napari_pix2pix.translator import Translator

_OPTIONS = ("condition", "dropout", "statistics", "precision", "output")  # what changes the result
_WORDS = {
    "model": "with another model",
    "options": "with other options",
    "part": "of another region or other frames",
    "source": "of another source, or of what it was before it changed",
}


def made_of(translator: Translator, source: Path, how: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an output is made of, as JSON values.

    Parameters
    ----------
    translator : Translator
    source : Path
        The file or zarr folder of the image.
    how : mapping
        As for `translate_file`.
    """
    options = {name: how.get(name) for name in _OPTIONS}
    options["seed"] = sample_seed(how.get("seed") or 0, how.get("sample", 0))
    if how.get("summary"):
        options |= {name: how[name] for name in ("summary", "samples")}
    record = {
        "model": translator.digest,
        "options": options,
        "part": [how.get("region"), how.get("frames")],
        "source": fingerprint(source),
    }
    return json.loads(json.dumps(record, default=str))


def check_finished(path: Path, record: Mapping[str, Any]) -> bool:
    """Check an output that is there; False where its file does not say what it was made of.

    Parameters
    ----------
    path : Path
    record : mapping
        What it is to be made of, see `made_of`.

    Raises
    ------
    FileError
        When it was made of something else.
    """
    found = read_record(path)
    if found is None:
        return False
    for name, words in _WORDS.items():
        if found.get(name) != record[name]:
            raise FileError(
                f"{path} was made {words}: choose another name, or replace it with --overwrite."
            )
    return True
