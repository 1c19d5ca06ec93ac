"""Arrays that are computed only where they are read."""

from __future__ import annotations

import math
import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class LazyArray(ABC):
    """An array that is read by windows: integers, slices of positive step and ``...``."""

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.dtype = shape, dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    @abstractmethod
    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window given by a slice of step 1 for each axis, within the array."""

    def __getitem__(self, index: Any) -> NDArray[Any]:
        parts = _one_per_axis(index, self.ndim)
        window: list[slice] = []
        pick: list[slice | int] = []
        for axis, (part, length) in enumerate(zip(parts, self.shape, strict=True)):
            if isinstance(part, slice):
                start, stop, step = part.indices(length)
                if step < 0:
                    raise IndexError(f"Slices of negative step can't be read lazily, got {part}.")
                window.append(slice(start, max(start, stop)))
                pick.append(slice(None, None, step))
            else:
                position = _position(part, axis, length)
                window.append(slice(position, position + 1))
                pick.append(0)
        return self.read_window(tuple(window))[tuple(pick)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("A lazy array is computed when it is read; copy=False is impossible.")
        return np.asarray(self[...], dtype=dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.dtype} {self.shape}>"


class TakenChannels(LazyArray):
    """Some channels of an array, or a single one without its axis."""

    def __init__(self, array: Any, axis: int, channels: Sequence[int] | int) -> None:
        kept = [] if isinstance(channels, int) else [len(channels)]
        before, after = array.shape[:axis], array.shape[axis + 1 :]
        super().__init__(tuple(map(int, (*before, *kept, *after))), np.dtype(array.dtype))
        self._array, self._axis, self._channels = array, axis, channels

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window of the channels."""
        axis, channels = self._axis, self._channels
        if isinstance(channels, int):
            return np.asarray(self._array[(*window[:axis], channels, *window[axis:])])
        index = [(*window[:axis], number, *window[axis + 1 :]) for number in channels[window[axis]]]
        return np.stack([np.asarray(self._array[one]) for one in index], axis)


class RestOfArray(LazyArray):
    """The part of an array that begins at an index of one axis."""

    def __init__(self, array: Any, axis: int, start: int) -> None:
        shape = list(map(int, array.shape))
        shape[axis] -= start
        super().__init__(tuple(shape), np.dtype(array.dtype))
        self._array, self._axis, self._start = array, axis % len(shape), start

    def read_window(self, window: tuple[slice, ...]) -> NDArray[Any]:
        """Read a window, counted from the index."""
        moved, axis = list(window), self._axis
        span = moved[axis]
        moved[axis] = slice(span.start + self._start, span.stop + self._start)
        return np.asarray(self._array[tuple(moved)])


def _one_per_axis(index: Any, ndim: int) -> list[Any]:
    parts = list(index) if isinstance(index, tuple) else [index]
    if sum(part is Ellipsis for part in parts) > 1:
        raise IndexError("An index can only have a single ellipsis ('...').")
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    at = next(i for i, part in enumerate(parts) if part is Ellipsis)
    missing = ndim - (len(parts) - 1)
    if missing < 0:
        raise IndexError(f"The array has {ndim} axes, but {len(parts) - 1} were indexed.")
    return [*parts[:at], *[slice(None)] * missing, *parts[at + 1 :]]


def _position(part: Any, axis: int, length: int) -> int:
    try:
        position = operator.index(part)
    except TypeError:
        raise IndexError(
            f"A lazy array is indexed with integers and slices, got {type(part).__name__}."
        ) from None
    if not -length <= position < length:
        raise IndexError(f"Index {position} is out of bounds for axis {axis} of length {length}.")
    return position % length
