import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from helpers import gray_noise, make_model

from napari_pix2pix import Translator, load
from napari_pix2pix.data.channel_look import ChannelLook
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.training._unlike_shares import UnlikeShares
from napari_pix2pix.training.model_info import read_model_info


@pytest.fixture
def sets(tmp_path, write):
    for side, names in (("source", ["a1", "a2", "b1"]), ("target", ["a1", "a2", "c1"])):
        (tmp_path / side).mkdir()
        for seed, name in enumerate(names):
            array = gray_noise(40, 40, seed=seed)
            write(tmp_path / side / f"{name}.tif", array if side == "source" else 255 - array, "YX")
    return tmp_path


def test_folders_are_matched_by_name(sets, succeed, tiny):
    result = succeed("train", sets / "source", sets / "target", "-o", sets / "m.st", tiny, "--json")
    answer = json.loads(result.stdout)
    assert ", 2 pairs of " in answer["summary"]
    unmatched = answer["notes"][:2]
    assert [note.split(":")[1].strip() for note in unmatched] == ["b1.tif.", "c1.tif."]
    assert result.stderr.splitlines() == unmatched
    # What the training had to say of its pairs is there, too.
    assert any(note.startswith("Alignment") for note in answer["notes"])


def test_patterns(sets, succeed, tiny):
    succeed("train", sets / "source" / "a*.tif", sets / "target" / "a*", "-o", sets / "m.st", tiny)
    assert ", 2 pairs of " in read_model_info(sets / "m.st").summary


def test_one_bad_file_does_not_stop_the_rest(sets, gray, invoke):
    (sets / "source" / "a2.tif").write_bytes(b"II*\0 cut short")
    (sets / "out").mkdir()
    result = invoke("apply", gray, sets / "source", "-o", sets / "out", "--json")
    assert result.exit_code == 1
    answer = json.loads(result.stdout)
    assert [Path(path).name for path in answer["written"]] == ["a1.tif", "b1.tif"]
    assert [Path(path).name for path in answer["failed"]] == ["a2.tif"]
    assert sorted(path.name for path in (sets / "out").iterdir()) == ["a1.tif", "b1.tif"]
    plain = invoke("apply", gray, sets / "source", "-o", sets / "out", "--overwrite")
    assert plain.exit_code == 1
    assert re.search(r"Failed .*a2\.tif: .*can't be read", plain.stdout)


def test_pattern_with_one_match_goes_into_a_folder_that_is_there(sets, gray, succeed):
    (sets / "out").mkdir()
    pattern = sets / "source" / "b*.tif"
    for out in ("out", "single.tif"):
        succeed("apply", gray, pattern, "-o", sets / out)
    assert (sets / "out" / "b1.tif").is_file()
    assert (sets / "single.tif").is_file()


def test_zarr_in_and_out(gray, tmp_path, succeed):
    from napari_pix2pix.io.writing import write_image

    write_image(tmp_path / "in.zarr", gray_noise(3, 20, 20), "ZYX", {"Z": 2.0, "Y": 0.5, "X": 0.5})
    succeed("apply", gray, tmp_path / "in.zarr", "-o", tmp_path / "out.zarr")
    found = read_image(tmp_path / "out.zarr")
    assert (found.axes, found.shape, found.scale["Z"]) == ("ZYX", (3, 20, 20), 2.0)


def test_unlikeness_is_written_beside_each_output(sets, gray, succeed, invoke, sentence, tmp_path):
    result = succeed("apply", gray, sets / "source", "-o", tmp_path, "--unlikeness")
    assert f"Wrote {tmp_path / 'a1_unlikeness.tif'}" in result.stdout
    shown, image = (read_image(tmp_path / f"a1{tag}.tif") for tag in ("_unlikeness", ""))
    assert (shown.axes, shown.shape, shown.data.dtype) == (image.axes, image.shape, np.float32)
    part = "--region", "0:8,0:8"
    refused = invoke("apply", gray, sets / "source", "-o", tmp_path, "--unlikeness", *part)
    assert "--unlikeness is for whole images" in sentence(refused)


