"""The baseline of each kind of target: the score that a network has to beat."""
# Often a pixel of the source nearly determines the pixel of the target, and a high correlation then
# tells little about the network. So each score is compared with that of a map that ignores a
# pixel's neighbours: a least-squares fit for intensities, Otsu's threshold for objects and for two
# classes, linear discriminants for more.

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import InputError, plural
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores
from napari_pix2pix.metrics.segmentation import Array, Block, OtsuBaseline

Triple: TypeAlias = tuple[Array, Array, Array]  # a Block whose valid pixels are given

_CHUNK = 1 << 16  # pixels factorised at once, so that memory does not grow with the image
_RANK_TOLERANCE = 1e-10  # directions this much weaker than the strongest are rounding alone


@dataclass(frozen=True)
class LinearBaseline:
    """A weighted sum of the C source channels and a constant, for each of K target channels."""

    weights: tuple[tuple[float, ...], ...]  # K tuples of C
    offsets: tuple[float, ...]  # K

    @classmethod
    def fit(cls, pairs: Iterable[Block]) -> LinearBaseline:
        """Fit by least squares over the valid and finite pixels of all pairs; C may be 0."""
        # Of all best fits the one with the smallest weights is taken, so constant or collinear
        # source channels do no harm.
        # All pixels as float64 would not fit into memory. R of the QR decomposition of [1, source,
        # target] holds all that a fit needs, for each target channel. It is updated block by block
        # and, unlike the normal equations, does not square the condition number.
        factors: list[NDArray[np.float64]] = []
        for source, target, valid in pairs:
            _check_pair(source, target, factors)
            factors = factors or [np.zeros((0, len(source) + 2)) for _ in target]
            for channel, rows in _rows(source, target, valid):
                stacked = np.concatenate([factors[channel], rows])
                factors[channel] = np.asarray(np.linalg.qr(stacked, mode="r"))
        if not factors:
            raise InputError("There is no pair to fit a linear baseline to; give at least one.")
        fits = [_solve(factor, channel) for channel, factor in enumerate(factors)]
        return cls(
            weights=tuple(tuple(weights) for weights, _ in fits),
            offsets=tuple(offset for _, offset in fits),
        )

    def predict(self, source: Array) -> NDArray[np.float64]:
        """Map (C, H, W) to (K, H, W), neither rounded nor clipped; NaN and infinity count as 0."""
        weights = np.array(self.weights, dtype=np.float64)
        _check_channels(source, weights.shape[1])
        offsets = np.array(self.offsets)[:, np.newaxis, np.newaxis]
        return np.tensordot(weights, _finite(source), axes=1) + offsets

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LinearBaseline:
        """Rebuild the baseline from what `to_dict` returned."""
        return cls(_matrix(values["weights"]), _vector(values["offsets"]))


