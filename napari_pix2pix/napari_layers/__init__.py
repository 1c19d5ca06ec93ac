"""Between napari's layers and pairs: what a layer shows, and where it lies.

napari is imported inside functions only: without a viewer nothing here needs it.
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
    Snapshot,
    as_trained,
    is_layer,
    planes_of,
    snapshot,
)
from napari_pix2pix.napari_layers.transforms import LayerTransform, transform_of

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
