import math

import numpy as np
import pytest

from napari_pix2pix.data._instance_codec import InstanceCodec
from napari_pix2pix.data.alignment import Alignment
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import NO_SOURCE, ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.training.summary import describe_images, describe_pairs, summarise

IMAGE = ImageCodec("minmax", "uint16", (0.0,), (1.0,), Layout())
CLASSES = ClassCodec("uint16", (0, 1, 5), Layout())
FOUND = Alignment((0.2, -0.2), 0.9, True, "")
UNKNOWN = Alignment((math.nan, math.nan), 0.1, False, "")


def flat(*shape, dtype="uint16"):
    return np.broadcast_to(np.zeros((), dtype), shape)


@pytest.mark.parametrize(
    ("pairs", "codecs", "summary"),
    [
        (
            [Pair(flat(3, 1024, 1024), flat(3, 1024, 1024))],
            (IMAGE, CLASSES),
            "16-bit images to 3 classes, 1 pair with 3 frames of 1024 x 1024 pixels",
        ),
        (
            [Pair(flat(64, 48, 3, dtype="uint8"), flat(64, 48, dtype="float32"))] * 2,
            (IMAGE, IMAGE),
            "8-bit RGB images to 32-bit floating point images, 2 pairs of 64 x 48 pixels",
        ),
        (
            [
                Pair(flat(64, 48), flat(3, 64, 48), channel_axis=(None, 0)),
                Pair(flat(64, 52), flat(3, 64, 52), channel_axis=(None, 0)),
            ],
            (InstanceCodec("uint16", 1, Layout()), IMAGE),
            "instances to 16-bit images with 3 channels, 2 pairs of 64 x 48 pixels and other sizes",
        ),
    ],
)
def test_a_line_says_what_was_understood(pairs, codecs, summary):
    opened = [open_pair(pair) for pair in pairs]
    summary += ", 37 training patches, shifted by 0.3 pixels"
    assert summarise(opened, *codecs, patches=37, alignment=FOUND) == summary


def test_what_is_not_known_is_no_number_and_without_a_source_there_is_no_shift():
    opened = [open_pair(Pair(flat(9, 9), flat(9, 9)))]
    said = summarise(opened, IMAGE, IMAGE, patches=1, alignment=UNKNOWN)
    assert said == (
        "16-bit images to 16-bit images, 1 pair of 9 x 9 pixels, 1 training patch, shift unknown"
    )
    opened = [open_pair(Pair(None, flat(9, 9)))]
    said = summarise(opened, NO_SOURCE, IMAGE, patches=3, alignment=UNKNOWN)
    assert said == "noise to 16-bit images, 1 image of 9 x 9 pixels, 3 training patches"


@pytest.mark.parametrize(
    ("channels", "layout", "dtype", "words"),
    [
        (1, Layout(), "bool", "binary images"),
        (1, Layout(), "int16", "16-bit signed images"),
        (3, Layout(-1, rgb=True), "uint8", "8-bit RGB images"),
        (3, Layout(-1, rgb=True), None, "RGB images"),
        (1, Layout(), None, "images with 1 channel"),
    ],
)
def test_images_are_described_in_words(channels, layout, dtype, words):
    assert describe_images(channels, layout, dtype) == words


@pytest.mark.parametrize(
    ("alignment", "words"),
    [
        (Alignment((0.02, 0.0), 0.9, True, ""), "Aligned within 0.1 px."),
        (FOUND, "Aligned within 0.3 px."),
        (Alignment((0.0, 13.9), 0.9, True, ""), "Shifted by 13.9 px."),
        (UNKNOWN, "How they are aligned could not be measured."),
    ],
)
def test_pairs_are_described_in_words(alignment, words):
    pair = Pair(flat(512, 512), flat(512, 512), name="Phase contrast -> DAPI")
    said = describe_pairs([open_pair(pair)], IMAGE, IMAGE, patches=28, alignment=alignment)
    assert said == (
        f"Phase contrast, 512 x 512, one channel → DAPI, one channel. {words} 28 training patches."
    )


def test_neighbours_of_a_plane_are_no_channels():
    pair = open_pair(Pair(flat(5, 9, 9), flat(5, 9, 9), name="phase -> DAPI"), 1)
    how = {"patches": 1, "alignment": UNKNOWN, "z_context": 1}
    said = describe_pairs([pair], IMAGE, IMAGE, **how)
    assert said.startswith("phase, 9 x 9, 5 frames, one channel in 3 planes → DAPI, one channel.")
    assert " in 3 planes to " in summarise([pair], IMAGE, IMAGE, **how)
    assert "channel" not in summarise([pair], IMAGE, IMAGE, **how)


def test_pairs_without_a_source_have_no_alignment():
    pair = Pair(None, flat(3, 9, 9), name="cells")
    said = describe_pairs([open_pair(pair)], NO_SOURCE, CLASSES, patches=1, alignment=UNKNOWN)
    assert said == "target, 3 classes, 9 x 9, 3 frames. 1 training patch."
