"""Compare recipes on many sets of pairs, on fields that they never saw, at equal CPU seconds.

Each run is a process of its own with one thread, and its budget counts the seconds that it computed
(``time.process_time``), so that waiting costs it nothing. Cores that share caches with other work
still compute slower: use a quiet machine. Every finished run is a line of
``benchmarks/recipes.jsonl`` (or of the file that ``RECIPES_RESULTS`` names) and is not repeated.
The rivals (``rivals.py``) get the same patches. The tables go to ``docs/quality.md``: scores on
what was not seen, means over seeds with their spread.

    NAPARI_PIX2PIX_DATA=... NAPARI_PIX2PIX_PUBLIC=... python benchmarks/recipes.py \
        [--recipes light ...] [--sets nuclei ...] [--seconds 30 120] [--seeds 0 1 2] [--jobs 1]
    python benchmarks/recipes.py --table
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from recipe_sets import SETS, Pairs, RecipeSet
from recipe_table import page

ROOT = Path(__file__).parent.parent
RESULTS = Path(os.environ.get("RECIPES_RESULTS", ROOT / "benchmarks" / "recipes.jsonl"))
PAGE = ROOT / "docs" / "quality.md"
HEAD = """
# Recipes compared on fields that they never saw

`light`, the preset `reference` (the PyTorch implementation's recipe) and rivals written in the
small from their papers (`benchmarks/rivals.py`): fnet (Ounkomol et al. 2018), CARE (Weigert et
al. 2018), and a ConvNeXt U-Net as in VisCy (Liu et al. 2025) with and without its adversarial
term. All get the same patches, and the same seconds of one CPU thread. The sets and their
licences are listed in `benchmarks/recipe_sets.py`. What is scored was not trained on: whole
images where a set has several, else a part behind a gap.

Made by `python benchmarks/recipes.py`, which keeps finished runs in `benchmarks/recipes.jsonl`.
Means over seeds; in brackets the largest minus the smallest, where there are several. Bold is the
best of a row. Variants of a recipe ("light width=32") are in the file alone; docs/decisions has
what they taught. What is in no table was not run yet, such as the preset `reference`.
"""
# Recipes by name: fields of `train`. Any other recipe is named by its fields, such as
# "light width=16 ema=0.0". "own_range=true" is no field: each source gets its own percentiles.
OWN_RANGE = " own_range=true"
RIVALS = ("fnet", "care", "unext", "unext gan")  # those of rivals.py, which loads torch
RECIPES: dict[str, dict[str, Any]] = {"light": {}, "reference": {"preset": "reference"}}


def main() -> None:
    """Do the missing runs; print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=["light", "reference", *RIVALS])
    parser.add_argument("--sets", nargs="+", default=[each.name for each in SETS])
    parser.add_argument("--seconds", nargs="+", type=float, default=[30, 120])
    parser.add_argument("--steps", nargs="+", type=int, default=[])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--jobs", type=int, default=1, help="runs at a time, one thread each")
    parser.add_argument("--table", action="store_true", help="only print what is there")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(run(json.loads(args.run))))
        return
    if not args.table:
        budgets = [{"seconds": s} for s in args.seconds] + [{"steps": s} for s in args.steps]
        todo = [
            {"set": each.name, "recipe": recipe, "seed": seed} | budget
            for seed in args.seeds
            for budget in budgets
            for each in SETS
            if each.name in args.sets and each.available()
            for recipe in args.recipes
        ]
        done = [_key(row) for row in rows()]
        with ThreadPoolExecutor(args.jobs) as pool:
            list(pool.map(_run_in_process, [task for task in todo if _key(task) not in done]))
    text = page(rows(), HEAD)
    PAGE.write_text(text)
    print(text)


def rows() -> list[dict[str, Any]]:
    """Read all finished runs."""
    return (
        [json.loads(line) for line in RESULTS.read_text().splitlines()] if RESULTS.exists() else []
    )


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["set"], row["recipe"], row["seed"], row.get("seconds"), row.get("steps")


