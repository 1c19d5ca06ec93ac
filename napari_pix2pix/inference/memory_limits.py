"""How much memory this process may take: the machine's, its container's and its own limit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil

_GROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")
# Limit and use: in version 2 beside each other for all, in version 1 of the controller of memory.
_VERSION_2 = "memory.max", "memory.current"
_VERSION_1 = "memory.limit_in_bytes", "memory.usage_in_bytes"
_REUSABLE = "inactive_file"  # what of the use are files that were read, and is given up at once


def available_memory() -> int:
    """Return the bytes that this process can still take without swapping or being killed."""
    machine = int(psutil.virtual_memory().available)
    return max(0, min([machine, *_left_in_groups(), *_left_in_process()]))


def _left_in_groups() -> Iterator[int]:
    """Iterate over what is left in the control groups of Linux: those of containers and batches."""
    for folder, (limit, use) in _groups():
        most, used = _number(folder / limit), _number(folder / use)
        if most is not None and used is not None:
            yield most - used + _reusable(folder)


def _groups() -> Iterator[tuple[Path, tuple[str, str]]]:
    """Iterate over the groups that this process belongs to, and those around them."""
    try:
        lines = _MEMBERSHIP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, name = rest.partition(":")
        if controllers == "":
            root, files = _GROUPS, _VERSION_2
        elif "memory" in controllers.split(","):
            root, files = _GROUPS / "memory", _VERSION_1
        else:
            continue
        # In a container the name may be that outside, and the root is the group itself.
        inside = root / name.strip("/")
        yield root, files
        for folder in (inside, *inside.parents):
            if folder == root or root not in folder.parents:
                break
            yield folder, files


def _reusable(folder: Path) -> int:
    try:
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    values = dict(line.split(maxsplit=1) for line in lines if " " in line)
    return int(values.get(f"total_{_REUSABLE}", values.get(_REUSABLE, "0")))


def _number(path: Path) -> int | None:
    """Read a number of bytes; None where there is none, such as "max"."""
    try:
        text = path.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None


def _left_in_process() -> Iterator[int]:
    """Iterate over what the limit of this process, as of ulimit -v, leaves."""
    try:
        import resource
    except ImportError:  # Windows has none
        return
    most, _ = resource.getrlimit(resource.RLIMIT_AS)
    if most != resource.RLIM_INFINITY:
        yield most - psutil.Process().memory_info().vms
