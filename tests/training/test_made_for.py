from dataclasses import replace

import helpers
import numpy as np
import pytest
from helpers import noise

from napari_pix2pix import Pair, train
from napari_pix2pix.data.channel_look import ChannelLook
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.data.pair import open_pair
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.training.made_for import MadeFor, collect_made_for

GREEN, BLUE = ChannelLook("#00FF00", limits=(0.0, 9.0)), ChannelLook("#0000FF")
WHOLE = ChannelLook("#00FF00", limits=(0.0, 65535.0))


def pair(size, look, condition=None, dtype=np.float32):
    stated = None if size is None else PixelSize(size, size)
    source = LazyImage(noise(8, 8)).stating(stated, ())
    target = LazyImage(noise(8, 8).astype(dtype)).stating(None, (look,))
    return open_pair(Pair(source, target, condition=condition))


def test_pairs_state_what_a_model_is_made_for():
    pairs = [pair(1.0, GREEN), pair(3.0, GREEN), pair(None, GREEN), pair(4.0, GREEN)]
    made_for = collect_made_for(pairs, (), "image")
    assert (made_for.images, made_for.pixel_size) == (4, PixelSize(3.0, 3.0))
    assert made_for.target_looks == ((GREEN,),)
    assert len(made_for.date) == len("2026-11-27")
    assert collect_made_for(pairs, (), "classes").target_looks == ()


def test_each_condition_has_its_look():
    pairs = [pair(1.0, GREEN, "a"), pair(1.0, BLUE, "b")]
    assert collect_made_for(pairs, ("a", "b"), "image").target_looks == ((GREEN,), (BLUE,))


def test_the_whole_range_of_a_dtype_says_nothing():
    (looks,) = collect_made_for([pair(1.0, WHOLE, dtype=np.uint16)], (), "image").target_looks
    assert looks == (replace(WHOLE, limits=None),)


def test_what_pairs_do_not_state_is_that_of_the_model_before():
    before = MadeFor(9, "2020-01-01", PixelSize(1.0, 1.0), (BLUE,), ((GREEN,),))
    after = MadeFor(2, "2026-11-27", None, (), ((),)).or_else(before)
    assert after == replace(before, images=2, date="2026-11-27")
    own = MadeFor(2, "2026-11-27", PixelSize(2.0, 2.0), (GREEN,), ((BLUE,),))
    assert own.or_else(before) == own


def test_a_trained_model_knows_it():
    image = LazyImage(noise(48, 48)).stating(PixelSize(0.5, 0.5), ())
    model = helpers.make_model(image, 1 - noise(48, 48))
    assert model.pixel_size == model.info.made_for.pixel_size == PixelSize(0.5, 0.5)
    assert model.detached_copy().pixel_size == PixelSize(0.5, 0.5)


@pytest.mark.parametrize(
    ("held_out", "images"), [({"validation": 0}, 4), ({"hold_out": "1, 2"}, 2)]
)
def test_images_that_are_held_out_are_not_trained_on(held_out, images):
    sources = [noise(48, 48, seed=number) for number in range(4)]
    model = train(sources, [1 - each for each in sources], steps=2, **helpers.TINY | held_out)
    assert model.info.made_for.images == images


@pytest.mark.parametrize("stated", [None, 352.8])
def test_a_size_that_is_told_goes_before_what_is_stated(stated):
    made_for = collect_made_for([pair(stated, GREEN)], (), "image", 0.65)
    assert made_for.pixel_size == PixelSize(0.65, 0.65)


def test_targets_are_split_where_each_channel_is_an_array_of_its_own():
    def made_for(target, **how):
        return collect_made_for([open_pair(Pair(noise(8, 8), target, **how))], (), "image")

    split = made_for((noise(8, 8), noise(8, 8)))
    assert split.target_split
    assert not made_for(noise(2, 8, 8), channel_axis=(None, 0)).target_split
    assert not made_for(noise(8, 8)).target_split
    assert MadeFor().or_else(split).target_split
