"""The command ``sample``: it makes images of noise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from napari_pix2pix.cli._options import (
    PATH,
    condition_option,
    device_option,
    json_option,
    overwrite_option,
    parse_condition,
    weights_option,
)
from napari_pix2pix.cli._output import check_output, print_result

if TYPE_CHECKING:
    from napari_pix2pix.training.config import AppliedWeights


class _Size(click.ParamType):
    """``256``, or height and width as ``256x320``."""

    name = "size"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | tuple[int, ...]:
        sides = str(value).split("x")
        if len(sides) > 3 or not all(side.isdecimal() for side in sides):
            self.fail(
                f"{value!r} is not a size: give 256, height and width as 256x320, or of a volume "
                "planes, height and width as 32x256x320",
                param,
                ctx,
            )
        return int(value) if len(sides) == 1 else tuple(map(int, sides))


@click.command()
@click.argument("model", type=PATH)
@click.option("--out", "-o", required=True, type=PATH, help="Folder; made if it does not exist.")
@weights_option
@condition_option
@click.option("--n", "-n", "count", type=int, default=1, show_default=True, help="How many.")
@click.option(
    "--size",
    type=_Size(),
    help="Pixels: 256, 256x320, or of a volume 32x256x320.  [the training's patch]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the noise.")
@device_option
@overwrite_option
@json_option
def sample(
    model: Path,
    out: Path,
    weights: AppliedWeights | None,
    condition: str | None,
    count: int,
    size: int | tuple[int, ...] | None,
    seed: int,
    device: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Generate images with a MODEL that needs no source.

    They go into the folder OUT as sample_000.tif, sample_001.tif and so on. The same seed gives the
    same images, however many there are.

    \b
    napari-pix2pix sample cells.safetensors -o cells/ --condition GFP --n 4 --size 256 --seed 1
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix._load import load
    from napari_pix2pix.inference.options import PredictOptions
    from napari_pix2pix.io.outputs import check_apart
    from napari_pix2pix.io.paths import make_folder
    from napari_pix2pix.io.writing import write_generated

    translator = load(model, weights=weights)
    PredictOptions(samples=max(count, 1))  # refuses too many before each has a name
    paths = [out / f"sample_{number:03d}.tif" for number in range(count)]
    check_apart(paths, [model])
    make_folder(out)
    for path in paths:
        check_output(path, overwrite=overwrite)
    chosen = parse_condition(translator, condition)
    images = translator.sample(chosen, count, size, seed=seed, device=device)
    names, looks = translator.info.output_names(chosen), translator.info.output_looks(chosen)
    for path, image in zip(paths, images, strict=True):
        write_generated(
            path,
            image,
            layout=translator.target_codec.layout,
            is_volume=translator.ndim == 3,
            channel_names=names,
            looks=looks,
            overwrite=overwrite,
        )
    written = [str(path) for path in paths]
    text = "\n".join(f"Wrote {path}" for path in written)
    print_result({"written": written}, text, as_json=as_json)
