import json

import helpers
import numpy as np
import pytest
import tifffile

from napari_pix2pix import load, train

TINY = helpers.TINY | {"steps": 1}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Two conditions, one of them a number; RGB."""
    path = tmp_path_factory.mktemp("sample") / "m.safetensors"
    images = [np.random.default_rng(i).integers(0, 255, (40, 40, 3), np.uint8) for i in (0, 1)]
    train(None, images, condition=["GFP", 2], **TINY).save(path)
    return path


def test_files_are_what_python_gives(model, tmp_path, succeed):
    result = succeed("sample", model, "-o", tmp_path / "new", "--condition", "2", "-n", "3",
                     "--size", "40x24", "--seed", "5", "--json")  # fmt: skip
    written = json.loads(result.stdout)["written"]
    assert written == [str(tmp_path / "new" / f"sample_00{i}.tif") for i in range(3)]
    expected = load(model).sample(2, 3, (40, 24), seed=5)
    np.testing.assert_array_equal(np.stack([tifffile.imread(path) for path in written]), expected)


def test_channels_in_front(models, tmp_path, invoke):
    image = np.random.default_rng(0).integers(0, 999, (2, 40, 40), np.uint16)
    train(None, image, channel_axis=0, **TINY).save(tmp_path / "m.safetensors")
    result = invoke("sample", tmp_path / "m.safetensors", "-o", tmp_path / "out", "--size", "24")
    assert result.stdout == f"Wrote {tmp_path / 'out' / 'sample_000.tif'}\n"
    with tifffile.TiffFile(tmp_path / "out" / "sample_000.tif") as file:
        assert (file.series[0].axes, file.series[0].shape) == ("CYX", (2, 24, 24))


def test_volumes(tmp_path, invoke):
    volume = np.random.default_rng(0).integers(0, 999, (8, 24, 24), np.uint16)
    model = train(None, volume, ndim=3, **{**TINY, "patch": 16, "discriminator_layers": 1})
    model.save(tmp_path / "m.safetensors")
    for size, shape in (("6x20x18", (6, 20, 18)), ("20", (model.config.patch_planes, 20, 20))):
        out = tmp_path / size
        assert (
            invoke("sample", tmp_path / "m.safetensors", "-o", out, "--size", size).exit_code == 0
        )
        with tifffile.TiffFile(out / "sample_000.tif") as file:
            assert (file.series[0].axes, file.series[0].shape) == ("ZYX", shape)


def test_nothing_is_replaced_unasked(model, tmp_path, invoke, sentence):
    command = ("sample", model, "-o", tmp_path, "--condition", "GFP", "-n", "2")
    old = tmp_path / "sample_001.tif"
    old.write_bytes(b"mine")
    assert "sample_001.tif exists: choose another name, or" in sentence(invoke(*command))
    assert [path.name for path in tmp_path.iterdir()] == ["sample_001.tif"]
    assert old.read_bytes() == b"mine"
    assert invoke(*command, "--overwrite").exit_code == 0
    assert tifffile.imread(old).shape == (32, 32, 3)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--n 0", "n must be 1 or more, got 0"),
        ("--n 1000000000", "samples must be less than or equal to 10000"),
        ("--condition GFP --size 8x0", "width must be 1 or more, got 0"),
        ("--condition GFP --size 8x8x8x8", "'8x8x8x8' is not a size: give 256, height and width"),
        ("--condition GFP --size 8x8x8", "a number of pixels or (height, width), got (8, 8, 8)"),
        ("--condition GFP --seed -1", "seed must be 0 or more, got -1"),
        ("--condition DAPI", "condition must be one of 'GFP', 2, got 'DAPI'"),
        ("", "condition must be one of 'GFP', 2, got None"),
    ],
)
def test_refused(options, words, model, tmp_path, invoke, sentence):
    assert words in sentence(invoke("sample", model, "-o", tmp_path, options))
    assert list(tmp_path.iterdir()) == []


def test_models_of_the_other_kind(model, folder, gray, tmp_path, invoke, sentence):
    said = sentence(invoke("sample", gray, "-o", tmp_path))
    assert "trained with a source" in said
    said = sentence(invoke("apply", model, folder / "source.tif", "-o", tmp_path / "a.tif"))
    assert "without a source and takes no image: use sample" in said
