"""Checks that networks and losses share; each raises a ``ValueError`` that says what to do."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor


def one_of(what: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a name that is not among the choices."""
    names = tuple(choices)
    if value not in names:
        listed = ", ".join(repr(name) for name in names)
        raise ValueError(f"{what} {value!r} is not known; choose one of {listed}.")


def at_least(what: str, value: int, least: int) -> None:
    """Refuse a number that is too small."""
    if value < least:
        raise ValueError(f"{what} is {value}; give an integer of at least {least}.")


def dimensions(ndim: int, plane_levels: int) -> None:
    """Refuse dimensions that networks don't have."""
    if ndim not in (2, 3):
        raise ValueError(f"ndim is {ndim}; give 2 for images or 3 for volumes.")
    at_least("plane_levels", plane_levels, 0)
    if plane_levels and ndim == 2:
        raise ValueError(
            f"plane_levels is {plane_levels}, and images have no planes; give ndim=3, or 0."
        )


def network_input(
    network: str,
    x: Tensor,
    channels: int,
    *,
    least_sizes: Sequence[int],
    strides: Sequence[int] = (),  # multiples of 1 where none are given
) -> None:
    """Refuse an input whose axes, channels or size the network can't take."""
    ndim = len(least_sizes)
    if x.ndim != ndim + 2:
        axes = "height, width" if ndim == 2 else "planes, height, width"
        raise ValueError(
            f"The {network} takes tensors (batch, channel, {axes}), not of {x.ndim} axes; "
            "add or remove axes."
        )
    if x.shape[1] != channels:
        raise ValueError(
            f"The {network} takes {channels} channels, not {x.shape[1]}; "
            "give as many as it was made for."
        )
    sizes, strides = x.shape[2:], strides or (1,) * ndim
    what, image = ("heights and widths", "image") if ndim == 2 else ("sizes", "volume")
    if any(size % stride for size, stride in zip(sizes, strides, strict=True)):
        multiples = str(strides[-1]) if ndim == 2 else _by(strides)
        raise ValueError(
            f"The {network} takes {what} that are multiples of {multiples}, "
            f"not {_by(sizes)}; pad the {image}."
        )
    if any(size < least for size, least in zip(sizes, least_sizes, strict=True)):
        raise ValueError(
            f"The {network} takes {image}s of at least {_by(least_sizes)} pixels, "
            f"not {_by(sizes)}; pad the {image} or make the network shallower."
        )


def _by(sizes: Sequence[int]) -> str:
    return " x ".join(map(str, sizes))


def same_shape(first_name: str, first: Tensor, second_name: str, second: Tensor) -> None:
    """Refuse two tensors of different shapes."""
    if first.shape != second.shape:
        raise ValueError(
            f"{first_name} has shape {tuple(first.shape)} but {second_name} has "
            f"{tuple(second.shape)}; give two of one shape."
        )


def pixel_map(name: str, pixels: Tensor, images: Tensor) -> None:
    """Refuse a map that is not (B, 1 or C, H, W) for images (B, C, H, W), or volumes likewise."""
    batch, channels, *sizes = images.shape
    if tuple(pixels.shape) not in ((batch, 1, *sizes), (batch, channels, *sizes)):
        raise ValueError(
            f"{name} has shape {tuple(pixels.shape)} for images of shape {tuple(images.shape)}; "
            "give it one channel, or as many as the images have."
        )
