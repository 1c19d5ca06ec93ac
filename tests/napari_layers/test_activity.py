from __future__ import annotations

from collections.abc import Generator

import pytest

pytest.importorskip("qtpy.QtWidgets", reason="a viewer needs a Qt binding", exc_type=ImportError)

import napari.utils
from napari.utils import progress

from napari_pix2pix.napari_layers.keep_responsive import Activity


@pytest.fixture
def bars() -> Generator[list[tuple[str, int]]]:
    """Collect the bars that come and go, as an activity dock does."""
    seen: list[tuple[str, int]] = []

    def listen(event: object) -> None:
        added, removed = event.added, event.removed  # type: ignore[attr-defined]
        seen.extend((word, bar.n) for word, bars in (("+", added), ("-", removed)) for bar in bars)

    progress._all_instances.events.changed.connect(listen)
    yield seen
    progress._all_instances.events.changed.disconnect(listen)


def test_bar_comes_moves_and_goes(bars: list[tuple[str, int]]) -> None:
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
def test_work_goes_on_where_no_bar_can_be_shown(
    monkeypatch: pytest.MonkeyPatch, words: str, cancelable: bool
) -> None:
    for name in ("progress", "cancelable_progress"):
        monkeypatch.setattr(napari.utils, name, Broken)
    activity = Activity(cancelable=cancelable)
    activity.begin(words)
    activity.show(0.5, "Epoch 1")
    activity.begin(words)
    assert not activity.canceled
    activity.end()


def test_bar_can_be_cancelled(bars: list[tuple[str, int]]) -> None:
    activity = Activity(cancelable=True)
    assert not activity.canceled
    activity.begin("Work")
    (bar,) = progress._all_instances
    bar.cancel()
    assert activity.canceled
    activity.end()
