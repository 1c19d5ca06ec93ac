"""What is unlabelled enters no loss and no score: pixels, channels, labels."""

import helpers
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from napari_pix2pix import evaluate, train

TINY = helpers.TINY | {"steps": 3, "discriminator_layers": 1, "adversarial_weight": 1.0}
TINY |= {"adversarial_start": 0.0, "adversarial_full": 0.0}


def smooth(seed, shape=(80, 64)):
    image = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return (image / image.std()).astype(np.float32)


def same_weights(one, other):
    weights = one.generator.state_dict(), other.generator.state_dict()
    return all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


@pytest.mark.filterwarnings("ignore:.* values are NaN:UserWarning")
def test_a_lacking_channel_is_a_channel_of_nan():
    sources = [smooth(0), smooth(1)]
    first = (sources[0] ** 2, -sources[0])
    nothing = np.full_like(sources[1], np.nan)
    noise = np.random.default_rng(2).normal(9, 9, nothing.shape).astype(np.float32)

    def learn(second):
        return train(sources, [first, (sources[1] ** 2, second)], **TINY)

    lacking, empty = learn(None), learn(nothing)
    assert same_weights(lacking, empty)
    assert lacking.scores == empty.scores
    assert lacking.target_codec == empty.target_codec
    assert np.isfinite(list(lacking.scores.prediction.values())).all()
    assert not same_weights(lacking, learn(noise))


def test_a_lacking_channel_is_left_out_of_an_evaluation():
    source = smooth(0)
    model = train(source, (source**2, -source), **TINY)
    scored = [
        evaluate(model, [source], [target])["prediction"]
        for target in ((source**2, None), (source**2, np.full_like(source, np.nan)))
    ]
    assert scored[0] == scored[1]
    assert scored[0] != evaluate(model, [source], [(source**2, -source)])["prediction"]


@pytest.mark.filterwarnings("ignore:The image has pixels that are NaN:UserWarning")
def test_pixels_without_a_number_have_a_baseline_of_integers_too():
    source = smooth(0)
    target = (source**2).clip(0, 25).astype(np.uint8)
    model = train(source, target, **TINY)
    source[3:5, 7] = np.nan
    assert 0 < evaluate(model, source, target)["baseline"]["l1"] < 25


def test_conditions_may_each_lack_what_the_other_has():
    source = smooth(0)
    targets = [(source**2, None), (None, 3 - source)]
    model = train([source, source], targets, condition=["a", "b"], **TINY)
    for condition in "ab":
        assert model(source, condition=condition).shape == (2, *source.shape)
    # The baseline of what a condition lacks is that of the others.
    baseline = model.info.baselines.predict(source[np.newaxis], 0)
    np.testing.assert_allclose(baseline[1], 3 - source, atol=1e-4)


def test_integers_may_lack_channels_too():
    source = smooth(0)
    gray = np.clip(source * 40 + 100, 0, 255).astype(np.uint8)
    model = train([source, smooth(1)], [(gray, 255 - gray), (None, gray)], **TINY)
    assert model(source).dtype == np.uint8


@pytest.mark.parametrize("beneath", [0, 1, 2])
def test_labels_outside_the_mask_are_no_labels(beneath):
    source = smooth(0)
    labels = np.digitize(source, [-0.5, 0.5]).astype(np.uint8)
    mask = np.ones(labels.shape, bool)
    mask[20:50, 10:40] = False
    other = np.where(mask, labels, beneath).astype(np.uint8)
    # The sampler draws by content inside the mask alone.
    fields = TINY | {"target_kind": "classes"}
    one = train(source, labels, mask=mask, **fields)
    assert same_weights(one, train(source, other, mask=mask, **fields))
    scored = [evaluate(one, source, target, mask=mask)["images"] for target in (labels, other)]
    assert scored[0] == scored[1]
