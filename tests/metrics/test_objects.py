import math

import numpy as np
import pytest

from napari_pix2pix.metrics.objects import (
    correlation,
    measure_objects,
    object_scores,
    relative_error,
)

LABELS = np.repeat([[0, 1, 1, 0, 5, 0, 7, 7, 7, 0]], 2, axis=0)[np.newaxis]
TRUTH = np.select([LABELS == 1, LABELS == 5, LABELS == 7], [110.0, 120.0, 150.0], 100.0)
ALL = np.ones((1, *LABELS.shape[1:]), bool)


def scores(prediction, truth=TRUTH, valid=ALL) -> dict[str, float]:
    return object_scores([measure_objects(prediction, truth, LABELS, valid)])


def test_measured_by_hand():
    measured = measure_objects(2 * TRUTH, TRUTH, LABELS, ALL)
    assert measured.true.tolist() == [[10, 20, 50]]
    assert measured.predicted.tolist() == [[20, 40, 100]]
    assert measured.areas.tolist() == [[4, 2, 6]]
    brighter = TRUTH + 40 * (LABELS == 7)
    assert scores(brighter) == pytest.approx(
        {
            "object_mean_error": 40 / 80,
            "object_mean_pearson": np.corrcoef([10, 20, 50], [10, 20, 90])[0, 1],
            "object_sum_error": 240 / 380,
            "object_sum_pearson": np.corrcoef([40, 40, 300], [40, 40, 540])[0, 1],
        }
    )


def test_negative_labels_are_no_object():
    negative = np.where(LABELS == 0, -1, LABELS)
    measured = measure_objects(2 * TRUTH, TRUTH, negative, ALL)
    assert measured.true.tolist() == [[10, 20, 50]]
    assert measured.predicted.tolist() == [[20, 40, 100]]


def test_an_offset_is_background_and_a_gain_is_an_error():
    same, twice = scores(TRUTH - 70), scores(2 * TRUTH)
    assert (same["object_mean_error"], same["object_sum_error"]) == (0, 0)
    assert (twice["object_mean_error"], twice["object_sum_error"]) == (1, 1)
    assert twice["object_mean_pearson"] == pytest.approx(1)


def test_objects_of_all_images_and_means_over_channels():
    two = np.concatenate([TRUTH, 3 * TRUTH])
    measured = measure_objects(two * [[[1]], [[2]]], two, LABELS, ALL)
    pooled = object_scores([measured, measured])
    assert pooled["object_mean_error"] == pytest.approx((0 + 1) / 2)
    assert measured.true.shape == (2, 3)


def test_pixels_that_do_not_count_and_objects_without_any():
    valid = ALL.copy()
    valid[..., 4] = False  # all of object 5
    valid[:, 0] = False
    spoilt = np.where(valid, TRUTH, np.nan)
    measured = measure_objects(spoilt, spoilt, LABELS, valid)
    np.testing.assert_equal(measured.true, [[10, np.nan, 50]])
    assert measured.areas.tolist() == [[2, 0, 3]]
    found = scores(spoilt, spoilt, valid)
    assert found["object_mean_error"] == 0
    assert math.isnan(found["object_mean_pearson"])  # two objects have no correlation


def test_no_objects_have_no_scores():
    empty = measure_objects(TRUTH, TRUTH, 0 * LABELS, ALL)
    assert all(math.isnan(score) for score in object_scores([empty]).values())
    assert math.isnan(relative_error(np.zeros(2), np.zeros(2)))


def test_a_prediction_that_is_not_finite_has_no_correlation():
    spoilt = TRUTH.copy()
    spoilt[0, 0, 1] = np.nan
    assert all(math.isnan(score) for score in scores(spoilt).values())
    assert math.isnan(correlation(np.array([1.0, 2, 3]), np.array([4.0, 4, 4])))
