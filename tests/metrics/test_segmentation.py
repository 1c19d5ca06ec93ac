from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.segmentation import run_segmenter, segment_otsu


def two_disks() -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    return (np.hypot(y - 24, x - 20) < 10) * 1 + (np.hypot(y - 24, x - 37) < 10) * 1.0


def test_touching_disks_are_two_objects() -> None:
    labels = segment_otsu(100 * (two_disks() > 0) + 20)
    assert len(np.unique(labels)) == 3
    assert labels[24, 20] != labels[24, 37]


def test_constant_and_empty_images_have_no_object() -> None:
    assert not segment_otsu(np.full((20, 20), 7, np.uint8)).any()
    assert not segment_otsu(np.full((20, 20), np.nan)).any()


@pytest.mark.parametrize(
    ("returned", "words"),
    [
        (np.zeros((8, 8)), "float64"),
        (np.zeros((8, 9), int), r"\(8, 9\).*\(8, 8\)"),
        (np.zeros((1, 8, 8), int), r"\(1, 8, 8\)"),
        (None, "object"),
    ],
)
def test_a_segmenter_that_returns_no_labels_is_refused(returned, words) -> None:
    with pytest.raises(InputError, match=words):
        run_segmenter(lambda _: returned, np.zeros((8, 8)), (8, 8))


def test_channels_need_a_segmenter_of_ones_own() -> None:
    with pytest.raises(InputError, match=r"one channel, got shape \(3, 8, 8\)"):
        segment_otsu(np.zeros((3, 8, 8)))
    labels = run_segmenter(lambda image: image[0] > 0, np.ones((3, 8, 8)), (8, 8))
    assert labels.shape == (1, 8, 8)
