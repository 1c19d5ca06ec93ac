"""Acquisitions of a plate, such as days, one of which is chosen by number or name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_pix2pix.errors import InputError

_SHOWN = 6  # acquisitions that a message names


@dataclass(frozen=True)
class Acquisition:
    """One of the times at which a plate was seen."""

    number: str
    name: str = ""  # empty where the plate states none

    def __str__(self) -> str:
        return f"{self.number} ({self.name})" if self.name else self.number


def choose_acquisition(
    fields: Iterable[tuple[Path, Acquisition | None]], wanted: str, given: Path
) -> list[Path]:
    """Return the fields of one acquisition; refuse one that none of them has."""
    called = wanted.strip().casefold()
    if not called:
        raise InputError("acquisition is empty: give its number or name, or leave it out.")
    fields = list(fields)
    there = [one for _, one in fields if one is not None]
    # The name of one may be the number of another.
    named = {one for one in there if one.name.casefold() == called}
    chosen = named or {one for one in there if one.number == called}
    if not chosen:
        raise InputError(
            f"{given} has no acquisition {wanted!r}: {_what_to_do(list(dict.fromkeys(there)))}."
        )
    return [path for path, one in fields if one in chosen]


def _what_to_do(there: Sequence[Acquisition]) -> str:
    if not there:
        return "its fields name none, so leave it out"
    more = ", ..." if len(there) > _SHOWN else ""
    return f"choose from {', '.join(map(str, there[:_SHOWN]))}{more}"
