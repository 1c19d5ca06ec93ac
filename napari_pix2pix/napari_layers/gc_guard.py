"""In which thread Python collects garbage while work goes on beside a window.

Python collects reference cycles in whichever thread happens to allocate. A Qt object among them is
then deleted in that thread, its timers stay with the GUI thread, and napari crashes when one of
them is next due. So the GUI thread alone collects while a thread of ours is at work.
"""

from __future__ import annotations

import gc

_holders = 0
_was_enabled = True
_settled = False


def hold() -> None:
    """Let no thread collect on its own until `release`; call it before a thread begins its work."""
    global _holders, _was_enabled
    if not _holders:
        _was_enabled = gc.isenabled()
    _holders += 1
    gc.disable()


def collect_due() -> None:
    """Collect what Python would have collected by now; call it in the GUI thread, now and then.

    Examples
    --------
    >>> hold()
    >>> collect_due()
    >>> release()
    """
    counts, limits = gc.get_count(), gc.get_threshold()
    due = [age for age in range(3) if 0 < limits[age] < counts[age]]
    if due:
        gc.collect(due[-1])


def settle() -> None:
    """Collect all, and leave what there is now out of later collections until `release`.

    Looking through all objects stalls a viewer for a tenth of a second.
    """
    global _settled
    gc.collect()
    gc.freeze()
    _settled = True


def release() -> None:
    """Let Python collect as before, when all that held it have released it."""
    global _holders, _settled
    _holders -= 1
    if _holders:
        return
    if _settled:  # and not what others have frozen
        gc.unfreeze()
        _settled = False
    if _was_enabled:
        gc.enable()
