"""Repeat the tables of Isola et al. 2017 on a small scale, with real microscopy.

Labels to fluorescent nuclei, and stained tissue to labels; one factor at a time from the default
(U-Net, L1 + cGAN, receptive field 70); then with and without each stabiliser. Generated images are
judged by the paper's FCN score: a segmenter that was trained on real images is run on them, and its
result is compared with the labels that they were made of. Finished runs are kept in
``benchmarks/paper.json`` and not repeated; tables and picture go to ``docs/experiments.md``.

    NAPARI_PIX2PIX_DATA=folder python benchmarks/paper.py [--tables] [--rerun] [--json]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

from napari_pix2pix import Translator, load, train
from napari_pix2pix.inference.devices import choose_device, name_device
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores
from napari_pix2pix.metrics.spectra import ring_means, spectrum_distance

SEEDS = (0, 1, 2)  # the last one only for the tables of the paper
STEPS = 400
RECIPE: dict[str, Any] = {
    "preset": "reference",
    "depth": 5,
    "width": 16,
    "discriminator_width": 16,
    "patch": 128,
    "batch": 2,
    "zoom": (1.0, 1.0),
    "steps": STEPS,
    "validation": 0.0,
    "device": "cpu",
}
SEGMENTER: dict[str, Any] = {"steps": 400, "width": 24, "batch": 4, "validation": 0.0, "seed": 0}
FEW, SHIFT, VIEW = 8, 3, 128  # training images, pixels, pixels

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "paper.json"
PAGE = ROOT / "docs" / "experiments.md"
PICTURE = ROOT / "docs" / "images" / "experiments.png"
CACHE = ROOT / "build" / "paper"  # the segmenter, and the images of the picture
MARKS = "<!-- tables -->\n", "<!-- end of tables -->\n"

Fields = dict[str, Any]
Scores = dict[str, float]
Images = list[NDArray[Any]]

IMAGE, LABEL = "label -> image", "stain -> label"
FEW_IMAGES, SHIFTED = f"label -> image, {FEW} images", f"label -> image, up to {SHIFT} px off"

ONLY_L1: Fields = {"adversarial_weight": 0.0}
NO_L1: Fields = {"reconstruction_weight": 0.0}
LOSSES: dict[str, Fields] = {
    "L1": ONLY_L1,
    "L2": {**ONLY_L1, "reconstruction": "l2"},
    "GAN": {**NO_L1, "conditional": False},
    "cGAN": NO_L1,
    "L1 + GAN": {"conditional": False},
    "L1 + cGAN": {},
}
GENERATORS: dict[str, Fields] = {
    "U-Net, L1": ONLY_L1,
    "U-Net, L1 + cGAN": {},
    "encoder-decoder, L1": {**ONLY_L1, "generator": "encoder_decoder"},
    "encoder-decoder, L1 + cGAN": {"generator": "encoder_decoder"},
}
RECEPTIVE_FIELDS: dict[str, Fields] = {
    "1": {"discriminator_layers": 0},
    "16": {"discriminator_layers": 1},
    "70": {},
    "286": {"discriminator_layers": 5},
}
STAIN: dict[str, Fields] = {name: LOSSES[name] for name in ("L1", "cGAN", "L1 + cGAN")}
# Of each group: its name; task, fields without a switch, and the fields of each switch.
SWITCHES: dict[str, tuple[str, Fields, dict[str, Fields]]] = {
    "L1 + cGAN": (
        IMAGE,
        {},
        {
            "`ema=0.99`": {"ema": 0.99},
            "`learning_rate=1e-3`, 5 times the discriminator's": {"learning_rate": 1e-3},
            "`spectral_norm=True`": {"spectral_norm": True},
            "`r1=1`": {"r1": 1.0},
            "`discriminator_scales=2, feature_matching=40`": {
                "discriminator_scales": 2,
                "feature_matching": 40.0,
            },
        },
    ),
    f"L1 + cGAN, {FEW} training images": (
        FEW_IMAGES,
        {},
        {
            "`discriminator_augmentation`": {"discriminator_augmentation": "translation+cutout"},
        },
    ),
    f"L1, pairs up to {SHIFT} px off": (
        SHIFTED,
        ONLY_L1,
        {f"`shift_tolerance={SHIFT}`": {**ONLY_L1, "shift_tolerance": SHIFT}},
    ),
}


@dataclass(frozen=True)
class Pairs:
    """Sources and targets of the folders ``train`` and ``test``."""

    sources: Images
    targets: Images
    test_sources: Images
    test_targets: Images


def main() -> None:
    """Do the missing runs, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--tables", action="store_true", help="only write the tables of finished runs"
    )
    parser.add_argument("--rerun", action="store_true", help="repeat finished runs")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if "NAPARI_PIX2PIX_DATA" not in os.environ:
        sys.exit("skipped: set NAPARI_PIX2PIX_DATA to the folder of the real pairs")
    folder = Path(os.environ["NAPARI_PIX2PIX_DATA"])
    known = {} if args.rerun or not RESULTS.exists() else json.loads(RESULTS.read_text())
    if not args.tables:
        run_missing(known, folder)
    write_page(known)
    print(json.dumps(known) if args.json else as_tables(known))


