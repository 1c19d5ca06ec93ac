"""The best trivial map: the score that a network has to beat.

Often the source nearly tells the target pixel by pixel, and a high correlation then says little
about the network. So every score stands beside that of a least-squares fit from the source's
channels to each target channel, which knows nothing of a pixel's neighbours.

The best trivial map for each kind of target: what any network has to beat.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics._discriminant_baseline import ClassMap
from napari_pix2pix.metrics._otsu_baseline import OtsuMap

Array = NDArray[Any]

_CHUNK = 1 << 16  # pixels factorised at once, so that memory does not grow with the image
_RANK_TOLERANCE = 1e-10  # directions this much weaker than the strongest are rounding alone


@dataclass(frozen=True)
class LinearMap:
    """A weighted sum of the source's channels and a constant, for each target channel.

    Attributes
    ----------
    weights : tuple of K tuples of C floats
        The weight of each source channel, for each target channel.
    offsets : tuple of K floats
        The constant of each target channel.

    Examples
    --------
    >>> import numpy as np
    >>> source = np.arange(12.0).reshape(1, 3, 4)
    >>> line = LinearMap.fit([(source, 2 * source + 3, None)])
    >>> np.round(line.weights, 6).tolist(), np.round(line.offsets, 6).tolist()
    ([[2.0]], [3.0])
    """

    weights: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]

    @classmethod
    def fit(cls, pairs: Iterable[tuple[Array, Array, Array | None]]) -> LinearMap:
        """Fit by least squares over the valid pixels of all pairs.

        The pairs are seen once, one at a time. Constant or collinear source channels are no
        harm: of all best fits the one with the smallest weights is taken.

        Parameters
        ----------
        pairs : iterable of (source, target, valid)
            Source (C, h, w), C may be 0; target (K, h, w); valid None, or bool that broadcasts to
            the target. Pixels with a value that is not finite, in any source channel or in the
            target channel fitted, never count.

        Returns
        -------
        LinearMap

        Raises
        ------
        InputError
            If shapes do not fit together or a target channel has no valid pixel.
        """
        # One triangle a target channel holds all that its pixels say: R of the QR decomposition
        # of [1, source, target]. It needs no second pass, and unlike the normal equations it
        # does not square the condition number.
        triangles: list[NDArray[np.float64]] = []
        for source, target, valid in pairs:
            _check_pair(source, target, triangles)
            triangles = triangles or [np.zeros((0, len(source) + 2)) for _ in target]
            for channel, rows in _rows(source, target, valid):
                stacked = np.concatenate([triangles[channel], rows])
                triangles[channel] = np.asarray(np.linalg.qr(stacked, mode="r"))
        if not triangles:
            raise InputError("There is no pair to fit a linear map to; give at least one.")
        fits = [_solve(triangle, channel) for channel, triangle in enumerate(triangles)]
        return cls(
            weights=tuple(tuple(weights) for weights, _ in fits),
            offsets=tuple(offset for _, offset in fits),
        )

    def predict(self, source: Array) -> NDArray[np.float64]:
        """Map an image.

        Parameters
        ----------
        source : ndarray
            (C, H, W), with as many channels as the map was fitted to; what is not finite counts
            as 0.

        Returns
        -------
        ndarray of float64
            (K, H, W), neither rounded nor clipped.

        Raises
        ------
        InputError
            If the source has another number of channels.
        """
        weights = np.array(self.weights, dtype=np.float64)  # (K, C)
        if source.ndim != 3 or len(source) != weights.shape[1]:
            raise InputError(
                f"The source has shape {source.shape}; this linear map was fitted to "
                f"{weights.shape[1]} channels, give (channels, height, width)."
            )
        offsets = np.array(self.offsets)[:, np.newaxis, np.newaxis]
        known = np.nan_to_num(source.astype(np.float64), posinf=0.0, neginf=0.0)
        return np.tensordot(weights, known, axes=1) + offsets

    def to_dict(self) -> dict[str, Any]:
        """Return the map as lists of floats, ready for JSON."""
        return {"weights": [list(row) for row in self.weights], "offsets": list(self.offsets)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LinearMap:
        """Rebuild a map from what `to_dict` gave."""
        return cls(
            weights=tuple(tuple(map(float, row)) for row in values["weights"]),
            offsets=tuple(map(float, values["offsets"])),
        )


def _check_pair(source: Array, target: Array, triangles: list[NDArray[np.float64]]) -> None:
    if source.ndim != 3 or target.ndim != 3 or source.shape[1:] != target.shape[1:]:
        raise InputError(
            f"The source has shape {source.shape} and the target {target.shape}; give "
            "(channels, height, width) with the same height and width."
        )
    if triangles and (len(target), len(source) + 2) != (len(triangles), triangles[0].shape[1]):
        raise InputError(
            f"A pair has {len(source)} source and {len(target)} target channels, the first had "
            f"{triangles[0].shape[1] - 2} and {len(triangles)}; give pairs that agree."
        )


def _rows(
    source: Array, target: Array, valid: Array | None
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """Yield a target channel and the rows [1, source, target] of some of its valid pixels."""
    counted = np.isfinite(target) & np.isfinite(source).all(axis=0)
    if valid is not None:
        counted &= np.broadcast_to(np.asarray(valid, dtype=bool), target.shape)
    for channel, plane in enumerate(target):
        pixels = np.flatnonzero(counted[channel])
        for start in range(0, len(pixels), _CHUNK):
            chosen = pixels[start : start + _CHUNK]
            values = [image.reshape(-1)[chosen] for image in (*source, plane)]
            ones = np.ones(len(chosen))
            yield channel, np.stack([ones, *values], axis=1, dtype=np.float64)


def _solve(triangle: NDArray[np.float64], channel: int) -> tuple[list[float], float]:
    if len(triangle) == 0:
        raise InputError(
            f"Target channel {channel} has no valid pixel to fit a linear map to; give a target "
            "and a mask with at least one."
        )
    # The constant comes first: its row holds the means, and the rows below the centred problem,
    # in which a constant channel is nothing and gets no weight.
    *means, mean = triangle[0, 1:] / triangle[0, 0]
    inputs, outputs = triangle[1:, 1:-1], triangle[1:, -1]
    # Columns of equal length: what is negligible must not depend on a channel's units.
    lengths = np.linalg.norm(inputs, axis=0)
    lengths[lengths <= _RANK_TOLERANCE * np.linalg.norm(triangle[:, 1:-1], axis=0)] = np.inf
    solution = np.linalg.lstsq(inputs / lengths, outputs, rcond=_RANK_TOLERANCE)[0]
    weights = [float(value) for value in solution / lengths]
    return weights, float(mean - np.dot(weights, means))


TrivialMap: TypeAlias = LinearMap | OtsuMap | ClassMap
Triple: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


def fit_trivial(
    triples: Sequence[Triple],
    *,
    kind: Literal["image", "classes", "instances"],
    rgb: bool = False,
    smallest: int = 1,
) -> TrivialMap:
    """Fit the best trivial map on training pixels.

    Parameters
    ----------
    triples : sequence of (source, target, valid)
        (C, h, w), (K, h, w), and bool (1 or K, h, w).
    kind : {"image", "classes", "instances"}
        Of the target: a least-squares fit for intensities; Otsu for instances and for two classes;
        linear discriminants for more.
    rgb : bool
        Whether the source is RGB, so that haematoxylin is tried too.
    smallest : int
        Smaller objects are dropped, as the network's are.
    """
    if kind == "image":
        return LinearMap.fit(triples)
    if kind == "classes" and len({value for _, t, v in triples for value in np.unique(t[v])}) > 2:
        return ClassMap.fit(triples)
    return OtsuMap.fit(triples, kind=kind, rgb=rgb, smallest=smallest)


@dataclass(frozen=True)
class TrivialMaps:
    """The best trivial map of each condition; of the only one, where a model has none.

    Attributes
    ----------
    maps : tuple of TrivialMap
        In the order of the model's conditions; empty where nothing was fitted.
    """

    maps: tuple[TrivialMap, ...]

    def predict(self, source: np.ndarray, condition: int = 0) -> np.ndarray:
        """Predict (K, H, W) from a source (C, H, W) under a condition's index."""
        return self.maps[condition].predict(source)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {"maps": [one.to_dict() for one in self.maps]}

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> TrivialMaps:
        """Build the maps whose `to_dict` returned ``parts``."""
        return cls(tuple(_map_from_dict(one) for one in parts["maps"]))


def _map_from_dict(parts: Mapping[str, Any]) -> TrivialMap:
    match parts.get("map"):
        case "otsu":
            return OtsuMap.from_dict(parts)
        case "classes":
            return ClassMap.from_dict(parts)
    return LinearMap.from_dict(parts)
