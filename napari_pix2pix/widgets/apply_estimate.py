"""How long applying will take and how much memory, from what is known so far."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from napari_pix2pix.pairs.codecs import Codec
from napari_pix2pix.pairs.planes import Planes
from napari_pix2pix.widgets.apply_card import Card
from napari_pix2pix.widgets.apply_work import Job, Speed, tile_side
from napari_pix2pix.widgets.pace import in_time_units

_ENCODING = 0.3  # of the work, about, and what is done on the halo too


def estimate(
    card: Card,
    jobs: Sequence[Job],
    planes: Sequence[Planes],
    *,
    measured: float | None,
    trial: Speed | None,
    whole: bool,
    samples: int = 1,
) -> str:
    """Say what a run will cost.

    Parameters
    ----------
    card : Card
    jobs : sequence of Job
    planes : sequence of Planes
        The jobs' images.
    measured : float, optional
        Pixels per second of the last run.
    trial : Speed, optional
        What a trial told; its pixels are those of windows.
    whole : bool
        Whether images go through the network as a whole.
    samples : int
        How often they do; of several, mean and deviation are kept as float32.

    Returns
    -------
    str
        Such as "4.2 Mpx, about 12 s; results 8.4 MB, network about 600 MB."
    """
    pairs = list(zip(jobs, planes, strict=True))
    pixels = sum(
        len(job.frames) * (job.region.pixels if job.region else one.height * one.width)
        for job, one in pairs
    )
    results = sum(
        one.frames * one.height * one.width * _bytes_per_pixel(card.makes(one.dtype), samples)
        for one in planes
    )
    said = f"{pixels / 1e6:.2g} Mpx" if pixels < 1e7 else f"{pixels / 1e6:.0f} Mpx"
    if measured is None and trial is not None:
        kept, window = _tile(trial)
        cost = 1 + _ENCODING * (window / kept - 1)
        measured = trial.pixels_per_second / (1 if whole else cost)
    if measured:
        said += f", about {in_time_units(samples * pixels / measured)}"
    said += f"; results {in_bytes(results)}"
    if trial is not None:
        most = max(one.height * one.width for one in planes)
        window = most if whole else min(most, _tile(trial)[1])
        said += f", network about {in_bytes(window * trial.bytes_per_pixel)}"
    return f"{said}."


def in_bytes(count: float) -> str:
    """Say a size in memory.

    Examples
    --------
    >>> in_bytes(3_400_000), in_bytes(2.5e9)
    ('3.4 MB', '2.5 GB')
    """
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.1f} MB" if count < 1e7 else f"{count / 1e6:.0f} MB"


def _bytes_per_pixel(codec: Codec, samples: int) -> int:
    return codec.channels * (np.dtype(codec.dtype).itemsize if samples == 1 else 8)


def _tile(trial: Speed) -> tuple[int, int]:
    """Return the pixels of a tile, and of the window that it is computed from."""
    side = tile_side(trial.translator)
    return side**2, (side + 2 * trial.translator.generator.halo) ** 2
