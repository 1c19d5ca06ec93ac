"""What `test_distributed` has each of two processes do: first the command, with its arguments.

That starts the second process, which runs this program too. Both go on with what tests ask about.
"""

import hashlib
import json
import os
import sys
from pathlib import Path
from unittest.mock import patch

import helpers
import numpy as np
from helpers import CountedClock

from napari_pix2pix import Pair, TrainConfig, _train
from napari_pix2pix._train import training_events
from napari_pix2pix.cli import main as command
from napari_pix2pix.errors import Pix2PixError
from napari_pix2pix.training import _schedule
from napari_pix2pix.training.events import Checkpoint, Control, Done, Event, Health, Step, Validated
from napari_pix2pix.translator import Translator

TINY = helpers.TINY | {"steps": 5, "depth": 3, "discriminator_layers": 1}
TINY |= {"dropout": 0.0, "adversarial_start": 0.0, "adversarial_full": 0.0}
# What is to match a single process: every term of the objective, noise, conditions of the norms.
ALIKE = {
    "group": {"gradient_penalty": 1.0, "gradient_clip": 1.0, "adversarial": "relativistic"}
    | {"discriminator_augmentation": "colour+translation+cutout"},
    "instance": {"noise_channels": 2, "noise": "pixel", "feature_matching": 10.0}
    | {"r1": 0.1, "r1_every": 2, "foreground_weight": 3.0, "foreground_dice": 0.1},
    "none": {"stale_discriminator": True, "noise_channels": 2, "shift_tolerance": 2},
}
for _name, _fields in ALIKE.items():
    _fields["norm"] = _name


def make_pair(seed: int = 0) -> Pair:
    """Make a pair of which a slanted part is labelled, so that patches differ in how much."""
    rng = np.random.default_rng(seed)
    source = np.cumsum(rng.normal(size=(96, 96)), 1).astype(np.float32)
    mask = np.add.outer(np.arange(96), 2 * np.arange(96)) < 150
    return Pair(source, source**2 / 20 + 3, mask=mask)


def run(
    pair: Pair | None = None, *, stop_at: int | None = None, files=None, **fields
) -> tuple[Translator, list[Event]]:
    """Train, and stop after some steps if told so; return the model and the events."""
    control, events = Control(), []
    config = TrainConfig(**{**TINY, **fields})
    going = training_events([pair or make_pair()], config, control=control, **(files or {}))
    while True:
        try:
            event = next(going)
        except StopIteration as stop:
            return stop.value, events
        events.append(event)
        if isinstance(event, Step) and event.step == stop_at:
            control.stop()


def losses(events: list[Event]) -> list[dict[str, float]]:
    return [event.losses for event in events if isinstance(event, Step)]


def digest(translator: Translator, *, without: tuple[str, ...] = ()) -> str:
    """Return a digest of the tensors of a model, but for those with a part of a name."""
    found = hashlib.sha256()
    for name, tensor in sorted(translator.tensors.items()):
        if not any(part in name for part in without):
            found.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return found.hexdigest()


def tell(translator: Translator, events: list[Event]):
    """Return what a process knows after a run."""
    done = next(event for event in events if isinstance(event, Done))
    return {
        "step": done.step,
        "reason": done.reason,
        "digest": digest(translator),
        # Without what a stop in between leaves: a validation, statistics that were averaged.
        "weights": digest(translator, without=("best.", "running_", "usual.")),
        "losses": losses(events),
        "scores": [event.prediction for event in events if isinstance(event, Validated)],
        "checkpoints": sum(isinstance(event, Checkpoint) for event in events),
        "health": [event.message for event in events if isinstance(event, Health)],
        "device": events[0].device,  # type: ignore[union-attr]
    }


def find(folder: Path, rank: int) -> None:
    """Train in all the ways that tests ask about, and write down what came of it."""
    two = {"devices": 2, "batch": 2}
    found = {}
    for name, fields in ALIKE.items():
        translator, events = run(**two, **fields)
        found[name] = tell(translator, events)
        if rank == 0:
            np.save(folder / f"{name}.npy", translator(make_pair(1).source))
    batch_norm = {**two, "norm": "batch", "dropout": 0.5, "dropout_placement": "paper"}
    found["batch"] = tell(*run(**batch_norm))
    clock = CountedClock()
    with patch.object(_schedule, "time", clock), patch.object(_train, "time", clock):
        found["seconds"] = tell(*run(**two, steps=None, max_seconds=1.0))
    found["stopped"] = tell(*run(**two, steps=1000, stop_at=3 + 2 * rank))
    files = {"checkpoint": folder / "run.ckpt"}
    found["half"] = tell(*run(**batch_norm, stop_at=3, files=files))
    found["whole"] = tell(*run(**batch_norm, files=files | {"resume": True}))
    found["not finite"] = tell(*run(**two, learning_rate=1e12))
    try:  # the second process is given other pairs; the first misses it then
        run(make_pair(rank), **two)
    except Pix2PixError as error:
        found["error"] = str(error)
    (folder / f"{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    command(standalone_mode=False)
    find(Path(sys.argv[-1]).parent, int(os.environ["LOCAL_RANK"]))
