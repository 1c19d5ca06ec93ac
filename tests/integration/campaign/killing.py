"""Runs that are killed at any moment and resumed, and runs that meet on one output."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from integration.campaign import processes
from integration.campaign.outcome import Outcome, files_of, until


def kills_of_trainings(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Kill a training at any moment, or before any change of files; resume it, and compare."""
    (folder / "whole").mkdir()
    (folder / "run").mkdir()
    whole, out, outcome = (
        folder / "whole" / "m.safetensors",
        folder / "run" / "m.safetensors",
        Outcome(),
    )
    killer = _Killer(processes.learn, whole)
    checkpoint = out.with_suffix(".ckpt")
    for _ in until(seconds):
        outcome.tries += 1
        when = killer.kill(rng, out)
        processes.learn(out, resume=True)
        same = processes.same_run(checkpoint, whole.with_suffix(".ckpt"))
        outcome.expect(f"another training after a kill {when}", same)
        _expect_no_more(outcome, out.parent, {out.name, checkpoint.name}, when)
        out.unlink()
        checkpoint.unlink()
    return outcome


def kills_of_apply(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Kill the translation of a large file in the same ways; resume it, and compare all bytes."""
    job = processes.prepare(folder)
    (folder / "whole").mkdir()
    (folder / "run").mkdir()
    outcome = Outcome()
    suffix = rng.choice([".zarr", ".tif"])
    whole, out = folder / "whole" / f"out{suffix}", folder / "run" / f"out{suffix}"
    killer = _Killer(processes.translate, job, whole)
    expected = files_of(whole.parent)
    for _ in until(seconds):
        outcome.tries += 1
        when = killer.kill(rng, job, out)
        if out.exists():
            processes.clean_up(out)
        else:
            processes.translate(job, out, resume=True)
        outcome.expect(f"another result after a kill {when}", files_of(out.parent) == expected)
        _expect_no_more(outcome, out.parent, {out.name}, when)
        shutil.rmtree(out) if out.is_dir() else out.unlink()
    return outcome


def two_runs(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Start two runs on one output at about the same time: one is refused, or comes later."""
    job = processes.prepare(folder)
    (folder / "run").mkdir()
    outcome, context = Outcome(), processes.fork_server()
    image, model = folder / "run" / "out.zarr", folder / "run" / "m.safetensors"
    processes.translate(job, image)
    processes.learn(model)
    expected, kept = files_of(image), folder / "whole.ckpt"
    shutil.copy(model.with_suffix(".ckpt"), kept)
    works: list[tuple[Any, ...]] = [(processes.translate, job, image), (processes.learn, model)]
    for _ in until(seconds):
        outcome.tries += 1
        work = rng.choice(works)
        children = [
            context.Process(target=processes.where_locked, args=work, kwargs={"overwrite": True})
            for _ in range(2)
        ]
        for child in children:
            child.start()
            time.sleep(rng.uniform(0, 0.05))
        for child in children:
            child.join()
        name, codes = work[0].__name__, sorted(child.exitcode or 0 for child in children)
        refused_or_later = codes in ([0, 0], [0, processes.REFUSED])
        outcome.expect(f"two runs of {name}: exit codes {codes}", refused_or_later)
        right = files_of(image) == expected and processes.same_run(model.with_suffix(".ckpt"), kept)
        outcome.expect(f"two runs of {name} mixed", right)
        _expect_no_more(outcome, folder / "run", {image.name, model.name, "m.ckpt"}, name)
    return outcome


class _Killer:
    """Runs work in processes of its own, and kills them at chosen points."""

    def __init__(self, work: Callable[..., object], *arguments: Any) -> None:
        """Do the work once as a whole; the last argument is its output."""
        self._work, self._context = work, processes.fork_server()
        began = time.perf_counter()
        changes = self._start(0, *arguments)
        self._seconds, self._changes = time.perf_counter() - began, changes

    def kill(self, rng: random.Random, *arguments: Any) -> str:
        """Begin the work and kill it, by time or before one of its changes of files; say when."""
        if rng.random() < 0.5:
            number = rng.randint(1, self._changes)
            self._start(number, *arguments)
            return f"before change {number} of {self._changes}"
        after = rng.uniform(0.05, 1.1) * self._seconds
        self._start(0, *arguments, seconds=after)
        return f"after {after:.2f} of {self._seconds:.2f} s"

    def _start(self, number: int, *arguments: Any, seconds: float | None = None) -> int:
        counter = self._context.Value("i", 0)
        child = self._context.Process(
            target=processes.killed_at,
            args=(number, arguments[-1].parent, counter, self._work, *arguments),
        )
        child.start()
        child.join(seconds)
        child.kill()
        child.join()
        return int(counter.value)


def _expect_no_more(outcome: Outcome, folder: Path, names: set[str], when: str) -> None:
    left = sorted({path.name for path in folder.iterdir()} - names)
    outcome.expect(f"left behind ({when}): {left}", not left)
