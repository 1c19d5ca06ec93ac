"""The command ``napari-pix2pix``: everything that the docks do, for shells and clusters."""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click

from napari_pix2pix import __version__
from napari_pix2pix.errors import FileError, Pix2PixError
from napari_pix2pix.training.config import TrainConfig

# Fields that have an argument of their own, with a help text for the shell.
_PATHS = click.Path(path_type=Path)


class _Command(click.Command):
    """A command whose bad input ends in one sentence and exit code 2, never in a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except Pix2PixError as error:
            click.echo(f"Error: {error}", err=True)
            context.exit(2)


class _Group(click.Group):
    command_class = _Command


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    r"""Learn a translation between images of the same field, and apply it to new ones.

    \b
    napari-pix2pix demo
    napari-pix2pix train stain/ nuclei/ --out nuclei.safetensors --epochs 20
    napari-pix2pix apply nuclei.safetensors new/ --out translated/
    """


def _config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option for each field of `TrainConfig`."""
    for name, field in reversed(TrainConfig.model_fields.items()):
        kwargs = _option_of(field.annotation)
        flag = f"--{name.replace('_', '-')}"
        if kwargs.pop("is_bool", False):
            flag = f"{flag}/--no-{name.replace('_', '-')}"
        shown = "" if field.default is None else f"  [light: {_shown(field.default)}]"
        help_text = f"{field.description}{shown}"
        command = click.option(flag, name, default=None, help=help_text, **kwargs)(command)
    return command


def _option_of(annotation: Any) -> dict[str, Any]:
    """Say what click needs to know of a field's type; ranges are the config's to check."""
    arguments = [part for part in get_args(annotation) if part is not types.NoneType]
    origin = get_origin(annotation)
    if origin is typing.Annotated:
        return _option_of(arguments[0])
    if origin in (types.UnionType, typing.Union):
        return _option_of(arguments[0])
    if origin is Literal:
        return {"type": click.Choice(arguments)}
    if origin is tuple:
        return {"type": float, "nargs": 2}
    if annotation is bool:
        return {"is_bool": True}
    return {"type": annotation}


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return " ".join(map(str, default)) if isinstance(default, tuple) else str(default)


_json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
_overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that are there.")
_axes_option = click.option(
    "--axes",
    help="Axes of the source, one letter each, where the file does not say or says wrong: "
    "T time, Z depth, C channel, Y, X, S red-green-blue.",
)
_device_option = click.option("--device", help="auto, cpu, cuda, cuda:1 or mps.")


@main.command()
@click.argument("source", type=_PATHS)
@click.argument("target", type=_PATHS)
@click.option("--out", "-o", required=True, type=_PATHS, help="The model file to write.")
@_axes_option
@click.option("--checkpoint", type=_PATHS, help="Checkpoint file.  [default: OUT.ckpt]")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of a run that was ended.")
@click.option("--slim", is_flag=True, help="Write only what applying the model needs.")
@_overwrite_option
@_json_option
@_config_options
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
    """Train on SOURCE and TARGET: files, folders (matched by name) or quoted patterns.

    The end of the budget, Ctrl+C included, leaves a model in OUT. A run that was killed goes on
    with --resume.
    """
    from napari_pix2pix.formats.sets import read_pairs
    from napari_pix2pix.progress import show_progress

    config = TrainConfig(**{name: value for name, value in fields.items() if value is not None})
    _check_out(out, overwrite or resume)
    pairs, notes = read_pairs(source, target, axes=axes)
    for note in notes:
        click.echo(note, err=True)

    from napari_pix2pix.fitting import training_events

    translator = show_progress(
        lambda control: training_events(
            pairs,
            config,
            checkpoint=checkpoint or out.with_suffix(".ckpt"),
            resume=True if resume else False if overwrite else None,
            control=control,
        ),
        quiet=as_json,
    )
    translator.save(out, slim=slim)
    _say_result(
        {"model": str(out), "summary": translator.summary, "scores": translator.scores},
        f"Wrote {out}.\n{_score_table(translator.scores)}",
        as_json=as_json,
    )


@main.command()
@click.argument("model", type=_PATHS)
@click.argument("input", type=_PATHS)
@click.option("--out", "-o", required=True, type=_PATHS, help="File, or folder for several.")
@_axes_option
@click.option("--condition", help="One of the model's conditions.")
@click.option("--seed", type=int, help="Seed of dropout and noise.")
@click.option("--dropout", is_flag=True, help="Let dropout drop, as the paper does.")
@click.option(
    "--statistics",
    type=click.Choice(["stored", "image"]),
    default="stored",
    help="Batch norm by the training's statistics or by each image's.",
)
@click.option("--tile", type=int, help="Side of the tiles in pixels; 0: whole.  [by memory]")
@click.option("--batch", type=int, help="Tiles at once.  [by memory]")
@_device_option
@click.option(
    "--output",
    type=click.Choice(["target", "float"]),
    default="target",
    help="The target's type, clipped, or floating point, not clipped.",
)
@_overwrite_option
@_json_option
def apply(
    model: Path,
    input: Path,
    out: Path,
    axes: str | None,
    overwrite: bool,
    as_json: bool,
    **how: Any,
) -> None:
    """Translate INPUT (a file, a folder or a quoted pattern) with MODEL.

    The output keeps the source's height and width, pixel size, units and axes. In a folder one bad
    file does not stop the rest: it is named at the end, and the exit code is 1.
    """
    from napari_pix2pix.formats.paths import expand_paths
    from napari_pix2pix.progress import bar
    from napari_pix2pix.translator import load

    translator = load(model)
    inputs = expand_paths(input)
    outputs = _outputs(input, inputs, out)
    for path in outputs:
        _check_out(path, overwrite)
    done: list[str] = []
    failed: dict[str, str] = {}
    for source, destination in bar(list(zip(inputs, outputs, strict=True)), quiet=as_json):
        try:
            _apply_file(translator, source, destination, axes, overwrite, how)
            done.append(str(destination))
        except Pix2PixError as error:
            if len(inputs) == 1:
                raise
            failed[str(source)] = str(error)
    lines = [f"Wrote {path}" for path in done]
    lines += [f"Failed {path}: {why}" for path, why in failed.items()]
    _say_result({"written": done, "failed": failed}, "\n".join(lines), as_json=as_json)
    if failed:
        sys.exit(1)


