"""Commands of napari's menus and palette."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pix2pix.widgets.common.settings import PLUGIN

if TYPE_CHECKING:
    import napari.viewer


def apply_last_model() -> None:
    """Apply the model that was trained or used last to the active layer of the viewer in front."""
    import napari
    from napari.utils.notifications import show_warning

    viewer = napari.current_viewer()
    if viewer is None:
        show_warning("There is no viewer with a layer to translate.")
        return
    open_dock(viewer, "Apply").apply_last()


def open_dock(viewer: napari.viewer.Viewer, name: str) -> Any:
    """Open one of the docks ("Train", "Apply", "Evaluate"), or find the one that is open."""
    area, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name, tabify=True)
    area.show()
    area.raise_()
    return widget
