"""Calls with odd arguments, from many threads, and next to the files that they read."""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import chdir
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from click.testing import CliRunner
from helpers import TINY, gray_noise, make_model, noise
from integration.campaign.outcome import Outcome, files_of, until
from integration.campaign.processes import NETWORK

from napari_pix2pix import Translator, convert, evaluate, list_models, load, train
from napari_pix2pix.cli import main
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.training.config import TrainConfig

_ODD: list[Any] = [
    *(None, True, -1, 0, 2, 2.5, 10**12, 10**30, float("nan"), float("inf"), 1e-9),
    *("", "x", "\0", "a\nb", "é" * 300, b"x", [], (), {}, [1, "a"], {"a": 1}, object(), print),
    *(np.int8(5), np.float32(0.5), np.zeros(0), np.zeros((2, 2)), np.array("x"), np.array(None)),
    *(np.ma.masked_array([1, 2], [0, 1]), torch.zeros(3), range(3), 1j, Path("nowhere"), Ellipsis),
]
# Any value is true or false; and compiling takes a minute.
_IS_FLAG = {"compile", "overwrite", "dropout", "resample", "split"}
_FLAGS: list[Any] = [None, False, 0, ""]
_WORDS = [
    *("", "x", "-1", "0", "2.5", "nan", "inf", "1e30", "999999999999", "é", "a\nb", "::", "0:0"),
    *("0:9,0:9", "-", "--", "/dev/null", ".", "..", "/", "*", "[", "none.tif", "a" * 300),
]
_FILES = ["s.tif", "t.tif", "m.safetensors", "stack.zarr", "note.txt", "none.tif", "inputs", ""]
# The options that name what a command writes; an empty one is its second word.
_OUTPUTS: dict[str, list[str]] = {
    "apply": ["--out"],
    "train": ["--out", "--checkpoint"],
    "evaluate": ["--csv", "--report"],
    "info": [],
    "convert": [""],
    "sample": ["--out"],
    "discriminator-map": ["--out"],
    "compare": ["--out"],
}
# What replaces files, writes texts into a model, needs a network, or runs this program again.
_NOT_TRIED = {"--overwrite", "--authors", "--licence", "--intended-use", "--scheduler", "--compile"}
_NOT_TRIED |= {"--devices", "--num-nodes", "--strategy"}


def odd_arguments(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Give one or two arguments of public functions values that nobody should give."""
    image = noise(40, 40)
    model = make_model(image, 1 - image)
    model.save(folder / "m.safetensors")
    path, outcome = folder / "m.safetensors", Outcome()
    quick = {"steps": 1, "max_seconds": 1.0, "validation": 0.0, **NETWORK}
    functions: list[tuple[Callable[..., Any], dict[str, Any], list[str]]] = [
        (model, {"image": image}, _names(Translator.__call__)),
        (model.spread, {"image": image, "n": 2, "turns": 8}, _names(Translator.spread)),
        (train, {"source": image, "target": 1 - image, **quick}, [*_names(train), *_fields()]),
        (evaluate, {"translator": model, "source": image, "target": 1 - image}, _names(evaluate)),
        (load, {"path": path}, _names(load)),
        (convert, {"model": path, "path": folder / "c.onnx"}, _names(convert)),
        (list_models, {"folder": folder}, _names(list_models)),
        (model.with_weights, {"weights": "last"}, ["weights"]),
    ]
    before = {*files_of(folder)}
    for _ in until(seconds):
        function, usual, names = rng.choice(functions)
        given = {
            name: rng.choice(_FLAGS if name in _IS_FLAG else _ODD)
            for name in rng.sample(names, min(len(names), rng.choice([1, 1, 2])))
        }
        shown = ", ".join(f"{name}={value!r:.60}" for name, value in given.items())
        what = f"{getattr(function, '__name__', 'translator')}({shown})"
        with chdir(folder):  # where names without a folder are
            outcome.attempt(what, partial(function, **{**usual, **given}))
        made = files_of(folder).keys() - before
        if not {"path", "checkpoint"} & given.keys():  # which name what is written
            outcome.expect(f"{what} wrote {made}", made <= {"c.onnx"})
        before |= made
    return outcome


def odd_commands(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Give commands odd words, and options over the very files that they read: these stay."""
    inputs = _write_inputs(folder / "inputs")
    outcome, before = Outcome(), files_of(inputs)
    for number, _ in enumerate(until(seconds)):
        words = _command(rng, inputs, folder / f"out{number}")
        shown = " ".join(words).replace(str(folder), "")[:200]
        outcome.attempt(shown, partial(_invoke, words, folder))
        after = files_of(inputs)
        changed = [name for name in before if after.get(name) != before[name]]
        outcome.expect(f"{shown}: changed {changed}", not changed)
        outcome.expect(f"{shown}: {outcome.made}", outcome.made in (None, 0, 1, 2))
        hidden = [path.name for path in folder.rglob(".*")]
        outcome.expect(f"{shown}: left {hidden}", not hidden)
        if changed:
            inputs = _write_inputs(inputs)
            before = files_of(inputs)
    return outcome


def threads(folder: Path, rng: random.Random, seconds: float) -> Outcome:
    """Call a translator from 8 threads, and train twice at once beside other random draws."""
    outcome, images = Outcome(), [gray_noise(40 + 8 * n, 56, seed=n) for n in range(8)]
    model = make_model(images[0], 255 - images[0], dropout=0.5, dropout_placement="paper")
    source = noise(48, 48)
    alone = _learn(source)
    for _ in until(seconds):
        how = {
            "dropout": rng.random() < 0.5,
            "seed": rng.randrange(99),
            "tile": rng.choice([None, 32]),
        }
        expected = [model(image, **how) for image in images]
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(partial(model, **how), images))
        outcome.tries += len(images)
        same = all(np.array_equal(a, b) for a, b in zip(made, expected, strict=True))
        outcome.expect(f"8 threads, {how}: another result", same)
        if rng.random() < 0.3:
            outcome.tries += 2
            for weights in _learn_beside(source):
                same = all(torch.equal(alone[name], weights[name]) for name in alone)
                outcome.expect("two trainings at once: other weights", same)
    return outcome


