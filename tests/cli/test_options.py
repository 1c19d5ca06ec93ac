from __future__ import annotations

import re
from typing import Any, Literal, get_args, get_origin

from napari_pix2pix import load
from napari_pix2pix.training.config import TrainConfig

# What can't be made up from the field's type and default.
CHOSEN = {"classes": 3, "preset": "reference", "device": "cpu", "zoom": (1.0, 1.1), "patch": 96}


def another_value(name: str, field: Any) -> Any:
    """Return a value for a field that is not its default."""
    if name in CHOSEN:
        return CHOSEN[name]
    kinds = str(field.annotation)
    if field.annotation is bool:
        return not field.default
    # A choice, or one that may be left out.
    for part in (field.annotation, *get_args(field.annotation)):
        if get_origin(part) is Literal:
            return next(one for one in get_args(part) if one != field.default)
    if "int" in kinds:
        return (field.default or 0) + 1
    assert "float" in kinds, f"{name} is of a new type"
    return field.default / 2 if field.default else 0.25


def as_option(name: str, value: Any) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]


def test_every_field_is_an_option_that_arrives(folder, tmp_path, monkeypatch, invoke):
    given = {name: another_value(name, f) for name, f in TrainConfig.model_fields.items()}
    arrived = {}

    def record(pairs: Any, config: Any, **_: Any) -> Any:
        arrived.update(config.model_dump())
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("napari_pix2pix._train.training_events", record)
    monkeypatch.setattr("napari_pix2pix.cli._train._start_processes", lambda config: True)
    files = folder / "source.tif", folder / "target.tif"
    for name, value in given.items():
        arrived.clear()
        result = invoke("train", *files, "-o", tmp_path / "m.st", *as_option(name, value))
        assert arrived, result.stderr
        assert arrived[name] == value


def test_a_command_that_is_called_starts_no_programs(folder, tmp_path, invoke):
    files = folder / "source.tif", folder / "target.tif"
    result = invoke("train", *files, "-o", tmp_path / "m.st", "--devices 2 --device cpu")
    assert result.exit_code == 2
    assert "this program is a single one" in result.stderr


def test_options_reach_the_file(folder, tmp_path, invoke, tiny):
    result = invoke(
        "train", folder / "source.tif", folder / "target.tif", "-o", tmp_path / "m.st", tiny,
        "--preset paper --no-flips --zoom 1 1.1 --validation 0 --adversarial-weight 0 --slim",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    config = load(tmp_path / "m.st").config
    assert (config.preset, config.flips, config.zoom) == ("paper", False, (1.0, 1.1))
    assert config.bias is False  # the preset's
    assert "No validation." in result.stdout


def test_help_names_the_defaults_of_presets(invoke):
    text = " ".join(invoke("train", "--help").stdout.split())
    assert re.search(r"\[default: \d+; reference: 256; paper: 256\]", text)
    assert "[default: on]" in text
