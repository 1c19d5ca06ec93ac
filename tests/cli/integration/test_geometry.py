from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from helpers import gray_noise, make_model

from napari_pix2pix import load
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.training.model_info import read_model_info

SIZES = {"T": 30.0, "Z": 2.0, "Y": 0.5, "X": 0.25}  # as the fixture `write` states them


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
def test_geometry_is_found_again(
    models, tmp_path, kinds, axes, shape, written, ome, succeed, write
):
    model = models(*kinds, tmp_path / "m.safetensors")
    dtype = np.uint16 if kinds[0] == "channels" else np.uint8
    suffix = ".ome.tif" if ome else ".tif"
    source = write(tmp_path / f"in{suffix}", gray_noise(*shape, dtype=dtype), axes, ome=ome)
    succeed("apply", model, source, "-o", tmp_path / f"out{suffix}")
    found, given = read_image(tmp_path / f"out{suffix}"), read_image(source)
    assert found.axes == written
    lengths = dict(zip(found.axes, found.shape, strict=True))
    assert (lengths["Y"], lengths["X"]) == (15, 21)
    assert found.dtype == (np.uint16 if kinds[1] == "channels" else np.uint8)
    assert given.scale == pytest.approx({axis: SIZES[axis] for axis in axes if axis in SIZES})
    assert found.scale == pytest.approx(given.scale)
    assert found.units == given.units
    assert found.units["X"] == "micrometer"


def test_output_equals_what_python_says(folder, gray, tmp_path, invoke):
    result = invoke("apply", gray, folder / "source.tif", "-o",
                    tmp_path / "out.npy", "--tile 16 --output float")  # fmt: skip
    assert result.exit_code == 0
    expected = load(gray)(gray_noise(96, 80), output="float")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), expected, atol=2e-3)


def test_model_of_python_with_channels_last(tmp_path, succeed, write):
    image = gray_noise(48, 48, 2)
    model = make_model(image, image[..., 0], channel_axis=(-1, None))
    model.save(tmp_path / "m.safetensors")
    write(tmp_path / "in.tif", np.moveaxis(image, -1, 0), "CYX")
    succeed("apply", tmp_path / "m.safetensors", tmp_path / "in.tif", "-o", tmp_path / "out.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out.tif"), model(image))


def test_gray_to_channels_is_trained_from_files(tmp_path, succeed, tiny, write):
    write(tmp_path / "a.tif", gray_noise(64, 64), "YX")
    write(tmp_path / "b.tif", gray_noise(3, 64, 64), "CYX")
    succeed("train", tmp_path / "a.tif", tmp_path / "b.tif", "-o", tmp_path / "m.st", tiny)
    assert load(tmp_path / "m.st")(gray_noise(9, 8)).shape == (3, 9, 8)


def test_axes_say_what_the_file_does_not(tmp_path, invoke, succeed, sentence, tiny, write):
    tifffile.imwrite(tmp_path / "a.tif", gray_noise(5, 64, 64), photometric="minisblack")
    write(tmp_path / "b.tif", gray_noise(64, 64), "YX")
    words = ("train", tmp_path / "a.tif", tmp_path / "b.tif", "-o", tmp_path / "m.st", tiny)
    assert "--axes" in sentence(invoke(*words))
    succeed(*words, "--axes cyx")
    assert load(tmp_path / "m.st").source_codec.channels == 5


def test_real_stack_as_channels(real_data, tmp_path, invoke, tiny):
    place = real_data / "phase_to_fluorescence"
    source, target = place / "source_phase_ZYX.tif", place / "target_DAPI_MAP2_NFH_CYX.tif"
    model = tmp_path / "m.safetensors"
    options = f"{tiny} --validation 0 --no-flips --axes CYX"
    assert invoke("train", source, target, "-o", model, options).exit_code == 0
    codecs = load(model)
    assert (codecs.source_codec.channels, codecs.target_codec.channels) == (13, 3)


# --- stacks of real data --------------------------------------------------------------------------


UNITS = {"T": "second", "Z": "micrometer", "Y": "micrometer", "X": "micrometer"}
REAL = {
    "timelapse_two_channels": ("TYX", ""),
    "volume_nuclei": ("ZYX", "--z-context 1 --target-kind instances"),
}


def found_in_ome(xml: str) -> dict[str, tuple[float, str]]:
    pixels = tifffile.xml2dict(xml)["OME"]["Image"]["Pixels"]
    keys = {"T": "TimeIncrement"} | {axis: f"PhysicalSize{axis}" for axis in "ZYX"}
    names = {"s": "second", "µm": "micrometer"}
    return {
        axis: (pixels[key], names[pixels[f"{key}Unit"]])
        for axis, key in keys.items()
        if key in pixels
    }


