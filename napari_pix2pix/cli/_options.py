"""Options that commands share, and the pairs that they name."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from dataclasses import fields as dataclass_fields
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args, get_origin

import click

from napari_pix2pix.cli._console import say
from napari_pix2pix.cli._output import check_output, print_result
from napari_pix2pix.errors import InputError, plural
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.training.config import PRESETS, TrainConfig

if TYPE_CHECKING:
    from napari_pix2pix.io.datasets import PairSets
    from napari_pix2pix.io.pair_files import Direction, Matching, PairFiles, ReadOptions
    from napari_pix2pix.training.model_info import ModelInfo
    from napari_pix2pix.translator import Translator


class _PathName(click.Path):
    """A path, refused if no file can be called so."""

    def convert(self, value: Any, *context: Any) -> Any:
        from napari_pix2pix.io.paths import as_path

        as_path(value)  # as it was given: an empty name would become this folder
        return super().convert(value, *context)


PATH = _PathName(path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace existing files.")
axes_option = click.option(
    "--axes",
    help="Axes of the source, one letter each, if the file does not state them or states wrong "
    "ones: T time, Z depth, C channel, Y, X, S red-green-blue.",
)
channels_option = click.option(
    "--source-channels",
    help="Channels to take of the source: numbers from 0, or names as in the file: 0,2 or "
    "Phase,DAPI.  [default: those of the model by their names, else all]",
)


def _set_read_limit(context: click.Context, _: click.Parameter, value: float | None) -> None:
    """Set the limit for as long as the command runs."""
    if value is not None:
        from napari_pix2pix.io.read_limits import set_read_limit

        context.call_on_close(partial(set_read_limit, set_read_limit(value)))


read_limit_option = click.option(
    "--read-limit",
    type=float,
    expose_value=False,
    callback=_set_read_limit,
    help="MB of memory that an image may ask for at once, where it asks for far more than its file "
    "holds: for pictures of many pixels, and for large strips, tiles and chunks.  [default: 268]",
)
wells_option = click.option(
    "--wells",
    help="Of plates (OME-Zarr, HCS) only these wells: names, or patterns in quotes, such as "
    "'A1,B*'; a row's name stands for its wells.  [default: all]",
)
acquisition_option = click.option(
    "--acquisition",
    help="Of plates (OME-Zarr, HCS) only the fields of this acquisition, by its number or name.  "
    "[default: all]",
)
device_option = click.option("--device", help="auto, cpu, cuda, cuda:1 or mps.")
weights_option = click.option(
    "--weights",
    type=click.Choice(["last", "best"]),
    help="Which weights of MODEL to apply: the last, or those of its best validation (see info).  "
    "[default: those that MODEL names]",
)
halo_option = click.option(
    "--halo",
    type=int,
    help="For an ONNX file or a package that does not say it: on how many pixels around it a pixel "
    "depends.  [default: whole images]",
)
condition_option = click.option("--condition", help="One of the model's conditions (see info).")

_PAIRS_OPTIONS = (
    click.argument("source", type=PATH, required=False),
    click.argument("target", type=PATH, required=False),
    click.option(
        "--pairs",
        type=PATH,
        help="CSV table of pairs, instead of SOURCE and TARGET. Columns: source, target and, if "
        "you need them, condition, mask, set (train or validation), group (what is held out "
        "together, such as a patient), source_axes, target_axes, mask_axes, source_channels, "
        "target_channels, wells and acquisition. Leave source out if no pair has one. "
        "Paths are relative to the table; options stand for empty cells.",
    ),
    click.option(
        "--match",
        type=click.Choice(["name", "order"]),
        help="How files of SOURCE and TARGET are matched: by their names, or as they are sorted, "
        "the first with the first.  [default: name]",
    ),
    click.option(
        "--write-pairs",
        type=PATH,
        help="Only write the pairs that are found to this CSV table, to be corrected and given "
        "with --pairs.",
    ),
    click.option(
        "--mask",
        type=PATH,
        help="File, folder or pattern, matched like TARGET: where it is 0, nothing is trained or "
        "scored.",
    ),
    click.option(
        "--aligned",
        type=PATH,
        help="Folder of images that show source and target side by side (A|B), as for the PyTorch "
        "implementation, instead of SOURCE and TARGET. Images in train/ are for training, in val/ "
        "for validation, in test/ for evaluation.",
    ),
    click.option(
        "--direction",
        type=click.Choice(["AtoB", "BtoA"]),
        help="Which half of an --aligned image is the source.  [default: AtoB, the left one]",
    ),
    axes_option,
    click.option("--target-axes", help="Axes of targets whose files do not state them."),
    click.option("--mask-axes", help="Axes of masks whose files do not state them."),
    click.option(
        "--override-axes",
        is_flag=True,
        help="Use --target-axes and --mask-axes also where files state other ones.",
    ),
    channels_option,
    click.option(
        "--target-channels",
        help="Channels of TARGET, like --source-channels. Both may be in the same files.",
    ),
    read_limit_option,
    wells_option,
    acquisition_option,
)


@dataclass(frozen=True)
class PairArguments:
    """How a command names its pairs: SOURCE and TARGET, --pairs or --aligned; and reads them."""

    source: Path | None
    target: Path | None
    pairs: Path | None
    match: Matching | None
    write_pairs: Path | None
    aligned: Path | None
    direction: Direction | None
    mask: Path | None
    axes: str | None  # of the source
    target_axes: str | None
    mask_axes: str | None
    override_axes: bool
    source_channels: str | None
    target_channels: str | None
    wells: str | None
    acquisition: str | None

    @property
    def read_options(self) -> ReadOptions:
        """How the files are read."""
        from napari_pix2pix.io.pair_files import ReadOptions

        axes = self.axes, self.target_axes, self.mask_axes
        channels = self.source_channels, self.target_channels
        return ReadOptions(*axes, *channels, self.wells, self.acquisition)


def pairs_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the arguments and options of `PairArguments`, as the argument `named`."""

    @wraps(command)
    def with_named(**arguments: Any) -> Any:
        named = {field.name: arguments.pop(field.name) for field in dataclass_fields(PairArguments)}
        return command(named=PairArguments(**named), **arguments)

    for option in reversed(_PAIRS_OPTIONS):
        with_named = option(with_named)
    return with_named


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option for each field of `TrainConfig`; None if it is not given."""
    for name, field in reversed(TrainConfig.model_fields.items()):
        help_text = f"{field.description}{_defaults(name, field.default)}"
        command = _option(name, field.annotation, help_text)(command)
    return command


def predict_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option for each field of `PredictOptions`; None if it is not given."""
    for name, field in reversed(PredictOptions.model_fields.items()):
        default = "" if field.default is None else f"  [default: {_format(field.default)}]"
        annotation = str if name == "condition" else field.annotation  # texts name conditions here
        command = _option(name, annotation, f"{field.description}{default}")(command)
    return command


