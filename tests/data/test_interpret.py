from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.data.interpret import interpret
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.errors import InputError

LABELS = np.zeros((1, 48, 48), np.uint16)
for _number, (_y, _x) in enumerate([(2, 2), (2, 26), (26, 2), (26, 26)], start=1):
    LABELS[0, _y : _y + 16, _x : _x + 16] = _number
VALID = [np.ones((1, 48, 48), bool)]


def fit(window, kind="auto"):
    return interpret([window], VALID, kind=kind, method="minmax", layout=Layout(), what="target")


def test_values_tell_their_kind():
    codec, words = fit(LABELS)
    assert codec.kind == "instances"
    assert words == "target uint16 -> 4 instances"
    noise = np.random.default_rng(0).integers(0, 255, (1, 48, 48)).astype(np.uint8)
    codec, words = fit(noise)
    assert (codec.kind, words) == ("image", "")


def test_a_kind_that_is_given_wins():
    codec, words = fit(LABELS, "classes")
    assert codec.planes == 5
    assert words == "target uint16 -> 5 classes"
    assert fit(LABELS, "image")[0].kind == "image"


def test_more_classes_may_be_stated_than_were_met():
    codec, words = interpret(
        [LABELS], VALID, kind="auto", method="minmax", layout=Layout(), what="target", classes=7
    )
    assert codec.kind == "classes"  # stating them says what they are
    assert (codec.values, words) == (tuple(range(7)), "target uint16 -> 7 classes")


def test_specks_are_of_instances():
    codec, _ = interpret(
        [LABELS], VALID, kind="auto", method="minmax", layout=Layout(), what="target", smallest=99
    )
    assert codec.smallest == 99
    with pytest.raises(InputError, match=r"smallest=99 is about objects, .* taken for classes"):
        interpret(
            [LABELS], VALID, kind="classes", method="minmax", layout=Layout(), what="target",
            smallest=99,
        )  # fmt: skip


def test_floats_that_look_like_labels_are_an_image_with_a_word():
    labels = LABELS.astype(np.float32)
    labels[0, 0, 0] = np.nan
    codec, words = interpret(
        [labels],
        [np.isfinite(labels)],
        kind="auto",
        method="minmax",
        layout=Layout(),
        what="target",
    )
    assert codec.kind == "image"
    assert words.startswith("The target holds float32 values that look like labels")
    assert fit(LABELS.astype(np.float32), "image")[1] == ""  # said, so not doubted
    assert fit(LABELS + np.float32(0.5))[1] == ""
    assert fit(LABELS * np.float64(2.0**40))[1] == ""


def test_several_channels_of_labels_are_an_image_with_a_word():
    def words(windows, layout=Layout(-3), kind="auto"):  # noqa: B008
        return interpret(
            [windows],
            [np.ones((1, *windows.shape[1:]), bool)],
            kind=kind,
            method="minmax",
            layout=layout,
            what="target",
        )[1]

    two = np.concatenate([LABELS, LABELS[:, ::-1]])
    assert words(two).startswith("Each of the 2 channels of the target looks like labels")
    noise = np.random.default_rng(0).integers(0, 255, LABELS.shape)
    assert words(np.concatenate([LABELS, noise])) == ""
    assert words(two, kind="image") == ""  # said, so not doubted
    assert words(np.concatenate([two, LABELS]), Layout(-1, rgb=True)) == ""
    assert words(two > 0) == ""


def test_what_can_be_no_labels_is_refused_with_the_way_out():
    with pytest.raises(InputError, match="taken for instances; target_kind says"):
        fit(np.random.default_rng(0).random((1, 48, 48)), "instances")


def test_labels_with_their_neighbours_are_labels():
    """Planes of a z-context have no channel axis; those of channels do."""
    stack = np.concatenate([LABELS, LABELS, LABELS])
    assert fit(stack)[0].kind == "instances"
    channels = interpret(
        [stack], VALID, kind="auto", method="minmax", layout=Layout(channel_axis=-3), what="source"
    )
    assert channels[0].kind == "image"
