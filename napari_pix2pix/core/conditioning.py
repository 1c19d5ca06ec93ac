"""What a network is told beside the source, as planes on the channel axis.

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


def condition_planes(index: Tensor, count: int, height: int, width: int) -> Tensor:
    """Spread class numbers over planes, one plane a class: 1 for the class that holds, else 0.

    Parameters
    ----------
    index : Tensor
        Class of each image, (B,), integers from 0 to ``count - 1``. Any other number gives planes
        of 0, "no class"; it is not refused, since looking at it would make a GPU wait.
    count : int
        Number of classes.
    height, width : int
        Size in pixels.

    Returns
    -------
    Tensor
        (B, count, height, width) in the default float type, on the device of `index`. A view with
        repeated memory: stack it, do not write to it.

    Raises
    ------
    ValueError
        If `index` is not a vector of integers or there is no class.

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
    one_hot = index[:, None] == torch.arange(count, device=index.device)
    return _spread(one_hot.to(torch.get_default_dtype()), height, width)


def noise_planes(vectors: Tensor, height: int, width: int) -> Tensor:
    """Spread noise vectors over constant planes.

    Parameters
    ----------
    vectors : Tensor
        One vector an image, (B, N), float.
    height, width : int
        Size in pixels.

    Returns
    -------
    Tensor
        (B, N, height, width). A view with repeated memory: stack it, do not write to it.

    Raises
    ------
    ValueError
        If `vectors` has other than two axes.
    """
    if vectors.ndim != 2:
        raise ValueError(
            f"Noise has shape {tuple(vectors.shape)}; give one vector a batch item, (batch, N)."
        )
    return _spread(vectors, height, width)


def stack_planes(*parts: Tensor | None) -> Tensor:
    """Concatenate on the channel axis, leaving out what is None.

    Parameters
    ----------
    *parts : Tensor or None
        Planes (B, C, H, W) that differ in C alone.

    Returns
    -------
    Tensor
        (B, sum of C, H, W).

    Raises
    ------
    ValueError
        If nothing is given, or batches or sizes differ.

    Examples
    --------
    >>> stack_planes(torch.zeros(1, 3, 8, 8), None, torch.zeros(1, 2, 8, 8)).shape
    torch.Size([1, 5, 8, 8])
    """
    given = [part for part in parts if part is not None]
    if not given:
        raise ValueError("There are no planes to stack; give a source, a condition or noise.")
    if len({(part.shape[0], part.shape[2:]) for part in given}) > 1:
        shapes = ", ".join(str(tuple(part.shape)) for part in given)
        raise ValueError(
            f"Planes of shapes {shapes} can't be stacked; give one batch size, height and width."
        )
    return given[0] if len(given) == 1 else torch.cat(given, 1)


def _spread(values: Tensor, height: int, width: int) -> Tensor:
    return values[:, :, None, None].expand(-1, -1, height, width)
