"""Compare the presets ``light`` and ``reference`` after the same time on the same real pair.

13 phase-contrast planes to the DAPI fluorescence of the same field (the sample data of
Christiansen et al., "In silico labeling", 2018); the right 192 columns are held out with a gap of
16. Each preset trains for 2 and for 5 minutes with three seeds. Finished runs are kept in
``benchmarks/quality.json`` and not repeated; the table goes to ``docs/quality.md``.

    NAPARI_PIX2PIX_DATA=folder python benchmarks/quality.py [--rerun] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix import evaluate, train
from napari_pix2pix.inference.devices import choose_device, name_device
from napari_pix2pix.io.reading import read_image

MINUTES = (2, 5)
SEEDS = (0, 1, 2)
PRESETS = ("light", "reference")
BAR = 0.40  # Pearson of `light` after 5 minutes
HELD_OUT, GAP = 192, 16  # columns

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "quality.json"
TABLE = ROOT / "docs" / "quality.md"


def main() -> None:
    """Do the missing runs, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rerun", action="store_true", help="repeat finished runs")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if "NAPARI_PIX2PIX_DATA" not in os.environ:
        sys.exit("skipped: set NAPARI_PIX2PIX_DATA to the folder of the real pairs")
    source, target = read_field(Path(os.environ["NAPARI_PIX2PIX_DATA"]))
    runs = [] if args.rerun or not RESULTS.exists() else json.loads(RESULTS.read_text())
    done = {(run["preset"], run["minutes"], run["seed"]) for run in runs}
    # Presets take turns, so that a slow hour affects both.
    for seed in SEEDS:
        for minutes in MINUTES:
            for preset in PRESETS:
                if (preset, minutes, seed) in done:
                    continue
                runs.append(train_and_score(source, target, preset, minutes, seed))
                RESULTS.write_text(json.dumps(runs, indent=1) + "\n")
    table = as_table(runs)
    TABLE.write_text(table)
    print(json.dumps(runs) if args.json else table)
    sys.exit(0 if bar_met(runs) else 1)


def bar_met(runs: list[dict[str, Any]]) -> bool:
    """Whether `light` at 5 minutes passes `BAR`, and beats `reference` by more than the spreads."""
    light, reference = (
        [r["prediction"]["pearson"] for r in runs if (r["preset"], r["minutes"]) == (preset, 5)]
        for preset in PRESETS
    )
    mean = statistics.mean(light)
    spreads = [max(scores) - min(scores) for scores in (light, reference)]
    return mean >= BAR and mean - statistics.mean(reference) > max(spreads)


def read_field(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the planes (13, 1024, 704) and DAPI (1024, 704)."""
    folder = folder / "phase_to_fluorescence"
    source = read_image(folder / "source_phase_ZYX.tif", axes="CYX").data
    target = read_image(folder / "target_DAPI_MAP2_NFH_CYX.tif", axes="CYX").data
    return np.asarray(source), np.asarray(target)[0]


def train_and_score(
    source: np.ndarray, target: np.ndarray, preset: str, minutes: int, seed: int
) -> dict[str, Any]:
    """Train on the left part and score the right part."""
    edge = source.shape[-1] - HELD_OUT
    began = time.perf_counter()
    translator = train(
        source[..., : edge - GAP],
        target[..., : edge - GAP],
        channel_axis=0,
        preset=preset,
        max_seconds=60 * minutes,
        validation=0.0,
        seed=seed,
    )
    seconds = time.perf_counter() - began
    scores = evaluate(translator, source[..., edge:], target[..., edge:], channel_axis=0)
    run = {
        "preset": preset,
        "minutes": minutes,
        "seed": seed,
        "seconds": round(seconds, 1),
        "steps": translator.history[-1].step,
        "device": name_device(choose_device()),
        "prediction": scores["prediction"],
        "baseline": scores["baseline"],
    }
    print({key: run[key] for key in ("preset", "minutes", "seed", "steps")}, file=sys.stderr)
    return run


def as_table(runs: list[dict[str, Any]]) -> str:
    """Return the page: means and spreads (largest minus smallest) over the seeds."""
    device = runs[0]["device"]
    lines = [
        "# `light` against `reference`, minute by minute",
        "",
        "13 phase-contrast planes to DAPI, one field (sample data of Christiansen et al. 2018),",
        f"the right {HELD_OUT} columns held out with a gap of {GAP}; {device}.",
        f"Mean over {len(SEEDS)} seeds, the spread (largest minus smallest) in brackets.",
        "Made by `python benchmarks/quality.py`.",
        "",
        "| preset | minutes | steps | Pearson | SSIM | PSNR (dB) |",
        "|---|---|---|---|---|---|",
    ]
    for minutes in MINUTES:
        for preset in PRESETS:
            chosen = [r for r in runs if (r["preset"], r["minutes"]) == (preset, minutes)]
            cells = [spread([r["prediction"][k] for r in chosen]) for k in ("pearson", "ssim")]
            cells.append(spread([r["prediction"]["psnr"] for r in chosen], digits=1))
            steps = statistics.mean(r["steps"] for r in chosen)
            lines.append(f"| {preset} | {minutes} | {steps:.0f} | {' | '.join(cells)} |")
    baseline = runs[0]["baseline"]
    lines.append(
        f"| baseline (linear fit) | - | - | {baseline['pearson']:.3f} | {baseline['ssim']:.3f} | "
        f"{baseline['psnr']:.1f} |"
    )
    return "\n".join(lines) + "\n"


def spread(values: list[float], digits: int = 3) -> str:
    """Format the mean and, in brackets, largest minus smallest."""
    return f"{statistics.mean(values):.{digits}f} ({max(values) - min(values):.{digits}f})"


if __name__ == "__main__":
    main()
