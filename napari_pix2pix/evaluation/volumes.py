"""Whether the labels of a stack are scored plane by plane, or the planes of a volume together."""

from __future__ import annotations

from typing import Literal

import numpy as np

from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import OpenPair
from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.summary import Kind

TOGETHER = "Labels are scored in three dimensions: all planes of a volume together."
PLANE_BY_PLANE = "Volumes of images are scored plane by plane, as SSIM and spectra are defined."
_NUMBERED = (
    "Objects are scored in three dimensions, as they keep their numbers from plane to plane; if "
    "these are times or positions, choose: plane by plane."
)
_MOST_STEPS = 8  # from a plane to the next one, that are looked at


def choose_volumes(
    compared: OpenPair, kind: Kind, chosen: Literal["auto", "planes", "volumes"]
) -> tuple[bool, list[str]]:
    """Return whether labels, given as source and target, are scored in volumes; and notes."""
    shapes = {compared.source.frame_shape, compared.target.frame_shape}
    has_planes = all(shape and shape[-1] > 1 for shape in shapes)
    if chosen == "planes" or kind == "image":
        return False, [PLANE_BY_PLANE] if chosen == "volumes" else []
    if chosen == "volumes":
        if not has_planes or len(shapes) > 1:
            raise InputError(
                "Labels are to be scored in volumes, and truth and prediction are no stacks of the "
                "same axes: choose plane by plane."
            )
        return True, [TOGETHER]
    if kind != "instances" or not has_planes or len(shapes) > 1:
        return False, []
    sides = compared.source, compared.target
    return (True, [_NUMBERED]) if all(map(_keeps_numbers, sides)) else (False, [])


def _keeps_numbers(labels: LazyImage) -> bool:
    """Whether most pixels of objects that lie above each other have the same number."""
    depth = labels.frame_shape[-1]
    steps = [first for first in range(labels.frames) if (first + 1) % depth]
    chosen = np.linspace(0, len(steps) - 1, min(len(steps), _MOST_STEPS)).astype(int)
    whole = slice(0, labels.height), slice(0, labels.width)
    same, both = 0, 0
    for step in chosen:
        first, second = (labels.read(steps[step] + z, *whole) for z in (0, 1))
        inside = (first != 0) & (second != 0)
        both += int(np.count_nonzero(inside))
        same += int(np.count_nonzero(inside & (first == second)))
    return same > both / 2
