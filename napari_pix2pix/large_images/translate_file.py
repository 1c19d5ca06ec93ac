"""Translate an image file: what is checked, planned and recorded before its blocks are made.

Outputs that are there: whether they are what would be made again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.inference import calls
from napari_pix2pix.inference.acceleration import check_can_be_compiled
from napari_pix2pix.inference.devices import choose_device
from napari_pix2pix.inference.memory import block_side
from napari_pix2pix.inference.model import needs_whole, network_grid
from napari_pix2pix.inference.stochastic import sample_seed
from napari_pix2pix.inference.tiling import Box, TileGrid
from napari_pix2pix.inference.uncertainty import check_spread
from napari_pix2pix.io.datasets import file_axes, image_planes, translated_axes
from napari_pix2pix.io.image_file import ImageFile
from napari_pix2pix.io.provenance import read_record
from napari_pix2pix.io.resumable import GrowingImage, Outline, find_run, fingerprint
from napari_pix2pix.io.zarr_file import CHUNK
from napari_pix2pix.large_images._blocks import Plan, parse_frames, parse_region
from napari_pix2pix.large_images._job import (
    Job,
    Work,
    block_checksum,
    frame_axes,
    frame_shape,
    open_planes,
    options_of,
)
from napari_pix2pix.large_images._local import LocalWorker, complete
from napari_pix2pix.large_images.cluster import Cluster
from napari_pix2pix.translator import Translator

_LARGEST = 8 * CHUNK  # pixels along a block
_DEFAULTS: dict[str, Any] = {
    "condition": None,
    "dropout": False,
    "statistics": "stored",
    "tile": None,
    "batch": None,
    "device": None,
    "precision": "32-true",
    "compile": False,
    "output": "target",
}
_OPTIONS = (
    "condition",
    "seed",
    "dropout",
    "statistics",
    "precision",
    "output",
)  # options that change it


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
    cluster: Cluster | None = None,
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
    cluster : Cluster, optional
        Workers that have the same model, see `connect`; by default this process works.
    on_tile : callable, optional
        Called with the number of blocks done and of all.
    **how
        ``condition``, ``dropout``, ``statistics``, ``tile``, ``batch``, ``device``,
        ``precision``, ``compile`` and ``output``, as when a translator is called.

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
        when blocks of the source can't be read (the others are done and kept), the disk is full,
        or a worker does not see the files.
    DeviceError
        When there is no such device or too little memory, or the cluster has gone.
    """
    draw = {"seed": seed, "sample": sample, "samples": samples, "summary": summary}
    record = made_of(translator, source, how | draw | {"region": region, "frames": frames})
    how = {**_DEFAULTS, **how}
    unchecked = "condition", "device", "compile"
    checked = {name: how[name] for name in _DEFAULTS if name not in unchecked}
    noise = translator.config.noise_channels
    calls.check_call(
        translator.generator, noise_channels=noise, samples=samples, seed=seed, **checked
    )
    if how["compile"]:
        where = "cpu" if cluster else how["device"]  # what workers have, they will tell
        drawn = {name: how[name] for name in ("dropout", "statistics")}
        check_can_be_compiled(translator.generator, where, **drawn)
    how["seed"] = sample_seed(seed or 0, sample)
    if summary is not None:
        check_spread(translator.target_codec)
        how["output"] = "float"
    planes = open_planes(translator, image_planes(image))
    calls.condition_index(translator.conditions, how["condition"])
    if frames is not None and not frame_axes(image.axes):
        raise InputError(f"{source} has no frames to choose from: leave --frames out.")
    part = parse_region(region, planes.height, planes.width)
    chosen = parse_frames(frames, planes.frame_shape)
    summed: dict[str, Any] = {} if summary is None else {"summary": summary, "samples": samples}
    run: dict[str, Any] = {
        "model": translator.digest,
        "options": {name: _plain(how[name]) for name in _OPTIONS} | summed,
        "region or frames": [list(part), [chosen.start, chosen.stop]],
        "source": [list(planes.shape), str(planes.dtype), image.axes],
    }
    before = find_run(out, run, resume=resume, overwrite=overwrite)
    _warn(translator, planes)
    side = int(before["side"]) if before else _side(translator, planes, part, how, cluster)
    plan = Plan(chosen, part, side)
    outline = _outline(translator, image, out, planes, plan, how["output"], record)
    names = source.absolute(), out.absolute(), image.axes, outline.axes
    job = Job(*names, plan, options_of(how), **summed)
    work = Work(translator, planes, job)
    run |= {"side": side, "files": record["source"]}
    growing = GrowingImage(out, outline, run, resume=bool(before))
    if before and before.get("files") != run["files"]:
        _check_unchanged(work, growing, source)
    try:
        hands = cluster.hands(job) if cluster else LocalWorker(work)
    except FileError:
        growing.give_up()
        raise
    complete(work, growing, hands, on_tile)
    return growing.finish()


