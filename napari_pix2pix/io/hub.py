"""Models in repositories of the Hugging Face Hub, fetched when they are asked for by name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.libraries import needing
from napari_pix2pix.io.model_header import ENDING, parse_header

PREFIX = "hf:"
_FILED = "models--"  # begins the folder of a repository's models among the fetched files
_NAME = re.compile(
    r"hf:(?P<repository>[\w.-]+/[\w.-]+)(?P<file>(/[\w. -]+)+)?(@(?P<revision>[\w./-]+))?"
)


@dataclass(frozen=True)
class HubFile:
    """A model file that was fetched from the Hub."""

    path: Path  # where it lies here
    origin: str  # its name with the revision that it was fetched at


@dataclass(frozen=True)
class HubListing:
    """A model file on the Hub, which was not fetched."""

    name: str  # with the commit, as `load` takes it
    header: dict[str, Any] | None = None  # None where it is no model of ours
    tensors: tuple[str, ...] = ()
    problem: str = ""  # why there is no header


def is_hub_name(name: object) -> bool:
    """Whether a name is that of a repository on the Hub, and not of a file here."""
    return str(name).replace("\\", "/").startswith(PREFIX)


def fetch_model(name: object) -> HubFile:
    """Fetch a model by its name, ``hf:owner/name``, from the Hub or the copy of an earlier time.

    A file of the repository may follow, ``hf:owner/name/nuclei.safetensors``, and a revision (a
    branch, tag or commit), ``hf:owner/name@v1``. Only safetensors files are fetched.
    `HubFile.origin` names the commit that the revision means at this time.
    """
    with _asking(name) as asked:
        from huggingface_hub import hf_hub_download

        file = _choose(asked.text, asked.names, asked.part)
        path = hf_hub_download(asked.repository, file, revision=asked.commit)
    where = asked.repository if file == _only(asked.names) else f"{asked.repository}/{file}"
    return HubFile(Path(path), f"{PREFIX}{where}@{asked.commit}")


def list_hub(name: object) -> list[HubListing]:
    """List the models of a repository, or of a folder in it, sorted by name.

    Of each file its header is fetched, and no weights.
    """
    with _asking(name) as asked:
        names = [file for file in asked.models if _lies_in(file, asked.part)]
        if not names:
            raise FileError(f"{asked.text} holds no safetensors file, and no other is listed.")
        return [_list_one(asked, file) for file in sorted(names)]


def _list_one(asked: _Asked, file: str) -> HubListing:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import SafetensorsParsingError

    origin = f"{PREFIX}{asked.repository}/{file}@{asked.commit}"
    try:
        found = HfApi().parse_safetensors_file_metadata(
            asked.repository, file, revision=asked.commit
        )
        header = parse_header(Path(file), found.metadata)
    except (FileError, SafetensorsParsingError) as error:
        return HubListing(origin, problem=str(error))
    return HubListing(origin, header, tuple(found.tensors))


@dataclass(frozen=True)
class _Asked:
    """What a name on the Hub stands for at this time."""

    text: str  # the name
    repository: str
    part: str  # file or folder in it; empty for all
    commit: str
    names: list[str]  # of all its files

    @property
    def models(self) -> list[str]:
        return [name for name in self.names if name.endswith(ENDING)]


@contextmanager
def _asking(name: object) -> Iterator[_Asked]:
    """Look a name up on the Hub; errors of its library come out as a `FileError`."""
    text = str(name).replace("\\", "/")  # which Windows makes of a path
    found = _NAME.fullmatch(text)
    if found is None:
        raise InputError(
            "A model on the Hub is named hf:owner/name, hf:owner/name@revision or "
            f"hf:owner/name/file{ENDING}; got {text!r}."
        )
    with needing("hub", "A model on the Hugging Face Hub"):
        from huggingface_hub import HfApi
    try:
        info = HfApi().model_info(found["repository"], revision=found["revision"])
        names = [entry.rfilename for entry in info.siblings or ()]
        part = (found["file"] or "").lstrip("/")
        yield _Asked(text, found["repository"], part, str(info.sha), names)
    except (FileError, InputError):
        raise
    except Exception as error:  # of the library, or of the network below it
        reason = " ".join(str(error).split())[:300]
        raise FileError(
            f"{text} can't be fetched ({reason}): check its name, and the connection."
        ) from error


def _lies_in(file: str, part: str) -> bool:
    """Whether a file is a part of a repository, or lies in the folder that is."""
    return not part or file == part or file.startswith(f"{part}/")


def repository_name(path: Path) -> str:
    """Return the repository that a fetched file is of, as its library files it; else "".

    >>> repository_name(Path("hub/models--lab--stain/snapshots/0123/model.safetensors"))
    'lab/stain'
    """
    folders = [folder.name for folder in path.parents if folder.name.startswith(_FILED)]
    return folders[0].removeprefix(_FILED).replace("--", "/", 1) if folders else ""


def _choose(text: str, names: list[str], wanted: str) -> str:
    """Return the model file of a repository; refuse where there is none, or several."""
    models = [name for name in names if name.endswith(ENDING)]
    if wanted:
        if wanted not in models:
            raise FileError(f"{text} is no safetensors file of its repository: {_listed(models)}.")
        return wanted
    if not models:
        raise FileError(f"{text} holds no safetensors file, and no other is fetched.")
    if (only := _only(names)) is None:
        raise FileError(f"{text} holds several models: name one, {_listed(models)}.")
    return only


def _only(names: list[str]) -> str | None:
    """Return the model that a repository's own name means; None where it has several."""
    models = [name for name in names if name.endswith(ENDING)]
    usual = f"model{ENDING}"
    if usual in models:
        return usual
    return models[0] if len(models) == 1 else None


def _listed(models: list[str], most: int = 6) -> str:
    more = ", ..." if len(models) > most else ""
    return (", ".join(models[:most]) or "it has none") + more
