"""Label targets and sources from end to end."""

import helpers
import numpy as np
import pytest

from napari_pix2pix import evaluate, load, train

TINY = helpers.TINY | {"steps": 2, "depth": 3, "validation": 0.0}


@pytest.fixture(scope="module")
def nuclei():
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
    assert scores["baseline"]["f1"] > 0.9  # Otsu takes well-separated discs apart


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
    from napari_pix2pix.data._instance_codec import InstanceCodec
    from napari_pix2pix.data.pair import Pair
    from napari_pix2pix.training.config import TrainConfig
    from napari_pix2pix.training.dataset import prepare

    image, labels = nuclei
    config = TrainConfig(patch=32, batch=16, depth=3, discriminator_layers=1, validation=0.0)
    data = prepare([Pair(image, labels)], config)
    assert isinstance(data.target_codec, InstanceCodec)
    for planes in data.sampler.batch(0).target:
        inside, _, right, below = planes > 0
        # The discs do not touch: neighbours inside are of one object.
        np.testing.assert_array_equal(right[:, :-1], inside[:, :-1] & inside[:, 1:])
        np.testing.assert_array_equal(below[:-1], inside[:-1] & inside[1:])


def rare_class(lazy: bool) -> tuple[np.ndarray, np.ndarray]:
    """A large class map with a speck of class 7 that no block is sampled from."""
    import dask.array as da

    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 3, (32, 32)), np.ones((48, 48), int)).astype(np.uint8)
    image = (60 * labels + rng.integers(0, 30, labels.shape)).astype(np.uint8)
    labels[2:8, 2:8] = 7
    return image, da.from_array(labels, chunks=96) if lazy else labels


@pytest.mark.parametrize("what", ["source", "target"])
def test_a_class_of_a_speck_is_found_before_training(what):
    image, labels = rare_class(lazy=False)
    given = (labels, image) if what == "source" else (image, labels)
    fields = {f"{what}_kind": "classes", "intensity_jitter": 0.0}
    translator = train(*given, **TINY | {"steps": 1}, **fields)
    assert getattr(translator, f"{what}_codec").values == (0, 1, 2, 7)


def test_a_class_that_is_met_in_training_counts_as_unlabelled(monkeypatch):
    from napari_pix2pix.data import patches

    image, labels = rare_class(lazy=True)
    # Every patch is drawn where the speck is.
    monkeypatch.setattr(
        patches.PatchSampler, "_place", lambda self, rng, side: (self._areas[0], 0, 0, 0)
    )
    with pytest.warns(UserWarning, match="holds label 7, which no block held .* state cla"):
        translator = train(image, labels, target_kind="classes", **TINY | {"validation": 0.1})
    assert translator.target_codec.values == (0, 1, 2)


def test_a_class_that_was_not_trained_on_is_translated_with_a_warning(nuclei):
    image, labels = nuclei
    classes = (labels > 0).astype(np.uint8)
    translator = train(classes, image, source_kind="classes", **TINY)
    classes[3, 4] = 9
    with pytest.warns(UserWarning, match=r"none of the classes trained on \(labels 0, 1\)"):
        assert translator(classes).shape == image.shape


def regions(side: int = 384) -> np.ndarray:
    """Three tissue classes beside the ground, in regions that are larger than a patch."""
    from scipy.ndimage import gaussian_filter

    rough = gaussian_filter(np.random.default_rng(0).normal(size=(side, side)), 40)
    levels = np.quantile(rough, [0.3, 0.5, 0.7])
    return np.digitize(rough, levels).astype(np.uint8)


def test_classes_in_regions_larger_than_a_patch_are_no_instances():
    labels = regions()
    image = (60 * labels + np.random.default_rng(0).integers(0, 30, labels.shape)).astype(np.uint8)
    assert train(image, labels, **TINY | {"steps": 1}).config.target_kind == "classes"


def test_a_set_of_several_kinds_is_said(nuclei):
    image, labels = nuclei
    classes = np.where(labels > 0, 1 + labels % 3, 0).astype(np.uint16)
    targets = [labels, labels, labels, classes]
    fields = TINY | {"steps": 1, "patch": 96}
    with pytest.warns(UserWarning, match="The target of pair 4 looks like classes, and all are t"):
        translator = train([image] * 4, targets, **fields)
    assert translator.config.target_kind == "instances"
    train([image] * 4, targets, target_kind="instances", **fields)  # said, so no warning
