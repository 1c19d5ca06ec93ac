"""What a third dimension is worth: a synthetic volume, and nuclei in 3D, at equal CPU seconds.

The answer of the synthetic volume is known only from the planes six above: 2D can't see it, 2.5D
does with a wide enough context, and 3D finds it by itself. Nuclei are found as objects, or freed
from noise. A few steps are timed, and each way is trained for as many as the CPU seconds allow: so
what else runs on the machine doesn't matter.

    python benchmarks/volumes.py synthetic --seconds 180 --seeds 3
    python benchmarks/volumes.py nuclei PATH_OF_IMAGE PATH_OF_LABELS --seconds 60 --seeds 3
    python benchmarks/volumes.py noise PATH_OF_IMAGE --seconds 60 --seeds 3
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from scipy import ndimage

from napari_pix2pix import Translator, train
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores
from napari_pix2pix.training.events import Event, Step

_ABOVE = 6  # planes
_TIMED, _WARM_UP = 30, 5  # steps that tell what a step takes, without the first ones
_WAYS: Mapping[str, dict[str, Any]] = {
    "2D": {"ndim": 2},
    "2.5D": {"ndim": 2, "z_context": 2},
    "3D": {"ndim": 3},
}


def structure(seed: int, *size: int) -> NDArray[np.float32]:
    """Return a volume of smooth noise, in [0, 1], whose planes say little about each other."""
    rng = np.random.default_rng(seed)
    volume = ndimage.gaussian_filter(rng.standard_normal(size), (1, 2, 2))
    return ((volume - volume.min()) / np.ptp(volume)).astype(np.float32)


class Budget:
    """Turns CPU seconds into steps of each way, timed once for all seeds."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._steps: dict[str, int] = {}

    def steps(self, name: str, source: Any, target: Any, fields: Mapping[str, Any]) -> int:
        """Return how many steps a way may take."""
        if name not in self._steps:
            times: list[float] = []

            def note(event: Event) -> None:
                if isinstance(event, Step):
                    times.append(time.process_time())

            train(source, target, steps=_TIMED, device="cpu", callback=note, **fields)
            counted = times[_WARM_UP:]
            each = (counted[-1] - counted[0]) / (len(counted) - 1)
            self._steps[name] = max(1, round(self._seconds / each))
        return self._steps[name]


def train_each(
    source: Any, target: Any, budget: Budget, **fields: Any
) -> Iterator[tuple[str, Translator]]:
    """Train in each way for as many CPU seconds."""
    for name, way in _WAYS.items():
        chosen = {**way, **fields, **(fields.get("volume") or {} if name == "3D" else {})}
        chosen.pop("volume", None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            steps = budget.steps(name, source, target, chosen)
            yield name, train(source, target, steps=steps, device="cpu", **chosen)


def noise(image: str, budget: Budget, seed: int) -> None:
    """Free nuclei from strong noise: trained on the left columns, scored on the last 24."""
    clean = tifffile.imread(image).astype(np.float32)
    clean /= np.percentile(clean, 99.9)
    noisy = np.random.default_rng(0).poisson(5 * clean).astype(np.float32)
    left, held = slice(0, -28), slice(-24, None)
    fields = {"patch": 32, "validation": 0.0, "adversarial_weight": 0.0, "seed": seed}
    trained = noisy[..., left], clean[..., left]
    for name, model in train_each(*trained, budget, volume={"depth": 3}, **fields):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = model(noisy, output="float")[..., held]
        pearson = float(np.corrcoef(made.ravel(), clean[..., held].ravel())[0, 1])
        print(f"{name:5} Pearson {pearson:.3f} after {model.info.steps} steps", flush=True)


def synthetic(budget: Budget, seed: int) -> None:
    """Translate a volume into what its planes show six above."""
    source = structure(1, 48, 128, 128)
    target = np.roll(source, _ABOVE, axis=0)
    test = structure(2, 48, 128, 128)
    truth = np.roll(test, _ABOVE, axis=0)[_ABOVE:]
    fields = {"adversarial_weight": 0.0, "validation": 0.0, "seed": seed}
    for name, model in train_each(source, target, budget, **fields):
        made = model(test, output="float")[_ABOVE:]
        pearson = float(np.corrcoef(made.ravel(), truth.ravel())[0, 1])
        print(f"{name:5} Pearson {pearson:.3f} after {model.info.steps} steps", flush=True)


def stitch(planes: NDArray[Any], least: float = 0.25) -> NDArray[np.int64]:
    """Join objects of neighbouring planes whose overlap is a quarter of their union or more."""
    joined = np.zeros(planes.shape, np.int64)
    count = 0
    for z, plane in enumerate(planes):
        for number in np.unique(plane[plane > 0]):
            inside = plane == number
            below = joined[z - 1][inside] if z else np.zeros(1, np.int64)
            names, counts = np.unique(below[below > 0], return_counts=True)
            unions = [np.count_nonzero(inside | (joined[z - 1] == name)) for name in names]
            shares = counts / np.maximum(unions, 1)
            if len(names) and shares.max() >= least:
                joined[z][inside] = names[shares.argmax()]
            else:
                count += 1
                joined[z][inside] = count
    return joined


def nuclei(image: str, labels: str, budget: Budget, seed: int) -> None:
    """Find nuclei in a stack: trained on its left columns, scored on its last 24 in 3D."""
    volume, truth = tifffile.imread(image), tifffile.imread(labels)
    held = slice(-24, None)
    fields = {"patch": 32, "validation": 0.0, "target_kind": "instances", "seed": seed}
    volume_fields = {"depth": 3}
    left = slice(0, -28)  # four columns lie between
    trained = volume[..., left], truth[..., left]
    for name, model in train_each(*trained, budget, volume=volume_fields, **fields):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = model(volume)[..., held]
        joined = made if name == "3D" else stitch(made)
        counts = label_counts(joined, truth[..., held], kind="instances")
        scores = pool_label_scores([counts])
        print(
            f"{name:5} Dice {scores['dice']:.3f}, F1 of objects in 3D {scores['f1']:.3f} after "
            f"{model.info.steps} steps",
            flush=True,
        )


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["synthetic", "nuclei", "noise"])
    parser.add_argument("files", nargs="*", help="image, and labels, of nuclei")
    parser.add_argument("--seconds", type=float, default=180.0)
    parser.add_argument("--seeds", type=int, default=1)
    chosen = parser.parse_args()
    runs: dict[str, Callable[..., None]] = {
        "synthetic": synthetic,
        "nuclei": nuclei,
        "noise": noise,
    }
    run = runs[chosen.what]
    budget = Budget(chosen.seconds)
    for seed in range(chosen.seeds):
        run(*chosen.files, budget, seed)


if __name__ == "__main__":
    main()
