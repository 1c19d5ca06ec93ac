"""The layers of a pair, which an interrupted run finds again by their names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import CopyMode, pair_of
from napari_pix2pix.widgets.common.layer_choice import unwrapped
from napari_pix2pix.widgets.runs.records import LayerNames

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_pix2pix.data.pair import Pair


@dataclass(frozen=True, eq=False)
class PairChoice:
    """The layers of one pair; several sources or targets are channels of one image."""

    sources: tuple[Layer, ...]
    targets: tuple[Layer, ...]
    mask: Layer | None = None
    condition: str | None = None
    held_out: bool = False  # the run is validated on it

    @property
    def layers(self) -> tuple[Layer, ...]:
        """All layers of the pair."""
        return (*self.sources, *self.targets, *([] if self.mask is None else [self.mask]))

    def names(self) -> LayerNames:
        """Return the names of the layers, for `named`."""
        return LayerNames(
            sources=[layer.name for layer in self.sources],
            targets=[layer.name for layer in self.targets],
            mask=None if self.mask is None else self.mask.name,
            condition=self.condition,
            held_out=self.held_out,
        )

    @classmethod
    def named(cls, names: LayerNames, layers: Iterable[Layer]) -> PairChoice:
        """Find layers by their names; raises `InputError` if some are missing."""
        by_name = {layer.name: unwrapped(layer) for layer in layers}
        masks = [] if names.mask is None else [names.mask]
        missing = [name for name in (*names.sources, *names.targets, *masks) if name not in by_name]
        if missing:
            raise InputError(f"To resume, open these layers first: {', '.join(missing)}.")
        return cls(
            tuple(by_name[name] for name in names.sources),
            tuple(by_name[name] for name in names.targets),
            None if names.mask is None else by_name[names.mask],
            names.condition,
            names.held_out,
        )

    def pair(self, *, copy: CopyMode, with_source: bool = True) -> Pair:
        """Open the layers as a pair; raises `InputError` if they can't be one."""
        for side, layers in (("source", self.sources), ("target", self.targets)):
            if not layers and (with_source or side == "target"):
                raise InputError(f"Choose a layer as {side}.")
        return pair_of(
            self.sources, self.targets, mask=self.mask, condition=self.condition, copy=copy
        )
