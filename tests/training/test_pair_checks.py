"""Training without a source: what is assumed, and what is refused in words."""

import numpy as np
import pytest

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import ConfigError, InputError
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.dataset import prepare


@pytest.fixture
def target(make_pair):
    return Pair(None, make_pair().target)


def config(**fields) -> TrainConfig:
    return TrainConfig(**{"depth": 3, "patch": 32, "batch": 2, **fields})


def test_what_is_not_set_is_that_of_a_gan(target):
    found = prepare([target], config()).config
    assert (found.reconstruction_weight, found.adversarial_weight) == (0, 1)
    assert (found.adversarial_start, found.adversarial_full) == (0, 0)
    assert (found.noise_channels, found.noise, found.validation) == (16, "pixel", 0)
    assert (found.learning_rate, found.discriminator_learning_rate) == (5e-4, 5e-4)
    assert (found.upsampling, found.dropout, found.batch) == ("resize", 0, 2)
    assert found.content == 0
    plain = prepare([target], config(preset="reference", width=4)).config
    assert (plain.noise, plain.learning_rate, plain.upsampling) == ("pixel", 2e-4, "transpose")
    mine = {"reconstruction_weight": 2.0, "adversarial_start": 0.25, "noise_channels": 3}
    found = prepare([target], config(**mine)).config
    assert {name: getattr(found, name) for name in mine} == mine
    assert found.adversarial_full == 0.25


def test_labels_are_learnt_from_the_discriminator_too():
    mask = np.zeros((96, 80), bool)
    mask[20:60, 10:70] = True
    data = prepare([Pair(None, mask)], config())
    assert data.target_codec.kind == "classes"
    assert data.config.adversarial_weight == 1


def test_there_is_no_validation_and_no_baseline(target):
    data = prepare([target, target], config(validation=0.5))
    assert data.validation is None
    assert data.baseline.maps == ()
    assert data.notes[0].startswith("No validation: without a source")
    assert "repeats" not in data.notes[0]
    repeated = prepare([target], config(noise="image")).notes[0]
    assert "repeats itself away from its edges, every 8 pixels" in repeated
    assert data.summary == (
        "noise to 32-bit floating point images, 2 images of 96 x 80 pixels, 15 training patches"
    )
    assert (data.source_codec.channels, data.source_codec.planes) == (0, 0)
    batch = data.sampler.batch(0)
    assert batch.source.shape == (2, 0, 32, 32)
    assert batch.target.shape == (2, 1, 32, 32)


def test_a_source_is_another_run(target, make_pair):
    prints = [prepare([pair], config(validation=0)).fingerprint for pair in (target, make_pair())]
    assert prints[0] != prints[1]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"adversarial_weight": 0}, "adversarial_weight and reconstruction_weight are both 0"),
        ({"noise_channels": 0}, "noise_channels is 0, so all images would be the same"),
        (
            {"norm": "instance", "noise": "image"},
            "norm='instance' removes what is constant over an image",
        ),
        ({"batch": 1, "noise": "image"}, "batch=1 with norm='batch' removes"),
        ({"feature_matching": 4.0}, "feature_matching=4.0 needs a source"),
        ({"shift_tolerance": 1}, "shift_tolerance applies to the reconstruction term"),
        ({"z_context": 1}, "z_context=1 needs a source, and there is none"),
        ({"source_kind": "classes"}, "source_kind='classes' needs a source"),
    ],
)
def test_refused(fields, words, target):
    with pytest.raises(ConfigError, match=words):
        prepare([target], config(**fields))


@pytest.mark.parametrize("fields", [{"norm": "instance"}, {"batch": 1}, {"norm": "group"}])
def test_noise_that_norms_leave(fields, target):
    noise = "image" if fields.get("norm") == "group" else "pixel"
    assert prepare([target], config(noise=noise, **fields)).config.noise == noise


def test_some_pairs_with_a_source(target, make_pair):
    pairs = [make_pair(name="a"), Pair(None, target.target, name="b")]
    for order in (pairs, pairs[::-1]):
        with pytest.raises(InputError, match="There is a source in a and none in b"):
            prepare(order, config())


def test_pairs_to_validate_on(target, make_pair):
    with pytest.raises(InputError, match="Pairs for validation need a source"):
        prepare([target], config(), held_out=[target])
    with pytest.raises(InputError, match="There is a source in"):
        prepare([target], config(), held_out=[make_pair()])


def test_noise_per_pixel_needs_planes(make_pair):
    with pytest.raises(ConfigError, match="noise='pixel' needs noise planes: set noise_channels"):
        prepare([make_pair()], config(noise="pixel"))
    assert prepare([make_pair()], config(noise="pixel", noise_channels=1)).baseline.maps
