import gc
import logging
import threading
import time
import weakref
from collections.abc import Generator

import pytest
from qtpy.QtCore import QObject, QTimer

from napari_pix2pix.errors import InputError, Pix2PixError
from napari_pix2pix.napari_layers import gc_guard
from napari_pix2pix.training.events import Control, Health, Step
from napari_pix2pix.widgets.common.runner import Runner, errors_in_words


def step(number: int) -> Step:
    return Step(number, 1, {}, {}, 0.0, 0.0)


class Listener:
    """Collects all that a runner says."""

    def __init__(self, runner: Runner) -> None:
        self.events = []
        self.results = []
        self.sentences: list[str] = []
        self.ends = 0
        runner.reported.connect(self.events.append)
        runner.finished.connect(self.results.append)
        runner.failed.connect(self.sentences.append)
        runner.ended.connect(self._count)

    def _count(self) -> None:
        self.ends += 1


@pytest.fixture
def runner(qtbot):
    made = Runner()
    yield made
    made.close()


@pytest.fixture
def run_to_end(runner, qtbot):
    """Return a function that lets a runner do all of a work, and returns what was heard of it."""

    def run(work) -> Listener:
        heard = Listener(runner)
        runner.start(work)
        qtbot.waitUntil(lambda: heard.ends == 1)
        return heard

    return run


def endless(control: Control) -> Generator[Step, None, int]:
    number = 0
    while not control.stopped:
        control.wait()
        number += 1
        yield step(number)
    return number


def test_result_and_every_event_arrive_in_order(runner, run_to_end):
    def work(control):
        for number in range(100):
            yield Health(number, "well")
        return "result"

    heard = run_to_end(work)
    assert [event.step for event in heard.events] == list(range(100))
    assert heard.results == ["result"]
    assert not runner.running


def test_steps_are_coalesced_and_the_newest_arrives(run_to_end):
    def work(control):
        for number in range(1000):
            yield step(number)
        yield Health(999, "well")

    heard = run_to_end(work)
    assert len(heard.events) < 100
    assert [type(event) for event in heard.events[-2:]] == [Step, Health]
    assert heard.events[-2].step == 999


def test_plain_function_will_do(run_to_end):
    assert run_to_end(lambda control: 7).results == [7]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("Give two images."), "Give two images."),
        (RuntimeError("odd shape"), "RuntimeError: odd shape"),
        (RuntimeError("CUDA out of memory. Tried"), "Memory ran out"),
        (MemoryError(), "Memory ran out"),
        (KeyError(), "(KeyError)"),
        (SystemExit(1), "SystemExit: 1"),
    ],
)
def test_every_error_is_a_sentence(runner, run_to_end, error, message):
    def work(control):
        yield step(1)
        raise error

    heard = run_to_end(work)
    assert len(heard.sentences) == 1
    assert message in heard.sentences[0]
    assert heard.results == []
    assert not runner.running


def test_unexpected_error_is_logged_whole(run_to_end, caplog):
    with caplog.at_level(logging.ERROR, "napari_pix2pix"):
        run_to_end(lambda control: 1 // 0)
    assert "Traceback" in caplog.text


def test_pause_resume_and_stop(runner, qtbot):
    heard, begun = Listener(runner), [0]

    def work(control):
        for event in endless(control):
            begun.append(event.step)
            yield event
        return begun[-1]

    runner.start(work)
    qtbot.waitUntil(lambda: len(heard.events) > 1)
    runner.pause()
    assert runner.paused
    before = begun[-1]
    qtbot.wait(150)
    assert begun[-1] <= before + 1  # the one that was under way
    runner.resume()
    qtbot.waitUntil(lambda: heard.events[-1].step > before + 1)
    runner.stop()
    assert runner.stopping
    qtbot.waitUntil(lambda: heard.ends == 1)
    assert heard.results[0] >= before


def test_paused_work_can_be_stopped(runner, qtbot):
    heard = Listener(runner)
    runner.start(endless)
    runner.pause()
    runner.stop()
    qtbot.waitUntil(lambda: heard.ends == 1)
    assert heard.sentences == []


def test_second_work_is_refused_while_one_runs(runner):
    runner.start(endless)
    with pytest.raises(ValueError, match="Work is running"):
        runner.start(endless)


def test_closed_runner_says_nothing_more(runner, qtbot):
    heard = Listener(runner)
    runner.start(endless)
    assert runner.close()
    qtbot.wait(150)
    assert heard.ends == 0
    assert not runner.running
    assert not any(thread.name == "napari-pix2pix" for thread in threading.enumerate())


def test_closing_does_not_wait_for_ever(runner):
    held = threading.Event()
    runner.start(lambda control: held.wait(20))
    assert not runner.close(patience=0.01)
    held.set()


def test_listener_may_close_the_runner(runner, qtbot):
    heard = Listener(runner)
    runner.reported.connect(lambda event: runner.close())
    runner.start(endless)
    qtbot.waitUntil(lambda: bool(heard.events))
    qtbot.wait(100)
    assert len(heard.events) == 1
    assert heard.ends == 0


class _Big:
    """Stands for tensors."""


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_of_the_work_is_kept(run_to_end, fails):
    seen: list[weakref.ref[_Big]] = []

    def work(control):
        big = _Big()
        seen.append(weakref.ref(big))
        yield step(1)
        if fails:
            raise RuntimeError("odd")
        return 1

    run_to_end(work)
    gc.collect()
    assert seen[0]() is None


@pytest.mark.parametrize("how", ["end", "close"])
def test_qt_objects_that_are_garbage_are_not_deleted_by_the_work(runner, qtbot, how):
    deleted: list[threading.Thread] = []

    def work(control):
        for _ in range(10 * gc.get_threshold()[0]):
            cycle = []
            cycle.append(cycle)

    def leave():
        timer = QTimer()
        timer.itself = timer  # type: ignore[attr-defined]  # a cycle, which only a collection ends
        timer.start(1)
        weakref.finalize(timer, lambda: deleted.append(threading.current_thread()))

    gc.enable()
    runner.start(work)
    assert not gc.isenabled()
    leave()
    if how == "close":
        runner.close()
    else:
        qtbot.waitUntil(lambda: not runner.running)
    assert gc.isenabled()
    gc.collect()
    assert deleted == [threading.main_thread()]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_runner_that_nothing_holds_may_be_collected_while_it_looks(qtbot, monkeypatch, goes_on):
    monkeypatch.setattr(gc_guard, "collect_due", gc.collect)
    gc.enable()  # as outside these tests, to see that it is given back
    stopped = threading.Event()

    def work(control):
        while goes_on and not control.stopped:
            time.sleep(0.001)
        stopped.set()

    def leave():
        dock = QObject()
        dock.itself = dock  # type: ignore[attr-defined]  # a cycle, which only a collection ends
        dock.runner = Runner(dock)  # type: ignore[attr-defined]
        dock.runner.start(work)

    leave()
    qtbot.waitUntil(lambda: stopped.is_set() and gc.isenabled())


def test_what_nobody_foresaw_is_logged_and_in_words(caplog):
    with pytest.raises(Pix2PixError, match="KeyError: 'a'"), errors_in_words():
        {}["a"]
    assert "Traceback" in caplog.text
    caplog.clear()
    with pytest.raises(InputError, match="empty"), errors_in_words():
        raise InputError("The image is empty.")
    assert not caplog.text
