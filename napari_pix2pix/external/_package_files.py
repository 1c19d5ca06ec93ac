"""The files of a BioImage.IO package: in a folder or a zip file, and nowhere else."""

from __future__ import annotations

import hashlib
import zipfile
from io import StringIO
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.libraries import needing
from napari_pix2pix.io.model_header import DESCRIPTIONS
from napari_pix2pix.io.onnx_reading import MOST_BYTES

_MOST_TEXT = 1 << 20  # bytes of a description


class PackageFiles:
    """Reads files of a package by their names; each is looked at before it is read."""

    def __init__(self, path: Path) -> None:
        is_description = path.name in DESCRIPTIONS and path.is_file()
        self.path = path.parent if is_description else path  # a folder or a zip file

    def read_description(self) -> dict[str, Any]:
        """Return what the package says of itself, as it stands there."""
        with needing("bioimageio", "A BioImage.IO package"):
            from bioimageio.spec.utils import read_yaml
        name = next((name for name in DESCRIPTIONS if self._has(name)), None)
        if name is None:
            wanted = " or ".join(DESCRIPTIONS)
            raise FileError(f"{self.path} is not a BioImage.IO package: it has no {wanted}.")
        text = self.read(name, most=_MOST_TEXT).decode("utf-8", "replace")
        try:
            content = read_yaml(StringIO(text))
        except Exception as error:  # of its library, and of what that meets
            reason = " ".join(str(error).split())[:200]
            raise FileError(f"{name} of {self.path} can't be read ({reason}).") from error
        if not isinstance(content, dict):
            raise FileError(f"{name} of {self.path} describes nothing.")
        return content

    def read(self, name: str, sha256: str | None = None, *, most: int = MOST_BYTES) -> bytes:
        """Return what a file holds; refuse one that lies elsewhere, is too large or another."""
        self._check_within(name)
        try:
            content = self._read(name, most)
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError) as error:
            if isinstance(error, FileError):
                raise
            raise FileError(f"Can't read {name} of {self.path} ({error}).") from error
        if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
            raise FileError(
                f"{name} of {self.path} is not the file that the package describes (its SHA-256 "
                "differs): take another copy of the package."
            )
        return content

    def _has(self, name: str) -> bool:
        if self.path.is_dir():
            return (self.path / name).is_file()
        with self._open() as file:
            return name in file.namelist()

    def _read(self, name: str, most: int) -> bytes:
        too_large = f"{name} of {self.path} is larger than {most / 2**20:.0f} MB: it is not read."
        if self.path.is_dir():
            file = self.path / name
            if not file.resolve().is_relative_to(self.path.resolve()):
                raise FileError(_outside(name, self.path))
            if not file.is_file():
                raise FileError(_missing(name, self.path))
            if file.stat().st_size > most:
                raise FileError(too_large)
            return file.read_bytes()
        with self._open() as archive:
            inner = str(PurePosixPath(name))
            if inner not in archive.namelist():
                raise FileError(_missing(name, self.path))
            with archive.open(inner) as stream:
                # A zip file may say that something is smaller than it is.
                content = b"" if archive.getinfo(inner).file_size > most else stream.read(most + 1)
            if not content or len(content) > most:
                raise FileError(too_large)
            return content

    def _open(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise FileError(f"{self.path} is no zip file, or it is damaged ({error}).") from error
        except OSError as error:
            raise FileError(f"Can't read {self.path}: {error.strerror or error}.") from error

    def _check_within(self, name: str) -> None:
        windows, posix = PureWindowsPath(name), PurePosixPath(name)
        if "://" in name:
            raise FileError(
                f"{self.path} names a file on the web ({name}), and nothing is downloaded: get the "
                "whole package."
            )
        is_elsewhere = windows.drive or windows.root or posix.is_absolute()
        if is_elsewhere or ".." in windows.parts:
            raise FileError(_outside(name, self.path))


def _outside(name: str, path: Path) -> str:
    return f"{path} names a file outside of itself ({name}), which is not read."


def _missing(name: str, path: Path) -> str:
    return f"{path} has no {name}, which it names: get the whole package."
