"""Told apart by their values: images, class maps and instance maps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["image", "classes", "instances"]

# Measured on nuclei images and their labels, photographs, and simulated fluorescence that is dim,
# saturated or mostly black: images reach 0.18 (0.52 when enlarged twice), labels start at 0.84.
_COMPACT = 0.6
# Up to this many values, neighbouring ones say nothing: classes 1, 2, 3 may well be nested. With
# more, an image without noise still steps from each grey level to the next; labels do not.
_FEW_VALUES = 8
_UNIT_STEPS = 0.75
# Classes come back in many regions each, instances in one; more classes than this are grey levels.
_REGIONS_PER_INSTANCE = 1.3
_MOST_CLASSES = 64
# One image alone is said to be of another kind than its set only where there is little doubt:
# instances from so many values on, classes from so many regions a value, an image from more
# values than classes may have.
_SURE_INSTANCES = 8
_SURE_CLASSES = 2.0


def find_kind(values: NDArray[Any] | Sequence[NDArray[Any]]) -> Kind:
    """Say whether an array holds intensities, classes or instances.

    Parameters
    ----------
    values : array (..., H, W) or sequence of such arrays
        One channel. Leading axes are frames; several arrays are windows of one set and are judged
        together, so that small ones don't decide alone.

    Returns
    -------
    {'image', 'classes', 'instances'}
        Labels are integers in large constant regions: the median value (0 is background and has
        no say, so that black grounds and saturation don't count) has at least 0.6 of its pixels'
        neighbours in common with itself. Instances have about one region a value; two values
        beside the background could be either and count as classes. Booleans are classes, floats
        and constants are images.

    Examples
    --------
    >>> labels = np.zeros((32, 32), np.uint16)
    >>> labels[2:12, 2:12], labels[2:12, 20:30], labels[18:28, 4:14] = 1, 2, 3
    >>> find_kind(labels)
    'instances'
    >>> find_kind(np.arange(1024, dtype=np.uint8).reshape(32, 32))
    'image'
    """
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
    if foreground > 2 and _regions_per_value(windows) <= _REGIONS_PER_INSTANCE:
        return "instances"
    return "classes" if len(levels) <= _MOST_CLASSES else "image"


def other_kinds(windows: Mapping[str, Sequence[NDArray[Any]]], kind: Kind) -> dict[Kind, list[str]]:
    """Find the images of a set that are surely of another kind than the set was taken for.

    Parameters
    ----------
    windows : mapping of str to sequence of arrays (..., H, W)
        By the name of the image.
    kind : {'image', 'classes', 'instances'}
        What the set was taken for.

    Returns
    -------
    dict of str to list of str
        Other kinds, and the names of the images that look like them; images that could be of
        either kind are left out.
    """
    others: dict[Kind, list[str]] = {}
    for name, its in windows.items():
        found = _sure_kind(_windows(its))
        if found not in (kind, None):
            others.setdefault(found, []).append(name)
    return others


def describe_kind(values: NDArray[Any] | Sequence[NDArray[Any]], kind: Kind | None = None) -> str:
    """Say in a line how an array is understood, for example ``uint16 -> 214 instances``.

    Parameters
    ----------
    values : array (..., H, W) or sequence of such arrays
        Classes are counted over all arrays, background included; instances in each array.
    kind : {'image', 'classes', 'instances'}, optional
        As chosen by the user; found from the values otherwise.

    Examples
    --------
    >>> describe_kind(np.eye(8, dtype=bool))
    'bool -> 2 classes'
    """
    kind = kind or find_kind(values)
    arrays = [values] if isinstance(values, np.ndarray) else list(values)
    dtype = np.result_type(*arrays).name
    if kind == "image":
        return f"{dtype} -> image"
    levels = [np.unique(array) for array in arrays]
    if kind == "classes":
        return f"{dtype} -> {len(np.unique(np.concatenate(levels)))} classes"
    return f"{dtype} -> {sum(int(np.count_nonzero(one)) for one in levels)} instances"


def _windows(values: NDArray[Any] | Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    arrays = [values] if isinstance(values, np.ndarray) else list(values)
    return [window for array in arrays for window in array.reshape(-1, *array.shape[-2:])]


def _sure_kind(windows: Sequence[NDArray[Any]]) -> Kind | None:
    """Return the kind of one image; None where a few values leave a doubt."""
    if any(window.dtype.kind not in "iu" for window in windows):
        return None
    foreground = np.count_nonzero(np.unique(np.concatenate([np.unique(one) for one in windows])))
    kind = find_kind(windows)
    if kind == "image":
        return kind if foreground > _MOST_CLASSES else None
    if kind == "instances":
        return kind if foreground >= _SURE_INSTANCES else None
    sure = foreground > 2 and _regions_per_value(windows) >= _SURE_CLASSES
    return kind if sure else None


def _looks_labelled(windows: Sequence[NDArray[Any]], levels: NDArray[Any]) -> bool:
    """Whether values fill compact regions, and are not steps of a smooth ramp."""
    count = len(levels)
    area, same = np.zeros(count), np.zeros(count)
    steps = unit_steps = 0
    for window in windows:
        # Ranks in place of values: a grey level is one step, whatever the image was scaled with.
        ranks = np.searchsorted(levels, window)
        area += np.bincount(ranks.ravel(), minlength=count)
        for one, other in ((ranks[1:], ranks[:-1]), (ranks[:, 1:], ranks[:, :-1])):
            equal = one == other
            same += np.bincount(one[equal], minlength=count)
            steps += equal.size - int(np.count_nonzero(equal))
            unit_steps += int(np.count_nonzero(np.abs(one - other) == 1))
    foreground = levels != 0
    compactness = float(np.median(same[foreground] / (2 * area[foreground])))
    ramp = count > _FEW_VALUES and unit_steps > _UNIT_STEPS * steps
    return compactness >= _COMPACT and not ramp


def _regions_per_value(windows: Sequence[NDArray[Any]]) -> float:
    """Mean number of connected regions of a value in a window where it occurs."""
    # skimage.measure takes a while to import, and most arrays are decided without it.
    from skimage.measure import label

    regions = occurrences = 0
    for window in windows:
        regions += int(label(window, background=0, connectivity=2).max())
        occurrences += int(np.count_nonzero(np.unique(window)))
    return regions / occurrences
