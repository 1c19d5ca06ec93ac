"""Names, sizes, places and kinds of images go from files and layers to what is made of them."""

from __future__ import annotations

import json
import shutil
import warnings
from functools import partial

import numpy as np
import pytest
import tifffile
import zarr
from click.testing import CliRunner
from helpers import TINY, gray_noise

from napari_pix2pix import Pair, TrainConfig, convert, load, train
from napari_pix2pix._train import training_events
from napari_pix2pix.cli import main
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image

FIELDS = TINY | {"steps": 1, "adversarial_weight": 0.0, "validation": 0.0}
OPTIONS = [
    word for name, value in FIELDS.items() for word in (f"--{name.replace('_', '-')}", value)
]
STAINS = ("DAPI", "MAP2 é")
SIZE, UNITS = {"Y": 0.5, "X": 0.25}, {"Y": "micrometer", "X": "micrometer"}
SOURCE = gray_noise(48, 64)
quickly = partial(train, **FIELDS)


def run(*words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(*words):
    result = run(*words)
    assert result.exit_code == 0, result.stderr
    return result


def refused(*words):
    result = run(*words)
    assert result.exit_code == 2, result.stdout
    return result.stderr


def ome(path):
    return dict(zarr.open_group(path, mode="r").attrs)["ome"]


@pytest.fixture(scope="module")
def stains(tmp_path_factory):
    """A model of two stains that the file of its targets names; its source is named otherwise."""
    folder = tmp_path_factory.mktemp("stains")
    write_image(folder / "in.ome.tif", SOURCE, channel_names=["phase"])
    write_image(folder / "to.ome.tif", np.stack([SOURCE] * 2), "CYX", channel_names=STAINS)
    path = folder / "stains.safetensors"
    succeed("train", folder / "in.ome.tif", folder / "to.ome.tif", "-o", path, *OPTIONS)
    return path


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "plain.safetensors"
    quickly(SOURCE, 255 - SOURCE).save(path)
    return path


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A model of instances."""
    labels = np.zeros((48, 64), np.uint16)
    for number, top in enumerate(range(4, 44, 12), 1):
        labels[top : top + 8, 8:56] = number
    path = tmp_path_factory.mktemp("cells") / "cells.safetensors"
    quickly(SOURCE, labels, target_kind="instances").save(path)
    return path


@pytest.mark.parametrize("part", [[], ["--region", "0:32,0:32"]])
@pytest.mark.parametrize("ending", ["tif", "ome.tif", "zarr"])
def test_output_channels_have_the_targets_names(tmp_path, stains, ending, part):
    write_image(tmp_path / "a.ome.tif", SOURCE, "YX", channel_names=["phase"])
    succeed("apply", stains, tmp_path / "a.ome.tif", "-o", tmp_path / f"out.{ending}", *part)
    assert read_image(tmp_path / f"out.{ending}").channel_names == STAINS


def test_info_tells_the_names(stains, plain):
    assert "into DAPI, MAP2 é (" in succeed("info", stains).stdout
    assert "DAPI" not in succeed("info", plain).stdout


@pytest.mark.parametrize("ending", ["tif", "ome.tif", "zarr"])
def test_no_names_are_invented(tmp_path, plain, ending):
    write_image(tmp_path / "a.ome.tif", SOURCE, "YX", channel_names=["phase"])
    succeed("apply", plain, tmp_path / "a.ome.tif", "-o", tmp_path / f"out.{ending}")
    assert read_image(tmp_path / f"out.{ending}").channel_names == ()


def test_layers_and_arguments_name_channels(tmp_path):
    from napari.layers import Image

    source = Image(SOURCE, name="phase")
    model = quickly(source, (Image(255 - SOURCE, name="DAPI"), Image(SOURCE, name="MAP2")))
    assert model.info.output_names() == ("DAPI", "MAP2")
    made = model(source)  # a layer for each layer that was a target
    assert [layer.name for layer in made] == ["phase [pix2pix, DAPI]", "phase [pix2pix, MAP2]"]
    # What was made names the channels of a model that learns it.
    assert quickly(source, tuple(made)).info.output_names() == ("DAPI", "MAP2")
    model.save(tmp_path / "m.safetensors")
    assert load(tmp_path / "m.safetensors").info.output_names() == ("DAPI", "MAP2")
    named = quickly(SOURCE, np.stack([SOURCE] * 2), channel_axis=0, channel_names=["a", "b"])
    assert named.info.output_names() == ("a", "b")
    start = quickly(SOURCE, 255 - SOURCE, channel_names="c")
    assert quickly(SOURCE, 255 - SOURCE, start=start).info.output_names() == ("c",)
    with pytest.raises(InputError, match="2 channel names for the 1 channel"):
        quickly(SOURCE, SOURCE, channel_names=["a", "b"])


def test_each_condition_has_names_of_its_own():
    made = []

    def learn(pairs):
        made.append((yield from training_events(pairs, TrainConfig(**FIELDS))))

    kinds = [("a", "x"), ("b", "y"), ("b", "z")]
    list(learn([Pair(SOURCE, SOURCE, condition=c, channel_names=[n]) for c, n in kinds]))
    assert made[0].info.output_names("a") == ("x",)
    assert made[0].info.output_names("b") == ()  # its pairs state different ones


@pytest.mark.parametrize(
    ("axes", "labels", "names"),
    [
        ("CYX", ["c:1/2 - a.czi", "c:2/2 - a.czi"], ()),
        ("CYX", ["red", "green"], ("red", "green")),
        ("CYX", ["red", ""], ()),
        ("ZCYX", ["s1", "s2", "s3", "s4"], ()),
        ("ZCYX", ["red", "green"] * 2, ("red", "green")),
        ("ZYX", ["s1", "s2"], ()),
    ],
)
def test_slice_labels_are_no_channel_names(tmp_path, axes, labels, names):
    shape = (*(2 for axis in axes[:-2]), 9, 12)
    metadata = {"axes": axes, "Labels": labels}
    tifffile.imwrite(tmp_path / "a.tif", np.ones(shape, "u1"), imagej=True, metadata=metadata)
    assert read_image(tmp_path / "a.tif").channel_names == names


@pytest.mark.parametrize("ending", ["tif", "ome.tif", "zarr"])
@pytest.mark.parametrize(
    "stated",
    [
        {"imagej": True, "metadata": {"axes": "TYX", "finterval": 0}},
        {"ome": True, "metadata": {"axes": "TYX", "TimeIncrement": 0, "TimeIncrementUnit": "s"}},
        {"ome": True, "metadata": {"axes": "TYX", "TimeIncrement": -1.0}},
    ],
)
def test_unknown_sizes_stay_unknown(tmp_path, plain, ending, stated):
    tifffile.imwrite(tmp_path / "a.tif", np.stack([SOURCE] * 2), **stated)
    result = succeed("apply", plain, tmp_path / "a.tif", "-o", tmp_path / f"out.{ending}")
    made = read_image(tmp_path / f"out.{ending}")
    assert (dict(made.scale), dict(made.units), dict(made.origin)) == ({}, {}, {})
    is_negative = stated["metadata"].get("TimeIncrement", 0) < 0
    assert ("states a size of -1 along T" in result.stderr) == is_negative


@pytest.mark.parametrize("ending", ["tif", "ome.tif", "zarr"])
@pytest.mark.parametrize(
    ("scale", "units"),
    [
        ({"X": 0.25}, {"X": "micrometer"}),
        ({"Z": 2.0, "Y": 0.5, "X": 0.25}, dict.fromkeys("ZYX", "micrometer")),
        ({"Z": 2.0, "Y": 0.5, "X": 0.25}, {"Z": "nanometer"} | UNITS),
        ({"Y": 0.5, "X": 0.25}, {}),
    ],
)
def test_sizes_of_some_axes_and_units_are_kept(tmp_path, plain, ending, scale, units):
    write_image(tmp_path / "a.zarr", np.stack([SOURCE] * 2), "ZYX", scale, units)
    succeed("apply", plain, tmp_path / "a.zarr", "-o", tmp_path / f"out.{ending}")
    made = read_image(tmp_path / f"out.{ending}")
    assert made.scale == pytest.approx(scale)
    assert made.units == units


@pytest.mark.parametrize("unit", ["minute", "microsecond", "day", None])
@pytest.mark.parametrize("ending", ["tif", "zarr"])
def test_units_of_time_are_neither_lost_nor_invented(tmp_path, ending, unit):
    given = {} if unit is None else {"T": unit}
    path = write_image(tmp_path / f"a.{ending}", np.stack([SOURCE] * 2), "TYX", {"T": 3.0}, given)
    assert (read_image(path).scale, read_image(path).units) == ({"T": 3.0}, given)


@pytest.mark.parametrize("ending", ["tif", "ome.tif", "zarr"])
@pytest.mark.parametrize("source", ["tif", "ome.tif", "zarr"])
def test_the_place_of_source_and_region_is_the_outputs(tmp_path, plain, source, ending):
    origin = {"Y": 100.0, "X": -7.0}
    path = write_image(tmp_path / f"a.{source}", SOURCE, "YX", SIZE, UNITS, origin=origin)
    for name, part, moved in [
        ("whole", [], origin),
        ("part", ["--region", "8:40,16:48"], {"Y": 104.0, "X": -3.0}),
    ]:
        succeed("apply", plain, path, "-o", tmp_path / f"{name}.{ending}", *part)
        assert read_image(tmp_path / f"{name}.{ending}").origin == pytest.approx(moved)


def test_levels_of_a_pyramid_begin_at_the_same_place(tmp_path):
    image = np.zeros((600, 700), np.uint8)
    path = write_image(tmp_path / "a.zarr", image, "YX", SIZE, UNITS, origin={"Y": 5.0})
    levels = ome(path)["multiscales"][0]["datasets"]
    steps = [
        [step[step["type"]] for step in level["coordinateTransformations"]] for level in levels
    ]
    assert steps == [[[0.5 * n, 0.25 * n], [5.0, 0.0]] for n in (1, 2, 4)]


@pytest.mark.parametrize(
    ("unit", "position"), [("mm", {"Y": 2500.0}), ("µm", {"Y": 2.5}), (None, {})]
)
def test_position_on_a_stage_has_its_own_unit(tmp_path, unit, position):
    plane = {"PositionY": [2.5]} | ({"PositionYUnit": [unit]} if unit else {})
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        SOURCE,
        metadata={"axes": "YX", "PhysicalSizeY": 0.5, "Plane": plane},
    )
    assert read_image(tmp_path / "a.ome.tif").origin == position


def test_a_stage_label_is_a_position(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        SOURCE,
        metadata={"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5},
    )
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tiff:
        xml = tiff.ome_metadata
    stage = '<StageLabel Name="s" X="0.25" XUnit="mm" Y="1"/></Image>'
    xml = xml.replace("</Image>", stage)
    tifffile.imwrite(tmp_path / "b.ome.tif", SOURCE, description=xml, metadata=None)
    assert read_image(tmp_path / "b.ome.tif").origin == {"X": 250.0}


def test_reader_plugins_state_places_and_names(tmp_path, monkeypatch):
    from npe2 import io_utils

    meta = {"axis_labels": ["y", "x"], "scale": [0.5, 0.25], "translate": [3, -4], "units": "um"}
    layer = (SOURCE, meta | {"name": "cells"})
    channels = (np.stack([SOURCE] * 2), meta | {"name": list(STAINS), "channel_axis": 0})
    (tmp_path / "a.xyz").touch()
    for given, names in ((layer, ()), (channels, STAINS)):
        monkeypatch.setattr(io_utils, "read", lambda *_, given=given, **__: [given])
        image = read_image(tmp_path / "a.xyz")
        assert image.origin == {"Y": 3.0, "X": -4.0}
        assert (image.scale, image.units) == (SIZE, UNITS)
        assert image.channel_names == names


def test_transformations_of_level_and_image_add_up(tmp_path):
    group = zarr.create_group(tmp_path / "a.zarr")
    group.create_array("0", data=SOURCE)
    steps = [
        [{"type": "scale", "scale": [2, 2]}, {"type": "translation", "translation": [1, 0]}],
        [{"type": "scale", "scale": [3, 5]}, {"type": "translation", "translation": [0, 4]}],
    ]
    group.attrs["ome"] = {
        "version": "0.5",
        "multiscales": [
            {
                "axes": [
                    {"name": name, "type": "space", "unit": "micrometer"} for name in ("yaxis", "x")
                ],
                "datasets": [{"path": "0", "coordinateTransformations": steps[0]}],
                "coordinateTransformations": steps[1],
            }
        ],
    }
    image = read_image(tmp_path / "a.zarr")
    assert (image.axes, image.scale) == ("YX", {"Y": 6.0, "X": 10.0})
    assert image.origin == {"Y": 3.0, "X": 4.0}


def test_zarr_has_a_name_and_the_range_of_its_pixels(tmp_path):
    image = gray_noise(2, 48, 64, dtype=np.uint16) % 500 + 7
    path = write_image(tmp_path / "cells.zarr", image.astype(np.uint16), "CYX")
    said = ome(path)
    assert said["multiscales"][0]["name"] == "cells"
    for channel, plane in zip(said["omero"]["channels"], image, strict=True):
        low, high = int(plane.min()), int(plane.max())
        assert channel["window"] == {"min": low, "max": high, "start": low, "end": high}
        assert "label" not in channel
    floats = np.array([[np.nan, 0.25], [np.inf, 0.75]], np.float32)
    (channel,) = ome(write_image(tmp_path / "f.zarr", floats))["omero"]["channels"]
    assert channel["window"] == {"min": 0.25, "max": 0.75, "start": 0.25, "end": 0.75}


@pytest.mark.parametrize("part", [[], ["--region", "0:32,0:32"]])
def test_colours_are_channels_in_zarr(tmp_path, part):
    rgb = gray_noise(48, 64, 3)
    quickly(rgb, 255 - rgb).save(tmp_path / "m.safetensors")
    write_image(tmp_path / "in.zarr", rgb)
    write_image(tmp_path / "in.png", rgb)
    for source in ("in.zarr", "in.png"):
        out = [tmp_path / f"{source}.{ending}" for ending in ("zarr", "tif")]
        for path in out:
            succeed("apply", tmp_path / "m.safetensors", tmp_path / source, "-o", path, *part)
        made, wanted = map(read_image, out)
        assert (made.axes, wanted.axes) == ("CYX", "YXS")
        np.testing.assert_array_equal(np.asarray(made.data), np.moveaxis(wanted.data, 2, 0))
        colours = [channel["color"] for channel in ome(out[0])["omero"]["channels"]]
        assert colours == ["FF0000", "00FF00", "0000FF"]


@pytest.mark.parametrize("part", [[], ["--frames", "0:1"]])
def test_labels_are_written_where_readers_look_for_them(tmp_path, cells, part):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Label, Reader

    write_image(tmp_path / "a.tif", np.stack([SOURCE] * 2), "ZYX", SIZE, UNITS)
    succeed("apply", cells, tmp_path / "a.tif", "-o", tmp_path / "out.zarr", *part)
    succeed("apply", cells, tmp_path / "a.tif", "-o", tmp_path / "out.tif", *part)
    wanted = read_image(tmp_path / "out.tif")
    inside = tmp_path / "out.zarr" / "labels" / "instances"
    for path in (tmp_path / "out.zarr", inside):
        image = read_image(path)
        assert (image.labels, image.scale) == (True, SIZE)
        np.testing.assert_array_equal(np.asarray(image.data), np.asarray(wanted.data))
    assert ome(inside.parent)["labels"] == ["instances"]
    assert ome(inside)["image-label"]["source"] == {"image": "../../"}
    nodes = [node for node in Reader(parse_url(tmp_path / "out.zarr"))() if node.data]
    assert len(nodes) == 2
    assert all(node.load(Label) for node in nodes)


def write_old(path, version, image=SOURCE, **well):
    """Write an image as an earlier version of OME-Zarr."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    separator = "." if version == "0.1" else "/"
    data = image[None, None, None]
    group.create_array("0", data=data, chunk_key_encoding={"name": "v2", "separator": separator})
    axes = {"axes": list("tczyx")} if version == "0.3" else {}
    group.attrs["multiscales"] = [{"version": version, "datasets": [{"path": "0"}], **axes}]
    return path


def test_the_first_of_several_series_is_read(tmp_path):
    root = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=2)
    root.attrs["bioformats2raw.layout"] = 3
    write_old(tmp_path / "a.zarr" / "0", "0.3")
    image = read_image(tmp_path / "a.zarr")
    assert image.shape == SOURCE.shape
    assert "the first was read" in image.notes[0]


