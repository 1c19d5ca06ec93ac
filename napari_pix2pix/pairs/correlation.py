"""How well two sets of maps fit at each shift: the fitted share of variance, on many windows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

# Diagonal added to the maps' covariances, as a share of their mean variance.
_RIDGE = 0.05
# Standard deviation in pixels, over which the fit is averaged to find its middle.
_PEAK_WIDTH = 2.0


class ShiftCorrelation:
    """Correlate maps of the source with maps of the target at all shifts up to a reach.

    Parameters
    ----------
    source : float32 array (B, F, h, w)
        Windows. Their borders are faded out.
    target : float32 array (B, G, h + 2 * reach, w + 2 * reach)
        The same windows with a margin, so that every shift sees as many pixels.
    reach : int
        Largest shift in pixels.

    Notes
    -----
    For each shift ``d`` the covariances ``C(d)`` of all source maps with all target maps, whitened
    by the maps' own covariances, give ``sum(C(d) ** 2)``: the sum of the squared canonical
    correlations (Hotelling, Biometrika 1936). So any linear relation of the maps counts, and
    neither their number nor their strength has to be weighed by hand.
    """

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
        """Sum the covariances of some windows, or of windows with others' targets.

        Parameters
        ----------
        windows : int array (N,)
        turned : int array (N,), optional
            Windows whose targets are taken instead, turned by half a turn.

        Returns
        -------
        float64 array (F, G, 2 * reach + 1, 2 * reach + 1)
        """
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
        """Return the fit at each shift, an array of side ``2 * reach + 1``."""
        whitened = np.einsum(
            "fi,ijyx,gj->fgyx", self._source_whitening, covariances, self._target_whitening
        )
        return (whitened**2).sum(axis=(0, 1))


def find_peak(score: NDArray[np.float64]) -> tuple[float, float]:
    """Return the shift of the best fit, from parabolas through the highest value.

    Of a flat peak, the middle is taken: its highest value moves with the least change.
    """
    score = gaussian_filter(score, _PEAK_WIDTH, mode="nearest")
    reach = score.shape[0] // 2
    i, j = (int(n) for n in np.unravel_index(np.argmax(score), score.shape))
    row = i + _vertex(score[max(i - 1, 0) : i + 2, j])
    column = j + _vertex(score[i, max(j - 1, 0) : j + 2])
    return row - reach, column - reach


def second_peak(score: NDArray[np.float64]) -> float:
    """Return the highest local maximum beside the best; 0 if there is none."""
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
