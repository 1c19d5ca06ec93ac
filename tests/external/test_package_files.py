"""A package's files are read where it lies, and nowhere else."""

import hashlib
import os
import sys
import zipfile

import pytest

from napari_pix2pix.errors import FileError
from napari_pix2pix.external._package_files import PackageFiles

CONTENT = b"weights"


@pytest.fixture(params=["folder", "zip", "description"])
def files(request, tmp_path):
    folder = tmp_path / "package"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "weights.onnx").write_bytes(CONTENT)
    (folder / "rdf.yaml").write_text("name: nuclei\n")
    (tmp_path / "secret").write_bytes(b"of somebody")
    if request.param == "folder":
        return PackageFiles(folder)
    if request.param == "description":
        return PackageFiles(folder / "rdf.yaml")
    with zipfile.ZipFile(tmp_path / "package.zip", "w") as file:
        file.write(folder / "rdf.yaml", "rdf.yaml")
        file.writestr("inner/weights.onnx", CONTENT)
    return PackageFiles(tmp_path / "package.zip")


def test_file_is_read_and_compared(files):
    sha256 = hashlib.sha256(CONTENT).hexdigest()
    assert files.read("inner/weights.onnx", sha256) == CONTENT
    assert files.read("./inner/weights.onnx") == CONTENT
    with pytest.raises(FileError, match="SHA-256 differs"):
        files.read("inner/weights.onnx", "0" * 64)


@pytest.mark.parametrize(
    "name",
    [
        "../secret",
        "inner/../../secret",
        "/etc/passwd",
        "C:\\secret",
        "\\\\host\\secret",
        "..\\secret",
    ],
)
def test_nothing_outside_is_read(files, name):
    with pytest.raises(FileError, match="outside of itself"):
        files.read(name)


@pytest.mark.skipif(sys.platform == "win32", reason="needs the right to make links")
def test_link_that_leads_out_is_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(b"of somebody")
    (tmp_path / "package").mkdir()
    os.symlink(tmp_path / "secret", tmp_path / "package" / "weights.onnx")
    with pytest.raises(FileError, match="outside of itself"):
        PackageFiles(tmp_path / "package").read("weights.onnx")


def test_nothing_is_downloaded(files):
    with pytest.raises(FileError, match="on the web"):
        files.read("https://example.com/weights.onnx")


def test_missing_file_is_named(files):
    with pytest.raises(FileError, match=r"has no other\.onnx, which it names"):
        files.read("other.onnx")


def test_file_that_is_too_large_is_not_read(files):
    with pytest.raises(FileError, match="is larger than"):
        files.read("inner/weights.onnx", most=len(CONTENT) - 1)


def test_damaged_zip_is_named(tmp_path):
    (tmp_path / "package.zip").write_bytes(b"PK\x03\x04 and no more")
    with pytest.raises(FileError, match="is no zip file, or it is damaged"):
        PackageFiles(tmp_path / "package.zip").read("weights.onnx")


def test_description_is_read(files):
    pytest.importorskip("bioimageio.core", reason="needs the extra bioimageio")
    assert files.read_description() == {"name": "nuclei"}


@pytest.mark.parametrize(
    ("text", "sentence"), [("a: [", "can't be read"), ("- 1", "describes nothing")]
)
def test_damaged_description_is_refused(text, sentence, tmp_path):
    pytest.importorskip("bioimageio.core", reason="needs the extra bioimageio")
    (tmp_path / "rdf.yaml").write_text(text)
    with pytest.raises(FileError, match=sentence):
        PackageFiles(tmp_path).read_description()
