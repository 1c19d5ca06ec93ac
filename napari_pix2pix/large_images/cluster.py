"""Blocks of an image on the workers of a dask.distributed scheduler.

Each worker, also a late one, gets the model once, as a plugin. Workers read the source and write
the blocks; this process keeps the journal. If a worker dies, another one makes its block.
"""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from napari_pix2pix import __version__
from napari_pix2pix._load import load
from napari_pix2pix.errors import DeviceError, FileError, Remedy, is_out_of_memory
from napari_pix2pix.external.models import ExternalTranslator
from napari_pix2pix.inference.norm_statistics import Measured
from napari_pix2pix.io.resumable import BlockChecksums, ResumableImage, part_folder, write_block
from napari_pix2pix.large_images._job import Block, Job, Work, block_checksum, reason_of
from napari_pix2pix.large_images._local import BlockReport, OfFrames
from napari_pix2pix.translator import Translator

if TYPE_CHECKING:
    from distributed import Client

_TIMEOUT = 30  # seconds to wait for the scheduler, and again for its first worker
_OPEN_JOBS = 8  # sources that a worker keeps open
_NETWORK_LOCK = threading.Lock()  # in a worker: a network's mode and device are its own state


@contextmanager
def connect(address: str, translator: Translator) -> Iterator[Cluster]:
    """Send a model to the workers of a scheduler; raise a `DeviceError` if that is impossible."""
    client, name = _client(address), f"pix2pix-{uuid4().hex}"
    try:
        _check_workers(client, address)
        _check_library(client, translator)
        client.register_plugin(_plugin(WorkerModel(_packed(translator))), name)
        try:
            yield Cluster(client, address, name)
        finally:
            if client.status == "running":  # and not the scheduler gone
                client.unregister_worker_plugin(name)
    finally:
        client.close()


class Cluster:
    """Workers that hold a model; made by `connect`. `threads` blocks are in work at once."""

    def __init__(self, client: Client, address: str, name: str) -> None:
        self._client, self._address, self._name = client, address, name
        self.threads = sum(client.nthreads().values())

    def worker(self, job: Job) -> ClusterWorker:
        """Return what makes the blocks of one image; each worker has to see source and output."""
        # A worker that has just died does not answer, and is left out.
        with _cluster_errors(self._address):
            answers = self._client.run(_not_seen, job, on_error="ignore")
        for worker, missing in answers.items():
            if missing:
                raise FileError(
                    f"The worker {worker} {missing}: all workers need the same folders as this "
                    "process, under the same names."
                )
        return ClusterWorker(self._client, self._address, self._name, job)


class ClusterWorker:
    """The workers of a cluster, at one image; see `BlockWorker`."""

    def __init__(self, client: Client, address: str, name: str, job: Job) -> None:
        self._client, self._address = client, address
        self._same: dict[str, Any] = {"name": name, "job": job}

    def measure(self, frames: Sequence[int]) -> Iterator[tuple[int, list[Measured]]]:
        """Measure frames, once a sample."""
        return self._each(_measure, [frames])

    def fill(
        self, blocks: Sequence[Block], measured: OfFrames, image: ResumableImage
    ) -> Iterator[BlockReport]:
        """Make blocks, write them and mark them as done; report each, also if it can't be read."""
        warned: set[str] = set()
        of_frames = [measured.get(block.frame, ()) for block in blocks]
        for report in self._each(_make, [blocks, of_frames]):
            for sentence in sorted(set(report.warnings) - warned):
                warnings.warn(sentence, UserWarning, stacklevel=2)
            warned.update(report.warnings)
            if report.checksums is not None:
                image.mark_done(report.block.number, report.checksums)
            yield report

    def _each(self, function: Callable[..., Any], lists: list[Sequence[Any]]) -> Iterator[Any]:
        """Yield results as they come; what is not done when the loop is left is cancelled."""
        from distributed import as_completed

        futures = self._client.map(function, *lists, **self._same, pure=False)
        try:
            for future in as_completed(futures, loop=self._client.loop):
                with _cluster_errors(self._address):
                    result = future.result()
                yield result
        finally:
            if self._client.status == "running":
                self._client.cancel(futures, force=True)


class WorkerModel:
    """A model in a worker, from the bytes of its file, and the images that it is applied to."""

    def __init__(self, packed: bytes | ExternalTranslator) -> None:
        self._packed = packed
        self._translator: Translator | None = None
        self._works: dict[Job, Work] = {}

    def work(self, job: Job) -> Work:
        """Return the work on an image, which is opened at the first call."""
        if self._translator is None:
            self._translator, self._packed = _unpacked(self._packed), b""
        if job not in self._works:
            for old in list(self._works)[: 1 - _OPEN_JOBS]:
                del self._works[old]
            self._works[job] = Work.open(self._translator, job)
        return self._works[job]


