from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.errors import InputError
from napari_pix2pix.evaluation import Measures, score_images
from napari_pix2pix.metrics.images import image_scores
from napari_pix2pix.metrics.segmentation import segment_otsu


def blobs(seed: int) -> np.ndarray:
    image = np.zeros((64, 64), np.float32)
    for y, x in np.random.default_rng(seed).integers(8, 56, (4, 2)):
        image[y - 5 : y + 5, x - 5 : x + 5] = 1000
    return image


def test_each_frame_has_both_sides_and_its_name(texture, exam_of_images):
    truth = texture(3, 40, 48)
    exam = exam_of_images(truth, lambda planes: planes + 10)
    told = []
    marks = [made for _, made in score_images([exam], Measures(), told.append)]
    assert [one.name for one in marks] == [f"field, frame {i}" for i in range(3)]
    assert told == pytest.approx([1 / 3, 2 / 3, 1])
    expected = image_scores(
        truth[1] / 2 + 100, truth[1], data_range=exam.codec.data_range, full=True
    )
    assert marks[1].sides["baseline"].scores == pytest.approx(expected, nan_ok=True, rel=1e-5)
    assert marks[1].sides["prediction"].scores["l1"] == pytest.approx(10, rel=1e-4)


def test_a_frame_without_a_pixel_that_counts_is_not_predicted(texture, exam_of_images):
    truth = texture(2, 40, 48)
    truth[0] = np.nan
    exam = exam_of_images(truth[::-1].copy(), lambda planes: planes)
    frames = [made for _, made in score_images([exam], Measures())]
    assert [one is None for one in frames] == [False, True]


def test_what_a_segmenter_finds_is_compared(exam_of_images):
    truth = blobs(0)
    half = exam_of_images(truth, lambda planes: np.where(np.arange(64) < 32, planes, 0))
    same = exam_of_images(truth, lambda planes: planes)
    marks = [made for _, made in score_images([half, same], Measures(segment_otsu))]
    found = [one.sides["prediction"].scores["segmented_f1"] for one in marks]
    assert found[0] < 1
    assert found[1] == 1


def test_a_segmenter_sees_nothing_of_what_does_not_count(exam_of_images):
    truth = blobs(0)
    mask = np.ones(truth.shape, bool)
    mask[:, 40:] = False
    seen = []

    def segmenter(image):
        seen.append(image)
        return image > 500

    exam = exam_of_images(truth, lambda planes: planes + 5e5 * ~mask, mask=mask)
    ((_, made),) = score_images([exam], Measures(segmenter))
    assert made.sides["prediction"].scores["segmented_dice"] == 1
    assert {image.shape for image in seen} == {(64, 64)}
    assert all(image.max() <= 1000 for image in seen)


@pytest.mark.parametrize(
    ("measures", "kind", "has_labels", "words"),
    [
        (Measures(segment_otsu), "instances", False, "labels already"),
        (Measures(), "image", True, "no segmenter"),
    ],
)
def test_measures_without_a_meaning_are_refused(measures, kind, has_labels, words):
    with pytest.raises(InputError, match=words):
        measures.check(kind, has_labels=has_labels)


def test_features_that_are_no_row_are_refused(texture, exam_of_images):
    exam = exam_of_images(texture(40, 48), lambda planes: planes)
    with pytest.raises(InputError, match=r"shape \(3,\).*row for each"):
        list(score_images([exam], Measures(features=lambda images: np.zeros(3))))
