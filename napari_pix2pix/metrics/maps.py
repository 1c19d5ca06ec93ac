"""The best trivial map for each kind of target: what any network has to beat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from napari_pix2pix.metrics.discriminant import ClassMap
from napari_pix2pix.metrics.otsu import OtsuMap
from napari_pix2pix.metrics.trivial import LinearMap

TrivialMap: TypeAlias = LinearMap | OtsuMap | ClassMap
Triple: TypeAlias = tuple[np.ndarray, np.ndarray, np.ndarray]


def fit_trivial(
    triples: Sequence[Triple],
    *,
    kind: Literal["image", "classes", "instances"],
    rgb: bool = False,
    smallest: int = 1,
) -> TrivialMap:
    """Fit the best trivial map on training pixels.

    Parameters
    ----------
    triples : sequence of (source, target, valid)
        (C, h, w), (K, h, w), and bool (1 or K, h, w).
    kind : {"image", "classes", "instances"}
        Of the target: a least-squares fit for intensities; Otsu for instances and for two classes;
        linear discriminants for more.
    rgb : bool
        Whether the source is RGB, so that haematoxylin is tried too.
    smallest : int
        Smaller objects are dropped, as the network's are.
    """
    if kind == "image":
        return LinearMap.fit(triples)
    if kind == "classes" and len({value for _, t, v in triples for value in np.unique(t[v])}) > 2:
        return ClassMap.fit(triples)
    return OtsuMap.fit(triples, kind=kind, rgb=rgb, smallest=smallest)


@dataclass(frozen=True)
class TrivialMaps:
    """The best trivial map of each condition; of the only one, where a model has none.

    Attributes
    ----------
    maps : tuple of TrivialMap
        In the order of the model's conditions; empty where nothing was fitted.
    """

    maps: tuple[TrivialMap, ...]

    def predict(self, source: np.ndarray, condition: int = 0) -> np.ndarray:
        """Predict (K, H, W) from a source (C, H, W) under a condition's index."""
        return self.maps[condition].predict(source)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        return {"maps": [one.to_dict() for one in self.maps]}

    @classmethod
    def from_dict(cls, parts: Mapping[str, Any]) -> TrivialMaps:
        """Build the maps whose `to_dict` returned ``parts``."""
        return cls(tuple(_map_from_dict(one) for one in parts["maps"]))


def _map_from_dict(parts: Mapping[str, Any]) -> TrivialMap:
    match parts.get("map"):
        case "otsu":
            return OtsuMap.from_dict(parts)
        case "classes":
            return ClassMap.from_dict(parts)
    return LinearMap.from_dict(parts)
