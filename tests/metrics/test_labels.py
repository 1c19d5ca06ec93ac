import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores

TRUTH = np.zeros((4, 10), np.uint16)
TRUTH[:, :4] = 1  # 16 pixels
TRUTH[:2, 5:10] = 2  # 10 pixels
TRUTH[3, 9] = 3  # 1 pixel


def label_scores(found, truth, *, full: bool = False, **how) -> dict[str, float]:
    """Scores of one image."""
    return pool_label_scores([label_counts(found, truth, **how)], full=full)


def prediction() -> np.ndarray:
    """Object 1 whole, 6 of 10 pixels of object 2, nothing of 3, and one object that isn't."""
    found = np.zeros(TRUTH.shape, np.uint8)
    found[:, :4] = 7
    found[:2, 5:8] = 9
    found[3, 6:8] = 200
    return found


def test_instances_by_hand():
    scores = label_scores(prediction(), TRUTH, kind="instances")
    # Foreground: 22 common pixels, 24 predicted, 27 true. IoU of the matches: 1 and 6 / 10.
    assert scores == pytest.approx(
        {
            "dice": 44 / 51,
            "iou": 22 / 29,
            "f1": 4 / 6,
            "f1_75": 2 / 6,
            # At 0.5 and 0.55 two match; an IoU of 0.6 is not above 0.6.
            "f1_mean": (2 * 4 / 6 + 8 * 2 / 6) / 10,
            "matched_iou": 0.8,
            "pq": 1.6 / 3,
        }
    )


def test_numbers_and_areas_of_objects_by_hand():
    empty = np.zeros(TRUTH.shape, int)
    counts = [
        label_counts(found, true, kind="instances")
        for found, true in ((prediction(), TRUTH), (TRUTH, empty), (empty, TRUTH))
    ]
    scores = pool_label_scores(counts, full=True)
    # Of the first image 3 of 3 are found, though one of them is not there; areas 16 and 6 of 10.
    assert counts[0].areas == ((16, 16), (6, 10))
    assert scores["count_error"] == pytest.approx((0 + 3 + 3) / (3 + 0 + 3))
    assert scores["area_error"] == pytest.approx(4 / 26)
    assert math.isnan(scores["area_pearson"])  # two objects have none
    many = np.arange(1, 7).repeat(np.arange(1, 7))[np.newaxis]
    assert label_scores(many, many, kind="instances", full=True)["area_pearson"] == pytest.approx(1)


def test_a_half_is_no_match():
    truth = np.array([[1, 1, 0, 0]])
    assert label_scores(np.array([[1, 0, 0, 0]]), truth, kind="instances")["f1"] == 0


def test_pooled_objects_are_counted_and_pixels_averaged():
    empty = np.zeros((4, 10), int)
    counts = [
        label_counts(prediction(), TRUTH, kind="instances"),
        label_counts(empty, TRUTH, kind="instances"),
        label_counts(empty, empty, kind="instances"),
    ]
    assert (counts[0].predicted, counts[0].true, counts[0].matched[0]) == (3, 3, 2)
    pooled = pool_label_scores(counts)
    assert pooled["f1"] == pytest.approx(4 / 9)
    assert pooled["dice"] == pytest.approx((44 / 51 + 0) / 2)
    assert pooled["matched_iou"] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("found", "true", "score"), [(0, 0, math.nan), (1, 0, 0), (0, 1, 0), (1, 1, 1)]
)
def test_what_is_empty_on_one_side_has_a_score(found, true, score):
    scores = label_scores(np.full((3, 3), found), np.full((3, 3), true), kind="instances")
    np.testing.assert_equal([scores[key] for key in ("dice", "iou", "f1", "pq")], [score] * 4)
    assert math.isnan(scores["matched_iou"]) == (not (found and true))
    classes = label_scores(np.full(4, found), np.full(4, true), kind="classes")
    np.testing.assert_equal(classes["dice"], score)