@main.command()
@click.argument("model", type=_PATHS)
@click.argument("source", type=_PATHS)
@click.argument("target", type=_PATHS)
@_axes_option
@_json_option
def evaluate(model: Path, source: Path, target: Path, axes: str | None, as_json: bool) -> None:
    """Score MODEL on pairs that it has not seen, beside the best trivial map."""
    from napari_pix2pix.evaluation import evaluate_pairs
    from napari_pix2pix.formats.sets import read_pairs
    from napari_pix2pix.translator import load

    translator = load(model)
    pairs, notes = read_pairs(source, target, axes=axes)
    for note in notes:
        click.echo(note, err=True)
    scores = evaluate_pairs(translator, pairs)
    _say_result(scores, _score_table(scores), as_json=as_json)


@main.command()
@click.argument("model", type=_PATHS)
@_json_option
def info(model: Path, as_json: bool) -> None:
    """Say what MODEL (or a checkpoint) was trained on, how, and how good it is."""
    from napari_pix2pix.formats.container import read_header

    header = read_header(model)
    config = TrainConfig(**header["config"])
    versions = ", ".join(f"{name} {version}" for name, version in header["versions"].items())
    lines = [
        header["summary"],
        *header["notes"],
        f"{config.preset}, {header['step']} steps in {header['seconds']:.0f} s, {versions}",
    ]
    if header["conditions"]:
        lines.append(f"conditions: {', '.join(map(str, header['conditions']))}")
    _say_result(header, "\n".join([*lines, _score_table(header["scores"])]), as_json=as_json)


@main.command()
@click.option("--out", "-o", type=_PATHS, default=Path("demo"), help="Folder to write to.")
@click.option("--max-seconds", type=float, default=60.0, show_default=True, help="Training time.")
@_json_option
def demo(out: Path, max_seconds: float, as_json: bool) -> None:
    """Learn a stain from a tissue image, translate the part never seen, and show how good it is.

    Writes OUT/report.json, OUT/panel.png and the model.
    """
    from napari_pix2pix.demo import run_demo

    report = run_demo(out, max_seconds=max_seconds, quiet=as_json)
    text = f"{_score_table(report['validation'])}\nSee {out / 'panel.png'}."
    _say_result(report, text, as_json=as_json)


def _apply_file(
    translator: Any, source: Path, out: Path, axes: str | None, overwrite: bool, how: dict[str, Any]
) -> None:
    from napari_pix2pix.formats.images import read_image
    from napari_pix2pix.formats.sets import channels_in_place, write_translated

    image = read_image(source, axes)
    array, _ = channels_in_place(image)
    write_translated(
        out,
        translator(array, **how),
        source=image,
        layout=translator.target_codec.layout,
        overwrite=overwrite,
    )


def _outputs(given: Path, inputs: list[Path], out: Path) -> list[Path]:
    """Where each input's translation goes: a file, or files of the same names in a folder."""
    if len(inputs) == 1 and not given.is_dir():
        return [out]
    if not out.is_dir():
        raise FileError(f"{given} names {len(inputs)} files, so {out} must be a folder: create it.")
    return [out / f"{path.name.split('.')[0]}.tif" for path in inputs]


def _check_out(path: Path, overwrite: bool) -> None:
    """Refuse an output before any work is done."""
    if not path.parent.is_dir():
        raise FileError(f"There is no folder {path.parent} to write {path.name} to: create it.")
    if path.exists() and not overwrite:
        raise FileError(f"{path} exists: choose another name, or pass --overwrite.")


def _score_table(scores: dict[str, Any]) -> str:
    """Scores of the network beside the trivial map's, a row each."""
    if not scores:
        return "No validation."
    rows = [f"{'':>10}{'network':>12}{'linear fit':>12}"]
    for name, value in scores["prediction"].items():
        rows.append(f"{name:>10}{value:>12.4g}{scores['trivial'][name]:>12.4g}")
    return "\n".join(rows)


def _say_result(result: dict[str, Any], text: str, *, as_json: bool) -> None:
    click.echo(json.dumps(result, indent=2) if as_json else text)
