"""Maps of where an image has structure, whatever its contrast; two images can be compared by them.

Signed intensity is left out on purpose. Where contrast has a direction, as in differential
interference or oblique phase contrast, the bright flank of a cell lies some pixels beside it, and
intensity would find it there (4 px, measured on a simulated pair). The strength of structure stays
where the cell is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, minimum_filter, uniform_filter

from napari_pix2pix.pairs.kinds import Kind, find_kind

# Of many channels (13 planes, a spectrum) so many principal components are looked at.
_COMPONENTS = 2
# Pixels beside an invalid one, where smoothing has mixed it in.
_MARGIN = 4
# Side of the neighbourhood in which strong and weak structure get the same say.
_NEIGHBOURHOOD = 33
_KIND_WINDOWS = 8


def structure_maps(
    windows: Sequence[NDArray[Any]], valid: NDArray[np.bool_], kind: Kind | None = None
) -> NDArray[np.float32]:
    """Turn windows of one side of a training set into maps of structure.

    Parameters
    ----------
    windows : sequence of B arrays (C, H, W)
        All of one shape and dtype.
    valid : bool array (B, H, W)
        Pixels that may be looked at.
    kind : {'image', 'classes', 'instances'}, optional
        Found from the values by default. Of labels only foreground and boundaries count.

    Returns
    -------
    float32 array (B, F, H, W)
        Maps without trend, of about the same strength everywhere; 0 at invalid pixels.
    """
    if kind is None:
        one_channel = windows[0].shape[0] == 1
        kind = find_kind(windows[:_KIND_WINDOWS]) if one_channel else "image"
    if kind == "image":
        planes = _components(windows, valid)
        maps = [one for i in range(planes.shape[1]) for one in _strengths(planes[:, i])]
    else:
        maps = _label_maps(np.stack([window[0] for window in windows]))
    return _balance(np.stack(maps, axis=1), valid)


def _components(
    windows: Sequence[NDArray[Any]], valid: NDArray[np.bool_]
) -> NDArray[np.float32]:  # (B, P, H, W)
    """Standardise channels, and join many of them into few."""
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
        one, other = (
            tuple(part if i == axis else slice(None) for i in range(3))
            for part in (slice(1, None), slice(None, -1))
        )
        # Both sides of a boundary, so that its middle is where the boundary is.
        changes = labels[one] != labels[other]
        boundaries[one][changes] = 1
        boundaries[other][changes] = 1
    return [
        _without_trend(_smooth(foreground, 1.5), 21),
        _without_trend(_smooth(foreground, 3), 43),
        _without_trend(_smooth(boundaries, 1.5), 29),
    ]


def _balance(maps: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Let strong and weak structure count alike; take out what is invalid."""
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