def test_classes_by_hand():
    truth = np.array([[0, 0, 1, 1, 1, 4, 4, 4]])
    found = np.array([[0, 1, 1, 1, 0, 4, 0, 5]])
    scores = label_scores(found, truth, kind="classes")
    assert scores == pytest.approx(
        {
            "dice": (4 / 6 + 2 / 4 + 0) / 3,
            "iou": (2 / 4 + 1 / 3 + 0) / 3,
            "dice_1": 4 / 6,
            "dice_4": 2 / 4,
            "dice_5": 0.0,
        }
    )


def test_a_class_is_averaged_over_the_images_that_hold_it():
    one = label_counts(np.array([1, 1, 0]), np.array([1, 0, 0]), kind="classes")
    other = label_counts(np.array([2, 2, 0]), np.array([2, 2, 0]), kind="classes")
    pooled = pool_label_scores([one, other])
    assert pooled["dice_1"] == pytest.approx(2 / 3)
    assert pooled["dice_2"] == 1
    assert pooled["dice"] == pytest.approx((2 / 3 + 1) / 2)


def test_booleans_are_a_foreground():
    found, truth = np.array([True, True, False]), np.array([True, False, False])
    assert label_scores(found, truth, kind="classes")["dice"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("kind", ["classes", "instances"])
def test_masked_pixels_do_not_count(kind):
    valid = np.ones((1, 4, 10), bool)
    valid[:, 3] = False
    found = prediction()
    found[3] = 50
    masked = label_scores(found[np.newaxis], TRUTH[np.newaxis], kind=kind, valid=valid)
    assert masked == label_scores(prediction()[:3], TRUTH[:3], kind=kind)


@settings(deadline=None, max_examples=50)
@given(
    labels=hnp.arrays(np.uint16, (6, 7), elements=st.integers(0, 5)),
    kind=st.sampled_from(["classes", "instances"]),
)
def test_the_truth_is_perfect_and_objects_have_no_order(labels, kind):
    scores = label_scores(labels, labels, kind=kind)
    assert all(math.isnan(score) or score == 1 for score in scores.values())
    if kind == "instances":
        renumbered = np.where(labels, 60000 - labels.astype(int), 0)
        np.testing.assert_equal(label_scores(renumbered, labels, kind=kind), scores)


def test_thousands_of_objects():
    truth = np.arange(1, 4097).reshape(64, 64).repeat(8, 0).repeat(8, 1)
    found = np.roll(truth, 1, axis=1)
    # 7 of 9 pixels in a row are common, but for the last column that comes round.
    scores = label_scores(found, truth, kind="instances")
    assert scores["f1"] == 1
    assert scores["matched_iou"] == pytest.approx(7 / 9)


@pytest.mark.parametrize(
    ("found", "truth", "valid", "message"),
    [
        (np.zeros((2, 2)), np.zeros((2, 2), int), None, "prediction holds float64"),
        (np.zeros((2, 2), int), np.zeros((2, 2)), None, "truth holds float64"),
        (np.zeros((2, 2), int), np.zeros((2, 3), int), None, "same shape"),
        (np.zeros((2, 2), int), np.zeros((2, 2), int), np.zeros((2, 2)), "No pixel"),
        (np.zeros((2, 2), int), np.zeros((2, 2), int), np.ones((3, 2)), "does not fit"),
    ],
)
def test_what_cannot_be_scored_is_refused(found, truth, valid, message):
    with pytest.raises(InputError, match=message):
        label_scores(found, truth, kind="instances", valid=valid)


def test_sets_are_of_one_kind():
    image = np.ones((2, 2), int)
    counts = [label_counts(image, image, kind=kind) for kind in ("classes", "instances")]
    for wrong in ([], counts):
        with pytest.raises(InputError, match="of one kind"):
            pool_label_scores(wrong)


def test_full_scores_have_f1_at_each_threshold():
    scores = label_scores(prediction(), TRUTH, kind="instances", full=True)
    each = [scores["f1"], *(scores[f"f1_{share}"] for share in range(55, 100, 5))]
    assert each == sorted(each, reverse=True)
    assert scores["f1_mean"] == pytest.approx(sum(each) / 10)
    quick = label_scores(prediction(), TRUTH, kind="instances")
    assert {key: scores[key] for key in quick} == quick
    assert len(scores) == len(quick) + 8 + 3  # numbers and areas
