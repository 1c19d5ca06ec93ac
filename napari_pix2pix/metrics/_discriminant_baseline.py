"""The best trivial map for several classes: what a pixel's own values tell, without neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores

Array = NDArray[Any]
Triple = tuple[Array, Array, Array | None]


@dataclass(frozen=True)
class ClassMap:
    """Linear discriminant analysis of single pixels (Fisher, 1936).

    Least squares to one plane a class would never choose a class that lies between two others, as
    grey between black and white; discriminants do.

    Attributes
    ----------
    values : tuple of K int
        Labels of the classes.
    weights : tuple of K tuples of C floats
        The weight of each source channel, for each class.
    offsets : tuple of K floats
        The constant of each class; the class of the largest sum is chosen.

    Examples
    --------
    >>> source = np.array([[[0.0, 1.0, 5.0, 6.0, 10.0, 11.0]]])
    >>> line = ClassMap.fit([(source, np.array([[[1, 1, 2, 2, 3, 3]]]), None)])
    >>> line.predict(np.array([[[0.5, 5.5, 12.0]]])).tolist()
    [[[1, 2, 3]]]
    """

    values: tuple[int, ...]
    weights: tuple[tuple[float, ...], ...]
    offsets: tuple[float, ...]

    @classmethod
    def fit(cls, pairs: Iterable[Triple]) -> ClassMap:
        """Fit to the valid pixels of all pairs.

        Of the two usual choices, all classes equally likely or as likely as they are frequent,
        the one of the better mean Dice is taken.

        Parameters
        ----------
        pairs : iterable of (source, target, valid)
            Source (C, h, w); target (1, h, w), integers or bool; valid None, or bool that
            broadcasts to the target. Pixels with a source value that is not finite don't count.

        Returns
        -------
        ClassMap

        Raises
        ------
        InputError
            If no pixel is valid.
        """
        blocks = list(pairs)
        pixels = [_pixels(*block) for block in blocks]
        if not sum(len(labels) for _, labels in pixels):
            raise InputError("No pixel is valid to fit a map of classes to; give at least one.")
        candidates = _discriminants(pixels)

        def mean_dice(candidate: ClassMap) -> float:
            counts = [
                label_counts(candidate._choose(source), labels, kind="classes")
                for source, labels in pixels
                if len(labels)
            ]
            return pool_label_scores(counts)["dice"]

        return max(candidates, key=mean_dice)

    def predict(self, source: Array) -> Array:
        """Classify the pixels of an image.

        Parameters
        ----------
        source : array (C, H, W)
            As many channels as the map was fitted to; what is not finite counts as 0.

        Returns
        -------
        int array (1, H, W)
            Labels.

        Raises
        ------
        InputError
            If the source has another number of channels.
        """
        if source.ndim != 3 or len(source) != len(self.weights[0]):
            raise InputError(
                f"The source has shape {source.shape}; this map was fitted to "
                f"{len(self.weights[0])} channels, give (channels, height, width)."
            )
        rows = np.nan_to_num(source.reshape(len(source), -1).T, posinf=0.0, neginf=0.0)
        return self._choose(rows).reshape(1, *source.shape[1:])

    def to_dict(self) -> dict[str, Any]:
        """Return the map as JSON values."""
        return {
            "map": "classes",
            "values": list(self.values),
            "weights": [list(row) for row in self.weights],
            "offsets": list(self.offsets),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClassMap:
        """Rebuild a map from what `to_dict` gave."""
        return cls(
            values=tuple(map(int, values["values"])),
            weights=tuple(tuple(map(float, row)) for row in values["weights"]),
            offsets=tuple(map(float, values["offsets"])),
        )

    def _choose(self, rows: Array) -> Array:
        """Return the label of each row of C source values."""
        sums = rows.astype(np.float64) @ np.array(self.weights).T + self.offsets
        return np.array(self.values)[np.argmax(sums, axis=1)]


def _pixels(source: Array, target: Array, valid: Array | None) -> tuple[Array, Array]:
    """Return the valid pixels: source values (N, C) and labels (N,)."""
    counted = np.isfinite(source).all(axis=0)
    if valid is not None:
        counted &= np.broadcast_to(np.asarray(valid, bool), target.shape)[0]
    return source[:, counted].T, target[0][counted].astype(np.int64)


def _discriminants(pixels: list[tuple[Array, Array]]) -> list[ClassMap]:
    """Return the discriminants for equal and for measured frequencies."""
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
    means = sums / counts[:, np.newaxis]
    within = (moments - means.T @ (means * counts[:, np.newaxis])) / counts.sum()
    centre = counts @ means / counts.sum()
    # A channel that varies in no class would get an infinite weight.
    within += np.diag(1e-6 * (np.diag(moments) / counts.sum() - centre**2))
    means -= centre
    weights = means @ np.linalg.pinv(within, hermitian=True)
    constants = -0.5 * (weights * means).sum(axis=1) - weights @ (origin + centre)
    priors = (np.zeros(len(values)), np.log(counts / counts.sum()))
    return [
        ClassMap(
            values=tuple(int(value) for value in values),
            weights=tuple(tuple(float(w) for w in row) for row in weights),
            offsets=tuple(float(offset) for offset in constants + prior),
        )
        for prior in priors
    ]