def predict_options_of(translator: Translator, fields: dict[str, Any]) -> PredictOptions:
    """Make the options that were given for a model."""
    given = {name: value for name, value in fields.items() if value is not None}
    condition = parse_condition(translator, given.pop("condition", None))
    return PredictOptions(condition=condition, **given)


def read_info(path: Path) -> ModelInfo:
    """Read what is true of a model; only files of other programs need PyTorch."""
    from napari_pix2pix.io.hub import fetch_model, is_hub_name
    from napari_pix2pix.io.model_header import is_foreign
    from napari_pix2pix.training.model_info import read_model_info

    if is_hub_name(path):
        fetched = fetch_model(path)
        return replace(read_model_info(fetched.path), origin=fetched.origin)
    if not is_foreign(path):
        return read_model_info(path)
    from napari_pix2pix._load import read_foreign_info

    return read_foreign_info(path)


def make_config(fields: dict[str, Any]) -> TrainConfig:
    """Make the config from the options that were given."""
    return TrainConfig(**{name: value for name, value in fields.items() if value is not None})


def parse_condition(translator: Translator, text: Hashable | None) -> Any:
    """Return the condition that prints as `text`: in a shell every condition is a string."""
    return next((name for name in translator.conditions if str(name) == text), text)


def _option(name: str, annotation: Any, help_text: str) -> Callable[..., Any]:
    """Return the option of a field; None where it is not given."""
    kwargs = _option_of(annotation)
    flag = f"--{name.replace('_', '-')}"
    if kwargs.pop("is_bool", False):
        flag = f"{flag}/--no-{name.replace('_', '-')}"
    return click.option(flag, name, default=None, help=help_text, **kwargs)


