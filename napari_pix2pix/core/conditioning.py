"""Conditions and noise as planes beside the source, on the channel axis.

Input = source planes + one plane a class + noise planes, each zero or more, so that one network
class serves image-conditional, class-conditional and unconditional translation.

References
----------
Mirza and Osindero 2014, "Conditional generative adversarial nets".
"""

from __future__ import annotations

import torch
from torch import Tensor

from napari_pix2pix.core import _checks


def condition_planes(index: Tensor, count: int, *size: int) -> Tensor:
    """Spread class indices over one-hot planes.

    Parameters
    ----------
    index : Tensor
        (B,), integers from 0. One that is no class gives planes of 0, "no class"; it is not
        refused, since reading the value would make a GPU wait.
    count : int
        Number of classes.
    *size : int
        Height and width, of volumes with the number of planes before these.

    Returns
    -------
    Tensor
        (B, count, height, width), 0 or 1: a view with repeated memory, so do not write to it.

    Raises
    ------
    ValueError
        If there is no class, or the index is no vector of integers.

    References
    ----------
    Mirza and Osindero 2014, "Conditional generative adversarial nets".

    Examples
    --------
    >>> condition_planes(torch.tensor([1, 0]), 2, 4, 4)[:, :, 0, 0]
    tensor([[0., 1.],
            [1., 0.]])
    """
    _checks.at_least("count", count, 1)
    if index.ndim != 1 or index.is_floating_point() or index.dtype == torch.bool:
        raise ValueError(
            f"index is {index.dtype} of shape {tuple(index.shape)}; "
            "give a vector of integers, one a batch item."
        )
    one_hot = index[:, None] == torch.arange(count, device=index.device)  # (B, count)
    planes = one_hot.to(torch.get_default_dtype())[..., *[None] * len(size)]
    return planes.expand(-1, -1, *size)


def noise_planes(vectors: Tensor, *size: int) -> Tensor:
    """Spread noise vectors over constant planes.

    Parameters
    ----------
    vectors : Tensor
        (B, N), a number for each plane.
    *size : int
        As in `condition_planes`.

    Returns
    -------
    Tensor
        (B, N, height, width): a view with repeated memory, so do not write to it.

    Raises
    ------
    ValueError
        If the vectors are no matrix.

    Examples
    --------
    >>> noise_planes(torch.zeros(2, 3), 8, 8).shape
    torch.Size([2, 3, 8, 8])
    """
    if vectors.ndim != 2:
        raise ValueError(
            f"Noise has shape {tuple(vectors.shape)}; give one vector a batch item, (batch, N)."
        )
    return vectors[..., *[None] * len(size)].expand(-1, -1, *size)


def stack_planes(*parts: Tensor | None) -> Tensor:
    """Concatenate planes on the channel axis.

    Parameters
    ----------
    *parts : Tensor or None
        (B, C, H, W) or (B, C, Z, H, W), with any number of channels; None is left out.

    Returns
    -------
    Tensor
        All channels in the order of the parts.

    Raises
    ------
    ValueError
        If there is no part, or they differ in batch size or size.

    Examples
    --------
    >>> stack_planes(torch.zeros(1, 3, 8, 8), None, torch.zeros(1, 2, 8, 8)).shape
    torch.Size([1, 5, 8, 8])
    """
    planes = [part for part in parts if part is not None]
    if not planes:
        raise ValueError("There are no planes to stack; give a source, a condition or noise.")
    if len({(part.shape[0], part.shape[2:]) for part in planes}) > 1:
        shapes = ", ".join(str(tuple(part.shape)) for part in planes)
        raise ValueError(
            f"Planes of shapes {shapes} can't be stacked; give one batch size, height and width."
        )
    return planes[0] if len(planes) == 1 else torch.cat(planes, 1)
