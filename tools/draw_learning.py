"""Draw the moving picture of README.md: what a network has learnt after each epoch.

Run it with ``python tools/draw_learning.py``; it trains for a minute and writes
docs/images/learning.webp. The tissue comes with scikit-image; the part that is shown is not
trained on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from PIL import Image, ImageDraw, ImageFont
from skimage.color import rgb2hed
from skimage.data import immunohistochemistry

from napari_pix2pix._train import training_events
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Prepared, Preview

OUT = Path(__file__).parents[1] / "docs" / "images" / "learning.webp"
SIDE = 256
STEPS = 800  # an epoch has a hundred
MILLISECONDS = 700  # that a picture is shown; the last one longer
INK, PAPER = (40, 40, 40), (255, 255, 255)


def picture(panels: dict[str, np.ndarray]) -> Image.Image:
    """Put panels of SIDE x SIDE pixels side by side, each below its title."""
    gap, head = 12, 26
    width = len(panels) * (SIDE + gap) - gap
    canvas = Image.new("RGB", (width, SIDE + head), PAPER)
    draw = ImageDraw.Draw(canvas)
    font = ImageFont.load_default(15)
    for number, (title, panel) in enumerate(panels.items()):
        left = number * (SIDE + gap)
        canvas.paste(Image.fromarray(panel), (left, head))
        draw.text((left, 3), title, INK, font)
    return canvas


def main() -> None:
    """Train, keep each preview, and write them as one moving picture."""
    tissue = immunohistochemistry()
    stain = rgb2hed(tissue)[..., 2].clip(min=0)
    stain = np.rint(stain / stain.max() * 65535).astype(np.uint16)
    high = np.percentile(stain, 99.9)

    def coloured(image: np.ndarray) -> np.ndarray:
        return (colormaps["magma"](np.clip(image / high, 0, 1))[..., :3] * 255).astype(np.uint8)

    seen = Pair(tissue[:, : SIDE - 16], stain[:, : SIDE - 16], name="left half")
    unseen = Pair(tissue[:SIDE, SIDE:], stain[:SIDE, SIDE:], name="right half")
    config = TrainConfig(steps=STEPS, validation=0.0)
    frames = []
    for event in training_events([seen], config, held_out=[unseen], preview_first=True):
        preview = event.preview if isinstance(event, Prepared) else event
        if isinstance(preview, Preview):
            panels = {
                "tissue, not trained on": unseen.source,
                f"predicted stain, step {preview.step}": coloured(preview.image[0]),
                "true stain": coloured(unseen.target),
            }
            frames.append(picture(panels))
    first, *others = frames
    durations = [MILLISECONDS] * len(others) + [4 * MILLISECONDS]
    first.save(
        OUT, save_all=True, append_images=others, duration=durations, loop=0, quality=80, method=6
    )
    print(f"Wrote {OUT}: {len(frames)} pictures, {OUT.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
