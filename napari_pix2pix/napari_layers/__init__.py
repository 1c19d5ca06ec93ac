"""Between napari's layers and pairs: what a layer shows, and where it lies.

napari is imported inside functions only: without a viewer nothing here needs it.
"""

from napari_pix2pix.napari_layers.pairs import (
    copied_pair,
    image_of,
    layers_in,
    mask_of,
    misplaced,
    pair_of,
    read_pair,
    read_pairs,
)
from napari_pix2pix.napari_layers.results import (
    KEY,
    answer_in,
    as_shown,
    is_result_of,
    made_layer,
    output_layer,
    result_layer,
    result_name,
    result_record,
    trained_look,
    verdict_layer,
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
from napari_pix2pix.napari_layers.transforms import Place, place_of

__all__ = [
    "KEY",
    "Copy",
    "Place",
    "Snapshot",
    "answer_in",
    "as_shown",
    "as_trained",
    "copied_pair",
    "image_of",
    "is_layer",
    "is_result_of",
    "layers_in",
    "made_layer",
    "mask_of",
    "misplaced",
    "output_layer",
    "pair_of",
    "place_of",
    "planes_of",
    "read_pair",
    "read_pairs",
    "result_layer",
    "result_name",
    "result_record",
    "snapshot",
    "trained_look",
    "verdict_layer",
    "visible_region",
]
