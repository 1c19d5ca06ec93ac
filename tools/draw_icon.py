"""Draw the plugin's icon: a cell, half in phase contrast, half as its fluorescence.

Run it with ``python tools/draw_icon.py``; it writes napari_pix2pix/icon.png, 256 x 256 pixels.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

OUT = Path(__file__).parents[1] / "napari_pix2pix" / "icon.png"
SIDE = 256
SMOOTH = 4  # times as many pixels are drawn, so that edges are smooth


def ellipse(y: np.ndarray, x: np.ndarray, centre: tuple[float, float], radii: tuple[float, float]):
    """Return how far each pixel lies from the centre, 1 on the ellipse."""
    return np.hypot((y - centre[0]) / radii[0], (x - centre[1]) / radii[1])


def draw() -> Image.Image:
    """Return the icon as RGBA."""
    side = SIDE * SMOOTH
    y, x = np.mgrid[:side, :side] / side * 2 - 1
    cell = ellipse(y, x, (0.03, 0.0), (0.66, 0.74)) + 0.05 * np.sin(5 * np.arctan2(y, x))
    nucleus = ellipse(y, x, (0.05, 0.0), (0.3, 0.34))
    phase = np.full((side, side, 3), 142.0)
    phase += 80 * np.exp(-(((cell - 1.06) / 0.07) ** 2))[..., None]  # the bright halo
    phase -= np.where(cell < 1, 62, 0)[..., None]
    phase -= 34 * np.exp(-(((nucleus - 1) / 0.1) ** 2))[..., None]
    glow = np.zeros((side, side, 3))
    glow += np.exp(-(np.clip(cell - 0.2, 0, None) ** 2) / 0.35)[..., None] * (10, 150, 90)
    glow += np.where(nucleus < 1, 1.1 - 0.45 * nucleus**2, 0)[..., None] * (60, 130, 255)
    glow += np.array([8, 12, 24])
    rgb = np.where((x > 0.02)[..., None], glow, phase)
    rgb[np.abs(x) <= 0.02] = 255
    corner = np.clip(np.abs(np.stack([y, x])) - 0.72, 0, None)
    inside = np.hypot(*corner) < 0.28
    rgba = np.dstack([rgb.clip(0, 255), np.where(inside, 255, 0)]).astype(np.uint8)
    return Image.fromarray(rgba).resize((SIDE, SIDE), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    draw().save(OUT, optimize=True)
    print(f"Wrote {OUT}")
