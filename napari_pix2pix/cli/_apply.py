"""The command ``apply``: it translates image files."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_pix2pix.cli._console import naming, say
from napari_pix2pix.cli._options import (
    PATH,
    axes_option,
    channels_option,
    halo_option,
    json_option,
    overwrite_option,
    predict_options,
    predict_options_of,
    weights_option,
)
from napari_pix2pix.cli._output import (
    check_output,
    prepare_outputs,
    print_result,
    shell_message,
)
from napari_pix2pix.errors import InputError, Pix2PixError

if TYPE_CHECKING:
    from napari_pix2pix.inference.options import PredictOptions
    from napari_pix2pix.io.image_file import ImageFile
    from napari_pix2pix.large_images import Cluster
    from napari_pix2pix.training.config import AppliedWeights
    from napari_pix2pix.translator import Translator

# Other modules are imported by the command: --help does not wait for torch.


@click.command()
@click.argument("model", type=PATH)
@click.argument("input", type=PATH)
@click.option("--out", "-o", required=True, type=PATH, help="File, or folder for several inputs.")
@axes_option
@channels_option
@weights_option
@halo_option
@predict_options
@click.option(
    "--summary",
    help="Write only these of the samples, a file each: mean, std, and quantiles such as q5 for "
    "5 %: mean,std,q5,q95 gives name_mean.tif, ... in float32.",
)
@click.option(
    "--unlikeness",
    is_flag=True,
    help="Also write where each image is unlike the training images: name_unlikeness.tif in "
    "float32. 99 % of the training lies below 1. It takes as long as the translation.",
)
@click.option(
    "--region",
    help="Only this part of each frame, in pixels: TOP:BOTTOM,LEFT:RIGHT, such as "
    "0:4096,2048:8192; an end may be left out. Objects are separated within it.",
)
@click.option("--frames", help="Only these along the first axis of frames: FIRST:END, as 0:10.")
@click.option("--resume", is_flag=True, help="Continue a run that did not finish.")
@click.option(
    "--scheduler",
    help="Address of a dask.distributed scheduler, such as tcp://10.0.0.1:8786, whose workers "
    "translate the blocks. They need the same folders under the same names.",
)
@overwrite_option
@json_option
def apply(
    model: Path,
    input: Path,
    out: Path,
    axes: str | None,
    source_channels: str | None,
    weights: AppliedWeights | None,
    halo: int | None,
    summary: str | None,
    unlikeness: bool,
    region: str | None,
    frames: str | None,
    resume: bool,
    overwrite: bool,
    scheduler: str | None,
    as_json: bool,
    **fields: Any,
) -> None:
    """Translate image files with MODEL.

    INPUT is a file, a folder or a pattern in quotes. The output keeps the source's height and
    width, pixel size, units and axes; the ending of OUT (.tif, .ome.tif, .zarr, .png, .npy) chooses
    the format. Several files go into the folder OUT, which is made if it is not there; a file that
    fails does not stop the rest: it is named at the end, and the exit code is 1. Of a plate
    (OME-Zarr, HCS) a plate with the same wells and fields is made. Labels are written to .zarr as
    labels/classes or labels/instances. Models with noise
    or dropout have several answers: --samples writes each to a file, name_1.tif, name_2.tif, ...

    Large images (zarr, large TIFF and NPY), and parts of images, are translated block by
    block into the folder OUT.part. --resume continues a run that was killed: finished blocks and
    files are kept.

    \b
    napari-pix2pix apply dapi.safetensors phase.tif -o dapi.ome.tif
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/ --dropout --samples 4
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/ --dropout --samples 8 --summary mean,std
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/ --unlikeness
    napari-pix2pix apply dapi.safetensors slide.zarr -o dapi.zarr --resume
    napari-pix2pix apply dapi.safetensors slide.zarr -o part.ome.tif --region 0:4096,8192:12288
    napari-pix2pix apply dapi.safetensors slide.zarr -o dapi.zarr --scheduler tcp://10.0.0.1:8786
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix._load import load
    from napari_pix2pix.cli._progress import bar
    from napari_pix2pix.inference.options import check_integer
    from napari_pix2pix.inference.uncertainty import parse_summary
    from napari_pix2pix.io.paths import expand_paths
    from napari_pix2pix.large_images import connect

    samples = 1 if fields["samples"] is None else check_integer("samples", fields["samples"], 1)
    tags = [] if samples == 1 else [str(number) for number in range(1, samples + 1)]
    if summary is not None:
        tags = parse_summary(summary)
        check_integer("samples of a summary", samples, 2)
    translator = load(model, weights=weights, halo=halo)
    options = predict_options_of(translator, fields)
    inputs = expand_paths(input)
    tagged = prepare_outputs(input, inputs, out, tags, model=model)
    maps: list[list[Path]] = [[] for _ in inputs]
    if unlikeness:
        _check_unlikeness(translator, region or frames)
        maps = prepare_outputs(input, inputs, out, ["unlikeness"], model=model)
    for path in (path for names in (*tagged, *maps) for path in names):
        check_output(path, overwrite=overwrite or resume)
    done: list[str] = []
    failed: dict[str, str] = {}
    with nullcontext() if scheduler is None else connect(scheduler, translator) as cluster:
        part = region, frames
        work = _Work(
            translator,
            axes,
            source_channels,
            options,
            part,
            tags,
            summary is not None,
            cluster,
            resume,
            overwrite,
        )
        with_bar = len(inputs) == 1 and not as_json
        errors = bar(
            work.try_each(inputs, tagged, maps, with_bar=with_bar), total=len(inputs), quiet=as_json
        )
        try:
            for source, names, own, error in zip(inputs, tagged, maps, errors, strict=True):
                if error is None:
                    done += map(str, (*names, *own))
                elif len(inputs) == 1:
                    raise error
                else:
                    failed[str(source)] = shell_message(error)
        except KeyboardInterrupt:
            say("What is finished is kept: --resume continues the run.", err=True)
            raise
    lines = [f"Wrote {path}" for path in done]
    lines += [f"Failed {path}: {why}" for path, why in failed.items()]
    print_result({"written": done, "failed": failed}, "\n".join(lines), as_json=as_json)
    if failed:
        sys.exit(1)


