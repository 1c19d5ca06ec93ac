"""Which pairs a command works on: SOURCE and TARGET with what belongs to them, or a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_pix2pix.cli._options import PATH
from napari_pix2pix.errors import InputError

if TYPE_CHECKING:
    from napari_pix2pix.io.datasets import Direction, PairSets

_OPTIONS = (
    click.argument("source", type=PATH, required=False),
    click.argument("target", type=PATH, required=False),
    click.option(
        "--pairs",
        type=PATH,
        help="CSV file that lists the pairs, instead of SOURCE and TARGET. Columns: source, "
        "target, condition, mask, set (train or validation); the last three may be left out, and "
        "source where no pair has one. Paths are relative to it.",
    ),
    click.option(
        "--mask",
        type=PATH,
        help="File, folder or pattern like TARGET: 0 where nothing is trained or scored.",
    ),
)

_ALIGNED_OPTIONS = (
    click.option(
        "--aligned",
        type=PATH,
        help="Folder of images that show source and target side by side, A|B, as the PyTorch "
        "implementation keeps them, instead of SOURCE and TARGET: in train/ and val/, of which "
        "val/ is validated on, and test/, which is evaluated.",
    ),
    click.option(
        "--direction",
        type=click.Choice(["AtoB", "BtoA"]),
        help="Which half of --aligned is the source.  [default: AtoB, the left one]",
    ),
)


def pairs_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command SOURCE and TARGET, --pairs and --mask."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def aligned_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command --aligned and --direction."""
    for option in reversed(_ALIGNED_OPTIONS):
        command = option(command)
    return command


def read_given_pairs(
    source: Path | None,
    target: Path | None,
    *,
    pairs: Path | None,
    aligned: Path | None = None,
    direction: Direction | None = None,
    axes: str | None,
    mask: Path | None,
    condition: str | None,
    validate: tuple[Path, Path] | None = None,
    no_source: bool = False,
    test: bool = False,
) -> PairSets:
    """Read the pairs that a command was given, and say what is to be known of their files.

    ``test`` asks for those of --aligned that a model is scored on.

    Raises
    ------
    click.UsageError
        When none or several of the ways to name pairs were used, or a source was named where
        there is none.
    FileError, InputError
        When a file can't be read or used.
    """
    from napari_pix2pix.io.datasets import PairSets, read_aligned, read_pairs, read_table

    alone: dict[str, object] = {
        "SOURCE": source,
        "--mask": mask,
        "--condition": condition,
        "--validate": validate,
        "--no-source": no_source or None,
    }
    if direction is not None and aligned is None:
        raise _usage_error("--direction is that of --aligned, which is not given: leave it out")
    if pairs is not None:
        _check_alone("--pairs", "put it into the table", {**alone, "--aligned": aligned})
        sets = read_table(pairs, axes=axes)
    elif aligned is not None:
        _check_alone("--aligned", "leave one of the two out", alone)
        sets = read_aligned(aligned, direction or "AtoB", test=test, axes=axes)
    elif no_source:
        images = _target_alone(source, target, validate)
        train, notes = read_pairs(None, images, mask=mask, condition=condition, axes=axes)
        sets = PairSets(train, [], notes)
    elif source is None or target is None:
        missing = "SOURCE" if source is None else "TARGET"
        raise _usage_error(f"Missing argument '{missing}', or a table of pairs with --pairs")
    else:
        train, notes = read_pairs(source, target, mask=mask, condition=condition, axes=axes)
        sets = PairSets(train, [], notes)
        if validate is not None:
            held_out, more = read_pairs(*validate, condition=condition, axes=axes)
            sets = PairSets(train, held_out, notes + more)
    for note in sets.notes:
        click.echo(note, err=True)
    return sets


def _check_alone(way: str, advice: str, others: dict[str, object]) -> None:
    """Refuse other ways to name pairs beside the one that was used."""
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise _usage_error(f"{way} names all pairs, so {given[0]} can't be given with it: {advice}")


def _target_alone(
    given: Path | None, second: Path | None, validate: tuple[Path, Path] | None
) -> Path:
    """Return the only argument, which is the target where there is no source."""
    if given is None:
        raise _usage_error("Missing argument 'TARGET'")
    if second is not None:
        raise _usage_error(f"--no-source takes TARGET alone, got {given} and {second}")
    if validate is not None:
        raise _usage_error("--validate needs a source, and there is none: leave it out")
    return given


def check_training_sets(sets: PairSets, fraction: float | None) -> None:
    """Refuse sets without anything to train on, or two ways to hold data out."""
    if not sets.train:
        raise InputError(
            "All pairs of the table are there to validate on: mark some with the set train."
        )
    if sets.validation and fraction is not None:
        raise InputError(
            f"--validation {fraction:g} would hold out a part of the pairs, but pairs to validate "
            "on are given: leave one of the two out."
        )


def _usage_error(sentence: str) -> click.UsageError:
    """Make an error that points to the help of the command that runs."""
    return click.UsageError(sentence, click.get_current_context())
