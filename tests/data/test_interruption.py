from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.data.interruption import stop_if_asked, stops_when
from napari_pix2pix.data.pair import Pair, open_pair
from napari_pix2pix.errors import StoppedError


def test_reading_ends_when_it_is_asked_to_and_only_within() -> None:
    pair = open_pair(Pair(np.zeros((8, 9)), np.ones((8, 9))))
    window = 0, slice(0, 4), slice(0, 4)
    asked: list[bool] = []
    with stops_when(lambda: bool(asked)):
        assert pair.read(*window)[0].shape == (1, 4, 4)
        asked.append(True)
        with pytest.raises(StoppedError, match="no model yet"):
            pair.read(*window)
        with pytest.raises(StoppedError):
            stop_if_asked()
    stop_if_asked()
    assert pair.read(*window)[1].max() == 1
