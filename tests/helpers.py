"""What the tests of several rooms share; nothing here imports torch before it is called."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike
    from torch import nn

N = TypeVar("N", bound="nn.Module")

# Settings of networks and patches that take milliseconds a step.
TINY = {
    "width": 4,
    "depth": 2,
    "discriminator_width": 4,
    "patch": 32,
    "batch": 2,
    "device": "cpu",
}


def noise(*shape: int, seed=0, drawn: type = np.float32) -> np.ndarray:
    """Return float32 in [0, 1); numbers that are drawn as another dtype are others."""
    return np.random.default_rng(seed).random(shape, dtype=drawn).astype(np.float32)


def gray_noise(*shape: int, seed: int = 0, dtype: DTypeLike = np.uint8) -> np.ndarray:
    """Return rounded values from 0 to 255 as uint8, from 0 to 60000 as any other dtype."""
    top = 255 if dtype == np.uint8 else 60000
    return np.rint(np.random.default_rng(seed).random(shape) * top).astype(dtype)


def integer_noise(*shape: int, seed: int = 0, dtype: DTypeLike = np.uint8) -> np.ndarray:
    """Return integers from the whole range of a dtype."""
    top = np.iinfo(dtype).max + 1
    return np.random.default_rng(seed).integers(0, top, shape, dtype)


def make_model(source, target, **fields):
    """Train for a step, with no term and no score that takes time."""
    from napari_pix2pix import train

    quick = {"steps": 1, "validation": 0.0, "adversarial_weight": 0.0}
    return train(source, target, **{**TINY, **quick, **fields})


def with_other_best(model):
    """Return a model whose best weights, of step 800, are all 0, unlike its last."""
    from dataclasses import replace

    from napari_pix2pix.training.history import EpochRecord, HeldOutScores
    from napari_pix2pix.translator import Translator

    best = {f"best.{name}": 0 * value for name, value in model.generator.state_dict().items()}
    scores = {800: {"pearson": 0.75}, 1200: {"pearson": 0.5}}
    history = tuple(EpochRecord(step, step, {}, scored) for step, scored in scores.items())
    held_out = HeldOutScores(scores[1200], {"pearson": 0.25})
    info = replace(model.info, history=history, scores=held_out, steps=1200)
    return Translator({**model.tensors, **best}, info)


def strict_json(text: str):
    """Read JSON that has no NaN and no infinite numbers."""

    def refuse(word):
        raise AssertionError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def write_reference_weights(path: Path, golden, shapes) -> Path:
    """Write golden weights of these shapes as the PyTorch implementation does."""
    import torch

    state = {
        name: torch.zeros(shape, dtype=torch.int64 if name.endswith("tracked") else None)
        for name, shape in shapes.items()
    }
    path.parent.mkdir(exist_ok=True)
    torch.save(golden.fill_(state), path)
    return path


def docked(dock, viewer, qtbot):
    """Tell a dock of layers that come and go, as napari does, and close it after the test."""
    qtbot.addWidget(dock, before_close_func=type(dock).close_down)
    for change in (viewer.layers.events.inserted, viewer.layers.events.removed):
        change.connect(dock.reset_choices)
    return dock


def apply_and_wait(dock, qtbot) -> tuple[str, bool]:
    """Let the Apply dock work; return its last words, and whether they are an error."""
    with qtbot.waitSignal(dock.ended) as ended:
        dock.apply()
    return tuple(ended.args)


def apply_without_error(dock, qtbot) -> None:
    said, is_error = apply_and_wait(dock, qtbot)
    assert not is_error, said


def choose(dock, model, name: str, layer) -> None:
    """Choose a model, which gets a name, and a layer in the Apply dock."""
    from napari_pix2pix.widgets.common.known_models import models

    dock.set_model(models().remember(model, name))
    dock.set_layers([layer])


def assert_same_place(result, source) -> None:
    """Compare where two layers lie."""
    for name in ("scale", "translate", "rotate", "shear"):
        np.testing.assert_allclose(getattr(result, name), getattr(source, name), atol=1e-12)
    np.testing.assert_allclose(result.affine.affine_matrix, source.affine.affine_matrix, atol=1e-12)
    assert result.units == source.units
    assert result.axis_labels == source.axis_labels
    np.testing.assert_allclose(result.extent.world, source.extent.world, atol=1e-9)


def as_if_trained(network: N) -> N:
    """Give batch norms running statistics that do something, and return the network."""
    from torch import nn

    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.normal_()
            layer.running_var.uniform_(0.5, 2)
    return network


def let_all_levels_count(network: nn.Module) -> None:
    """Give a network weights with which what comes out depends on all of its levels."""
    import torch

    rng = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if tensor.ndim >= 4:  # a convolution's, of images or of volumes
                scale = (2 / tensor[0].numel()) ** 0.5
                tensor.copy_(torch.randn(tensor.shape, generator=rng) * scale)
            elif "running" in name:
                tensor.copy_(0.5 + torch.rand(tensor.shape, generator=rng))


def run_python(code: str, *arguments) -> list[str]:
    """Run code in a fresh Python; return the words that it prints."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def run_script(path: Path):
    """Import a file that lies in no package, and return its module."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module  # where dataclasses look
    spec.loader.exec_module(module)
    return module


class CountedClock:
    """Stands for the module ``time``: only looking at it takes time, the same on every machine."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.now, self.seconds = 100.0, seconds

    def perf_counter(self) -> float:
        self.now += self.seconds
        return self.now


class Bomb:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)
