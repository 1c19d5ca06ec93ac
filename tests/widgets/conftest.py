"""Docks in tests remember nothing of the user's and leave nothing behind."""

import time
from collections import Counter

import pytest

pytest.importorskip("qtpy.QtWidgets", reason="the docks need a Qt binding", exc_type=ImportError)

from helpers import docked
from qtpy.QtCore import QSettings
from qtpy.QtWidgets import QMessageBox

from napari_pix2pix.napari_layers import gc_guard
from napari_pix2pix.widgets.apply.dock import ApplyDock
from napari_pix2pix.widgets.common import settings
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.common.runner import _Job


def _refuse(box):
    """Fail instead of waiting for a click that never comes."""
    raise AssertionError(f"Nobody is here to answer: {box.text()}")


@pytest.fixture(autouse=True)
def own_memory(tmp_path, monkeypatch):
    """Let each test remember and keep runs in a folder of its own, and know no models."""
    models.cache_clear()
    remembered = tmp_path / "remembered"
    monkeypatch.setattr(QMessageBox, "exec", _refuse)
    monkeypatch.setattr(settings, "_data_folder", lambda: tmp_path / "data")
    QSettings.setPath(QSettings.Format.IniFormat, QSettings.Scope.UserScope, str(remembered))
    return remembered


@pytest.fixture(autouse=True)
def frozen_once(monkeypatch):
    """Freeze no objects for a training: those that were there before the test are frozen already.

    The end of the training would free them too, and all later collections of the test visit them.
    """
    monkeypatch.setattr(gc_guard, "freeze", lambda: None)


@pytest.fixture
def in_step(monkeypatch):
    """Let work wait until its reports were taken, so that no answer comes too late."""
    report, take, polls = _Job._report, _Job.take, Counter()

    def poll(job):
        polls[job] += 1
        return take(job)

    def wait(job, event):
        report(job, event)
        heard = polls[job] + 2  # by the next poll, and answered before the one after it
        while polls[job] < heard and not job.control.stopped:
            time.sleep(0.002)

    monkeypatch.setattr(_Job, "take", poll)
    monkeypatch.setattr(_Job, "_report", wait)


@pytest.fixture
def dock(viewer, qtbot):
    """Open the Apply dock; modules about another dock have a fixture of their own."""
    return docked(ApplyDock(viewer), viewer, qtbot)