def _run_in_process(task: dict[str, Any]) -> None:
    command = [sys.executable, __file__, "--run", json.dumps(task)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        print(task, done.stderr[-600:], file=sys.stderr)
        return
    with RESULTS.open("a") as file:
        file.write(done.stdout.splitlines()[-1] + "\n")


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Train one recipe on one set and score it on the unseen part."""
    import torch

    torch.set_num_threads(1)
    time.perf_counter = time.process_time  # the budget counts what this process computed
    chosen = next(each for each in SETS if each.name == task["set"])
    train_pairs, unseen = chosen.pairs()
    recipe = task["recipe"]
    if recipe != (plain := recipe.removesuffix(OWN_RANGE)):
        train_pairs = [_own_range(source) for source in train_pairs[0]], train_pairs[1]
        unseen = [_own_range(source) for source in unseen[0]], unseen[1]
    budget = {"max_seconds": task["seconds"]} if "seconds" in task else {"steps": task["steps"]}
    predict, baseline, steps = _train(plain, chosen, train_pairs, budget, task["seed"])
    scores = {
        name: _scores(chosen, [how(source) for source in unseen[0]], unseen[1], train_pairs[1])
        for name, how in (("prediction", predict), ("baseline", baseline))
    }
    return task | {"taken": steps, "cpu": round(time.process_time(), 1)} | scores


def _train(recipe: str, chosen: RecipeSet, pairs: Pairs, budget: dict[str, Any], seed: int) -> Any:
    """Return how the model and its baseline translate an image, and the number of steps."""
    import rivals
    import torch

    from napari_pix2pix import train
    from napari_pix2pix.data.pair import make_pairs
    from napari_pix2pix.napari_layers import read_pairs
    from napari_pix2pix.training.config import TrainConfig

    fields = {"validation": 0.0, "seed": seed} | chosen.fields | budget
    axis = chosen.fields.get("channel_axis")
    if recipe not in rivals.RIVALS:
        translator = train(*pairs, callback=lambda _: None, **fields | _fields(recipe))

        def predict(source: np.ndarray) -> np.ndarray:
            return translator(source)

        baselines, codec = translator.info.baselines, translator.source_codec
        steps = translator.info.steps
    else:
        fields.pop("channel_axis", None)
        config = TrainConfig(content=0.0, intensity_jitter=0.0, **fields)
        opened = read_pairs(make_pairs(*pairs, channel_axis=axis))
        data, network, steps = rivals.train_rival(rivals.RIVALS[recipe], opened, config)
        baselines, codec = data.baseline, data.source_codec

        def predict(source: np.ndarray) -> np.ndarray:
            planes = codec.encode(_planes(source, axis))[np.newaxis]
            output = rivals.apply_rival(network, torch.from_numpy(planes))[0].numpy()
            return data.target_codec.decode(output)

    def baseline(source: np.ndarray) -> np.ndarray:
        return baselines.predict(_planes(source, axis))

    return predict, baseline, steps


def _own_range(source: np.ndarray) -> np.ndarray:
    """Return an image as a fraction of its own range, from its 0.1th to its 99.9th percentile."""
    low, high = np.percentile(source, [0.1, 99.9])
    scaled: np.ndarray = ((source - low) / max(high - low, 1)).astype(np.float32)
    return scaled


def _fields(recipe: str) -> dict[str, Any]:
    """Read a recipe's fields: of a name, and of the assignments after it."""
    name, *assignments = recipe.split()
    values = (assignment.split("=", 1) for assignment in assignments)
    return RECIPES[name] | {field: _value(value) for field, value in values}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _planes(source: np.ndarray, axis: Any) -> np.ndarray:
    """Return an image as (C, H, W)."""
    if axis is not None:
        return np.moveaxis(source, axis, 0)
    return np.moveaxis(source, -1, 0) if source.ndim == 3 else source[np.newaxis]


def _scores(
    chosen: RecipeSet,
    predictions: list[np.ndarray],
    truths: list[np.ndarray],
    seen: list[np.ndarray],
) -> dict[str, float]:
    from napari_pix2pix.metrics.images import image_scores
    from napari_pix2pix.metrics.labels import label_counts, pool_label_scores

    predictions = [np.squeeze(image) for image in predictions]
    if chosen.score == "f1":
        counts = [
            label_counts(p, t, kind="instances") for p, t in zip(predictions, truths, strict=True)
        ]
        return {k: round(v, 4) for k, v in pool_label_scores(counts).items() if k in ("f1", "dice")}
    low, high = np.percentile(np.concatenate([image.ravel() for image in seen]), [0.1, 99.9])
    each = [
        image_scores(p, t, data_range=float(high - low), full=True)
        for p, t in zip(predictions, truths, strict=True)
    ]
    names = [name for name in ("pearson", "ssim", "nrmse", "spectrum") if name in each[0]]
    return {name: round(float(np.mean([scores[name] for scores in each])), 4) for name in names}


if __name__ == "__main__":
    main()
