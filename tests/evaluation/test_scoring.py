from dataclasses import replace

import numpy as np
import pytest
from skimage.measure import label

from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.evaluation import Measures, score_images
from napari_pix2pix.metrics.images import image_scores
from napari_pix2pix.metrics.segmentation import segment_otsu
from napari_pix2pix.metrics.summary import pool_scores


def blobs(seed: int) -> np.ndarray:
    image = np.zeros((64, 64), np.float32)
    for y, x in np.random.default_rng(seed).integers(8, 56, (4, 2)):
        image[y - 5 : y + 5, x - 5 : x + 5] = 1000
    return image


def test_each_frame_has_both_sides_and_its_name(texture, case_of_images):
    truth = texture(3, 40, 48)
    case = case_of_images(truth, lambda planes: planes + 10)
    told = []
    images = [scores for _, scores in score_images([case], Measures(), told.append)]
    assert [image.name for image in images] == [f"field, frame {i}" for i in range(3)]
    assert told == pytest.approx([1 / 3, 2 / 3, 1])
    expected = image_scores(
        truth[1] / 2 + 100, truth[1], data_range=case.codec.data_range, full=True
    )
    assert images[1].scored["baseline"].scores == pytest.approx(expected, nan_ok=True, rel=1e-5)
    assert images[1].scored["prediction"].scores["l1"] == pytest.approx(10, rel=1e-4)


def test_a_frame_without_a_pixel_that_counts_is_not_predicted(texture, case_of_images):
    truth = texture(2, 40, 48)
    truth[0] = np.nan
    case = case_of_images(truth[::-1].copy(), lambda planes: planes)
    frames = list(score_images([case], Measures()))
    assert [one is None for one in frames] == [False, True]


def test_what_a_segmenter_finds_is_compared(case_of_images):
    truth = blobs(0)
    half = case_of_images(truth, lambda planes: np.where(np.arange(64) < 32, planes, 0))
    same = case_of_images(truth, lambda planes: planes)
    images = [scores for _, scores in score_images([half, same], Measures(segment_otsu))]
    found = [image.scored["prediction"].scores["segmented_f1"] for image in images]
    assert found[0] < 1
    assert found[1] == 1
    # Objects of the truth are measured in both: in one image half of them are gone.
    errors = [image.scored["prediction"].scores["object_sum_error"] for image in images]
    assert errors[0] > 0.1
    assert errors[1] == 0
    assert pool_scores([image.scored["prediction"] for image in images])[
        "object_sum_error"
    ] == pytest.approx(errors[0] / 2)


@pytest.mark.parametrize("everywhere", [False, True])
def test_pixels_of_negative_labels_are_neither_object_nor_background(case_of_images, everywhere):
    truth = blobs(0)
    unknown = np.broadcast_to(everywhere | (np.arange(64) > 40), (64, 64))
    labels = np.where(unknown, -1, segment_otsu(truth))
    # The prediction is wrong where nothing is known of the truth, and nowhere else.
    case = case_of_images(truth, lambda planes: np.where(unknown, 1000 - planes, planes))
    case = replace(case, labels=open_pair(Pair(None, labels)))
    ((_, scores),) = score_images([case], Measures(lambda image: label(image > 500)))
    found = scores.scored["prediction"].scores
    assert found["segmented_dice"] == pytest.approx(np.nan if everywhere else 1, nan_ok=True)
    assert found["object_mean_error"] == pytest.approx(np.nan if everywhere else 0, nan_ok=True)


def test_a_segmenter_sees_nothing_of_what_does_not_count(case_of_images):
    truth = blobs(0)
    mask = np.ones(truth.shape, bool)
    mask[:, 40:] = False
    seen = []

    def segmenter(image):
        seen.append(image)
        return image > 500

    case = case_of_images(truth, lambda planes: planes + 5e5 * ~mask, mask=mask)
    ((_, scores),) = score_images([case], Measures(segmenter))
    assert scores.scored["prediction"].scores["segmented_dice"] == 1
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


def test_features_that_are_no_row_are_refused(texture, case_of_images):
    case = case_of_images(texture(40, 48), lambda planes: planes)
    with pytest.raises(InputError, match=r"shape \(3,\).*row for each"):
        list(score_images([case], Measures(features=lambda images: np.zeros(3))))
