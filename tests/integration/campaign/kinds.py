"""The kinds of tries of the campaign: each makes tries until its time is up, and tells faults."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from unittest import mock

import numpy as np
from click.testing import CliRunner
from helpers import TINY, gray_noise, noise
from integration.campaign import mutations, processes

from napari_pix2pix import load, train
from napari_pix2pix.cli import main
from napari_pix2pix.errors import Pix2PixError, UnexpectedError
from napari_pix2pix.io.model_file import read_container, write_container
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image

_SLOWEST = 10.0  # seconds that a try may take
_NETWORK = TINY | {"adversarial_start": 0.0, "dropout": 0.5, "dropout_placement": "paper"}


@dataclass
class Outcome:
    """What a kind of tries found."""

    tries: int = 0
    faults: list[str] = field(default_factory=list)

    def attempt(self, what: str, work: Callable[[], object]) -> bool:
        """Count a try: it may succeed, or be refused by an error of ours, within its time."""
        self.tries += 1
        began, refused = time.perf_counter(), False
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                work()
        except UnexpectedError as error:  # the boundary of Python met what nobody foresaw
            self.faults.append(f"{what}: {error}"[:150])
            refused = True
        except Pix2PixError:
            refused = True
        except Exception as error:  # what this campaign is looking for
            self.faults.append(f"{what}: {type(error).__name__}: {str(error)[:100]}")
            refused = True
        if (seconds := time.perf_counter() - began) > _SLOWEST:
            self.faults.append(f"{what}: {seconds:.0f} s")
        return not refused

    def expect(self, what: str, is_right: bool) -> None:
        """Count a fault where something is not as it should be."""
        if not is_right:
            self.faults.append(what)


Kind = Callable[[Path, random.Random, float], Outcome]


def _until(seconds: float) -> Iterator[None]:
    ends = time.monotonic() + seconds
    while time.monotonic() < ends:
        yield


def _pairs() -> tuple[list[np.ndarray], list[np.ndarray]]:
    sources = [noise(48, 48, seed=number) for number in range(4)]
    return sources, [1 - source for source in sources]


def _train(folder: Path, **how: object) -> None:
    path = folder / "model.ckpt"
    conditions = ["a", "b", "a", "b"]
    fields = {"steps": 2, "checkpoint": path, **_NETWORK, **how}
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

    for _ in _until(seconds):
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
    for _ in _until(seconds):
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
    for _ in _until(seconds):
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


def kills_of_apply(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Kill the translation of a large file at any moment; resume it, and compare all bytes."""
    job = processes.prepare(folder)
    (folder / "whole").mkdir()
    context, out, outcome = _fork_server(), folder / "out.zarr", Outcome()
    began = time.perf_counter()
    whole = context.Process(target=processes.translate, args=(job, folder / "whole" / "out.zarr"))
    whole.start()
    whole.join()
    takes = time.perf_counter() - began
    expected = _files_of(folder / "whole" / "out.zarr")
    for _ in _until(seconds):
        outcome.tries += 1
        child = context.Process(target=processes.translate, args=(job, out))
        child.start()
        child.join(rng.uniform(0.1 * takes, 1.2 * takes))
        child.kill()
        child.join()
        if out.exists():
            processes.clean_up(job, out)
        else:
            processes.translate(job, out, resume=True)
        outcome.expect("another result after a kill", _files_of(out) == expected)
        left = {path.name for path in folder.iterdir()} - processes.NAMES
        outcome.expect(f"left after a kill: {sorted(left)}", not left)
        processes.remove(out)
    return outcome


def two_runs(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Start two runs on one output at about the same time: one is refused, or comes later."""
    job = processes.prepare(folder)
    out, outcome, context = folder / "out.zarr", Outcome(), _fork_server()
    processes.translate(job, out)
    expected = _files_of(out)
    for _ in _until(seconds):
        outcome.tries += 1
        children = [
            context.Process(target=processes.translate, args=(job, out), kwargs={"overwrite": True})
            for _ in range(2)
        ]
        for child in children:
            child.start()
            time.sleep(rng.uniform(0, 0.05))
        for child in children:
            child.join()
        codes = sorted(child.exitcode or 0 for child in children)
        outcome.expect(f"exit codes {codes}", codes in ([0, 0], [0, processes.REFUSED]))
        outcome.expect("two runs mixed", _files_of(out) == expected)
    return outcome


KINDS: dict[str, Kind] = {
    "damaged model files": model_files,
    "damaged checkpoints": checkpoints,
    "damaged image files": image_files,
    "kills while a file is translated": kills_of_apply,
    "two runs on one output": two_runs,
}


def _fork_server() -> multiprocessing.context.ForkServerContext:
    """Return what makes processes in little time, from one that has imported all and no threads."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    first = context.Process(target=time.sleep, args=(0,))  # the server imports all before it
    # Before Python 3.13 the server finds modules by this alone.
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        first.start()
    first.join()
    return context


def _files_of(path: Path) -> dict[str, str]:
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in path.rglob("*")
        if file.is_file()
    }
