"""Where a layer lies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.layers import Layer

Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Place:
    """Where a layer lies: its transforms, and unit and label of each axis, RGB not among them.

    Attributes
    ----------
    scale, translate : tuple of float
        One an axis.
    rotate, shear : tuple of tuples of float
        Matrices, (ndim, ndim).
    affine : tuple of tuples of float
        Matrix, (ndim + 1, ndim + 1), applied after the others.
    units, axis_labels : tuple of str
        One an axis.
    """

    scale: tuple[float, ...]
    translate: tuple[float, ...]
    rotate: Matrix
    shear: Matrix
    affine: Matrix
    units: tuple[str, ...]
    axis_labels: tuple[str, ...]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.scale)

    @property
    def matrix(self) -> NDArray[np.float64]:
        """From data to world coordinates, (ndim + 1, ndim + 1)."""
        inner = np.eye(self.ndim + 1)
        inner[:-1, :-1] = np.array(self.rotate) @ np.array(self.shear) @ np.diag(self.scale)
        inner[:-1, -1] = self.translate
        return np.array(self.affine) @ inner

    def keywords(self) -> dict[str, Any]:
        """Return what a layer takes to lie here."""
        matrices = {name: np.array(getattr(self, name)) for name in ("rotate", "shear", "affine")}
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | matrices

    def without(self, axis: int) -> Place:
        """Leave an axis out, such as that of the channels."""
        return self._of([i for i in range(self.ndim) if i != axis % self.ndim])

    def last(self, count: int) -> Place:
        """Keep the last axes only."""
        return self._of(list(range(self.ndim - count, self.ndim)))

    def with_axis_in_front(self, label: str) -> Place:
        """Add a first axis that changes nothing, with a label of its own."""

        def grown(matrix: Matrix) -> Matrix:
            larger = np.eye(len(matrix) + 1)
            larger[1:, 1:] = matrix
            return _frozen(larger)

        return Place(
            scale=(1.0, *self.scale),
            translate=(0.0, *self.translate),
            rotate=grown(self.rotate),
            shear=grown(self.shear),
            affine=grown(self.affine),
            units=("pixel", *self.units),
            axis_labels=(label, *self.axis_labels),
        )

    def _of(self, axes: list[int]) -> Place:
        def part(values: Any) -> tuple[Any, ...]:
            return tuple(values[axis] for axis in axes)

        def block(matrix: Matrix, axes: list[int] = axes) -> Matrix:
            return _frozen(np.array(matrix)[np.ix_(axes, axes)])

        return Place(
            scale=part(self.scale),
            translate=part(self.translate),
            rotate=block(self.rotate),
            shear=block(self.shear),
            affine=block(self.affine, [*axes, self.ndim]),
            units=part(self.units),
            axis_labels=part(self.axis_labels),
        )


def place_of(layer: Layer) -> Place:
    """Read where a layer lies."""
    _, told, _ = layer.as_layer_data_tuple()
    shear = np.asarray(told["shear"], float)
    if shear.ndim == 1:
        matrix = np.eye(layer.ndim)
        matrix[np.triu_indices(layer.ndim, 1)] = shear
        shear = matrix
    return Place(
        scale=tuple(map(float, told["scale"])),
        translate=tuple(map(float, told["translate"])),
        rotate=_frozen(told["rotate"]),
        shear=_frozen(shear),
        affine=_frozen(told["affine"]),
        units=tuple(map(str, told["units"])),
        axis_labels=tuple(told["axis_labels"]),
    )


def _frozen(matrix: Any) -> Matrix:
    return tuple(tuple(map(float, row)) for row in np.asarray(matrix))
