"""Pairs as the PyTorch reference implementation keeps them: side by side in one image, ``A|B``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from napari_pix2pix.errors import InputError
from napari_pix2pix.formats.geometry import ImageFile
from napari_pix2pix.formats.images import read_image
from napari_pix2pix.formats.paths import as_path, expand_paths
from napari_pix2pix.formats.sets import image_planes
from napari_pix2pix.formats.tables import PairSets
from napari_pix2pix.pairs.pair import Pair

Direction = Literal["AtoB", "BtoA"]


def read_aligned(
    folder: str | os.PathLike[str],
    direction: Direction = "AtoB",
    *,
    test: bool = False,
    axes: str | None = None,
) -> PairSets:
    """Read a folder of images whose left half (A) and right half (B) show the same field.

    Parameters
    ----------
    folder : path-like
        With the folders ``train`` and, if there is one, ``val`` in it, or ``test``; or with the
        images themselves.
    direction : {"AtoB", "BtoA"}
        Which half is the source.
    test : bool
        Read what a model is scored on: ``test``, or else ``val``.
    axes : str, optional
        Axes of the images where the files do not say.

    Returns
    -------
    PairSets
        Of ``train`` to train on and of ``val`` to validate on, or of ``test`` in place of ``val``
        and nothing to train on; of a folder without such folders, all to train on. Named by their
        files.

    Raises
    ------
    FileError, InputError
        When a file can't be read, there is none, or an image is of odd width.

    Examples
    --------
    ::

        pairs = read_aligned("facades", "BtoA")
        sources, targets = zip(*((pair.source, pair.target) for pair in pairs.train))
        translator = train(list(sources), list(targets), validation=pairs.validation)
    """
    if direction not in get_args(Direction):
        raise InputError(f"direction must be 'AtoB' or 'BtoA', got {direction!r}.")
    folder = as_path(folder)
    found = {name: folder / name for name in ("train", "val", "test") if (folder / name).is_dir()}
    sets = PairSets([], [], [])
    if test and (held_out := found.get("test") or found.get("val")):
        parts = [(held_out, sets.validation)]
    elif "train" in found and not test:
        parts = [(found["train"], sets.train)]
        parts += [(found["val"], sets.validation)] if "val" in found else []
    else:
        parts = [(folder, sets.train)]
    for part, pairs in parts:
        for path in expand_paths(part):
            image = read_image(path, axes)
            pairs.append(_split(image, path, direction))
            sets.notes.extend(image.notes)
    return sets


def _split(image: ImageFile, path: Path, direction: Direction) -> Pair:
    """Take an image apart in the middle."""
    width = image.shape[image.axes.index("X")]
    if width % 2:
        raise InputError(
            f"{path} is {width} pixels wide: two halves of one size lie side by side in an even "
            "width only, so cut the image anew."
        )
    left, right = (
        image_planes(replace(image, data=_columns(image, slice(first, first + width // 2))))
        for first in (0, width // 2)
    )
    source, target = (left, right) if direction == "AtoB" else (right, left)
    return Pair(source, target, name=path.name)


def _columns(image: ImageFile, columns: slice) -> Any:
    data = image.data
    if not isinstance(data, np.ndarray) and not hasattr(data, "dask"):
        import dask.array as da

        data = da.from_array(data)  # a large file stays on the disk
    return data[(slice(None),) * image.axes.index("X") + (columns,)]
