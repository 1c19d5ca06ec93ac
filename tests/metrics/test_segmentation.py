import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from skimage import io
from skimage.color import hed2rgb

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores
from napari_pix2pix.metrics.segmentation import (
    HAEMATOXYLIN,
    OtsuBaseline,
    run_segmenter,
    segment_otsu,
)


def discs(*centres: tuple[int, int], radius: float = 8) -> np.ndarray:
    rows, columns = np.mgrid[:48, :64]
    labels = np.zeros((1, 48, 64), np.uint16)
    for number, (y, x) in enumerate(centres, start=1):
        labels[0, (rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = number
    return labels


LABELS = discs((20, 16), (20, 30), (32, 50))


@pytest.mark.parametrize("bright", [True, False])
def test_the_channel_and_polarity_that_tell_most_are_taken(bright):
    rng = np.random.default_rng(0)
    source = rng.random((3, 48, 64)).astype(np.float32)
    source[1] += np.where((LABELS[0] > 0) == bright, 3, 0)
    otsu = OtsuBaseline.fit([(source, LABELS, None)], kind="instances")
    assert (otsu.channel, otsu.bright) == (1, bright)
    assert np.mean((otsu.predict(source) > 0) == (LABELS > 0)) > 0.99


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "float32", "bool"])
def test_touching_objects_are_parted(dtype):
    source = (LABELS > 0).astype(dtype)
    otsu = OtsuBaseline.fit([(source, LABELS, None)], kind="instances")
    counts = label_counts(otsu.predict(source), LABELS, kind="instances")
    assert (counts.matched[0], counts.predicted) == (3, 3)


def test_haematoxylin_is_a_candidate_of_colours():
    rng = np.random.default_rng(0)
    stains = np.zeros((48, 64, 3))
    stains[..., 0] = np.where(LABELS[0] > 0, 0.12, 0.06)
    stains[..., 2] = rng.random((48, 64)) * 0.2  # a brown stain hides it in each colour
    source = np.moveaxis((hed2rgb(stains) * 255).astype(np.uint8), -1, 0)
    pair = (source, LABELS, None)
    otsu = OtsuBaseline.fit([pair], kind="instances", rgb=True)
    assert (otsu.channel, otsu.white) == (HAEMATOXYLIN, 255)
    assert otsu.bright
    scaled = (source / np.float32(255), LABELS, None)
    assert OtsuBaseline.fit([scaled], kind="instances", rgb=True).white == 1
    assert OtsuBaseline.fit([pair], kind="instances").channel != HAEMATOXYLIN
    assert OtsuBaseline.fit([pair], kind="instances", rgb=True, channel=0).channel == 0


def test_masked_pixels_do_not_count():
    source = np.stack([LABELS[0] > 0, LABELS[0] == 0]).astype(float)
    source[0, 24:] = 0
    valid = np.zeros(LABELS.shape, bool)
    valid[:, :24] = True
    source[1, 30:36] = 1
    assert OtsuBaseline.fit([(source, LABELS, valid)], kind="instances").channel == 0


def test_small_objects_are_left_out():
    source = (discs((20, 16), (20, 48)) + discs((40, 40), radius=1)).astype(float)
    kept = OtsuBaseline("instances", 0, True, min_distance=3).predict(source > 0)
    assert kept.max() == 3
    cleaned = OtsuBaseline("instances", 0, True, min_distance=3, smallest=6).predict(source > 0)
    np.testing.assert_array_equal(np.unique(cleaned), [0, 1, 2])


def test_two_classes_keep_their_values():
    target = np.where(LABELS > 0, 7, 2)
    otsu = OtsuBaseline.fit([(target.astype(float), target, None)], kind="classes")
    np.testing.assert_array_equal(otsu.predict(target.astype(float)), target)


