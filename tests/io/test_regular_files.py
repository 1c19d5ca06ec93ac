import os

import numpy as np
import pytest
import tifffile
from helpers import gray_noise

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.paths import expand_paths
from napari_pix2pix.io.plates import read_plate
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image

pytestmark = pytest.mark.skipif(os.name == "nt", reason="this system has neither pipes nor links")


@pytest.fixture
def folder(tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    write_image(tmp_path / "outside.tif", gray_noise(20, 20))
    write_image(inside / "a.tif", gray_noise(20, 20))
    return inside


@pytest.mark.parametrize("name", ["p.tif", "p.png", "p.npy", "p.ome", "p.zarr", "p.czi", "p"])
def test_pipe_is_refused_and_never_waited_for(folder, name):
    os.mkfifo(folder / name)
    with pytest.raises(FileError, match="is a pipe, not a file: name an image"):
        read_image(folder / name)
    if name == "p":
        assert expand_paths(folder) == [folder / "a.tif"]
    else:
        assert read_plate(folder / name) is None


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        ("nowhere", "is a link to nowhere, which is not there"),
        ("l.tif", "can't be read: Too many levels of symbolic links"),
        ("/dev/zero", "is a device, not a file"),
    ],
)
def test_link_to_no_file_is_refused(folder, target, refusal):
    (folder / "l.tif").symlink_to(target)
    with pytest.raises(FileError, match=refusal):
        read_image(folder / "l.tif")
    with pytest.raises(FileError):
        expand_paths(folder)


def test_link_that_leaves_a_folder_is_followed_only_where_it_is_named(folder):
    (folder / "l.tif").symlink_to(folder.parent / "outside.tif")
    with pytest.raises(FileError, match=r"leads out of its folder, to .*outside\.tif: put"):
        expand_paths(folder)
    assert expand_paths(folder / "*.tif") == [folder / "a.tif", folder / "l.tif"]
    assert read_image(folder / "l.tif").shape == (20, 20)


def test_link_within_a_folder_is_followed(folder):
    (folder / "b.tif").symlink_to("a.tif")
    assert expand_paths(folder) == [folder / "a.tif", folder / "b.tif"]


@pytest.mark.parametrize("name", ["0/c/0/0/0", "0/c", "0/zarr.json", "zarr.json", "0"])
@pytest.mark.parametrize("how", ["outside", "nowhere", "pipe", "loop"])
def test_nothing_leads_out_of_a_zarr(folder, name, how):
    path = write_image(folder / "z.zarr", gray_noise(3, 20, 20), "ZYX")
    place = path / name
    place.rename(folder.parent / "moved")
    if how == "pipe":
        os.mkfifo(place)
    else:
        targets = {"outside": folder.parent / "moved", "nowhere": "nowhere", "loop": place.name}
        place.symlink_to(targets[how])
    with pytest.raises(FileError):
        np.asarray(read_image(path).data)


def test_planes_in_other_folders_are_not_looked_for(folder):
    path = folder / "a.ome.tif"
    tifffile.imwrite(path, gray_noise(20, 20), metadata={"axes": "YX"})
    xml = tifffile.tiffcomment(path)
    uuid = '<TiffData IFD="0"><UUID FileName="../outside.tif">urn:uuid:1</UUID></TiffData>'
    start, end = xml.index("<TiffData"), xml.index("</Pixels>")
    tifffile.tiffcomment(path, xml[:start] + uuid + xml[end:])
    with pytest.raises(FileError, match=r"outside\.tif leads out of its folder"):
        read_image(path)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b.tif", ""])
def test_name_that_no_file_can_have(name):
    with pytest.raises(InputError, match="path must be the name of a file"):
        read_image(name)
