"""What a kind of tries counts, and how long it goes on."""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_pix2pix.errors import Pix2PixError, UnexpectedError

_SLOWEST = 10.0  # seconds that a try may take
# Bytes beside what the process has: half a GB are Python's and PyTorch's, of 1.5 GB in all.
_MOST = 1e9


@dataclass
class Outcome:
    """What a kind of tries found."""

    tries: int = 0
    faults: list[str] = field(default_factory=list)
    made: Any = None  # by the last attempt; None if it was refused

    def attempt(self, what: str, work: Callable[[], object]) -> bool:
        """Count a try: it may succeed, or be refused by an error of ours, within its time."""
        self.tries += 1
        began, refused, self.made = time.perf_counter(), False, None
        before = _restart_peak()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.made = work()
        except UnexpectedError as error:  # a boundary met what nobody foresaw
            self.faults.append(f"{what}: {error}"[:150])
            refused = True
        except Pix2PixError:
            refused = True
        except Exception as error:  # what this campaign is looking for
            self.faults.append(f"{what}: {type(error).__name__}: {str(error)[:100]}")
            refused = True
        if (seconds := time.perf_counter() - began) > _SLOWEST:
            self.faults.append(f"{what}: {seconds:.0f} s")
        if (taken := _memory("VmHWM") - before) > _MOST:
            self.faults.append(f"{what}: {taken / 1e9:.1f} GB")
        return not refused

    def expect(self, what: str, is_right: bool) -> None:
        """Count a fault where something is not as it should be."""
        if not is_right:
            self.faults.append(what)

    def add(self, other: Outcome) -> None:
        """Count what another round of the same kind found."""
        self.tries += other.tries
        self.faults += other.faults


def until(seconds: float) -> Iterator[None]:
    """Go on for some seconds, and at least once."""
    ends = time.monotonic() + seconds
    yield
    while time.monotonic() < ends:
        yield


def files_of(folder: Path) -> dict[str, str]:
    """Return checksums of all files in a folder, by name."""
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def _restart_peak() -> int:
    """Let the peak of this process's memory begin again; return the bytes that it has now."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _memory("VmRSS")


def _memory(name: str) -> int:
    """Return a number of bytes that Linux knows of this process; 0 on other systems."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(name)), 0)
