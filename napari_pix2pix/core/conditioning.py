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
    """Spread class indices (B,) over one-hot planes (B, count, height, width).

    The size is that of images, height and width, or of volumes with their planes before these.

    An index that is no class gives planes of 0, "no class"; it is not refused, since reading the
    value would make a GPU wait. The result is a view with repeated memory: do not write to it.

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
    """Spread noise vectors (B, N) over constant planes (B, N, height, width): a view, as above."""
    if vectors.ndim != 2:
        raise ValueError(
            f"Noise has shape {tuple(vectors.shape)}; give one vector a batch item, (batch, N)."
        )
    return vectors[..., *[None] * len(size)].expand(-1, -1, *size)


def stack_planes(*parts: Tensor | None) -> Tensor:
    """Concatenate planes (B, C, H, W) on the channel axis; parts that are None are left out.

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