def test_a_constant_or_unknown_image_holds_nothing():
    otsu = OtsuBaseline("instances", 0, True, min_distance=3)
    assert not otsu.predict(np.full((1, 8, 8), 5)).any()
    assert not otsu.predict(np.full((1, 8, 8), np.nan)).any()


def test_unfit_pairs_are_refused():
    source = np.zeros((1, 4, 4))
    with pytest.raises(InputError, match="no source channel"):
        OtsuBaseline.fit([], kind="instances")
    with pytest.raises(InputError, match="no source channel"):
        OtsuBaseline.fit([(source[:0], source.astype(int), None)], kind="instances")
    with pytest.raises(InputError, match="3 classes"):
        OtsuBaseline.fit([(source, np.arange(16).reshape(1, 4, 4) % 3, None)], kind="classes")
    with pytest.raises(InputError, match="needs 2 channels"):
        OtsuBaseline("instances", 1, True).predict(source)


def test_otsu_survives_json():
    otsu = OtsuBaseline("classes", HAEMATOXYLIN, False, (3, 9), 0, 1, 255.0)
    assert OtsuBaseline.from_dict(json.loads(json.dumps(otsu.to_dict()))) == otsu


@pytest.mark.parametrize(
    ("name", "rgb", "channel", "f1", "dice"),
    [
        ("nuclei_fluorescence", False, None, 0.79, 0.895),
        ("nuclei_histology", True, HAEMATOXYLIN, 0.42, 0.813),
        ("nuclei_histology", True, None, 0.60, 0.868),
    ],
)
def test_real_nuclei_reach_what_others_measured(real_data, name, rgb, channel, f1, dice):
    train, test = (_pairs(real_data / name / part) for part in ("train", "test"))
    otsu = OtsuBaseline.fit(train[::2], kind="instances", rgb=rgb, channel=channel)
    scores = pool_label_scores(
        label_counts(otsu.predict(source), target, kind="instances") for source, target, _ in test
    )
    assert scores["f1"] == pytest.approx(f1, abs=0.03)
    assert scores["dice"] == pytest.approx(dice, abs=0.01)


def _pairs(folder: Path) -> list[tuple[np.ndarray, np.ndarray, None]]:
    sources = [io.imread(path) for path in sorted((folder / "source").iterdir())]
    targets = [tifffile.imread(path) for path in sorted((folder / "target").iterdir())]
    return [
        (np.moveaxis(np.atleast_3d(source), -1, 0), target[np.newaxis], None)
        for source, target in zip(sources, targets, strict=True)
    ]


def two_disks() -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    return (np.hypot(y - 24, x - 20) < 10) * 1 + (np.hypot(y - 24, x - 37) < 10) * 1.0


def test_touching_disks_are_two_objects():
    labels = segment_otsu(100 * (two_disks() > 0) + 20)
    assert len(np.unique(labels)) == 3
    assert labels[24, 20] != labels[24, 37]


def test_constant_and_empty_images_have_no_object():
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
def test_a_segmenter_that_returns_no_labels_is_refused(returned, words):
    with pytest.raises(InputError, match=words):
        run_segmenter(lambda _: returned, np.zeros((8, 8)), (8, 8))


def test_channels_need_a_segmenter_of_ones_own():
    with pytest.raises(InputError, match=r"one channel, got shape \(3, 8, 8\)"):
        segment_otsu(np.zeros((3, 8, 8)))
    labels = run_segmenter(lambda image: image[0] > 0, np.ones((3, 8, 8)), (8, 8))
    assert labels.shape == (1, 8, 8)


def test_a_bright_square_is_found():
    source = np.zeros((1, 8, 8))
    source[0, 2:6, 2:6] = 5
    otsu = OtsuBaseline.fit([(source, (source > 0).astype(int), None)], kind="classes")
    assert (otsu.channel, otsu.bright, int(otsu.predict(source).sum())) == (0, True, 16)
    image = np.zeros((16, 16))
    image[2:8, 2:8] = 9
    assert int(segment_otsu(image).max()) == 1