def test_a_map_of_another_model_is_not_kept(gray, folder, invoke, succeed, tmp_path):
    other = make_model(gray_noise(48, 48, seed=5), gray_noise(48, 48))
    other.save(tmp_path / "other.safetensors")
    out, map_path = tmp_path / "out.tif", tmp_path / "out_unlikeness.tif"
    apply = ("apply", gray, folder / "source.tif", "-o", out, "--unlikeness")
    succeed(*apply)
    assert f"{map_path} is finished already" in succeed(*apply, "--resume").stderr
    out.unlink()
    apply = ("apply", tmp_path / "other.safetensors", *apply[2:], "--resume")
    refused = invoke(*apply)
    assert refused.exit_code == 2
    assert f"{map_path} was made with another model" in refused.stderr
    map_path.write_bytes(out.read_bytes())  # a translation
    assert "was made to show something else" in invoke(*apply).stderr


def test_a_handful_of_cells_of_a_file_in_blocks_is_chance(gray, tmp_path, succeed, monkeypatch):
    monkeypatch.setattr(UnlikeShares, "warning", lambda _, shares: f"shares {shares}")
    write_image(tmp_path / "in.zarr", gray_noise(2, 20, 20) // 128 * 255, "ZYX")
    out = "-o", tmp_path / "out.zarr"
    result = succeed("apply", gray, tmp_path / "in.zarr", *out, "--unlikeness")
    assert (np.asarray(read_image(tmp_path / "out_unlikeness.zarr").data) > 1).any()
    assert "Warning: shares {0: 0.0, 1: 0.0}" in result.stderr


@pytest.mark.parametrize("options", ["", "--region 0:16,0:16"])
def test_each_unusual_image_of_several_is_named(gray, tmp_path, write, succeed, options):
    (tmp_path / "in").mkdir()
    for name in "ab":
        write(tmp_path / "in" / f"{name}.tif", gray_noise(40, 40).astype(np.uint16) // 64, "YX")
    result = succeed("apply", gray, tmp_path / "in", "-o", tmp_path / "out", options)
    warned = [line for line in result.stderr.splitlines() if "Warning: " in line]
    for name in "ab":
        said = [line for line in warned if f"Warning: {tmp_path / 'in' / name}.tif: " in line]
        assert said
        assert len(said) == len(set(said)) == len(warned) / 2
    alone = succeed("apply", gray, tmp_path / "in" / "a.tif", "-o", tmp_path / "a.tif", options)
    assert "Warning: " in alone.stderr
    assert "a.tif: " not in alone.stderr


@pytest.mark.parametrize(
    ("inputs", "names"),
    [("", ["a1", "a2", "b1"]), ("a*.tif", ["a1", "a2"]), ("../one", ["a"])],
    ids=["folder", "pattern", "folder of one image"],
)
def test_folder_of_the_output_is_made(sets, gray, succeed, write, inputs, names):
    (sets / "one").mkdir()
    write(sets / "one" / "a.tif", gray_noise(8, 8), "YX")
    succeed("apply", gray, sets / "source" / inputs, "-o", sets / "new")
    assert sorted(path.stem for path in (sets / "new").glob("*.tif")) == names


@pytest.mark.parametrize(
    ("words", "bar"), [("", True), ("--tile 16", True), ("--json", False)], ids=str
)
def test_single_image_has_a_bar_in_a_terminal(
    folder, gray, tmp_path, monkeypatch, succeed, words, bar
):
    terminal = SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True))
    monkeypatch.setattr("napari_pix2pix.cli._progress.sys", terminal)
    result = succeed("apply", gray, folder / "source.tif", "-o", tmp_path / "out.tif", words)
    assert ("100%" in result.stderr) == bar


@pytest.mark.parametrize(
    ("names", "out", "words"),
    [
        (["a.1.tif", "a.2.tif"], "file", "names 2 files, so .*file must be a folder: name one"),
        (["a.1.tif", "a.2.tif"], "new.tif", "names 2 files, so .*new.tif must be a folder"),
        (["a.1.tif", "a.2.tif"], "none/new", "Can't make the folder .*new: "),
        (["a.tif", "a.png"], "there", "Two inputs would both be written to"),
        (["a.tif", "a.png"], "new", "Two inputs would both be written to"),
        (["a.tif"], "in", "is read by this very run"),
        (["a.tif"], "file", "names 1 file, so"),
    ],
)
def test_outputs_that_can_not_be_named(gray, tmp_path, names, out, words, invoke, sentence):
    (tmp_path / "in").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "file").write_text("mine")
    for name in names:
        (tmp_path / "in" / name).write_bytes(b"never read")
    said = sentence(invoke("apply", gray, tmp_path / "in", "-o", tmp_path / out, "--overwrite"))
    assert re.search(words, said)
    assert not list((tmp_path / "there").iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "in", "there"]


