"""Where arrays keep their channels, and which channels of a file are meant."""

from __future__ import annotations

import helpers
import numpy as np
import pytest
import tifffile
from click.testing import CliRunner
from napari.layers import Image

from napari_pix2pix import evaluate, load, train
from napari_pix2pix.cli import main
from napari_pix2pix.data.channel_look import ChannelLook
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image

FIELDS = helpers.TINY | {"steps": 1, "dropout": 0}
TINY = [word for name, value in FIELDS.items() for word in (f"--{name.replace('_', '-')}", value)]
NAMES = ["Phase", "Junk", "DAPI"]


def invoke(*words):
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize(
    ("shape", "dtype", "frames", "channels"),
    [
        ((64, 48, 1), np.uint8, 1, 1),
        ((5, 64, 48, 1), np.uint16, 5, 1),
        ((64, 48, 2), np.float32, 1, 2),
        ((64, 64, 4), np.int32, 1, 4),
        ((128, 128, 8), np.uint16, 1, 8),
        ((64, 48, 1), bool, 1, 1),
        ((7, 64, 48), np.uint8, 7, 1),  # a stack
        ((40, 64, 48), np.uint8, 40, 1),
    ],
)
def test_a_last_axis_too_short_for_a_width_holds_channels(shape, dtype, frames, channels):
    planes = LazyImage(np.zeros(shape, dtype))
    assert (planes.frames, planes.channels) == (frames, channels)


@pytest.mark.parametrize("count", [1, 2])
def test_channels_last_come_out_as_they_went_in(count):
    da = pytest.importorskip("dask.array")
    x = helpers.integer_noise(64, 64, count)
    model = train(x, 255 - x, validation=0.0, **FIELDS)
    assert "64 x 64 pixels" in model.info.summary
    made = model(x)
    assert made.shape == x.shape
    assert np.array_equal(np.asarray(model(da.from_array(x, chunks=(64, 64, count)))), made)
    assert len(evaluate(model, x, 255 - x)["images"]) == 1
    assert model(np.stack([x, x])).shape == (2, *x.shape)
    if count == 1:  # whose axis may be left out
        assert np.array_equal(model(x[..., 0]), made)


def test_a_plain_model_takes_a_single_channel_on_an_axis():
    x = helpers.integer_noise(64, 64)
    model = train(x, 255 - x, **FIELDS)
    assert np.array_equal(model(x[..., None]), model(x))


@pytest.mark.window
def test_layers_with_channels_last():
    from napari.layers import Image

    x = helpers.integer_noise(64, 64, 1)
    model = train(Image(x, name="s"), Image(255 - x[..., 0], name="t"), **FIELDS)
    assert "64 x 64 pixels" in model.info.summary
    assert model(Image(x, name="s")).data.shape == (64, 64)


def composite(path, names):
    phase = helpers.integer_noise(64, 64)
    planes = {"Phase": phase, "Junk": phase // 2, "DAPI": 255 - phase}
    tifffile.imwrite(
        path, np.stack([planes[name] for name in names]), ome=True, photometric="minisblack",
        metadata={"axes": "CYX", "Channel": {"Name": names}},
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("composites")
    path = composite(folder / "all.ome.tif", NAMES)
    composite(folder / "turned.ome.tif", NAMES[::-1])
    composite(folder / "less.ome.tif", ["Junk", "DAPI"])
    tifffile.imwrite(folder / "phase.tif", helpers.integer_noise(64, 64))
    chosen = ["--source-channels", "phase", "--target-channels", "2"]
    done = invoke("train", path, path, *chosen, "-o", folder / "m.safetensors", *TINY)
    assert done.exit_code == 0, done.stderr
    return folder


def test_both_sides_in_one_file_train_as_sliced_arrays_do(place):
    planes = tifffile.imread(place / "all.ome.tif")
    sliced = train(planes[0], planes[2], **FIELDS)
    model = load(place / "m.safetensors")
    assert np.array_equal(model(planes[0]), sliced(planes[0]))
    assert model.info.source_channels == ("Phase",)


@pytest.mark.parametrize(
    ("file", "more"),
    [
        ("all.ome.tif", []),
        ("turned.ome.tif", []),
        ("phase.tif", []),
        ("turned.ome.tif", ["--region", "0:64,0:64"]),
        ("all.ome.tif", ["--source-channels", "0"]),
    ],
)
def test_a_model_takes_its_channels_by_name(place, file, more, tmp_path):
    out = tmp_path / "out.tif"
    done = invoke("apply", place / "m.safetensors", place / file, "-o", out, *more)
    assert done.exit_code == 0, done.stderr
    expected = load(place / "m.safetensors")(tifffile.imread(place / "phase.tif"))
    assert np.array_equal(tifffile.imread(out), expected)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ([], "of which Phase is missing"),
        (["--source-channels", "Phase"], "has the channels Junk, DAPI, got 'Phase'"),
        (["--source-channels", "2"], "got '2'"),
        (["--source-channels", "0,0"], "name each once"),
    ],
)
def test_missing_channels_are_said(place, more, words, tmp_path):
    out = tmp_path / "out.tif"
    said = invoke("apply", place / "m.safetensors", place / "less.ome.tif", "-o", out, *more)
    assert said.exit_code == 2
    assert words in said.stderr
    assert "(--source-channels)" in said.stderr
    assert not out.exists()