def _make(block: Block, measured: Sequence[Measured], *, name: str, job: Job) -> BlockReport:
    """Make a block in a worker, and write it."""
    work = _work(name, job)
    try:
        read = work.read(block)
    except Exception as error:  # which errors these are is up to the format's library
        if is_out_of_memory(error):
            raise
        return BlockReport(block, False, reason_of(error))
    with _NETWORK_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        made = work.translate(read, block, measured)
    laid_out = work.lay_out(made.pixels)
    written = write_block(job.out, block.number, work.window(block), laid_out, made.facts)
    sentences = (str(w.message) for w in caught if issubclass(w.category, UserWarning))
    checksums = BlockChecksums(block_checksum(read), written)
    return BlockReport(block, True, warnings=tuple(sentences), checksums=checksums)


def _measure(frame: int, *, name: str, job: Job) -> tuple[int, list[Measured]]:
    work = _work(name, job)
    with _NETWORK_LOCK:
        return frame, work.measure(frame)


def _work(name: str, job: Job) -> Work:
    from distributed import get_worker

    with _NETWORK_LOCK:
        plugin: Any = get_worker().plugins[name]
        held: WorkerModel = plugin.held
        return held.work(job)


def _plugin(held: WorkerModel) -> Any:
    from distributed import WorkerPlugin

    class Model(WorkerPlugin):
        """Brings a model to each worker, also to those that come later."""

        def __init__(self) -> None:
            self.held = held

    return Model()


def _client(address: str) -> Client:
    try:
        from distributed import Client
    except ImportError:
        raise DeviceError(
            "A scheduler needs dask.distributed, which is not installed: "
            "pip install 'napari-pix2pix[distributed]'."
        ) from None
    try:
        return Client(address, timeout=_TIMEOUT, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise DeviceError(
            f"No scheduler answers at {address} ({reason_of(error)}): start one with "
            "`dask scheduler`, or check the address, such as tcp://10.0.0.1:8786."
        ) from error


def _check_workers(client: Client, address: str) -> None:
    """Refuse a cluster without workers, or whose workers have another version."""
    try:
        client.wait_for_workers(1, timeout=_TIMEOUT)
    except TimeoutError:
        raise DeviceError(
            f"The scheduler at {address} has no workers: start some with `dask worker {address}`."
        ) from None
    for worker, version in client.run(_version, on_error="return").items():
        if version != __version__:
            got = reason_of(version) if isinstance(version, Exception) else version
            raise DeviceError(
                f"The worker {worker} has another napari-pix2pix or none ({got}; here "
                f"{__version__}): install the same everywhere."
            )


def _check_library(client: Client, translator: Translator) -> None:
    """Refuse a cluster whose workers lack the library that runs a model of another program."""
    library = translator.library if isinstance(translator, ExternalTranslator) else ""
    if not library:
        return
    for worker, is_there in client.run(_has, library, on_error="ignore").items():
        if not is_there:
            raise DeviceError(
                f"The worker {worker} lacks {library}, which runs this model: install the extra "
                "onnx everywhere (pip install 'napari-pix2pix[onnx]')."
            )


def _has(library: str) -> bool:
    return find_spec(library) is not None


def _version() -> str:
    return __version__


def _not_seen(job: Job) -> str:
    """Say which file or folder this worker does not see; empty if it sees all."""
    part = part_folder(job.out)
    if not job.source.exists():
        return f"does not see {job.source}"
    return "" if os.access(part, os.W_OK) else f"can't write to {part}"


@contextmanager
def _cluster_errors(address: str) -> Iterator[None]:
    from concurrent.futures import CancelledError

    from distributed.comm.core import CommClosedError
    from distributed.scheduler import KilledWorker

    try:
        yield
    except KilledWorker as error:
        raise DeviceError(
            f"{error.allowed_failures + 1} workers died one after another at the same block: it "
            "may be too large for their memory. Use smaller tiles, or workers with more memory, "
            "and resume the run.",
            remedies=(Remedy.SMALLER_TILE, Remedy.RESUME),
        ) from error
    except (CancelledError, CommClosedError) as error:
        raise DeviceError(
            f"The connection to {address} is lost; finished blocks are kept: resume the run.",
            remedies=(Remedy.RESUME,),
        ) from error


def _packed(translator: Translator) -> bytes | ExternalTranslator:
    if isinstance(translator, ExternalTranslator):
        return translator  # it holds the bytes of its file, and opens them in each process anew
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        translator.save(path, slim=True)
        return path.read_bytes()


def _unpacked(packed: bytes | ExternalTranslator) -> Translator:
    if isinstance(packed, ExternalTranslator):
        return packed
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        path.write_bytes(packed)
        return load(path)
