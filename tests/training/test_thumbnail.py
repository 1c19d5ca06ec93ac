from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_pix2pix.data.codecs import picture
from napari_pix2pix.training.loop import TrainingLoop
from napari_pix2pix.training.thumbnail import _liveliest, make_thumbnail


def test_source_stands_beside_what_was_made_of_it(make_loop: Callable[..., TrainingLoop]) -> None:
    loop = make_loop(steps=1)
    validation = loop.data.validation
    assert validation is not None
    made = make_thumbnail(loop.model(), validation, 0)
    assert made is not None
    height, width, _ = made.shape
    block = validation.blocks[0]
    assert (height, width // 2) == tuple(min(n, 96) for n in block.source.shape[1:])
    codec = loop.data.source_codec
    whole = picture(codec.encode(block.source), codec)
    windows = np.lib.stride_tricks.sliding_window_view(whole, (height, width // 2, 3))
    assert (windows == made[:, : width // 2]).all(axis=(-3, -2, -1)).any()
    assert make_thumbnail(loop.model(), None, 0) is None


def test_it_is_taken_where_there_is_something_to_see() -> None:
    target = np.zeros((1, 300, 260), np.uint16)
    target[0, 150:170, 200:230] = 1000
    rows, columns = _liveliest(target)
    assert rows.start <= 150 < rows.stop
    assert columns.start <= 200 < columns.stop
    assert _liveliest(np.zeros((2, 40, 50))) == (slice(0, 96), slice(0, 96))
