"""Damage that knows the structure of what it damages: JSON values, tensors, bytes of files."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

_Path = tuple[Any, ...]
_ABSURD: list[Any] = [
    *(None, True, -1, 0, 1, 2.5, 100_000, 1e9, 10**12, 10**30, 1e308),
    *(float("inf"), float("-inf"), float("nan")),
    *("", "x", "\x1b[31mred\x1b]0;title\x07", "\u202egnp", [], {}, ["x"] * 3, {"a": 1}),
    *([1e308, 1e308], [[1, 2], [3]]),
]
_DELETED = object()


def mutate_json(values: Any, rng: random.Random) -> tuple[Any, str]:
    """Return JSON values with one damaged, and where."""
    values = copy.deepcopy(values)
    path = rng.choice([path for path in _paths(values) if path])
    value = rng.choice([*_ABSURD, _DELETED, _nested(rng.choice([5, 40, 90]))])
    holder = values
    for key in path[:-1]:
        holder = holder[key]
    if value is _DELETED:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    shown = "deleted" if value is _DELETED else repr(value)[:40]
    return values, f"{'.'.join(map(str, path))} {shown}"


def mutate_tensors(tensors: dict[str, Tensor], rng: random.Random) -> tuple[dict[str, Tensor], str]:
    """Return tensors with one damaged, and which."""
    tensors, name = dict(tensors), rng.choice(sorted(tensors))
    how = rng.choice(["gone", "not finite", "other shape", "integers", "empty", "another"])
    whole = tensors[name]
    match how:
        case "gone":
            del tensors[name]
        case "not finite":
            tensors[name] = torch.full_like(whole.float(), rng.choice([torch.nan, torch.inf]))
        case "other shape":
            tensors[name] = whole[..., None].repeat_interleave(2, -1)
        case "integers":
            tensors[name] = whole.int()
        case "empty":
            tensors[name] = torch.zeros(0)
        case _:
            tensors[f"{name}.x"] = whole.clone()
    return tensors, f"{name} {how}"


def mutate_bytes(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Return the bytes of a file with some damaged, and how."""
    damaged, at = bytearray(content), rng.randrange(len(content))
    how = rng.choice(["cut", "flipped", "largest", "zeros", "twice"])
    width = rng.choice([1, 2, 4, 8])
    match how:
        case "cut":
            del damaged[at:]
        case "flipped":
            damaged[at] ^= 1 << rng.randrange(8)
        case "largest":
            damaged[at : at + width] = b"\xff" * len(damaged[at : at + width])
        case "zeros":
            damaged[at : at + width] = bytes(len(damaged[at : at + width]))
        case _:
            damaged[at:at] = damaged[at : at + 64]
    return bytes(damaged), f"{how} at {at}"


def _paths(values: Any, path: _Path = ()) -> Iterator[_Path]:
    yield path
    if isinstance(values, dict):
        for key, value in values.items():
            yield from _paths(value, (*path, key))
    elif isinstance(values, list):
        for index, value in enumerate(values[:2]):
            yield from _paths(value, (*path, index))


def _nested(depth: int) -> list[Any]:
    return [_nested(depth - 1)] if depth else []