def _learn(source: np.ndarray) -> dict[str, torch.Tensor]:
    return train(source, 1 - source, steps=3, validation=0.0, **NETWORK).tensors


def _learn_beside(source: np.ndarray) -> list[dict[str, torch.Tensor]]:
    """Train twice at once, beside a thread that draws random numbers."""
    over = threading.Event()

    def draw() -> None:
        while not over.is_set():
            torch.rand(7)

    drawing = threading.Thread(target=draw)
    drawing.start()
    try:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(_learn, [source, source]))
    finally:
        over.set()
        drawing.join()


def _names(function: Callable[..., Any]) -> list[str]:
    parameters = inspect.signature(function).parameters.values()
    return [one.name for one in parameters if one.name != "self" and one.kind != one.VAR_KEYWORD]


def _fields() -> list[str]:
    """Return the fields of a training; more processes would run this program again."""
    return [name for name in TrainConfig.model_fields if name not in ("devices", "num_nodes")]


def _write_inputs(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    image = gray_noise(40, 40)
    for name, pixels in (("s.tif", image), ("t.tif", 255 - image)):
        write_image(folder / name, pixels)
    write_image(folder / "stack.zarr", gray_noise(3, 40, 40), "ZYX")
    make_model(image, 255 - image).save(folder / "m.safetensors")
    (folder / "note.txt").write_text("mine")
    return folder


def _command(rng: random.Random, inputs: Path, out: Path) -> list[str]:
    """Return a command that writes over what it reads, or one with some odd words."""
    s, t, model = (str(inputs / name) for name in ("s.tif", "t.tif", "m.safetensors"))
    name = rng.choice(sorted(_OUTPUTS))
    words = {
        "apply": [model, s, "--out", f"{out}.tif"],
        "train": [s, t, "--out", f"{out}.safetensors", "--steps", "1", "--max-seconds", "1"],
        "evaluate": [model, s, t],
        "info": [model],
        "convert": [model, f"{out}.safetensors"],
        "sample": [model, "--out", str(out)],
        "discriminator-map": [model, t, "--source", s, "--out", f"{out}.tif"],
        "compare": [s, t, "--out", str(out), "--steps", "1", "--recipes", "L1"],
    }[name]
    read = [word for word in words if Path(word).is_file()]
    if name in ("train", "compare"):
        for field in ("width", "depth", "patch", "batch", "device"):
            words += [f"--{field}", str(TINY[field])]
    if rng.random() < 0.4 and _OUTPUTS[name]:
        output = rng.choice([*read, str(inputs)])
        option = rng.choice(_OUTPUTS[name])
        if option:
            return [name, *words, option, output, "--overwrite"]
        return [name, words[0], output, *words[2:], "--overwrite"]
    return [name, *_with_odd_words(rng, name, words, inputs)]


def _with_odd_words(rng: random.Random, name: str, words: list[str], inputs: Path) -> list[str]:
    """Replace some words, and add some options; nothing is to be overwritten."""
    words = list(words)

    def odd(share: float) -> str:
        is_file = rng.random() < share
        return str(inputs / rng.choice(_FILES)) if is_file else rng.choice(_WORDS)

    for _ in range(rng.choice([0, 1, 1, 2])):
        words[rng.randrange(len(words))] = odd(0.5)
    parameters = main.commands[name].params
    options = [one for parameter in parameters for one in parameter.opts if one[:2] == "--"]
    options = [option for option in options if option not in _NOT_TRIED]
    for _ in range(rng.choice([0, 1, 1, 2])):
        words += [rng.choice(options), *([odd(0.3)] if rng.random() < 0.7 else [])]
    return words


def _invoke(words: list[str], folder: Path) -> int | str:
    """Return the exit code, or "traceback" where one is shown."""
    with chdir(folder):  # where names without a folder are
        done = CliRunner().invoke(main, words)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return "traceback" if "Traceback" in done.output else done.exit_code