def _outline(
    translator: Translator,
    image: ImageFile,
    out: Path,
    planes: LazyImage,
    plan: Plan,
    output: Any,
    record: Mapping[str, Any],
) -> Outline:
    """Say what the file will be like."""
    layout = translator.target_codec.layout
    pixel = translator.for_dtypes(planes.dtype).target_like(output)
    letters, region = frame_axes(image.axes), plan.region
    height, width = region.size
    axes = file_axes(out, translated_axes(image, layout))
    lengths = dict(zip(letters, frame_shape(planes, plan.frames), strict=True))
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
        record,
    )


def _side(
    translator: Translator,
    planes: LazyImage,
    region: Box,
    how: Mapping[str, Any],
    cluster: Cluster | None = None,
) -> int:
    """Choose the side of the blocks: some chunks of the output, as many as memory allows."""
    if translator.target_codec.kind == "instances":
        return 0
    generator = translator.generator
    measures = needs_whole(generator, how["statistics"])
    size = (planes.height, planes.width) if measures else region.size
    grid = TileGrid(*size, **network_grid(generator))
    # Whether workers have the device that is asked for, they will tell.
    device = choose_device("cpu" if cluster else how["device"] or "auto")
    side = block_side(generator, translator.planes_in, grid, device=device)
    if measures and not side:
        return 0  # what is measured fits into memory as a whole
    chunks = side // CHUNK if side else -(-max(region.size) // CHUNK)
    return min(max(chunks, 1) * CHUNK, _LARGEST)


def _check_unchanged(work: Work, growing: GrowingImage, source: Path) -> None:
    """Refuse to go on where a finished block was made of other pixels than those that are there."""
    for block in work.job.plan.blocks():
        if block.number not in growing.done:
            continue
        try:
            same = block_checksum(work.read(block)) == growing.done[block.number]
        except Exception:  # which errors these are is up to the format's library
            same = False
        if not same:
            raise FileError(
                f"{source} has changed since the run that is resumed, at {block}: begin anew with "
                "--overwrite and without --resume."
            )


def _warn(translator: Translator, planes: LazyImage) -> None:
    """Warn of an image that is unlike those of the training, from a few windows of it."""
    calls.warn_of_dtype(translator.source_codec, planes.dtype)
    codecs = translator.source_codec, translator.target_codec
    try:
        calls.warn_of_intensities(planes, *codecs, translator.info.intensities)
    except Warning:  # where a user has made them errors
        raise
    except Exception:
        return  # a window that can't be read: its block is named when its turn comes


def _plain(value: Any) -> Any:
    """Return a value as it comes back from JSON."""
    return json.loads(json.dumps(value, default=str))


_SAME_RESULT = (
    "condition",
    "dropout",
    "statistics",
    "precision",
    "output",
)  # options that change it
_WORDS = {
    "model": "with another model",
    "options": "with other options",
    "part": "of another region or other frames",
    "source": "of another source, or of what it was before it changed",
}


def made_of(translator: Translator, source: Path, how: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an output is made of, as JSON values.

    Parameters
    ----------
    translator : Translator
    source : Path
        The file or zarr folder of the image.
    how : mapping
        As for `translate_file`.
    """
    options = {name: how.get(name) for name in _SAME_RESULT}
    options["seed"] = sample_seed(how.get("seed") or 0, how.get("sample", 0))
    if how.get("summary"):
        options |= {name: how[name] for name in ("summary", "samples")}
    record = {
        "model": translator.digest,
        "options": options,
        "part": [how.get("region"), how.get("frames")],
        "source": fingerprint(source),
    }
    return json.loads(json.dumps(record, default=str))


def check_finished(path: Path, record: Mapping[str, Any]) -> bool:
    """Check an output that is there; False where its file does not say what it was made of.

    Parameters
    ----------
    path : Path
    record : mapping
        What it is to be made of, see `made_of`.

    Raises
    ------
    FileError
        When it was made of something else.
    """
    found = read_record(path)
    if found is None:
        return False
    for name, words in _WORDS.items():
        if found.get(name) != record[name]:
            raise FileError(
                f"{path} was made {words}: choose another name, or replace it with --overwrite."
            )
    return True
