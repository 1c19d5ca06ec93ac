"""Files of blocks so small that a small image has many."""

from __future__ import annotations

import pytest

from napari_pix2pix.streaming import files


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks and chunks of 32 pixels, as if memory were short."""
    monkeypatch.setattr(files, "CHUNK", 32)
    monkeypatch.setattr("napari_pix2pix.formats.omezarr.CHUNK", 32)
    monkeypatch.setattr(files, "_LARGEST", 32)
