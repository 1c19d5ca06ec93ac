"""Runs on a full disk and with little memory: refused in our words, and nothing old is lost."""

from __future__ import annotations

import random
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from helpers import gray_noise, make_model
from integration.campaign import processes
from integration.campaign.outcome import Outcome, files_of, until

from napari_pix2pix import load
from napari_pix2pix.inference._frame_job import GeneratorRun
from napari_pix2pix.io.writing import write_image

_FILE_BYTES = 40_000  # of the largest file that is written here, about
_MEMORY = 128 << 20, 400 << 20  # bytes beside what a process has taken at its beginning
# What Python's and PyTorch's allocators raise.
_RAN_OUT = (
    MemoryError(),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes."),
    RuntimeError("could not create a primitive"),
)


def full_disks(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Write where the disk is full from some file on, or after some bytes of a file."""
    job = processes.prepare(folder)
    outcome, context, run = Outcome(), processes.fork_server(), folder / "run"
    works = _works(job, run)
    for _ in until(seconds):
        outcome.tries += 1
        name = rng.choice(sorted(works))
        work, arguments = works[name]
        run.mkdir()
        work(*arguments, overwrite=True)
        before = files_of(run)
        if rng.random() < 0.5:
            number = rng.randint(1, 25)
            what, target = f"{name}, disk full from file {number} on", processes.with_full_disk
            given: tuple[Any, ...] = (number, run)
        else:
            most = rng.randint(1, _FILE_BYTES)
            what, target = f"{name}, files of {most} bytes at most", processes.with_limit
            given = ("FSIZE", most)
        child = context.Process(
            target=target, args=(*given, work, *arguments), kwargs={"overwrite": True}
        )
        child.start()
        child.join()
        code = child.exitcode
        outcome.expect(f"{what}: exit code {code}", code in (0, processes.REFUSED))
        after = {path: digest for path, digest in files_of(run).items() if ".part/" not in path}
        if name != "train":  # which has its model although its checkpoint could not be written
            outcome.expect(f"{what}: an old file is another", after == before)
        work(*arguments, overwrite=True)
        names = {path.name for path in run.iterdir()}
        outcome.expect(f"{what}: another result", _same(name, files_of(run), before))
        outcome.expect(
            f"{what}: left {sorted(names)}", names <= {"m.safetensors", "m.ckpt", "a.tif", "a.zarr"}
        )
        shutil.rmtree(run)
    return outcome


def little_memory(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Apply a model where an allocation fails, at a chosen one or below a limit of the process."""
    job = processes.prepare(folder)
    outcome, context, run = Outcome(), processes.fork_server(), folder / "run"
    model, image = load(job / "model.safetensors"), gray_noise(96, 96)
    expected = model(image)
    run.mkdir()
    processes.translate(job, run / "a.zarr")
    whole = files_of(run)
    for _ in until(seconds):
        if rng.random() < 0.7 or sys.platform != "linux":  # others do not limit a process
            error, first = rng.choice(_RAN_OUT), rng.randint(1, 3)
            what = f"{error!r} from call {first} on, {(many := rng.randint(1, 4))} times"
            with _failing(error, range(first, first + many)):
                tile = rng.choice([None, 32, 64])
                outcome.attempt(what, partial(model, image, tile=tile))
            made = expected if outcome.made is None else outcome.made
            outcome.expect(f"{what}: another result", np.allclose(made, expected, atol=1))
            continue
        outcome.tries += 1
        shutil.rmtree(run)
        run.mkdir()
        extra = rng.randint(*_MEMORY)
        what, work = f"{extra >> 20} MB of memory", (processes.translate, job, run / "a.zarr")
        child = context.Process(target=processes.with_limit, args=("AS", extra, *work))
        child.start()
        child.join()
        # Libraries in C++ and Rust end a process that gets no memory, as if it had been killed.
        ended = child.exitcode in (0, processes.REFUSED, -signal.SIGABRT, -signal.SIGSEGV)
        outcome.expect(f"{what}: exit code {child.exitcode}", ended)
        processes.translate(job, run / "a.zarr", overwrite=True)
        outcome.expect(f"{what}: another result", files_of(run) == whole)
    return outcome


def _works(job: Path, run: Path) -> dict[str, tuple[Callable[..., object], tuple[Any, ...]]]:
    """Return what writes files: functions that take `overwrite`, and their arguments."""
    pixels, image = gray_noise(3, 120, 100), gray_noise(64, 64)
    model = make_model(image, 255 - image)
    return {
        "translate to zarr": (processes.translate, (job, run / "a.zarr")),
        "translate to TIFF": (processes.translate, (job, run / "a.tif")),
        "image": (_write, (write_image, run / "a.tif", pixels, "ZYX")),
        "model": (_write, (model.save, run / "m.safetensors")),
        "train": (processes.learn, (run / "m.safetensors",)),
    }


def _write(function: Callable[..., object], *arguments: Any, overwrite: bool) -> None:
    """Write a file, as a function that always replaces."""
    assert overwrite
    function(*arguments)


def _same(name: str, files: dict[str, str], before: dict[str, str]) -> bool:
    """Whether files are the same; a training's hold its seconds, which differ."""
    return files.keys() == before.keys() if name == "train" else files == before


@contextmanager
def _failing(error: BaseException, numbers: range) -> Iterator[None]:
    """Let the network raise an error at its calls of these numbers."""
    calls, run = 0, GeneratorRun.__call__

    def call(self: GeneratorRun, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls in numbers:
            raise error
        return run(self, *arguments)

    with mock.patch.object(GeneratorRun, "__call__", call):
        yield
