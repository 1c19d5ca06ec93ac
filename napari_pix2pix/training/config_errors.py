"""What pydantic finds wrong with a configuration, as one sentence."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError


def in_words(error: ValidationError, fields: Mapping[str, Any], known: Collection[str]) -> str:
    """Say the first thing that is wrong: which field, what was got, what would do.

    Parameters
    ----------
    error : pydantic.ValidationError
        What was found.
    fields : mapping of str to Any
        What was given.
    known : collection of str
        The fields that there are.
    """
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"] if str(part) in known)
    if first["type"] == "extra_forbidden":
        unknown = str(first["loc"][0])
        near = difflib.get_close_matches(unknown, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "see help(TrainConfig) for those there are."
        return f"There is no field {unknown}: {hint}"
    if first["type"] == "value_error" and not name:
        return f"{first['msg'].removeprefix('Value error, ')}."
    if first["type"] in ("missing", "too_long"):
        return f"{name} should be a pair of numbers, got {fields[name]!r}."
    wanted = first["msg"].removeprefix("Input ").removeprefix("should ")
    return f"{name} should {wanted}, got {first['input']!r}."
