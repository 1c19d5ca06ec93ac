"""Which process something belongs to, and whether that process still runs."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

_START_FIELD = 19  # of the fields that follow the name in Linux's stat of a process


class ProcessRecord(BaseModel):
    """A process, so described that no other can be taken for it."""

    model_config = ConfigDict(frozen=True)

    host: str
    namespace: int  # in which its number counts: containers of one host have their own; 0: none
    pid: int
    start: str  # when it started; another process may get the same number later

    @classmethod
    def here(cls) -> ProcessRecord:
        """Describe this process."""
        pid = os.getpid()
        return cls(host=socket.gethostname(), namespace=_namespace(), pid=pid, start=_start(pid))

    @property
    def can_be_seen(self) -> bool:
        """Whether this process can tell if the other one runs: it counts on the same host."""
        return (self.host, self.namespace) == (socket.gethostname(), _namespace())

    @property
    def is_gone(self) -> bool:
        """Whether it is known that the process has ended."""
        return self.can_be_seen and _start(self.pid) != self.start

    def __str__(self) -> str:
        """Return a text such as ``process 4711 on microscope-pc``."""
        return f"process {self.pid} on {self.host}"


def _namespace() -> int:
    try:
        return os.stat("/proc/self/ns/pid").st_ino
    except OSError:
        return 0


def _start(pid: int) -> str:
    """Return when a process started; empty if there is none with this number."""
    try:
        # Counted from the start of the system: the clock may be set while a process runs.
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        state, *fields = stat.rpartition(")")[2].split()
        return "" if state in "ZX" else fields[_START_FIELD - 1]
    except OSError:
        pass
    try:
        return f"{psutil.Process(pid).create_time():.0f}"
    except psutil.Error:
        return ""
