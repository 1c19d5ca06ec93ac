import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr
from helpers import gray_noise
from plate_files import write_wells, write_wells_with_ome_zarr

from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.datasets import list_table, read_pairs, read_table, write_table
from napari_pix2pix.io.pair_files import ReadOptions, find_pairs
from napari_pix2pix.io.paths import expand_paths
from napari_pix2pix.io.plates import plates_of, read_plate, write_plate
from napari_pix2pix.io.reading import read_image

NAMES = ["A/1/0", "A/1/1", "A/2/0", "B/1/0", "B/12/0", "B/12/1"]
FIELDS = {name: np.stack([gray_noise(8, 8, seed=n)] * 2) for n, name in enumerate(NAMES)}
LABELS = {name: (image[0] > 128).astype(np.uint8) for name, image in FIELDS.items()}


def plate(tmp_path, version="0.4"):
    return write_wells(tmp_path / "plate.zarr", FIELDS, version, LABELS)


def places(path, images):
    return [image.relative_to(path).as_posix() for image in images]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_plate_and_a_well_are_folders_of_fields(tmp_path, version):
    path = plate(tmp_path, version)
    assert places(path, expand_paths(path)) == NAMES
    assert places(path, expand_paths(path / "A" / "1")) == ["A/1/0", "A/1/1"]
    assert places(path, expand_paths(path / "B" / "*")) == ["B/1/0", "B/12/0", "B/12/1"]
    assert places(path, expand_paths(path / "*" / "*" / "0")) == [n for n in NAMES if n[-1] == "0"]
    assert read_plate(path / "A") is None
    image = read_image(path / "A" / "1" / "0")
    assert (image.axes, image.channel_names) == ("CYX", ("phase", "DAPI"))


def test_plates_that_ome_zarr_writes_are_read(tmp_path):
    fields = {name: FIELDS[name] for name in ("A/1/0", "A/1/1", "B/1/0")}
    path = write_wells_with_ome_zarr(tmp_path / "plate.zarr", fields)
    assert places(path, expand_paths(path)) == list(fields)
    for name, image in fields.items():
        np.testing.assert_array_equal(np.asarray(read_image(path / name).data), image)


@pytest.mark.parametrize(
    ("wells", "chosen"),
    [
        ("A1", ["A/1"]),
        ("a01, A/2", ["A/1", "A/2"]),
        ("B*", ["B/1", "B/12"]),
        ("B", ["B/1", "B/12"]),
        ("*1", ["A/1", "B/1"]),
        ("*/1?", ["B/12"]),
        ("[AB]1 A2", ["A/1", "A/2", "B/1"]),
        ("*", ["A/1", "A/2", "B/1", "B/12"]),
    ],
)
def test_wells_are_chosen_by_name(tmp_path, wells, chosen):
    path = plate(tmp_path)
    fields = places(path, expand_paths(path, wells))
    assert fields == [name for name in NAMES if name.rpartition("/")[0] in chosen]


def test_a_row_of_two_letters_is_another_row(tmp_path):
    fields = dict.fromkeys(["A/1/0", "AA/1/0"], FIELDS["A/1/0"])
    path = write_wells(tmp_path / "plate.zarr", fields)
    assert places(path, expand_paths(path, "A*")) == ["A/1/0"]
    assert places(path, expand_paths(path, "AA1")) == ["AA/1/0"]


def test_wells_that_are_not_there_are_refused(tmp_path):
    path = plate(tmp_path)
    with pytest.raises(InputError, match=r"has no well 'C1': choose from A1, A2, B1, B12\."):
        expand_paths(path, "A1,C1")
    with pytest.raises(InputError, match="names no well"):
        expand_paths(path, " , ")
    with pytest.raises(InputError, match=r"no well 'B1': choose from A1\."):
        expand_paths(path / "A" / "1", "B1")
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "a.npy", FIELDS["A/1/0"])
    with pytest.raises(InputError, match="images is none: leave wells='A1' out"):
        expand_paths(tmp_path / "images", "A1")


def test_a_missing_well_is_named_unless_others_are_chosen(tmp_path):
    path = plate(tmp_path)
    shutil.rmtree(path / "A" / "2")
    with pytest.raises(FileError, match="names the well A/2, and there is none: repair the plate"):
        expand_paths(path)
    assert places(path, expand_paths(path, "B*"))[0] == "B/1/0"


