import json
import re
from typing import Literal, get_args, get_origin

import numpy as np
import pytest
import tifffile
from helpers import TINY, gray_noise

from napari_pix2pix import load, train
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.model_info import read_model_info

# What can't be made up from the field's type and default.
CHOSEN = {"classes": 3, "preset": "reference", "device": "cpu", "zoom": (1.0, 1.1), "patch": 96}
# Options that mean nothing alone.
_VOLUMES = ["--ndim", "3"]
TOGETHER = {
    "r1_every": ["--r1", "1"],
    "plane_levels": _VOLUMES,
    "patch_planes": _VOLUMES,
    "plane_flips": _VOLUMES,
    "derive_sigma": ["--derive", "blur"],
    "derive_thin": ["--derive", "edges"],
    "derive_place": ["--derive", "holes"],
    "derive_cell": ["--derive", "holes"],
    "derive_factor": ["--derive", "downsample"],
    "derive_interpolation": ["--derive", "downsample"],
    "derive_model": ["--derive", "noise"],
    "derive_strength": ["--derive", "noise"],
    "derive_photons": ["--derive", "noise", "--derive-model", "poisson"],
}


def another_value(name: str, field):
    """Return a value for a field that is not its default."""
    if name in CHOSEN:
        return CHOSEN[name]
    kinds = str(field.annotation)
    if field.annotation is bool:
        return not field.default
    # A choice, or one that may be left out.
    for part in (field.annotation, *get_args(field.annotation)):
        if get_origin(part) is Literal:
            return next(one for one in get_args(part) if one != field.default)
    if "int" in kinds:
        return (field.default or 0) + 1
    if "str" in kinds:
        return "words"
    assert "float" in kinds, f"{name} is of a new type"
    return field.default / 2 if field.default else 0.25


def as_option(name: str, value) -> list[str]:
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    return [f"--{flag}", *map(str, value if isinstance(value, tuple) else [value])]


def test_every_field_is_an_option_that_arrives(files, tmp_path, monkeypatch, invoke):
    given = {name: another_value(name, f) for name, f in TrainConfig.model_fields.items()}
    arrived = {}

    def record(pairs, config, **_):
        arrived.update(config.model_dump())
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr("napari_pix2pix._train.training_events", record)
    monkeypatch.setattr("napari_pix2pix.cli._train._start_processes", lambda config: True)
    for name, value in given.items():
        arrived.clear()
        options = [*as_option(name, value), *TOGETHER.get(name, [])]
        named = (
            files[1:] if name.startswith("derive") else files
        )  # a source is made of the target alone
        result = invoke("train", *named, "-o", tmp_path / "m.st", *options)
        assert arrived, result.stderr
        assert arrived[name] == value


def test_a_command_that_is_called_starts_no_programs(files, tmp_path, invoke):
    result = invoke("train", *files, "-o", tmp_path / "m.st", "--devices 2 --device cpu")
    assert result.exit_code == 2
    assert "this program is a single one" in result.stderr


def test_options_reach_the_file(files, tmp_path, succeed, tiny):
    result = succeed(
        "train", *files, "-o", tmp_path / "m.st", tiny,
        "--preset paper --no-flips --zoom 1 1.1 --validation 0 --adversarial-weight 0 --slim",
    )  # fmt: skip
    config = load(tmp_path / "m.st").config
    assert (config.preset, config.flips, config.zoom) == ("paper", False, (1.0, 1.1))
    assert config.bias is False  # the preset's
    assert "No validation." in result.stdout


def test_help_names_the_defaults_of_presets(invoke):
    text = " ".join(invoke("train", "--help").stdout.split())
    assert re.search(r"\[default: \d+; reference: 256; paper: 256\]", text)
    assert "[default: on]" in text
    assert not re.search(r"default:\s*\]", text)  # of texts that are empty


# --- pairs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images():
    """Two sources, their targets under two conditions, and masks of the left half."""
    sources = [gray_noise(40, 48, seed=seed) for seed in range(2)]
    masks = [np.zeros((40, 48), np.uint16) for _ in sources]
    for mask in masks:
        mask[:, :24] = 7
    return {"source": sources, "A": [255 - s for s in sources], "B": sources, "mask": masks}


@pytest.fixture
def place(tmp_path, images, write):
    for kind, arrays in images.items():
        (tmp_path / kind).mkdir()
        for number, array in enumerate(arrays):
            write(tmp_path / kind / f"{number}.tif", array, "YX")
    return tmp_path


PYTHON = TINY | {"steps": 2, "dropout": 0.0}


