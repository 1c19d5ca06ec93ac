import numpy as np
import pytest
from helpers import run_python

from napari_pix2pix.metrics.images import image_scores
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores
from napari_pix2pix.metrics.names import describe_score, primary_metric


def test_primary_metric_is_that_of_the_kind():
    assert primary_metric({"l1": 3.0, "pearson": 0.5}) == ("Pearson", 0.5)
    assert primary_metric({"dice": 0.9, "iou": 0.8}) == ("Dice", 0.9)
    assert primary_metric({"dice": 0.9, "f1": 0.8}) == ("F1", 0.8)


def test_a_threshold_a_class_and_a_segmenter_are_in_the_title():
    titles = [describe_score(key).title for key in ("f1_75", "dice_2", "segmented_f1")]
    assert titles == ["F1 at 0.75", "Dice of class 2", "F1 segmented"]
    with pytest.raises(KeyError, match="'sharpness' has no description"):
        describe_score("sharpness")


@pytest.mark.parametrize("kind", ["image", "classes", "instances"])
def test_every_score_has_a_title_of_its_own(kind):
    image, labels = np.random.default_rng(0).random((16, 16)), np.arange(4).reshape(2, 2)
    if kind == "image":
        keys = image_scores(image, image, data_range=1, full=True)
    else:
        keys = pool_label_scores([label_counts(labels, labels, kind=kind)], full=True)
    assert len({describe_score(key).title for key in keys}) == len(keys)


def test_names_are_imported_without_numpy():
    code = "import sys, napari_pix2pix.metrics.names; print('numpy' in sys.modules)"
    assert run_python(code) == ["False"]