def test_names_with_dots_stay_apart(gray, tmp_path, succeed, write):
    for number in (1, 2):
        write(tmp_path / f"a.{number}.tif", gray_noise(8, 8, seed=number), "YX")
    (tmp_path / "out").mkdir()
    succeed("apply", gray, tmp_path / "a.*.tif", "-o", tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.1.tif", "a.2.tif"]


CHOSEN = {
    "condition": "none",
    "output": "float",
    "tile": 32,
    "batch": 2,
    "device": "cpu",
    "norm_statistics": "per-image",
    "dropout": True,
    "turns": 8,
    "precision": "bf16-mixed",
    "compile": True,
    "seed": 5,
    "samples": 2,
    "resample": True,
    "pixel_size": 0.5,
    "plane_distance": 2.0,
}


def test_every_option_arrives(folder, gray, tmp_path, succeed, monkeypatch):
    """The options of the command are the fields of `PredictOptions`."""
    assert set(CHOSEN) == set(PredictOptions.model_fields)
    arrived: list[PredictOptions] = []

    def record(self, source, outs, watch):
        arrived.append(self.options)

    monkeypatch.setattr("napari_pix2pix.large_images.FileTranslation.apply", record)
    files = gray, folder / "source.tif", "-o", tmp_path / "out.tif"
    for name, value in CHOSEN.items():
        flag = f"--{name.replace('_', '-')}"
        given = [flag] if value is True else [flag, str(value)]
        succeed("apply", *files, *given)
        assert arrived[-1] == PredictOptions(**{name: value})


# --- several samples ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory, write):
    """A model with noise planes, and two stacks."""
    folder = tmp_path_factory.mktemp("samples")
    image = np.random.default_rng(0).integers(0, 255, (2, 40, 48), np.uint8)
    model = make_model(image, 255 - image, steps=2, noise_channels=2, noise="pixel")
    model.save(folder / "m.safetensors")
    (folder / "in").mkdir()
    for number, name in enumerate(("a", "b")):
        write(folder / "in" / f"{name}.tif", image + np.uint8(number), "ZYX")
    return folder


def test_files_are_what_python_gives(place, tmp_path, succeed):
    result = succeed("apply", place / "m.safetensors", place / "in", "-o", tmp_path / "out",
                     "--samples 3 --seed 5 --json")  # fmt: skip
    written = json.loads(result.stdout)["written"]
    names = [f"{name}_{number}.tif" for name in "ab" for number in (1, 2, 3)]
    assert [Path(path).name for path in written] == names
    found = np.stack([read_image(path).data for path in written[3:]])
    model, image = load(place / "m.safetensors"), read_image(place / "in" / "b.tif").data
    np.testing.assert_array_equal(found, model(np.asarray(image), samples=3, seed=5))
    assert (found[0] != found[1]).any()


@pytest.mark.parametrize("name", ["out.ome.tif", "out.zarr"])
def test_each_sample_keeps_axes_and_sizes(name, place, tmp_path, succeed):
    succeed("apply", place / "m.safetensors", place / "in" / "a.tif", "-o", tmp_path / name,
            "--samples 2")  # fmt: skip
    ending = name.removeprefix("out")
    assert {path.name for path in tmp_path.iterdir()} == {f"out_{n}{ending}" for n in (1, 2)}
    image = read_image(tmp_path / f"out_2{ending}")
    assert (image.axes, image.shape, image.scale["Z"]) == ("ZYX", (2, 40, 48), 2.0)


@pytest.mark.parametrize("option", ["--output float", "--samples 2 --summary std"])
def test_a_format_without_floats_is_refused_before_the_work(
    option, place, tmp_path, invoke, sentence, monkeypatch
):
    for name in ("__call__", "spread"):
        monkeypatch.setattr(Translator, name, lambda *_, **__: pytest.fail("it was translated"))
    source = place / "in" / "a.tif"
    result = invoke("apply", place / "m.safetensors", source, "-o", tmp_path / "a.png", option)
    assert "PNG can't hold float32" in sentence(result)


@pytest.mark.parametrize("part", ["", "--region 0:40,0:48"])
def test_a_summary_is_that_of_the_samples(part, place, tmp_path, succeed):
    """At once, and block by block."""
    model, source, words = place / "m.safetensors", place / "in" / "a.tif", "--samples 4 --seed 2"
    succeed("apply", model, source, "-o", tmp_path / "a.tif", words, "--summary mean,q25,std", part)
    drawn = load(model)(np.asarray(read_image(source).data), samples=4, seed=2, output="float")
    wanted = {"mean": drawn.mean(0), "std": drawn.std(0, ddof=1)}
    wanted["q25"] = np.quantile(drawn, 0.25, 0)
    assert {path.name for path in tmp_path.iterdir()} == {f"a_{name}.tif" for name in wanted}
    for name, array in wanted.items():
        made = read_image(tmp_path / f"a_{name}.tif")
        assert (made.axes, np.asarray(made.data).dtype) == ("ZYX", np.float32)
        np.testing.assert_allclose(made.data, array, rtol=1e-3, atol=1e-2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--samples 2 --summary mean,median", "each once: mean,std,q5,q95; got 'mean,median'"),
        ("--samples 2 --summary q5,q5", "each once: mean,std,q5,q95; got 'q5,q5'"),
        ("--summary mean", "samples of a summary must be 2 or more, got 1"),
        ("--samples 2", "no noise planes, so all 2 samples would be the same"),
        ("--samples 0", "samples must be 1 or more, got 0"),
    ],
)
def test_refused_in_words(words, said, folder, gray, tmp_path, invoke, sentence):
    files = ("apply", gray, folder / "source.tif", "-o", tmp_path / "a.tif")
    assert said in sentence(invoke(*files, words))
    assert list(tmp_path.iterdir()) == []


