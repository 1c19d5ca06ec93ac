"""Garbage is collected by the thread that asks for it, and by no other while it is held."""

import gc
import threading

import pytest

from napari_pix2pix.napari_layers import gc_guard


class Cycle:
    """Notes in which thread it is taken away."""

    def __init__(self, taken: list[threading.Thread]) -> None:
        self.taken, self.itself = taken, self

    def __del__(self) -> None:
        self.taken.append(threading.current_thread())


def work() -> None:
    """Leave so much garbage that Python would collect several times."""
    for _ in range(10 * gc.get_threshold()[0]):
        cycle: list[object] = []
        cycle.append(cycle)


def beside() -> None:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()


@pytest.fixture
def taken():
    gc.collect()
    yield []
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


def test_python_collects_in_any_thread(taken):
    Cycle(taken)
    beside()
    assert taken
    assert taken[0] is not threading.main_thread()


def test_held_garbage_is_collected_where_it_is_asked_for(taken):
    gc_guard.hold()
    Cycle(taken)
    beside()
    assert not taken
    gc_guard.collect_due()
    gc_guard.release()
    assert taken == [threading.main_thread()]


def test_nothing_is_collected_before_it_is_due(taken):
    gc_guard.hold()
    gc.collect()
    Cycle(taken)
    gc_guard.collect_due()
    gc_guard.release()
    assert not taken


def test_the_last_to_release_lets_python_collect_again(taken):
    gc_guard.hold()
    gc_guard.hold()
    gc_guard.freeze()
    gc_guard.release()
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 0
    gc_guard.release()


def test_what_is_settled_is_collected_after_the_release(taken):
    gc_guard.hold()
    cycle = Cycle(taken)
    gc_guard.freeze()
    del cycle
    gc.collect()
    assert not taken
    gc_guard.release()
    gc.collect()
    assert taken


def test_what_has_become_garbage_since_is_collected_at_the_release(taken):
    gc_guard.hold()
    gc_guard.freeze()
    Cycle(taken)
    gc_guard.release()
    assert taken


def test_what_others_have_held_or_frozen_stays_so(taken):
    gc.disable()
    gc.freeze()
    gc_guard.hold()
    gc_guard.release()
    assert not gc.isenabled()
    assert gc.get_freeze_count() > 0
    gc.enable()
    gc.unfreeze()
