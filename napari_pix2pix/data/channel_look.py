"""How a channel is shown: its colour and the range of values from dark to bright."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class ChannelLook:
    """How a channel is shown, as far as its file or layer states it.

    Parameters
    ----------
    colour : str
        Colour of the brightest values, as ``#RRGGBB``; empty where it is not stated.
    colormap : str
        Name of napari's colormap, where it is more than black to `colour`; else empty.
    limits : (float, float), optional
        Values that are shown darkest and brightest; the second is the larger one.
    blending : str
        How it lies over others, as napari names it; empty where it is napari's default.

    Examples
    --------
    >>> ChannelLook("#00FF00", limits=(100.0, 4000.0)).colour
    '#00FF00'
    """

    colour: str = ""
    colormap: str = ""
    limits: tuple[float, float] | None = None
    blending: str = ""


Looks = tuple[ChannelLook, ...]  # one a channel; empty where nothing is stated


def shared_looks(stated: Sequence[Looks]) -> Looks:
    """Return what images of the same channels share: equal colours, and the median limits."""
    if not stated or () in stated or len({len(looks) for looks in stated}) > 1:
        return ()
    return tuple(map(_shared_look, zip(*stated, strict=True)))


def _shared_look(looks: Sequence[ChannelLook]) -> ChannelLook:
    shown = {(look.colour, look.colormap) for look in looks}
    colour, colormap = shown.pop() if len(shown) == 1 else ("", "")
    blended = {look.blending for look in looks}
    blending = blended.pop() if len(blended) == 1 else ""
    limits = [look.limits for look in looks if look.limits is not None]
    if not limits:
        return ChannelLook(colour, colormap, blending=blending)
    low, high = (float(median(ends)) for ends in zip(*limits, strict=True))
    return ChannelLook(colour, colormap, (low, high), blending)


def common_look(looks: Looks) -> ChannelLook:
    """Return how all channels are shown at once: their colour if equal, and the widest limits."""
    limits = [look.limits for look in looks]
    one = _shared_look(looks) if looks else ChannelLook()
    known = [ends for ends in limits if ends is not None]
    if len(known) < len(limits) or not known:
        return ChannelLook(one.colour, one.colormap)
    widest = (min(low for low, _ in known), max(high for _, high in known))
    return ChannelLook(one.colour, one.colormap, widest)
