"""The result of a model that docks look at first, with its source and what may be its truth."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_pix2pix.napari_layers import KEY, MAP, is_of_spread, layers_of_result
from napari_pix2pix.widgets.common.layer_choice import is_image, unwrapped
from napari_pix2pix.widgets.common.layer_order import overlap

if TYPE_CHECKING:
    from napari.layers import Layer


@dataclass(frozen=True)
class LastResult:
    """Layers of a result, each a channel or one with all; its first source, and its truth."""

    predictions: tuple[Layer, ...]
    source: Layer | None
    truths: tuple[Layer, ...]  # one for each prediction, or none


def find_last_result(layers: Iterable[Any], among: Sequence[Any] = ()) -> LastResult | None:
    """Find the uppermost result, or that of `among`; None without any.

    The truth of a layer is of its kind and lies at its place. It is the one with the name that the
    model has for the channel, or else the uppermost, of one layer: of several, names must tell.
    """
    images = [layer for layer in map(unwrapped, layers) if is_image(layer)]
    made = [layer for layer in reversed(images) if KEY in layer.metadata]
    made = [layer for layer in made if not is_of_spread(layer.metadata[KEY])]
    meant = [layer for layer in made if layer in list(map(unwrapped, among))] or made
    if not meant:
        return None
    record = meant[0].metadata[KEY]
    predictions = layers_of_result(made, meant[0])
    source = next((one for one in images if str(one.unique_id) == record.get("source_id")), None)
    inputs = str(record.get("source", "")).split(" + ")  # of several sources, the id tells one
    others = [one for one in reversed(images) if not {KEY, MAP} & one.metadata.keys()]
    others = [one for one in others if one is not source and one.name not in inputs]
    truths = [_truth_of(layer, others, by_name=len(predictions) > 1) for layer in predictions]
    found = [layer for layer in truths if layer is not None]
    complete = len(found) == len(predictions)
    return LastResult(tuple(predictions), source, tuple(found) if complete else ())


def _truth_of(prediction: Layer, others: Sequence[Layer], *, by_name: bool) -> Layer | None:
    alike = [layer for layer in others if _are_alike(layer, prediction)]
    names = prediction.metadata[KEY].get("channel_names", [])
    named = [layer for layer in alike if [layer.name] == list(names)]
    return next(iter(named if by_name else [*named, *alike]), None)


def _are_alike(layer: Layer, prediction: Layer) -> bool:
    return (
        type(layer) is type(prediction)
        and layer.ndim == prediction.ndim
        and overlap(layer, prediction)
    )
