"""Draws from torch's generators that depend on given numbers alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

_CPU = torch.device("cpu")


@contextmanager
def seeded(*entropy: int, device: torch.device = _CPU) -> Iterator[None]:
    """Draw from torch's generators as seeded by ``entropy``, and leave them as they were.

    Parameters
    ----------
    *entropy : int
        The same numbers in the same order give the same draws.
    device : torch.device
        Where is drawn beside the CPU. Generators of other devices are not touched: each costs time
        at every step.
    """
    seed = int(np.random.SeedSequence(entropy).generate_state(1, np.uint64)[0] >> 1)
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.default_generator.manual_seed(seed)
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        elif device.type == "mps":
            torch.mps.manual_seed(seed)
        yield
