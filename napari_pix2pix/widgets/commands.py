"""Commands of napari's menus and palette, and the keys of the Apply dock."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol
from weakref import ref

from napari_pix2pix.widgets.common.layer_choice import unwrapped
from napari_pix2pix.widgets.common.settings import PLUGIN

if TYPE_CHECKING:
    import napari.viewer

_TITLE = "Pix2Pix"  # of the plugin, as in its manifest
APPLY_LAST = "Control-Shift-A"
UNDO = "Control-Z"  # an active Labels layer has a key of its own for it, which comes first


class HasShortcuts(Protocol):
    """What the keys act on."""

    def apply_last(self) -> None:
        """Apply the last model to the active layer."""

    def undo(self) -> None:
        """Undo the last run."""


def apply_last_model() -> None:
    """Apply the model that was trained or used last to the active layer of the viewer in front."""
    import napari
    from napari.utils.notifications import show_warning

    viewer = napari.current_viewer()
    if viewer is None:
        show_warning("There is no viewer with a layer to translate.")
        return
    open_dock(viewer, "Apply").apply_last()


def try_it() -> None:
    """Train on a sample in the viewer in front, apply the model and compare with the truth."""
    import napari

    viewer = napari.current_viewer()
    open_dock(napari.Viewer() if viewer is None else viewer, "Train").try_it()


def open_dock(viewer: napari.viewer.Viewer, name: str) -> Any:
    """Open a dock ("Train", "Apply", "Evaluate", "Compare"), or find the one that is open.

    napari's menus know a dock by the plugin's title, and `add_plugin_dock_widget` by its name: a
    dock is found by either, and opened as the menus do, so that there is one of each.
    """
    docked = viewer.window.dock_widgets
    names = [f"{name} ({title})" for title in (_TITLE, PLUGIN)]
    found = next((known for known in names if known in docked), None)
    if found is None:
        module = import_module(f"napari_pix2pix.widgets.{name.lower()}.dock")
        widget = getattr(module, f"{name}Dock")(viewer)
        viewer.window.add_dock_widget(widget, name=names[0], tabify=True)
    else:
        widget = unwrapped(docked[found])
    area = widget.parent()
    area.show()
    area.raise_()
    return widget


def bind_shortcuts(viewer: napari.viewer.Viewer, dock: HasShortcuts) -> Callable[[], None]:
    """Bind the keys of a dock, which napari reads from no manifest; return what releases them."""
    weak_dock = ref(dock)  # so that the keys don't keep the dock alive

    def apply_last(_viewer: Any) -> None:
        """Apply the last pix2pix model to the active layer."""
        if (alive := weak_dock()) is not None:
            alive.apply_last()

    def undo(_viewer: Any) -> None:
        """Undo the last translation."""
        if (alive := weak_dock()) is not None:
            alive.undo()

    bound = {APPLY_LAST: apply_last, UNDO: undo}
    for key, function in bound.items():
        viewer.bind_key(key, function, overwrite=True)

    def unbind() -> None:
        for key, function in bound.items():
            taken = unwrapped(viewer.bind_key(key, None))
            if taken not in (None, function):  # another dock has taken the key
                viewer.bind_key(key, taken, overwrite=True)

    return unbind
