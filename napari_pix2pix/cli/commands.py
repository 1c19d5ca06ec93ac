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
    condition_option,
    config_of,
    config_options,
    device_option,
    json_option,
    overwrite_option,
)
from napari_pix2pix.cli.outputs import check_output, name_outputs, say_result, score_table
from napari_pix2pix.errors import FileError, Pix2PixError

# Other modules are imported by the command that needs them: --help does not wait for torch.
if TYPE_CHECKING:
    from napari_pix2pix.pairs.pair import Pair
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


@main.command()
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
@click.option("--out", "-o", required=True, type=PATH, help="The model file to write.")
@axes_option
@click.option("--checkpoint", type=PATH, help="Checkpoint file.  [default: beside OUT, .ckpt]")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of a run that was ended.")
@click.option("--slim", is_flag=True, help="Write only what applying the model needs.")
@overwrite_option
@json_option
@config_options
def train(
    source: Path,
    target: Path,
    out: Path,
    axes: str | None,
    checkpoint: Path | None,
    resume: bool,
    slim: bool,
    overwrite: bool,
    as_json: bool,
    **fields: Any,
) -> None:
    """Train on SOURCE and TARGET, which show the same fields in two ways.

    Each is an image file, a folder (its files are matched by name), or a pattern in quotes. Source
    and target have the same height and width, any number of channels, and any range of values.

    The end of the budget, Ctrl+C included, leaves a model in OUT. A run that was killed goes on
    with --resume.

    \b
    napari-pix2pix train phase.tif dapi.tif -o dapi.safetensors --max-seconds 300
    napari-pix2pix train "phase/*.tif" "dapi/*.tif" -o dapi.safetensors --epochs 20
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix.progress import show_progress

    config = config_of(fields)
    checkpoint = checkpoint or out.with_suffix(".ckpt")
    if checkpoint == out:
        raise FileError(f"{out} is the checkpoint's name: give the model another ending.")
    check_output(out, overwrite=overwrite or (resume and checkpoint.exists()))
    if resume and not checkpoint.exists():
        click.echo(f"There is no checkpoint at {checkpoint}: the run begins anew.", err=True)
    pairs, notes = _read_pairs(source, target, axes)

    from napari_pix2pix.fitting import training_events

    translator = show_progress(
        lambda control: training_events(
            pairs,
            config,
            checkpoint=checkpoint,
            resume=True if resume else False if overwrite else None,
            control=control,
        ),
        quiet=as_json,
    )
    translator.save(out, slim=slim)
    say_result(
        {
            "model": str(out),
            "summary": translator.summary,
            "notes": notes,
            "scores": translator.scores,
        },
        f"Wrote {out}.\n{score_table(translator.scores)}",
        as_json=as_json,
    )


@main.command()
@click.argument("model", type=PATH)
@click.argument("input", type=PATH)
@click.option("--out", "-o", required=True, type=PATH, help="File, or folder for several inputs.")
@axes_option
@condition_option
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
    overwrite: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Translate INPUT (a file, a folder or a pattern in quotes) with MODEL.

    The output keeps the source's height and width, pixel size, units and axes; the ending of OUT
    (.tif, .ome.tif, .zarr, .png, .npy) chooses the format. Several files go into the folder OUT,
    which is made if it is not there; one bad file does not stop the rest: it is named at the end,
    and the exit code is 1.

    \b
    napari-pix2pix apply dapi.safetensors phase.tif -o dapi.ome.tif
    napari-pix2pix apply dapi.safetensors phase/ -o dapi/
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix.formats.paths import expand_paths, make_folder
    from napari_pix2pix.progress import bar
    from napari_pix2pix.translator import load

    translator = load(model)
    how["condition"] = _condition_of(translator, condition)
    inputs = expand_paths(input)
    outputs = name_outputs(input, inputs, out)
    if outputs != [out]:
        make_folder(out)
    for path in outputs:
        check_output(path, overwrite=overwrite)
    done: list[str] = []
    failed: dict[str, str] = {}
    for source, destination in bar(list(zip(inputs, outputs, strict=True)), quiet=as_json):
        try:
            with_bar = len(inputs) == 1 and not as_json
            _apply_file(translator, source, destination, axes, overwrite, with_bar, how)
            done.append(str(destination))
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
@click.argument("source", type=PATH)
@click.argument("target", type=PATH)
@axes_option
@condition_option
@json_option
def evaluate(
    model: Path,
    source: Path,
    target: Path,
    axes: str | None,
    condition: str | None,
    as_json: bool,
) -> None:
    """Score MODEL on SOURCE and TARGET that it has not seen, beside the best trivial map.

    SOURCE and TARGET are files, folders (matched by name) or patterns in quotes, as in train. The
    trivial map (a linear fit; Otsu for labels) is what one gets without any network.
    """
    from napari_pix2pix.evaluation import evaluate_pairs
    from napari_pix2pix.translator import load

    translator = load(model)
    chosen = _condition_of(translator, condition)
    pairs, _ = _read_pairs(source, target, axes)
    scores = evaluate_pairs(translator, [replace(pair, condition=chosen) for pair in pairs])
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
@click.option("--max-seconds", type=float, default=60.0, show_default=True, help="Training time.")
@json_option
def demo(out: Path, max_seconds: float, as_json: bool) -> None:
    """Learn a stain from a tissue image, translate the part never seen, and show how good it is.

    Needs no data: scikit-image ships the image. Writes OUT/report.json, OUT/panel.png and
    OUT/model.safetensors.
    """
    from napari_pix2pix.demo import run_demo

    report = run_demo(out, max_seconds=max_seconds, quiet=as_json)
    text = f"{score_table(report['validation'])}\nSee {out / 'panel.png'}."
    say_result(report, text, as_json=as_json)


def _read_pairs(source: Path, target: Path, axes: str | None) -> tuple[list[Pair], list[str]]:
    from napari_pix2pix.formats.sets import read_pairs

    pairs, notes = read_pairs(source, target, axes=axes)
    for note in notes:
        click.echo(note, err=True)
    return pairs, notes


def _apply_file(
    translator: Translator,
    source: Path,
    out: Path,
    axes: str | None,
    overwrite: bool,
    with_bar: bool,
    how: dict[str, Any],
) -> None:
    from napari_pix2pix.formats.images import read_image
    from napari_pix2pix.formats.sets import image_planes, write_translated
    from napari_pix2pix.progress import pixel_bar

    image = read_image(source, axes)
    for note in image.notes:
        click.echo(note, err=True)
    planes = image_planes(image)
    with pixel_bar(planes.frames, quiet=not with_bar) as on_tile:
        translated = translator(planes, on_tile=on_tile, **how)
    write_translated(
        out,
        translated,
        source=image,
        layout=translator.target_codec.layout,
        overwrite=overwrite,
    )


def _condition_of(translator: Translator, text: str | None) -> Any:
    """Return the condition that reads like ``text``; what is no string in Python is one here."""
    return next((name for name in translator.conditions if str(name) == text), text)


def _described(header: dict[str, Any]) -> list[str]:
    """Say in lines what a model's header holds."""
    versions = ", ".join(f"{name} {version}" for name, version in header["versions"].items())
    how = f"{header['config']['preset']}, {header['step']} steps in {header['seconds']:.0f} s"
    lines = [header["summary"], *header["notes"], f"{how}, {versions}"]
    if header["conditions"]:
        lines.append(f"conditions: {', '.join(map(str, header['conditions']))}")
    return lines
