"""Work in a viewer that stays alive; train, translate and evaluate on its layers."""

import signal
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers import TINY
from napari.layers import Image, Labels

pytest.importorskip("qtpy.QtWidgets", reason="a viewer needs a Qt binding", exc_type=ImportError)

import napari.utils
from napari.utils import progress
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QApplication, QPushButton, QWidget

from napari_pix2pix import Pair, evaluate, train
from napari_pix2pix.errors import InputError, UnexpectedError
from napari_pix2pix.napari_layers.keep_responsive import Activity, ProgressReporter, run_responsive
from napari_pix2pix.training.events import Prepared, Step


@pytest.fixture
def pair(viewer):
    """Two layers of the viewer that lie at the same place."""
    image = np.random.default_rng(0).random((96, 96)).astype("float32")
    place = {"scale": (0.5, 0.25), "translate": (3, 4), "units": ("um", "um")}
    return [
        viewer.add_image(data, name=name, **place)
        for data, name in ((image, "stain"), (1 - image, "nuclei"))
    ]


def until(asked: threading.Event, desk: ProgressReporter) -> str:
    """Work that goes on until it is asked to stop."""
    while not asked.is_set():
        desk.show(0.5, "half")
        time.sleep(0.002)
    return "so far"


def after(milliseconds: int, action) -> None:
    QTimer.singleShot(milliseconds, action)


def in_loop(desk: ProgressReporter, action) -> None:
    """Let something happen in the main thread, when the loop that waits there is running."""
    desk.call(lambda: after(0, action))


def work_until_asked(action=None):
    """Work, let something happen meanwhile, and return what there is when the work was stopped."""
    asked = threading.Event()

    def work(desk):
        if action is not None:
            in_loop(desk, action)
        return until(asked, desk)

    return run_responsive(work, title="Work", stop=asked.set)


class Ticks:
    """A timer of 20 ms that counts its ticks."""

    def __init__(self) -> None:
        self.count = 0
        self.timer = QTimer()
        self.timer.timeout.connect(self.tick)
        self.timer.start(20)

    def tick(self) -> None:
        self.count += 1

    def wait(self, _: ProgressReporter) -> None:
        """Work that goes on until the timer has ticked, if it ever does."""
        end = time.perf_counter() + 60
        while self.count < 9 and time.perf_counter() < end:
            time.sleep(0.01)


def test_without_a_viewer_work_is_simply_done(qapp):
    asked_in = run_responsive(lambda desk: desk.call(threading.current_thread), title="Work")
    worked_in = run_responsive(lambda _: threading.current_thread(), title="Work")
    assert asked_in is worked_in is threading.main_thread()


def test_in_another_thread_work_is_simply_done(viewer):
    with ThreadPoolExecutor(1) as pool:
        thread = pool.submit(threading.current_thread).result()
        work = pool.submit(run_responsive, lambda _: threading.current_thread(), title="Work")
        assert work.result() is thread


def test_with_a_viewer_work_is_done_beside_and_questions_are_answered_in_the_main_thread(viewer):
    def work(desk):
        return threading.current_thread(), desk.call(threading.current_thread)

    worked, asked = run_responsive(work, title="Work")
    assert worked is not threading.main_thread()
    assert asked is threading.main_thread()


@pytest.mark.parametrize("seconds", [0, 0.1])
@pytest.mark.parametrize("error", [InputError("no"), SystemExit(3)])
def test_errors_come_out_as_they_were_raised(viewer, error, seconds):
    def work(_):
        time.sleep(seconds)
        raise error

    with pytest.raises(type(error)) as caught:
        run_responsive(work, title="Work")
    assert caught.value is error


@pytest.mark.parametrize("seconds", [0, 0.1])
def test_what_nobody_foresaw_comes_out_as_our_error_with_its_cause(viewer, seconds):
    error = RuntimeError("out of luck")

    def work(_):
        time.sleep(seconds)
        raise error

    with pytest.raises(UnexpectedError, match="out of luck") as caught:
        run_responsive(work, title="Work")
    assert caught.value.__cause__ is error


def test_an_error_of_what_the_user_gave_comes_out_too(viewer):
    def fail():
        raise ZeroDivisionError("by a user")

    with pytest.raises(ZeroDivisionError, match="by a user"):
        run_responsive(lambda desk: desk.call(fail), title="Work")


def test_warnings_reach_the_caller(viewer):
    def work(_):
        time.sleep(0.1)
        warnings.warn("mind the gap", UserWarning, stacklevel=1)
        return 3

    with pytest.warns(UserWarning, match="mind the gap"):
        assert run_responsive(work, title="Work") == 3
    with pytest.raises(UserWarning, match="mind the gap"):
        run_responsive(work, title="Work")  # where warnings are errors


def test_viewer_stays_alive_while_it_works(viewer):
    ticks = Ticks()
    run_responsive(ticks.wait, title="Work")
    assert ticks.count >= 9


