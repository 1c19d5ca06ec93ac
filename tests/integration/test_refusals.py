"""What can't be learned from is refused in a sentence, before any work starts."""

import numpy as np
import pytest

from napari_pix2pix import _train, train
from napari_pix2pix.errors import Pix2PixError

RNG = np.random.default_rng(0)
IMAGE = RNG.random((48, 48), dtype=np.float32)
STACK = RNG.random((2, 48, 48), dtype=np.float32)
LABELS = np.kron(np.arange(9).reshape(3, 3), np.ones((16, 16), int))
NOWHERE = np.zeros((48, 48), bool)
LEFT = np.broadcast_to(np.arange(48) < 16, (48, 48))
NAN = np.full((48, 48), np.nan, np.float32)


@pytest.mark.parametrize(
    ("source", "target", "how", "sentence"),
    [
        (IMAGE, np.ones((48, 48), int), {"target_kind": "classes"}, "The target is constant"),
        (IMAGE, LABELS // 3, {"target_kind": "classes", "mask": LEFT & (LABELS < 3)}, "one value"),
        (IMAGE, LABELS // 9, {"target_kind": "instances"}, "The target is empty"),
        (IMAGE, LABELS - 1, {"target_kind": "classes"}, "negative label -1"),
        (IMAGE, LABELS - 1, {"target_kind": "instances"}, "negative label -1"),
        (IMAGE, LABELS / 2, {"target_kind": "classes"}, "whole numbers"),
        (IMAGE, LABELS / 2, {"target_kind": "instances"}, "whole numbers"),
        (IMAGE, LABELS, {"target_kind": "spots"}, "target_kind"),
        (IMAGE, np.arange(48 * 48).reshape(48, 48), {"target_kind": "classes"}, "64 classes at mo"),
        (IMAGE, LABELS % 3, {"classes": 2}, "3 classes .labels 0, 1, 2., and 2 are stated"),
        (IMAGE, (LABELS % 3, LABELS % 2), {"target_kind": "classes"}, "2 channels, but classes"),
        ((LABELS, LABELS), IMAGE, {"source_kind": "instances"}, "source_kind='image'"),
        (IMAGE, (IMAGE * 99).astype(int) + 2**60, {}, "subtract an offset"),
        (IMAGE.tolist(), IMAGE, {}, "The source is a list of lists or numbers"),
        (list(STACK), IMAGE, {}, "2 sources and 1 target: .* channels of one image are a tuple"),
        (IMAGE, STACK, {}, "frames"),
        (IMAGE, IMAGE[:40], {}, "48 x 48 pixels, the target 40 x 48"),
        (IMAGE[0], IMAGE[0], {}, "at least the axes Y and X"),
        ([STACK, STACK[:1]], [IMAGE] * 2, {"channel_axis": 0}, "has 1 channel of float32"),
        ([IMAGE] * 2, [STACK, (IMAGE, IMAGE, None)], {"channel_axis": 0}, "has 3 channels"),
        (IMAGE, IMAGE, {"mask": NOWHERE}, "the masks leave nothing"),
        (IMAGE, NAN, {}, "holds no finite pixel"),
        (NAN, IMAGE, {}, "holds no finite pixel"),
        (IMAGE, (NAN, IMAGE), {}, "Channel 0 of the target has no finite pixel"),
        (IMAGE, (IMAGE, None), {}, "Channel 1 of the target has no finite pixel"),
        (IMAGE, (None, None), {}, "nothing but None"),
        ((IMAGE, IMAGE * 0), IMAGE, {}, "Channel 1 of the source is constant"),
        ([IMAGE] * 2, [IMAGE] * 2, {"condition": ["a", None]}, "give one to each"),
        ([IMAGE] * 2, [IMAGE], {}, "2 sources and 1 target"),
    ],
)
def test_refused_before_any_work(monkeypatch, source, target, how, sentence):
    def work(*_):
        raise AssertionError("a network was built")

    monkeypatch.setattr(_train, "build_state", work)
    with pytest.raises(Pix2PixError, match=sentence):
        train(source, target, patch=32, steps=1, validation=0.0, device="cpu", **how)
