"""The work of a training, as a `Runner` does it in its thread."""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_pix2pix.errors import StoppedError
from napari_pix2pix.layers import copied_pair
from napari_pix2pix.pairs.pair import Pair
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.control import Control
from napari_pix2pix.training.events import Event, Region
from napari_pix2pix.widgets.runner import Work

if TYPE_CHECKING:
    from napari_pix2pix.translator import Translator


def training_work(
    pairs: Sequence[Pair],
    config: TrainConfig,
    *,
    checkpoint: Path | None,
    resume: bool | None = None,
    start: Any = None,
    preview: Region | None = None,
) -> Work:
    """Return what trains on pairs; parameters are those of `fitting.training_events`.

    The result is a `Translator`, or None where it was stopped while the pairs were being read.

    Parameters
    ----------
    start : Translator or path-like, optional
        The model to begin with; a new one when not given.
    """

    def work(control: Control) -> Generator[Event, None, Translator | None]:
        # torch comes with it: only a thread may wait for that.
        from napari_pix2pix.fitting import training_events

        given = {} if start is None else {"start": start}
        try:
            events = training_events(
                [copied_pair(pair) for pair in pairs],
                config,
                checkpoint=checkpoint,
                resume=resume,
                control=control,
                preview=preview,
                preview_first=True,
                **given,
            )
            # Until the dock has shown what there is by now: a new layer takes the viewer a fifth of
            # a second, and twice that beside a training.
            control.pause()
            return (yield from events)
        except StoppedError:
            return None
        except BaseException as error:
            traceback.clear_frames(error.__traceback__)  # they hold the tensors
            raise

    return work


def release_memory() -> None:
    """Give back the memory of a run that has ended, also what PyTorch keeps of a device's.

    Call it in the GUI thread: see `garbage`.
    """
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
