from __future__ import annotations

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.data.alignment import correct_shift
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.errors import InputError

IMAGE = np.random.default_rng(0).integers(0, 5000, (280, 280)).astype(np.uint16)


@settings(deadline=None, max_examples=25)
@given(
    dy=st.integers(-6, 6), dx=st.integers(-6, 6), layout=st.sampled_from(["plain", "rgb", "axis"])
)
def test_correcting_takes_the_shift_out(dy, dx, layout):
    field = np.random.default_rng(1).random((2, 3, 40, 36)).astype(np.float32)
    axis = {"plain": 0, "rgb": -1, "axis": 1}[layout]
    field = np.moveaxis(field, 1, axis)
    spatial = [i for i in range(4) if i != axis % 4][-2:]

    def part(top, left):
        index = [slice(None)] * 4
        index[spatial[0]], index[spatial[1]] = slice(top, top + 28), slice(left, left + 24)
        return field[tuple(index)]

    pair = Pair(part(6, 6), part(6 - dy, 6 - dx), channel_axis=axis, condition="a", name="n")
    mask = Pair(
        pair.source, pair.target, channel_axis=axis, mask=np.arange(28 * 24).reshape(28, 24)
    )
    corrected = correct_shift(mask, (dy + 0.3, dx - 0.3))
    opened = open_pair(corrected)
    size = (28 - abs(dy), 24 - abs(dx))
    assert (opened.height, opened.width, opened.frames) == (*size, 2)
    assert opened.source.channels == 3
    assert sorted(opened.source.shape) == sorted((2, 3, *size))
    source, target, valid = opened.read(1, slice(2, 20), slice(None))
    np.testing.assert_array_equal(source, target)
    top, left = max(dy, 0), max(dx, 0)
    wanted = mask.mask[top:, left:][2 : min(20, size[0]), : size[1]] != 0
    np.testing.assert_array_equal(valid[0], wanted)
    kept = correct_shift(pair, (0, 0))
    assert (kept.condition, kept.name) == ("a", "n")


def test_a_corrected_pair_is_read_lazily_and_twice_corrected():
    lazy = da.from_array(IMAGE, chunks=40)
    stored = zarr.array(IMAGE, chunks=(40, 40))
    corrected = correct_shift(correct_shift(Pair(stored, lazy), (3, 2)), (-3, -2))
    opened = open_pair(corrected, z_context=0)
    source, target, _ = opened.read(0, slice(None), slice(None))
    np.testing.assert_array_equal(source, target)
    np.testing.assert_array_equal(source[0], IMAGE[3:-3, 2:-2][: opened.height, : opened.width])


@pytest.mark.parametrize("offset", [(280, 0), (0, -300), (np.nan, 0)])
def test_impossible_corrections_are_refused(offset):
    with pytest.raises(InputError, match=r"leaves nothing of the pair|can't be corrected"):
        correct_shift(Pair(IMAGE, IMAGE), offset)
