"""Where an image keeps its channels."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import InputError


@dataclass(frozen=True)
class Layout:
    """Where an image keeps its channels, counted from the end so that it holds for any stack.

    Parameters
    ----------
    channel_axis : int, optional
        Negative axis of the channels in the whole array; None where there is none.
    rgb : bool
        Whether the channels are red, green and blue, as a viewer would show them.
    """

    channel_axis: int | None = None
    rgb: bool = False

    def assemble(self, planes: NDArray[Any], frame_shape: tuple[int, ...] = ()) -> NDArray[Any]:
        """Lay planes out as an image.

        Parameters
        ----------
        planes : array (F, C, H, W)
            One stack of planes for each frame, F being the product of `frame_shape`.
        frame_shape : tuple of int
            Lengths of the frame axes, in front of Y and X.

        Returns
        -------
        array
            ``(*frame_shape, H, W)`` with the channel axis, if any, where the layout has it. Where
            the image has too few axes for that, the channels come first.

        Raises
        ------
        InputError
            If there are several channels but no axis to keep them on.

        Examples
        --------
        >>> Layout(channel_axis=-1, rgb=True).assemble(np.zeros((1, 3, 4, 5))).shape
        (4, 5, 3)
        """
        channels, height, width = planes.shape[1:]
        if self.channel_axis is None:
            if channels != 1:
                raise InputError(
                    f"An image without a channel axis holds 1 channel, got {channels}; "
                    "give the layout a channel axis."
                )
            return planes.reshape(*frame_shape, height, width)
        stack = planes.reshape(*frame_shape, channels, height, width)
        axis = max(self.channel_axis, -stack.ndim)
        return np.ascontiguousarray(np.moveaxis(stack, -3, axis))


def counted_channels(count: int) -> str:
    """Say a number of channels.

    Examples
    --------
    >>> counted_channels(1), counted_channels(3)
    ('1 channel', '3 channels')
    """
    return f"{count} channel{'' if count == 1 else 's'}"


def find_layout(
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    channel_axis: int | None,
    rgb: bool | None,
    what: str,
) -> Layout:
    """Find where an array keeps its channels; see `Planes` for parameters and errors."""
    if rgb is None:
        rgb = channel_axis is None and _looks_rgb(shape, dtype)
    if rgb:
        if len(shape) < 3 or shape[-1] not in (3, 4):
            raise InputError(
                f"The {what} has shape {shape}; an RGB image has a last axis of length 3, or 4 "
                "with alpha."
            )
        return Layout(channel_axis=-1, rgb=True)
    if channel_axis is None:
        return Layout()
    try:
        ndim, axis = len(shape), operator.index(channel_axis)
    except TypeError:
        raise InputError(
            f"channel_axis must be an integer, got {channel_axis!r} for the {what}."
        ) from None
    if ndim < 3 or not -ndim <= axis < ndim:
        raise InputError(
            f"channel_axis={axis} does not fit the {what} of shape {shape}; "
            "it must be one of its axes and leave at least Y and X."
        )
    return Layout(channel_axis=axis if axis < 0 else axis - ndim)


def _looks_rgb(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    colours = dtype in (np.uint8, np.uint16) or dtype.kind == "f"
    return (
        colours
        and len(shape) >= 3
        and shape[-1] in (3, 4)
        and all(length > shape[-1] for length in shape[-3:-1])
    )