def test_labels_inside_images_are_their_targets(tmp_path):
    for name in ("a", "b"):
        write_image(tmp_path / f"{name}.zarr", SOURCE)
        labels = tmp_path / f"{name}.zarr" / "labels"
        zarr.open_group(labels, mode="w")
        write_image(tmp_path / "made.zarr", (SOURCE > 128).astype(np.uint8), overwrite=True)
        (tmp_path / "made.zarr").rename(labels / "cells")
    images = str(tmp_path / "*.zarr")
    command = "train", images, f"{images}/labels/cells", "-o", tmp_path / "m.safetensors", *OPTIONS
    assert "left out" not in succeed(*command).stderr
    inside = tmp_path / "a.zarr" / "labels" / "other"
    said = refused("apply", tmp_path / "m.safetensors", tmp_path / "b.zarr", "-o", inside)
    assert "ending '' is not known" in said


@pytest.mark.parametrize("version", ["0.1", "0.2", "0.3"])
def test_earlier_versions_are_read(tmp_path, version):
    image = read_image(write_old(tmp_path / "a.zarr", version))
    assert (image.axes, dict(image.scale)) == ("YX", {})
    np.testing.assert_array_equal(np.asarray(image.data), SOURCE)


def test_a_later_version_is_refused(tmp_path):
    path = write_image(tmp_path / "a.zarr", SOURCE)
    group = zarr.open_group(path, mode="r+")
    group.attrs["ome"] = {**group.attrs["ome"], "version": "0.6.dev2"}
    with pytest.raises(FileError, match=r"version 0\.6\.dev2, and versions 0\.1 to 0\.5 can be"):
        read_image(path)


