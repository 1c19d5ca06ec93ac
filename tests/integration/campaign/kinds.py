"""The kinds of tries of the campaign: each makes tries until its time is up, and tells faults."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from click.testing import CliRunner
from helpers import gray_noise, noise
from integration.campaign import calls, killing, limits, mutations
from integration.campaign.hostile_images import images_that_lie
from integration.campaign.outcome import Outcome, until
from integration.campaign.processes import NETWORK

from napari_pix2pix import load, train
from napari_pix2pix.cli import main
from napari_pix2pix.io.model_file import read_container, write_container
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image

Kind = Callable[[Path, random.Random, float], Outcome]


def _pairs() -> tuple[list[np.ndarray], list[np.ndarray]]:
    sources = [noise(48, 48, seed=number) for number in range(4)]
    return sources, [1 - source for source in sources]


def _train(folder: Path, **how: object) -> None:
    path = folder / "model.ckpt"
    conditions = ["a", "b", "a", "b"]
    fields = {"steps": 2, "checkpoint": path, **NETWORK, **how}
    train(*_pairs(), condition=conditions, **fields).save(folder / "model.safetensors")


def model_files(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Damage the header or the weights of a model; describe, load and apply it."""
    _train(folder)
    whole, header = read_container(folder / "model.safetensors")
    header, path, image = json.loads(json.dumps(header)), folder / "m.safetensors", noise(40, 40)
    outcome = Outcome()

    def use() -> None:
        model = load(path)
        repr(model), model.card(), model.discriminator
        model(image, condition=model.conditions[0] if model.conditions else None)

    def describe() -> None:
        done = CliRunner().invoke(main, ["info", str(path)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        outcome.expect(f"{what}: an escape was printed", "\x1b" not in done.output)

    for _ in until(seconds):
        if rng.random() < 0.7:
            damaged, what = mutations.mutate_json(header, rng)
            write_container(path, whole, damaged)
        elif rng.random() < 0.5:
            tensors, what = mutations.mutate_tensors(whole, rng)
            write_container(path, tensors, header)
        else:
            content, what = mutations.mutate_bytes((folder / "model.safetensors").read_bytes(), rng)
            path.write_bytes(content)
        outcome.attempt(f"info of {what}", describe)
        outcome.attempt(f"load of {what}", use)
        path.unlink()  # a damaged file may be one that is not replaced
    return outcome


def checkpoints(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Damage a checkpoint, and resume from it."""
    _train(folder)
    whole, header = read_container(folder / "model.ckpt")
    header, path, outcome = json.loads(json.dumps(header)), folder / "m.ckpt", Outcome()
    for _ in until(seconds):
        tensors, counters, what = whole, header["counters"], ""
        if rng.random() < 0.5:
            counters, what = mutations.mutate_json(counters, rng)
        else:
            tensors, what = mutations.mutate_tensors(whole, rng)
        write_container(path, tensors, {**header, "counters": counters})
        before = path.read_bytes()
        resumed = outcome.attempt(
            f"resume of {what}", lambda: _train(folder, checkpoint=path, resume=True, steps=3)
        )
        outcome.expect(f"{what}: a refused file changed", resumed or path.read_bytes() == before)
    return outcome


def image_files(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Damage images of all formats that are written, and read them."""
    pixels, files = gray_noise(3, 40, 40), []
    for name in ("a.tif", "b.ome.tif", "c.npy", "d.zarr"):
        files.append(write_image(folder / name, pixels, "ZYX", {"Y": 0.5, "X": 0.5}))
    files.append(write_image(folder / "e.png", pixels[0]))
    outcome = Outcome()
    for _ in until(seconds):
        chosen = rng.choice(files)
        inner = (
            [chosen] if chosen.is_file() else sorted(p for p in chosen.rglob("*") if p.is_file())
        )
        file = rng.choice(inner)
        whole = file.read_bytes()
        content, what = mutations.mutate_bytes(whole, rng)
        file.write_bytes(content)
        outcome.attempt(f"{file.relative_to(folder)} {what}", partial(read_image, chosen, "ZYX"))
        file.write_bytes(whole)
    return outcome


KINDS: dict[str, Kind] = {
    "damaged model files": model_files,
    "damaged checkpoints": checkpoints,
    "damaged image files": image_files,
    "images that lie": images_that_lie,
    "kills of trainings": killing.kills_of_trainings,
    "kills while a file is translated": killing.kills_of_apply,
    "two runs on one output": killing.two_runs,
    "full disks": limits.full_disks,
    "little memory": limits.little_memory,
    "threads": calls.threads,
    "odd arguments": calls.odd_arguments,
    "odd commands": calls.odd_commands,
}

# Tries of each kind in a long run.
LONG = {
    "damaged model files": 1500,
    "damaged checkpoints": 120,
    "damaged image files": 350,
    "images that lie": 350,
    "kills of trainings": 200,
    "kills while a file is translated": 1000,
    "two runs on one output": 50,
    "full disks": 100,
    "little memory": 100,
    "threads": 400,
    "odd arguments": 500,
    "odd commands": 110,
}
