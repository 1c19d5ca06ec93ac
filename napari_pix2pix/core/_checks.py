"""Checks that networks and losses share; each raises a ``ValueError`` that says what to do."""

from __future__ import annotations

from collections.abc import Iterable

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


def network_input(
    network: str, x: Tensor, channels: int, *, stride: int = 1, least_size: int = 1
) -> None:
    """Refuse an input whose axes, channels, height or width the network can't take."""
    if x.ndim != 4:
        raise ValueError(
            f"The {network} takes tensors (batch, channel, height, width), not of {x.ndim} axes; "
            "add or remove axes."
        )
    if x.shape[1] != channels:
        raise ValueError(
            f"The {network} takes {channels} channels, not {x.shape[1]}; "
            "give as many as it was made for."
        )
    height, width = x.shape[2:]
    if height % stride or width % stride:
        raise ValueError(
            f"The {network} takes heights and widths that are multiples of {stride}, "
            f"not {height} x {width}; pad the image."
        )
    if height < least_size or width < least_size:
        raise ValueError(
            f"The {network} takes images of at least {least_size} x {least_size} pixels, "
            f"not {height} x {width}; pad the image or make the network shallower."
        )


def same_shape(first_name: str, first: Tensor, second_name: str, second: Tensor) -> None:
    """Refuse two tensors of different shapes."""
    if first.shape != second.shape:
        raise ValueError(
            f"{first_name} has shape {tuple(first.shape)} but {second_name} has "
            f"{tuple(second.shape)}; give two of one shape."
        )


def pixel_map(name: str, pixels: Tensor, images: Tensor) -> None:
    """Refuse a map that is not (B, 1 or C, H, W) for images (B, C, H, W)."""
    batch, channels, height, width = images.shape
    if tuple(pixels.shape) not in ((batch, 1, height, width), (batch, channels, height, width)):
        raise ValueError(
            f"{name} has shape {tuple(pixels.shape)} for images of shape {tuple(images.shape)}; "
            "give it one channel, or as many as the images have."
        )
