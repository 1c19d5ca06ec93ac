"""Per-image shifts by whole pixels, and the shift at which a target fits its prediction best."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from napari_pix2pix.core import _checks
from napari_pix2pix.core.losses import ReconstructionLoss, pixel_loss


def shift_planes(planes: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Move each image (B, C, H, W): ``moved[y, x]`` is ``planes[y + row, x + column]``.

    `offsets` are (B, 2) integers. Edges repeat; (B, 1, H, W) bool tells what is within the image.
    The planes of a volume (B, C, Z, H, W) move together, and the bools are (B, 1, 1, H, W).
    """
    if planes.ndim == 5:
        moved, inside = shift_planes(planes.flatten(1, 2), offsets)
        return moved.reshape(planes.shape), inside[:, None]
    batch, channels, height, width = planes.shape
    device = planes.device
    rows = torch.arange(height, device=device) + offsets[:, :1]  # (B, H)
    columns = torch.arange(width, device=device) + offsets[:, 1:]  # (B, W)
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
    plane_reach: int = 0,
) -> tuple[Tensor, Tensor]:
    """Move each target to where its prediction fits best, for pairs that are not well aligned.

    All shifts along rows and columns of up to `reach` pixels are tried, one for each image. The
    result has the smallest reconstruction loss of all; of equally good shifts the smallest is
    taken. Then targets of volumes are moved by up to `plane_reach` planes along Z.

    Parameters
    ----------
    kind : {"l1", "l2", "charbonnier"}
        The loss that is compared, see `reconstruction_loss`.
    prediction, target : Tensor
        (B, C, H, W), or (B, C, Z, H, W).
    valid : Tensor, optional
        As in `reconstruction_loss`, (B, 1 or C, H, W): what counts. By default all.
    reach : int
        Largest shift in pixels.
    plane_reach : int
        Largest shift in planes.

    Returns
    -------
    target, valid : Tensor
        The moved target, whose edges repeat, and what of it counts: 0 where there is no target.

    Raises
    ------
    ValueError
        If `reach` is negative or shapes do not fit.

    Examples
    --------
    >>> prediction = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    >>> target = prediction.roll(2, dims=-1)
    >>> moved, valid = align_target("l1", prediction, target, None, reach=3)
    >>> float(((moved - prediction).abs() * valid).sum())
    0.0
    """
    _checks.at_least("reach", reach, 0)
    if valid is None:
        valid = torch.ones_like(target[:, :1], dtype=torch.bool)
    _checks.pixel_map("valid", valid, prediction)
    # Offsets stay on the device: nothing here reads a value back or branches on one.
    steps = torch.arange(-reach, reach + 1, device=target.device)
    offsets = torch.cartesian_prod(steps, steps)  # ((2 reach + 1)**2, 2)
    target, valid = _move_to_best(kind, prediction, target, valid, offsets, _moved)
    if not plane_reach:
        return target, valid
    # One after the other: all shifts along three axes would take many times a step's time.
    steps = torch.arange(-plane_reach, plane_reach + 1, device=target.device)
    offsets = torch.stack((steps, torch.zeros_like(steps)), 1)
    return _move_to_best(kind, prediction, target, valid, offsets, _moved_along_z)


def _move_to_best(
    kind: ReconstructionLoss,
    prediction: Tensor,
    target: Tensor,
    valid: Tensor,
    offsets: Tensor,
    move: Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]],
) -> tuple[Tensor, Tensor]:
    # Nearest first: argmin then takes the smallest of several shifts that fit equally well.
    offsets = offsets[offsets.square().sum(1).argsort(stable=True)]
    with torch.no_grad():
        results = [
            _mean_losses(kind, prediction, *move(target, valid, offset)) for offset in offsets
        ]
        losses, counts = (torch.stack(part) for part in zip(*results, strict=True))
        # Where less than half of the valid pixels are left, a fit says little.
        losses = losses.masked_fill(counts < 0.5 * counts[:1], torch.inf)
        best = offsets[losses.argmin(0)]  # (B, 2)
    return move(target, valid, best)


def _moved(target: Tensor, valid: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    offsets = offsets.expand(len(target), 2)
    target, inside = shift_planes(target, offsets)
    return target, shift_planes(valid, offsets)[0] * inside


def _moved_along_z(target: Tensor, valid: Tensor, offsets: Tensor) -> tuple[Tensor, Tensor]:
    """Move volumes by planes: as images whose rows are planes, and whose columns are all pixels."""
    moved, inside = _moved(target.flatten(3), valid.flatten(3), offsets)
    return moved.reshape(target.shape), inside.reshape(valid.shape)


def _mean_losses(
    kind: ReconstructionLoss, prediction: Tensor, target: Tensor, valid: Tensor
) -> tuple[Tensor, Tensor]:
    """Return each image's mean loss, (B,), and how many elements count, (B,)."""
    weights = valid.to(prediction.dtype).expand_as(prediction)
    difference = torch.where(weights > 0, prediction - target, 0)
    axes = tuple(range(1, weights.ndim))
    total = (weights * pixel_loss(kind, difference)).sum(axes)
    count = weights.sum(axes)
    return total / count.clamp_min(torch.finfo(weights.dtype).tiny), count
