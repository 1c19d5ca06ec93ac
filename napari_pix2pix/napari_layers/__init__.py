"""Pairs from napari layers, results as layers, and work that keeps the viewer responsive.

napari is imported inside functions only, so that scripts without a viewer do not load it.
"""

from napari_pix2pix.napari_layers.pairs import (
    copied_pair,
    image_of,
    layers_in,
    mask_of,
    pair_of,
    read_pair,
    read_pairs,
    transforms_differ,
)
from napari_pix2pix.napari_layers.results import (
    KEY,
    answer_in,
    as_shown,
    discriminator_layer,
    is_result_of,
    made_layer,
    output_layer,
    result_layer,
    result_name,
    result_record,
    trained_look,
    visible_region,
)
from napari_pix2pix.napari_layers.snapshots import (
    Copy,
    LayerTransform,
    Snapshot,
    as_trained,
    is_layer,
    planes_of,
    snapshot,
    transform_of,
)

__all__ = [
    "KEY",
    "Copy",
    "LayerTransform",
    "Snapshot",
    "answer_in",
    "as_shown",
    "as_trained",
    "copied_pair",
    "discriminator_layer",
    "image_of",
    "is_layer",
    "is_result_of",
    "layers_in",
    "made_layer",
    "mask_of",
    "output_layer",
    "pair_of",
    "planes_of",
    "read_pair",
    "read_pairs",
    "result_layer",
    "result_name",
    "result_record",
    "snapshot",
    "trained_look",
    "transform_of",
    "transforms_differ",
    "visible_region",
]