def test_names_that_are_not_the_models_are_said(place, tmp_path):
    composite(tmp_path / "junk.ome.tif", ["Junk"])
    out = tmp_path / "out.tif"
    done = invoke("apply", place / "m.safetensors", tmp_path / "junk.ome.tif", "-o", out)
    assert done.exit_code == 0, done.stderr
    assert "trained on Phase: the channels are taken by their place" in done.stderr


def test_fine_tuning_takes_the_models_channels_by_name(place, tmp_path):
    out, path = tmp_path / "m2.safetensors", place / "turned.ome.tif"
    start = ["--start", place / "m.safetensors", "--steps", "1", "-o", out]
    done = invoke("train", path, path, *start)
    assert done.exit_code == 0, done.stderr
    assert load(out).info.source_channels == ("Phase",)


def test_evaluate_and_tables_choose_channels(place):
    model, path = place / "m.safetensors", place / "turned.ome.tif"
    scored = invoke("evaluate", model, path, path, "--target-channels", "DAPI", "--json")
    (place / "p.csv").write_text(f"source,target,target_channels\n{path.name},{path.name},DAPI\n")
    table = invoke("evaluate", model, "--pairs", place / "p.csv", "--json")
    by_name = invoke("evaluate", model, path, path, "--json")  # the model's own target
    assert scored.exit_code == table.exit_code == by_name.exit_code == 0, by_name.stderr
    results = (scored, table, by_name)
    numbers = [helpers.strict_json(one.stdout)["prediction"] for one in results]
    assert numbers[0] == numbers[1] == numbers[2]
    refused = invoke("evaluate", model, path, path, "--target-channels", "GFP")
    assert "(--target-channels)" in refused.stderr


def test_a_resumed_file_of_other_channels_is_refused(place, tmp_path):
    out = tmp_path / "out.tif"
    words = ["apply", place / "m.safetensors", place / "all.ome.tif", "-o", out]
    assert invoke(*words).exit_code == 0
    said = invoke(*words, "--source-channels", "1", "--resume")
    assert "other channels" in said.stderr


LOOKS = (
    ChannelLook("#0000FF", limits=(10.0, 200.0)),
    ChannelLook("#00FF00", limits=(0.0, 90.0)),
    ChannelLook("#FF00FF", limits=(5.0, 250.0)),
)
STAINS = ("DAPI", "MAP2", "NFH")


@pytest.fixture(scope="module")
def stained(tmp_path_factory):
    """A model that was trained on a file whose channels have names and colours."""
    folder = tmp_path_factory.mktemp("stained")
    source = write_image(folder / "s.tif", helpers.integer_noise(64, 64), "YX")
    planes = helpers.integer_noise(3, 64, 64)
    target = write_image(folder / "t.tif", planes, "CYX", channel_names=STAINS, looks=LOOKS)
    done = invoke("train", source, target, "-o", folder / "m.safetensors", *TINY)
    assert done.exit_code == 0, done.stderr
    return folder


@pytest.mark.parametrize("out", ["o.tif", "o.ome.tif", "o.ome.zarr"])
@pytest.mark.parametrize("part", [[], ["--region", "0:64,0:48"]])  # a part is made block by block
def test_files_of_many_channels_have_the_names_and_colours_of_each(stained, out, part, tmp_path):
    words = ["apply", stained / "m.safetensors", stained / "s.tif", "-o", tmp_path / out]
    done = invoke(*words, *part)
    assert done.exit_code == 0, done.stderr
    made = read_image(tmp_path / out)
    assert made.channel_names == STAINS
    assert [look.colour for look in made.looks] == [look.colour for look in LOOKS]
    if out != "o.ome.tif":  # which has no place for ranges
        assert [look.limits for look in made.looks] == [look.limits for look in LOOKS]


def test_layers_of_many_channels_are_one_each_with_its_name_and_colour(stained):
    model = load(stained / "m.safetensors")
    layers = model(Image(helpers.integer_noise(64, 64), name="phase", scale=(0.5, 0.5)))
    assert [layer.name for layer in layers] == [f"phase [pix2pix, {name}]" for name in STAINS]
    for layer, look in zip(layers, LOOKS, strict=True):
        wanted = [int(look.colour[first : first + 2], 16) / 255 for first in (1, 3, 5)]
        np.testing.assert_allclose(layer.colormap.colors[-1][:3], wanted)
        assert layer.contrast_limits == list(look.limits)
        assert layer.scale.tolist() == [0.5, 0.5]