def _option_of(annotation: Any) -> dict[str, Any]:
    """Translate a field's type for click; the config itself checks ranges."""
    arguments = [part for part in get_args(annotation) if part is not types.NoneType]
    origin = get_origin(annotation)
    if origin in (typing.Annotated, types.UnionType, typing.Union):
        return _option_of(arguments[0])
    if origin is Literal:
        return {"type": click.Choice(arguments)}
    if origin is tuple:
        return {"type": float, "nargs": len(arguments)}
    if annotation is bool:
        return {"is_bool": True}
    return {"type": annotation}


def _defaults(name: str, default: Any) -> str:
    """Describe the default of a field, and the presets that have another one."""
    if default in (None, ""):
        return ""
    others = {
        preset: fields[name]
        for preset, fields in PRESETS.items()
        if fields.get(name, default) != default
    }
    parts = [f"default: {_format(default)}"]
    parts += [f"{preset}: {_format(value)}" for preset, value in others.items()]
    return f"  [{'; '.join(parts)}]"


def _format(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(map(_format, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def read_pair_sets(
    named: PairArguments,
    *,
    condition: str | None,
    validate: tuple[Path, Path] | None = None,
    no_source: bool = False,
    derive: str | None = None,
    test: bool = False,
    model: ModelInfo | None = None,
    outputs: Sequence[Path | None] = (),
    read_too: Sequence[Path | None] = (),
) -> PairSets:
    """Read the pairs that a command names in exactly one way, and print notes on their files.

    With `test`, --aligned reads the images to score; `model` is the one that the pairs are for.
    With `derive`, sources are made of the targets, so TARGET is given alone. No output may replace
    what is read: files of the pairs, and what is `read_too`.
    """
    from napari_pix2pix.io.datasets import FileSets, read_aligned, read_table
    from napari_pix2pix.io.outputs import check_apart
    from napari_pix2pix.io.pair_files import ReadContext
    from napari_pix2pix.io.paths import files_read

    others: dict[str, object] = {
        "SOURCE": named.source,
        "--mask": named.mask,
        "--condition": condition,
        "--validate": validate,
        "--no-source": no_source or None,
        "--match": named.match,
        "--write-pairs": named.write_pairs,
    }
    if named.direction is not None and named.aligned is None:
        raise _usage_error("--direction belongs to --aligned, which is not given: leave it out")
    if no_source and derive:
        raise _usage_error("--derive makes sources, and --no-source wants none: leave one out")
    if (no_source or derive) and named.source_channels is not None:
        raise _usage_error("--source-channels needs a source, and there is none: leave it out")
    trained = (None, None) if model is None else model.trained_channels
    how: dict[str, Any] = {
        "options": named.read_options,
        "context": ReadContext(named.override_axes, *trained),
    }
    if named.pairs is not None:
        _check_alone("--pairs", "put it into the table", {**others, "--aligned": named.aligned})
        sets = read_table(named.pairs, **how)
    elif named.aligned is not None:
        unused = {
            "--target-axes": named.target_axes,
            "--mask-axes": named.mask_axes,
            "--wells": named.wells,
            "--acquisition": named.acquisition,
        }
        _check_alone("--aligned", "leave one of the two out", others | unused)
        sets = read_aligned(named.aligned, named.direction or "AtoB", test=test, **how)
    else:
        alone = "--no-source" if no_source else "--derive" if derive else ""
        sets = FileSets(*_find_files(named, condition, validate, alone=alone)).open(how["context"])
    check_apart(outputs, [*files_read(sets.files), *read_too])
    for note in sets.notes:
        say(note, err=True)
    return sets


def say_changes(sets: PairSets) -> list[str]:
    """Say which files changed while they were read; return the sentences."""
    sentences = sets.changes()
    for sentence in sentences:
        say(sentence, err=True)
    return sentences


def _find_files(
    named: PairArguments,
    condition: str | None,
    validate: tuple[Path, Path] | None,
    *,
    alone: str,  # the option with which TARGET is given alone; empty without
) -> tuple[list[PairFiles], list[PairFiles], list[str]]:
    """Find the files for training, those for validation, and notes; or only write a table."""
    from napari_pix2pix.io.matching import NoMatchError
    from napari_pix2pix.io.pair_files import PairFiles, find_pairs

    if alone:
        source, target = None, _target_alone(named.source, named.target, validate, alone)
    elif named.source is None or named.target is None:
        missing = "SOURCE" if named.source is None else "TARGET"
        raise _usage_error(f"Missing argument '{missing}', or a table of pairs with --pairs")
    else:
        source, target = named.source, named.target
    same: dict[str, Any] = {"condition": condition, "options": named.read_options}
    how: dict[str, Any] = {**same, "matching": named.match or "name"}
    held_out: list[PairFiles] = []
    try:
        train, notes = find_pairs(source, target, mask=named.mask, **how)
        if validate is not None:
            # Its wells are others, which its paths name.
            how["options"] = replace(named.read_options, wells=None)
            held_out, more = find_pairs(*validate, **how)
            notes += more
    except NoMatchError as error:
        if named.write_pairs is None:
            raise
        guess = [PairFiles(one, two, **same) for one, two in error.guess]
        _write_pairs(named.write_pairs, guess, [], [f"{error} The table holds a guess."])
    if named.write_pairs is not None:
        _write_pairs(named.write_pairs, train, held_out, notes)
    return train, held_out, notes


def _write_pairs(
    path: Path, train: list[PairFiles], held_out: list[PairFiles], notes: list[str]
) -> NoReturn:
    """Write a table of pairs, and end the command."""
    from napari_pix2pix.io.datasets import write_table
    from napari_pix2pix.io.outputs import check_apart
    from napari_pix2pix.io.pair_files import paths_of

    context = click.get_current_context()
    check_output(path, overwrite=context.params["overwrite"])
    check_apart([path], paths_of([*train, *held_out]))
    write_table(path, train, held_out)
    for note in notes:
        say(note, err=True)
    count = plural(len(train) + len(held_out), "pair")
    text = f"Wrote {path} with {count}: correct it where it is wrong, and give it with --pairs."
    print_result({"written": str(path), "notes": notes}, text, as_json=context.params["as_json"])
    context.exit()


def _check_alone(option: str, advice: str, others: dict[str, object]) -> None:
    """Refuse a second way to name pairs."""
    given = [name for name, value in others.items() if value is not None]
    if given:
        raise _usage_error(
            f"{option} names all pairs, so {given[0]} can't be given with it: {advice}"
        )


def _target_alone(
    first: Path | None, second: Path | None, validate: tuple[Path, Path] | None, option: str
) -> Path:
    """Return the only argument, which is the target if there is no source."""
    if first is None:
        raise _usage_error("Missing argument 'TARGET'")
    if second is not None:
        raise _usage_error(f"{option} takes TARGET alone, got {first} and {second}")
    if validate is not None:
        raise _usage_error("--validate needs a source, and there is none: leave it out")
    return first


def check_training_sets(sets: PairSets, fraction: float | None) -> None:
    """Refuse sets without training pairs, or two ways to hold data out."""
    if not sets.train:
        raise InputError(
            "All pairs of the table are for validation: set some of them to train in the column "
            "set."
        )
    if sets.validation and fraction is not None:
        raise InputError(
            f"--validation {fraction:g} would hold out a part of the pairs, but validation pairs "
            "are given: leave one of the two out."
        )


def _usage_error(sentence: str) -> click.UsageError:
    """Make an error that points to the help of the current command."""
    return click.UsageError(sentence, click.get_current_context())
