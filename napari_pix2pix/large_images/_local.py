"""Make the blocks of an image that are left, in this process or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

from napari_pix2pix.errors import FileError, Remedy, is_out_of_memory, plural
from napari_pix2pix.inference.norm_statistics import Measured, measured_from_json, measured_to_json
from napari_pix2pix.inference.tiling import OnTile
from napari_pix2pix.io.resumable import BlockChecksums, ResumableImage, part_folder
from napari_pix2pix.large_images._job import Block, Work, block_checksum, reason_of

T = TypeVar("T")
R = TypeVar("R")
OfFrames = Mapping[int, Sequence[Measured]]  # statistics of each frame, once a sample


class BlockReport(NamedTuple):
    """A block that was made and written, or whose source can't be read."""

    block: Block
    is_made: bool  # False if its source can't be read
    why: str = ""  # the reason that it can't be read
    warnings: tuple[str, ...] = ()
    checksums: BlockChecksums | None = None  # for the journal, where another process wrote it


class BlockWorker(Protocol):
    """Measures frames, and makes blocks."""

    def measure(self, frames: Sequence[int]) -> Iterator[tuple[int, list[Measured]]]:
        """Measure frames, once a sample."""

    def fill(
        self, blocks: Sequence[Block], measured: OfFrames, image: ResumableImage
    ) -> Iterator[BlockReport]:
        """Make blocks, write them and mark them as done; report each, also if it can't be read."""


class LocalWorker:
    """Works in this process: one block is read and one written while another is computed."""

    def __init__(self, work: Work) -> None:
        self._work = work

    def measure(self, frames: Sequence[int]) -> Iterator[tuple[int, list[Measured]]]:
        """Measure frames, once a sample."""
        for frame in frames:
            yield frame, self._work.measure(frame)

    def fill(
        self, blocks: Sequence[Block], measured: OfFrames, image: ResumableImage
    ) -> Iterator[BlockReport]:
        """Make blocks, write them and mark them as done; report each, also if it can't be read."""
        work = self._work
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            writing: Future[None] | None = None
            for block, reading in _ahead(work.read, blocks, reader):
                try:
                    read = reading.result()
                except Exception as error:  # which errors these are is up to the format's library
                    if is_out_of_memory(error):
                        raise
                    yield BlockReport(block, False, reason_of(error))
                    continue
                made = work.translate(read, block, measured.get(block.frame, ()))
                if writing is not None:
                    writing.result()
                window, laid_out = work.window(block), work.lay_out(made.pixels)
                checksum = block_checksum(read)
                writing = writer.submit(
                    image.write, block.number, window, laid_out, checksum, made.facts
                )
                yield BlockReport(block, True)
            if writing is not None:
                writing.result()


def complete(
    work: Work,
    image: ResumableImage,
    worker: BlockWorker,
    on_tile: OnTile | None,
) -> None:
    """Make the blocks that are left; `FileError` names one that can't be read, others are kept."""
    blocks = work.job.plan.blocks()
    left = [block for block in blocks if block.number not in image.done]
    done = len(blocks) - len(left)
    measured = _measure(image, worker, {block.frame for block in left}) if work.measures else {}
    unread: list[BlockReport] = []
    for report in worker.fill(left, measured, image):
        if not report.is_made:
            unread.append(report)
            continue
        done += 1
        if on_tile is not None:
            on_tile(done, len(blocks))
    if unread:
        unread.sort(key=lambda report: report.block.number)
        image.discard_if_empty()
        remedies = (Remedy.RESUME,) if image.done else ()
        raise FileError(_unread_note(unread, len(blocks), image), remedies=remedies)


def _measure(image: ResumableImage, worker: BlockWorker, frames: set[int]) -> OfFrames:
    """Measure frames once: a resumed run has the same statistics for all their blocks."""
    stored = {frame: image.stored(f"measured_{frame}") for frame in sorted(frames)}
    statistics = {
        frame: list(map(measured_from_json, samples))
        for frame, samples in stored.items()
        if samples is not None
    }
    for frame, measured in worker.measure([frame for frame in stored if frame not in statistics]):
        image.store(f"measured_{frame}", list(map(measured_to_json, measured)))
        statistics[frame] = measured
    return statistics


def _ahead(
    function: Callable[[T], R], items: Iterable[T], pool: ThreadPoolExecutor
) -> Iterator[tuple[T, Future[R]]]:
    """Yield each item with its result, while the next one is computed."""
    waiting: tuple[T, Future[R]] | None = None
    for item in items:
        following = item, pool.submit(function, item)
        if waiting is not None:
            yield waiting
        waiting = following
    if waiting is not None:
        yield waiting


def _unread_note(unread: list[BlockReport], count: int, image: ResumableImage) -> str:
    first, more = unread[0], len(unread) - 1
    others = f" and {plural(more, 'other block')}" if more else ""
    said = f"The source can't be read at {first.block}{others} ({first.why})"
    if not image.done:
        return f"{said}: repair the source, and translate it again."
    return (
        f"{said}. The other {count - len(unread)} of {count} blocks are finished and kept in "
        f"{part_folder(image.path)}: repair the source and resume the run."
    )
