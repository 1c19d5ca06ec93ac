from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.control import Control
from napari_pix2pix.widgets.train import _pair_summary
from napari_pix2pix.widgets.train._pair_summary import Understanding

CONFIG = TrainConfig(patch=32, depth=3, discriminator_layers=1, width=4, device="cpu")
SOURCE = np.random.default_rng(0).random((96, 72)).astype(np.float32)


class Heard:
    """Collects what is understood, and hands out pairs when it is time."""

    def __init__(self, checker: Understanding, pairs: list[list[Pair]]) -> None:
        self.understood: list[Any] = []
        self.wrong: list[str] = []
        checker.understood.connect(self.understood.append)
        checker.wrong.connect(self.wrong.append)
        checker.due.connect(lambda: checker.check(pairs.pop(0), CONFIG))


@pytest.fixture
def checker(qtbot: QtBot) -> Any:
    made = Understanding()
    yield made
    made.close()


def test_pairs_are_understood(checker: Understanding, qtbot: QtBot) -> None:
    heard = Heard(
        checker, [[Pair(SOURCE, np.kron(np.arange(12).reshape(4, 3) % 3, np.ones((24, 24), int)))]]
    )
    checker.touch()
    assert checker.is_busy
    qtbot.waitUntil(lambda: bool(heard.understood))
    (told,) = heard.understood
    assert told.summary
    assert told.config.target_kind == "classes"
    assert told.steps_per_epoch >= 100
    assert told.memory > 0
    assert not checker.is_busy


def test_what_is_wrong_is_told(checker: Understanding, qtbot: QtBot) -> None:
    heard = Heard(checker, [[Pair(SOURCE, SOURCE[:50], name="a -> b")]])
    checker.touch()
    qtbot.waitUntil(lambda: bool(heard.wrong))
    assert "a -> b" in heard.wrong[0]
    assert heard.understood == []


def test_stale_answer_is_dropped_and_many_changes_are_one(
    checker: Understanding, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    seen: list[int] = []

    def slow(control: Control, pairs: Any, config: TrainConfig, start: Any) -> int:
        seen.append(pairs)
        go_on.wait(20)
        return int(pairs)

    monkeypatch.setattr(_pair_summary, "_understand", slow)
    heard = Heard(checker, [1, 2, 3])  # type: ignore[list-item]
    for _ in range(5):
        checker.touch()
    qtbot.waitUntil(lambda: seen == [1])
    checker.touch()
    checker.touch()
    qtbot.wait(400)
    assert seen == [1]
    go_on.set()
    qtbot.waitUntil(lambda: heard.understood == [2])
    assert seen == [1, 2]
