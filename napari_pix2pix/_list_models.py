"""`list_models`: what the models in a folder are, and which files can't be read."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

from napari_pix2pix.errors import FileError, Pix2PixError, own_errors
from napari_pix2pix.io.hub import HubListing, is_hub_name, list_hub
from napari_pix2pix.io.model_header import is_foreign, model_files
from napari_pix2pix.io.paths import as_path
from napari_pix2pix.training.model_card import card_line
from napari_pix2pix.training.model_info import ModelInfo, read_model_info


@dataclass(frozen=True, eq=False)
class ListedModel:
    """A model file in a folder.

    Attributes
    ----------
    path : Path
        The file, or the folder of a package; of the Hub its name, ``hf:...``, which `load` takes.
    info : ModelInfo or None
        What the model is; None where it can't be read.
    problem : str
        Why it can't be read; empty where it can.
    """

    path: Path
    info: ModelInfo | None = None
    problem: str = ""

    def __str__(self) -> str:
        return self.problem if self.info is None else card_line(self.info)


@own_errors()
def list_models(folder: str | os.PathLike[str]) -> list[ListedModel]:
    """List the models in a folder: safetensors, .pth, ONNX and BioImage.IO packages.

    Parameters
    ----------
    folder : path-like
        Its own files are listed, and packages that are folders in it. Or a repository on the
        Hugging Face Hub, ``hf:owner/name``, a folder in it, ``hf:owner/name/folder``, each at a
        revision where one follows (``@v1``): all safetensors in it are listed. Their headers are
        fetched, and no weights.

    Returns
    -------
    list of ListedModel
        Sorted by name. Files that can't be read are listed with the reason.

    Raises
    ------
    FileError
        When there is no such folder, or the Hub can't be asked.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from napari_pix2pix import list_models, train
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> model = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
    >>> with TemporaryDirectory() as name:
    ...     model.save(f"{name}/inverter.safetensors")
    ...     [listed] = list_models(name)
    >>> print(listed.path.name, "-", listed)  # doctest: +ELLIPSIS
    inverter.safetensors - Translates 32-bit floating point images into ... Held-out Pearson ...
    """
    if is_hub_name(folder):
        return [_read_listing(listing) for listing in list_hub(folder)]
    path = as_path(folder)
    if not path.is_dir():
        raise FileError(f"{path} is no folder; give one that holds models.")
    return [_read(file) for file in model_files(path)]


def _read_listing(listing: HubListing) -> ListedModel:
    path = Path(listing.name)
    if listing.header is None:
        return ListedModel(path, problem=listing.problem)
    try:
        with own_errors():
            info = ModelInfo.from_header(listing.header, path).holding(listing.tensors)
    except Pix2PixError as error:
        return ListedModel(path, problem=str(error))
    return ListedModel(path, replace(info, origin=listing.name))


def _read(path: Path) -> ListedModel:
    try:
        with own_errors():  # one odd file hides no other
            return ListedModel(path, _read_info(path))
    except Pix2PixError as error:
        return ListedModel(path, problem=str(error))


def _read_info(path: Path) -> ModelInfo:
    if not is_foreign(path):
        return read_model_info(path)
    from napari_pix2pix._load import read_foreign_info  # which needs PyTorch

    return read_foreign_info(path)