def test_a_missing_field_is_named_when_it_is_read(tmp_path):
    path = plate(tmp_path)
    shutil.rmtree(path / "A" / "1" / "1")
    with pytest.raises(FileError, match="names the field A/1/1, and there is none: repair"):
        read_pairs(path, path, options=ReadOptions(source_channels="0", target_channels="1"))


@pytest.mark.parametrize(
    ("where", "attributes", "sentence"),
    [
        ("", {"plate": {"wells": []}}, "holds no images"),
        ("", {"plate": {"wells": [{"path": "A/1"}]}}, r"damaged \('rows'\)"),
        ("", {"plate": {"wells": ["A/1"], "rows": [], "columns": []}}, "damaged"),
        ("A/1", {"well": {"images": [{"path": "../../../b"}]}}, "which is no folder in it"),
        ("A/1", {"well": {"images": [{"acquisition": 1}]}}, r"damaged \('path'\)"),
    ],
)
def test_a_damaged_plate_is_refused(tmp_path, where, attributes, sentence):
    path = plate(tmp_path)
    zarr.open_group(path / where, mode="r+").attrs.put(attributes)
    with pytest.raises(FileError, match=sentence):
        expand_paths(path)


@pytest.mark.parametrize("well", ["../..", "A/1/0", "C/1", "A"])
def test_a_well_outside_the_rows_and_columns_is_refused(tmp_path, well):
    path = plate(tmp_path)
    group = zarr.open_group(path, mode="r+")
    group.attrs["plate"] = {**group.attrs["plate"], "wells": [{"path": well}]}
    with pytest.raises(FileError, match="which is no row and column of it"):
        expand_paths(path)


def test_channels_of_a_plate_are_pairs_that_know_their_well(tmp_path):
    path = plate(tmp_path)
    options = ReadOptions(source_channels="phase", target_channels="DAPI", wells="A1,B12")
    pairs, notes = read_pairs(path, path, options=options)
    assert [pair.name for pair in pairs] == ["A/1/0", "A/1/1", "B/12/0", "B/12/1"]
    assert len({pair.group for pair in pairs}) == 2
    assert pairs[0].group == pairs[1].group
    assert not notes


def test_two_plates_are_matched_by_well_and_field(tmp_path):
    source = write_wells(tmp_path / "source.zarr", FIELDS)
    target = write_wells(tmp_path / "target.zarr", dict(reversed(FIELDS.items())), "0.5")
    files, notes = find_pairs(source, target)
    assert [places(source, [one.source]) for one in files] == [[name] for name in NAMES]
    assert [places(target, [one.target]) for one in files] == [[name] for name in NAMES]
    assert not notes


def test_labels_in_fields_are_targets(tmp_path):
    path = plate(tmp_path)
    labels = path / "*" / "*" / "*" / "labels" / "nuclei"
    options = ReadOptions(source_channels="0", wells="B*")
    pairs, notes = read_pairs(path, labels, mask=labels, options=options)
    assert [pair.name for pair in pairs] == ["B/1/0", "B/12/0", "B/12/1"]
    np.testing.assert_array_equal(np.asarray(pairs[0].target.members[0].array), LABELS["B/1/0"])
    assert not notes


def test_a_table_names_plates_and_wells(tmp_path):
    path = plate(tmp_path)
    table = tmp_path / "pairs.csv"
    table.write_text(
        "source,target,source_channels,target_channels,wells,set\n"
        "plate.zarr,plate.zarr,0,1,A*,train\n"
        "plate.zarr,plate.zarr,0,1,B1,validation\n"
    )
    files = list_table(table)
    assert places(path, [one.source for one in files.train]) == NAMES[:3]
    assert places(path, [one.source for one in files.validation]) == ["B/1/0"]
    # A table of what was found names fields, which no name of a well stands beside.
    write_table(tmp_path / "found.csv", files.train, files.validation)
    sets = read_table(tmp_path / "found.csv")
    assert (len(sets.train), len(sets.validation)) == (3, 1)
    assert len({pair.group for pair in sets.train}) == 2


