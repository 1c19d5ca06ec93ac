import numpy as np
import pytest

from napari_pix2pix.data.corrections import correction_mask
from napari_pix2pix.errors import InputError

BEFORE = np.zeros((64, 64), np.uint16)
BEFORE[10:20, 10:20] = 1


def edited(rows, columns, value, before=BEFORE):
    after = before.copy()
    after[..., rows, columns] = value
    return after


def test_the_mask_is_what_was_changed_and_a_margin():
    after = edited(slice(40, 42), slice(40, 44), 2)
    mask = correction_mask(BEFORE, after, margin=3)
    expected = np.zeros((64, 64), bool)
    expected[37:45, 37:47] = True
    np.testing.assert_array_equal(mask, expected)


def test_whole_objects_belong_to_a_correction():
    after = edited(slice(19, 20), slice(10, 20), 0)  # one row is taken away
    assert correction_mask(BEFORE, after, objects=True, margin=0).sum() == 100
    assert correction_mask(BEFORE, after, margin=0).sum() == 10


def test_frames_and_channels():
    stack = np.zeros((3, 2, 32, 32), np.float32)
    stack[:, 0, 0, 0] = np.nan
    after = stack.copy()
    after[1, 1, 16, 16] = 0.5
    mask = correction_mask(stack, after, channel_axis=1, margin=1)
    assert mask.shape == (3, 32, 32)
    assert [int(frame.sum()) for frame in mask] == [0, 9, 0]  # NaN equals NaN


def test_nothing_and_another_shape_are_refused():
    with pytest.raises(InputError, match="Nothing was corrected"):
        correction_mask(BEFORE, BEFORE.copy())
    with pytest.raises(InputError, match=r"shape \(64, 64\), the corrected one \(32, 64\)"):
        correction_mask(BEFORE, BEFORE[:32])
