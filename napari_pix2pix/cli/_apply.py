"""The command ``apply``: image files through a model."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_pix2pix.cli._options import (
    PATH,
    axes_option,
    condition_of,
    condition_option,
    device_option,
    json_option,
    overwrite_option,
)
from napari_pix2pix.cli._output import (
    check_output,
    name_outputs,
    say_result,
    shell_message,
    tag_outputs,
)
from napari_pix2pix.errors import Pix2PixError

# Other modules are imported by the command: --help does not wait for torch.
if TYPE_CHECKING:
    from napari_pix2pix.io.image_file import ImageFile
    from napari_pix2pix.large_images import Cluster
    from napari_pix2pix.translator import Translator


@click.command()
@click.argument("model", type=PATH)
@click.argument("input", type=PATH)
@click.option("--out", "-o", required=True, type=PATH, help="File, or folder for several inputs.")
@axes_option
@condition_option
@click.option(
    "--samples",
    type=int,
    default=1,
    show_default=True,
    help="Draws of noise planes and dropout, a file each: name_1.tif, name_2.tif, ...",
)
@click.option(
    "--summary",
    help="Of the samples only these, a file each: mean, std, and quantiles as q5 for 5 %, such as "
    "mean,std,q5,q95: name_mean.tif, ... in float32.",
)
@click.option("--seed", type=int, help="Seed of dropout and noise.  [default: 0]")
@click.option("--dropout", is_flag=True, help="Let dropout drop, as the paper does.")
@click.option(
    "--statistics",
    type=click.Choice(["stored", "image"]),
    default="stored",
    help="Batch norm by the training's statistics or by each image's.  [default: stored]",
)
@click.option("--tile", type=int, help="Side of the tiles in pixels; 0: whole.  [by memory]")
@click.option("--batch", type=int, help="Tiles at once.  [by memory]")
@device_option
@click.option(
    "--precision",
    type=click.Choice(["32-true", "bf16-mixed"]),
    default="32-true",
    help="bf16-mixed: faster on a GPU, off by 1 % of the range at most.  [default: 32-true]",
)
@click.option(
    "--compile",
    is_flag=True,
    help="Let torch compile the network first: a minute, and nothing gained on a CPU.",
)
@click.option(
    "--output",
    type=click.Choice(["target", "float"]),
    default="target",
    help="The target's type, clipped, or floating point, not clipped.  [default: target]",
)
@click.option(
    "--region",
    help="Only this part of each frame, in pixels: TOP:BOTTOM,LEFT:RIGHT, such as "
    "0:4096,2048:8192; an end may be left out. Objects are told apart within it.",
)
@click.option("--frames", help="Only these along the first axis of frames: FIRST:END, as 0:10.")
@click.option("--resume", is_flag=True, help="Go on where an earlier run was broken off.")
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
    condition: str | None,
    samples: int,
    summary: str | None,
    resume: bool,
    overwrite: bool,
    scheduler: str | None,
    as_json: bool,
    **how: Any,
) -> None:
    """Translate INPUT (a file, a folder or a pattern in quotes) with MODEL.

    The output keeps the source's height and width, pixel size, units and axes; the ending of OUT
    (.tif, .ome.tif, .zarr, .png, .npy) chooses the format. Several files go into the folder OUT,
    which is made if it is not there; one bad file does not stop the rest: it is named at the end,
    and the exit code is 1. Models with noise or dropout have several answers: --samples.

    Images that are read lazily (zarr, large TIFF), and parts of images, are translated block by
    block into the folder OUT.part. A run that was killed goes on with --resume: finished blocks are
    not done again, nor are files that are there.

    \b
    napari-pix2pix apply dapi.safetensors phase.tif -o dapi.ome.tif
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/ --dropout --samples 4
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/ --dropout --samples 8 --summary mean,std
    napari-pix2pix apply dapi.safetensors slide.zarr -o dapi.zarr --resume
    napari-pix2pix apply dapi.safetensors slide.zarr -o part.ome.tif --region 0:4096,8192:12288
    napari-pix2pix apply dapi.safetensors slide.zarr -o dapi.zarr --scheduler tcp://10.0.0.1:8786
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix._load import load
    from napari_pix2pix.cli._progress import bar
    from napari_pix2pix.inference.calls import check_integer
    from napari_pix2pix.inference.uncertainty import parse_summary
    from napari_pix2pix.io.paths import expand_paths, make_folder

    check_integer("samples", samples, 1)
    tags = [] if samples == 1 else [str(number) for number in range(1, samples + 1)]
    if summary is not None:
        tags = parse_summary(summary)
        check_integer("samples of a summary", samples, 2)
    translator = load(model)
    how |= {"condition": condition_of(translator, condition), "samples": samples}
    inputs = expand_paths(input)
    outputs = name_outputs(input, inputs, out)
    if outputs != [out]:
        make_folder(out)
    tagged = tag_outputs(outputs, inputs, tags)
    for path in (one for names in tagged for one in names):
        check_output(path, overwrite=overwrite or resume)
    done: list[str] = []
    failed: dict[str, str] = {}
    with _connected(scheduler, translator) as cluster:
        work = _Work(translator, axes, how, tags, summary is not None, cluster, resume, overwrite)
        with_bar = len(inputs) == 1 and not as_json
        tried = work.try_each(inputs, tagged, with_bar=with_bar)
        for source, names, error in bar(tried, total=len(inputs), quiet=as_json):
            if error is None:
                done += map(str, names)
            elif len(inputs) == 1:
                raise error
            else:
                failed[str(source)] = shell_message(error)
    lines = [f"Wrote {path}" for path in done]
    lines += [f"Failed {path}: {why}" for path, why in failed.items()]
    say_result({"written": done, "failed": failed}, "\n".join(lines), as_json=as_json)
    if failed:
        sys.exit(1)


