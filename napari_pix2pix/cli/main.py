"""The commands: each reads its files, calls the public Python functions and prints the result."""

from __future__ import annotations

import os
import signal
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_pix2pix import __version__
from napari_pix2pix.cli._apply import apply
from napari_pix2pix.cli._compare import compare
from napari_pix2pix.cli._console import Warner, escape_unprintable, say, signals_interrupt
from napari_pix2pix.cli._doctor import doctor
from napari_pix2pix.cli._evaluate import discriminator_map, evaluate
from napari_pix2pix.cli._options import PATH, json_option, overwrite_option, read_info
from napari_pix2pix.cli._output import check_output, print_result, score_table, shell_message
from napari_pix2pix.cli._sample import sample
from napari_pix2pix.cli._train import train
from napari_pix2pix.errors import Pix2PixError, as_own_error, is_out_of_memory

if TYPE_CHECKING:
    from napari_pix2pix.training.config import AppliedWeights
    from napari_pix2pix.training.model_info import ModelInfo

# The kinds of model files, and the endings of their names.
_ENDINGS = {
    "safetensors": (".safetensors",),
    "pytorch": (".pth", ".pt"),
    "onnx": (".onnx",),
    "bioimageio": (".zip",),
}

_UNEXPECTED = 1  # the exit code where something unexpected went wrong
_TRACEBACK = "NAPARI_PIX2PIX_TRACEBACK"  # an environment variable

# A command imports other modules when it runs, so that --help does not wait for torch.


