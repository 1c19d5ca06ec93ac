"""Labels of one set, whatever dtype a file has them in: read as integers of one dtype."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.infer_codec import infer_set_kind
from napari_pix2pix.data.intensities import sample_windows
from napari_pix2pix.data.kinds import is_blurred_mask
from napari_pix2pix.data.lazy_image import LabelImage, LazyImage

# What whole numbers in floating point are read as; PNG holds it, too.
_OF_FLOATS = np.dtype(np.uint16)
# Images of each dtype that are looked at.
_MOST_IMAGES = 16


def read_as_labels(
    images: Sequence[LazyImage],
    what: str,
    *,
    known: bool,  # whether they are known to be labels; else their values must look like it
    dtype: np.dtype[Any] | None = None,  # of labels that they join
) -> tuple[list[LazyImage], list[str]]:
    """Return the images of a set as labels of one dtype, and notes; unchanged if they are not."""
    given = list(dict.fromkeys(image.dtype.newbyteorder("=") for image in images))
    floats = any(one.kind == "f" for one in given)
    one_dtype = len(given) == 1 and not floats and dtype in (None, given[0])
    if images[0].channels == 0 or (floats and not known):
        return list(images), []
    if not known and (one_dtype or not _look_labelled(images)):
        return list(images), []
    if dtype is None:
        # Labels are not negative, so the largest unsigned integer holds all.
        sizes = [_OF_FLOATS.itemsize if one.kind == "f" else one.itemsize for one in given]
        dtype = given[0] if one_dtype else np.dtype(f"u{max(sizes)}")
    blurred = given == [np.uint8] and is_blurred_mask(_some_windows(images))
    if one_dtype and not blurred:
        return list(images), []
    names = ", ".join(one.name for one in given)
    notes = []
    if not one_dtype:
        notes.append(f"The {what} holds labels as {names}: they are read as {dtype}.")
    if blurred:
        notes.append(
            f"The {what} looks like a mask that was saved as JPEG or resized: its values near 0 "
            "and 255 are read as 0 and 255."
        )
    return [LabelImage(image, dtype, two_levels=blurred) for image in images], notes


def _look_labelled(images: Sequence[LazyImage]) -> bool:
    """Say whether the images of each dtype look like labels."""
    by_dtype: dict[np.dtype[Any], list[LazyImage]] = {}
    for image in images:
        by_dtype.setdefault(image.dtype, []).append(image)
    return all(
        infer_set_kind(windows, group[0].layout) != "image" or not any(map(np.any, windows))
        for group in by_dtype.values()
        for windows in [_some_windows(group)]
    )


def _some_windows(images: Sequence[LazyImage]) -> list[NDArray[Any]]:
    """Read windows (C, h, w) of some images."""
    step = -(-len(images) // _MOST_IMAGES)
    return [
        window for image in images[::step] for window in sample_windows(image, most=4, side=256)
    ]