@pytest.mark.parametrize("wanted", ["2", "day 2", " Day 2 "])
def test_an_acquisition_is_chosen_by_its_number_or_name(tmp_path, wanted):
    later = ["A/1/1", "B/12/0"]
    path = write_wells(tmp_path / "plate.zarr", FIELDS, labels=LABELS, later=later)
    assert places(path, expand_paths(path, acquisition=wanted)) == later
    assert places(path, expand_paths(path, "A", wanted)) == later[:1]
    labels = path / "*" / "*" / "*" / "labels" / "nuclei"
    options = ReadOptions(source_channels="0", acquisition=wanted)
    pairs, _ = read_pairs(path, labels, mask=labels, options=options)
    assert [pair.name for pair in pairs] == later


def test_an_acquisition_that_is_not_there_is_refused(tmp_path):
    path = write_wells(tmp_path / "plate.zarr", FIELDS, later=["A/1/1"])
    with pytest.raises(
        InputError, match=r"acquisition '3': choose from 1 \(day 1\), 2 \(day 2\)\."
    ):
        expand_paths(path, acquisition="3")
    with pytest.raises(InputError, match=r"acquisition 'day 2': choose from 1 \(day 1\)\."):
        expand_paths(path, "B", "day 2")
    with pytest.raises(InputError, match="acquisition is empty: give its number or name"):
        expand_paths(path, acquisition=" ")
    (tmp_path / "images").mkdir()
    np.save(tmp_path / "images" / "a.npy", FIELDS["A/1/0"])
    with pytest.raises(InputError, match="images is none: leave acquisition='1' out"):
        expand_paths(tmp_path / "images", acquisition="1")
    plain = write_wells_with_ome_zarr(tmp_path / "plain.zarr", {"A/1/0": FIELDS["A/1/0"]})
    with pytest.raises(InputError, match="'1': its fields name none, so leave it out"):
        expand_paths(plain, acquisition="1")


def test_a_name_of_an_acquisition_goes_before_the_number_of_another(tmp_path):
    path = write_wells(tmp_path / "plate.zarr", FIELDS, later=["A/1/1"])
    group = zarr.open_group(path, mode="r+")
    swapped = [{"id": 1, "name": "2"}, {"id": 2, "name": "1"}]
    group.attrs["plate"] = {**group.attrs["plate"], "acquisitions": swapped}
    assert places(path, expand_paths(path, acquisition="1")) == ["A/1/1"]


def test_a_table_names_the_wells_and_may_name_other_groups(tmp_path):
    plate(tmp_path)
    options = ReadOptions(source_channels="0", target_channels="1", wells="A")
    files, _ = find_pairs(tmp_path / "plate.zarr", tmp_path / "plate.zarr", options=options)
    (tmp_path / "tables").mkdir()
    table = tmp_path / "tables" / "found.csv"
    write_table(table, files)
    wells = [str(Path("..", "plate.zarr", "A", column)) for column in "112"]
    with table.open(newline="") as lines:
        assert [row["group"] for row in csv.DictReader(lines)] == wells
    assert [pair.group for pair in read_table(table).train] == wells
    table.write_text(table.read_text().replace(f",{wells[2]},", ",patient 7,"))
    assert [pair.group for pair in read_table(table).train] == [*wells[:2], "patient 7"]
    write_table(tmp_path / "again.csv", list_table(table).train)
    assert [pair.group for pair in read_table(tmp_path / "again.csv").train][2] == "patient 7"


def test_fields_that_are_named_one_by_one_are_no_plate(tmp_path):
    path = plate(tmp_path)
    (found,) = plates_of(path / "A" / "1", expand_paths(path / "A" / "1"))
    assert found.names == ["A/1/0", "A/1/1"]
    for given in (path / "A" / "1" / "0", path / "*" / "*" / "0"):
        assert plates_of(given, expand_paths(given)) == []
    labels = path / "*" / "*" / "*" / "labels" / "nuclei"
    assert plates_of(labels, expand_paths(labels)) == []


def test_field_that_is_named_by_a_number_is_written_by_its_name(tmp_path):
    path = plate(tmp_path)
    group = zarr.open_group(path / "A" / "1", mode="r+")
    images = [{**image, "path": int(image["path"])} for image in group.attrs["well"]["images"]]
    group.attrs["well"] = {"images": images}
    written = tmp_path / "other.zarr"
    write_plate(written, read_plate(path))
    attributes = zarr.open_group(written / "A" / "1").attrs
    images = attributes.get("ome", attributes)["well"]["images"]
    assert [image["path"] for image in images] == ["0", "1"]
