import re
import warnings

import numpy as np
import pytest

from napari_pix2pix.core import UNet
from napari_pix2pix.data._instance_codec import InstanceCodec
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.intensities import Intensities
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.checks import check_options, warn_of_intensities, warn_of_type
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.predictor import Predictor

IMAGES = ImageCodec("minmax", "uint16", (0.0,), (1000.0,), Layout())
LABELS = InstanceCodec("uint16", 1, Layout())


def check(how, **fields) -> None:
    fields = {"depth": 2, "width": 4, "dropout_placement": "paper", **fields}
    how = {**how}
    noise_channels = how.pop("noise_channels", 0)
    predictor = Predictor(UNet(1, 1, **fields), IMAGES, IMAGES, noise_channels=noise_channels)
    check_options(PredictOptions(**how), predictor)


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"samples": 2}, "no noise planes, so all 2 samples would be the same: take"),
        ({"samples": 2, "noise_channels": 0}, "no noise planes, so all 2 samples"),
        ({"dropout": True}, "no dropout layers: leave dropout off"),
        ({"condition": "GFP"}, "no conditions, got 'GFP': leave condition out"),
    ],
)
def test_refused(how, words):
    with pytest.raises(InputError, match=re.escape(words)):
        check(how)


def test_samples_need_something_that_is_drawn():
    with pytest.raises(InputError, match="all 3 samples would be the same: turn dropout on"):
        check({"samples": 3}, dropout=0.5)
    check({"samples": 3, "dropout": True}, dropout=0.5)
    check({"samples": 3, "noise_channels": 1})


@pytest.mark.parametrize("norm", ["instance", "group", "none"])
def test_image_statistics_need_batch_norm(norm):
    with pytest.raises(InputError, match="no batch norm"):
        check({"norm_statistics": "per-image"}, norm=norm)


@pytest.mark.parametrize("tile", [None, 0, 32])
@pytest.mark.parametrize(
    ("how", "fields"),
    [
        ({"dropout": True}, {"dropout": 0.5}),
        ({"norm_statistics": "per-image"}, {}),
        ({}, {"norm": "instance"}),
        ({}, {"norm": "group"}),
    ],
)
def test_tiles_and_the_whole_are_fine(tile, how, fields):
    check({"tile": tile, **how}, **fields)


@pytest.mark.parametrize(
    ("trained", "given", "warned"),
    [
        ("uint8", "uint8", False),
        ("uint8", "uint16", True),
        ("uint16", "uint8", True),
        ("uint16", "int16", True),
        ("uint8", "float32", True),
        ("float32", "uint8", True),
        ("float32", "float64", False),
        ("uint8", "bool", True),
    ],
)
def test_other_dtypes_are_warned_of(trained, given, warned):
    codec = ImageCodec("minmax", trained, (0.0,), (1.0,), Layout())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warn_of_type(LazyImage(np.zeros((8, 8), given)), codec)
    said = [str(one.message) for one in seen]
    assert len(said) == warned
    assert all(f"trained on {trained} images, got {given}" in sentence for sentence in said)


def test_labels_mean_the_same_in_any_dtype():
    image = LazyImage(np.zeros((8, 8), np.int64))
    warn_of_type(image, ClassCodec("uint8", (0, 1), Layout(), 1))


def noise(low: float, high: float, channels: int = 1, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).uniform(low, high, (channels, 96, 96))
    return drawn.astype(np.uint16)


def said_of(
    image: np.ndarray,
    *,
    sources: tuple[float, float] = (0, 1000),
    targets: tuple[float, float] = (5000, 6000),
    source=IMAGES,
    target=IMAGES,
) -> list[str]:
    known = (
        Intensities.measure([noise(*sources, len(image))]),
        Intensities.measure([noise(*targets)]),
    )
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        warn_of_intensities(LazyImage(image, channel_axis=0), source, target, known)
    return [str(one.message) for one in seen]


@pytest.mark.parametrize(
    "image",
    [noise(0, 1000, seed=1), noise(200, 700), noise(0, 1080), np.zeros((1, 8, 8), np.uint16)],
)
def test_images_like_the_sources_pass_in_silence(image):
    assert said_of(image) == []


def test_a_target_in_place_of_a_source_is_said():
    (said,) = said_of(noise(5000, 6000, seed=1))
    assert re.match(r"The image looks like the training targets \(median 5\d+, targets", said)
    assert "source and target were not swapped" in said
    # Nearer to the targets, but no farther from the sources than these are wide.
    assert said_of(noise(0, 900), targets=(0, 800)) == []
    assert said_of(noise(0, 800, seed=1), targets=(0, 800)) == []


def test_what_lies_outside_the_sources_is_said_with_numbers():
    (said,) = said_of(noise(0, 2000))
    assert re.match(
        r"The image is brighter than the training images \(median \d+, training \d+\)", said
    )
    assert re.search(r": 4\d % of it lies outside their range of about -", said)
    assert re.search(r"to 109\d\S*, and it reaches 199\S*\. Bring it into that range", said)
    two = np.concatenate([noise(0, 1000), noise(8000, 9000)])
    (said,) = said_of(two)
    assert re.match(r"Channel 1 of the image is far brighter .* 100 % of it lies outside", said)
    (said,) = said_of(noise(0, 60_000), sources=(0, 300), targets=(0, 300))
    assert re.search(r"is far brighter .* and it reaches 59\d{3}", said)


def test_labels_in_place_of_a_source_are_said():
    labels = np.kron(np.arange(36, dtype=np.uint16).reshape(1, 6, 6), np.ones((16, 16), np.uint16))
    (said,) = said_of(labels, target=LABELS)
    assert said.startswith("The image looks like labels, as the training targets were")
    assert said_of(labels) == []
    assert said_of(noise(0, 1000), target=LABELS) == []


def test_sources_that_are_labels_or_booleans_have_no_range():
    assert said_of(noise(5000, 6000), source=LABELS) == []
    assert said_of(noise(0, 2).astype(bool), sources=(50, 90)) == []
