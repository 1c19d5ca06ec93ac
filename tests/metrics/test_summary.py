import numpy as np
import pytest

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.images import image_scores
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores
from napari_pix2pix.metrics.objects import measure_objects
from napari_pix2pix.metrics.summary import frechet_distance, pool_scores, score_image

TRUTH = np.array([[[1, 1, 0, 2, 2, 0, 3, 3]]], np.uint16)
FOUND = np.array([[[1, 1, 0, 2, 2, 0, 0, 0]]], np.uint16)
ALL = np.ones((1, 1, 8), bool)


def test_one_image_has_its_own_scores():
    labels = score_image(FOUND, TRUTH, kind="instances", valid=ALL)
    counts = label_counts(FOUND, TRUTH, kind="instances")
    assert labels.scores == pool_label_scores([counts])
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 1, 16, 16))
    valid = np.ones((1, 16, 16), bool)
    image = score_image(a, b, kind="image", valid=valid, data_range=(1.0,))
    assert image.scores == image_scores(a, b, data_range=1.0)
    assert image.weight == 256


def test_objects_of_a_set_are_counted_together():
    alone = score_image(TRUTH, TRUTH, kind="instances", valid=ALL)
    worse = score_image(FOUND, TRUTH, kind="instances", valid=ALL)
    # 3 + 2 found of 6, none too many.
    assert pool_scores([alone, worse])["f1"] == pytest.approx(2 * 5 / (5 + 6))


def test_images_are_weighted_by_their_pixels():
    rng = np.random.default_rng(0)
    small, large = rng.random((1, 8, 8)), rng.random((1, 16, 16))
    scored = [
        score_image(
            image + offset, image, kind="image", valid=np.ones(image.shape, bool), data_range=(1,)
        )
        for image, offset in ((small, 1.0), (large, 0.0))
    ]
    assert pool_scores(scored)["l1"] == pytest.approx(64 / (64 + 256))


def test_what_a_segmenter_finds_is_counted_over_the_set():
    image = np.random.default_rng(0).random((1, 8, 8))
    plain = score_image(image, image, kind="image", valid=np.ones((1, 8, 8), bool), data_range=(1,))
    all_, few = (label_counts(one, TRUTH, kind="instances") for one in (TRUTH, FOUND))
    objects = measure_objects(image, image, TRUTH.repeat(8, axis=1), np.ones((1, 8, 8), bool))
    both = [plain.with_segmented(counts, objects) for counts in (all_, few)]
    pooled = pool_scores(both)
    assert pooled["segmented_f1"] == pytest.approx(2 * 5 / (5 + 6))
    assert pooled["l1"] == 0
    assert pooled["segmented_count_error"] == pytest.approx(1 / 6)
    assert pooled["object_mean_error"] == 0
    assert both[1].scores["segmented_f1"] == pytest.approx(0.8)


# --- Fréchet distances ---------------------------------------------------------------------------


def test_normal_distributions_on_a_line():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (500, 1)), rng.normal(5, 3, (400, 1))
    expected = (first.mean() - second.mean()) ** 2 + (first.std(ddof=1) - second.std(ddof=1)) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected)


def test_it_is_0_for_the_same_and_symmetric_with_fewer_rows_than_columns():
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (5, 12)), rng.normal(1, 2, (7, 12))
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first))
    assert frechet_distance(first, second) > 1


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (np.zeros((1, 3)), np.zeros((4, 3)), r"\(1, 3\) and \(4, 3\).*2 images"),
        (np.zeros((4, 2)), np.zeros((4, 3)), "same number of columns"),
        (np.zeros(4), np.zeros(4), r"\(4,\)"),
        (np.full((4, 2), np.nan), np.zeros((4, 2)), "NaN"),
    ],
)
def test_what_is_no_table_is_refused(first, second, words):
    with pytest.raises(InputError, match=words):
        frechet_distance(first, second)
