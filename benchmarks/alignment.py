"""Test the alignment check on real pairs, as they are and with a shift that is added.

Source and target are cropped by 12 px; the target's crop is shifted by 3, 5 and 10 px up, down,
left and right. The estimate is compared with the one without the added shift. Part of
``benchmarks/pairs.py``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_pix2pix import Pair
from napari_pix2pix.data.alignment import Alignment, check_alignment
from napari_pix2pix.data.pair import open_pair
from napari_pix2pix.data.split import whole_areas
from napari_pix2pix.io.datasets import read_pairs

MARGIN = 12
DISTANCES = (3, 5, 10)
DIRECTIONS = ((1, 0), (0, -1), (-1, 0), (0, 1))

Row = dict[str, Any]


def measure(folder: Path) -> dict[str, Row]:
    """Check every kind of pair."""
    return {name: check_set(pairs) for name, pairs in real_pairs(folder)}


def real_pairs(folder: Path) -> Iterator[tuple[str, list[Pair]]]:
    """Yield names and sets of pairs (..., Y, X); RGB has its channels first."""
    for name, description in (
        ("fluorescence", "fluorescent nuclei"),
        ("histology", "stained tissue"),
    ):
        root = folder / f"nuclei_{name}/train"
        pairs, _ = read_pairs(root / "source", root / "target")
        yield (
            f"{description} and labels, {len(pairs)} images",
            [with_channels_first(p) for p in pairs],
        )
    root = folder / "phase_to_fluorescence"
    phase = tifffile.imread(root / "source_phase_ZYX.tif")
    stains = tifffile.imread(root / "target_DAPI_MAP2_NFH_CYX.tif")
    for number, name in enumerate(("DAPI", "MAP2", "NFH")):
        yield f"13 phase planes and {name}", [Pair(phase, stains[number], channel_axis=(0, None))]
    yield "13 phase planes and all three", [Pair(phase, stains, channel_axis=0)]
    yield "one phase plane and DAPI", [Pair(phase[6], stains[0])]
    for name, files in (("timelapse_two_channels", "TYX"), ("volume_nuclei", "ZYX")):
        source, target = (
            tifffile.imread(folder / name / f"{side}_{files}.tif") for side in ("source", "target")
        )
        yield name, [Pair(source, target)]


def with_channels_first(pair: Pair) -> Pair:
    """Read an image with its channels first, so that Y and X are the last axes."""
    opened = open_pair(pair)
    source, target, _ = opened.read(0, slice(0, opened.height), slice(0, opened.width))
    return Pair(source, target[0], channel_axis=(0, None))


def check_set(pairs: list[Pair]) -> Row:
    """Check a set as it is, and with each added shift; errors in pixels."""
    plain = check_shift(pairs, (0, 0))
    offset = [round(value, 3) for value in plain.offset] if plain.known else None
    row: Row = {"offset": offset, "confidence": plain.confidence, "errors": {}}
    for distance in DISTANCES:
        shifts = [(distance * down, distance * right) for down, right in DIRECTIONS]
        estimates = [check_shift(pairs, shift) for shift in shifts]
        row["errors"][str(distance)] = [
            round(math.dist(estimate.offset, np.add(plain.offset, shift)), 4)
            if estimate.known
            else None
            for estimate, shift in zip(estimates, shifts, strict=True)
        ]
    return row


def check_shift(pairs: list[Pair], shift: tuple[int, int]) -> Alignment:
    """Measure the offset of source and target when the target is shifted."""
    opened = [open_pair(shift_target(pair, shift)) for pair in pairs]
    return check_alignment(opened, whole_areas(opened), seed=0)


def shift_target(pair: Pair, shift: tuple[int, int]) -> Pair:
    """Crop both images, so that the target is shifted by ``shift``."""
    (down, right), m = shift, MARGIN
    height, width = pair.target.shape[-2:]
    target = pair.target[..., m - down : height - m - down, m - right : width - m - right]
    return Pair(pair.source[..., m:-m, m:-m], target, channel_axis=pair.channel_axis)


def as_table(rows: dict[str, Row]) -> list[str]:
    """Return a Markdown table with one line for each set of pairs."""
    lines = [
        "",
        "What the alignment check finds, as the images are and with added shifts of 3, 5 and 10 px",
        "in four directions each. An error is the distance in pixels from the estimate without the",
        'added shift; "-" if the check cannot tell.',
        "",
        "| pair | offset as it is (confidence) | largest error at 3 px | 5 px | 10 px |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        offset = "({:.1f}, {:.1f})".format(*row["offset"]) if row["offset"] else "cannot tell"
        errors = " | ".join(map(largest_error, row["errors"].values()))
        lines.append(f"| {name} | {offset} ({row['confidence']:.2f}) | {errors} |")
    return lines


def largest_error(errors: list[float | None]) -> str:
    """Format the largest error, and how many shifts were found if not all."""
    found = [error for error in errors if error is not None]
    if not found:
        return "-"
    return f"{max(found):.2f}" + (
        f" ({len(found)} of {len(errors)} found)" if len(found) < len(errors) else ""
    )


def all_shifts_found(rows: dict[str, Row]) -> bool:
    """Whether every added shift was found within 1 px, in all sets whose own offset is known."""
    known = [row for row in rows.values() if row["offset"]]
    return bool(known) and all(
        error is not None and error < 1
        for row in known
        for errors in row["errors"].values()
        for error in errors
    )
