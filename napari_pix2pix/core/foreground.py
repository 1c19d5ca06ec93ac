"""What of a target is foreground, and a loss that asks whether a prediction puts it there.

The background of a fluorescence image fills most of its pixels and all of its noise. Spotlight
(arXiv 2507.05383) therefore finds the foreground of each target by a threshold, and lets it decide.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_pix2pix.core import _checks

# Width of the soft threshold: a pixel so far beyond it counts as 73 %, three times as far as 95 %.
_SOFTNESS = 0.1
_SMOOTHING = 1.0  # pixels, so that two empty images agree


def foreground(planes: Tensor, ground: Tensor, threshold: Tensor) -> Tensor:
    """Tell which pixels lie beyond a threshold, seen from the ground.

    Parameters
    ----------
    planes : Tensor
        Images (B, C, H, W), or volumes with planes before H, usually in [-1, 1].
    ground, threshold : Tensor
        (C, 1, 1): a typical value of the ground, and the threshold. The foreground is brighter
        where the threshold is above the ground, and darker where it is below. Where both are equal
        there is no foreground.

    Returns
    -------
    Tensor
        (B, C, H, W) bool; False where a pixel is NaN.

    Examples
    --------
    >>> planes = torch.tensor([-1.0, 0.0, 1.0]).reshape(1, 1, 1, 3)
    >>> foreground(planes, torch.full((1, 1, 1), -0.9), torch.full((1, 1, 1), 0.2)).flatten()
    tensor([False, False,  True])
    """
    return _beyond(planes, ground, threshold) > 0


def foreground_dice_loss(
    prediction: Tensor,
    target: Tensor,
    ground: Tensor,
    threshold: Tensor,
    valid: Tensor | None = None,
) -> Tensor:
    """Compare the foregrounds of a prediction and its target by soft Dice.

    The prediction's is thresholded softly, by a sigmoid, so that it has a gradient; the target's is
    `foreground`.

    Parameters
    ----------
    prediction, target : Tensor
        Images (B, C, H, W), or volumes with planes before H, usually in [-1, 1].
    ground, threshold : Tensor
        As in `foreground`.
    valid : Tensor, optional
        (B, 1 or C, H, W), bool: only these pixels count. Where it is False the target may be NaN.

    Returns
    -------
    Tensor
        A scalar from 0 to 1, at least float32: 1 minus Dice of each image and channel, averaged.

    Raises
    ------
    ValueError
        If shapes do not fit.

    References
    ----------
    Milletari, Navab, Ahmadi 2016, "V-Net", section 3, for soft Dice; arXiv 2507.05383 for its use
    on stains.

    Examples
    --------
    >>> target = torch.tensor([-1.0, -1.0, 1.0, 1.0]).reshape(1, 1, 2, 2)
    >>> ground, threshold = torch.full((1, 1, 1), -1.0), torch.zeros(1, 1, 1)
    >>> round(foreground_dice_loss(target, target, ground, threshold).item(), 3)
    0.0
    >>> round(foreground_dice_loss(-target, target, ground, threshold).item(), 3)
    0.8
    """
    _checks.same_shape("prediction", prediction, "target", target)
    # Half precision would round sums over a patch.
    wide = prediction.to(torch.promote_types(prediction.dtype, torch.float32))
    found = torch.sigmoid(_beyond(wide, ground, threshold) / _SOFTNESS)
    wanted = foreground(target, ground, threshold).to(found.dtype)
    if valid is not None:
        _checks.pixel_map("valid", valid, prediction)
        found, wanted = found * valid, wanted * valid
    axes = tuple(range(2, found.ndim))
    overlap, total = (found * wanted).sum(axes), (found + wanted).sum(axes)
    return (1 - (2 * overlap + _SMOOTHING) / (total + _SMOOTHING)).mean()


def _beyond(planes: Tensor, ground: Tensor, threshold: Tensor) -> Tensor:
    """Return how far values lie beyond the threshold, on the side away from the ground."""
    ground, threshold = (per_channel(values, planes) for values in (ground, threshold))
    return (planes - threshold) * (threshold - ground).sign()


def per_channel(values: Tensor, planes: Tensor) -> Tensor:
    """Give one value a channel, (C, ...), the axes of images (B, C, H, W) or volumes."""
    return values.reshape(-1, *[1] * (planes.ndim - 2))
