"""The JSON values of a file's header, checked before anything is made of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_DEEPEST = 32  # lists and objects within each other; ours have 7
_LONGEST = 1 << 24  # characters of a text: a picture has up to 3 million
_LARGEST = 2**63  # of whole numbers


def checked_values(value: Any, depth: int = 0) -> Any:
    """Return JSON values with plain texts; a `ValueError` where they are absurd."""
    if depth > _DEEPEST:
        raise ValueError("its values are nested too deeply")
    if isinstance(value, Mapping):
        return {plain_text(k): checked_values(v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [checked_values(item, depth + 1) for item in value]
    if isinstance(value, str):
        if len(value) > _LONGEST:
            raise ValueError("it holds a text that is too long")
        return plain_text(value)
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise ValueError("it holds a number that is too large")
    return value


def plain_text(text: str) -> str:
    """Return a text without what controls terminals and the direction of text; lines stay.

    >>> plain_text("red: " + chr(27) + "[31m")
    'red: [31m'
    """
    return text if text.isascii() and text.isprintable() else text.translate(_CONTROLS)


# Control characters but tabs and new lines; marks and overrides of the direction.
_CONTROLS = dict.fromkeys(
    [
        *(code for code in range(0x20) if chr(code) not in "\t\n"),
        *range(0x7F, 0xA0),
        *(0x200E, 0x200F, 0x2028, 0x2029),
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    ]
)