class _Group(click.Group):
    """Commands that answer bad input with one sentence and exit code 2, never with a traceback.

    What a signal ends has its number and 128 as exit code, as shells have it.
    """

    def main(self, *args: Any, **kwargs: Any) -> Any:
        escape_unprintable()
        return super().main(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with warnings.catch_warnings(), signals_interrupt():
                warnings.showwarning = Warner().show
                # Python would drop the same text about another file.
                warnings.filterwarnings("always", category=UserWarning, module="napari_pix2pix")
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            say(str(error) or "Stopped by Ctrl+C.", err=True)
            ctx.exit(128 + getattr(error, "number", signal.SIGINT))
        except Pix2PixError as error:
            sentence = shell_message(error)
        except click.UsageError as error:
            command = error.ctx.command_path if error.ctx else ctx.command_path
            sentence = f"{error.format_message().rstrip('.')}; see {command} --help."
        except (click.exceptions.Exit, click.Abort, click.ClickException):
            raise
        except Exception as error:
            if os.environ.get(_TRACEBACK):
                raise
            sentence = shell_message(as_own_error(error))
            if not is_out_of_memory(error):
                say(f"Error: {sentence} With {_TRACEBACK}=1, it shows where.", err=True)
                ctx.exit(_UNEXPECTED)
        say(f"Error: {sentence}", err=True)
        ctx.exit(2)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def main() -> None:
    """Train pix2pix on pairs of images of the same field, and translate new images.

    \b
    napari-pix2pix demo
    napari-pix2pix train stain/ nuclei/ --out nuclei.safetensors --epochs 20
    napari-pix2pix apply nuclei.safetensors new/ --out translated/
    napari-pix2pix evaluate nuclei.safetensors test/stain/ test/nuclei/
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)


main.add_command(train)
main.add_command(apply)
main.add_command(evaluate)
main.add_command(compare)
main.add_command(sample)
main.add_command(discriminator_map)
main.add_command(doctor)


@main.command()
@click.argument("model", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--to",
    type=click.Choice([*_ENDINGS]),
    help="Kind of file, where the name OUT has no ending.  [default: by its ending]",
)
@click.option(
    "--authors",
    help="For a .zip: who made the model, names with commas between them.  [default: MODEL's]",
)
@click.option(
    "--licence",
    help="For a .zip: an identifier of SPDX, such as MIT.  [default: MODEL's, or else CC-BY-4.0]",
)
@click.option(
    "--dtype",
    help="For a .pth file, which holds no intensities: the integer type whose range becomes -1 to "
    "1.  [default: uint8]",
)
@click.option(
    "--weights",
    type=click.Choice(["last", "best"]),
    help="Write only these weights, the last or those of the best validation, without the others "
    "and the discriminator: a smaller file.",
)
@overwrite_option
@json_option
def convert(
    model: Path,
    out: Path,
    to: str | None,
    dtype: str | None,
    weights: AppliedWeights | None,
    authors: str | None,
    licence: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write MODEL to another kind of file, or to a smaller one with --weights.

    The ending of OUT chooses the kind. With .pth, OUT holds the generator's weights as the PyTorch
    implementation of pix2pix loads them; with .onnx the network for ONNX Runtime and others; with
    .zip a package of the BioImage Model Zoo; with .safetensors it is a model of napari-pix2pix. The
    command prints what OUT does not hold, and refuses a network that such a file can't hold.

    \b
    napari-pix2pix convert latest_net_G.pth model.safetensors
    napari-pix2pix convert model.safetensors checkpoints/mine/latest_net_G.pth
    napari-pix2pix convert model.safetensors small.safetensors --weights best
    napari-pix2pix convert model.safetensors model.onnx
    napari-pix2pix convert model.safetensors model.zip --to bioimageio --authors "Ada Lovelace"
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix import _convert
    from napari_pix2pix._load import load
    from napari_pix2pix.io.outputs import check_apart
    from napari_pix2pix.io.paths import check_ending, has_file_ending

    endings = _convert.MODEL_ENDINGS if to is None else _ENDINGS[to]
    check_ending(out, *endings, what="a model" if to is None else f"such a file ({to})")
    if to is not None and not has_file_ending(out):
        out = out.with_name(out.name + endings[0])
    check_output(out, overwrite=overwrite)
    check_apart([out], [model])
    loaded = load(model, dtype=dtype)
    notes = _convert.convert(
        loaded, out, weights=weights, authors=authors, licence=licence, overwrite=overwrite
    )
    text = "\n".join([f"Wrote {out}.", *notes])
    print_result({"written": str(out), "notes": list(notes)}, text, as_json=as_json)


@main.command()
@click.argument("model", type=PATH)
@click.option("--authors", help="Write into MODEL who made it.")
@click.option("--licence", help="Write into MODEL its licence, such as CC-BY-4.0.")
@click.option("--intended-use", help="Write into MODEL what it is meant for, and what not.")
@json_option
def info(model: Path, as_json: bool, **texts: str | None) -> None:
    """Show what MODEL is, how it was trained and how good it is.

    MODEL is a model, a checkpoint, a .pth file of the PyTorch implementation, an ONNX file or a
    BioImage.IO package. Of a folder, all models in it are listed with a line each. With --authors,
    --licence or --intended-use, these texts are written into the model first.

    \b
    napari-pix2pix info dapi.safetensors
    napari-pix2pix info models/
    napari-pix2pix info dapi.safetensors --authors "A. Person" --licence CC-BY-4.0
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix.io.hub import is_hub_name
    from napari_pix2pix.io.model_header import is_external
    from napari_pix2pix.training.model_card import model_card

    given = {name: text for name, text in texts.items() if text is not None}
    described = None
    if is_hub_name(model) or (model.is_dir() and not is_external(model)):
        described = _describe_several(model, given, as_json=as_json)
        if described is None:
            return
    elif given:
        _write_texts(model, given)
    described = described or read_info(model)
    card = model_card(described, model.stem)
    lines = [card, "", "## Training", "", *_details(described)]
    if described.scores is not None:
        lines += ["", "## Scores on held-out data", "", score_table(described.scores_by_side)]
    more = {"weights": list(described.weights), "applied": described.applied, "card": card}
    print_result(described.to_header() | more, "\n".join(lines), as_json=as_json)


def _describe_several(folder: Path, texts: dict[str, str], *, as_json: bool) -> ModelInfo | None:
    """Print a line for each model in a folder or on the Hub, with the reason where it is damaged.

    The only model of a name on the Hub is returned instead, and described as a file is.
    """
    from napari_pix2pix._list_models import list_models
    from napari_pix2pix.errors import InputError
    from napari_pix2pix.io.hub import is_hub_name

    if texts:
        where = "lies on the Hub" if is_hub_name(folder) else "is a folder"
        raise InputError(f"{folder} {where}: give one model file, to write texts into it.")
    found = list_models(folder)
    if is_hub_name(folder) and len(found) == 1 and found[0].info is not None:
        return found[0].info
    lines = [f"{model.path.name}: {model}" for model in found] or [
        f"There is no model in {folder}."
    ]
    result = [
        {
            "path": str(model.path),
            "summary": None if model.info is None else str(model),
            "problem": model.problem or None,
        }
        for model in found
    ]
    print_result({"models": result}, "\n".join(lines), as_json=as_json)
    return None


def _write_texts(path: Path, texts: dict[str, str]) -> None:
    """Write texts of the card into a model file of ours; all else in it stays."""
    from napari_pix2pix.errors import FileError
    from napari_pix2pix.io.model_file import read_container, write_container
    from napari_pix2pix.io.model_header import is_external, is_torch_file

    if is_external(path):
        raise FileError(
            f"{path} keeps the texts that it has: write them into the model that it was made of, "
            "and export that again."
        )
    if is_torch_file(path):
        raise FileError(f"{path} holds weights alone: convert it to .safetensors first.")
    tensors, header = read_container(path)
    header["config"] |= texts
    write_container(path, tensors, header)


@main.command()
@click.option(
    "--out", "-o", type=PATH, default=Path("demo"), help="Output folder.  [default: demo]"
)
@click.option(
    "--max-seconds",
    type=float,
    default=60.0,
    show_default=True,
    help="Training time for the stain; the labels take three quarters of it.",
)
@overwrite_option
@json_option
def demo(out: Path, max_seconds: float, overwrite: bool, as_json: bool) -> None:
    """Train and apply two models, without any data of yours.

    One learns a stain, the other the labels of nuclei; both are scored on images that they have not
    seen. The tissue comes with scikit-image, the labels with the generated sample. OUT gets
    report.json, panel.png, panel_labels.png, model.safetensors and labels.safetensors.
    """
    from napari_pix2pix.cli._demo import run_demo

    report = run_demo(out, max_seconds=max_seconds, overwrite=overwrite, quiet=as_json)
    lines = [
        "Stain, on a part that the network has not seen; baseline: a linear fit.",
        score_table(report["validation"]),
        "Labels of nuclei, in an image that the network has not seen; baseline: Otsu's threshold.",
        score_table(report["labels"]["validation"]),
        f"See {out / 'panel.png'} and {out / 'panel_labels.png'}.",
    ]
    print_result(report, "\n".join(lines), as_json=as_json)


def _details(info: ModelInfo) -> list[str]:
    """Describe the training of a model in lines, beside its card."""
    from napari_pix2pix.training.model_info import describe_weights

    lines = [info.summary, *info.notes]
    if info.versions:  # else another program trained it
        versions = ", ".join(f"{name} {version}" for name, version in info.versions.items())
        training = f"{info.config.preset}, {info.steps} steps in {info.seconds:.0f} s"
        lines.append(f"{training}, {versions}")
        lines.append(f"weights: {describe_weights(info)}")
    return [f"- {line}" for line in lines]