def all_runs() -> Iterator[tuple[str, Fields, int]]:
    """Yield task, fields and seed of each run, seed by seed."""
    for seed in SEEDS:
        tables = (LOSSES, GENERATORS, RECEPTIVE_FIELDS)
        yield from ((IMAGE, fields, seed) for table in tables for fields in table.values())
        yield from ((LABEL, fields, seed) for fields in STAIN.values())
        if seed != SEEDS[-1]:
            for task, off, switches in SWITCHES.values():
                yield from ((task, fields, seed) for fields in (off, *switches.values()))


def key_of(task: str, fields: Fields, seed: int) -> str:
    """Return the key of a run, which holds its recipe: another recipe is another run."""
    return json.dumps([task, seed, {**RECIPE, **fields}])


def run_missing(known: dict[str, Any], folder: Path) -> None:
    """Do each run that has no result, and save the result."""
    if all(key_of(*run) in known for run in all_runs()):
        return
    nuclei = read_folders(folder / "nuclei_fluorescence")
    tissue = read_folders(folder / "nuclei_histology")
    segmenter = make_segmenter(nuclei)
    if "real" not in known:
        known["real"] = score_segmented(segmenter, nuclei.test_sources, nuclei.test_targets)
    for task, fields, seed in all_runs():
        if (key := key_of(task, fields, seed)) in known:
            continue
        wall, began = time.perf_counter(), time.process_time()
        if task == LABEL:
            scores = stain_to_label(tissue, fields, seed)
        else:
            scores = label_to_image(nuclei, segmenter, task, fields, seed)
        known[key] = scores | {
            "cpu_seconds": round(time.process_time() - began, 1),
            "seconds": round(time.perf_counter() - wall, 1),
            "device": name_device(choose_device("cpu")),
        }
        RESULTS.write_text(json.dumps(known, indent=1) + "\n")
        print(task, fields, seed, known[key], file=sys.stderr)


def read_folders(folder: Path) -> Pairs:
    """Read all images of a set, in the order of their names."""
    sides = [folder / part / side for part in ("train", "test") for side in ("source", "target")]
    return Pairs(*([np.asarray(read_image(p).data) for p in sorted(s.iterdir())] for s in sides))


def make_segmenter(nuclei: Pairs) -> Translator:
    """Train ``light`` once on real images and their labels, or take it from its file."""
    path = CACHE / "segmenter.safetensors"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        train(nuclei.sources, nuclei.targets, target_kind="instances", **SEGMENTER).save(path)
    return load(path)


def label_to_image(
    nuclei: Pairs, segmenter: Translator, task: str, fields: Fields, seed: int
) -> Scores:
    """Train from labels to images; score the images of labels that were not trained on."""
    labels, images = nuclei.targets, nuclei.sources
    if task == FEW_IMAGES:
        labels, images = labels[:FEW], images[:FEW]
    if task == SHIFTED:
        labels, images = shift_images(labels, images)
    translator = train(
        labels,
        images,
        source_kind="instances",
        target_kind="image",
        seed=seed,
        **{**RECIPE, **fields},
    )
    made = [translator(label) for label in nuclei.test_targets]
    if (name := next((n for n, f in LOSSES.items() if f == fields), None)) and task == IMAGE:
        np.save(
            CACHE / f"{name}, {seed}.npy", np.stack([image[:VIEW, :VIEW] for image in made[:4]])
        )
    spectra, errors = [], []
    for image, real in zip(made, nuclei.test_sources, strict=True):
        everywhere = np.ones(real.shape, bool)
        planes = image.astype(float), real.astype(float)
        rings = ring_means(*planes, everywhere)
        spectra.append(math.nan if rings is None else spectrum_distance(rings))
        errors.append(float(np.abs(planes[0] - planes[1]).mean()))
    return score_segmented(segmenter, made, nuclei.test_targets) | {
        "spectrum": statistics.mean(spectra),
        "l1": statistics.mean(errors),
    }


def shift_images(labels: Images, images: Images) -> tuple[Images, Images]:
    """Shift each image relative to its labels by up to `SHIFT` pixels."""
    rng = np.random.default_rng(0)
    moved = []
    for image in images:
        top, left = rng.integers(0, 2 * SHIFT + 1, 2)
        height, width = (side - 2 * SHIFT for side in image.shape)
        moved.append(image[top : top + height, left : left + width])
    return [label[SHIFT:-SHIFT, SHIFT:-SHIFT] for label in labels], moved


def stain_to_label(tissue: Pairs, fields: Fields, seed: int) -> Scores:
    """Train from stained tissue to nuclei, and score the labels."""
    translator = train(
        tissue.sources,
        tissue.targets,
        target_kind="instances",
        seed=seed,
        **{**RECIPE, **fields},
    )
    return score_segmented(translator, tissue.test_sources, tissue.test_targets)