def test_cancel_in_the_activity_dock_stops_the_work(viewer):
    seen = []

    def cancel():
        for one in QApplication.allWidgets():
            if isinstance(one, QPushButton) and one.text() == "Cancel":
                labels = [other for other in one.parent().children() if hasattr(other, "text")]
                if any("Work: half" in label.text() for label in labels):
                    seen.append(one)
                    one.click()
                    return
        after(20, cancel)

    after(20, cancel)
    assert work_until_asked() == "so far"
    assert len(seen) == 1


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_interrupt_stops_the_work_and_keeps_what_there_is(viewer, interruptible):
    after(100, interrupt)
    assert work_until_asked() == "so far"
    assert signal.getsignal(signal.SIGINT) is interruptible


def test_interrupt_breaks_off_what_can_not_end_with_a_result(viewer):
    after(100, interrupt)
    with pytest.raises(KeyboardInterrupt, match="Work was stopped"):
        run_responsive(lambda desk: until(threading.Event(), desk), title="Work")


def test_second_interrupt_leaves_work_that_does_not_stop(viewer):
    asked, end = threading.Event(), threading.Event()
    after(80, interrupt)
    after(160, interrupt)
    with pytest.raises(KeyboardInterrupt, match="Work was aborted"):
        run_responsive(lambda desk: until(end, desk), title="Work", stop=asked.set)
    assert asked.is_set()
    end.set()


class Console(QWidget):
    """As much of a qtconsole as asks for an interrupt."""

    custom_interrupt = False
    custom_interrupt_requested = Signal()


def test_interrupt_in_the_console_of_napari_stops_the_work(viewer, qtbot):
    console = Console()
    qtbot.addWidget(console)
    seen = []

    def press():
        seen.append(console.custom_interrupt)
        console.custom_interrupt_requested.emit()

    assert work_until_asked(press) == "so far"
    assert seen == [True]
    assert not console.custom_interrupt


def test_second_work_is_refused_in_words_and_the_first_goes_on(viewer):
    refused = threading.Event()

    def second():
        with pytest.raises(InputError, match="Work is still running"):
            run_responsive(lambda _: None, title="More")
        refused.set()

    def work(desk):
        in_loop(desk, second)
        return until(refused, desk)

    assert run_responsive(work, title="Work") == "so far"
    assert run_responsive(lambda _: "again", title="Work") == "again"


def test_a_callback_may_do_work_of_its_own(viewer):
    def inner():
        return run_responsive(lambda _: threading.current_thread(), title="Inner")

    assert run_responsive(lambda desk: desk.call(inner), title="Outer") is threading.main_thread()


def test_closing_the_viewer_stops_the_work(viewer):
    with pytest.warns(UserWarning, match="The viewer was closed: Work was stopped"):
        assert work_until_asked(viewer.close) == "so far"


@pytest.fixture
def quits():
    """Quit the application; afterwards, let it forget that, as its own loop does."""
    yield lambda: QApplication.exit(0)
    after(0, lambda: QApplication.exit(0))
    QApplication.exec()


def test_quitting_the_application_stops_the_work_and_answers_its_questions(viewer, quits):
    asked = threading.Event()

    def work(desk):
        in_loop(desk, quits)
        until(asked, desk)
        return desk.call(lambda: "answered")

    assert run_responsive(work, title="Work", stop=asked.set) == "answered"


def test_viewer_stays_alive_after_an_earlier_quit(viewer, quits):
    quits()
    ticks = Ticks()
    run_responsive(ticks.wait, title="Work")
    assert ticks.count >= 9


def test_train_on_layers_and_translate_into_a_layer_while_a_timer_ticks(viewer, pair):
    stain, nuclei = pair
    train(stain, nuclei, steps=1, **TINY)  # the first loads modules, which hold the interpreter
    ticks = Ticks()
    translator = train(stain, nuclei, steps=10_000, **TINY, callback=lambda _: ticks.count > 5)
    ticks.timer.stop()
    assert len(translator.history[-1].losses) > 0
    assert ticks.count > 5
    result = translator(stain)
    assert isinstance(result, Image)
    assert result not in viewer.layers
    for name in ("scale", "translate", "units", "axis_labels"):
        assert np.all(getattr(result, name) == getattr(stain, name))
    np.testing.assert_array_equal(result.data, translator(stain.data))
    assert result.metadata["napari-pix2pix"]["digest"] == translator.digest


def test_layers_train_to_the_same_weights_as_their_arrays(viewer, pair):
    stain, nuclei = pair
    of_layers = train(stain, nuclei, steps=3, **TINY)
    assert of_layers.digest == train(stain.data, nuclei.data, steps=3, **TINY).digest


def test_layers_may_change_while_training_goes_on(viewer, pair):
    stain, nuclei = pair
    before = stain.data.copy()

    def change(event):
        stain.data = np.zeros((8, 8), "float32")
        nuclei.data[:] = 0
        if nuclei in viewer.layers:
            viewer.layers.remove(nuclei)

    translator = train(stain, nuclei, steps=3, callback=change, **TINY)
    image = 1 - before
    assert translator.digest == train(before, image, steps=3, **TINY).digest


