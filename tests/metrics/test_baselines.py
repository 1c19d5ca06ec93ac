import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics import baselines
from napari_pix2pix.metrics.baselines import (
    Baselines,
    DiscriminantBaseline,
    LinearBaseline,
    fit_baseline,
)
from napari_pix2pix.metrics.segmentation import OtsuBaseline


def triples(values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    source = 50 * values + rng.normal(0, 5, values.shape)
    return [(source[None], values[None], np.ones((1, *values.shape), bool))]


BLOBS = np.zeros((48, 48), np.uint16)
BLOBS[6:20, 6:20] = 1
BLOBS[26:42, 24:44] = 2


@pytest.mark.parametrize(
    ("values", "kind", "wanted"),
    [
        (BLOBS.astype(float), "image", LinearBaseline),
        (BLOBS, "instances", OtsuBaseline),
        (np.minimum(BLOBS, 1), "classes", OtsuBaseline),
        (BLOBS, "classes", DiscriminantBaseline),
    ],
)
def test_each_kind_has_its_map_and_a_file_brings_it_back(values, kind, wanted):
    fitted = fit_baseline(triples(values), kind=kind)
    assert isinstance(fitted, wanted)
    source = triples(values)[0][0]
    again = Baselines.from_dict(json.loads(json.dumps(Baselines((fitted,)).to_dict())))
    assert again == Baselines((fitted,))
    np.testing.assert_array_equal(again.predict(source), fitted.predict(source))


def test_each_condition_has_its_own_map():
    rng = np.random.default_rng(0)
    source = rng.random((1, 32, 32))
    valid = np.ones((1, 32, 32), bool)
    maps = Baselines(
        tuple(fit_baseline([(source, sign * source, valid)], kind="image") for sign in (1.0, -1.0))
    )
    again = Baselines.from_dict(maps.to_dict())
    np.testing.assert_allclose(again.predict(source, 0), source, atol=1e-9)
    np.testing.assert_allclose(again.predict(source, 1), -source, atol=1e-9)


def least_squares(source: np.ndarray, target: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Return the best prediction of numpy's own solver, on all pixels."""
    columns = np.stack([*source, np.ones(source.shape[1:])], axis=-1).astype(np.float64)
    planes = [
        columns @ np.linalg.lstsq(columns[keep], plane[keep], rcond=1e-12)[0]
        for plane, keep in zip(target.astype(np.float64), valid, strict=True)
    ]
    return np.stack(planes)


def random_pair(channels: int, targets: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    source = rng.normal(5, 2, (channels, 12, 15))
    mixing = rng.normal(size=(targets, channels))
    return source, np.tensordot(mixing, source, axes=1) + rng.normal(size=(targets, 12, 15))


@settings(deadline=None, max_examples=30)
@given(channels=st.integers(0, 5), targets=st.integers(1, 3), seed=st.integers(0, 999))
def test_it_is_the_least_squares_fit(channels, targets, seed):
    source, target = random_pair(channels, targets, seed)
    valid = np.random.default_rng(seed).random(target.shape) < 0.7
    fitted = LinearBaseline.fit([(source, target, valid)])
    np.testing.assert_allclose(fitted.predict(source), least_squares(source, target, valid),
                               atol=1e-9)  # fmt: skip


def test_pairs_and_chunks_add_up_to_one_fit(monkeypatch):
    source, target = random_pair(3, 2)
    whole = LinearBaseline.fit([(source, target, None)])
    monkeypatch.setattr(baselines, "_CHUNK", 17)
    pieces = [(source[:, i : i + 5], target[:, i : i + 5], None) for i in range(0, 12, 5)]
    parts = LinearBaseline.fit(iter(pieces))
    np.testing.assert_allclose(parts.weights, whole.weights, rtol=1e-10)
    np.testing.assert_allclose(parts.offsets, whole.offsets, rtol=1e-10)


@pytest.mark.parametrize("constant", [0.0, 0.1, 30000.0])
def test_a_constant_source_channel_is_no_harm(constant):
    source, target = random_pair(2, 1)
    source[1] = constant
    everywhere = np.ones(target.shape, bool)
    fitted = LinearBaseline.fit([(source, target, None)])
    expected = least_squares(source[:1], target, everywhere)
    np.testing.assert_allclose(fitted.predict(source), expected, atol=1e-9)
    assert fitted.weights[0][1] == 0  # else an image with another constant would be shifted


def test_collinear_source_channels_share_the_weight():
    source, _ = random_pair(1, 1)
    twins = np.concatenate([source, source, 3 * source + 1])
    fitted = LinearBaseline.fit([(twins, 2 * source + 7, None)])
    np.testing.assert_allclose(fitted.predict(twins), 2 * source + 7, atol=1e-9)
    assert np.abs(fitted.weights).max() < 2.1


def test_a_small_signal_on_a_large_offset_is_found():
    rng = np.random.default_rng(0)
    source = (60000 + rng.integers(0, 5, (1, 64, 64))).astype(np.uint16)
    target = (source.astype(np.float32) - 60000) * 1e-4
    fitted = LinearBaseline.fit([(source, target, None)])
    np.testing.assert_allclose(fitted.weights, [[1e-4]], rtol=1e-6)


def test_units_of_a_channel_do_not_matter():
    source, target = random_pair(2, 1)
    scaled = source * np.array([1e-9, 1e9])[:, None, None]
    np.testing.assert_allclose(
        LinearBaseline.fit([(scaled, target, None)]).predict(scaled),
        LinearBaseline.fit([(source, target, None)]).predict(source),
        rtol=1e-9,
    )


def test_pixels_that_are_not_finite_never_count():
    source, target = random_pair(2, 2)
    clean = LinearBaseline.fit([(source[:, 2:], target[:, 2:], None)])
    source[0, 0], target[:, 1] = np.nan, np.inf
    spoilt = LinearBaseline.fit([(source, target, None)])
    np.testing.assert_allclose(spoilt.weights, clean.weights, rtol=1e-9)


def test_without_a_source_it_is_the_mean():
    _, target = random_pair(1, 2)
    fitted = LinearBaseline.fit([(np.empty((0, 12, 15)), target, None)])
    np.testing.assert_allclose(fitted.offsets, target.mean(axis=(1, 2)))
    assert fitted.predict(np.empty((0, 4, 4))).shape == (2, 4, 4)


@pytest.mark.parametrize(
    ("pairs", "sentence"),
    [
        ([], "no pair"),
        ([(np.zeros((1, 3, 4)), np.zeros((1, 4, 3)), None)], r"\(1, 3, 4\).*\(1, 4, 3\)"),
        ([(np.zeros((3, 4)), np.zeros((1, 3, 4)), None)], r"\(3, 4\)"),
        ([(np.zeros((1, 3, 4)), np.full((1, 3, 4), np.nan), None)], "channel 0 has no valid"),
        (
            [(np.zeros((1, 3, 4)), np.zeros((1, 3, 4)), None),
             (np.zeros((2, 3, 4)), np.zeros((1, 3, 4)), None)],
            "have 2 and 1 channels",
        ),
    ],
)  # fmt: skip
def test_what_can_not_be_fitted_is_refused(pairs, sentence):
    with pytest.raises(InputError, match=sentence):
        LinearBaseline.fit(pairs)


def test_another_number_of_channels_and_nothing_valid_are_refused():
    with pytest.raises(InputError, match="fitted to 2 channels"):
        LinearBaseline(weights=((1.0, 2.0),), offsets=(0.0,)).predict(np.zeros((3, 4, 4)))
    source = noisy(LABELS)
    with pytest.raises(InputError, match="fitted to 1 channel"):
        DiscriminantBaseline.fit([(source, LABELS, None)]).predict(np.zeros((2, 4, 4)))
    with pytest.raises(InputError, match="No pixel is valid"):
        DiscriminantBaseline.fit([(source, LABELS, np.zeros(LABELS.shape, bool))])


def noisy(labels: np.ndarray, offset: float = 0.0) -> np.ndarray:
    return labels + offset + np.random.default_rng(0).normal(0, 0.1, labels.shape)


LABELS = np.random.default_rng(1).integers(1, 4, (1, 20, 30)).astype(np.uint8)


@pytest.mark.parametrize("offset", [0.0, 30000.0])
def test_a_class_between_two_others_is_found(offset):
    source = noisy(LABELS, offset)
    fitted = DiscriminantBaseline.fit([(source[:, :10], LABELS[:, :10], None)])
    np.testing.assert_array_equal(fitted.predict(source), LABELS)


def test_channels_that_tell_nothing_do_no_harm():
    source = np.concatenate([np.zeros(LABELS.shape), noisy(LABELS) * 1e-4, noisy(LABELS) * 1e5])
    fitted = DiscriminantBaseline.fit([(source, LABELS, None)])
    assert np.isfinite(fitted.weights).all()
    assert np.mean(fitted.predict(source) == LABELS) > 0.99


def test_channels_without_noise_are_enough():
    source = np.concatenate([LABELS.astype(float), noisy(LABELS) * 0])
    fitted = DiscriminantBaseline.fit([(source, LABELS, None)])
    np.testing.assert_array_equal(fitted.predict(source), LABELS)


def test_masked_and_unknown_pixels_do_not_count():
    source, target = noisy(LABELS), LABELS.copy()
    valid = np.ones(LABELS.shape, bool)
    valid[:, :5] = False
    target[:, :5] = 77
    source[:, 5] = np.nan
    fitted = DiscriminantBaseline.fit([(source, target, valid)])
    assert fitted.values == (1, 2, 3)
    np.testing.assert_array_equal(fitted.predict(source)[:, 6:], LABELS[:, 6:])


def test_discriminants_pool_pixels_over_pairs():
    source = noisy(LABELS)
    whole = DiscriminantBaseline.fit([(source, LABELS, None)])
    parts = DiscriminantBaseline.fit(
        [(source[:, :8], LABELS[:, :8], None), (source[:, 8:], LABELS[:, 8:], None)]
    )
    np.testing.assert_allclose(parts.weights, whole.weights)
