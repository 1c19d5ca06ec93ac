from __future__ import annotations

import json

import numpy as np
import pytest

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics._discriminant_baseline import ClassMap


def noisy(labels: np.ndarray, offset: float = 0.0) -> np.ndarray:
    return labels + offset + np.random.default_rng(0).normal(0, 0.1, labels.shape)


LABELS = np.random.default_rng(1).integers(1, 4, (1, 20, 30)).astype(np.uint8)


@pytest.mark.parametrize("offset", [0.0, 30000.0])
def test_a_class_between_two_others_is_found(offset):
    source = noisy(LABELS, offset)
    fitted = ClassMap.fit([(source[:, :10], LABELS[:, :10], None)])
    np.testing.assert_array_equal(fitted.predict(source), LABELS)


def test_channels_that_tell_nothing_do_no_harm():
    source = np.concatenate([np.zeros(LABELS.shape), noisy(LABELS) * 1e-4, noisy(LABELS) * 1e5])
    fitted = ClassMap.fit([(source, LABELS, None)])
    assert np.isfinite(fitted.weights).all()
    assert np.mean(fitted.predict(source) == LABELS) > 0.99


def test_channels_without_noise_are_enough():
    source = np.concatenate([LABELS.astype(float), noisy(LABELS) * 0])
    fitted = ClassMap.fit([(source, LABELS, None)])
    np.testing.assert_array_equal(fitted.predict(source), LABELS)


def test_masked_and_unknown_pixels_do_not_count():
    source, target = noisy(LABELS), LABELS.copy()
    valid = np.ones(LABELS.shape, bool)
    valid[:, :5] = False
    target[:, :5] = 77
    source[:, 5] = np.nan
    fitted = ClassMap.fit([(source, target, valid)])
    assert fitted.values == (1, 2, 3)
    np.testing.assert_array_equal(fitted.predict(source)[:, 6:], LABELS[:, 6:])


def test_pixels_are_pooled_over_pairs():
    source = noisy(LABELS)
    whole = ClassMap.fit([(source, LABELS, None)])
    parts = ClassMap.fit(
        [(source[:, :8], LABELS[:, :8], None), (source[:, 8:], LABELS[:, 8:], None)]
    )
    np.testing.assert_allclose(parts.weights, whole.weights)


def test_unfit_pairs_are_refused():
    source = noisy(LABELS)
    with pytest.raises(InputError, match="No pixel is valid"):
        ClassMap.fit([(source, LABELS, np.zeros(LABELS.shape, bool))])
    with pytest.raises(InputError, match="fitted to 1 channels"):
        ClassMap.fit([(source, LABELS, None)]).predict(np.zeros((2, 4, 4)))


def test_a_map_survives_json():
    fitted = ClassMap.fit([(noisy(LABELS), LABELS, None)])
    assert ClassMap.from_dict(json.loads(json.dumps(fitted.to_dict()))) == fitted
