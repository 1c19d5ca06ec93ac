"""The commands: each reads its files, calls what Python users call, and says the result."""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_pix2pix import __version__
from napari_pix2pix.cli.options import (
    PATH,
    axes_option,
    condition_of,
    condition_option,
    device_option,
    json_option,
    overwrite_option,
)
from napari_pix2pix.cli.outputs import (
    check_output,
    name_outputs,
    number_outputs,
    say_result,
    score_table,
)
from napari_pix2pix.cli.pairs import pairs_options, read_given_pairs
from napari_pix2pix.cli.sample import sample
from napari_pix2pix.cli.train import train
from napari_pix2pix.errors import FileError, Pix2PixError

# Other modules are imported by the command that needs them: --help does not wait for torch.
if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


class _Group(click.Group):
    """Commands whose bad input ends in one sentence and exit code 2, never in a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings():
                # The sentence alone, without file and line of the code.
                warnings.showwarning = lambda message, *_, **__: click.echo(
                    f"Warning: {message}", err=True
                )
                return super().invoke(ctx)
        except Pix2PixError as error:
            sentence = str(error)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else ctx.command_path
            sentence = f"{error.format_message().rstrip('.')}; see {command} --help."
        click.echo(f"Error: {sentence}", err=True)
        ctx.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Learn a translation between images of the same field, and apply it to new ones.

    \b
    napari-pix2pix demo
    napari-pix2pix train stain/ nuclei/ --out nuclei.safetensors --epochs 20
    napari-pix2pix apply nuclei.safetensors new/ --out translated/
    napari-pix2pix evaluate nuclei.safetensors test/stain/ test/nuclei/
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)


main.add_command(train)
main.add_command(sample)


@main.command()
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
@click.option(
    "--halo", type=int, help="Context of a tile in pixels; less than exact is blended.  [by cost]"
)
@device_option
@click.option(
    "--output",
    type=click.Choice(["target", "float"]),
    default="target",
    help="The target's type, clipped, or floating point, not clipped.  [default: target]",
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
    overwrite: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Translate INPUT (a file, a folder or a pattern in quotes) with MODEL.

    The output keeps the source's height and width, pixel size, units and axes; the ending of OUT
    (.tif, .ome.tif, .zarr, .png, .npy) chooses the format. Several files go into the folder OUT,
    which is made if it is not there; one bad file does not stop the rest: it is named at the end,
    and the exit code is 1. Models with noise or dropout have several answers: --samples.

    \b
    napari-pix2pix apply dapi.safetensors phase.tif -o dapi.ome.tif
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/ --dropout --samples 4
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix.formats.paths import expand_paths, make_folder
    from napari_pix2pix.progress import bar
    from napari_pix2pix.translator import load

    translator = load(model)
    how |= {"condition": condition_of(translator, condition), "samples": samples}
    inputs = expand_paths(input)
    outputs = name_outputs(input, inputs, out)
    if outputs != [out]:
        make_folder(out)
    numbered = number_outputs(outputs, inputs, samples)
    for path in (one for names in numbered for one in names):
        check_output(path, overwrite=overwrite)
    done: list[str] = []
    failed: dict[str, str] = {}
    for source, names in bar(list(zip(inputs, numbered, strict=True)), quiet=as_json):
        try:
            with_bar = len(inputs) == 1 and not as_json
            _apply_file(translator, source, names, axes, overwrite, with_bar, how)
            done += map(str, names)
        except Pix2PixError as error:
            if len(inputs) == 1:
                raise
            failed[str(source)] = str(error)
    lines = [f"Wrote {path}" for path in done]
    lines += [f"Failed {path}: {why}" for path, why in failed.items()]
    say_result({"written": done, "failed": failed}, "\n".join(lines), as_json=as_json)
    if failed:
        sys.exit(1)


@main.command()
@click.argument("model", type=PATH)
@pairs_options
@condition_option
@axes_option
@json_option
def evaluate(
    model: Path,
    source: Path | None,
    target: Path | None,
    pairs: Path | None,
    mask: Path | None,
    condition: str | None,
    axes: str | None,
    as_json: bool,
) -> None:
    """Score MODEL on SOURCE and TARGET that it has not seen, beside the best trivial map.

    SOURCE and TARGET are files, folders (matched by name) or patterns in quotes, as in train. Of a
    table (--pairs) those of the set validation are scored, or all where it marks none. The trivial
    map (a linear fit; Otsu for labels) is what one gets without any network.
    """
    from napari_pix2pix.evaluation import evaluate_pairs
    from napari_pix2pix.translator import load

    translator = load(model)
    sets = read_given_pairs(source, target, pairs=pairs, mask=mask, condition=condition, axes=axes)
    chosen = [
        replace(pair, condition=condition_of(translator, pair.condition))
        for pair in sets.validation or sets.train
    ]
    scores = evaluate_pairs(translator, chosen)
    say_result(scores, score_table(scores), as_json=as_json)


@main.command()
@click.argument("model", type=PATH)
@json_option
def info(model: Path, as_json: bool) -> None:
    """Say what MODEL (or a checkpoint) was trained on, how, and how good it is."""
    from napari_pix2pix.formats.headers import read_header

    header = read_header(model)
    try:
        lines = [*_described(header), score_table(header["scores"])]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FileError(
            f"The header of {model} is incomplete ({error}): take another copy of it."
        ) from error
    say_result(header, "\n".join(lines), as_json=as_json)


@main.command()
@click.option("--out", "-o", type=PATH, default=Path("demo"), help="Folder.  [default: demo]")
@click.option(
    "--max-seconds",
    type=float,
    default=60.0,
    show_default=True,
    help="Training time of the stain; the labels take three quarters of it.",
)
@json_option
def demo(out: Path, max_seconds: float, as_json: bool) -> None:
    """Learn a stain and labels of nuclei, translate images never seen, and show how good it is.

    Needs no data: scikit-image ships the tissue of the stain, and the labels are those of the
    generated sample. Writes into OUT report.json, panel.png, panel_labels.png,
    model.safetensors and labels.safetensors.
    """
    from napari_pix2pix.demo import run_demo

    report = run_demo(out, max_seconds=max_seconds, quiet=as_json)
    lines = [
        "Stain, where the network never looked; trivial map: a linear fit.",
        score_table(report["validation"]),
        "Labels of nuclei, in an image that it never saw; trivial map: Otsu's threshold.",
        score_table(report["labels"]["validation"]),
        f"See {out / 'panel.png'} and {out / 'panel_labels.png'}.",
    ]
    say_result(report, "\n".join(lines), as_json=as_json)


def _apply_file(
    translator: Translator,
    source: Path,
    outs: list[Path],
    axes: str | None,
    overwrite: bool,
    with_bar: bool,
    how: dict[str, Any],
) -> None:
    """Translate a file into as many as there are samples."""
    from napari_pix2pix.formats.images import read_image
    from napari_pix2pix.formats.sets import check_translated, image_planes, write_translated
    from napari_pix2pix.progress import pixel_bar

    image = read_image(source, axes)
    for note in image.notes:
        click.echo(note, err=True)
    layout = translator.target_codec.layout
    if how["output"] == "target":
        for out in outs:
            check_translated(out, translator.target_codec.dtype, source=image, layout=layout)
    planes = image_planes(image)
    with pixel_bar(planes.frames * len(outs), quiet=not with_bar) as on_tile:
        translated = translator(planes, on_tile=on_tile, **how)
    for out, array in zip(outs, translated if len(outs) > 1 else [translated], strict=True):
        write_translated(out, array, source=image, layout=layout, overwrite=overwrite)


def _described(header: dict[str, Any]) -> list[str]:
    """Say in lines what a model's header holds."""
    versions = ", ".join(f"{name} {version}" for name, version in header["versions"].items())
    how = f"{header['config']['preset']}, {header['step']} steps in {header['seconds']:.0f} s"
    lines = [header["summary"], *header["notes"], f"{how}, {versions}"]
    if header["conditions"]:
        lines.append(f"conditions: {', '.join(map(str, header['conditions']))}")
    if origin := header.get("started_from"):
        lines.append(f"started from: {origin['summary']}, {origin['steps']} steps")
    return lines
