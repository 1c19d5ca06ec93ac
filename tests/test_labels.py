"""Label targets and sources from end to end."""

from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix import evaluate, load, train

TINY = {"steps": 2, "width": 4, "depth": 3, "batch": 2, "patch": 32, "validation": 0.0}


@pytest.fixture(scope="module")
def nuclei() -> tuple[np.ndarray, np.ndarray]:
    """A field of discs: intensities (uint8) and instances (uint16)."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    labels = np.zeros((96, 96), np.uint16)
    for number, (i, j) in enumerate([(a, b) for a in range(8, 96, 20) for b in range(8, 96, 20)]):
        labels[(y - i) ** 2 + (x - j) ** 2 < 40] = number + 1
    image = rng.normal(60, 8, labels.shape) + 100 * (labels > 0)
    return image.clip(0, 255).astype(np.uint8), labels


def test_instances_come_back_as_instances(nuclei, tmp_path):
    image, labels = nuclei
    translator = train(image, labels, **TINY)
    assert (translator.config.target_kind, translator.config.adversarial_weight) == ("instances", 0)
    predicted = translator(image)
    assert (predicted.dtype, predicted.shape) == (np.uint16, (96, 96))
    found = np.unique(predicted)
    np.testing.assert_array_equal(found, np.arange(len(found)))  # relabelled without gaps
    translator.save(tmp_path / "model.safetensors")
    again = load(tmp_path / "model.safetensors")
    np.testing.assert_array_equal(again(image), predicted)
    scores = evaluate(again, image, labels)
    assert {"dice", "f1", "pq"} <= set(scores["prediction"])
    assert scores["trivial"]["f1"] > 0.9  # Otsu takes well-separated discs apart


def test_tiles_cut_no_object(nuclei):
    image, labels = nuclei
    translator = train(image, labels, **TINY | {"steps": 60})
    whole = translator(image, tile=0)
    assert whole.any()
    np.testing.assert_array_equal(translator(image, tile=32), whole)


def test_classes_come_back_with_their_values(nuclei):
    image, labels = nuclei
    classes = np.array([0, 7, 9], np.uint8)[np.where(labels > 0, 1 + labels % 2, 0)]
    translator = train(image, classes, target_kind="classes", **TINY)
    predicted = translator(image)
    assert predicted.dtype == np.uint8
    assert set(np.unique(predicted)) <= {0, 7, 9}


def test_labels_are_sources_too(nuclei):
    image, labels = nuclei
    translator = train(labels, image, **TINY)
    assert translator.config.source_kind == "instances"
    assert translator.config.adversarial_weight == 1
    assert translator(labels).dtype == np.uint8


def test_patches_of_labels_are_encoded_where_they_lie(nuclei):
    """Planes that point to neighbours must turn with the patch."""
    from napari_pix2pix.pairs.instance_codec import InstanceCodec
    from napari_pix2pix.pairs.pair import Pair
    from napari_pix2pix.training.config import TrainConfig
    from napari_pix2pix.training.data import prepare

    image, labels = nuclei
    config = TrainConfig(patch=32, batch=16, depth=3, discriminator_layers=1, validation=0.0)
    data = prepare([Pair(image, labels)], config)
    assert isinstance(data.target_codec, InstanceCodec)
    for planes in data.sampler.batch(0).target:
        inside, _, right, below = planes > 0
        # The discs do not touch: neighbours inside are of one object.
        np.testing.assert_array_equal(right[:, :-1], inside[:, :-1] & inside[:, 1:])
        np.testing.assert_array_equal(below[:-1], inside[:-1] & inside[1:])