def same_model(path, expected) -> bool:
    """Whether a file holds the very model, and the config, that Python made."""
    found = load(path)
    image = gray_noise(24, 32, seed=9)
    how = {"condition": found.conditions[0]} if found.conditions else {}
    one, other = (model(image, output="float", **how) for model in (found, expected))
    np.testing.assert_array_equal(one, other)
    return (found.config, found.conditions, found.scores) == (
        expected.config, expected.conditions, expected.scores,
    )  # fmt: skip


def test_mask_condition_and_validation_equal_python(place, images, succeed, tiny):
    succeed(
        "train", place / "source" / "0.tif", place / "A" / "0.tif", "-o", place / "m.st", tiny,
        "--mask", place / "mask" / "0.tif", "--condition A",
        "--validate", place / "source" / "1.tif", place / "A" / "1.tif",
    )  # fmt: skip
    expected = train(
        images["source"][0], images["A"][0], mask=images["mask"][0], condition="A",
        validation=[Pair(images["source"][1], images["A"][1], condition="A")], **PYTHON,
    )  # fmt: skip
    assert same_model(place / "m.st", expected)
    assert "Validated on 1 pair given for it." in read_model_info(place / "m.st").notes
    succeed("train", place / "source" / "0.tif", place / "A" / "0.tif", "-o", place / "u.st", tiny)
    fingerprints = [read_model_info(place / name).fingerprint for name in ("m.st", "u.st")]
    assert fingerprints[0] != fingerprints[1]


def test_table_equals_python(place, images, succeed, tiny):
    (place / "pairs.csv").write_text(
        "source;target;condition;mask;set\n"
        "source/0.tif;A/0.tif;A;mask/0.tif;\n"
        "source/0.tif;B/0.tif;B;;train\n"
        "source/1.tif;A/1.tif;A;;validation\n"
    )
    result = succeed("train --pairs", place / "pairs.csv", "-o", place / "m.st", tiny, "--json")
    source, masks = images["source"], images["mask"]
    expected = train(
        [source[0], source[0]], [images["A"][0], images["B"][0]], condition=["A", "B"],
        mask=[masks[0], None], validation=[Pair(source[1], images["A"][1], condition="A")],
        **PYTHON,
    )  # fmt: skip
    assert same_model(place / "m.st", expected)
    assert json.loads(result.stdout)["scores"]["prediction"]

    # The same table serves to evaluate: what it holds for validation, and nothing else.
    scored = succeed("evaluate", place / "m.st", "--pairs", place / "pairs.csv", "--json")
    (image,) = json.loads(scored.stdout)["images"]
    assert image["name"] == "1.tif (pairs.csv, line 4)"
    succeed("apply", place / "m.st", place / "source", "-o", place / "out", "--condition B")


def test_evaluate_all_of_a_table_without_sets_and_inside_masks(place, gray, invoke):
    (place / "pairs.csv").write_text(
        "target,source,mask\nA/0.tif,source/0.tif,mask/0.tif\nA/1.tif,source/1.tif,\n"
    )

    def scores_of(*words):
        images = json.loads(invoke("evaluate", gray, *words, "--json").stdout)["images"]
        for image in images:
            del image["prediction"]["micro_ssim"]  # which depends on the other images
        return images

    first, _ = scores_of("--pairs", place / "pairs.csv")
    files = place / "source" / "0.tif", place / "A" / "0.tif"
    for mask, agrees in ((("--mask", place / "mask" / "0.tif"), True), ((), False)):
        (one,) = scores_of(*files, *mask)
        assert (one["prediction"] == first["prediction"]) == agrees


def test_masks_are_matched_by_name(place, write, invoke, succeed, sentence, tiny):
    files = ("train", place / "source", place / "A", "-o", place / "m.st", tiny)
    write(place / "mask" / "more.tif", gray_noise(8, 8), "YX")
    result = succeed(*files, "--mask", place / "mask")
    assert result.stderr.startswith("1 mask has no source of the same name and is left out")
    for name in ("more.tif", "0.tif"):
        (place / "mask" / name).unlink()
    said = sentence(invoke(*files, "--overwrite --mask", place / "mask"))
    assert "1 of 2 sources has no mask of the same name, 0.tif among them" in said
    write(place / "mask" / "0.tif", gray_noise(40, 48) / np.float32(255), "YX")
    said = sentence(invoke(*files, "--overwrite --mask", place / "mask"))
    assert "mask of 0.tif has dtype float32" in said


