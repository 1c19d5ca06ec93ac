"""Finds how well two images of different contrast fit at each shift."""
# Signed intensity is left out on purpose: where contrast has a direction, as in differential
# interference contrast, the bright flank of a cell lies some pixels beside it (4 px on a simulated
# pair). The strength of structure stays where the cell is.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter, minimum_filter, uniform_filter

from napari_pix2pix.data.kinds import Kind, infer_kind

# Many channels (13 planes, a spectrum) are reduced to so many principal components.
_COMPONENTS = 2
# Pixels beside an invalid one, where smoothing has mixed it in.
_MARGIN = 4
# Side of the neighbourhood in which strong and weak structure are given the same weight.
_NEIGHBOURHOOD = 33
_KIND_WINDOWS = 8


def structure_maps(
    windows: Sequence[NDArray[Any]], valid: NDArray[np.bool_], kind: Kind | None = None
) -> NDArray[np.float32]:
    """Turn B windows (C, H, W) into maps of structure (B, F, H, W), 0 at invalid pixels."""
    if kind is None:
        one_channel = windows[0].shape[0] == 1
        kind = infer_kind(windows[:_KIND_WINDOWS]) if one_channel else "image"
    if kind == "image":
        planes = _components(windows, valid)
        maps = [strength for plane in planes.swapaxes(0, 1) for strength in _strengths(plane)]
    else:
        maps = _label_maps(np.stack([window[0] for window in windows]))
    return _balance(np.stack(maps, axis=1), valid)


def _components(
    windows: Sequence[NDArray[Any]], valid: NDArray[np.bool_]
) -> NDArray[np.float32]:  # (B, P, H, W)
    """Standardise channels, and reduce many of them to few."""
    # Every fourth pixel is enough for moments, and keeps float64 small.
    coarse = zip(windows, valid, strict=True)
    samples = [window[:, ::4, ::4][:, inside[::4, ::4]] for window, inside in coarse]
    pixels = np.concatenate(samples, axis=1).astype(np.float64)
    mean, spread = pixels.mean(axis=1), pixels.std(axis=1)
    spread[spread == 0] = 1
    mixing = np.diag(1 / spread)
    if len(mean) > _COMPONENTS:
        scaled = (pixels - mean[:, None]) / spread[:, None]
        _, vectors = np.linalg.eigh(scaled @ scaled.T)
        mixing = (vectors[:, ::-1][:, :_COMPONENTS] / spread[:, None]).T
    planes = []
    for window, inside in zip(windows, valid, strict=True):
        centred = np.where(inside, window, mean[:, None, None]) - mean[:, None, None]
        planes.append(np.tensordot(mixing, centred, axes=1).astype(np.float32))
    return np.stack(planes)