def write_wells(path, invert=False):
    """Write a plate of version 0.4 with three fields, as microscopes do."""
    plate = zarr.open_group(path, mode="w", zarr_format=2)
    plate.attrs["plate"] = {
        "version": "0.4",
        "name": "screen",
        "rows": [{"name": "A"}, {"name": "B"}],
        "columns": [{"name": "1"}, {"name": "10"}],
        "wells": [
            {"path": "A/1", "rowIndex": 0, "columnIndex": 0},
            {"path": "B/10", "rowIndex": 1, "columnIndex": 1},
        ],
        "acquisitions": [{"id": 1}],
    }
    for number, name in enumerate(["A/1/0", "A/1/1", "B/10/0"]):
        image = gray_noise(48, 64, seed=number)
        write_old(path / name, "0.3", 255 - image if invert else image)
    for well, fields in [("A/1", 2), ("B/10", 1)]:
        images = [{"path": str(n), "acquisition": 1} for n in range(fields)]
        zarr.open_group(path / well, mode="a", zarr_format=2).attrs["well"] = {"images": images}
    return path


@pytest.mark.parametrize("out", ["out.zarr", "out", "folder"])
@pytest.mark.parametrize("part", [[], ["--region", "0:32,0:32"]])
def test_of_a_plate_a_plate_is_made(tmp_path, plain, out, part):
    from ome_zarr.io import parse_url
    from ome_zarr.reader import Plate, Reader

    plate = write_wells(tmp_path / "in.zarr")
    (tmp_path / "folder").mkdir()
    command = ["apply", plain, plate, "-o", tmp_path / out, *part]
    said = json.loads(succeed(*command, "--json").stdout)
    path = tmp_path / "folder" / "in.zarr" if out == "folder" else tmp_path / out
    assert said["written"] == [str(path / name) for name in ("A/1/0", "A/1/1", "B/10/0")]
    (node,) = [node for node in Reader(parse_url(path))() if node.load(Plate)]
    size = (32, 32) if part else (48, 64)
    assert node.data[0].shape[-2:] == tuple(2 * n for n in size)
    assert ome(path)["plate"]["name"] == "screen"
    assert ome(path / "A" / "1")["well"]["images"][1] == {"path": "1", "acquisition": 1}
    assert "exists" in refused(*command)
    # What is finished is kept, what is missing is made.
    kept = (path / "A" / "1" / "0" / "zarr.json").stat().st_mtime_ns
    before = np.asarray(read_image(path / "B" / "10" / "0").data)
    shutil.rmtree(path / "B" / "10" / "0")
    succeed(*command, "--resume")
    assert (path / "A" / "1" / "0" / "zarr.json").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(np.asarray(read_image(path / "B" / "10" / "0").data), before)
    succeed(*command, "--overwrite")


