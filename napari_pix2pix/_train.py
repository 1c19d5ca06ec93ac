"""Train a translator: from pairs and a configuration to the thing that a user owns."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

import torch

from napari_pix2pix._load import load
from napari_pix2pix.data.interruption import stops_when
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.devices import choose_device, out_of_memory_in_words
from napari_pix2pix.napari_layers import read_pair, read_pairs
from napari_pix2pix.napari_layers.keep_responsive import ProgressReporter, run_responsive
from napari_pix2pix.training.checkpoints import (
    Checkpoint,
    checkpoint_paths,
    describe_model,
    read_checkpoint,
    resume_run,
    write_checkpoint,
)
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.control import Control, interrupt_stops
from napari_pix2pix.training.dataset import prepare
from napari_pix2pix.training.distributed import (
    broadcast_from_rank0,
    check_same_on_all_ranks,
    join,
    make_fabric,
    prepare_same_on_all_ranks,
)
from napari_pix2pix.training.events import Event, Health, Prepared, Region, Step
from napari_pix2pix.training.fine_tuning import Pretrained
from napari_pix2pix.training.loop import TrainingLoop, build_state
from napari_pix2pix.training.thumbnail import make_thumbnail
from napari_pix2pix.translator import Translator


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
    StoppedError
        When it was stopped while the images were still being read.

    Warns
    -----
    UserWarning
        What looks wrong with the pairs: a shift, values that are cut off or not finite, data held
        out that is trained on too ... And what goes wrong while training: losses that are not
        finite, an output that is constant, scores below those of the baseline ... With a
        callback, `Prepared` and `Health` events say so instead. A class that nothing read before
        training held is warned of in any case.

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

    def drain(desk: ProgressReporter) -> Translator:
        with interrupt_stops(control):
            while True:
                try:
                    event = next(events)
                except StopIteration as stop:
                    return stop.value
                if isinstance(event, Step):
                    words = f"epoch {event.epoch}, {event.seconds_left:.0f} s left"
                    desk.show(event.progress, words)
                if callback is None:
                    for sentence in _what_looks_wrong(event):
                        warnings.warn(sentence, UserWarning, stacklevel=2)
                if callback is not None and desk.call(partial(callback, event)):
                    control.stop()

    return run_responsive(drain, title="Training", stop=control.stop)


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
    preview_first: bool = False,
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
    preview_first : bool
        Whether the `Prepared` event shows it too, as the networks begin.

    Yields
    ------
    Event
        See `napari_pix2pix.training.events`.

    Returns
    -------
    Translator
        The model, also when it was stopped.

    Raises
    ------
    StoppedError
        When it was stopped while the pairs were still being read.
    """
    began = time.perf_counter() if began is None else began
    path, old = checkpoint_paths(checkpoint, resume)
    before = None if old is None else read_checkpoint(old)
    model = _find_start(start, before)
    if model is not None:
        config = model.fill(config)
    config = config.with_default_budget(None if before is None else before.info.config)
    fabric = make_fabric(config, choose_device(config.device))
    join(fabric, config)
    steps = 0 if before is None else before.info.steps
    check_same_on_all_ranks(fabric, steps, "another checkpoint")
    control = control or Control()
    with out_of_memory_in_words("training", "Lower batch, patch or width, or train on the CPU."):
        sampled = None if before is None else before.info.sampled_blocks
        # Of several processes none may leave the others waiting.
        with stops_when(lambda: control.stopped and fabric.world_size == 1):
            data = prepare_same_on_all_ranks(
                fabric,
                partial(prepare, pairs, config, held_out=held_out, start=model),
                sampled=sampled,
                in_time=config.max_seconds is not None,
            )
        state = build_state(data.config, data, fabric.device)
        if before is not None:
            resume_run(state, data, before)
        # Of several processes the first writes for all.
        save = None if path is None or fabric.global_rank else partial(write_checkpoint, path, data)
        loop = TrainingLoop(
            state,
            data,
            fabric,
            control=control,
            seconds_before=time.perf_counter() - began,
            save=save,
            preview=preview,
            preview_first=preview_first,
        )
        yield from loop
        broadcast_from_rank0(fabric, 0)  # no process goes on before the first has written
        shown = make_thumbnail(loop.model(), data.validation, data.config.z_context)
    return Translator(_on_cpu(state.model_tensors()), describe_model(state, data, shown))


def _what_looks_wrong(event: Event) -> tuple[str, ...]:
    """Return the sentences of an event that a user should hear of even without a callback."""
    if isinstance(event, Prepared):
        return event.warnings
    return (event.message,) if isinstance(event, Health) else ()


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


def _find_start(
    start: Translator | str | Path | None, before: Checkpoint | None
) -> Pretrained | None:
    """Open the model to begin from; a run that is resumed remembers its own."""
    model = None if start is None else open_pretrained(start)
    if before is None:
        return model
    remembered = before.info.started_from
    if model is not None and model.origin != remembered:
        raise InputError(
            f"The checkpoint {before.path} did not begin from the model that start names: give the "
            "one that it began from, leave start out, or begin anew."
        )
    if remembered is None:
        return None
    # The checkpoint holds the weights of the run; where that started from is its own record.
    return replace(open_pretrained(before.path), origin=remembered)


def open_pretrained(start: Translator | str | Path) -> Pretrained:
    """Open the model that a training is to begin from.

    Raises
    ------
    FileError
        When there is no such file or it can't be read.
    """
    model = start if isinstance(start, Translator) else load(start)
    return Pretrained.of(model.tensors, model.info)


def _on_cpu(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in tensors.items()}
