"""Model files in, translators out."""

from __future__ import annotations

import os

from napari_pix2pix.errors import FileError
from napari_pix2pix.formats.container import read_container
from napari_pix2pix.formats.paths import as_path
from napari_pix2pix.translator import Translator


def load(path: str | os.PathLike[str]) -> Translator:
    """Read a model that `Translator.save` wrote.

    Parameters
    ----------
    path : path-like
        The file; a checkpoint of a training will do as well.

    Returns
    -------
    Translator
        Ready to be called.

    Raises
    ------
    FileError
        When the file is missing, truncated, of another kind or newer than this version.
    InputError
        When ``path`` is no path.
    """
    stored, header = read_container(as_path(path))
    # Copies, since Windows replaces no file that is mapped; a checkpoint's progress is left out.
    tensors = {k: v.clone() for k, v in stored.items() if not k.startswith("optimizer_")}
    header.pop("counters", None)
    try:
        return Translator(tensors, header)
    except FileError as error:
        raise FileError(f"Can't use {path}: {error}") from error
    except (KeyError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise FileError(
            f"{path} is a napari-pix2pix file, but its content does not fit together "
            f"({reason[:200]}): take another copy, or the version that wrote it."
        ) from error
