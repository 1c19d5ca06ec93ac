"""Colormaps of maps that lie over an image: clear where there is nothing to see."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.utils import Colormap

PINK, GREEN = (0.91, 0.16, 0.54), (0.25, 0.75, 0.20)
AMBER, RED = (1.0, 0.75, 0.1), (0.95, 0.15, 0.1)
_FAINT = 0.35  # opacity a little beyond nothing, so that small values are seen too


def difference_colormap() -> Colormap:
    """Return pink below 0, clear at 0, green above it."""
    from napari.utils import Colormap

    colors = [(*PINK, 1.0), (*PINK, _FAINT), (*PINK, 0.0), (*GREEN, 0.0), (*GREEN, _FAINT)]
    controls = [0.0, 0.4, 0.5, 0.5, 0.6, 1.0]
    colors += [(*GREEN, 1.0)]
    return Colormap(colors, name="pink-green", controls=controls)


def deviation_colormap() -> Colormap:
    """Return clear at 0, then amber, and red at the top."""
    from napari.utils import Colormap

    colors = [(*AMBER, 0.0), (*AMBER, _FAINT), (*RED, 1.0)]
    return Colormap(colors, name="amber-red", controls=[0.0, 0.5, 1.0])