def test_callback_is_called_in_the_main_thread_and_stops(viewer, pair):
    events, threads = [], set()

    def callback(event):
        events.append(event)
        threads.add(threading.current_thread())
        return isinstance(event, Step) and event.step == 2

    train(*pair, steps=50, callback=callback, **TINY)
    assert isinstance(events[0], Prepared)
    assert sum(isinstance(event, Step) for event in events) == 2
    assert threads == {threading.main_thread()}


def test_interrupt_returns_the_model_so_far(viewer, pair):
    steps = []

    def callback(event):
        if isinstance(event, Step):
            steps.append(event.step)
            if len(steps) == 2:
                interrupt()

    translator = train(*pair, steps=100_000, callback=callback, **TINY)
    assert len(steps) < 100
    assert translator(pair[0]).data.shape == (96, 96)


def test_labels_channels_masks_and_lists_of_layers(viewer, pair):
    stain, nuclei = pair
    labels = np.zeros((96, 96), np.uint8)
    for i in range(4):
        labels[24 * i + 4 : 24 * i + 20, 8:80] = i + 1
    layer = Labels(labels, name="labels", scale=(0.5, 0.25), translate=(3, 4), units=("um", "um"))
    mask = Labels((labels > 0).astype(np.uint8), name="mask")
    translator = train((stain, nuclei), layer, mask=mask, steps=2, validation=0, **TINY)
    assert translator.source_codec.channels == 2
    result = translator((stain, nuclei))
    assert isinstance(result, Labels)
    assert result.name == "stain + nuclei [pix2pix, labels]"
    with pytest.warns(UserWarning, match="also trained on"):
        listed = train(
            [stain, stain], [nuclei, nuclei], validation=[Pair(stain, nuclei)], steps=1, **TINY
        )
    assert "2 pairs" in listed.info.summary or listed.scores


def test_evaluate_takes_layers(viewer, pair):
    translator = train(*pair, steps=2, **TINY)
    scores = evaluate(translator, *pair)
    of_arrays = evaluate(translator, *(layer.data for layer in pair)).to_dict()
    assert scores.to_dict() == of_arrays | {"images": [scores["images"][0]]}
    assert scores["images"][0]["name"] == "stain -> nuclei"


def test_translation_can_be_cancelled(viewer, pair):
    translator = train(*pair, steps=1, **TINY)
    large = viewer.add_image(np.tile(pair[0].data, (4, 4)), name="large")
    with pytest.raises(KeyboardInterrupt, match="Translation was stopped"):
        translator(large, tile=128, batch=1, on_tile=lambda *_: (interrupt(), time.sleep(0.03)))


def test_a_foreign_layer_is_refused_before_work(viewer, pair):
    translator = train(*pair, steps=1, **TINY)
    points = viewer.add_points(np.zeros((2, 2)), name="dots")
    with pytest.raises(InputError, match="'dots' is a Points layer"):
        translator(points)
    rgb = viewer.add_image(np.zeros((96, 96, 3), np.uint8), rgb=True)
    with pytest.raises(InputError, match="trained on images of 1 channel, got 3"):
        translator(rgb)


# --- bars of the activity dock --------------------------------------------------------------------


@pytest.fixture
def bars():
    """Collect the bars that come and go, as an activity dock does."""
    seen: list[tuple[str, int]] = []

    def listen(event):
        added, removed = event.added, event.removed  # type: ignore[attr-defined]
        seen.extend((word, bar.n) for word, bars in (("+", added), ("-", removed)) for bar in bars)

    progress._all_instances.events.changed.connect(listen)
    yield seen
    progress._all_instances.events.changed.disconnect(listen)


def test_bar_comes_moves_and_goes(bars):
    activity = Activity()
    activity.begin("Preparing")
    activity.show(0.25, "Epoch 1")
    activity.show(0.5, "Epoch 2")
    activity.end()
    activity.end()
    activity.show(0.7, "Epoch 3")
    assert bars == [("+", 0), ("-", 500)]


class Broken:
    """A bar as it is when activity docks of closed viewers still listen."""

    n = 0

    def __init__(self, *, total: int, desc: str) -> None:
        if desc == "at once":
            raise RuntimeError("Signal source has been deleted")

    def set_description(self, words: str) -> None:
        raise RuntimeError("Signal source has been deleted")

    def close(self) -> None:
        raise RuntimeError("Signal source has been deleted")


@pytest.mark.parametrize("words", ["at once", "later"])
@pytest.mark.parametrize("cancelable", [False, True])
def test_work_goes_on_where_no_bar_can_be_shown(monkeypatch, words, cancelable):
    for name in ("progress", "cancelable_progress"):
        monkeypatch.setattr(napari.utils, name, Broken)
    activity = Activity(cancelable=cancelable)
    activity.begin(words)
    activity.show(0.5, "Epoch 1")
    activity.begin(words)
    assert not activity.canceled
    activity.end()


def test_bar_can_be_cancelled(bars):
    activity = Activity(cancelable=True)
    assert not activity.canceled
    activity.begin("Work")
    (bar,) = progress._all_instances
    bar.cancel()
    assert activity.canceled
    activity.end()
