"""The halo of a network, where its file does not say it: given by the user, or an overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.external._network import PlaneSizes, Sizes
from napari_pix2pix.external._steps import Step, measure_steps
from napari_pix2pix.inference.options import check_integer

_AROUND = 8  # windows of one size, whose halo is not known, overlap by this part of it


def with_halo(
    path: Path,
    sizes: Sizes,
    halo: int | None,
    before: Sequence[Step],
    after: Sequence[Step],
) -> tuple[Sizes, tuple[str, ...]]:
    """Return the sizes with a halo that the user gives, and what is to be known of tiles."""
    notes = []
    if halo is not None:
        if sizes.halo is not None:
            raise InputError(f"{path} says its halo ({sizes.halo}): leave halo out.")
        halo = check_integer("halo", halo, 0)
        if sizes.fixed and sizes.least <= 2 * halo:
            raise InputError(
                f"halo must be less than half of the window, got {halo} for windows of "
                f"{sizes.least} pixels."
            )
        sizes = replace(sizes, halo=halo)
    elif sizes.halo is None and sizes.fixed:
        sizes = replace(sizes, halo=sizes.least // _AROUND)
        notes.append(
            f"The network takes {sizes.least} x {sizes.least} pixels, and the file does not say on "
            f"how many around it a pixel depends: windows overlap by {sizes.halo} pixels on each "
            "side. Load it with another halo if seams are seen."
        )
    elif sizes.halo is None:
        notes.append(
            "The file does not say on how many pixels around it a pixel depends, so the network is "
            "given whole images. Load it with a halo for images that are too large."
        )
    if sizes.planes is not None:
        planes, note = _with_plane_halo(sizes.planes, halo)
        sizes = replace(sizes, planes=planes)
        notes += [note] if note else []
    if measure_steps(before):
        notes.append("Each frame is measured as a whole first: its intensities are scaled by it.")
    has_one_size = sizes.fixed or (sizes.planes is not None and sizes.planes.fixed)
    if measure_steps(after) and has_one_size:
        raise FileError(
            f"{path} can't be applied: it measures what comes out, and takes windows of one size."
        )
    return sizes, tuple(notes)


def _with_plane_halo(planes: PlaneSizes, halo: int | None) -> tuple[PlaneSizes, str]:
    """Return the numbers of planes with their halo, and what is to be known of it; "" if none."""
    if planes.halo is not None:
        return planes, ""
    if not planes.fixed:  # all planes are seen at once, unless the user gives a halo
        return replace(planes, halo=halo), ""
    # Half of the window may be less than what the user gives for all axes.
    around = planes.least // _AROUND if halo is None else min(halo, (planes.least - 1) // 2)
    return replace(planes, halo=around), (
        f"The network takes {planes.least} planes at a time: windows overlap by {around} of them "
        "above and below."
    )
