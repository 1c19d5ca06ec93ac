"""Between napari's layers and pairs: what a layer shows, and where it lies.

napari is imported inside functions only: without a viewer nothing here needs it.
"""

from napari_pix2pix.layers.output import (
    as_shown,
    made_layer,
    output_layer,
    result_layer,
    trained_look,
    verdict_layer,
    visible_region,
)
from napari_pix2pix.layers.pairing import (
    copied_pair,
    image_of,
    layers_in,
    mask_of,
    misplaced,
    pair_of,
    read_pair,
    read_pairs,
)
from napari_pix2pix.layers.place import Place, place_of
from napari_pix2pix.layers.records import KEY, answer_in, is_result_of, result_name, result_record
from napari_pix2pix.layers.snapshots import (
    Copy,
    Snapshot,
    as_trained,
    is_layer,
    planes_of,
    snapshot,
)

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
