import numpy as np
import pytest
from helpers import CountedClock
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.data import sample
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.data.sample import SampleBlock, leave_out_of_blocks, sample_blocks
from napari_pix2pix.data.split import Area, whole_areas
from napari_pix2pix.errors import InputError


@settings(deadline=None, max_examples=60)
@given(
    shape=st.tuples(st.integers(1, 3), st.integers(2, 70), st.integers(2, 70)),
    size=st.integers(1, 40),
    most=st.integers(1, 30),
    data=st.data(),
)
def test_blocks_tile_the_area_or_are_drawn_from_that_grid(shape, size, most, data):
    height, width = shape[1:]
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    area = Area(0, Box(top, height, left, width))
    image = np.arange(np.prod(shape)).reshape(shape)
    pairs = [open_pair(Pair(image, image))]

    seen = np.zeros(shape, int)
    blocks, note = sample_blocks(pairs, [area], size=size, seed=0, most=most)
    for block in blocks:
        window = (block.frame, block.rows, block.columns)
        seen[window] += 1
        np.testing.assert_array_equal(block.source[0], image[window])
        assert max(block.target.shape[1:]) <= size
        assert block.valid.all()

    inside = seen[:, area.box.top :, area.box.left :]
    assert seen.max() <= 1
    assert seen.sum() == inside.sum()
    assert len(blocks) <= most
    if not note:
        assert inside.all()
    else:
        assert len(blocks) == most


def test_a_sample_is_seeded_and_said():
    image = np.zeros((300, 300), np.uint8)
    pairs = [open_pair(Pair(image, image))]
    drawn = [sample_blocks(pairs, whole_areas(pairs), size=30, seed=s, most=8) for s in (1, 1, 2)]
    places = [[(b.rows, b.columns) for b in blocks] for blocks, _ in drawn]
    assert places[0] == places[1] != places[2]
    assert drawn[0][1] == "Statistics from 8 of 100 blocks of up to 30 px (seed 1)."


def test_all_pairs_and_only_valid_pixels_are_told_apart():
    image, target = np.zeros((2, 16, 16), np.uint8), np.ones((2, 16, 16), np.float32)
    target[1, 0, 0] = np.nan
    pairs = [open_pair(Pair(image, image)), open_pair(Pair(image, target))]
    blocks, _ = sample_blocks(pairs, whole_areas(pairs), size=16, seed=0)
    assert [(b.pair, b.frame, int(b.valid.sum())) for b in blocks] == [
        (0, 0, 256), (0, 1, 256), (1, 0, 256), (1, 1, 255),
    ]  # fmt: skip


def test_without_areas_there_is_nothing_to_sample():
    with pytest.raises(InputError, match="at least one"):
        sample_blocks([], [], size=16, seed=0)


def striped(height, condition=None):
    image = np.arange(height * 32).reshape(height, 32)
    return open_pair(Pair(image, image, condition=condition))


@pytest.mark.parametrize("seed", range(5))
def test_every_condition_has_a_block_however_rare(seed):
    pairs = [striped(8000, "common"), striped(16, "rare"), striped(8000, "common")]
    blocks, note = sample_blocks(pairs, whole_areas(pairs), size=16, seed=seed, most=10)
    assert len(blocks) == 10
    assert 1 in {block.pair for block in blocks}
    assert note.startswith("Statistics from 10 of 2002 blocks")
    both, _ = sample_blocks(pairs, whole_areas(pairs), size=16, seed=seed, most=1)
    assert [pairs[block.pair].condition for block in both].count("rare") == 1
    assert len(both) == 2


def test_reading_ends_in_time_and_says_so(monkeypatch):
    pairs = [striped(3200)]
    monkeypatch.setattr(sample, "time", CountedClock(seconds=1))
    blocks, note = sample_blocks(pairs, whole_areas(pairs), size=16, seed=3, seconds=20)
    assert len(blocks) == 20
    assert note == (
        "Statistics from 20 of 400 blocks of up to 16 px (seed 3); no more could be read in 20 s."
    )
    few, _ = sample_blocks(pairs, whole_areas(pairs), size=16, seed=3, seconds=0)
    assert len(few) == 8
    every = [striped(160, condition) for condition in range(12)]
    few, _ = sample_blocks(every, whole_areas(every), size=16, seed=3, seconds=0)
    assert {block.pair for block in few} == set(range(12))


def test_as_many_blocks_as_before_are_the_same_blocks(monkeypatch):
    pairs = [striped(3200, "a"), striped(64, "b")]
    with monkeypatch.context() as slow:
        slow.setattr(sample, "time", CountedClock(seconds=1))
        first, _ = sample_blocks(pairs, whole_areas(pairs), size=16, seed=1, seconds=17)
    again, _ = sample_blocks(pairs, whole_areas(pairs), size=16, seed=1, count=len(first))
    places = [[(b.pair, b.rows, b.columns) for b in blocks] for blocks in (first, again)]
    assert places[0] == places[1]
    assert len(first) == 17


IMAGE = ImageCodec("minmax", "uint8", (0.0,), (9.0,), Layout())


def test_blocks_lose_unknown_pixels_and_it_is_said_once_a_side():
    labels = np.array([[[0, 1, 7, 9]]], np.uint8)
    codec = ClassCodec("uint8", (0, 1, 9), Layout())
    whole = slice(0, 1), slice(0, 4)
    block = SampleBlock(0, 0, *whole, labels, labels, np.ones((1, 1, 4), bool))
    blocks, said = leave_out_of_blocks([block, block], IMAGE, codec)
    assert all(one.valid.tolist() == [[[True, True, False, True]]] for one in blocks)
    assert len(said) == 1
    assert said[0].startswith("The held-out part of the target holds label 7")
    assert leave_out_of_blocks([block], IMAGE, IMAGE)[1] == []
