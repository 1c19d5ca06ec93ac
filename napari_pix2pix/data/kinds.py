"""Distinguishes images, class maps and instance maps by their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["image", "classes", "instances"]
Side = Literal["source", "target"]

# Measured on nuclei images and their labels, photographs, and simulated fluorescence that is dim,
# saturated or mostly black: images reach 0.18 (0.52 when enlarged twice), labels start at 0.84.
_COMPACT = 0.6
# An image without noise steps from each gray level to the next, labels do not. Up to this many
# values that proves nothing, since classes 1, 2, 3 may well be nested.
_FEW_VALUES = 8
_UNIT_STEPS = 0.75
# Classes occur in many regions each, instances in one. More classes than this are gray levels.
_REGIONS_PER_INSTANCE = 1.3
_MOST_CLASSES = 64
# One image is reported to be of another kind than its set only if that is sure: instances from so
# many values on, classes from so many regions a value, an image from more values than classes have.
_SURE_INSTANCES = 8
_SURE_CLASSES = 2.0
# A mask that was compressed or resized: fewer values lie between than this part of those that lie
# near 0, and of those near 255, so many levels away at most.
_NEAR, _FEW_BETWEEN = 32, 0.5


def infer_kind(values: NDArray[Any] | Sequence[NDArray[Any]]) -> Kind:
    """Infer what arrays (..., H, W) of one channel, windows of one set, hold."""
    # Labels are integers in large constant regions: the median value shares at least 0.6 of its
    # pixels' neighbours. 0 is ignored, so that black grounds and saturation don't count. Instances
    # have about one region for each value; two values beside the background count as classes.
    windows = _windows(values)
    dtypes = {window.dtype.kind for window in windows}
    if dtypes == {"b"}:
        return "classes"
    if not dtypes <= set("biu"):
        return "image"
    levels = np.unique(np.concatenate([np.unique(window) for window in windows]))
    if len(levels) < 2 or not _looks_labelled(windows, levels):
        return "image"
    foreground = np.count_nonzero(levels)
    if foreground > 2 and is_one_region_each(windows):
        return "instances"
    return "classes" if len(levels) <= _MOST_CLASSES else "image"


def other_kinds(windows: Mapping[str, Sequence[NDArray[Any]]], kind: Kind) -> dict[Kind, list[str]]:
    """Return by kind the names of the images that are surely of another kind than `kind`."""
    others: dict[Kind, list[str]] = {}
    for name, arrays in windows.items():
        other = _sure_kind(_windows(arrays))
        if other not in (kind, None):
            others.setdefault(other, []).append(name)
    return others


def describe_kind(values: NDArray[Any] | Sequence[NDArray[Any]], kind: Kind | None = None) -> str:
    """Describe arrays (..., H, W) in a line: "uint16 -> 214 instances"."""
    # Classes are counted over all arrays, with the background; instances in each array.
    kind = kind or infer_kind(values)
    arrays = [values] if isinstance(values, np.ndarray) else list(values)
    dtype = np.result_type(*arrays).name
    if kind == "image":
        return f"{dtype} -> image"
    levels = [np.unique(array) for array in arrays]
    if kind == "classes":
        return f"{dtype} -> {len(np.unique(np.concatenate(levels)))} classes"
    return f"{dtype} -> {sum(int(np.count_nonzero(values)) for values in levels)} instances"


def is_blurred_mask(windows: Sequence[NDArray[Any]]) -> bool:
    """Say whether windows look like a mask of 0 and 255 that was saved as JPEG or resized."""
    if any(window.dtype != np.uint8 for window in windows):
        return False
    counts = np.sum([np.bincount(window.ravel(), minlength=256) for window in windows], axis=0)
    low, high = int(counts[: _NEAR + 1].sum()), int(counts[-_NEAR - 1 :].sum())
    between = int(counts.sum()) - low - high
    inexact = counts[1 : _NEAR + 1].any() and counts[-_NEAR - 1 : -1].any()
    return bool(inexact and between < _FEW_BETWEEN * min(low, high))


def is_one_region_each(windows: Sequence[NDArray[Any]]) -> bool:
    """Say whether each value of labels (..., H, W) fills about one region, as objects do."""
    return _regions_per_value(_windows(windows)) <= _REGIONS_PER_INSTANCE


def has_shared_numbers(windows: Sequence[NDArray[Any]]) -> bool:
    """Say whether labels (C, h, w) give several objects one number, as masks and classes do."""
    labels = [window for window in _windows(windows) if window.any()]
    if not labels:
        return False
    one_number = len(np.unique(np.concatenate([np.unique(window) for window in labels]))) <= 2
    limit = _REGIONS_PER_INSTANCE if one_number else _SURE_CLASSES
    return _regions_per_value(labels) > limit


def _windows(values: NDArray[Any] | Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    arrays = [values] if isinstance(values, np.ndarray) else list(values)
    return [window for array in arrays for window in array.reshape(-1, *array.shape[-2:])]


def _sure_kind(windows: Sequence[NDArray[Any]]) -> Kind | None:
    """Return the kind of one image; None if it has too few values to be sure."""
    if any(window.dtype.kind not in "iu" for window in windows):
        return None
    foreground = np.count_nonzero(
        np.unique(np.concatenate([np.unique(window) for window in windows]))
    )
    kind = infer_kind(windows)
    if kind == "image":
        return kind if foreground > _MOST_CLASSES else None
    if kind == "instances":
        return kind if foreground >= _SURE_INSTANCES else None
    sure = foreground > 2 and _regions_per_value(windows) >= _SURE_CLASSES
    return kind if sure else None


def _looks_labelled(windows: Sequence[NDArray[Any]], levels: NDArray[Any]) -> bool:
    """Say whether values fill compact regions, and are not steps of a smooth ramp."""
    count = len(levels)
    area, same = np.zeros(count), np.zeros(count)
    steps = unit_steps = 0
    for window in windows:
        # Ranks in place of values: a grey level is one step, whatever the image was scaled with.
        ranks = np.searchsorted(levels, window)
        area += np.bincount(ranks.ravel(), minlength=count)
        for first, second in ((ranks[1:], ranks[:-1]), (ranks[:, 1:], ranks[:, :-1])):
            equal = first == second
            same += np.bincount(first[equal], minlength=count)
            steps += equal.size - int(np.count_nonzero(equal))
            unit_steps += int(np.count_nonzero(np.abs(first - second) == 1))
    foreground = levels != 0
    compactness = float(np.median(same[foreground] / (2 * area[foreground])))
    ramp = count > _FEW_VALUES and unit_steps > _UNIT_STEPS * steps
    return compactness >= _COMPACT and not ramp


def _regions_per_value(windows: Sequence[NDArray[Any]]) -> float:
    """Return the mean number of connected regions of a value, in windows where it occurs."""
    # skimage.measure takes a while to import, and most arrays are decided without it.
    from skimage.measure import label

    regions = occurrences = 0
    for window in windows:
        regions += int(label(window, background=0, connectivity=2).max())
        occurrences += int(np.count_nonzero(np.unique(window)))
    return regions / occurrences
