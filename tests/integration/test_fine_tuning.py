"""A training that begins from a model keeps what is the model's and begins the rest anew."""

import re
from collections.abc import Callable

import helpers
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_pix2pix._load import load
from napari_pix2pix._train import train
from napari_pix2pix.errors import ConfigError, FileError, InputError
from napari_pix2pix.io.model_file import read_container
from napari_pix2pix.training.events import Event, Prepared, Step
from napari_pix2pix.translator import Translator

TINY = helpers.TINY | {"depth": 3, "discriminator_layers": 1, "adversarial_start": 0.0, "ema": 0.9}


def smooth(seed: int = 0) -> np.ndarray:
    made = gaussian_filter(np.random.default_rng(seed).normal(size=(80, 72)), 2)
    return (made / made.std()).astype(np.float32)


SOURCE, TARGET = smooth(), smooth() ** 2


def learn(*images, **fields) -> Translator:
    """Train on the CPU; a start brings its own fields."""
    base = {} if "start" in fields else TINY
    return train(*(images or (SOURCE, TARGET)), **{**base, "device": "cpu", "steps": 4, **fields})


def watched(**fields):
    seen: list[Event] = []
    return learn(**fields, callback=seen.append), seen


def trainable(network: torch.nn.Module) -> list[torch.Tensor]:
    return [parameter.detach() for parameter in network.parameters()]


@pytest.fixture(scope="module")
def model():
    """A model after 40 steps, whose average is not its generator."""
    return learn(steps=40, learning_rate=5e-3)


STILL = {"steps": 1, "learning_rate": 1e-9, "discriminator_learning_rate": 1e-9, "seed": 7}


@pytest.mark.parametrize("ema", [0.9, 0.999, 0.0])
def test_a_tiny_step_from_a_model_is_nearly_the_model(model, ema):
    other = smooth(3)
    on = learn(other, other**2, start=model, ema=ema, **STILL)
    before, anew = model(SOURCE), learn(seed=7, steps=1, learning_rate=1e-9)(SOURCE)
    assert np.abs(on(SOURCE) - before).mean() < 0.1 * np.abs(anew - before).mean()


def test_all_weights_are_taken_over(model):
    on, old = learn(start=model, **STILL).tensors, model.tensors
    names = [name for name in old if name.endswith((".weight", ".bias"))]
    assert {name.split(".")[0] for name in names} >= {"generator", "averaged", "discriminator"}
    for name in names:
        expected = old[name]
        if name.startswith("averaged."):
            # As old as the model: it goes on as slowly as after its 41st step.
            current = old[name.replace("averaged", "generator", 1)]
            assert not torch.equal(expected, current)
            expected = torch.lerp(expected, current, 1 - 42 / 51)
        if not name.startswith("best."):
            torch.testing.assert_close(on[name], expected, rtol=0, atol=1e-6, msg=name)


def test_the_best_weights_are_begun_from_where_they_are_applied():
    model = learn(keep="best", steps=30, learning_rate=0.02)
    on = learn(start=model, **STILL)
    for one, other in zip(trainable(on.generator), trainable(model.generator), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert (on.config.keep, learn(start=model, keep="best", **STILL).config.keep) == (
        "last",
        "best",
    )


def test_intensities_are_the_models_and_the_rest_is_new(model):
    source = smooth(3)
    on, events = watched(start=model)
    assert on.config.model_dump() == model.config.model_dump() | {"steps": 4}
    brighter = learn(source + 5, 3 * source**2, start=model)
    assert brighter.source_codec == model.source_codec
    assert brighter.target_codec == model.target_codec
    assert brighter.info.baselines != model.info.baselines
    assert [record.step for record in on.history] == [4]
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2, 3, 4]
    assert on.info.started_from.summary == model.info.summary
    assert on.info.started_from.steps == 40
    assert model.info.started_from is None
    assert on.info.steps == 4
    prepared = next(event for event in events if isinstance(event, Prepared))
    assert any(n.startswith("Starts from a model that was trained for ") for n in prepared.notes)


def test_fields_that_are_given_count(model):
    on = learn(start=model, batch=1, reconstruction="l2", width=4, preset="light")
    assert (on.config.batch, on.config.reconstruction) == (1, "l2")
    assert on.config.learning_rate == 5e-3


def test_a_file_will_do_and_slim_warms_a_new_discriminator_up(model, tmp_path):
    model.save(tmp_path / "slim.safetensors", slim=True)
    slim = tmp_path / "slim.safetensors"
    whole_weight = {"adversarial_start": 0.0, "adversarial_full": 0.0}
    on, events = watched(start=slim, steps=40, discriminator_width=6, **whole_weight)
    heard = ["G_GAN" in event.losses for event in events if isinstance(event, Step)]
    assert all("D_real" in event.losses for event in events if isinstance(event, Step))
    assert heard == [False, False] + [True] * 38  # 5 % of 40 steps
    assert on.discriminator is not None
    prepared = next(event for event in events if isinstance(event, Prepared))
    assert any("a new one learns for 5 % of the budget" in note for note in prepared.notes)
    _, events = watched(start=model, **whole_weight)
    assert all("G_GAN" in event.losses for event in events if isinstance(event, Step))
    assert not any("new one learns" in note for note in events[0].notes)


