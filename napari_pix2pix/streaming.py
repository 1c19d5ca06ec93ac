"""A file in, a file out, block by block in bounded memory; a run that was killed goes on."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.formats.geometry import ImageFile
from napari_pix2pix.formats.growing import GrowingImage, Outline, find_run, fingerprint, part_of
from napari_pix2pix.formats.omezarr import CHUNK
from napari_pix2pix.formats.sets import file_axes, image_planes, translated_axes
from napari_pix2pix.pairs.planes import Planes
from napari_pix2pix.pairs.sets import lay_out_source
from napari_pix2pix.translation import calls
from napari_pix2pix.translation.blocks import Block, Plan, parse_frames, parse_region
from napari_pix2pix.translation.devices import choose_device
from napari_pix2pix.translation.draws import sample_seed
from napari_pix2pix.translation.inference import needs_whole, network_grid
from napari_pix2pix.translation.lazy import read_part
from napari_pix2pix.translation.memory import choose_tile, estimate_bytes_per_pixel, free_memory
from napari_pix2pix.translation.spread import Draws, Spread, check_spread, summarise
from napari_pix2pix.translation.tiles import Box, TileGrid
from napari_pix2pix.translator import Translator

Pixels = NDArray[Any]
Window = tuple[int | slice, ...]  # an index an axis
T = TypeVar("T")
R = TypeVar("R")

_MEMORY = 1 << 30  # bytes at most, of which a block takes half: more would hardly be faster
_LARGEST = 8 * CHUNK  # pixels along a block
_DEFAULTS: dict[str, Any] = {
    "condition": None,
    "dropout": False,
    "statistics": "stored",
    "tile": None,
    "batch": None,
    "halo": None,
    "device": None,
    "output": "target",
}
_OPTIONS = ("condition", "seed", "dropout", "statistics", "output")  # what changes the result


def reads_lazily(image: ImageFile) -> bool:
    """Tell whether an image is read window by window, since it is large or on a disk."""
    return type(image.data) is not np.ndarray


def translate_file(
    translator: Translator,
    source: Path,
    image: ImageFile,
    out: Path,
    *,
    region: str | None = None,
    frames: str | None = None,
    sample: int = 0,
    samples: int = 1,
    summary: str | None = None,
    seed: int | None = None,
    resume: bool = False,
    overwrite: bool = False,
    on_tile: Callable[[int, int], None] | None = None,
    **how: Any,
) -> Path:
    """Translate an image file block by block.

    Parameters
    ----------
    translator : Translator
    source : Path
        The file or zarr folder of the image.
    image : ImageFile
        What was read of it.
    out : Path
        The file to write. While it grows, it lies in the folder ``OUT.part`` beside it.
    region : str, optional
        ``TOP:BOTTOM,LEFT:RIGHT`` in pixels; all when not given.
    frames : str, optional
        ``FIRST:END`` along the first frame axis; all when not given.
    sample, samples : int
        Which draw of noise and dropout, and of how many.
    summary : str, optional
        What of all draws is written in place of one: "mean", "std" or a quantile such as "q5".
    seed : int, optional
        Of all draws; 0 when not given.
    resume : bool
        Go on with what an earlier run has finished.
    overwrite : bool
        Replace a file that is there, and begin anew where an unfinished run is in the way, unless
        it is resumed.
    on_tile : callable, optional
        Called with the number of blocks done and of all.
    **how
        ``condition``, ``dropout``, ``statistics``, ``tile``, ``batch``, ``device`` and
        ``output``, as when a translator is called.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    InputError
        When the image does not fit the model, or there is no such region.
    FileError
        When the file is there, an unfinished run is in the way or was made of something else,
        when blocks of the source can't be read (the others are done and kept), or the disk is full.
    """
    codec, config = translator.source_codec, translator.config
    how = {**_DEFAULTS, **how}
    checked = {name: how[name] for name in _DEFAULTS if name not in ("condition", "device")}
    noise = config.noise_channels
    calls.check_call(
        translator.generator, noise_channels=noise, samples=samples, seed=seed, **checked
    )
    calls.check_exact(how.pop("halo"), translator.generator.halo)
    how["seed"] = sample_seed(seed or 0, sample)
    if summary is not None:
        check_spread(translator.target_codec)
        how["output"] = "float"
    planes = lay_out_source(image_planes(image), codec.layout, codec.channels, config.z_context)
    calls.condition_index(translator.conditions, how["condition"])
    letters = _frame_axes(image.axes)
    if frames is not None and not letters:
        raise InputError(f"{source} has no frames to choose from: leave --frames out.")
    part = parse_region(region, planes.height, planes.width)
    chosen = parse_frames(frames, planes.frame_shape)
    summed = {} if summary is None else {"summary": summary, "samples": samples}
    run = {
        "model": translator.digest,
        "options": {name: _plain(how[name]) for name in _OPTIONS} | summed,
        "region or frames": [list(part), [chosen.start, chosen.stop]],
        "source": [list(planes.shape), str(planes.dtype), image.axes],
    }
    before = find_run(out, run, resume=resume, overwrite=overwrite)
    _warn(translator, planes)
    side = int(before["side"]) if before else _side(translator, planes, part, how)
    work = _Work(translator, planes, letters, Plan(chosen, part, side), how, **summed)
    outline = _outline(translator, image, out, planes, work.plan, how["output"])
    files = fingerprint(source)
    record = {**run, "side": side, "files": files}
    growing = GrowingImage(out, outline, record, resume=bool(before))
    if before and before.get("files") != files:
        _check_unchanged(work, growing, source)
    _fill(work, growing, outline.axes, on_tile)
    return growing.finish()


class _Work:
    """What is to be done to one image."""

    def __init__(
        self,
        translator: Translator,
        planes: Planes,
        letters: str,
        plan: Plan,
        how: Mapping[str, Any],
        summary: str | None = None,
        samples: int = 1,
    ) -> None:
        self.translator, self.planes, self.plan, self.how = translator, planes, plan, how
        self._summary, self._samples = summary, samples
        self._letters = letters  # of the frame axes, in the source's order
        self._grid = TileGrid(planes.height, planes.width, **network_grid(translator.generator))
        self._whole = needs_whole(translator.generator, how["statistics"])

    def read(self, block: Block) -> Planes:
        """Read what a block is computed from."""
        whole = Box(0, self.planes.height, 0, self.planes.width)
        seen = whole if self._whole else self._grid.seen(self._grid.rounded(block.box))
        return read_part(self.planes, block.frame, seen)

    def translate(self, read: Planes, block: Block) -> Pixels:
        """Translate a block, (C, h, w)."""
        region = partial(self.translator.translate_region, read, block.frame, block.box)
        if self._summary is None:
            return region(**self.how)

        def draw(levels: Sequence[float]) -> Spread:
            draws = Draws(levels)
            for number in range(self._samples):
                draws.add(region(**{**self.how, "seed": sample_seed(self.how["seed"], number)}))
            return draws.spread()

        pixels: Pixels = summarise(draw, [self._summary])[self._summary]
        return pixels

    def lay_out(self, block: Block, pixels: Pixels, axes: str) -> tuple[Window, Pixels]:
        """Return where a block lies in what comes out, and its pixels with the axes of that."""
        frame, rows, columns = self.plan.place(block)
        shape = _frame_shape(self.planes, self.plan.frames)
        places = map(int, np.unravel_index(frame, shape))
        index: dict[str, int | slice] = dict(zip(self._letters, places, strict=True))
        index |= {"Y": rows, "X": columns, "C": slice(None), "S": slice(None)}
        inner = "".join(axis for axis in axes if axis in "CSYX")
        place = max(inner.find("C"), inner.find("S"))
        laid_out = pixels[0] if place < 0 else np.moveaxis(pixels, 0, place)
        return tuple(index[axis] for axis in axes), laid_out


def _fill(
    work: _Work, growing: GrowingImage, axes: str, on_tile: Callable[[int, int], None] | None
) -> None:
    """Do the blocks that are left: one is read and one written while another is computed."""
    blocks = work.plan.blocks()
    left = [block for block in blocks if block.number not in growing.done]
    unread: list[tuple[Block, Exception]] = []
    done = len(blocks) - len(left)
    with ThreadPoolExecutor(1) as reader, ThreadPoolExecutor(1) as writer:
        writing: Future[None] | None = None
        for block, reading in _ahead(work.read, left, reader):
            try:
                read = reading.result()
            except MemoryError:
                raise
            except Exception as error:  # which errors these are is up to the format's library
                unread.append((block, error))
                continue
            pixels = work.translate(read, block)
            if writing is not None:
                writing.result()
            window, laid_out = work.lay_out(block, pixels, axes)
            writing = writer.submit(growing.write, block.number, window, laid_out, _mark(read))
            done += 1
            if on_tile is not None:
                on_tile(done, len(blocks))
        if writing is not None:
            writing.result()
    if unread:
        raise FileError(_unread(unread, len(blocks), growing.path))


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


def _frame_axes(axes: str) -> str:
    """Return the axes of frames, in their order."""
    return "".join(axis for axis in axes if axis not in "CSYX")


def _frame_shape(planes: Planes, frames: range) -> tuple[int, ...]:
    """Return the lengths of the frame axes of what comes out."""
    if not planes.frame_shape:
        return ()
    first, *rest = planes.frame_shape
    return (len(frames) * first // planes.frames, *rest)


def _outline(
    translator: Translator, image: ImageFile, out: Path, planes: Planes, plan: Plan, output: Any
) -> Outline:
    """Say what the file will be like."""
    layout, pixel = translator.target_codec.layout, translator.target_like(output)
    letters, region = _frame_axes(image.axes), plan.region
    height, width = region.size
    axes = file_axes(out, translated_axes(image, layout))
    lengths = dict(zip(letters, _frame_shape(planes, plan.frames), strict=True))
    lengths |= {"C": len(pixel), "S": len(pixel), "Y": height, "X": width}
    begin = {"Y": region.top, "X": region.left}
    if letters:
        begin[letters[0]] = plan.frames.start * planes.frame_shape[0] // planes.frames
    return Outline(
        axes,
        tuple(lengths[axis] for axis in axes),
        pixel.dtype,
        image.scale,
        image.units,
        image.channel_names,
        {axis: first * image.scale.get(axis, 1.0) for axis, first in begin.items()},
    )


def _side(translator: Translator, planes: Planes, region: Box, how: Mapping[str, Any]) -> int:
    """Choose the side of the blocks: some chunks of the output, as many as memory allows."""
    if translator.is_translated_whole(how["statistics"]):
        return 0
    generator = translator.generator
    grid = TileGrid(*region.size, **network_grid(generator))
    free = min(_MEMORY, free_memory(choose_device(how["device"] or "auto")))
    channels = translator.planes_in
    each = estimate_bytes_per_pixel(
        generator, channels, side=max(2 * generator.stride, generator.least_size)
    )
    tile = choose_tile(grid, bytes_per_pixel=each, free_bytes=free) or max(region.size)
    return min(max(tile // CHUNK, 1) * CHUNK, _LARGEST)


def _check_unchanged(work: _Work, growing: GrowingImage, source: Path) -> None:
    """Refuse to go on where a finished block was made of other pixels than those that are there."""
    for block in work.plan.blocks():
        if block.number not in growing.done:
            continue
        try:
            same = _mark(work.read(block)) == growing.done[block.number]
        except Exception:  # which errors these are is up to the format's library
            same = False
        if not same:
            raise FileError(
                f"{source} has changed since the run that is resumed, at {block}: begin anew with "
                "--overwrite and without --resume."
            )


def _warn(translator: Translator, planes: Planes) -> None:
    """Warn of an image that is unlike those of the training, from a few windows of it."""
    calls.warn_of_dtype(translator.source_codec, planes.dtype)
    if translator.intensities is None:
        return
    codecs = translator.source_codec, translator.target_codec
    try:
        calls.warn_of_intensities(planes, *codecs, translator.intensities)
    except Warning:  # where a user has made them errors
        raise
    except Exception:
        return  # a window that can't be read: its block is named when its turn comes


def _mark(read: Planes) -> int:
    """Return a checksum of what a block was computed from."""
    mark = 0
    for member in read.members:
        mark = zlib.crc32(np.ascontiguousarray(member.array.data).data, mark)
    return mark


def _unread(unread: list[tuple[Block, Exception]], count: int, path: Path) -> str:
    (block, error), more = unread[0], len(unread) - 1
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    others = f" and {more} other block{'s' if more > 1 else ''}" if more else ""
    return (
        f"The source can't be read at {block}{others} ({reason}). The other "
        f"{count - len(unread)} of {count} blocks are finished and kept in {part_of(path)}: mend "
        "the source and go on with --resume."
    )


def _plain(value: Any) -> Any:
    """Return a value as it comes back from JSON."""
    return json.loads(json.dumps(value, default=str))