@pytest.mark.parametrize(("condition", "said"), [("A", True), ("B", False)])
def test_what_a_table_lists_to_train_and_to_validate_is_said(condition, said, place, succeed, tiny):
    """Under another condition a source shows another target, so it is no copy."""
    (place / "pairs.csv").write_text(
        "source,target,condition,set\n"
        "source,A,A,\nsource/1.tif,B/1.tif,B,\n"
        f"source/0.tif,{condition}/0.tif,{condition},validation\n"
    )
    result = succeed("train --pairs", place / "pairs.csv", "-o", place / "m.st", tiny)
    sentence = (
        "1 of 1 held-out source is also trained on (0.tif (pairs.csv, line 4) = "
        "0.tif (pairs.csv, line 2)), so the scores are too good"
    )
    assert (sentence in result.stderr) == said


def test_without_a_source_equals_python(place, images, succeed, tiny):
    """Two conditions from a table, or one from an argument, and images made of them."""
    (place / "pairs.csv").write_text("target,condition\nA,GFP\nB,RFP\n")
    made = {}
    for name, words in (
        ("two", ["--pairs", place / "pairs.csv"]),
        ("one", ["--no-source", place / "A", "--condition GFP"]),
    ):
        path = place / f"{name}.st"
        result = succeed("train", *words, "-o", path, tiny)
        assert re.search(r"noise to 8-bit images, \d images of 40 x 48 pixels", result.stderr)
        sampled = succeed("sample", path, "-o", place / name, "--condition GFP --size 24x32 --json")
        (written,) = json.loads(sampled.stdout)["written"]
        made[name] = tifffile.imread(written)
    expected = train(None, images["A"] + images["B"], condition=["GFP"] * 2 + ["RFP"] * 2, **PYTHON)
    assert load(place / "two.st").conditions == expected.conditions
    np.testing.assert_array_equal(made["two"], expected.sample("GFP", size=(24, 32))[0])
    expected = train(None, images["A"], condition="GFP", **PYTHON)
    np.testing.assert_array_equal(made["one"], expected.sample("GFP", size=(24, 32))[0])


TABLE = "source,target\nsource/0.tif,A/0.tif\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("source A --pairs pairs.csv", "--pairs names all pairs, so SOURCE can't be given"),
        ("--pairs pairs.csv --mask mask", "so --mask can't be given"),
        ("--pairs pairs.csv --condition A", "so --condition can't be given"),
        ("--pairs pairs.csv --validate source A", "so --validate can't be given"),
        ("--pairs none.csv", "There is no file none.csv"),
        ("--pairs held.csv", "All pairs of the table are for validation"),
        ("source A --validate source A --validation 0.5", "--validation 0.5 would hold out"),
        ("source A --validate source none", "no file or folder none"),
        ("--no-source", "Missing argument 'TARGET'"),
        ("source A --no-source", "--no-source takes TARGET alone, got source and A"),
        ("A --no-source --validate source A", "--validate needs a source, and there is none"),
        ("A --no-source --mask mask/0.tif", "1 of 2 targets has no mask of the same name"),
        ("--pairs pairs.csv --no-source", "so --no-source can't be given"),
        ("--pairs made.csv", "Pairs for validation need a source, and there is none"),
    ],
)
def test_misuse(place, monkeypatch, words, said, invoke, sentence, tiny):
    monkeypatch.chdir(place)
    (place / "pairs.csv").write_text(TABLE)
    (place / "held.csv").write_text("source,target,set\nsource/0.tif,A/0.tif,validation\n")
    (place / "made.csv").write_text("target,set\nA/0.tif,\nA/1.tif,validation\n")
    assert said in sentence(invoke("train -o m.st", tiny, words))
    assert not list(place.glob("m.*"))


def test_misuse_of_evaluate(place, gray, invoke, sentence):
    (place / "pairs.csv").write_text(TABLE)
    said = sentence(invoke("evaluate", gray))
    assert "or a table of pairs with --pairs; see main evaluate --help." in said
    said = sentence(invoke("evaluate", gray, "--pairs", place / "pairs.csv", "--condition A"))
    assert "so --condition can't be given" in said


def test_validation_of_an_unknown_condition_names_it(place, invoke, sentence, tiny):
    (place / "pairs.csv").write_text(
        "source,target,condition,set\nsource/0.tif,A/0.tif,A,\nsource/1.tif,B/1.tif,B,validation\n"
    )
    said = sentence(invoke("train --pairs", place / "pairs.csv", "-o", place / "m.st", tiny))
    assert "condition 'B', which no training pair has" in said
