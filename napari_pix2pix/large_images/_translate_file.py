"""Translate an image file block by block: checks, plan and record, before and between runs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import InstanceCodec
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import FileError, InputError, Remedy
from napari_pix2pix.inference.checks import (
    check_options,
    warn_of_intensities,
    warn_of_pixel_size,
    warn_of_type,
)
from napari_pix2pix.inference.devices import (
    block_side,
    choose_device_of,
    out_of_memory_in_words,
)
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.tiling import OnTile, TileGrid
from napari_pix2pix.inference.uncertainty import check_spread
from napari_pix2pix.io.image_file import ImageFile, ImageSpec
from napari_pix2pix.io.locks import locked
from napari_pix2pix.io.outputs import check_apart
from napari_pix2pix.io.paths import file_stem, files_read
from napari_pix2pix.io.reading import lazy_image_of_file, read_record
from napari_pix2pix.io.resumable import (
    ResumableImage,
    check_run,
    file_fingerprint,
    part_folder,
    remove_part,
    warn_if_changed,
    with_dtype_for,
)
from napari_pix2pix.io.writing import file_axes, translation_axes
from napari_pix2pix.io.zarr_file import CHUNK
from napari_pix2pix.large_images._job import (
    Job,
    Plan,
    Work,
    block_checksum,
    frame_axes,
    frame_shape,
    open_planes,
    parse_frames,
    parse_region,
)
from napari_pix2pix.large_images._local import LocalWorker, complete
from napari_pix2pix.large_images._number_objects import number_objects
from napari_pix2pix.large_images.cluster import Cluster
from napari_pix2pix.translator import Translator

_LARGEST = 8 * CHUNK  # pixels along a block
_AT_ONCE_BYTES = 1 << 28  # of planes that are in memory at once
_LESS_MEMORY = "Finished blocks are kept: resume with smaller tiles, or close other programs."
_DIFFERENCES = {
    "shown": "to show something else",
    "model": "with another model",
    "options": "with other options",
    "part": "from another region or other frames",
    "channels": "from other channels",
    "source": "from another source, or from this one before it changed",
}


def needs_blocks(image: ImageFile, planes: int) -> bool:
    """Tell whether an image is large: it is read window by window, or as many planes would be."""
    pixels = math.prod(
        n for axis, n in zip(image.axes, image.shape, strict=True) if axis not in "CS"
    )
    return type(image.data) is not np.ndarray or 4 * planes * pixels > _AT_ONCE_BYTES


def translate_file(
    translator: Translator,
    source: Path,
    image: ImageFile,
    out: Path,
    options: PredictOptions | None = None,
    *,
    sample: int = 0,
    summary: str | None = None,
    region: str | None = None,
    frames: str | None = None,
    axes: str | None = None,
    channels: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    cluster: Cluster | None = None,
    on_tile: OnTile | None = None,
) -> Path:
    """Translate an image file block by block into `out`; while it grows, it lies in ``OUT.part``.

    `image` is what was read of `source`, with `axes` and `channels` if the user gave any. One
    `sample` is written, or with `summary` the "mean", "std" or a quantile such as "q5" of all. For
    `region` and `frames` see `parse_region` and `parse_frames`. `on_tile` is called with the
    numbers of blocks done and of all.
    """
    check_apart([out, part_folder(out)], files_read([source]))
    options = options or PredictOptions()
    record = output_record(translator, source, options, sample, summary, region, frames, channels)
    # Only the workers know whether they have the requested device.
    local = options.model_copy(update={"device": "cpu"}) if cluster else options
    check_options(local, translator)
    if summary is None:
        options = options.of_sample(sample)
    else:
        check_spread(translator.target_codec)
        options = options.model_copy(update={"output": "float"})
    planes = open_planes(translator, lazy_image_of_file(image))
    if options.resample:
        translator.resampled(planes, options)  # which says why it can't be
    if frames is not None and not planes.frame_shape:
        raise InputError(f"{source} has no frames to choose from: leave frames out.")
    part = parse_region(region, planes.height, planes.width)
    chosen = parse_frames(frames, planes.frame_shape)
    run: dict[str, Any] = {
        "model": translator.digest,
        "options": _deciding(options, summary),
        "region or frames": [list(part), [chosen.start, chosen.stop]],
        "source": [list(planes.shape), str(planes.dtype), image.axes],
        "choice of channels": channels,
    }
    with locked(out), out_of_memory_in_words(f"{source} was translated", _LESS_MEMORY):
        before = check_run(out, run, resume=resume, overwrite=overwrite)
        _warn(translator, planes, options)
        device = local.device
        side = int(before["side"]) if before else _side(translator, planes, part, options, device)
        plan = Plan(chosen, part, side)
        spec = _output_spec(translator, image, out, planes, plan, options, record, summary)
        names = source.absolute(), out.absolute(), image.axes, axes, spec.axes
        job = Job(*names, plan, options, summary, channels)
        work = Work(translator, planes, job)
        run |= {"side": side, "files": record["source"]}
        resumable = ResumableImage(out, spec, run, kept=work.kept_type, resume=bool(before))
        if before:
            windows = {block.number: work.window(block) for block in plan.blocks()}
            resumable.drop_unwritten(windows, have_facts=work.finds_objects)
        if before and before.get("files") != run["files"]:
            _check_unchanged(work, resumable, source)
        try:
            worker = cluster.worker(job) if cluster else LocalWorker(work)
        except FileError:
            resumable.discard_if_empty()
            raise
        complete(work, resumable, worker, on_tile)
        warn_if_changed(source, record["source"])
        return resumable.finish(_last_step(work, resumable))


def _last_step(work: Work, image: ResumableImage) -> Callable[[Any], Any] | None:
    """Return what numbers objects, or gives their numbers a dtype; None for images."""
    codec = work.translator.target_codec
    if work.finds_objects:
        return partial(number_objects, work, image)
    return with_dtype_for(codec.dtype_for) if isinstance(codec, InstanceCodec) else None


def output_record(
    translator: Translator,
    source: Path,
    options: PredictOptions,
    sample: int = 0,
    summary: str | None = None,
    region: str | None = None,
    frames: str | None = None,
    channels: str | None = None,
) -> dict[str, Any]:
    """Return what an output is made of, as JSON values; parameters as for `translate_file`."""
    if summary is None:
        options = options.of_sample(sample)
    return {
        "model": translator.digest,
        "weights": translator.info.applied,
        "options": _deciding(options, summary),
        "part": [region, frames],
        "channels": channels,
        "source": json.loads(json.dumps(file_fingerprint(source), default=str)),
    }


def check_finished(path: Path, record: Mapping[str, Any]) -> bool:
    """Refuse an output that was made of something else; False if its file has no record."""
    made = read_record(path)
    if made is None:
        return False
    for name, difference in _DIFFERENCES.items():
        if made.get(name) != record.get(name):
            raise FileError(
                f"{path} was made {difference}: choose another name, or overwrite the file.",
                remedies=(Remedy.OVERWRITE,),
            )
    remove_part(path)  # of a run that was killed after the output had its name
    return True


def _deciding(options: PredictOptions, summary: str | None) -> dict[str, Any]:
    """Return what decides the pixels of an output, as JSON values."""
    of_samples = {} if summary is None else {"summary": summary, "samples": options.samples}
    return options.deciding() | of_samples


def _output_spec(
    translator: Translator,
    image: ImageFile,
    out: Path,
    planes: LazyImage,
    plan: Plan,
    options: PredictOptions,
    record: Mapping[str, Any],
    summary: str | None,
) -> ImageSpec:
    """Return what the file will be like."""
    layout = translator.target_codec.layout
    pixel = translator.for_dtypes(planes.dtype).target_like(options.output)
    letters, region = frame_axes(image.axes), plan.region
    height, width = region.size
    axes = file_axes(out, translation_axes(image, layout))
    lengths = dict(zip(letters, frame_shape(planes, plan.frames), strict=True))
    lengths |= {"C": len(pixel), "S": len(pixel), "Y": height, "X": width}
    begin = {"Y": region.top, "X": region.left}
    if planes.frame_shape:
        begin[letters[0]] = plan.frames.start * planes.frame_shape[0] // planes.frames
    origin = dict(image.origin)
    for axis, first in begin.items():
        origin[axis] = origin.get(axis, 0.0) + first * image.scale.get(axis, 1.0)
    return ImageSpec(
        axes,
        tuple(lengths[axis] for axis in axes),
        pixel.dtype,
        image.scale,
        image.units,
        () if layout.rgb else translator.info.output_names(options.condition),
        # A deviation has a range of its own.
        () if layout.rgb or summary == "std" else translator.info.output_looks(options.condition),
        {axis: position for axis, position in origin.items() if position},
        record,
        name=file_stem(out),
        kind="image" if pixel.dtype.kind == "f" else translator.target_codec.kind,
        rgb=layout.rgb,
    )


def _side(
    translator: Translator,
    planes: LazyImage,
    region: Box,
    options: PredictOptions,
    device: str | None,
) -> int:
    """Choose the side of the blocks: some chunks of the output, as many as memory allows."""
    measures = translator.is_measured_apart(options)
    if translator.is_predicted_whole(options) and not measures:
        return 0
    generator = translator.generator
    size = (planes.height, planes.width) if measures else region.size
    grid = TileGrid.of_network(generator, *size)
    chosen = choose_device_of(generator, device)
    side = block_side(generator, generator.in_channels, grid, device=chosen, planes=planes.depth)
    if measures and not side:
        return 0  # what is measured fits into memory as a whole
    if translator.finds_objects and options.resample:
        side = _resampled_side(translator, planes, region, options, side)
    halo = translator.object_reach(planes, options)[0]
    chunks = max(side, 2 * halo) // CHUNK if side else -(-max(region.size) // CHUNK)
    return min(max(chunks, 1) * CHUNK, _LARGEST)


def _resampled_side(
    translator: Translator, planes: LazyImage, region: Box, options: PredictOptions, side: int
) -> int:
    """Return the side of blocks, the larger ones of the image and of what is computed, `side`."""
    computed = translator.resampled(planes, options)
    scale = min(planes.height / computed.height, planes.width / computed.width)
    # Where there are more pixels when it is computed, a block is smaller on the image's own grid.
    return int((side or max(region.size)) * min(scale, 1.0)) or 1


def _check_unchanged(work: Work, resumable: ResumableImage, source: Path) -> None:
    """Refuse to resume if a finished block was made of other pixels than those that are there."""
    for block in work.job.plan.blocks():
        if block.number not in resumable.done:
            continue
        try:
            same = block_checksum(work.read(block)) == resumable.done[block.number].source
        except Exception:  # which errors these are is up to the format's library
            same = False
        if not same:
            raise FileError(
                f"{source} has changed since the run that is resumed, at {block}: overwrite that "
                "run instead of resuming it.",
                remedies=(Remedy.OVERWRITE,),
            )


def _warn(translator: Translator, planes: LazyImage, options: PredictOptions) -> None:
    """Warn if size or a few windows show that the image is unlike those of the training."""
    warn_of_type(planes, translator.source_codec)
    warn_of_pixel_size(planes, options, translator)
    codecs = translator.source_codec, translator.target_codec
    try:
        warn_of_intensities(planes, *codecs, translator.info.intensities)
    except Warning:  # where a user has made them errors
        raise
    except Exception:
        return  # a window that can't be read: its block is named when its turn comes