def _check_pair(source: Array, target: Array, factors: list[NDArray[np.float64]]) -> None:
    if source.ndim != 3 or target.ndim != 3 or source.shape[1:] != target.shape[1:]:
        raise InputError(
            f"The source has shape {source.shape} and the target {target.shape}; give "
            "(channels, height, width) with the same height and width."
        )
    if not factors:
        return
    sources, targets = factors[0].shape[1] - 2, len(factors)
    if (len(source), len(target)) != (sources, targets):
        raise InputError(
            f"Source and target of a pair have {len(source)} and {len(target)} channels, those of "
            f"the first pair {sources} and {targets}; give pairs with the same channels."
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


def _solve(factor: NDArray[np.float64], channel: int) -> tuple[list[float], float]:
    """Return the C weights and the constant that a QR factor's least squares have."""
    if len(factor) == 0:
        raise InputError(
            f"Target channel {channel} has no valid pixel to fit a linear baseline to; give a "
            "target and a mask with at least one."
        )
    # The constant comes first: its row holds the means, and the rows below the centred problem,
    # in which a constant channel is nothing and gets no weight.
    *means, mean = factor[0, 1:] / factor[0, 0]
    inputs, outputs = factor[1:, 1:-1], factor[1:, -1]
    # Columns of equal length: what is negligible must not depend on a channel's units.
    lengths = np.linalg.norm(inputs, axis=0)
    lengths[lengths <= _RANK_TOLERANCE * np.linalg.norm(factor[:, 1:-1], axis=0)] = np.inf
    solution = np.linalg.lstsq(inputs / lengths, outputs, rcond=_RANK_TOLERANCE)[0]
    weights = [float(value) for value in solution / lengths]
    return weights, float(mean - np.dot(weights, means))


@dataclass(frozen=True)
class DiscriminantBaseline:
    """Linear discriminant analysis of single pixels (Fisher, 1936), for K classes."""

    # Least squares to one plane per class would never choose a class between two others, such as
    # grey between black and white; discriminants do.

    values: tuple[int, ...]  # the K labels
    weights: tuple[tuple[float, ...], ...]  # K tuples of C
    offsets: tuple[float, ...]  # K; the class with the largest sum is chosen

    @classmethod
    def fit(cls, pairs: Iterable[Block]) -> DiscriminantBaseline:
        """Fit to the valid pixels, whose source is finite, of all pairs."""
        # Classes are either equally likely, or as likely as they are frequent: the better mean Dice
        # decides.
        pixels = [_class_pixels(*pair) for pair in pairs]
        if not sum(len(labels) for _, labels in pixels):
            raise InputError("No pixel is valid to fit a baseline to; give at least one.")

        def mean_dice(candidate: DiscriminantBaseline) -> float:
            counts = [
                label_counts(candidate._choose(rows), labels, kind="classes")
                for rows, labels in pixels
                if len(labels)
            ]
            return pool_label_scores(counts)["dice"]

        return max(_discriminants(pixels), key=mean_dice)

    def predict(self, source: Array) -> Array:
        """Classify the pixels (C, H, W) into labels (1, H, W); NaN and infinity count as 0."""
        _check_channels(source, len(self.weights[0]))
        rows = _finite(source).reshape(len(source), -1).T
        return self._choose(rows).reshape(1, *source.shape[1:])

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values; "map" tells which baseline it is."""
        return {"map": "classes", **asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DiscriminantBaseline:
        """Rebuild the baseline from what `to_dict` returned."""
        labels = tuple(int(value) for value in values["values"])
        return cls(labels, _matrix(values["weights"]), _vector(values["offsets"]))

    def _choose(self, rows: Array) -> Array:
        """Return the labels (N,) of source values (N, C)."""
        sums = rows.astype(np.float64) @ np.array(self.weights).T + self.offsets
        return np.array(self.values)[np.argmax(sums, axis=1)]


def _class_pixels(source: Array, target: Array, valid: Array | None) -> tuple[Array, Array]:
    """Return the valid pixels: source values (N, C) and labels (N,)."""
    counted = np.isfinite(source).all(axis=0)
    if valid is not None:
        counted &= np.broadcast_to(np.asarray(valid, bool), target.shape)[0]
    return source[:, counted].T, target[0][counted].astype(np.int64)


def _discriminants(pixels: list[tuple[Array, Array]]) -> list[DiscriminantBaseline]:
    """Return the discriminants for equal and for measured frequencies of the classes."""
    values = np.unique(np.concatenate([np.unique(labels) for _, labels in pixels]))
    channels = pixels[0][0].shape[1]
    counts = np.zeros(len(values))
    sums = np.zeros((len(values), channels))
    # Moments about a first guess, so that a large offset of the intensities costs no precision.
    origin = next(rows for rows, _ in pixels if len(rows)).mean(axis=0, dtype=np.float64)
    moments = np.zeros((channels, channels))
    for rows, labels in pixels:
        numbers, centred = np.searchsorted(values, labels), rows - origin
        counts += np.bincount(numbers, minlength=len(values))
        for channel, column in enumerate(centred.T):
            sums[:, channel] += np.bincount(numbers, column, minlength=len(values))
        moments += centred.T @ centred
    frequencies = counts / counts.sum()
    means = sums / counts[:, np.newaxis]
    centre = frequencies @ means
    within = (moments - means.T @ sums) / counts.sum()
    # A channel that varies in no class would get an infinite weight.
    within += np.diag(1e-6 * (np.diag(moments) / counts.sum() - centre**2))
    means -= centre
    weights = means @ np.linalg.pinv(within, hermitian=True)
    constants = -0.5 * (weights * means).sum(axis=1) - weights @ (origin + centre)
    priors = (np.zeros(len(values)), np.log(frequencies))
    return [
        DiscriminantBaseline(
            tuple(int(value) for value in values), _matrix(weights), _vector(constants + prior)
        )
        for prior in priors
    ]


def _check_channels(source: Array, channels: int) -> None:
    if source.ndim != 3 or len(source) != channels:
        raise InputError(
            f"The source has shape {source.shape}; give (channels, height, width). This baseline "
            f"was fitted to {plural(channels, 'channel')}."
        )


def _finite(source: Array) -> NDArray[np.float64]:
    return np.nan_to_num(source.astype(np.float64), posinf=0.0, neginf=0.0)


def _vector(values: Iterable[Any]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _matrix(rows: Iterable[Iterable[Any]]) -> tuple[tuple[float, ...], ...]:
    return tuple(_vector(row) for row in rows)


Baseline: TypeAlias = LinearBaseline | OtsuBaseline | DiscriminantBaseline


def fit_baseline(
    triples: Sequence[Triple],
    *,
    kind: Literal["image", "classes", "instances"],
    rgb: bool = False,
    smallest: int = 1,
) -> Baseline:
    """Fit the baseline of a kind of target to blocks; with `rgb` haematoxylin is tried too."""
    if kind == "image":
        return LinearBaseline.fit(triples)
    if kind == "classes" and len({value for _, t, v in triples for value in np.unique(t[v])}) > 2:
        return DiscriminantBaseline.fit(triples)
    return OtsuBaseline.fit(triples, kind=kind, rgb=rgb, smallest=smallest)


@dataclass(frozen=True)
class Baselines:
    """The baseline of each condition, in order; one without conditions, none if not fitted."""

    maps: tuple[Baseline, ...]

    def predict(self, source: Array, condition: int = 0) -> Array:
        """Predict (K, H, W) from a source (C, H, W) under a condition's index."""
        return self.maps[condition].predict(source)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {"maps": [baseline.to_dict() for baseline in self.maps]}

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> Baselines:
        """Rebuild the baselines from what `to_dict` returned."""
        return cls(tuple(_baseline_from_dict(values) for values in parts["maps"]))


def _baseline_from_dict(values: Mapping[str, Any]) -> Baseline:
    match values.get("map"):
        case "otsu":
            return OtsuBaseline.from_dict(values)
        case "classes":
            return DiscriminantBaseline.from_dict(values)
    return LinearBaseline.from_dict(values)
