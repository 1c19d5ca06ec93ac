"""Moving each image of a batch by its own whole pixels, and finding by how many.

Offsets stay on the device: nothing here reads a value back or branches on one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_pix2pix.core import _checks
from napari_pix2pix.core.losses import ReconstructionLoss, check_planes, deviation


def shift_planes(planes: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Move each image: where the result is y, x, the image was y + offset, x + offset.

    Parameters
    ----------
    planes : Tensor
        Images (B, C, H, W).
    offsets : Tensor
        Rows and columns for each, (B, 2), integers.

    Returns
    -------
    moved : Tensor
        Images of the same shape. What would lie outside is the nearest pixel of the edge.
    inside : Tensor
        (B, 1, H, W), bool: where the result is a pixel of the image.

    Examples
    --------
    >>> image = torch.arange(3.0).reshape(1, 1, 1, 3)
    >>> moved, inside = shift_planes(image, torch.tensor([[0, 1]]))
    >>> moved.flatten().tolist(), inside.flatten().tolist()
    ([1.0, 2.0, 2.0], [True, True, False])
    """
    batch, channels, height, width = planes.shape
    device = planes.device
    rows = torch.arange(height, device=device) + offsets[:, :1]
    columns = torch.arange(width, device=device) + offsets[:, 1:]
    inside = ((rows >= 0) & (rows < height))[:, None, :, None] & (
        (columns >= 0) & (columns < width)
    )[:, None, None, :]
    moved = planes[
        torch.arange(batch, device=device)[:, None, None, None],
        torch.arange(channels, device=device)[:, None, None],
        rows.clamp(0, height - 1)[:, None, :, None],
        columns.clamp(0, width - 1)[:, None, None, :],
    ]
    return moved, inside


def align_target(
    kind: ReconstructionLoss,
    prediction: Tensor,
    target: Tensor,
    valid: Tensor | None,
    reach: int,
) -> tuple[Tensor, Tensor]:
    """Move each target to where its prediction fits best, for pairs that are not well aligned.

    A reconstruction loss of what this returns is the smallest over all shifts, one shift for each
    image. A target that fits best where it is stays there.

    Parameters
    ----------
    kind : {"l1", "l2", "charbonnier"}
        What is to be small, see `reconstruction_loss`.
    prediction, target : Tensor
        Images (B, C, H, W).
    valid : Tensor or None
        (B, 1 or C, H, W), as `reconstruction_loss` takes it: pixels of the target that count.
    reach : int
        Pixels up and down, left and right, that a target is tried at.

    Returns
    -------
    target : Tensor
        The moved targets.
    valid : Tensor
        (B, 1 or C, H, W), like the one given, moved along; 0 where there is no target.

    Raises
    ------
    ValueError
        If reach is negative or shapes do not fit.
    """
    _checks.at_least("reach", reach, 0)
    if valid is None:
        valid = torch.ones_like(target[:, :1], dtype=torch.bool)
    check_planes("valid", valid, prediction)
    steps = torch.arange(-reach, reach + 1, device=target.device)
    offsets = torch.cartesian_prod(steps, steps)
    # The nearest first, so that of equals the smallest shift is taken.
    offsets = offsets[offsets.square().sum(1).argsort(stable=True)]
    with torch.no_grad():
        misfits = [_misfit(kind, prediction, *_moved(target, valid, one)) for one in offsets]
        losses, counts = (torch.stack(part) for part in zip(*misfits, strict=True))
        # Where less than half of what counts is left, a fit says little.
        losses = losses.masked_fill(counts < 0.5 * counts[:1], torch.inf)
        chosen = offsets[losses.argmin(0)]
    return _moved(target, valid, chosen)


def _moved(target: Tensor, valid: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    offsets = offsets.expand(len(target), 2)
    target, inside = shift_planes(target, offsets)
    return target, shift_planes(valid, offsets)[0] * inside


def _misfit(
    kind: ReconstructionLoss, prediction: Tensor, target: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean deviation of each image, (B,), and how many elements counted."""
    counted = valid.to(prediction.dtype).expand_as(prediction)
    difference = torch.where(counted > 0, prediction - target, 0)
    total = (counted * deviation(kind, difference)).sum((1, 2, 3))
    count = counted.sum((1, 2, 3))
    return total / count.clamp_min(torch.finfo(counted.dtype).tiny), count