def test_a_plate_is_not_written_over_anything_else(tmp_path, plain):
    plate = write_wells(tmp_path / "in.zarr")
    image = write_image(tmp_path / "image.zarr", SOURCE)
    said = refused("apply", plain, plate, "-o", image, "--overwrite")
    assert "no plate like" in said
    np.testing.assert_array_equal(np.asarray(read_image(image).data), SOURCE)
    assert "ending .zarr" in refused("apply", plain, plate, "-o", tmp_path / "out.tif")
    assert "is read by this very run" in refused("apply", plain, plate, "-o", plate, "--overwrite")
    with pytest.raises(FileError, match="such as A/1/0"):
        read_image(plate)


def test_samples_of_a_plate_are_plates(tmp_path, plain):
    plate = write_wells(tmp_path / "in.zarr")
    options = "--dropout", "--samples", 2
    model = tmp_path / "m.safetensors"
    quickly(SOURCE, 255 - SOURCE, dropout=0.5).save(model)
    succeed("apply", model, plate, "-o", tmp_path / "out.zarr", *options)
    for number in (1, 2):
        assert read_image(tmp_path / f"out_{number}.zarr" / "B" / "10" / "0").shape == (48, 64)


def test_plates_train_and_are_scored_like_folders(tmp_path):
    source = write_wells(tmp_path / "in.zarr")
    target = write_wells(tmp_path / "to.zarr", invert=True)
    model = tmp_path / "m.safetensors"
    succeed("train", source, target, "-o", model, *OPTIONS)
    table = tmp_path / "scores.csv"
    succeed("evaluate", model, source, target, "--csv", table)
    names = [line.partition(",")[0] for line in table.read_text().splitlines()]
    assert names == ["image", "all", "A/1/0", "A/1/1", "B/10/0"]


