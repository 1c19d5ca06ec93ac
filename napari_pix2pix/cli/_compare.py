"""The command ``compare``."""

from __future__ import annotations

from collections.abc import Generator
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
    read_pair_sets,
    say_changes,
)
from napari_pix2pix.cli._output import check_output, print_result
from napari_pix2pix.errors import InputError, rounded

if TYPE_CHECKING:
    from napari_pix2pix.evaluation.compare import Comparison
    from napari_pix2pix.training.events import Control, Event


@click.command()
@pairs_options
@click.option("--condition", help="Condition of all pairs of SOURCE and TARGET, such as a stain.")
@click.option(
    "--recipes",
    help="Names with commas between them: L1, L2, GAN, cGAN, L1+GAN, L1+cGAN, encoder-decoder, "
    "light, reference, paper.  [default: L1,cGAN,L1+cGAN]",
)
@click.option(
    "--out",
    "-o",
    required=True,
    type=PATH,
    help="Folder for report.html, scores.csv and the models; made if it is not there.",
)
@overwrite_option
@json_option
@config_options
def compare(
    named: PairArguments,
    condition: str | None,
    recipes: str | None,
    out: Path,
    overwrite: bool,
    as_json: bool,
    **fields: Any,
) -> None:
    """Train several recipes on the same pairs, and compare them.

    SOURCE and TARGET are given as for train. Each recipe gets the same budget (--max-seconds,
    --steps or --epochs), pairs, seed and held-out part. A recipe sets the fields that make it;
    those that you set hold for all. Ctrl+C ends it, and compares what was trained so far.

    \b
    napari-pix2pix compare phase/ dapi/ -o comparison/ --max-seconds 120
    napari-pix2pix compare phase/ dapi/ -o comparison/ --recipes L1,L2,reference --steps 2000
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix.cli._progress import show_progress
    from napari_pix2pix.evaluation.compare import (
        DEFAULT_RECIPES,
        RecipeEvent,
        choose_recipes,
        comparison_events,
        model_name,
    )
    from napari_pix2pix.io.locks import locked
    from napari_pix2pix.io.paths import make_folder
    from napari_pix2pix.training.events import Control

    chosen = choose_recipes(recipes or DEFAULT_RECIPES)
    config = make_config(fields)
    if config.processes > 1:
        raise InputError("Recipes are trained in one process: leave devices and num_nodes out.")
    report, table = out / "report.html", out / "scores.csv"
    outputs = report, table, *(out / model_name(name) for name in chosen)
    sets = read_pair_sets(named, condition=condition, derive=config.derive, outputs=outputs)
    check_training_sets(sets, fields["validation"])
    make_folder(out)
    for path in outputs:
        check_output(path, overwrite=overwrite)
    given = {name: value for name, value in fields.items() if value is not None}

    def events(control: Control) -> Generator[Event, None, Comparison]:
        steps = comparison_events(
            sets.train, chosen, given, held_out=sets.validation or None, control=control
        )
        begun = 0
        while True:
            try:
                event = next(steps)
            except StopIteration as stop:
                found: Comparison = stop.value
                return found
            if isinstance(event, RecipeEvent):
                if event.number > begun and not as_json:
                    begun = event.number
                    say(f"{event.recipe} ({event.number} of {event.count})", err=True)
                yield event.event

    control = Control()
    with locked(*outputs):
        found = show_progress(events, quiet=as_json, control=control)
        say_changes(sets)
        found.to_csv(table)
        found.report(report)
        written = [report, table, *found.save(out)]
    result = found.to_dict() | {"written": [str(path) for path in written]}
    lines = [_table(found), *(f"Wrote {path}" for path in written)]
    print_result(result, "\n".join(lines), as_json=as_json)
    if control.signal is not None:
        raise Ended(control.signal)


def _table(found: Comparison) -> str:
    """Format the scores: a row each, a column for each recipe and for the baseline."""
    columns = found.scores
    width = max(12, *map(len, found.baseline))
    rows = [" " * width + "".join(f"{name:>16}" for name in columns)]
    for score in found.baseline:
        cells = [rounded(one[score], 4) if score in one else "" for one in columns.values()]
        rows.append(f"{score:>{width}}" + "".join(f"{cell:>16}" for cell in cells))
    return "\n".join([*rows, found.verdict])
