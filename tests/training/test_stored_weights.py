"""Weights that are not those of their header are refused before a network is built."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from helpers import TINY, noise

from napari_pix2pix._train import train
from napari_pix2pix.errors import FileError
from napari_pix2pix.io.model_file import read_container, write_container
from napari_pix2pix.training import stored_weights
from napari_pix2pix.training.checkpoints import read_checkpoint
from napari_pix2pix.training.stored_weights import check_weights

PATH = Path("m.safetensors")
KERNEL = "generator.model.model.0.weight"


@pytest.fixture(scope="module")
def model():
    image = noise(64, 64)
    return train(image, 1 - image, **{**TINY, "adversarial_start": 0.0}, steps=2)


def with_config(info, **fields):
    return replace(info, config=info.config.model_copy(update=fields))


def test_what_was_trained_fits(model):
    check_weights(model.tensors, model.info, PATH)


@pytest.mark.parametrize(
    "fields",
    [
        {"width": 4096},
        {"depth": 10},
        {"generator": "resnet", "blocks": 10**6},
        {"noise_channels": 10**9},
        {"discriminator_width": 4096},
        {"discriminator_scales": 10**9},
    ],
)
def test_claims_of_a_header_cost_nothing(model, fields, monkeypatch):
    def refuse(*_):
        raise AssertionError("a network of that size was planned")

    monkeypatch.setattr(stored_weights, "_check_shapes", lambda *_: None)
    claim = with_config(model.info, **fields)
    with pytest.raises(FileError, match=r"its header describes a network of at least"):
        check_weights(model.tensors, claim, PATH)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"norm": "instance"}, "unexpected"),
        ({"width": 3}, "has shape"),
        ({"adversarial_weight": 0.0}, "its config has no discriminator"),
    ],
)
def test_other_networks_than_the_weights_are_said(model, fields, words):
    with pytest.raises(FileError, match=words):
        check_weights(model.tensors, with_config(model.info, **fields), PATH)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("part", ["generator", "averaged", "best", "discriminator"])
def test_weights_that_are_not_finite_are_refused(model, part, value):
    tensors = model.tensors
    name = next(name for name, t in tensors.items() if name.startswith(part) and t.ndim == 4)
    tensors[name] = torch.full_like(tensors[name], value)
    with pytest.raises(FileError, match=rf"{name} holds values that are not finite"):
        check_weights(tensors, model.info, PATH)


def test_negative_variances_are_refused(model):
    tensors = model.tensors
    name = next(name for name in tensors if name.endswith("running_var"))
    tensors[name] = -torch.ones_like(tensors[name])
    with pytest.raises(FileError, match="holds negative variances"):
        check_weights(tensors, model.info, PATH)


def test_a_discriminator_is_where_the_header_says_so(model):
    alone = {name: t for name, t in model.tensors.items() if not name.startswith("discriminator")}
    with pytest.raises(FileError, match="disagree about a discriminator"):
        check_weights(alone, model.info, PATH)
    with pytest.raises(FileError, match="it holds no generator"):
        check_weights({}, model.info, PATH)


@pytest.mark.parametrize("is_short", [True, False], ids=["shorter", "integers"])
def test_what_is_usual_has_the_features_of_the_generator(model, is_short):
    axes = model.tensors["usual.axes"]
    tensors = {**model.tensors, "usual.axes": torch.zeros(1, 2) if is_short else axes.int()}
    with pytest.raises(FileError, match="other features"):
        check_weights(tensors, model.info, PATH)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    image, path = noise(64, 64), tmp_path_factory.mktemp("run") / "m.ckpt"
    train(image, 1 - image, **{**TINY, "adversarial_start": 0.0}, steps=2, checkpoint=path)
    return path


def damage(checkpoint, path, *, tensors=None, counters=None):
    whole, header = read_container(checkpoint)
    header["counters"] |= counters or {}
    whole = {name: t for name, t in {**whole, **(tensors or {})}.items() if t is not None}
    write_container(path, whole, header)
    return path


def test_a_checkpoint_comes_back(checkpoint, tmp_path):
    again = read_checkpoint(damage(checkpoint, tmp_path / "a.ckpt"))
    assert again.counters.step == 2


@pytest.mark.parametrize(
    ("counters", "words"),
    [
        ({"step": "many"}, "its counters are no counters"),
        ({"step": 10**20}, "its counters are no counters"),
        ({"history": {}}, "its counters are no counters"),
        ({"loss_sums": None}, "its counters are no counters"),
        ({"step": 1}, "it lacks a part of the run"),
    ],
)
def test_damaged_counters_are_said_and_the_file_is_left_alone(
    checkpoint, tmp_path, counters, words
):
    path = damage(checkpoint, tmp_path / "a.ckpt", counters=counters)
    before = path.read_bytes()
    with pytest.raises(FileError, match=f"The checkpoint .* is damaged: {words}"):
        read_checkpoint(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "value", [None, torch.zeros(2), torch.zeros(()).int(), torch.tensor(torch.nan)]
)
@pytest.mark.parametrize(
    "name", [f"optimizer_g.{KERNEL[10:]}.exp_avg", "optimizer_d.model.0.bias.step"]
)
def test_moments_that_are_not_those_of_a_weight_are_refused(checkpoint, tmp_path, name, value):
    with pytest.raises(
        FileError, match=r"optimizer_[gd]\..* (is not that of a weight|holds values)"
    ):
        read_checkpoint(damage(checkpoint, tmp_path / "a.ckpt", tensors={name: value}))


def test_a_checkpoint_without_its_average_is_refused(checkpoint, tmp_path):
    whole, _ = read_container(checkpoint)
    gone = {name: None for name in whole if name.startswith("averaged")}
    with pytest.raises(FileError, match="it lacks a part of the run"):
        read_checkpoint(damage(checkpoint, tmp_path / "a.ckpt", tensors=gone))
