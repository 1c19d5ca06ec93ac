"""Wells of a plate that are chosen by name or pattern."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from napari_pix2pix.errors import InputError

_SHOWN = 6  # wells that a message names
# The row and the column of a name such as A1, AA10, B*, [AB]1 or *3.
_ROW_AND_COLUMN = re.compile(r"([A-Za-z]+|\[[^]]*\]|.)(.*)")


def choose_wells(there: Sequence[str], wells: str, given: Path) -> set[str]:
    """Return the wells of these names; refuse a name that no well has."""
    chosen: set[str] = set()
    for pattern in filter(None, re.split(r"[\s,;]+", wells)):
        found = {well for well in there if _matches(well, pattern)}
        if not found:
            names = [well.replace("/", "") for well in dict.fromkeys(there)]
            more = ", ..." if len(names) > _SHOWN else ""
            raise InputError(
                f"{given} has no well {pattern!r}: choose from {', '.join(names[:_SHOWN])}{more}."
            )
        chosen |= found
    if not chosen:
        raise InputError(f"wells={wells!r} names no well: give names such as A1 or B*.")
    return chosen


def _matches(well: str, pattern: str) -> bool:
    """Tell whether a well such as A/1 has a name such as A1, a01, A/1, B*, *3 or A (the row)."""
    row, _, column = well.upper().partition("/")
    if "/" in pattern:
        row_pattern, _, column_pattern = pattern.partition("/")
    else:
        parts = _ROW_AND_COLUMN.fullmatch(pattern)
        row_pattern, column_pattern = parts.groups() if parts else (pattern, "")
    number = column.lstrip("0")
    wanted = column_pattern.upper().lstrip("0") or ("0" if column_pattern else "*")
    return fnmatchcase(row, row_pattern.upper()) and fnmatchcase(number or "0", wanted)
