"""What all tests share; nothing here imports torch, napari or Qt."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# Read when torch is first imported: more threads than this only disturb each other on small arrays,
# and those of tests that run side by side.
_BESIDE = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
os.environ.setdefault("OMP_NUM_THREADS", str(max(1, min(4, os.cpu_count() or 1) // _BESIDE)))


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real image pairs; tests that need it are skipped where it is not given."""
    named = os.environ.get("NAPARI_PIX2PIX_DATA")
    if not named:
        pytest.skip("NAPARI_PIX2PIX_DATA does not name a folder of real image pairs")
    folder = Path(named)
    if not folder.is_dir():
        pytest.skip(f"NAPARI_PIX2PIX_DATA names {named!r}, which is not a folder")
    return folder