def found_in_imagej(tiff: tifffile.TiffFile) -> dict[str, tuple[float, str]]:
    metadata = tiff.imagej_metadata
    unit = {"micron": "micrometer"}[metadata["unit"]]
    across, down = tiff.pages.first.resolution
    found = {"Y": (1 / down, unit), "X": (1 / across, unit)}
    if "spacing" in metadata:
        found["Z"] = metadata["spacing"], unit
    if "finterval" in metadata:
        found["T"] = metadata["finterval"], "second"
    return found


def found_in_zarr(path: Path):
    group = zarr.open(path, mode="r")
    image = group.attrs["ome"]["multiscales"][0]
    level = image["datasets"][0]
    sizes = level["coordinateTransformations"][0]["scale"]
    axes = "".join(axis["name"].upper() for axis in image["axes"])
    units = [axis["unit"] for axis in image["axes"]]
    found = dict(zip(axes, zip(sizes, units, strict=True), strict=True))
    return axes, group[level["path"]], found


@pytest.fixture(scope="module", params=REAL)
def real(request, real_data, tmp_path_factory, succeed, tiny, write):
    """A real stack as OME-TIFF and as ImageJ-TIFF, and a model that was trained on each."""
    axes, options = REAL[request.param]
    place = tmp_path_factory.mktemp(request.param)
    for ome, name in ((False, "imagej.tif"), (True, "ome.ome.tif")):
        for side in ("source", "target"):
            array = tifffile.imread(real_data / request.param / f"{side}_{axes}.tif")
            write(place / f"{side}_{name}", array, axes, ome=ome)
        succeed(
            "train", place / f"source_{name}", place / f"target_{name}", "-o", place / f"{name}.st",
            tiny, options,
        )  # fmt: skip
    return place, axes, array.shape


@pytest.mark.parametrize("name", ["imagej.tif", "ome.ome.tif"])
@pytest.mark.parametrize("out", ["out.tif", "out.ome.tif", "out.zarr"])
def test_real_stack_keeps_its_geometry(real, name, out, tmp_path, succeed):
    place, axes, shape = real
    succeed("apply", place / f"{name}.st", place / f"source_{name}", "-o", tmp_path / out)
    if out.endswith(".zarr"):
        found_axes, image, found = found_in_zarr(tmp_path / out)
    else:
        with tifffile.TiffFile(tmp_path / out) as tiff:
            assert tiff.is_ome == out.endswith(".ome.tif")
            image = tiff.series[0]
            found_axes = image.axes
            found = found_in_ome(tiff.ome_metadata) if tiff.is_ome else found_in_imagej(tiff)
    assert (found_axes, image.shape, image.dtype) == (axes, shape, np.uint16)
    assert {axis: unit for axis, (_, unit) in found.items()} == {a: UNITS[a] for a in axes}
    sizes = {axis: size for axis, (size, _) in found.items()}
    assert sizes == pytest.approx({axis: SIZES[axis] for axis in axes})


def test_both_formats_are_the_same_training(real):
    place, axes, _ = real
    files = "imagej.tif", "ome.ome.tif"
    first, second = (read_model_info(place / f"{name}.st") for name in files)
    assert first.fingerprint == second.fingerprint
    assert first.scores == second.scores
    kind, context = ("instances", 1) if axes == "ZYX" else ("image", 0)
    assert (first.config.target_kind, first.config.z_context) == (kind, context)


def test_planes_see_their_neighbours(tmp_path, invoke, succeed, sentence, tiny, write):
    rng = np.random.default_rng(0)
    stack = rng.integers(0, 255, (5, 40, 48)).astype(np.uint8)
    write(tmp_path / "source.tif", stack, "ZYX")
    write(tmp_path / "target.tif", 255 - stack, "ZYX")
    model = tmp_path / "m.st"
    succeed("train", tmp_path / "source.tif", tmp_path / "target.tif", "-o", model, tiny,
            "--z-context 2")  # fmt: skip
    for name, array in (("a", stack), ("b", np.roll(stack, 1, axis=0))):
        write(tmp_path / f"{name}.tif", array, "ZYX")
        succeed("apply", model, tmp_path / f"{name}.tif", "-o", tmp_path / f"{name}_out.tif")
    first, second = (tifffile.imread(tmp_path / f"{name}_out.tif") for name in "ab")
    np.testing.assert_array_equal(first[2], load(model)(stack)[2])
    assert (first[0] != second[1]).any()  # the same plane, but other neighbours
    write(tmp_path / "flat.tif", stack[0], "YX")
    flat = ("train", tmp_path / "flat.tif", tmp_path / "flat.tif", "-o", model, tiny)
    assert "images have one plane each" in sentence(invoke(*flat, "--overwrite --z-context 2"))