def score_segmented(segmenter: Translator, images: Images, labels: Images) -> Scores:
    """Segment images, and score the result against labels."""
    counts = [
        label_counts(
            segmenter(image)[np.newaxis],
            label[np.newaxis],
            kind="instances",
            valid=np.ones((1, *label.shape), bool),
        )
        for image, label in zip(images, labels, strict=True)
    ]
    scores = pool_label_scores(counts)
    return {name: scores[name] for name in ("dice", "iou", "f1")}


def write_page(known: dict[str, Any]) -> None:
    """Put tables and picture into the page; the rest of it is kept."""
    before, _, rest = PAGE.read_text().partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    PAGE.write_text(f"{before}{MARKS[0]}{as_tables(known)}{MARKS[1]}{after}")
    files = [CACHE / f"{name}, {SEEDS[0]}.npy" for name in LOSSES]
    if all(file.exists() for file in files):
        draw_picture(dict(zip(LOSSES, map(np.load, files), strict=True)))


def draw_picture(made: dict[str, NDArray[Any]]) -> None:
    """Draw labels, their images for each loss, and the real images."""
    nuclei = read_folders(Path(os.environ["NAPARI_PIX2PIX_DATA"]) / "nuclei_fluorescence")
    labels, real = (
        np.stack([image[:VIEW, :VIEW] for image in images[:4]])
        for images in (nuclei.test_targets, nuclei.test_sources)
    )
    columns = {"label": np.where(labels > 0, real.max((1, 2), keepdims=True), 0)}
    columns |= made | {"real": real}
    figure, axes = plt.subplots(4, len(columns), figsize=(1.3 * len(columns), 5.4))
    for place, (name, images) in enumerate(columns.items()):
        axes[0, place].set_title(name, fontsize=9)
        for axis, image, truth in zip(axes[:, place], images, real, strict=True):
            # The square root shows faint light, as eyes see it.
            axis.imshow(np.sqrt(image), cmap="gray", vmin=0, vmax=np.sqrt(truth.max()))
            axis.set_axis_off()
    figure.subplots_adjust(0, 0, 1, 0.95, 0.02, 0.02)
    figure.savefig(PICTURE, dpi=100)


def as_tables(known: dict[str, Any]) -> str:
    """Return the tables of the finished runs."""
    lines = ["", "Labels to fluorescent nuclei:", "", *table_head("loss")]
    lines += [table_row(known, IMAGE, name, fields) for name, fields in LOSSES.items()]
    if real := known.get("real"):
        cells = " | ".join(f"{real[score]:.3f}" for score in ("dice", "iou", "f1"))
        lines.append(f"| real images | {cells} | 0 | 0 | | |")
    for title, table in (("generator", GENERATORS), ("receptive field", RECEPTIVE_FIELDS)):
        lines += ["", *table_head(title)]
        lines += [table_row(known, IMAGE, name, fields) for name, fields in table.items()]
    lines += ["", "Stained tissue to labels:", "", *table_head("loss")]
    lines += [table_row(known, LABEL, name, fields) for name, fields in STAIN.items()]
    lines += ["", "Labels to fluorescent nuclei, each switch alone:", "", *table_head("switch")]
    for name, (task, off, switches) in SWITCHES.items():
        lines.append(table_row(known, task, f"**{name}**", off, SEEDS[:-1]))
        lines += [table_row(known, task, f"+ {on}", switches[on], SEEDS[:-1]) for on in switches]
    every = [run for name, run in known.items() if name != "real"]
    minutes = sum(run["cpu_seconds"] for run in every) / 60
    lines += ["", f"{len(every)} runs of {STEPS} steps, {minutes:.0f} minutes of one CPU core.", ""]
    return "\n".join(lines)


def table_head(what: str) -> list[str]:
    """Return the first two lines of a table."""
    return [
        f"| {what} | Dice | IoU | F1 | spectrum (dB) | L1 (gray levels) | seeds | CPU seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]


def table_row(
    known: dict[str, Any], task: str, name: str, fields: Fields, seeds: Sequence[int] = SEEDS
) -> str:
    """Return one line: means over the finished seeds, spreads in brackets."""
    done = {s: known[key] for s in seeds if (key := key_of(task, fields, s)) in known}
    if not done:
        return f"| {name} | | | | | | | |"
    digits = {"dice": 3, "iou": 3, "f1": 3, "spectrum": 2, "l1": 2, "cpu_seconds": 0}
    cells = [spread([run.get(score) for run in done.values()], digits[score]) for score in digits]
    return f"| {name} | {' | '.join(cells[:-1])} | {', '.join(map(str, done))} | {cells[-1]} |"


def spread(values: Sequence[float | None], digits: int) -> str:
    """Format the mean and, of several values, in brackets largest minus smallest."""
    found = [value for value in values if value is not None]
    if not found:
        return ""
    width = f" ({max(found) - min(found):.{digits}f})" if len(found) > 1 else ""
    return f"{statistics.mean(found):.{digits}f}{width}"


if __name__ == "__main__":
    main()