def test_no_sample_replaces_its_input_or_what_is_there(place, tmp_path, write, invoke, sentence):
    for name in ("a_2.tif", "b.tif"):
        write(tmp_path / name, np.zeros((8, 8), np.uint8), "YX")
    model, options = place / "m.safetensors", ("-o", tmp_path / "a.tif", "--samples 2")
    said = sentence(invoke("apply", model, tmp_path / "a_2.tif", *options, "--overwrite"))
    assert "a_2.tif is read by this very run" in said
    said = sentence(invoke("apply", model, tmp_path / "b.tif", *options))
    assert "a_2.tif exists: choose another name" in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a_2.tif", "b.tif"]


@pytest.mark.filterwarnings("always::UserWarning")
def test_a_model_knows_size_and_look_of_its_files(tmp_path, succeed, tiny):
    array, look = gray_noise(64, 64), ChannelLook("#00FF00", limits=(3.0, 200.0))
    size = {"Y": 0.5, "X": 0.5}, dict.fromkeys("YX", "micrometer")
    source = write_image(tmp_path / "s.tif", array, "YX", *size)
    target = write_image(tmp_path / "t.tif", 255 - array, "YX", looks=(look,))
    model = tmp_path / "m.safetensors"
    succeed("train", source, target, "-o", model, tiny, "--authors", "A")
    assert "- Trained at 0.5 µm per pixel.\n" in succeed("info", model).stdout
    finer = {"Y": 0.25, "X": 0.25}
    source = write_image(tmp_path / "fine.tif", gray_noise(50, 70), "YX", finer, size[1])
    plain = succeed("apply", model, source, "-o", tmp_path / "plain.tif")
    assert "looks 2 times as large as in the training. Turn resample on" in plain.stderr
    done = succeed("apply", model, source, "-o", tmp_path / "resampled.tif", "--resample")
    assert "Turn resample on" not in done.stderr
    map_path = tmp_path / "map_unlikeness.tif"
    succeed("apply", model, source, "-o", tmp_path / "map.tif", "--resample", "--unlikeness")
    shown = load(model).unlikeness_map(gray_noise(50, 70), resample=True, pixel_size=0.25)
    np.testing.assert_allclose(read_image(map_path).data, shown, atol=1e-5)
    made = read_image(tmp_path / "resampled.tif")
    assert (made.shape, made.scale, made.looks) == ((50, 70), finer, (look,))
    with pytest.warns(UserWarning, match="2 times as large"):
        array = load(model)(gray_noise(50, 70), pixel_size=0.25)
    assert (made.data != array).any()
