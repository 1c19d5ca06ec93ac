"""Options of the commands; those of ``train`` are made from the fields of `TrainConfig`."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import click

from napari_pix2pix.training.config import PRESETS, TrainConfig

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator

PATH = click.Path(path_type=Path)

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace files that are there.")
axes_option = click.option(
    "--axes",
    help="Axes of the source, one letter each, where the file does not say or says wrong: "
    "T time, Z depth, C channel, Y, X, S red-green-blue.",
)
device_option = click.option("--device", help="auto, cpu, cuda, cuda:1 or mps.")
condition_option = click.option("--condition", help="One of the model's conditions (see info).")


def config_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command one option for each field of `TrainConfig`; None where it is not given."""
    for name, field in reversed(TrainConfig.model_fields.items()):
        kwargs = _option_of(field.annotation)
        flag = f"--{name.replace('_', '-')}"
        if kwargs.pop("is_bool", False):
            flag = f"{flag}/--no-{name.replace('_', '-')}"
        help_text = f"{field.description}{_defaults(name, field.default)}"
        command = click.option(flag, name, default=None, help=help_text, **kwargs)(command)
    return command


def config_of(fields: dict[str, Any]) -> TrainConfig:
    """Make the config of the options that were given."""
    return TrainConfig(**{name: value for name, value in fields.items() if value is not None})


def condition_of(translator: Translator, text: Hashable | None) -> Any:
    """Return the condition that reads like ``text``; what is no string in Python is one here."""
    return next((name for name in translator.conditions if str(name) == text), text)


def _option_of(annotation: Any) -> dict[str, Any]:
    """Say what click needs to know of a field's type; ranges are the config's to check."""
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
    """Say what a field is when it is not given, and under which preset it is something else."""
    if default is None:
        return ""
    others = {
        preset: fields[name]
        for preset, fields in PRESETS.items()
        if fields.get(name, default) != default
    }
    parts = [f"default: {_shown(default)}"]
    parts += [f"{preset}: {_shown(value)}" for preset, value in others.items()]
    return f"  [{'; '.join(parts)}]"


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(map(_shown, value))
    return f"{value:.4g}" if isinstance(value, float) else str(value)
