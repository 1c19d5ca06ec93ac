from __future__ import annotations

import numpy as np
import pytest
import tifffile
from helpers import gray_noise

from napari_pix2pix import load, train
from napari_pix2pix.io.reading import read_image

SIZES = {"Y": 0.5, "X": 0.25, "Z": 2.0, "T": 30.0}


@pytest.mark.parametrize("ome", [False, True], ids=["imagej", "ome"])
@pytest.mark.parametrize(
    ("kinds", "axes", "shape", "written"),
    [
        (("gray", "gray"), "YX", (15, 21), "YX"),
        (("gray", "gray"), "ZYX", (3, 15, 21), "ZYX"),
        (("gray", "gray"), "TYX", (3, 15, 21), "TYX"),
        (("gray", "gray"), "TZYX", (2, 3, 15, 21), "TZYX"),
        (("rgb", "gray"), "YXS", (15, 21, 3), "YX"),
        (("gray", "rgb"), "YX", (15, 21), "YXS"),
        (("gray", "rgb"), "ZYX", (3, 15, 21), "ZYXS"),
        (("channels", "channels"), "CYX", (2, 15, 21), "CYX"),
        (("channels", "channels"), "ZCYX", (3, 2, 15, 21), "ZCYX"),
        (("channels", "gray"), "CYX", (2, 15, 21), "YX"),
        (("gray", "channels"), "TYX", (3, 15, 21), "TCYX"),
    ],
)
def test_geometry_is_found_again(models, tmp_path, kinds, axes, shape, written, ome, invoke, write):
    model = models(*kinds, tmp_path / "m.safetensors")
    dtype = np.uint16 if kinds[0] == "channels" else np.uint8
    suffix = ".ome.tif" if ome else ".tif"
    source = write(tmp_path / f"in{suffix}", gray_noise(*shape, dtype=dtype), axes, ome=ome)
    result = invoke("apply", model, source, "-o", tmp_path / f"out{suffix}")
    assert result.exit_code == 0, result.stderr
    found, given = read_image(tmp_path / f"out{suffix}"), read_image(source)
    assert found.axes == written
    lengths = dict(zip(found.axes, found.shape, strict=True))
    assert (lengths["Y"], lengths["X"]) == (15, 21)
    assert found.dtype == (np.uint16 if kinds[1] == "channels" else np.uint8)
    assert given.scale == pytest.approx({axis: SIZES[axis] for axis in axes if axis in SIZES})
    assert found.scale == pytest.approx(given.scale)
    assert found.units == given.units
    assert found.units["X"] == "micrometer"


def test_output_equals_what_python_says(folder, tmp_path, invoke):
    result = invoke("apply", folder / "gray.safetensors", folder / "source.tif", "-o",
                    tmp_path / "out.npy", "--tile 16 --output float")  # fmt: skip
    assert result.exit_code == 0
    expected = load(folder / "gray.safetensors")(gray_noise(96, 80), output="float")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=2e-3)


def test_model_of_python_with_channels_last(tmp_path, invoke, write):
    image = gray_noise(48, 48, 2)
    model = train(
        image, image[..., 0], channel_axis=(-1, None), steps=1, width=4, depth=2, patch=32,
        batch=1, validation=0.0, adversarial_weight=0.0, device="cpu",
    )  # fmt: skip
    model.save(tmp_path / "m.safetensors")
    write(tmp_path / "in.tif", np.moveaxis(image, -1, 0), "CYX")
    result = invoke("apply", tmp_path / "m.safetensors", tmp_path / "in.tif", "-o",
                    tmp_path / "out.tif")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), model(image))


def test_gray_to_channels_is_trained_from_files(tmp_path, invoke, tiny, write):
    write(tmp_path / "a.tif", gray_noise(64, 64), "YX")
    write(tmp_path / "b.tif", gray_noise(3, 64, 64), "CYX")
    result = invoke("train", tmp_path / "a.tif", tmp_path / "b.tif", "-o", tmp_path / "m.st", tiny)
    assert result.exit_code == 0, result.stderr
    assert load(tmp_path / "m.st")(gray_noise(9, 8)).shape == (3, 9, 8)


def test_axes_say_what_the_file_does_not(tmp_path, invoke, sentence, tiny, write):
    tifffile.imwrite(tmp_path / "a.tif", gray_noise(5, 64, 64), photometric="minisblack")
    write(tmp_path / "b.tif", gray_noise(64, 64), "YX")
    said = sentence(
        invoke("train", tmp_path / "a.tif", tmp_path / "b.tif", "-o", tmp_path / "m.st", tiny)
    )
    assert "--axes" in said
    result = invoke(
        "train", tmp_path / "a.tif", tmp_path / "b.tif", "-o", tmp_path / "m.st", tiny, "--axes cyx"
    )
    assert result.exit_code == 0, result.stderr
    assert load(tmp_path / "m.st").source_codec.channels == 5


def test_real_stack_as_channels(real_data, tmp_path, invoke, tiny):
    place = real_data / "phase_to_fluorescence"
    source, target = place / "source_phase_ZYX.tif", place / "target_DAPI_MAP2_NFH_CYX.tif"
    model = tmp_path / "m.safetensors"
    options = f"{tiny} --validation 0 --no-flips --axes CYX"
    assert invoke("train", source, target, "-o", model, options).exit_code == 0
    codecs = load(model)
    assert (codecs.source_codec.channels, codecs.target_codec.channels) == (13, 3)
