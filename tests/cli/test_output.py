"""No command replaces what it reads, nor what another program made."""

import hashlib
import re
from pathlib import Path

import pytest


@pytest.fixture
def place(folder, tmp_path):
    """A folder of its own with source, target and model."""
    for name in ("source.tif", "target.tif", "gray.safetensors"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    (tmp_path / "target.csv").write_bytes((folder / "target.tif").read_bytes())
    (tmp_path / "tif.tif").write_bytes((folder / "gray.safetensors").read_bytes())
    (tmp_path / "pairs.csv").write_text("source,target\nsource.tif,target.tif\n")
    (tmp_path / "other.ckpt").write_bytes(b"PK of another program")
    return tmp_path


def content_of(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    "words",
    [
        "train source.tif target.tif -o gray.safetensors --start gray.safetensors --steps 1",
        "train source.tif target.tif -o new.safetensors --checkpoint other.ckpt --steps 1",
        "train source.tif target.tif -o a.ckpt --checkpoint ./a.ckpt --steps 1",
        "apply gray.safetensors source.tif -o source.tif",
        "apply tif.tif source.tif -o ./tif.tif",
        "apply gray.safetensors source.tif -o source.tif --region 0:32,0:32",
        "evaluate gray.safetensors source.tif target.csv --csv target.csv",
        "evaluate gray.safetensors --pairs pairs.csv --csv pairs.csv",
        "discriminator-map gray.safetensors source.tif -o source.tif",
        "discriminator-map gray.safetensors target.tif --source source.tif -o source.tif",
        "convert gray.safetensors gray.safetensors --weights last",
    ],
)
def test_nothing_that_is_read_or_foreign_is_replaced(place, monkeypatch, words, invoke, sentence):
    monkeypatch.chdir(place)
    before = content_of(place)
    said = sentence(invoke(words, "--overwrite"))
    assert re.search("read by this very run|is not a model that|is the checkpoint's name", said)
    assert content_of(place) == before
