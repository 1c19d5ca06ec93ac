"""What class maps and instance maps have in common: checks, and dtypes that hold the numbers."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import ConfigError, InputError


class LabelCodec:
    """What the codecs of labels answer alike."""

    @property
    def data_range(self) -> tuple[float, ...]:
        """Empty: labels have no range."""
        return ()


def check_label_blocks(blocks: Iterable[NDArray[Any]], what: str) -> list[NDArray[Any]]:
    """Check that blocks (C, h, w) hold labels, all of one dtype, and return them.

    Raises
    ------
    InputError
        If there is no block, dtypes or channel counts differ, or values are negative or floats.
    """
    arrays = list(blocks)
    if not arrays:
        raise InputError(f"There is no block of the {what} to measure; give at least one.")
    if len({array.shape[0] for array in arrays}) > 1:
        raise InputError(f"The {what} has different channel counts; give all images the same.")
    dtypes = sorted({array.dtype.newbyteorder("=").name for array in arrays})
    if len(dtypes) > 1:
        raise InputError(
            f"The {what} has dtype {' here, '.join(dtypes)} there; convert all labels to one dtype."
        )
    for array in arrays:
        check_labels(array, what)
    return arrays


def check_labels(labels: NDArray[Any], what: str) -> None:
    """Check that an array holds integers of 0 and more, or booleans.

    Raises
    ------
    InputError
        If values are negative or floats.
    """
    if labels.dtype.kind not in "biu":
        raise InputError(
            f"The {what} holds {labels.dtype} values, but labels are integers: convert it, for "
            "example with astype('uint16'), or treat it as an image."
        )
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise InputError(
            f"The {what} holds the negative label {labels.min()}; labels are 0 for the background "
            "and positive, so renumber it, or mask what is unlabelled."
        )


def check_channels(raw: NDArray[Any], channels: int) -> None:
    """Check that an array (C, H, W) has the channels that a codec was fitted to.

    Raises
    ------
    InputError
        If it has not.
    """
    if raw.shape[0] != channels:
        raise InputError(
            f"The labels have {raw.shape[0]} channels, the training labels had {channels}; give "
            "the same channels in the same order."
        )


def check_output(output: str) -> None:
    """Check that labels are asked for as labels.

    Raises
    ------
    ConfigError
        If they are asked for as floats, which labels have no meaning as.
    """
    if output != "target":
        raise ConfigError(
            f"The model's output is labels, which can't be had with output={output!r}; ask for "
            "output='target'."
        )


def holding_dtype(dtype: np.dtype[Any], largest: int) -> np.dtype[Any]:
    """Return `dtype`, or the smallest unsigned one that holds `largest` where it does not.

    Examples
    --------
    >>> holding_dtype(np.dtype("uint8"), 255), holding_dtype(np.dtype("uint8"), 256)
    (dtype('uint8'), dtype('uint16'))
    """
    if dtype.kind != "b" and largest <= np.iinfo(dtype).max:
        return dtype
    return np.result_type(np.min_scalar_type(largest), np.uint8)


def distinct_values(arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Return the sorted values of all arrays together."""
    return np.unique(np.concatenate([np.unique(array) for array in arrays])).astype(np.int64)


def labelled(
    arrays: Sequence[NDArray[Any]], valid: Iterable[NDArray[np.bool_]]
) -> list[NDArray[Any]]:
    """Return the values of arrays (C, h, w) that count by masks (1 or C, h, w)."""
    masks = [np.asarray(mask, bool) for mask in valid]
    return [
        array[np.broadcast_to(mask, array.shape)] for array, mask in zip(arrays, masks, strict=True)
    ]


def listed(values: Sequence[int], most: int = 8) -> str:
    """Name some labels.

    Examples
    --------
    >>> listed([3]), listed([3, 5, 7], most=2)
    ('label 3', 'labels 3, 5 and 1 more')
    """
    names = ", ".join(str(value) for value in values[:most])
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return f"{'label' if len(values) == 1 else 'labels'} {names}{more}"


def layout_from_dict(parts: dict[str, Any]) -> Layout:
    """Return the layout among the parts of a codec; what is amiss raises as `dict` and `int` do."""
    axis = parts["channel_axis"]
    return Layout(None if axis is None else operator.index(axis), bool(parts["rgb"]))
