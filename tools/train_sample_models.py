"""Train the small models that come with the samples.

Run it with ``python tools/train_sample_models.py``: a few minutes on a CPU. It prints the scores on
the unseen images, which stand in ``sample_data/README.md``; those in a model's card are of the
held-out strip of its training image.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tifffile

from napari_pix2pix import evaluate, train

FOLDER = Path(__file__).parents[1] / "sample_data"
FIELDS: dict[str, Any] = {
    "steps": 4000,
    "width": 8,  # with the depth, a file of 0.4 MB
    "depth": 4,
    "device": "cpu",
    "authors": "napari-pix2pix contributors",
    "licence": "CC0-1.0",
    "intended_use": "Trying the docks on the drawn samples; it knows no real image.",
    "pixel_size": 0.5,
}
SAMPLES = {"phase": "fluorescence", "stain": "labels"}


def main() -> None:
    """Train both models and write them beside the samples."""
    for source, target in SAMPLES.items():
        seen, unseen = (
            [tifffile.imread(FOLDER / f"{source}_{part}{end}.tif") for end in ("", f"_{target}")]
            for part in ("train", "unseen")
        )
        model = train(*seen, **FIELDS)
        path = FOLDER / f"{source}_to_{target}.safetensors"
        model.save(path, slim=True)
        print(path.name, f"{path.stat().st_size / 1000:.0f} kB", evaluate(model, *unseen).to_dict())


if __name__ == "__main__":
    main()
