"""Images that show source and target side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.formats.aligned import read_aligned
from napari_pix2pix.pairs.pair import open_pair

EVERYWHERE = slice(0, None), slice(0, None)


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture
def facades(tmp_path: Path) -> Path:
    """Two colour images to train on, one to validate on, one to test on."""
    for number, name in enumerate(("train/1.png", "train/2.png", "val/3.png", "test/4.png")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        iio.imwrite(path, noise(6, 16, 3, seed=number + 1))
    return tmp_path


def halves(pair: Any) -> tuple[np.ndarray, np.ndarray]:
    source, target, _ = open_pair(pair).read(0, *EVERYWHERE)
    return np.moveaxis(source, 0, -1), np.moveaxis(target, 0, -1)


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_halves_are_source_and_target(facades: Path, direction: Any) -> None:
    sets = read_aligned(facades, direction)
    assert [pair.name for pair in sets.train] == ["1.png", "2.png"]
    assert [pair.name for pair in sets.validation] == ["3.png"]
    for seed, pair in enumerate(sets.train + sets.validation, start=1):
        whole = noise(6, 16, 3, seed=seed)
        left_right = whole[:, :8], whole[:, 8:]
        expected = left_right if direction == "AtoB" else left_right[::-1]
        for got, wanted in zip(halves(pair), expected, strict=True):
            np.testing.assert_array_equal(got, wanted)


def test_what_is_tested_on(facades: Path) -> None:
    sets = read_aligned(facades, test=True)
    assert ([pair.name for pair in sets.validation], sets.train) == (["4.png"], [])
    (facades / "test" / "4.png").unlink()
    (facades / "test").rmdir()
    assert [pair.name for pair in read_aligned(facades, test=True).validation] == ["3.png"]


@pytest.mark.parametrize("test", [False, True])
def test_a_folder_of_images_alone(facades: Path, *, test: bool) -> None:
    sets = read_aligned(facades / "train", test=test)
    assert ([pair.name for pair in sets.train], sets.validation) == (["1.png", "2.png"], [])


def test_frames_and_channels_are_kept(tmp_path: Path) -> None:
    image = np.arange(5 * 2 * 4 * 12, dtype=np.uint16).reshape(5, 2, 4, 12)
    tifffile.imwrite(tmp_path / "a.tif", image, imagej=True, metadata={"axes": "TCYX"})
    (pair,) = read_aligned(tmp_path).train
    opened = open_pair(pair)
    assert (opened.frames, opened.source.channels, opened.width) == (5, 2, 6)
    np.testing.assert_array_equal(opened.read(3, *EVERYWHERE)[1], image[3, :, :, 6:])


def test_large_files_stay_on_the_disk(tmp_path: Path) -> None:
    image = noise(8, 16)
    zarr.save_array(tmp_path / "a.zarr", image)
    (pair,) = read_aligned(tmp_path, axes="YX").train
    assert not isinstance(pair.source.members[0].array, np.ndarray)
    np.testing.assert_array_equal(halves(pair)[0][..., 0], image[:, :8])


def test_unusable_folders(facades: Path) -> None:
    with pytest.raises(InputError, match="direction must be 'AtoB' or 'BtoA', got 'AtoA'"):
        read_aligned(facades, "AtoA")  # type: ignore[arg-type]
    iio.imwrite(facades / "val" / "odd.png", noise(6, 15))
    with pytest.raises(InputError, match=r"odd\.png is 15 pixels wide.*even width"):
        read_aligned(facades)
    with pytest.raises(FileError, match="no file or folder"):
        read_aligned(facades / "none")
    (facades / "train" / "none").mkdir()
    with pytest.raises(FileError, match="holds no images"):
        read_aligned(facades / "train" / "none")
