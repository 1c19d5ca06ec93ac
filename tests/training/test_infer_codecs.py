from __future__ import annotations

import math

import numpy as np
import pytest

from napari_pix2pix.data._instance_codec import InstanceCodec
from napari_pix2pix.data.alignment import Alignment
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import NO_SOURCE, ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.training._infer_codecs import summarise

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
            "uint16 1024x1024, 3 frames -> 3 classes; 37 patches; alignment 0.3 px",
        ),
        (
            [Pair(flat(64, 48, 3, dtype="uint8"), flat(64, 48, dtype="float32"))] * 2,
            (IMAGE, IMAGE),
            "uint8 RGB 64x48, 2 pairs -> float32 image; 37 patches; alignment 0.3 px",
        ),
        (
            [
                Pair(flat(64, 48), flat(3, 64, 48), channel_axis=(None, 0)),
                Pair(flat(64, 52), flat(3, 64, 52), channel_axis=(None, 0)),
            ],
            (InstanceCodec("uint16", 1, Layout()), IMAGE),
            (
                "uint16 instances 64x48 and other sizes, 2 pairs -> uint16 3 channels image; "
                "37 patches; alignment 0.3 px"
            ),
        ),
    ],
)
def test_a_line_says_what_was_understood(pairs, codecs, summary):
    opened = [open_pair(pair) for pair in pairs]
    assert summarise(opened, *codecs, patches=37, alignment=FOUND) == summary


def test_an_alignment_that_is_not_known_is_no_number():
    opened = [open_pair(Pair(flat(9, 9), flat(9, 9)))]
    said = summarise(opened, IMAGE, IMAGE, patches=1, alignment=UNKNOWN)
    assert said == "uint16 9x9 -> uint16 image; 1 patch; alignment unknown"


def test_without_a_source_there_is_nothing_to_align():
    opened = [open_pair(Pair(None, flat(9, 9)))]
    said = summarise(opened, NO_SOURCE, IMAGE, patches=3, alignment=UNKNOWN)
    assert said == "no source 9x9 -> uint16 image; 3 patches"
