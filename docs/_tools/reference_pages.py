"""Pages that are made from the code, so that they can't differ from it."""

from __future__ import annotations

import typing
from pathlib import Path

from napari_pix2pix.training.config import PRESETS, TrainConfig

_HEAD = """# Training options

Every choice of a training: the keyword arguments of `napari_pix2pix.train`, the options of
`napari-pix2pix train` (with `-` for `_`), and the fields of the Train dock. The column of a preset
says where it differs from `light`. This page is made from `TrainConfig`.

| name | values | `light` | {presets} | what it does |
|---|---|---|{rules}---|
"""


def write_training_options(path: Path) -> None:
    """Write a table of all fields of `TrainConfig`, unless the file already says the same."""
    others = [name for name in PRESETS if name != "light"]
    head = _HEAD.format(
        presets=" | ".join(f"`{name}`" for name in others), rules="---|" * len(others)
    )
    rows = []
    for name, field in TrainConfig.model_fields.items():
        differ = [
            _shown(PRESETS[other][name]) if name in PRESETS[other] else "" for other in others
        ]
        cells = [f"`{name}`", _values(field.annotation), _shown(field.default), *differ]
        rows.append(f"| {' | '.join([*cells, _cell(field.description or '')])} |")
    text = head + "\n".join(rows) + "\n"
    path.parent.mkdir(exist_ok=True)
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def _values(annotation: object) -> str:
    """Return what a field takes, in words.

    >>> _values(typing.Literal["a", "b"]), _values(float | None)
    ('`a`, `b`', 'float or none')
    """
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(f"`{choice}`" for choice in typing.get_args(annotation))
    if typing.get_origin(annotation) is typing.Annotated:
        return _values(typing.get_args(annotation)[0])
    parts = [part for part in typing.get_args(annotation) if part is not Ellipsis]
    if parts and typing.get_origin(annotation) is not tuple:
        return " or ".join(_values(part) for part in parts)
    if parts:
        return f"{len(parts)} numbers"
    return "none" if annotation is type(None) else getattr(annotation, "__name__", str(annotation))


def _shown(value: object) -> str:
    return "" if value is None or value == "" else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
