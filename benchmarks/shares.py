"""Print which share of a run of ``light`` goes into drawing batches, validation and checkpoints.

The run has the default options, a checkpoint and a preview, on the drawn sample that comes with the
plugin, and ends after some seconds. The exit status is 1 if the batches take 5 % or more of the
steps, or validations, previews and checkpoints together 10 % or more of the training.

    python benchmarks/shares.py [--seconds 60] [--json]
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_pix2pix import train
from napari_pix2pix.napari_layers.samples import phase_fluorescence
from napari_pix2pix.training._batches import BatchFeed
from napari_pix2pix.training.loop import TrainingLoop

BARS = {"batches": 0.05, "overhead": 0.1}


def main() -> None:
    """Train once, and print the shares."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="of the run")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    shares = measure(args.seconds)
    if args.json:
        print(json.dumps(shares))
    else:
        for name, share in shares.items():
            print(f"{name}: {share:.3g}" if name == "steps" else f"{name}: {100 * share:.1f} %")
    sys.exit(any(shares[name] >= bar for name, bar in BARS.items()))


def measure(seconds: float) -> dict[str, float]:
    """Return the number of steps, and the shares."""
    source, target = (image for image, *_ in phase_fluorescence()[:2])
    spent: Counter[str] = Counter()
    watch(spent, BatchFeed, "batch", "batches")
    watch(spent, TrainingLoop, "_train", "steps")
    watch(spent, TrainingLoop, "_is_finite", "overhead")
    watch(spent, TrainingLoop, "_checkpoint", "overhead")
    watch_generator(spent, TrainingLoop, "_validate", "overhead")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.ckpt"
        model = train(source, target, max_seconds=seconds, passes=0, device="cpu", checkpoint=path)
    steps = spent["batches"] + spent["steps"]
    return {
        "steps": model.info.steps,
        "batches": spent["batches"] / steps,
        "overhead": spent["overhead"] / (steps + spent["overhead"]),
    }


def watch(spent: Counter[str], owner: type, method: str, name: str) -> None:
    """Count the seconds of a method of a class."""
    original: Callable[..., Any] = getattr(owner, method)

    def timed(*arguments: Any) -> Any:
        began = time.perf_counter()
        result = original(*arguments)
        spent[name] += time.perf_counter() - began
        return result

    setattr(owner, method, timed)


def watch_generator(spent: Counter[str], owner: type, method: str, name: str) -> None:
    """Count the seconds of a method that yields events; its users' work on them counts, too."""
    original: Callable[..., Any] = getattr(owner, method)

    def timed(*arguments: Any, **options: Any) -> Any:
        began = time.perf_counter()
        yield from original(*arguments, **options)
        spent[name] += time.perf_counter() - began

    setattr(owner, method, timed)


if __name__ == "__main__":
    main()
