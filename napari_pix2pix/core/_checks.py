"""Checks shared by the networks and losses; each raises a ``ValueError`` that says what to do."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor


def one_of(what: str, value: str, choices: Iterable[str]) -> None:
    """Refuse a name that is not among the choices."""
    names = tuple(choices)
    if value not in names:
        known = ", ".join(repr(name) for name in names)
        raise ValueError(f"{what} {value!r} is not known; choose one of {known}.")


def at_least(what: str, value: int, least: int) -> None:
    """Refuse a number that is too small."""
    if value < least:
        raise ValueError(f"{what} is {value}; give an integer of at least {least}.")


def probability(what: str, value: float) -> None:
    """Refuse what can't be the probability of dropping an activation."""
    if not 0 <= value < 1:
        raise ValueError(f"{what} is {value}; give a probability from 0 up to, not including, 1.")


def planes(what: str, x: Tensor, channels: int, *, stride: int = 1, least: int = 1) -> None:
    """Refuse an input that a network can't take: axes, channels, height and width.

    Parameters
    ----------
    what : str
        The network, for the message.
    x : Tensor
        Its input.
    channels : int
        Channels that it takes.
    stride : int
        Height and width must be multiples of this.
    least : int
        Smallest height and width, in pixels.
    """
    if x.ndim != 4:
        raise ValueError(
            f"The {what} takes tensors (batch, channel, height, width), not of {x.ndim} axes; "
            "add or remove axes."
        )
    if x.shape[1] != channels:
        raise ValueError(
            f"The {what} takes {channels} channels, not {x.shape[1]}; "
            "give as many as it was made for."
        )
    height, width = x.shape[2:]
    if height % stride or width % stride:
        raise ValueError(
            f"The {what} takes heights and widths that are multiples of {stride}, "
            f"not {height} x {width}; pad the image."
        )
    if height < least or width < least:
        raise ValueError(
            f"The {what} takes images of at least {least} x {least} pixels, "
            f"not {height} x {width}; pad the image or make the network shallower."
        )