def test_a_warm_up_without_reconstruction_leaves_the_generator_alone(model, tmp_path):
    model.save(tmp_path / "slim.safetensors", slim=True)
    slim = load(tmp_path / "slim.safetensors")
    on, events = watched(start=slim, steps=25, reconstruction_weight=0.0)
    heard = ["G_GAN" in event.losses for event in events if isinstance(event, Step)]
    assert heard == [False, False] + [True] * 23
    assert on.info.steps == 25


def test_without_an_adversarial_term_there_is_none_afterwards():
    model = learn(adversarial_weight=0.0)
    on = learn(start=model)
    assert on.config.adversarial_weight == 0
    with pytest.raises(ConfigError, match="are both 0: nothing would be learnt"):
        learn(start=model, reconstruction_weight=0.0)
    assert on.discriminator is None
    assert learn(start=model, adversarial_weight=1.0).discriminator is not None


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"width": 8}, r"has width=4, got 8: leave width out"),
        ({"norm": "instance"}, r"has norm='batch', got 'instance'"),
        ({"preset": "reference"}, r"has preset='light', got 'reference'"),
        ({"z_context": 1}, r"has z_context=0, got 1"),
        ({"source_normalisation": "minmax"}, r"source_normalisation='percentile', got 'minmax'"),
        ({"discriminator_layers": 2}, r"has discriminator_layers=1, got 2"),
    ],
)
def test_fields_that_contradict_the_model_are_refused(fields, says, model):
    with pytest.raises(ConfigError, match=says):
        learn(start=model, **fields)


def test_pairs_that_do_not_fit_are_refused(model):
    labels = np.zeros(SOURCE.shape, np.uint8)
    labels[10:40, 10:40], labels[44:70, 20:60] = 1, 2
    for images, fields, says in (
        ((SOURCE.astype("float64"), TARGET), {}, r"source of .* 1 channel of float64, .* float32"),
        (((SOURCE, SOURCE), TARGET), {}, r"source of .* has 2 channels of float32"),
        ((SOURCE, labels), {}, r"target of .* has 1 channel of uint8"),
        ((SOURCE, TARGET), {"condition": "a"}, r"condition 'a', and the model .* has none"),
    ):
        with pytest.raises(InputError, match=says):
            learn(*images, start=model, **fields)
    classes = learn(SOURCE, labels, target_kind="classes", validation=0)
    assert learn(SOURCE, labels % 2 * 2, start=classes).target_codec == classes.target_codec
    with pytest.raises(InputError, match=r"holds the class 3, .* knows only 0, 1, 2: merge"):
        learn(SOURCE, np.where(labels == 2, 3, labels).astype(np.uint8), start=classes)
    noise = np.random.default_rng(0).integers(0, 255, SOURCE.shape).astype(np.uint8)
    with pytest.raises(InputError, match=r"kind of the target is 'image', .* trained on 'classes'"):
        learn(SOURCE, noise, start=classes)


def test_conditions_are_the_models():
    model = learn([SOURCE, SOURCE], [TARGET, -TARGET], condition=["a", "b"])
    on = learn(SOURCE, 2 * TARGET, condition="b", start=model)
    assert on.conditions == ("a", "b")
    assert on.info.baselines.maps[0] == model.info.baselines.maps[0]
    assert on.info.baselines.maps[1] != model.info.baselines.maps[1]
    with pytest.raises(InputError, match=r"condition 'c', .* has only 'a', 'b'"):
        learn(SOURCE, TARGET, condition="c", start=model)
    with pytest.raises(InputError, match="has the conditions 'a', 'b': give each pair one"):
        learn(SOURCE, TARGET, start=model)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(FileError, match="There is no file"):
        learn(start=tmp_path / "missing.safetensors")
    with pytest.raises(InputError, match="path"):
        learn(start=3)


def stop_at(step: int) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Step) and event.step == step


@pytest.mark.parametrize("slim", [False, True])
@pytest.mark.parametrize("again", [False, True])
def test_a_started_run_goes_on(again, slim, model, tmp_path):
    """To the same weights, whether the start is named again or not."""
    start, path = tmp_path / "model.safetensors", tmp_path / "run.ckpt"
    model.save(start, slim=slim)
    straight = learn(start=start, steps=24)
    learn(start=start, steps=24, checkpoint=path, callback=stop_at(1))
    fields = {"start": start} if again else {}
    resumed = train(SOURCE, TARGET, device="cpu", steps=24, checkpoint=path, resume=True, **fields)
    assert np.array_equal(resumed(SOURCE), straight(SOURCE))
    assert resumed.info.started_from == straight.info.started_from
    assert resumed.info.steps == 24
    header = read_container(path)[1]
    assert header["started_from"]["steps"] == 40


def test_a_run_that_began_elsewhere_does_not_go_on(model, tmp_path):
    path = tmp_path / "run.ckpt"
    learn(start=model, checkpoint=path)
    learn(checkpoint=tmp_path / "plain.ckpt")
    with pytest.raises(InputError, match="did not begin from the model that start names"):
        learn(start=learn(), checkpoint=path, resume=True)
    with pytest.raises(InputError, match="did not begin from the model that start names"):
        learn(start=model, checkpoint=tmp_path / "plain.ckpt", resume=True)


def test_a_resnet_keeps_its_dropout():
    fields = {"generator": "resnet", "blocks": 1, "steps": 1}
    model = learn(dropout=0.0, **fields)
    with pytest.raises(ConfigError, match=re.escape("has dropout=0.0, got 0.5")):
        learn(start=model, dropout=0.5)
    assert learn(start=learn(steps=1), dropout=0.1).config.dropout == 0.1
