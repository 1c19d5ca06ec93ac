"""What a user imports says what it takes, what it returns, and shows an example, which runs."""

from __future__ import annotations

import inspect
import re

import pytest

import napari_pix2pix
from napari_pix2pix import core
from napari_pix2pix.corrections import learn_from_corrections
from napari_pix2pix.evaluation.compare import compare_recipes
from napari_pix2pix.large_images import FileTranslation

METHODS = "__call__ sample spread discriminator_map unlikeness_map with_weights save export"
PUBLIC = {
    **{name: getattr(napari_pix2pix, name) for name in napari_pix2pix.__all__},
    **{f"core.{name}": getattr(core, name) for name in core.__all__},
    **{f"Translator.{name}": getattr(napari_pix2pix.Translator, name) for name in METHODS.split()},
    **{one.__name__: one for one in (compare_recipes, learn_from_corrections, FileTranslation)},
}
FUNCTIONS = [
    pytest.param(one, id=name)
    for name, one in PUBLIC.items()
    if inspect.isroutine(one) or (inspect.isclass(one) and one.__module__.startswith("napari_"))
]


@pytest.mark.parametrize("one", FUNCTIONS)
def test_docstring_is_whole(one):
    text = inspect.getdoc(one) or ""
    heads = re.findall(r"^(\w+)\n-+$", text, re.M)
    missing = {"Examples"} - set(heads) if one is not napari_pix2pix.Translator.__call__ else set()
    if inspect.isroutine(one) and inspect.signature(one).return_annotation not in ("None", None):
        missing |= set() if {"Returns", "Yields"} & set(heads) else {"Returns"}
    if one is not napari_pix2pix.TrainConfig:  # docs/api/training-options.md has its fields
        before = re.split(r"^Returns\n-+$", text, flags=re.M)[0]
        names = set(inspect.signature(one).parameters) - {"self", "fields"}
        missing |= {name for name in names if not re.search(rf"\b{name}\b", before)}
    assert not missing
