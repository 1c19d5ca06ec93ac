"""Pairs from napari layers, results as layers, and work that keeps the viewer responsive.

napari is imported inside functions only, so that scripts without a viewer do not load it.
"""

from napari_pix2pix.napari_layers.pairs import (
    copied_pair,
    image_of,
    mask_of,
    pair_of,
    read_pair,
    read_pairs,
    transforms_differ,
)
from napari_pix2pix.napari_layers.results import (
    difference_layer,
    discriminator_layer,
    generated_layer,
    is_result_of,
    output_layer,
    result_key,
    result_layer,
    result_name,
    result_record,
    shown_like,
    to_layer_data,
    unlikeness_layer,
    visible_region,
)
from napari_pix2pix.napari_layers.snapshots import (
    KEY,
    MAP,
    CopyMode,
    LayerTransform,
    Snapshot,
    lazy_image_of_layers,
    snapshot,
    transform_of,
    with_model_channels,
)

__all__ = [
    "KEY",
    "MAP",
    "CopyMode",
    "LayerTransform",
    "Snapshot",
    "copied_pair",
    "difference_layer",
    "discriminator_layer",
    "generated_layer",
    "image_of",
    "is_result_of",
    "lazy_image_of_layers",
    "mask_of",
    "output_layer",
    "pair_of",
    "read_pair",
    "read_pairs",
    "result_key",
    "result_layer",
    "result_name",
    "result_record",
    "shown_like",
    "snapshot",
    "to_layer_data",
    "transform_of",
    "transforms_differ",
    "unlikeness_layer",
    "visible_region",
    "with_model_channels",
]
