"""Make all blocks of an image that are left, here or on a cluster, and say which can't be."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

from napari_pix2pix.errors import FileError
from napari_pix2pix.inference.norm_statistics import Measured, measured_from_json, measured_to_json
from napari_pix2pix.io.resumable import GrowingImage, part_of
from napari_pix2pix.large_images._blocks import Block
from napari_pix2pix.large_images._job import Work, mark_of, reason_of

T = TypeVar("T")
R = TypeVar("R")
OfFrames = Mapping[int, Sequence[Measured]]  # what was measured of each frame, once a draw


class Unread(NamedTuple):
    """A block whose source can't be read, and why."""

    block: Block
    why: str


class Hands(Protocol):
    """Whoever makes blocks."""

    def measure(self, frames: Sequence[int]) -> Iterator[tuple[int, list[Measured]]]:
        """Measure frames, once a draw."""

    def fill(
        self,
        blocks: Sequence[Block],
        measured: OfFrames,
        growing: GrowingImage,
        tell: Callable[[], None],
    ) -> list[Unread]:
        """Make blocks, write and note them; tell after each."""


class Here:
    """The hands of this process: one block is read and one written while another is computed.

    Parameters
    ----------
    work : Work
    """

    def __init__(self, work: Work) -> None:
        self._work = work

    def measure(self, frames: Sequence[int]) -> Iterator[tuple[int, list[Measured]]]:
        """Measure frames, once a draw."""
        for frame in frames:
            yield frame, self._work.measure(frame)

    def fill(
        self,
        blocks: Sequence[Block],
        measured: OfFrames,
        growing: GrowingImage,
        tell: Callable[[], None],
    ) -> list[Unread]:
        """Make blocks, write and note them; tell after each."""
        work = self._work
        unread: list[Unread] = []
        with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
            writing: Future[None] | None = None
            for block, reading in _ahead(work.read, blocks, reader):
                try:
                    read = reading.result()
                except MemoryError:
                    raise
                except Exception as error:  # which errors these are is up to the format's library
                    unread.append(Unread(block, reason_of(error)))
                    continue
                pixels = work.translate(read, block, measured.get(block.frame, ()))
                if writing is not None:
                    writing.result()
                window, laid_out = work.lay_out(block, pixels)
                mark = mark_of(read)
                writing = writer.submit(growing.write, block.number, window, laid_out, mark)
                tell()
            if writing is not None:
                writing.result()
        return unread


def complete(
    work: Work, growing: GrowingImage, hands: Hands, on_tile: Callable[[int, int], None] | None
) -> None:
    """Make the blocks that are left.

    Parameters
    ----------
    work : Work
    growing : GrowingImage
        Where they go.
    hands : Hands
    on_tile : callable, optional
        Called with the number of blocks done and of all.

    Raises
    ------
    FileError
        When blocks of the source can't be read; all others are done and kept.
    """
    blocks = work.job.plan.blocks()
    left = [block for block in blocks if block.number not in growing.done]
    done = len(blocks) - len(left)

    def tell() -> None:
        nonlocal done
        done += 1
        if on_tile is not None:
            on_tile(done, len(blocks))

    measured = _measure(growing, hands, {block.frame for block in left}) if work.measures else {}
    unread = hands.fill(left, measured, growing, tell)
    if unread:
        raise FileError(_sentence(unread, len(blocks), growing))


def _measure(growing: GrowingImage, hands: Hands, frames: set[int]) -> OfFrames:
    """Measure frames once: a run that goes on has the same statistics for all their blocks."""
    kept = {frame: growing.kept(f"measured_{frame}") for frame in sorted(frames)}
    found = {
        frame: list(map(measured_from_json, draws))
        for frame, draws in kept.items()
        if draws is not None
    }
    for frame, measured in hands.measure([frame for frame in kept if frame not in found]):
        growing.keep(f"measured_{frame}", list(map(measured_to_json, measured)))
        found[frame] = measured
    return found


def _ahead(
    function: Callable[[T], R], items: Iterable[T], pool: ThreadPoolExecutor
) -> Iterator[tuple[T, Future[R]]]:
    """Yield each item with its result, while that of the next is being made."""
    waiting: tuple[T, Future[R]] | None = None
    for item in items:
        following = item, pool.submit(function, item)
        if waiting is not None:
            yield waiting
        waiting = following
    if waiting is not None:
        yield waiting


def _sentence(unread: list[Unread], count: int, growing: GrowingImage) -> str:
    first, more = unread[0], len(unread) - 1
    others = f" and {more} other block{'s' if more > 1 else ''}" if more else ""
    return (
        f"The source can't be read at {first.block}{others} ({first.why}). The other "
        f"{count - len(unread)} of {count} blocks are finished and kept in "
        f"{part_of(growing.path)}: mend the source and go on with --resume."
    )
