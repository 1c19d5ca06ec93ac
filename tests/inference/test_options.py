from __future__ import annotations

import inspect

from napari_pix2pix.inference.options import CallOptions
from napari_pix2pix.translator import Translator


def test_declaration_is_that_of_the_call() -> None:
    arguments = dict(inspect.signature(Translator.__call__).parameters)
    # A viewer would stand still for the minute that compiling takes.
    for name in ("self", "image", "condition", "on_tile", "compile"):
        del arguments[name]
    assert {name: one.default for name, one in arguments.items()} == CallOptions().model_dump()
