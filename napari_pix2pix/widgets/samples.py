"""Sample data as napari's menu opens it: all of it in view, and its model in the docks' lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_pix2pix.errors import own_errors
from napari_pix2pix.napari_layers.samples import SAMPLES, LayerData, Sample, SampleName

if TYPE_CHECKING:
    import napari.viewer


def stain_nuclei() -> list[LayerData]:
    """Open a stained tissue (RGB, uint8) and the labels of its nuclei (uint16)."""
    return _open("stain_nuclei")


def phase_fluorescence() -> list[LayerData]:
    """Open phase contrast of cells and the fluorescence of their nuclei (both uint16)."""
    return _open("phase_fluorescence")


def open_sample(viewer: napari.viewer.Viewer, name: SampleName) -> Sample:
    """Open a sample in a viewer, unless its layers are open, and return their names."""
    from napari_pix2pix.widgets.common.settings import PLUGIN

    sample = SAMPLES[name]
    names = sample.train_source, sample.train_target, sample.unseen_source, sample.unseen_target
    if not all(layer in viewer.layers for layer in names):
        viewer.open_sample(PLUGIN, name)
    return sample


@own_errors()
def _open(name: SampleName) -> list[LayerData]:
    """Return what napari is about to add to the viewer in front."""
    import napari

    layers = SAMPLES[name].layers()
    _offer_model(SAMPLES[name])
    viewer = napari.current_viewer()
    if viewer is not None and not viewer.layers:
        _show_all(viewer, len(layers))
    return layers


def _offer_model(sample: Sample) -> None:
    """Offer the sample's model in the docks."""
    try:
        from napari_pix2pix.widgets.common.known_models import models
    except ImportError:  # a viewer's model without Qt has no docks
        return
    models().offer_file(sample.model)


def _show_all(viewer: napari.viewer.Viewer, count: int) -> None:
    """Show the whole sample once it is there: napari shows the first of its layers."""

    def on_inserted(_event: Any) -> None:
        if len(viewer.layers) >= count:
            viewer.layers.events.inserted.disconnect(on_inserted)
            viewer.reset_view()

    viewer.layers.events.inserted.connect(on_inserted)
