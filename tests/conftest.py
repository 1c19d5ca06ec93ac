"""What all tests share; nothing here imports torch, napari or Qt."""

import contextlib
import functools
import gc
import importlib
import json
import os
import signal
from collections.abc import Generator
from pathlib import Path

import pytest
from helpers import CountedClock, run_script

# Milliseconds to wait for what a window should come to; a busy machine may need many seconds.
_PATIENCE = 60_000
_REFERENCE = Path(__file__).parent / "reference"
_WIDGETS = Path(__file__).parent / "widgets"

# Read when torch is first imported: more threads than this only disturb each other on small arrays,
# and those of tests that run side by side.
_BESIDE = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, min(4, os.cpu_count() or 1) // _BESIDE)))


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the tests that ask for a `device` run on another one than the CPU."""
    parser.addoption("--device", default="cpu", help="cpu, cuda, cuda:1 or mps")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs Qt."""
    for item in items:
        if item.path.is_relative_to(_WIDGETS) or "qapp" in getattr(item, "fixturenames", ()):
            item.add_marker("window")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Collect what a test with a viewer leaves in this thread, after it.

    Qt objects that threads of napari or dask collect crash the viewer. What was there before is
    left out, since a viewer's end takes three collections of its own.
    """
    if item.get_closest_marker("window") is None:
        return (yield)
    importlib.import_module("napari.window")  # all that a viewer is made of
    gc.freeze()
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.enable()
        gc.unfreeze()


@pytest.fixture(scope="session")
def real_data():
    """Folder of the real image pairs; tests that need it are skipped where it is not given."""
    named = os.environ.get("NAPARI_PIX2PIX_DATA")
    if not named:
        pytest.skip("NAPARI_PIX2PIX_DATA does not name a folder of real image pairs")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"NAPARI_PIX2PIX_DATA names {named!r}, which is not a folder")
    return folder


@pytest.fixture(scope="session")
def device(request):
    """Return the device that --device names; tests that ask for it are skipped where it is not."""
    from napari_pix2pix.errors import DeviceError
    from napari_pix2pix.inference.devices import choose_device

    try:
        return choose_device(request.config.getoption("--device"))
    except DeviceError as error:
        pytest.skip(f"--device: {error}")


@pytest.fixture
def qtbot(qtbot, monkeypatch):
    """Return pytest-qt's, which gives up after 5 s, with more patience."""
    for name in ("waitUntil", "waitSignal"):
        monkeypatch.setattr(qtbot, name, functools.partial(getattr(qtbot, name), timeout=_PATIENCE))
    return qtbot


@pytest.fixture
def make_napari_viewer_proxy(make_napari_viewer_proxy, qtbot):
    """Return napari's maker of viewers, and give them time to go before it looks for leaks."""
    made = []

    def make(*arguments, **options):
        made.append(make_napari_viewer_proxy(*arguments, **options))
        return made[-1]

    yield make
    while made:
        made.pop().close()
    with contextlib.suppress(qtbot.TimeoutError):
        qtbot.waitUntil(_no_viewer)


@pytest.fixture
def viewer(make_napari_viewer_proxy):
    """Open a viewer with a window."""
    return make_napari_viewer_proxy()


def _no_viewer() -> bool:
    from qtpy.QtWidgets import QApplication

    gc.collect()
    return not any(type(one).__name__ == "QtViewer" for one in QApplication.allWidgets())


@pytest.fixture
def counted_clock(monkeypatch):
    """Let trainings count their seconds by a clock that moves 10 ms whenever it is looked at."""
    clock = CountedClock()
    for module in ("napari_pix2pix.training._schedule", "napari_pix2pix._train"):
        monkeypatch.setattr(importlib.import_module(module), "time", clock)
    return clock


@pytest.fixture
def interruptible():
    """Return the handler of Ctrl+C: Python's own, also where tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield signal.default_int_handler
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def golden():
    """Return the module that makes the golden weights, inputs and probes."""
    return run_script(_REFERENCE / "golden.py")


@pytest.fixture(scope="session")
def golden_values():
    """Return what the PyTorch reference implementation gives for them."""
    return json.loads((_REFERENCE / "golden.json").read_text())
