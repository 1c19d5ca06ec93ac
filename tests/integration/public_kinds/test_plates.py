"""Plates are trained on and applied to like folders, and plates are made of them."""

from __future__ import annotations

import csv
import json
import shutil
import warnings
from functools import partial

import numpy as np
import pytest
import zarr
from click.testing import CliRunner
from helpers import TINY, gray_noise
from plate_files import PIXEL, write_wells

from napari_pix2pix import train
from napari_pix2pix.cli import main
from napari_pix2pix.io.paths import expand_paths
from napari_pix2pix.io.reading import read_image

FIELDS = TINY | {"steps": 1, "adversarial_weight": 0.0}
OPTIONS = [
    word for name, value in FIELDS.items() for word in (f"--{name.replace('_', '-')}", value)
]
NAMES = ["A/1/0", "A/1/1", "A/2/0", "B/1/0", "B/1/1"]
CHANNELS = ["--source-channels", "phase", "--target-channels", "DAPI"]
quickly = partial(train, **FIELDS)


def images(names=NAMES):
    return {
        name: np.stack([drawn := gray_noise(48, 64, seed=number), 255 - drawn])
        for number, name in enumerate(names)
    }


def run(*words, code=0):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = CliRunner().invoke(main, [str(word) for word in words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, (result.stdout, result.stderr)
    return result


def ome(path):
    return dict(zarr.open_group(path, mode="r").attrs)["ome"]


@pytest.fixture(scope="module")
def plate(tmp_path_factory):
    return write_wells(tmp_path_factory.mktemp("plate") / "plate.zarr", images())


@pytest.fixture(scope="module")
def model(plate, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "dapi.safetensors"
    said = run("train", plate, plate, "-o", path, *CHANNELS, *OPTIONS, "--json")
    (note,) = [note for note in json.loads(said.stdout)["notes"] if "held out" in note]
    assert "1 whole group of 3, such as wells" in note
    return path


def read_with_ome_zarr(path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations inside ome_zarr
        from ome_zarr.io import parse_url
        from ome_zarr.reader import Plate, Reader

        (node,) = [node for node in Reader(parse_url(path))() if node.load(Plate)]
    return node


def test_a_plate_keeps_its_layout(plate, model, tmp_path):
    out = tmp_path / "made.zarr"
    said = json.loads(run("apply", model, plate, "-o", out, "--json").stdout)
    assert said["written"] == [str(out / name) for name in NAMES]
    stated = ome(out)["plate"]
    given = dict(zarr.open_group(plate, mode="r").attrs)["plate"]
    for key in ("rows", "columns", "wells", "field_count", "name"):
        assert stated[key] == given[key]
    # What the microscope did not know is left out.
    assert stated["acquisitions"] == [{"id": 1, "name": "day 1", "maximumfieldcount": 2}]
    assert ome(out / "A" / "1")["well"]["images"] == [
        {"path": "0", "acquisition": 1},
        {"path": "1", "acquisition": 1},
    ]
    image = read_image(out / "B" / "1" / "1")
    assert (image.axes, image.shape, image.channel_names) == ("YX", (48, 64), ("DAPI",))
    assert dict(image.scale) == {"Y": PIXEL, "X": PIXEL}
    assert dict(image.units) == {"Y": "micrometer", "X": "micrometer"}
    assert [look.colour for look in image.looks] == ["#0000FF"]
    assert image.looks[0].limits == (5, 200)
    assert read_with_ome_zarr(out).data[0].shape == (2 * 48, 2 * 64)


@pytest.mark.parametrize(
    ("given", "more", "made"),
    [
        ("", ["--wells", "A2,B*"], NAMES[2:]),
        ("A/1", [], NAMES[:2]),
        ("A/*", [], NAMES[:3]),
    ],
)
def test_of_some_wells_a_plate_with_them_is_made(plate, model, tmp_path, given, more, made):
    out = tmp_path / "made.zarr"
    run("apply", model, plate / given, "-o", out, *more)
    assert [path.relative_to(out).as_posix() for path in expand_paths(out)] == made
    wells = list(dict.fromkeys(name.rpartition("/")[0] for name in made))
    assert [well["path"] for well in ome(out)["plate"]["wells"]] == wells
    assert len(ome(out)["plate"]["rows"]) == 2
    assert read_with_ome_zarr(out).data[0].ndim == 2


def test_a_run_goes_on_with_some_wells(plate, model, tmp_path):
    out = tmp_path / "made.zarr"
    run("apply", model, plate, "-o", out)
    shutil.rmtree(out / "B" / "1" / "1")
    kept = (out / "B" / "1" / "0" / "zarr.json").stat().st_mtime_ns
    run("apply", model, plate, "-o", out, "--wells", "B1", "--resume")
    assert (out / "B" / "1" / "0" / "zarr.json").stat().st_mtime_ns == kept
    assert (out / "B" / "1" / "1").exists()
    # A plate of one well has no place for the others.
    run("apply", model, plate / "A" / "2", "-o", tmp_path / "one.zarr")
    said = run("apply", model, plate, "-o", tmp_path / "one.zarr", "--resume", code=2).stderr
    assert "no plate like" in said


@pytest.mark.parametrize("out", ["", "A", "A/1", "made.zarr"])
def test_a_plate_is_never_written_into_its_input(plate, model, out):
    before = sorted(plate.rglob("*"))
    for given in (plate, plate / "A" / "1"):
        said = run("apply", model, given, "-o", plate / out, "--overwrite", code=2).stderr
        assert "is read by this very run" in said
    assert sorted(plate.rglob("*")) == before


def test_neither_fields_nor_models_are_written_into_a_plate_that_is_read(plate, model):
    before = sorted(plate.rglob("*"))
    field = plate / "A" / "1" / "0"
    said = run("apply", model, field, "-o", plate / "A" / "1" / "made", code=2).stderr
    assert "which is read by this very run" in said
    out = plate / "m.safetensors"
    said = run("train", plate, plate, "-o", out, *CHANNELS, *OPTIONS, code=2).stderr
    assert "choose another folder" in said
    assert sorted(plate.rglob("*")) == before


def test_of_a_folder_of_plates_plates_are_made(model, tmp_path):
    for name in ("one", "two"):
        write_wells(tmp_path / "in" / f"{name}.zarr", images(NAMES[:3]))
    said = run("apply", model, tmp_path / "in", "-o", tmp_path / "a.zarr", code=2).stderr
    assert "2 plates can't be written to" in said
    run("apply", model, tmp_path / "in", "-o", tmp_path / "out", "--wells", "A1")
    for name in ("one", "two"):
        assert [
            well["path"] for well in ome(tmp_path / "out" / f"{name}.zarr")["plate"]["wells"]
        ] == ["A/1"]
        assert len(expand_paths(tmp_path / "out" / f"{name}.zarr")) == 2


def test_a_missing_field_fails_alone(model, tmp_path):
    path = write_wells(tmp_path / "plate.zarr", images())
    shutil.rmtree(path / "A" / "2" / "0")
    out = tmp_path / "made.zarr"
    said = json.loads(run("apply", model, path, "-o", out, "--json", code=1).stdout)
    assert said["written"] == [str(out / name) for name in NAMES if name != "A/2/0"]
    (sentence,) = said["failed"].values()
    assert "names the field A/2/0, and there is none" in sentence
    assert read_with_ome_zarr(out).data[0].ndim == 2


def test_wells_are_chosen_for_training_validation_and_scores(plate, model, tmp_path):
    out = tmp_path / "dapi.safetensors"
    others = plate / "B" / "*"
    words = [*CHANNELS, "--wells", "A", "--validate", others, others]
    said = run("train", plate, plate, "-o", out, *words, *OPTIONS, "--json")
    notes = json.loads(said.stdout)["notes"]
    assert "Validated on 2 pairs given for it." in notes
    table = tmp_path / "scores.csv"
    run("evaluate", model, plate, plate, *CHANNELS, "--wells", "B1", "--csv", table)
    names = [line.partition(",")[0] for line in table.read_text().splitlines()]
    assert names == ["image", "all", "B/1/0", "B/1/1"]
    with table.open(newline="") as lines:
        groups = [row["group"] for row in csv.DictReader(lines)]
    assert groups == ["", *[str(plate / "B" / "1")] * 2]
    for wells, sentence in (("B9", "has no well 'B9'"), ("", "names no well")):
        words = "apply", model, plate, "-o", tmp_path / "made.zarr", "--wells", wells
        assert sentence in run(*words, code=2).stderr
    np.save(tmp_path / "a.npy", gray_noise(48, 64))
    words = "apply", model, tmp_path / "a.npy", "-o", tmp_path / "a.tif", "--wells", "A1"
    assert "Wells are chosen from plates" in run(*words, code=2).stderr
    words = "train", "--aligned", tmp_path, "-o", out, "--wells", "A1"
    assert "--wells can't be given with it" in run(*words, "--overwrite", code=2).stderr


def test_an_acquisition_is_chosen_for_applying_training_and_scores(model, tmp_path):
    path = write_wells(tmp_path / "plate.zarr", images(), later=["A/1/1", "B/1/1"])
    chosen = "--acquisition", "day 2"
    made = tmp_path / "made.zarr"
    run("apply", model, path, "-o", made, *chosen)
    assert [one.relative_to(made).as_posix() for one in expand_paths(made)] == ["A/1/1", "B/1/1"]
    report = tmp_path / "report.html"
    words = *CHANNELS, *chosen, "--json", "--report", report, "--samples", "0"
    said = json.loads(run("evaluate", model, path, path, *words).stdout)
    named = [(image["name"], image["group"]) for image in said["images"]]
    assert named == [(name, str(path / name[:3])) for name in ("A/1/1", "B/1/1")]
    assert "<th>group</th>" in report.read_text()
    table = tmp_path / "found.csv"
    words = *CHANNELS, *chosen, "--validate", path / "B" / "1", path / "B" / "1"
    said = run(
        "train", path, path, "-o", tmp_path / "a.safetensors", *words, "--write-pairs", table
    )
    assert "3 pairs" in said.stdout
    words = "apply", model, path, "-o", tmp_path / "b.zarr", "--acquisition", "day 3"
    assert "choose from 1 (day 1), 2 (day 2)." in run(*words, code=2).stderr
    words = "train", "--aligned", tmp_path, "-o", tmp_path / "a.safetensors", *chosen
    assert "--acquisition can't be given with it" in run(*words, code=2).stderr


def test_labels_of_a_plate_are_learnt_and_made_as_labels(tmp_path):
    drawn = images()
    labels = {name: (image[0] > 128).astype(np.uint8) for name, image in drawn.items()}
    path = write_wells(tmp_path / "plate.zarr", drawn, "0.5", labels)
    truth = path / "*" / "*" / "*" / "labels" / "nuclei"
    model, out = tmp_path / "nuclei.safetensors", tmp_path / "made.zarr"
    command = "train", path, truth, "-o", model, "--target-kind", "classes", *OPTIONS
    said = run(*command, "--json")
    assert any("whole group of 3" in note for note in json.loads(said.stdout)["notes"])
    run("apply", model, path, "-o", out)
    made = expand_paths(out / "*" / "*" / "*" / "labels" / "classes")
    assert len(made) == len(NAMES)
    assert all(read_image(image).labels for image in made)
    assert read_with_ome_zarr(out).data[0].shape == (2 * 48, 2 * 64)
