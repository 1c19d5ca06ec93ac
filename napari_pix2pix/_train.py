"""`train`: from pairs and a configuration to a translator."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import replace
from functools import partial
from numbers import Real
from pathlib import Path
from typing import Any

from napari_pix2pix._load import load
from napari_pix2pix.data.pair import Pair, make_pairs, stop_when
from napari_pix2pix.errors import InputError, own_errors
from napari_pix2pix.inference.devices import choose_device, out_of_memory_in_words
from napari_pix2pix.inference.options import check_callable
from napari_pix2pix.inference.predictor import Predictor
from napari_pix2pix.io.locks import locked
from napari_pix2pix.io.outputs import check_apart
from napari_pix2pix.io.paths import as_path
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
from napari_pix2pix.training.config import TrainConfig, with_default_budget
from napari_pix2pix.training.dataset import TrainingData, prepare
from napari_pix2pix.training.distributed import (
    broadcast_from_rank0,
    check_same_on_all_ranks,
    join,
    make_fabric,
    prepare_same_on_all_ranks,
)
from napari_pix2pix.training.events import (
    Control,
    Event,
    Health,
    Prepared,
    PreviewWish,
    Region,
    Step,
    interrupt_stops,
)
from napari_pix2pix.training.fine_tuning import Pretrained
from napari_pix2pix.training.loop import TrainingLoop, build_state
from napari_pix2pix.training.state import TrainingState
from napari_pix2pix.training.unlikeness import learn_usual
from napari_pix2pix.training.validation import make_thumbnail
from napari_pix2pix.translator import Translator


@own_errors()
def train(
    source: Any,
    target: Any,
    *,
    condition: Hashable | Sequence[Hashable] = None,
    mask: Any = None,
    group: Hashable | Sequence[Hashable] = None,
    source_kind: str | None = None,
    target_kind: str | None = None,
    channel_axis: int | None = None,
    channel_names: Sequence[str] = (),
    z_context: int | None = None,
    preset: str | None = None,
    epochs: int | None = None,
    steps: int | None = None,
    max_seconds: float | None = None,
    seed: int | None = None,
    device: str = "auto",
    validation: float | Sequence[Pair] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool | str | Path | None = None,
    start: Translator | str | Path | None = None,
    callback: Callable[[Event], bool | None] | None = None,
    **fields: Any,
) -> Translator:
    """Train a model that translates ``source`` into ``target`` (Isola et al., CVPR 2017).

    Parameters
    ----------
    source, target : array_like, napari layer, or list of them
        One image each, or lists of the same length: (H, W), (H, W, 3) for RGB, or with a
        ``channel_axis``; leading axes are frames. A tuple of arrays or layers is one image with
        these channels. numpy, dask and zarr are read patch by patch. With a source of None the
        model makes images from noise and condition alone, see `Translator.sample`; with
        ``derive``, such as "edges", the source is made of the target instead.
    condition : hashable or list of hashable, optional
        What the source does not show, such as stain or marker; one for each pair.
    mask : array_like of bool, Labels or Shapes layer, or list, optional
        Pixels to train on; one for each pair.
    group : list of hashable, optional
        What each pair belongs to, such as a well or a patient; pairs of one group are held out
        together, where there are several groups.
    source_kind, target_kind : {"auto", "image", "classes", "instances"}, optional
        What the images hold; "auto" by default.
    channel_axis : int, optional
        Channel axis of images that have more axes than (H, W). A last axis that is too short to be
        a width, as in (H, W, 1), is taken for it anyway.
    channel_names : sequence of str, optional
        Names of the target's channels, such as stains, for what the model makes; layers have names
        of their own.
    z_context : int, optional
        Neighbouring planes on each side that the generator sees too; 0 by default.
    preset : {"light", "reference", "paper"}, optional
        Set of defaults, see `TrainConfig`; ``light`` by default.
    epochs, steps, max_seconds : number, optional
        Budget, the preset's epochs by default; the first limit that is reached ends the training.
        ``max_seconds`` limits the whole call. A budget other than in steps is an upper limit:
        ``light`` ends after enough passes over the images, see ``passes`` of `TrainConfig`.
    seed : int, optional
        Seed of every random draw; 0 by default.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    validation : float or list of Pair, optional
        Fraction to hold out, from 0 to below 1, or pairs for validation; 0.2 by default.
    checkpoint : path-like, optional
        File to resume from if the run is killed, written every ``checkpoint_seconds``.
    resume : bool or path-like, optional
        True resumes from ``checkpoint`` if it exists, a path from that file. False replaces an old
        checkpoint, None refuses to. Fields you do not set are taken from the checkpoint.
    start : Translator or path-like, optional
        A model to fine-tune. Its intensities, conditions, networks and weights are kept. Fields you
        do not set are taken from that model, except the budget and ``keep``.
    callback : callable, optional
        Called with each `Event`, in the thread that called `train`. If it returns True, the
        training stops and the model is kept, as with Ctrl+C or SIGTERM.
    **fields
        Any other field of `TrainConfig`.

    Returns
    -------
    Translator
        The model, also if the training was stopped.

    Raises
    ------
    InputError, ConfigError, FileError, DeviceError
        Before any work starts if possible. The sentence says what to do.
    StoppedError
        If it was stopped while images were still being read.

    Warns
    -----
    UserWarning
        About pairs or a training that look wrong, such as a shift or a constant output; with a
        callback, `Prepared` and `Health` events say so instead.

    Notes
    -----
    In a running viewer the call waits for the model while the viewer stays responsive. Layers are
    read first; Cancel in napari's activity dock stops the training like Ctrl+C.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> translator = train(image, 1 - image, steps=2, width=4, batch=2, patch=32)
    >>> translator(image).shape
    (96, 96)
    """
    began = time.perf_counter()
    check_callable("callback", callback)
    held_out = held_out_pairs(validation)
    optional = {
        "preset": preset,
        "z_context": z_context,
        "seed": seed,
        "source_kind": source_kind,
        "target_kind": target_kind,
        "validation": validation if held_out is None else 0.0,
    }
    fields |= {name: value for name, value in optional.items() if value is not None}
    config = TrainConfig(
        epochs=epochs, steps=steps, max_seconds=max_seconds, device=device, **fields
    )
    pairs = make_pairs(
        source,
        target,
        condition=condition,
        mask=mask,
        group=group,
        channel_axis=channel_axis,
        channel_names=channel_names,
    )
    control = Control()
    events = training_events(
        read_pairs(pairs),
        config,
        held_out=held_out,
        checkpoint=checkpoint,
        resume=resume,
        start=start,
        control=control,
        began=began,
    )

    def run(progress: ProgressReporter) -> Translator:
        with interrupt_stops(control):
            while True:
                try:
                    event = next(events)
                except StopIteration as stop:
                    return stop.value
                if isinstance(event, Step):
                    left = f"epoch {event.epoch}, {event.seconds_left:.0f} s left"
                    progress.show(event.progress, left)
                if callback is None:
                    for message in _warnings_of(event):
                        warnings.warn(message, UserWarning, stacklevel=2)
                elif progress.call(partial(callback, event)):
                    control.stop()

    return run_responsive(run, title="Training", stop=control.stop)


def training_events(
    pairs: Sequence[Pair],
    config: TrainConfig,
    *,
    held_out: Sequence[Pair] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool | str | Path | None = None,
    start: Translator | str | Path | None = None,
    control: Control | None = None,
    began: float | None = None,  # the `time.perf_counter` at which the budget began
    # What `Preview` events show; a held-out block by default.
    preview: Region | PreviewWish | None = None,
    preview_first: bool = False,  # whether the `Prepared` event has a preview, too
) -> Generator[Event, None, Translator]:
    """Train step by step: yield `Event` objects and return the model, also if it was stopped."""
    began = time.perf_counter() if began is None else began
    control = control or Control()
    control.preparing = config.processes == 1  # the others would wait for one that ends at once
    path, old = checkpoint_paths(checkpoint, resume)
    if isinstance(start, str | Path):
        check_apart([path], [as_path(start)])
    before = None if old is None else read_checkpoint(old)
    if before is not None:
        config = before.fill(config)
    pretrained = _find_pretrained(start, before)
    if pretrained is not None:
        config = pretrained.fill(config)
    config = with_default_budget(config, None if before is None else before.info.config)
    fabric = make_fabric(config, choose_device(config.device))
    join(fabric, config)
    steps = 0 if before is None else before.info.steps
    check_same_on_all_ranks(fabric, steps, "another checkpoint")
    with (
        locked(None if fabric.global_rank else path),
        out_of_memory_in_words("training", "Lower batch, patch or width, or train on the CPU."),
    ):
        sampled = None if before is None else before.info.sampled_blocks
        # One of several processes must not stop alone: the others would wait for it.
        with stop_when(lambda: control.stopped and fabric.world_size == 1):
            data = prepare_same_on_all_ranks(
                fabric,
                partial(prepare, pairs, config, held_out=held_out, start=pretrained),
                sampled=sampled,
                in_time=config.max_seconds is not None,
            )
        state = build_state(data.config, data, fabric.device)
        if before is not None:
            data = resume_run(state, data, before)
        # The first of several processes writes for all.
        save = None if path is None or fabric.global_rank else partial(_save, path, data)
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
        control.preparing = False
        yield from loop
        broadcast_from_rank0(fabric, 0)  # all wait until the first has written
        thumbnail = make_thumbnail(loop.model(), data.validation, data.config.z_context)
        usual, shares = learn_usual(loop.model(), data)
    tensors = {name: tensor.cpu().clone() for name, tensor in state.model_tensors().items()}
    tensors |= {f"usual.{name}": tensor for name, tensor in usual.items()}
    return Translator(tensors, describe_model(state, data, thumbnail, shares))


def held_out_pairs(validation: Any) -> list[Pair] | None:
    """Return the pairs given for validation; None if a fraction or nothing was given."""
    if validation is None or isinstance(validation, Real):
        return None
    pairs = validation if isinstance(validation, list | tuple) else ()
    if pairs and all(isinstance(pair, Pair) for pair in pairs):
        return [read_pair(pair) for pair in pairs]
    wanted = "a fraction from 0 to below 1 or a list of Pair"
    raise InputError(f"validation must be {wanted}, got {validation!r}.")


def _save(path: Path, data: TrainingData, state: TrainingState, model: Predictor) -> str:
    """Write a checkpoint with a picture, by which a run that was killed is recognised."""
    picture = make_thumbnail(model, data.validation, data.config.z_context)
    return write_checkpoint(path, data, state, picture)


def _warnings_of(event: Event) -> tuple[str, ...]:
    if isinstance(event, Prepared):
        return event.warnings
    return (event.message,) if isinstance(event, Health) else ()


def _find_pretrained(
    start: Translator | str | Path | None, before: Checkpoint | None
) -> Pretrained | None:
    """Open the model to begin from; a checkpoint remembers the one that its run began from."""
    pretrained = None if start is None else open_pretrained(start)
    if before is None:
        return pretrained
    origin = before.info.started_from
    if pretrained is not None and pretrained.origin != origin:
        raise InputError(
            f"The checkpoint {before.path} did not begin from the model that start names: give the "
            "one that it began from, leave start out, or start a new run."
        )
    if origin is None:
        return None
    # The checkpoint holds the weights of the run; where that started from is its own record.
    return replace(open_pretrained(before.path), origin=origin)


def open_pretrained(start: Translator | str | Path) -> Pretrained:
    """Open the model that a training begins from."""
    model = start if isinstance(start, Translator) else load(start)
    return Pretrained.of(model.tensors, model.info)
