from pathlib import Path

import numpy as np
import pytest
from helpers import gray_noise, make_model

from napari_pix2pix.errors import FileError, StoppedError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io.locks import locked
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.large_images import FileTranslation


@pytest.fixture(scope="module")
def model():
    image = gray_noise(48, 48)
    return make_model(image, 255 - image, norm="none")


@pytest.fixture
def source(tmp_path) -> Path:
    path = tmp_path / "source.tif"
    write_image(path, gray_noise(70, 90), "YX")
    return path


def translation(model, **fields) -> FileTranslation:
    return FileTranslation(model, PredictOptions(device="cpu"), **fields)


def test_small_and_large_files_become_the_same_pixels(model, source, tmp_path):
    at_once, in_blocks = tmp_path / "at_once.tif", tmp_path / "in_blocks.tif"
    assert translation(model).apply(source, [at_once]) == [at_once]
    assert translation(model, part=("0:70,0:90", None)).apply(source, [in_blocks]) == [in_blocks]
    first, second = (read_image(path).data for path in (at_once, in_blocks))
    np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


def test_finished_files_are_kept_and_told_of(model, source, tmp_path):
    out, told = tmp_path / "out.tif", []
    work = translation(model, resume=True, tell=told.append)
    assert work.apply(source, [out]) == [out]
    assert work.apply(source, [out]) == []
    assert told == [f"{out} is finished already."]


def test_what_is_watched_can_end_the_work(model, source, tmp_path):
    def watch(parts):
        raise StoppedError("Cancelled.")

    with pytest.raises(StoppedError):
        translation(model).apply(source, [tmp_path / "out.tif"], watch)
    assert [path.name for path in tmp_path.iterdir()] == ["source.tif"]


@pytest.mark.parametrize("part", [(None, None), ("0:32,0:32", None)])
def test_the_source_is_not_replaced(model, source, tmp_path, part):
    before = source.read_bytes()
    work = translation(model, overwrite=True, part=part)
    link = tmp_path / "link.tif"
    link.symlink_to(source)
    for out in (source, link):
        with pytest.raises(FileError, match="is read by this very run"):
            work.apply(source, [out])
        with pytest.raises(FileError, match="is read by this very run"):
            work.write_unlikeness(source, out)
    assert source.read_bytes() == before


def test_what_others_made_is_not_replaced(model, source, tmp_path):
    foreign = tmp_path / "foreign.zarr"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("mine")
    with pytest.raises(FileError, match="not written by napari-pix2pix"):
        translation(model, overwrite=True).apply(source, [foreign])
    assert [path.name for path in foreign.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("part", [(None, None), ("0:32,0:32", None)])
def test_one_run_writes_a_file_at_a_time(model, source, tmp_path, part):
    out = tmp_path / "out.tif"
    with locked(out), pytest.raises(FileError, match="is being written by another run"):
        translation(model, part=part).apply(source, [out])
    assert not out.exists()