def _strengths(plane: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Gradient magnitude at two scales, and the local energy of fine detail."""
    detail = _without_trend(_smooth(plane, 0.7), 11)
    return [
        _without_trend(_gradient(plane, 1.5), 29),
        _without_trend(_gradient(plane, 3), 43),
        _without_trend(np.sqrt(_smooth(detail**2, 2)), 43),
    ]


def _label_maps(labels: NDArray[Any]) -> list[NDArray[np.float32]]:
    foreground = (labels != 0).astype(np.float32)
    boundaries = np.zeros(labels.shape, np.float32)
    for axis in (1, 2):
        after, before = (
            tuple(span if i == axis else slice(None) for i in range(3))
            for span in (slice(1, None), slice(None, -1))
        )
        # Both sides of a boundary, so that its middle is where the boundary is.
        changes = labels[after] != labels[before]
        boundaries[after][changes] = 1
        boundaries[before][changes] = 1
    return [
        _without_trend(_smooth(foreground, 1.5), 21),
        _without_trend(_smooth(foreground, 3), 43),
        _without_trend(_smooth(boundaries, 1.5), 29),
    ]


def _balance(maps: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Give strong and weak structure the same weight; set invalid pixels to 0."""
    inside = minimum_filter(valid, (1, 2 * _MARGIN + 1, 2 * _MARGIN + 1), mode="nearest")
    maps = maps * inside[:, None]
    power = np.maximum(uniform_filter(maps**2, (0, 0, _NEIGHBOURHOOD, _NEIGHBOURHOOD)), 0)
    overall = np.sqrt(power.mean(axis=(0, 2, 3), keepdims=True))
    overall[overall == 0] = 1
    return maps / (np.sqrt(power) + overall / 2)


def _smooth(planes: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return gaussian_filter(planes, (0, sigma, sigma), truncate=3)


def _gradient(planes: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.hypot(*np.gradient(_smooth(planes, sigma), axis=(1, 2)))


def _without_trend(planes: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    return planes - uniform_filter(planes, (0, side, side))


# Diagonal added to the maps' covariances, as a share of their mean variance.
_RIDGE = 0.05
# Standard deviation in pixels, over which the fit is averaged to find its middle.
_PEAK_WIDTH = 2.0


class ShiftCorrelation:
    """Correlates maps of source (B, F, h, w) and target, with a margin `reach`, at all shifts."""

    # For each shift d the covariances C(d) of all source maps with all target maps, whitened by the
    # maps' own, give sum(C(d) ** 2): the squared canonical correlations (Hotelling, Biometrika
    # 1936). So any linear relation of the maps counts, and none has to be weighed by hand.

    def __init__(
        self, source: NDArray[np.float32], target: NDArray[np.float32], reach: int
    ) -> None:
        self.reach = reach
        self.windows = len(source)
        self._size = target.shape[-2:]
        height, width = source.shape[-2:]
        fade = _fade(height)[:, None] * _fade(width)
        source = source - source.mean(axis=(-2, -1), keepdims=True)
        inner = target[..., reach : reach + height, reach : reach + width]
        self._source_whitening = _whitening(source * np.sqrt(fade))
        self._target_whitening = _whitening(inner * np.sqrt(fade))
        source = source * fade
        rows, columns = _low_frequencies(self._size)
        self._row_waves = _waves(rows / self._size[0], reach)
        # A real image's negative column frequencies mirror the positive ones.
        twice = np.where(columns == 0, 1, 2) / (self._size[0] * self._size[1])
        self._column_waves = (_waves(columns / self._size[1], reach) * twice).T
        self._source = _spectrum(source, self._size, rows, columns)
        self._target = _spectrum(target, self._size, rows, columns)

    def covariances(
        self, windows: NDArray[np.intp], turned: NDArray[np.intp] | None = None
    ) -> NDArray[np.float64]:
        """Sum the covariances (F, G, 2 * reach + 1, 2 * reach + 1) of windows (N,)."""
        # With `turned` (N,) the targets are those of other windows, turned by half a turn.
        source = self._source[..., windows]
        if turned is None:
            target = self._target[..., windows]
        else:
            # A conjugate spectrum is that of the window turned by half a turn.
            target = np.conj(self._target[..., turned])
        product = np.conj(source) @ target.swapaxes(-1, -2)  # (rows, columns, F, G)
        shifts = self._row_waves @ product.transpose(2, 3, 0, 1) @ self._column_waves
        return shifts.real / self.windows

    def score(self, covariances: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the fit at each shift (2 * reach + 1, 2 * reach + 1)."""
        whitened = np.einsum(
            "fi,ijyx,gj->fgyx", self._source_whitening, covariances, self._target_whitening
        )
        return (whitened**2).sum(axis=(0, 1))


def find_peak(score: NDArray[np.float64]) -> tuple[float, float]:
    """Return the shift of the best fit, from parabolas through the highest value."""
    # The middle of a flat peak is taken, since its highest value moves with the least change.
    score = gaussian_filter(score, _PEAK_WIDTH, mode="nearest")
    reach = score.shape[0] // 2
    i, j = (int(n) for n in np.unravel_index(np.argmax(score), score.shape))
    row = i + _vertex(score[max(i - 1, 0) : i + 2, j])
    column = j + _vertex(score[i, max(j - 1, 0) : j + 2])
    return row - reach, column - reach


def second_peak(score: NDArray[np.float64]) -> float:
    """Return the highest local maximum except the best; 0 if there is none."""
    peaks = score[(maximum_filter(score, 5, mode="nearest") == score) & (score < score.max())]
    return float(peaks.max()) if peaks.size else 0.0


def _vertex(values: NDArray[np.float64]) -> float:
    """Return where between -0.5 and 0.5 the parabola through three values is highest."""
    if len(values) < 3:
        return 0.0
    before, here, after = values
    curvature = before - 2 * here + after
    return 0.0 if curvature == 0 else float(np.clip((before - after) / (2 * curvature), -0.5, 0.5))


def _fade(length: int) -> NDArray[np.float32]:
    position = (np.arange(length) + 0.5) / length
    return np.minimum(1, 1.6 * np.sin(np.pi * position)).astype(np.float32)


def _whitening(maps: NDArray[np.float32]) -> NDArray[np.float64]:
    flat = maps.swapaxes(0, 1).reshape(maps.shape[1], -1)
    covariance = (flat @ flat.T).astype(np.float64) / len(maps)
    ridge = _RIDGE * np.trace(covariance) / len(covariance)
    if ridge == 0:
        return np.zeros_like(covariance)
    return np.linalg.inv(np.linalg.cholesky(covariance + ridge * np.eye(len(covariance))))


def _low_frequencies(size: tuple[int, ...]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return frequencies below half of Nyquist's: smoothed maps have no others."""
    quarter = size[0] // 4
    return np.arange(-quarter + 1, quarter), np.arange(size[1] // 4)


def _spectrum(
    maps: NDArray[np.float32],
    size: tuple[int, ...],
    rows: NDArray[np.intp],
    columns: NDArray[np.intp],
) -> NDArray[np.complex64]:  # (rows, columns, F, B)
    full = np.fft.rfft2(maps, s=size)
    kept = full[..., rows, :][..., columns].astype(np.complex64)
    return np.ascontiguousarray(kept.transpose(2, 3, 1, 0))


def _waves(frequencies: NDArray[np.float64], reach: int) -> NDArray[np.complex128]:
    # A target window begins `reach` pixels before its source window: index 0 is the shift -reach.
    return np.exp(2j * np.pi * np.outer(np.arange(2 * reach + 1), frequencies))
