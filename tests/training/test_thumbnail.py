from __future__ import annotations

from collections.abc import Callable

import numpy as np

from napari_pix2pix.pairs.pictures import picture
from napari_pix2pix.training.loop import TrainingLoop
from napari_pix2pix.training.thumbnail import make_thumbnail


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
    top, left = ((n - m) // 2 for n, m in zip(whole.shape, (height, width // 2), strict=False))
    shown = whole[top : top + height, left : left + width // 2]
    np.testing.assert_array_equal(made[:, : width // 2], shown)
    assert make_thumbnail(loop.model(), None, 0) is None
