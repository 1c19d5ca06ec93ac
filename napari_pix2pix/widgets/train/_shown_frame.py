"""Which frame of a layer the viewer shows, and how it is named to be held out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_pix2pix.napari_layers import snapshot
from napari_pix2pix.widgets.train._pair_choice import PairChoice

if TYPE_CHECKING:
    import napari.viewer
    from napari.layers import Layer


def shown_frame(
    viewer: napari.viewer.Viewer,
    layer: Layer,
    channel_axis: int | None,
    frame_shape: tuple[int, ...],
) -> list[int]:
    """Return the indices of the frame that the viewer shows of a layer."""
    position = list(layer.world_to_data(viewer.dims.point[-layer.ndim :]))
    if channel_axis is not None:
        del position[channel_axis]
    return [
        int(np.clip(round(at), 0, length - 1))
        for at, length in zip(position[: len(frame_shape)], frame_shape, strict=True)
    ]


def with_shown_frame(
    hold_out: str, viewer: napari.viewer.Viewer, rows: Sequence[PairChoice], index: int
) -> str:
    """Add the frame that is shown of a pair, by its row, to ``hold_out`` of `TrainConfig`.

    Raises `InputError` if the layers can't be a pair.
    """
    row = rows[index]
    pair = row.pair(copy=False, with_source=bool(row.sources))
    layer = (row.sources or row.targets)[0]
    channel_axis = snapshot(layer, copy=False).channel_axis
    frame = shown_frame(viewer, layer, channel_axis, pair.target.frame_shape)
    if not frame or row.held_out:
        return hold_out
    trained_on = [number for number, one in enumerate(rows) if not one.held_out]
    part = str(frame[0])
    if len(trained_on) > 1:
        # A comma would end the name.
        name = str(trained_on.index(index)) if "," in pair.name else pair.name
        part = f"{name}: {part}"
    parts = [one.strip() for one in hold_out.split(",") if one.strip()]
    return ", ".join(dict.fromkeys([*parts, part]))
