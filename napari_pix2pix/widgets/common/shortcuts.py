"""Keys of a viewer that the docks give a meaning; napari reads none from a manifest."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import ref

from napari_pix2pix.widgets.common.layer_choice import unwrapped

if TYPE_CHECKING:
    import napari.viewer

    from napari_pix2pix.widgets.apply.dock import ApplyDock

APPLY_LAST = "Control-Shift-A"
UNDO = "Control-Z"  # a Labels layer that is active has its own, which comes first


def bind_shortcuts(viewer: napari.viewer.Viewer, dock: ApplyDock) -> Callable[[], None]:
    """Let keys apply the last model to the active layer, and undo.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    dock : ApplyDock
        What the keys act on; it is not kept alive.

    Returns
    -------
    callable
        Gives the keys back, unless another dock has taken them.
    """
    known = ref(dock)

    def apply_last(_viewer: Any) -> None:
        """Apply the last pix2pix model to the active layer."""
        if (alive := known()) is not None:
            alive.apply_last()

    def undo(_viewer: Any) -> None:
        """Undo the last translation."""
        if (alive := known()) is not None:
            alive.undo()

    bound = {APPLY_LAST: apply_last, UNDO: undo}
    for key, function in bound.items():
        viewer.bind_key(key, function, overwrite=True)

    def unbind() -> None:
        for key, function in bound.items():
            taken = unwrapped(viewer.bind_key(key, None))
            if taken not in (None, function):
                viewer.bind_key(key, taken, overwrite=True)

    return unbind