def _check_unlikeness(translator: Translator, part: str | None) -> None:
    """Refuse a model that does not know what is usual, and parts of images."""
    translator.info.check_usual()
    if part is not None:
        raise InputError(
            "--unlikeness is for whole images: leave it out, or --region and --frames."
        )


@dataclass(frozen=True)
class _Work:
    """What is done to each file."""

    translator: Translator
    axes: str | None
    channels: str | None
    options: PredictOptions
    part: tuple[str | None, str | None]  # region and frames, as they were given
    tags: list[str]  # numbers of samples, or names of a summary; none for one sample
    summarises: bool
    cluster: Cluster | None
    resume: bool
    overwrite: bool

    def try_each(
        self,
        sources: list[Path],
        outs: list[list[Path]],
        maps: list[list[Path]],  # of the unlikeness: one an input, or none
        *,
        with_bar: bool,
    ) -> Iterator[Pix2PixError | None]:
        """Translate files, on a cluster as many at once as there are threads; yield the errors."""

        def attempt(source: Path, names: list[Path], own: list[Path]) -> Pix2PixError | None:
            try:
                with naming(str(source) if len(sources) > 1 else ""):
                    self.apply(source, names, with_bar=with_bar)
                    for path in own:
                        self.write_unlikeness(source, path)
            except Pix2PixError as error:
                return error
            return None

        if self.cluster is None or len(sources) == 1:
            yield from map(attempt, sources, outs, maps)
            return
        with ThreadPoolExecutor(self.cluster.threads) as pool:
            yield from pool.map(attempt, sources, outs, maps)

    def apply(self, source: Path, outs: list[Path], *, with_bar: bool) -> None:
        """Translate a file into as many as there are tags."""
        from napari_pix2pix.io.locks import locked

        tagged = zip(self.tags or ["1"], outs, strict=True)
        unfinished = {
            tag: path
            for tag, path in tagged
            if not self._finished(path, partial(self._record, source, tag))
        }
        if not unfinished:
            return
        image = self._read(source)
        for note in image.notes:
            say(note, err=True)
        if self._needs_blocks(image):
            self._in_blocks(source, image, unfinished, with_bar)
            return
        with locked(*unfinished.values()):
            self._at_once(source, image, unfinished, with_bar)

    def write_unlikeness(self, source: Path, out: Path) -> None:
        """Write where a file is unlike the training images."""
        from napari_pix2pix.data.inputs import open_for_codec
        from napari_pix2pix.data.layouts import Layout
        from napari_pix2pix.inference.unlikeness import map_options, share_unlike
        from napari_pix2pix.io.reading import lazy_image_of_file
        from napari_pix2pix.io.writing import check_translation, write_translation

        if self._finished(out, partial(self._record_of_map, source)):
            return
        image, layout, model = self._read(source), Layout(), self.translator
        check_translation(out, "float32", source=image, layout=layout)
        opened = open_for_codec(
            lazy_image_of_file(image), model.source_codec, model.z_context, model.ndim
        )
        seen = model.as_computed(opened, self.options)
        cells = model.predict_cells(seen, map_options(self.options))
        write_translation(
            out,
            model.show_cells(cells, seen),
            source=image,
            layout=layout,
            record=self._record_of_map(source),
            overwrite=self.overwrite,
        )
        if self._needs_blocks(image):  # which are not watched while they are translated
            shares = {frame: share_unlike(of_frame) for frame, of_frame in enumerate(cells)}
            if sentence := model.info.check_usual().warning(shares):
                warnings.warn(sentence, UserWarning, stacklevel=2)

    def _needs_blocks(self, image: ImageFile) -> bool:
        from napari_pix2pix.large_images import needs_blocks

        planes = self.options.samples * self.translator.target_codec.planes
        return needs_blocks(image, planes) or any(self.part) or self.cluster is not None

    def _read(self, source: Path) -> ImageFile:
        from napari_pix2pix.io.channels import take_channels
        from napari_pix2pix.io.reading import read_image

        trained = self.translator.info.trained_channels[0]
        return take_channels(read_image(source, self.axes), self.channels, trained)

    def _finished(self, out: Path, record: Callable[[], dict[str, Any]]) -> bool:
        """Tell whether a resumed run has finished an output; raises if that was made otherwise."""
        from napari_pix2pix.large_images import check_finished

        if not (self.resume and out.exists()) or self.overwrite:
            return False
        is_known = check_finished(out, record())
        unknown = "" if is_known else "; the file does not name its model"
        say(f"{out} is finished already{unknown}.", err=True)
        return True

    def _at_once(
        self, source: Path, image: ImageFile, outs: dict[str, Path], with_bar: bool
    ) -> None:
        from napari_pix2pix.cli._progress import pixel_bar
        from napari_pix2pix.inference.uncertainty import summarise
        from napari_pix2pix.io.reading import lazy_image_of_file
        from napari_pix2pix.io.writing import check_translation, write_translation

        planes, options = lazy_image_of_file(image), self.options
        translator = self.translator.for_dtypes(planes.dtype)
        codec = translator.target_codec
        pixel = translator.target_like("float" if self.summarises else options.output)
        for out in outs.values():
            check_translation(out, pixel.dtype, source=image, layout=codec.layout)
        with pixel_bar(planes.frames * options.samples, quiet=not with_bar) as on_tile:
            if self.summarises:
                fields = {**dict(options), "n": options.samples, "on_tile": on_tile}
                del fields["samples"], fields["output"]
                spread = partial(self.translator.spread, planes, **fields)
                drawn = summarise(lambda levels: spread(quantiles=levels), list(outs))
            else:
                arrays = self.translator(planes, on_tile=on_tile, **dict(options))
                drawn = dict(zip(self.tags, arrays, strict=True)) if self.tags else {"1": arrays}
        for tag, out in outs.items():
            write_translation(
                out,
                drawn[tag],
                source=image,
                layout=codec.layout,
                kind="image" if pixel.dtype.kind == "f" else codec.kind,
                channel_names=self.translator.info.output_names(options.condition),
                # A deviation has a range of its own.
                looks=() if tag == "std" else self.translator.info.output_looks(options.condition),
                record=self._record(source, tag),
                overwrite=self.overwrite,
            )

    def _in_blocks(
        self, source: Path, image: ImageFile, outs: dict[str, Path], with_bar: bool
    ) -> None:
        from napari_pix2pix.cli._progress import pixel_bar
        from napari_pix2pix.large_images import translate_file

        region, frames = self.part
        for tag, out in outs.items():
            sample, summary = self._wanted(tag)
            with pixel_bar(1, quiet=not with_bar) as on_tile:
                translate_file(
                    self.translator,
                    source,
                    image,
                    out,
                    self.options,
                    sample=sample,
                    summary=summary,
                    region=region,
                    frames=frames,
                    axes=self.axes,
                    channels=self.channels,
                    resume=self.resume,
                    overwrite=self.overwrite,
                    cluster=self.cluster,
                    on_tile=on_tile,
                )

    def _record(self, source: Path, tag: str) -> dict[str, Any]:
        """Return what an output is made of."""
        from napari_pix2pix.large_images import output_record

        part = *self.part, self.channels
        return output_record(self.translator, source, self.options, *self._wanted(tag), *part)

    def _record_of_map(self, source: Path) -> dict[str, Any]:
        """Return what an unlikeness map is made of."""
        from napari_pix2pix.inference.unlikeness import map_options
        from napari_pix2pix.large_images import output_record

        size = {"resample": self.options.resample, "pixel_size": self.options.pixel_size}
        options = map_options(self.options).model_copy(update=size)
        record = output_record(self.translator, source, options, channels=self.channels)
        return record | {"shown": "unlikeness"}

    def _wanted(self, tag: str) -> tuple[int, str | None]:
        """Return which sample, or what of all samples, an output holds."""
        return (0, tag) if self.summarises else (int(tag) - 1, None)