@contextmanager
def _connected(address: str | None, translator: Translator) -> Iterator[Cluster | None]:
    if address is None:
        yield None
    else:
        from napari_pix2pix.large_images import connect

        with connect(address, translator) as cluster:
            yield cluster


@dataclass(frozen=True)
class _Work:
    """What is done to each file."""

    translator: Translator
    axes: str | None
    how: dict[str, Any]
    tags: list[str]
    summarises: bool
    cluster: Cluster | None
    resume: bool
    overwrite: bool

    def try_each(
        self, sources: list[Path], outs: list[list[Path]], *, with_bar: bool
    ) -> Iterator[tuple[Path, list[Path], Pix2PixError | None]]:
        """Translate files, on a cluster as many at once as there are threads."""

        def attempt(
            source: Path, names: list[Path]
        ) -> tuple[Path, list[Path], Pix2PixError | None]:
            try:
                self.apply(source, names, with_bar=with_bar)
            except Pix2PixError as error:
                return source, names, error
            return source, names, None

        if self.cluster is None or len(sources) == 1:
            yield from map(attempt, sources, outs)
            return
        with ThreadPoolExecutor(self.cluster.threads) as pool:
            yield from pool.map(attempt, sources, outs)

    def apply(self, source: Path, outs: list[Path], *, with_bar: bool) -> None:
        """Translate a file into as many as there are tags."""
        from napari_pix2pix.io.reading import read_image
        from napari_pix2pix.large_images import reads_lazily

        tagged = zip(self.tags or ["1"], outs, strict=True)
        left = {tag: path for tag, path in tagged if not self._finished(source, path, tag)}
        if not left:
            return
        image = read_image(source, self.axes)
        for note in image.notes:
            click.echo(note, err=True)
        in_part = self.how["region"] or self.how["frames"]
        in_blocks = reads_lazily(image) or in_part or self.cluster is not None
        (self._in_blocks if in_blocks else self._at_once)(source, image, left, with_bar)

    def _finished(self, source: Path, out: Path, tag: str) -> bool:
        """Tell whether a run that goes on has made an output before; raises if of another kind."""
        from napari_pix2pix.large_images import check_finished, made_of

        if not (self.resume and out.exists()) or self.overwrite:
            return False
        known = check_finished(out, made_of(self.translator, source, self.how | self._draw(tag)))
        unknown = "" if known else "; the file does not say of which model"
        click.echo(f"{out} is finished already{unknown}.", err=True)
        return True

    def _at_once(
        self, source: Path, image: ImageFile, outs: dict[str, Path], with_bar: bool
    ) -> None:
        from napari_pix2pix.cli._progress import pixel_bar
        from napari_pix2pix.inference.uncertainty import summarise
        from napari_pix2pix.io.reading import image_planes
        from napari_pix2pix.io.writing import check_translated, write_translated
        from napari_pix2pix.large_images import made_of

        planes, how = image_planes(image), {**self.how}
        del how["region"], how["frames"]
        samples, translator = how.pop("samples"), self.translator.for_dtypes(planes.dtype)
        codec = translator.target_codec
        pixel = translator.target_like("float" if self.summarises else how["output"])
        for out in outs.values():
            check_translated(out, pixel.dtype, source=image, layout=codec.layout)
        with pixel_bar(planes.frames * samples, quiet=not with_bar) as on_tile:
            if self.summarises:
                del how["output"]
                spread = partial(self.translator.spread, planes, samples, on_tile=on_tile, **how)
                drawn = summarise(lambda levels: spread(quantiles=levels), list(outs))
            else:
                arrays = self.translator(planes, samples=samples, on_tile=on_tile, **how)
                drawn = dict(zip(self.tags, arrays, strict=True)) if self.tags else {"1": arrays}
        for tag, out in outs.items():
            write_translated(
                out,
                drawn[tag],
                source=image,
                layout=codec.layout,
                record=made_of(self.translator, source, self.how | self._draw(tag)),
                overwrite=self.overwrite,
            )

    def _in_blocks(
        self, source: Path, image: ImageFile, outs: dict[str, Path], with_bar: bool
    ) -> None:
        from napari_pix2pix.cli._progress import pixel_bar
        from napari_pix2pix.large_images import translate_file

        how = {**self.how, "cluster": self.cluster}
        how |= {"resume": self.resume, "overwrite": self.overwrite}
        for tag, out in outs.items():
            with pixel_bar(1, quiet=not with_bar) as on_tile:
                how["on_tile"] = on_tile
                translate_file(self.translator, source, image, out, **how | self._draw(tag))

    def _draw(self, tag: str) -> dict[str, Any]:
        """Say which draw, or what of all draws, a file is to hold."""
        return {"summary": tag} if self.summarises else {"sample": int(tag) - 1}
