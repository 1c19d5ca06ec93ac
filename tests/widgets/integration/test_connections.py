"""A lambda that holds a widget is kept by PySide6 for ever, and with it the dock and its viewer."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import napari_pix2pix.widgets

SOURCES = sorted(Path(napari_pix2pix.widgets.__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.stem)
def test_no_signal_is_connected_to_a_lambda(source: Path) -> None:
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "connect":
            assert not any(isinstance(given, ast.Lambda) for given in node.args), node.lineno
