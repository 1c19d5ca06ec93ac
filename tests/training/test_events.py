import signal
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

import napari_pix2pix.training.events as control_module
from napari_pix2pix.errors import StoppedError
from napari_pix2pix.training.events import Control, interrupt_stops


def test_a_fresh_control_lets_run_and_a_stopped_one_holds_nothing():
    control = Control()
    assert (control.paused, control.stopped) == (False, False)
    assert control.wait() == 0.0
    control.stop()
    control.pause()
    assert control.wait() == 0.0
    assert not control.paused


def when_held(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Let another thread act once this one looks at the clock to wait."""
    look = time.perf_counter

    def begin():
        monkeypatch.undo()
        now = look()
        threading.Thread(target=act).start()
        return now

    monkeypatch.setattr(control_module, "time", SimpleNamespace(perf_counter=begin))


def test_wait_lasts_until_resumed_and_says_how_long(monkeypatch):
    control = Control()
    control.pause()
    assert control.paused
    before = time.perf_counter()
    when_held(monkeypatch, lambda: time.sleep(0.1) or control.resume())
    waited = control.wait()
    assert 0.09 <= waited <= time.perf_counter() - before
    assert not control.paused
    assert not control.stopped


def test_stop_ends_a_pause(monkeypatch):
    control = Control()
    control.pause()
    when_held(monkeypatch, control.stop)
    assert control.wait() > 0
    assert control.stopped


def test_first_interrupt_stops_and_the_second_breaks_off(interruptible):
    control = Control()
    with interrupt_stops(control):
        signal.raise_signal(signal.SIGINT)
        assert control.stopped
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is interruptible


def test_a_signal_ends_at_once_what_has_nothing_to_keep(interruptible):
    control = Control()
    control.preparing = True
    with interrupt_stops(control), pytest.raises(StoppedError, match="there is no model yet"):
        signal.raise_signal(signal.SIGINT)
    assert control.stopped
    assert signal.getsignal(signal.SIGINT) is interruptible


def test_handler_is_put_back_after_an_error(interruptible):
    with pytest.raises(ValueError, match="x"), interrupt_stops(Control()):
        raise ValueError("x")
    assert signal.getsignal(signal.SIGINT) is interruptible


def test_an_ignored_interrupt_stays_ignored(interruptible):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = Control()
    with interrupt_stops(control):
        signal.raise_signal(signal.SIGINT)
    assert not control.stopped


def test_other_threads_leave_signals_alone(interruptible):
    seen: list[object] = []

    def work():
        with interrupt_stops(Control()):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [interruptible]
