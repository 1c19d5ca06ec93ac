"""What must never be unpickled, for the tests of all rooms that read files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)
