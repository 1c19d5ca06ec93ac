"""The command ``apply``: it translates image files."""

from __future__ import annotations

import sys
from collections.abc import Iterator
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
    acquisition_option,
    axes_option,
    channels_option,
    halo_option,
    json_option,
    overwrite_option,
    predict_options,
    predict_options_of,
    read_limit_option,
    weights_option,
    wells_option,
)
from napari_pix2pix.cli._output import check_output, print_result, shell_message
from napari_pix2pix.errors import InputError, Pix2PixError

if TYPE_CHECKING:
    from napari_pix2pix.large_images import Cluster, FileTranslation
    from napari_pix2pix.training.config import AppliedWeights
    from napari_pix2pix.translator import Translator

# Other modules are imported by the command: --help does not wait for torch.


@click.command()
@click.argument("model", type=PATH)
@click.argument("input", type=PATH)
@click.option("--out", "-o", required=True, type=PATH, help="File, or folder for several inputs.")
@axes_option
@read_limit_option
@channels_option
@wells_option
@acquisition_option
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
    wells: str | None,
    acquisition: str | None,
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
    (OME-Zarr, HCS), a well or some --wells a plate with the same wells and fields is made. Labels
    are written to .zarr as labels/classes or labels/instances. Models with noise or dropout have
    several answers: --samples writes each to a file, name_1.tif, name_2.tif, ...

    Large images (zarr, large TIFF and NPY), and parts of images, are translated block by
    block into the folder OUT.part. --resume continues a run that was killed: finished blocks and
    files are kept.

    \b
    napari-pix2pix apply dapi.safetensors phase.tif -o dapi.ome.tif
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/ --dropout --samples 4
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/ --dropout --samples 8 --summary mean,std
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/ --unlikeness
    napari-pix2pix apply dapi.safetensors plate.zarr -o dapi.zarr --wells "A1,B*"
    napari-pix2pix apply dapi.safetensors slide.zarr -o dapi.zarr --resume
    napari-pix2pix apply dapi.safetensors slide.zarr -o part.ome.tif --region 0:4096,8192:12288
    napari-pix2pix apply dapi.safetensors slide.zarr -o dapi.zarr --scheduler tcp://10.0.0.1:8786
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix._load import load
    from napari_pix2pix.cli._progress import bar
    from napari_pix2pix.inference.options import check_integer
    from napari_pix2pix.inference.uncertainty import parse_summary
    from napari_pix2pix.io.paths import expand_paths
    from napari_pix2pix.large_images import FileTranslation, connect
    from napari_pix2pix.large_images.outputs import prepare_outputs

    samples = 1 if fields["samples"] is None else check_integer("samples", fields["samples"], 1)
    tags = [] if samples == 1 else [str(number) for number in range(1, samples + 1)]
    if summary is not None:
        tags = parse_summary(summary)
        check_integer("samples of a summary", samples, 2)
    translator = load(model, weights=weights, halo=halo)
    options = predict_options_of(translator, fields)
    inputs = expand_paths(input, wells, acquisition)
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
        files = FileTranslation(
            translator,
            options,
            tags=tags,
            summarises=summary is not None,
            axes=axes,
            channels=source_channels,
            part=part,
            resume=resume,
            overwrite=overwrite,
            cluster=cluster,
            tell=partial(say, err=True),
        )
        work = _Work(files, cluster)
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
    """What is done to all files."""

    files: FileTranslation
    cluster: Cluster | None

    def try_each(
        self,
        sources: list[Path],
        outs: list[list[Path]],
        maps: list[list[Path]],  # of the unlikeness: one an input, or none
        *,
        with_bar: bool,
    ) -> Iterator[Pix2PixError | None]:
        """Translate files, on a cluster as many at once as there are threads; yield the errors."""
        from napari_pix2pix.cli._progress import pixel_bar

        watch = partial(pixel_bar, quiet=not with_bar)

        def attempt(source: Path, names: list[Path], own: list[Path]) -> Pix2PixError | None:
            try:
                with naming(str(source) if len(sources) > 1 else ""):
                    self.files.apply(source, names, watch)
                    for path in own:
                        self.files.write_unlikeness(source, path)
            except Pix2PixError as error:
                return error
            return None

        if self.cluster is None or len(sources) == 1:
            yield from map(attempt, sources, outs, maps)
            return
        with ThreadPoolExecutor(self.cluster.threads) as pool:
            yield from pool.map(attempt, sources, outs, maps)
