import numpy as np
import pytest

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.training._previews import PreviewPlan
from napari_pix2pix.training.dataset import prepare
from napari_pix2pix.training.events import Preview, PreviewWish, Region


@pytest.fixture
def stacks(tiny):
    """Return the data of a stack of four frames."""
    stack = np.random.default_rng(0).random((4, 96, 80)).astype(np.float32)
    return prepare([Pair(stack, 1 - stack)], tiny(steps=1))


def test_preview_follows_the_frame_that_is_shown(stacks):
    wish = PreviewWish(seconds=10.0)
    plan = PreviewPlan(wish, stacks)
    assert plan.region() is None  # the held-out block, as it was predicted for the scores
    assert plan.due(0.0) is None
    wish.frame = 2
    region = plan.due(1.0)
    assert region.frame == 2
    assert region.rows == stacks.validation.blocks[0].rows
    plan.begin()
    plan.end(1.0, 1.1)
    assert plan.due(1.2) is None
    wish.frame = 99  # of a longer stack
    assert plan.due(1.2) is None  # too soon: the last one took a tenth of a second
    assert plan.due(2.2).frame == 3


def test_preview_is_refreshed_in_time(stacks):
    plan = PreviewPlan(PreviewWish(seconds=10.0), stacks)
    assert plan.due(5.0) is None
    assert plan.due(14.9) is None
    assert plan.due(15.0).frame == stacks.validation.blocks[0].frame
    plan.begin()
    plan.end(15.0, 17.0)  # so slow that it waits for longer
    assert plan.due(36.9) is None
    assert plan.due(37.0) is not None


def test_without_a_wish_there_is_no_preview_between_two_epochs(stacks):
    region = Region(0, 1, slice(0, 32), slice(0, 32))
    for preview in (None, region):
        plan = PreviewPlan(preview, stacks)
        assert plan.region() == preview
        assert plan.due(0.0) is None
        assert plan.due(1e9) is None


def test_training_previews_another_frame_at_once(make_loop, stacks):
    wish = PreviewWish(seconds=1e9)
    seen = []
    for event in make_loop(data=stacks, steps=3, preview=wish):
        if isinstance(event, Preview):
            seen.append((event.step, event.frame))
        wish.frame = 3
    assert seen[0] == (1, 3)
    assert seen[-1] == (3, 3)
