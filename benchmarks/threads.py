"""Time a training step of ``light`` alone and beside a process that keeps one core busy.

Two processes train in turn: one whose threads sleep while they wait for work, as this package asks
for, and one whose threads spin, as PyTorch comes. Only on a machine that does nothing else is
"alone" true. The exit status is 1 if a step beside the busy process takes more than 2.5 times as
long as alone.

    python benchmarks/threads.py [--steps 30] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from step import Trainer

BAR = 2.5
_NOT_COUNTED = 3
# Where both networks learn, as in the second half of a run.
_FIELDS = {"preset": "light", "adversarial_start": 0.0, "adversarial_full": 0.0}


def main() -> None:
    """Print the seconds of a step, alone and beside another process, for each kind of waiting."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=30, help="counted steps of each, in turn")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    trainers = {
        "sleep": Trainer("ours", **_FIELDS),
        # GNU OpenMP's default where nothing is set.
        "spin": Trainer("ours", environment={"GOMP_SPINCOUNT": "300000"}, **_FIELDS),
    }
    alone = median_seconds(trainers, args.steps)
    with busy_process():
        beside = median_seconds(trainers, args.steps)
    for trainer in trainers.values():
        trainer.end()
    ratios = {name: beside[name] / alone[name] for name in trainers}
    if args.json:
        print(json.dumps({"alone": alone, "beside": beside, "ratio": ratios}))
    else:
        for name in trainers:
            print(
                f"threads that {name}: {alone[name]:.3f} s alone, {beside[name]:.3f} s beside a "
                f"busy process, {ratios[name]:.2f} times as long"
            )
    sys.exit(1 if ratios["sleep"] > BAR else 0)


def median_seconds(trainers: dict[str, Trainer], steps: int) -> dict[str, float]:
    """Let all trainers take steps in turn; return the median of each."""
    taken = [
        {name: trainer.step().wall for name, trainer in trainers.items()}
        for _ in range(steps + _NOT_COUNTED)
    ][_NOT_COUNTED:]
    return {name: statistics.median(times[name] for times in taken) for name in trainers}


@contextmanager
def busy_process() -> Iterator[None]:
    """Keep one core busy meanwhile."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    main()
