from pathlib import Path

import pytest

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.large_images.outputs import name_outputs, name_tagged_outputs, prepare_outputs


@pytest.fixture
def inputs(tmp_path) -> list[Path]:
    folder = tmp_path / "in"
    folder.mkdir()
    paths = [folder / "a.tif", folder / "b.tif"]
    for path in paths:
        path.write_bytes(b"")
    return paths


def test_outputs_are_named_after_inputs_samples_and_format(inputs, tmp_path):
    out = tmp_path / "out"
    named = name_outputs(inputs[0].parent, inputs, out, ".ome.zarr")
    assert [path.name for path in named] == ["a.ome.zarr", "b.ome.zarr"]
    tagged = name_tagged_outputs(named, ["mean", "q5"])
    assert [path.name for path in tagged[0]] == ["a_mean.ome.zarr", "a_q5.ome.zarr"]
    assert name_outputs(inputs[0], inputs[:1], tmp_path / "x.png") == [tmp_path / "x.png"]
    assert not out.exists()


def test_several_inputs_need_a_folder_and_names_of_their_own(inputs, tmp_path):
    with pytest.raises(FileError, match=r"names 2 files, so .* must be a folder"):
        name_outputs(inputs[0].parent, inputs, tmp_path / "x.tif")
    alike = [inputs[0], inputs[0].with_suffix(".png")]
    with pytest.raises(InputError, match="Two inputs would both be written"):
        name_outputs(inputs[0].parent, alike, tmp_path / "out")


def test_no_output_is_an_input_or_the_model_and_nothing_is_made_before(inputs, tmp_path):
    folder, model = inputs[0].parent, tmp_path / "models" / "a.tif"
    for out, read in ((folder, None), (model.parent, model)):
        with pytest.raises(FileError, match="is read by this very run"):
            prepare_outputs(folder, inputs, out, [], model=read)
    assert not model.parent.exists()
    assert prepare_outputs(folder, inputs, tmp_path / "new", [], model=model)[0]
    assert (tmp_path / "new").is_dir()
