import numpy as np
import pytest
from helpers import make_model
from napari.layers import Image

from napari_pix2pix.data.box import Box
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.napari_layers import snapshot
from napari_pix2pix.training.events import Control
from napari_pix2pix.widgets.apply.work import Job, JobDone, Progress, apply_model
from napari_pix2pix.widgets.common.known_models import ModelEntry

STACK = np.random.default_rng(0).random((4, 64, 64), dtype=np.float32)


@pytest.fixture(scope="module")
def known():
    return ModelEntry("inverter", make_model(STACK, 1 - STACK))


def part_of_each_frame(known: ModelEntry, control: Control):
    # Its tiles, on the grid of the stride, cover more than twice as many pixels as it has.
    job = Job([snapshot(Image(STACK))], [0, 1, 2, 3], Box(6, 11, 6, 11))
    return apply_model(control, known, [job], options=PredictOptions(device="cpu"))


def test_progress_counts_what_the_tiles_of_a_part_cover(known):
    events = [*part_of_each_frame(known, Control())]
    parts = [one.done / one.total for one in events if isinstance(one, Progress)]
    assert parts == [0.25, 0.5, 0.75, 1.0]


def test_a_part_of_a_stack_can_be_cancelled_before_its_last_frame(known):
    control, seen = Control(), []
    for event in part_of_each_frame(known, control):
        seen.append(event)
        if isinstance(event, Progress) and event.done == 3 * event.total // 4:
            control.stop()
    assert seen[-1] == JobDone(0, False, False, {})


def test_unlike_frames_are_known_by_their_numbers(known):
    job = Job([snapshot(Image(STACK))], [2, 3])
    *_, done = apply_model(Control(), known, [job], PredictOptions(device="cpu"))
    assert list(done.unlike) == [2, 3]


def test_two_docks_may_apply_one_model_at_once():
    model = make_model(STACK, 1 - STACK, dropout=0.5, dropout_placement="paper")
    known = ModelEntry("drops", model)

    def begin(**options):
        job = Job([snapshot(Image(STACK[0]))], [0])
        options = PredictOptions(device="cpu", tile=16, **options)
        return apply_model(Control(), known, [job], options=options)

    def end(events):
        *_, progress, _ = events
        return progress.arrays[""]

    alone = end(begin())
    one, other = begin(), begin(dropout=True, seed=1)
    for events in (one, other):
        for _ in range(3):  # the model, and two tiles
            next(events)
    np.testing.assert_array_equal(end(one), alone)
