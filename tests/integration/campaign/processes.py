"""What the processes of the campaign do, which are killed, starved or disturb each other."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from helpers import TINY, CountedClock, gray_noise, make_model, noise

from napari_pix2pix import load, train
from napari_pix2pix.errors import FileError, Pix2PixError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io import _leftovers as leftovers
from napari_pix2pix.io.locks import locked
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.resumable import remove_part
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.large_images import translate_file
from napari_pix2pix.training import _schedule as schedule

REFUSED = 7  # the exit code of a run that was refused by an error of ours
IN_FOLDER = {"source.zarr", "model.safetensors"}  # what `prepare` writes
NETWORK = TINY | {"adversarial_start": 0.0, "dropout": 0.5, "dropout_placement": "paper"}
# What Python tells of before it changes files: here a process can be killed, or a disk be full.
_MAKES = {"os.mkdir", "os.link", "os.rename"}
_CHANGES = _MAKES | {"os.remove", "os.rmdir", "os.chmod", "shutil.rmtree", "os.truncate"}
Work = Callable[..., object]


def prepare(folder: Path) -> Path:
    """Write a model and a source, and return their folder."""
    image = gray_noise(64, 64)
    make_model(image, 255 - image).save(folder / "model.safetensors", slim=True)
    write_image(folder / "source.zarr", gray_noise(6, 64, 64), "ZYX")
    return folder


def begin() -> None:
    """Be as a new program would be, with one thread."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    leftovers._looked_through.clear()


def translate(folder: Path, out: Path, *, resume: bool = False, overwrite: bool = False) -> None:
    """Translate the source of `prepare`."""
    begin()
    source = folder / "source.zarr"
    model, image = load(folder / "model.safetensors"), read_image(source)
    how = {"resume": resume, "overwrite": overwrite}
    translate_file(model, source, image, out, PredictOptions(), **how)


def learn(out: Path, *, resume: bool | None = None, overwrite: bool = False) -> None:
    """Train for some steps, with a checkpoint after each few, and write the model."""
    begin()
    sources = [noise(40, 40, seed=number) for number in range(3)]
    # By a clock of its own, so that checkpoints are written at the same steps on any machine.
    with mock.patch.object(schedule, "time", CountedClock()), locked(out):
        model = train(
            *(sources, [1 - source for source in sources]),
            checkpoint=out.with_suffix(".ckpt"),
            checkpoint_seconds=0.01,
            resume=False if overwrite else resume,
            **{**NETWORK, "steps": 8, "validation": 0.0},
        )
        model.save(out)


def clean_up(out: Path) -> None:
    """Do what the next run does where the output of a killed one is there as a whole."""
    begin()
    remove_part(out)
    with locked(out):
        pass


def in_process(work: Work, *arguments: Any, **how: Any) -> None:
    """Do work; end the process with a code of its own where it is refused."""
    begin()
    try:
        work(*arguments, **how)
    except (Pix2PixError, MemoryError):  # which the shell says in a sentence, too
        sys.exit(REFUSED)


def where_locked(work: Work, *arguments: Any, **how: Any) -> None:
    """Do work; end the process with a code of its own where another run has the output."""
    try:
        work(*arguments, **how)
    except FileError as error:
        if "is being written by another run" not in str(error):
            raise
        sys.exit(REFUSED)


def killed_at(number: int, folder: Path, counter: Any, work: Work, *args: Any, **how: Any) -> None:
    """Do work, and kill this process before a change of files in a folder, by its number."""

    def count(event: str, path: str) -> None:
        counter.value += 1
        if counter.value == number:
            os.kill(os.getpid(), signal.SIGKILL)

    _watch(folder, _CHANGES, count)
    work(*args, **how)


def with_full_disk(number: int, folder: Path, work: Work, *arguments: Any, **how: Any) -> None:
    """Do work, with a disk that is full from the given number of new files and folders on."""
    made = 0

    def refuse(event: str, path: str) -> None:
        nonlocal made
        made += 1
        if made >= number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    begin()
    _watch(folder, _MAKES, refuse)
    in_process(work, *arguments, **how)


def with_limit(name: str, extra: int, work: Work, *arguments: Any, **how: Any) -> None:
    """Do work under a limit of this process: of the bytes of a file (FSIZE) or of memory (AS)."""
    import resource

    import psutil

    begin()
    limit = getattr(resource, f"RLIMIT_{name}")
    most = extra + (psutil.Process().memory_info().vms if name == "AS" else 0)
    resource.setrlimit(limit, (most, most))
    in_process(work, *arguments, **how)


def _watch(folder: Path, events: set[str], tell: Callable[[str, str], None]) -> None:
    """Let each change of files in a folder be told before it happens, in this process."""
    inside = os.path.join(os.path.realpath(folder), "")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = arguments
            writes = bool(flags & (os.O_WRONLY | os.O_RDWR)) and flags & os.O_CREAT
            if not writes:
                return
        elif event in events:
            path = arguments[0]
        else:
            return
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(inside):
            tell(event, os.fspath(path))

    sys.addaudithook(hook)


def fork_server() -> ForkServerContext:
    """Return what makes processes in little time, from one that has imported all and no threads."""
    context = multiprocessing.get_context("forkserver")
    # What the package imports late, too.
    context.set_forkserver_preload([__name__, "lightning_fabric", "dask.array", "zarr"])
    first = context.Process(target=time.sleep, args=(0,))  # the server imports all before it
    # Before Python 3.13 the server finds modules by this alone.
    with mock.patch.dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path)):
        first.start()
    first.join()
    return context


def same_run(one: Path, other: Path) -> bool:
    """Whether two trainings have the same weights, moments and counters, but for their seconds."""
    from napari_pix2pix.io.model_file import read_container

    (tensors, header), (tensors_b, header_b) = read_container(one), read_container(other)
    for counters in (header["counters"], header_b["counters"]):
        del counters["seconds"]
    return (
        header["counters"] == header_b["counters"]
        and tensors.keys() == tensors_b.keys()
        and all(np.array_equal(t.numpy(), tensors_b[name].numpy()) for name, t in tensors.items())
    )
