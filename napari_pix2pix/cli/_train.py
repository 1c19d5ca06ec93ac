"""The command ``train``."""

from __future__ import annotations

import signal
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_pix2pix.cli._console import Ended, say
from napari_pix2pix.cli._options import (
    PATH,
    PairArguments,
    check_training_sets,
    config_options,
    json_option,
    make_config,
    overwrite_option,
    pairs_options,
    read_info,
    read_pair_sets,
    say_changes,
)
from napari_pix2pix.cli._output import check_output, print_result, score_table
from napari_pix2pix.errors import FileError

if TYPE_CHECKING:
    from napari_pix2pix.training.config import TrainConfig
    from napari_pix2pix.training.events import Event
    from napari_pix2pix.translator import Translator


@click.command()
@pairs_options
@click.option(
    "--no-source",
    is_flag=True,
    help="Give TARGET alone: learn to generate such images from noise and condition.",
)
@click.option("--condition", help="Condition of all pairs of SOURCE and TARGET, such as a stain.")
@click.option(
    "--validate",
    type=PATH,
    nargs=2,
    metavar="SOURCE TARGET",
    help="A source and a target for validation, given like SOURCE and TARGET.  [default: a part of "
    "the pairs is held out, see --validation]",
)
@click.option("--out", "-o", required=True, type=PATH, help="The model file to write.")
@click.option("--checkpoint", type=PATH, help="Checkpoint file.  [default: OUT with .ckpt]")
@click.option("--resume", is_flag=True, help="Continue from the checkpoint of a killed run.")
@click.option("--start", type=PATH, help="Model to fine-tune, on the same or new pairs.")
@click.option("--slim", is_flag=True, help="Write only what is needed to apply the model.")
@overwrite_option
@json_option
@config_options
def train(
    named: PairArguments,
    no_source: bool,
    condition: str | None,
    validate: tuple[Path, Path] | None,
    out: Path,
    checkpoint: Path | None,
    resume: bool,
    start: Path | None,
    slim: bool,
    overwrite: bool,
    as_json: bool,
    **fields: Any,
) -> None:
    """Train a model on SOURCE and TARGET.

    Both show the same fields. Each is an image file, a folder (files are matched by name), or a
    pattern in quotes. They have the same height and width, any number of channels, and any range of
    values. --pairs reads a table, which can also name conditions, masks and validation pairs.
    --aligned reads images that show source and target side by side.

    The model is written to OUT when the budget ends, or after Ctrl+C, SIGTERM or SIGHUP. --resume
    continues a run that was stopped or killed: options that you do not set are taken from its
    checkpoint. --start fine-tunes a model: they are taken from it, except the budget and keep.

    \b
    napari-pix2pix train phase.tif dapi.tif -o dapi.safetensors --max-seconds 300
    napari-pix2pix train "phase/*.tif" "dapi/*.tif" -o dapi.safetensors --epochs 20
    napari-pix2pix train new/phase new/dapi -o new.safetensors --start dapi.safetensors
    napari-pix2pix train --pairs pairs.csv -o markers.safetensors --epochs 20
    napari-pix2pix train --aligned facades/ --direction BtoA -o facades.safetensors
    napari-pix2pix train --no-source cells/ -o cells.safetensors --noise pixel
    napari-pix2pix train --derive noise cells/ -o denoise.safetensors
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix.cli._progress import show_progress
    from napari_pix2pix.io.locks import locked
    from napari_pix2pix.io.model_header import ENDING
    from napari_pix2pix.io.outputs import real_path
    from napari_pix2pix.io.paths import check_ending

    config = make_config(fields)
    checkpoint = checkpoint or out.with_suffix(".ckpt")
    if real_path(checkpoint) == real_path(out):
        raise FileError(f"{out} is the checkpoint's name: give the model another.")
    if named.write_pairs is None:  # else no model is written
        check_output(out, overwrite=overwrite or (resume and checkpoint.exists()))
    check_ending(out, ENDING, what="a model")
    if resume and not checkpoint.exists():
        say(f"There is no checkpoint at {checkpoint}: the run starts over.", err=True)
    is_main = _start_processes(config)
    sets = read_pair_sets(
        named,
        condition=condition,
        validate=validate,
        no_source=no_source,
        derive=config.derive,
        model=None if start is None else read_info(start),
        outputs=(out, checkpoint),
        read_too=(start,),
    )
    check_training_sets(sets, fields["validation"])
    if sets.validation:
        config = make_config(fields | {"validation": 0.0})

    from napari_pix2pix._train import training_events
    from napari_pix2pix.training.events import Control

    def train_and_save(control: Control) -> Generator[Event, None, Translator]:
        translator = yield from training_events(
            sets.train,
            config,
            held_out=sets.validation or None,
            checkpoint=checkpoint,
            resume=True if resume else False if overwrite else None,
            start=start,
            control=control,
        )
        if is_main:
            translator.save(out, slim=slim)
        return translator

    control = Control()
    try:
        with locked(out if is_main else None):
            quiet = as_json or not is_main
            translator = show_progress(train_and_save, quiet=quiet, control=control)
    except KeyboardInterrupt:
        if checkpoint.exists() and is_main:
            say(f"{checkpoint} keeps the last checkpoint: --resume goes on from it.", err=True)
        raise
    if is_main:
        _print_model(translator, out, [*sets.notes, *say_changes(sets)], as_json=as_json)
    if control.signal is not None:
        name = signal.Signals(control.signal).name
        raise Ended(control.signal, f"Stopped by {name}. --resume goes on from {checkpoint}.")


def _print_model(translator: Translator, out: Path, notes: Sequence[str], *, as_json: bool) -> None:
    """Print what was written, and how good it is."""
    print_result(
        {
            "model": str(out),
            "summary": translator.info.summary,
            "notes": [*notes, *translator.info.notes],
            "scores": translator.info.scores_by_side,
        },
        f"Wrote {out}.\n{score_table(translator.info.scores_by_side)}",
        as_json=as_json,
    )


def _start_processes(config: TrainConfig) -> bool:
    """Start the other training processes, if any; return whether this is the first one."""
    if config.processes == 1 and config.strategy == "auto":
        return True
    from napari_pix2pix.inference.devices import choose_device
    from napari_pix2pix.training.distributed import join, make_fabric

    fabric = make_fabric(config, choose_device(config.device))
    # They run this same program, which must be the command itself and not, say, a test runner.
    join(fabric, config, may_start=sys.argv[1:2] == ["train"])
    return fabric.global_rank == 0