FOREIGN = ["m.keras", "m.pkl", "m.tif", "m.csv", "m.h5"]


@pytest.mark.parametrize("name", [*FOREIGN, "m.pth", "m.onnx", "m.zip"])
def test_a_model_has_no_name_of_another_format(tmp_path, plain, name):
    out = tmp_path / name
    with pytest.raises(FileError, match="that of another format"):
        load(plain).save(out)
    words = "train", tmp_path / "none.tif", tmp_path / "none.tif", "-o", out
    assert "that of another format" in refused(*words)
    if name in FOREIGN:
        with pytest.raises(FileError, match="that of another format"):
            convert(plain, out)
        assert "that of another format" in refused("convert", plain, out)
        with pytest.raises(FileError, match="that of another format"):
            quickly(SOURCE, SOURCE, checkpoint=out)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "name"), [("--csv", "s.xlsx"), ("--csv", "s.html"), ("--report", "s.pdf")]
)
def test_scores_have_no_name_of_another_format(tmp_path, plain, option, name):
    said = refused("evaluate", plain, "none.tif", "none.tif", option, tmp_path / name)
    assert "that of another format" in said


def test_images_have_no_name_of_another_format(tmp_path, plain):
    write_image(tmp_path / "a.tif", SOURCE)
    write_image(tmp_path / "b.tif", SOURCE)
    for out in ("out.jpg", "out.onnx", "out.npz"):
        for given in ("a.tif", "*.tif"):
            assert out in refused("apply", plain, tmp_path / given, "-o", tmp_path / out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tif", "b.tif"]
