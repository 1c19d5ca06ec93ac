from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from napari_pix2pix.errors import FileError
from napari_pix2pix.io.model_header import read_thumbnail, thumbnail_header


def test_a_picture_goes_through_a_header() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
    header = json.loads(json.dumps(thumbnail_header(picture)))
    np.testing.assert_array_equal(read_thumbnail(header), picture)


def test_no_picture_is_no_picture() -> None:
    assert thumbnail_header(None) == {}
    assert read_thumbnail({}) is None


@pytest.mark.parametrize(
    "damage", [{"height": 8}, {"height": 10**6}, {"width": 0}, {"rgb": "AAAA"}, {"rgb": 3}]
)
def test_damage_is_said(damage: dict[str, Any]) -> None:
    header = thumbnail_header(np.zeros((7, 9, 3), np.uint8))
    with pytest.raises(FileError, match="picture in the file is damaged"):
        read_thumbnail({"thumbnail": {**header["thumbnail"], **damage}})
