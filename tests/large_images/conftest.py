"""Files of blocks so small that a small image has many."""

import pytest

from napari_pix2pix.large_images import _translate_file


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """Blocks and chunks of 32 pixels, as if memory were short."""
    monkeypatch.setattr(_translate_file, "CHUNK", 32)
    monkeypatch.setattr("napari_pix2pix.io.zarr_file.CHUNK", 32)
    monkeypatch.setattr(_translate_file, "_LARGEST", 32)
