"""Train on pairs whose targets are warped, with and without a remedy, at equal CPU seconds.

Each target is warped by a smooth random field of its own: white noise, smoothed by 24 px and
stretched so that all displacements up to 6 px are equally often. What is not seen stays as it is.
So the score of ``aligned`` less that of ``warped`` is what the warp costs, and a remedy wins some
of it back. A run is a process of its own with one thread, whose budget counts the seconds that it
computed. A finished run is a line of ``benchmarks/warps.jsonl`` (or of the file that
``WARPS_RESULTS`` names) and is not repeated.

    NAPARI_PIX2PIX_DATA=folder python benchmarks/warps.py [--sets denoising ...] [--ways warped ...]
        [--seconds 60] [--seeds 0 1]
    python benchmarks/warps.py --table
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from recipe_sets import SETS, Array, RecipeSet
from scipy import ndimage, special

RESULTS = Path(os.environ.get("WARPS_RESULTS", Path(__file__).with_name("warps.jsonl")))
REACH, SMOOTHNESS = 6.0, 24.0  # pixels: the longest displacement, the width of its Gaussian
NAMES = ("phase -> DAPI", "phase -> MAP2", "denoising", "labels -> nuclei")


@dataclass(frozen=True)
class Way:
    """Which pairs are trained on, and how."""

    warped: bool
    fields: dict[str, Any] = field(default_factory=dict)  # of `train`


WAYS = {
    "aligned": Way(False),
    "warped": Way(True),
    "warped, shift_tolerance": Way(True, {"shift_tolerance": int(REACH)}),
    "warped, warp_tolerance": Way(True, {"warp_tolerance": 8}),
    "aligned, warp_tolerance": Way(False, {"warp_tolerance": 8}),
    "aligned, shift_tolerance": Way(False, {"shift_tolerance": int(REACH)}),
}


def main() -> None:
    """Do the missing runs; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="+", default=NAMES)
    parser.add_argument("--ways", nargs="+", default=list(WAYS))
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1])
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(run(json.loads(args.run))))
        return
    done = [{key: row[key] for key in ("set", "way", "seconds", "seed")} for row in rows()]
    for seed in args.seeds:
        for name in args.sets:
            for way in args.ways:
                task = {"set": name, "way": way, "seconds": args.seconds, "seed": seed}
                if not args.table and task not in done:
                    _run_in_process(task)
    print(table(rows()))


def rows() -> list[dict[str, Any]]:
    """Read all finished runs."""
    return [json.loads(line) for line in RESULTS.open()] if RESULTS.exists() else []


def _run_in_process(task: dict[str, Any]) -> None:
    command = [sys.executable, __file__, "--run", json.dumps(task)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    with RESULTS.open("a") as file:
        file.write(done.stdout.splitlines()[-1] + "\n")


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Train in one way on one set, and score it on the unseen part."""
    import torch

    from napari_pix2pix import train

    torch.set_num_threads(1)
    time.perf_counter = time.process_time  # the budget counts what this process computed
    chosen: RecipeSet = next(each for each in SETS if each.name == task["set"])
    (sources, targets), unseen = chosen.pairs()
    way = WAYS[task["way"]]
    if way.warped:
        targets = [warp(target, [task["seed"], n]) for n, target in enumerate(targets)]
    fields = {"validation": 0.0, "seed": task["seed"], "max_seconds": task["seconds"]}
    fields |= chosen.fields | way.fields
    translator = train(sources, targets, callback=lambda _: None, **fields)
    scores = [
        np.corrcoef(translator(source).ravel(), truth.ravel())[0, 1]
        for source, truth in zip(*unseen, strict=True)
    ]
    return task | {"steps": translator.info.steps, "pearson": round(float(np.mean(scores)), 4)}


def warp(image: Array, seed: list[int]) -> Array:
    """Warp an image (Y, X) by a smooth random field, all displacements in it equally often."""
    rng = np.random.default_rng(seed)
    field = np.stack(
        [ndimage.gaussian_filter(rng.normal(size=image.shape), SMOOTHNESS) for _ in "yx"]
    )
    field /= field.std(axis=(1, 2), keepdims=True)
    field = REACH * math.sqrt(0.5) * special.erf(field * math.sqrt(0.5))
    places = np.indices(image.shape) + field
    # Cubic: linear interpolation would blur what the remedies are to restore.
    warped = ndimage.map_coordinates(image.astype(float), places, order=3, mode="reflect")
    return np.clip(warped, image.min(), image.max()).astype(image.dtype)


def table(results: list[dict[str, Any]]) -> str:
    """Return Pearson's r on the unseen part, mean over seeds and spread, and what is won back."""
    names = list(dict.fromkeys(row["set"] for row in results))
    lines = ["| way | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for way in dict.fromkeys(row["way"] for row in results):
        cells = [_cell(results, name, way) for name in names]
        lines.append(f"| {way} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(results: list[dict[str, Any]], name: str, way: str) -> str:
    values, best, worst = (
        [row["pearson"] for row in results if (row["set"], row["way"]) == (name, each)]
        for each in (way, "aligned", "warped")
    )
    if not values:
        return "-"
    cell = f"{np.mean(values):.3f} ({max(values) - min(values):.3f})"
    # Where the warp costs nothing, there is nothing to win back.
    if way.startswith("warped, ") and best and worst and np.mean(best) > np.mean(worst):
        share = (np.mean(values) - np.mean(worst)) / (np.mean(best) - np.mean(worst))
        cell += f", {100 * share:.0f} % won back"
    return cell


if __name__ == "__main__":
    main()
