"""The command that trains."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_pix2pix.cli._options import (
    PATH,
    axes_option,
    config_of,
    config_options,
    json_option,
    overwrite_option,
)
from napari_pix2pix.cli._output import check_output, say_result, score_table
from napari_pix2pix.cli._pairs import (
    aligned_options,
    check_training_sets,
    pairs_options,
    read_given_pairs,
)
from napari_pix2pix.errors import FileError

if TYPE_CHECKING:
    from napari_pix2pix.io.pair_tables import Direction
    from napari_pix2pix.training.config import TrainConfig


@click.command()
@pairs_options
@aligned_options
@click.option(
    "--no-source",
    is_flag=True,
    help="The one argument is TARGET: learn to make such images of noise and condition alone.",
)
@click.option("--condition", help="What all pairs of SOURCE and TARGET were made with: any text.")
@click.option(
    "--validate",
    type=PATH,
    nargs=2,
    metavar="SOURCE TARGET",
    help="A source and a target, like SOURCE and TARGET, to validate on.  [default: a part that is "
    "held out, see --validation]",
)
@axes_option
@click.option("--out", "-o", required=True, type=PATH, help="The model file to write.")
@click.option("--checkpoint", type=PATH, help="Checkpoint file.  [default: beside OUT, .ckpt]")
@click.option("--resume", is_flag=True, help="Go on from the checkpoint of a run that was ended.")
@click.option("--start", type=PATH, help="A model to begin from, on the same or new pairs.")
@click.option("--slim", is_flag=True, help="Write only what applying the model needs.")
@overwrite_option
@json_option
@config_options
def train(
    source: Path | None,
    target: Path | None,
    pairs: Path | None,
    aligned: Path | None,
    direction: Direction | None,
    mask: Path | None,
    no_source: bool,
    condition: str | None,
    validate: tuple[Path, Path] | None,
    axes: str | None,
    out: Path,
    checkpoint: Path | None,
    resume: bool,
    start: Path | None,
    slim: bool,
    overwrite: bool,
    as_json: bool,
    **fields: Any,
) -> None:
    """Train on SOURCE and TARGET, which show the same fields in two ways.

    Each is an image file, a folder (its files are matched by name), or a pattern in quotes. Source
    and target have the same height and width, any number of channels, and any range of values.
    Sets of several conditions, masks and pairs to validate on can be listed in a table: --pairs.
    Images that show source and target side by side are read with --aligned.

    The end of the budget, Ctrl+C included, leaves a model in OUT. A run that was killed goes on
    with --resume. With --start the training begins from a model: what is not given is taken from
    it, but for the budget.

    \b
    napari-pix2pix train phase.tif dapi.tif -o dapi.safetensors --max-seconds 300
    napari-pix2pix train "phase/*.tif" "dapi/*.tif" -o dapi.safetensors --epochs 20
    napari-pix2pix train new/phase new/dapi -o new.safetensors --start dapi.safetensors
    napari-pix2pix train --pairs pairs.csv -o markers.safetensors --epochs 20
    napari-pix2pix train --aligned facades/ --direction BtoA -o facades.safetensors
    napari-pix2pix train --no-source cells/ -o maker.safetensors --noise pixel
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix.cli._progress import show_progress

    config = config_of(fields)
    checkpoint = checkpoint or out.with_suffix(".ckpt")
    if checkpoint == out:
        raise FileError(f"{out} is the checkpoint's name: give the model another ending.")
    check_output(out, overwrite=overwrite or (resume and checkpoint.exists()))
    if resume and not checkpoint.exists():
        click.echo(f"There is no checkpoint at {checkpoint}: the run begins anew.", err=True)
    leads = _start_processes(config)
    sets = read_given_pairs(
        source,
        target,
        pairs=pairs,
        aligned=aligned,
        direction=direction,
        mask=mask,
        condition=condition,
        validate=validate,
        axes=axes,
        no_source=no_source,
    )
    check_training_sets(sets, fields["validation"])
    if sets.validation:
        config = config_of(fields | {"validation": 0.0})

    from napari_pix2pix._train import training_events

    translator = show_progress(
        lambda control: training_events(
            sets.train,
            config,
            held_out=sets.validation or None,
            checkpoint=checkpoint,
            resume=True if resume else False if overwrite else None,
            start=start,
            control=control,
        ),
        quiet=as_json or not leads,
    )
    if not leads:
        return
    translator.save(out, slim=slim)
    say_result(
        {
            "model": str(out),
            "summary": translator.info.summary,
            "notes": [*sets.notes, *translator.info.notes],
            "scores": translator.info.scores_by_side,
        },
        f"Wrote {out}.\n{score_table(translator.info.scores_by_side)}",
        as_json=as_json,
    )


def _start_processes(config: TrainConfig) -> bool:
    """Start the other processes that train, if there are to be any; say whether this one leads."""
    if config.processes == 1 and config.strategy == "auto":
        return True
    from napari_pix2pix.inference.devices import choose_device
    from napari_pix2pix.training.distributed import join, make_fabric

    fabric = make_fabric(config, choose_device(config.device))
    # They run this program anew: not where another one, such as a test's, has called the command.
    join(fabric, config, may_start=sys.argv[1:2] == ["train"])
    return fabric.global_rank == 0
