"""Restrict garbage collection to the GUI thread while workers run.

Python collects reference cycles in whichever thread allocates. A Qt object that is deleted there
leaves its timers to the GUI thread, and napari crashes when the next of them fires.
"""

from __future__ import annotations

import gc

_holders = 0
_was_enabled = True
_frozen = False


def hold() -> None:
    """Turn automatic collection off until `release`; call it before a worker starts."""
    global _holders, _was_enabled
    if not _holders:
        _was_enabled = gc.isenabled()
    _holders += 1
    gc.disable()


def collect_due() -> None:
    """Collect what Python would have collected by now; call it regularly in the GUI thread.

    >>> hold()
    >>> collect_due()
    >>> release()
    """
    counts, limits = gc.get_count(), gc.get_threshold()
    due = [age for age in range(3) if 0 < limits[age] < counts[age]]
    if due:
        gc.collect(due[-1])


def freeze() -> None:
    """Exclude all objects of now from collections until `release`; in any thread."""
    global _frozen
    # A collection that visits all objects stops a viewer for some tenths of a second, so there is
    # none here either: what is garbage by now waits for the release.
    gc.freeze()
    _frozen = True


def release() -> None:
    """Turn automatic collection on again, if all holders have released it; in the GUI thread.

    What has become garbage since `freeze` is collected.
    """
    global _holders, _frozen
    _holders -= 1
    if _holders:
        return
    if _frozen:  # otherwise others' frozen objects would be unfrozen too
        gc.collect()
        gc.unfreeze()
        _frozen = False
    if _was_enabled:
        gc.enable()
