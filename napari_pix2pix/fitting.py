"""Train a translator: from pairs and a configuration to the thing that a user owns."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_pix2pix import __version__
from napari_pix2pix.console import Desk, keep_alive
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.formats.container import read_container, write_container
from napari_pix2pix.layers import read_pair, read_pairs
from napari_pix2pix.metrics.headline import headline
from napari_pix2pix.pairs.pair import Pair
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.control import Control, interrupt_stops
from napari_pix2pix.training.data import TrainingData, prepare
from napari_pix2pix.training.events import Event, Region, Step
from napari_pix2pix.training.loop import TrainingLoop, build_state, make_fabric
from napari_pix2pix.training.start import Start, origin_of
from napari_pix2pix.training.state import TrainingState
from napari_pix2pix.translation.devices import choose_device, out_of_memory_in_words
from napari_pix2pix.translator import Translator, load

# Fields that may differ between a run and its continuation.
_RESUMABLE = {
    "epochs",
    "steps",
    "max_seconds",
    "default_epochs",
    "device",
    "precision",
    "compile",
    "checkpoint_seconds",
    "keep",
}


def train(
    source: Any,
    target: Any,
    *,
    condition: Hashable | Sequence[Hashable] = None,
    mask: Any = None,
    source_kind: str = "auto",
    target_kind: str = "auto",
    channel_axis: int | None = None,
    z_context: int | None = None,
    preset: str | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    max_seconds: float | None = None,
    seed: int = 0,
    device: str = "auto",
    validation: float | Sequence[Pair] = 0.2,
    checkpoint: str | Path | None = None,
    resume: bool | str | Path | None = None,
    start: Translator | str | Path | None = None,
    callback: Callable[[Event], bool | None] | None = None,
    **fields: Any,
) -> Translator:
    """Learn the translation from ``source`` to ``target``.

    Parameters
    ----------
    source, target : array_like, napari layer, or list of them
        One image of each, or lists of the same length. (H, W), (H, W, 3) for RGB, or with a
        ``channel_axis``; leading axes are frames; numpy, dask or zarr, read by patch. A tuple of
        arrays or layers is one image whose channels they are. A source of None trains a model
        that makes images of noise and condition alone, see `Translator.sample`.
    condition : hashable or list of hashable, optional
        What tells pairs apart that the source does not (stain, marker); one per pair.
    mask : array_like of bool, Labels or Shapes layer, or list, optional
        Train inside only; one per pair.
    source_kind, target_kind : {"auto", "image", "classes", "instances"}
        What the values mean.
    channel_axis : int, optional
        Axis of the channels, in sources and targets that have more axes than (H, W).
    z_context : int, optional
        Neighbouring planes on each side that the generator sees too; none when not given.
    preset : {"light", "reference", "paper"}, optional
        Set of defaults, see `TrainConfig`; ``light`` when not given.
    epochs, steps, max_seconds : number, optional
        Budget; the first that is reached counts. Without any: the preset's epochs.
        ``max_seconds`` bounds the whole call.
    seed : int
        Seed of every random draw.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``mps``.
    validation : float or list of Pair
        Fraction to hold out, or pairs of their own; 0 for none.
    checkpoint : path-like, optional
        File that a killed run goes on from, written every ``checkpoint_seconds``.
    resume : bool or path-like, optional
        True goes on from ``checkpoint`` if it is there, a path from that file; False begins anew
        over an old checkpoint, None refuses to.
    start : Translator or path-like, optional
        A model to begin from, on the same or new pairs. Its intensities, conditions, networks and
        weights are kept, and any field that is not given is taken from it; optimizers, split,
        budget and history begin anew.
    callback : callable, optional
        Called with each `Event`, in the thread that called `train`; returning True stops the
        training and keeps the model. Ctrl+C does the same.
    **fields
        Any other field of `TrainConfig`.

    Returns
    -------
    Translator
        The model, also when it was stopped.

    Raises
    ------
    InputError, ConfigError, FileError, DeviceError
        Before any work starts where that can be known; each a sentence that says what to do.

    Notes
    -----
    Layers are read as they are when `train` is called. Called where a viewer lives, it waits for
    the model while the viewer stays alive; Cancel in napari's activity dock stops it like Ctrl+C.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> translator = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
    >>> translator(image).shape
    (96, 96)
    """
    began = time.perf_counter()
    held_out = _held_out(validation)
    optional = {"preset": preset, "z_context": z_context}
    fields |= {name: value for name, value in optional.items() if value is not None}
    config = TrainConfig(
        epochs=epochs,
        steps=steps,
        max_seconds=max_seconds,
        seed=seed,
        device=device,
        source_kind=source_kind,
        target_kind=target_kind,
        validation=validation if held_out is None else 0.0,
        **fields,
    )
    pairs = read_pairs(source, target, condition=condition, mask=mask, channel_axis=channel_axis)
    control = Control()
    events = training_events(
        pairs,
        config,
        held_out=held_out,
        checkpoint=checkpoint,
        resume=resume,
        start=start,
        control=control,
        began=began,
    )

    def drain(desk: Desk) -> Translator:
        with interrupt_stops(control):
            while True:
                try:
                    event = next(events)
                except StopIteration as stop:
                    return stop.value
                if isinstance(event, Step):
                    words = f"epoch {event.epoch}, {event.seconds_left:.0f} s left"
                    desk.show(event.progress, words)
                if callback is not None and desk.call(partial(callback, event)):
                    control.stop()

    return keep_alive(drain, title="Training", stop=control.stop)


def training_events(
    pairs: Sequence[Pair],
    config: TrainConfig,
    *,
    held_out: Sequence[Pair] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool | str | Path | None = None,
    start: Translator | str | Path | None = None,
    control: Control | None = None,
    began: float | None = None,
    preview: Region | None = None,
) -> Generator[Event, None, Translator]:
    """Train step by step: a generator of events whose return value is the model.

    Parameters
    ----------
    pairs : sequence of Pair
        The training set.
    config : TrainConfig
        Everything else.
    held_out : sequence of Pair, optional
        Pairs to validate on.
    checkpoint, resume, start
        As in `train`.
    control : Control, optional
        Pauses, resumes and stops the run from another thread.
    began : float, optional
        `time.perf_counter` at which the budget in seconds began; now when not given.
    preview : Region, optional
        What `Preview` events show; a part that is held out when not given.

    Yields
    ------
    Event
        See `napari_pix2pix.training.events`.

    Returns
    -------
    Translator
        The model, also when it was stopped.
    """
    began = time.perf_counter() if began is None else began
    path, old = _checkpoint_paths(checkpoint, resume)
    before = None if old is None else _read_checkpoint(old)
    model = _find_start(start, before)
    if model is not None:
        config = model.fill(config)
    config = config.with_default_budget(None if before is None else before.config)
    device = choose_device(config.device)
    with out_of_memory_in_words("training", "Lower batch, patch or width, or train on the CPU."):
        sampled = None if before is None else before.header.get("sampled_blocks")
        data = prepare(pairs, config, held_out=held_out, start=model, sampled=sampled)
        config = data.config
        state = build_state(config, data, device)
        if before is not None:
            _go_on(state, data, before)
        loop = TrainingLoop(
            state,
            data,
            make_fabric(config, device),
            control=control or Control(),
            seconds_before=time.perf_counter() - began,
            save=None if path is None else lambda state: _write_checkpoint(path, state, data),
            preview=preview,
        )
        yield from loop
    return Translator(_on_cpu(state.model_tensors()), _header(state, data))


def _held_out(validation: Any) -> list[Pair] | None:
    """Return the pairs given for validation; None where a fraction was given."""
    if isinstance(validation, Real):
        return None
    if (
        isinstance(validation, list | tuple)
        and validation
        and all(isinstance(pair, Pair) for pair in validation)
    ):
        return [read_pair(pair) for pair in validation]
    raise InputError(
        f"validation must be a fraction from 0 to below 1 or a list of Pair, got {validation!r}."
    )


def _checkpoint_paths(
    checkpoint: str | Path | None, resume: bool | str | Path | None
) -> tuple[Path | None, Path | None]:
    """Return the file to write checkpoints to and the one to go on from."""
    old = Path(resume) if isinstance(resume, str | Path) else None
    path = old if checkpoint is None else Path(checkpoint)
    if path is None:
        if resume:
            raise InputError("resume=True needs checkpoint: say which file to go on from.")
        return None, None
    _check_writable(path)
    if path.exists() and path != old and not isinstance(resume, bool):
        raise FileError(
            f"The checkpoint {path} of an earlier run exists: resume it, or say that it may be "
            "written over (resume=False, --overwrite)."
        )
    if resume is True and path.exists():
        old = path
    return path, old


def _check_writable(path: Path) -> None:
    if not path.parent.is_dir():
        raise FileError(f"There is no folder {path.parent} for the checkpoint: create it first.")
    if path.is_dir():
        raise FileError(f"The checkpoint {path} is a folder: give the name of a file.")
    if not os.access(path.parent, os.W_OK):
        raise FileError(
            f"There is no permission to write the checkpoint to {path.parent}: choose another "
            "folder."
        )


@dataclass(frozen=True)
class _Checkpoint:
    """What a checkpoint holds."""

    path: Path
    tensors: Mapping[str, torch.Tensor]
    header: Mapping[str, Any]
    config: TrainConfig


def _read_checkpoint(path: Path) -> _Checkpoint:
    tensors, header = read_container(path)
    if "counters" not in header:
        raise FileError(f"{path} is a model and not a checkpoint: give the checkpoint's file.")
    return _Checkpoint(path, tensors, header, TrainConfig(**header["config"]))


def _find_start(start: Translator | str | Path | None, before: _Checkpoint | None) -> Start | None:
    """Open the model to begin from; a run that is resumed remembers its own."""
    model = None if start is None else open_start(start)
    if before is None:
        return model
    remembered = before.header.get("started_from")
    if model is not None and model.origin != remembered:
        raise InputError(
            f"The checkpoint {before.path} did not begin from the model that start names: give the "
            "one that it began from, leave start out, or begin anew."
        )
    return None if remembered is None else open_start(before.path).remembered_as(remembered)


def open_start(start: Translator | str | Path) -> Start:
    """Open the model that a training is to begin from.

    Raises
    ------
    FileError
        When there is no such file or it can't be read.
    """
    model = start if isinstance(start, Translator) else load(start)
    return Start(
        model.tensors,
        model.config,
        model.source_codec,
        model.target_codec,
        model.conditions,
        model.trivial,
        origin_of(model.tensors, summary=model.summary, steps=model.steps),
    )


def _go_on(state: TrainingState, data: TrainingData, before: _Checkpoint) -> None:
    """Load a checkpoint into a fresh state, if it is one of the same run."""
    if before.header["fingerprint"] != data.fingerprint:
        raise InputError(
            f"The checkpoint {before.path} was made on other pairs or another split: give the same "
            "ones, or begin anew."
        )
    old = before.config.model_dump(exclude=_RESUMABLE)
    for name, value in state.config.model_dump(exclude=_RESUMABLE).items():
        if old[name] != value:
            raise InputError(
                f"The checkpoint {before.path} was made with {name}={old[name]!r}, got {value!r}: "
                "give the same, or begin anew."
            )
    state.load(before.tensors, before.header["counters"])


def _write_checkpoint(path: Path, state: TrainingState, data: TrainingData) -> str:
    header = _header(state, data) | {"counters": state.counters()}
    write_container(path, state.tensors(), header)
    return str(path)


def _header(state: TrainingState, data: TrainingData) -> dict[str, Any]:
    """All of a model that is not a tensor."""
    return {
        "config": state.config.model_dump(mode="json"),
        "source_codec": data.source_codec.to_dict(),
        "target_codec": data.target_codec.to_dict(),
        "conditions": list(data.conditions),
        "trivial_map": data.trivial.to_dict(),
        "scores": _scores(state, data),
        "history": state.history,
        "summary": data.summary,
        "notes": list(data.notes),
        "step": state.step,
        "seconds": state.seconds,
        "intensities": {
            side: known.to_dict()
            for side, known in zip(("source", "target"), data.intensities, strict=True)
        },
        "sampled_blocks": list(data.sampled),
        "fingerprint": data.fingerprint,
        "started_from": None if data.start is None else dict(data.start.origin),
        "versions": {
            "napari-pix2pix": __version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
        },
    }


def _scores(state: TrainingState, data: TrainingData) -> dict[str, dict[str, float]]:
    """Scores of the weights that are applied, beside the trivial map's."""
    validated = [record["validation"] for record in state.history if "validation" in record]
    if not validated or data.validation is None:
        return {}
    prediction = validated[-1]
    if state.config.keep == "best":
        # As TrainingState.keep_best has it: NaN, of a constant prediction, is never the best.
        known = [scores for scores in validated if not math.isnan(headline(scores)[1])]
        prediction = max(known or validated[-1:], key=lambda scores: headline(scores)[1])
    return {"prediction": prediction, "trivial": data.validation.trivial}


def _on_cpu(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
