import gc
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import gray_noise, make_model

from napari_pix2pix import translator
from napari_pix2pix.cli._output import shell_message
from napari_pix2pix.errors import FileError, Remedy
from napari_pix2pix.io import model_file


def _object_npy(path: Path) -> None:
    np.save(path, np.array([[{}, 1]], object), allow_pickle=True)


BAD_SOURCES = {
    "other.tif": (gray_noise(40, 41), r"40 x 41 pixels, the target 40 x 40"),
    "constant.tif": (np.full((40, 40), 7, np.uint8), r"source is constant: 7 in every pixel"),
    "empty.tif": (np.zeros((40, 40), np.uint8), r"source is empty: 0 in every pixel"),
    "nan.tif": (np.full((40, 40), np.nan, np.float32), r"holds no finite pixel"),
    "inf.tif": (np.full((40, 40), np.inf, np.float32), r"holds no finite pixel"),
    "zero.npy": (np.zeros((0, 40), np.uint8), r"its shape is \(0, 40\)"),
    "complex.npy": (np.zeros((40, 40), complex), r"values of type complex128"),
    "flat.npy": (np.zeros(40), r"its shape is \(40,\)"),
    "object.npy": (_object_npy, r"can't be read as an image"),
    "cut.tif": (b"II*\0 cut short", r"can't be read as an image"),
    "nothing.png": (b"", r"can't be read as an image"),
    "missing.tif": (None, r"no file or folder .*missing\.tif"),
}


# The PNG reader leaves an unusable file open: whenever it is collected, that is not ours to mend.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", BAD_SOURCES)
def test_unusable_image(tmp_path, name, invoke, sentence, tiny, write):
    content, words = BAD_SOURCES[name]
    source, target = tmp_path / name, write(tmp_path / "target.tif", gray_noise(40, 40), "YX")
    if isinstance(content, np.ndarray):
        np.save(source, content) if name.endswith(".npy") else tifffile.imwrite(source, content)
    elif isinstance(content, bytes):
        source.write_bytes(content)
    elif content is not None:
        content(source)
    said = sentence(invoke("train", source, target, "-o", tmp_path / "m.safetensors", tiny))
    gc.collect()
    assert re.search(words, said), said
    assert not list(tmp_path.glob("m.*"))


def test_a_format_that_can_not_hold_the_output(tmp_path, invoke, sentence, monkeypatch, write):
    """It is refused before the work: OME-TIFF has no 64-bit integers."""
    source = gray_noise(48, 48)
    labels = np.kron(np.arange(9).reshape(3, 3), np.ones((16, 16), np.int64))
    make_model(source, labels, target_kind="classes").save(tmp_path / "m.st")
    monkeypatch.setattr(translator.Translator, "__call__", no_work)
    write(tmp_path / "a.tif", source, "YX")
    said = sentence(invoke("apply", tmp_path / "m.st", tmp_path / "a.tif", "-o",
                           tmp_path / "out.ome.tif"))  # fmt: skip
    assert "OME-TIFF can't hold int64" in said


def test_the_shell_names_its_own_options(gray, tmp_path, invoke, sentence):
    np.save(tmp_path / "stack.npy", gray_noise(5, 9, 12))
    said = sentence(invoke("apply", gray, tmp_path / "stack.npy", "-o", tmp_path / "out.tif"))
    assert said.endswith("name them, for example ZYX, TYX, CYX or YXS (--axes).")
    several = FileError("It is there: resume it, or overwrite it.", remedies=tuple(Remedy))
    assert shell_message(several).startswith("It is there: resume it, or overwrite it (--axes, ")


def test_one_pixel(tmp_path, gray, invoke, sentence, tiny):
    for name in ("a", "b"):
        tifffile.imwrite(tmp_path / f"{name}.tif", np.full((1, 1), 9, np.uint8))
    words = ("train", tmp_path / "a.tif", tmp_path / "b.tif", "-o", tmp_path / "m.st", tiny)
    assert "constant: 9" in sentence(invoke(*words))
    applied = invoke("apply", gray, tmp_path / "a.tif", "-o", tmp_path / "out.tif")
    assert applied.exit_code == 0  # any size can be translated
    assert tifffile.imread(tmp_path / "out.tif").shape == (1, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--preset haevy", r"'haevy' is not one of 'light', 'reference', 'paper'"),
        ("--epocs 3", r"No such option '?--epocs'?.*--epochs"),
        ("--epochs -1", r"epochs should be greater than or equal to 1, got -1"),
        ("--epochs many", r"'many' is not a valid integer"),
        ("--max-seconds 0", r"max_seconds should be greater than 0"),
        ("--zoom 2 1", r"zoom should go from low to high"),
        ("--device cuda:77", r"no device 'cuda:77' here"),
        ("--checkpoint none/m.ckpt", r"no folder none for the checkpoint"),
    ],
)
def test_unusable_option(files, tmp_path, options, words, invoke, sentence):
    said = sentence(invoke("train", *files, "-o", tmp_path / "m.st", options))
    assert re.search(words, said), said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train -o m.st", "Missing argument 'SOURCE', or a table of pairs with --pairs"),
        ("train a -o m.st", "Missing argument 'TARGET'"),
        ("train a b", "Missing option '--out'"),
        ("train a b -o m.st --validate c", "requires 2 arguments"),
        ("trian", "No such command 'trian'"),
        ("apply a b -o c --condition", "requires an argument"),
    ],
)
def test_incomplete_command(words, said, invoke, sentence):
    line = sentence(invoke(words))
    assert said in line
    assert re.search(r"; see \S+( \w+)? --help\.$", line)


def no_work(*_, **__) -> None:
    raise AssertionError("work was begun")


@pytest.mark.parametrize("command", ["train", "apply"])
@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("none/m.tif", "no folder .*none to write"),
        ("source.tif/m.tif", "no folder .*source.tif to write"),
        ("old.tif", "exists: choose another name, or pass --overwrite"),
    ],
)
def test_output_is_checked_before_any_work(
    folder, gray, tmp_path, monkeypatch, command, out, words, invoke, sentence
):
    monkeypatch.setattr("napari_pix2pix._train.training_events", no_work)
    monkeypatch.setattr("napari_pix2pix.translator.Translator.__call__", no_work)
    (tmp_path / "source.tif").write_bytes((folder / "source.tif").read_bytes())
    (tmp_path / "old.tif").write_text("mine")
    first = tmp_path / "source.tif" if command == "train" else gray
    said = sentence(invoke(command, first, tmp_path / "source.tif", "-o", tmp_path / out))
    assert re.search(words, said), said
    assert (tmp_path / "old.tif").read_text() == "mine"


def test_no_permission(files, tmp_path, monkeypatch, invoke, sentence, tiny):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)
    monkeypatch.setattr("napari_pix2pix._train.training_events", no_work)
    said = sentence(invoke("train", *files, "-o", tmp_path / "m.st", tiny))
    assert "no permission to write m.st" in said


def test_output_that_is_a_folder(files, tmp_path, invoke, sentence, tiny):
    assert "is a folder" in sentence(invoke("train", *files, "-o", tmp_path, tiny))
    ckpt = invoke("train", *files, "-o", tmp_path / "m.ckpt", tiny)
    assert "is the checkpoint's name" in sentence(ckpt)


def test_full_disk_leaves_the_old_model(files, gray, tmp_path, monkeypatch, invoke, sentence, tiny):
    model = tmp_path / "gray.safetensors"
    model.write_bytes(before := gray.read_bytes())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_file, "save_file", full)
    result = invoke("train", *files, "-o", model, tiny, "--overwrite --json")
    assert "No space left on device" in sentence(result)
    assert model.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["gray.safetensors"]


def test_channels_other_than_trained(gray, tmp_path, invoke, sentence, write):
    write(tmp_path / "rgb.tif", gray_noise(20, 20, 3), "YXS")
    said = sentence(invoke("apply", gray, tmp_path / "rgb.tif", "-o", tmp_path / "out.tif"))
    assert "trained on images of 1 channel, got 3" in said
    target = write(tmp_path / "t.tif", gray_noise(20, 20), "YX")
    assert "got 3" in sentence(invoke("evaluate", gray, tmp_path / "rgb.tif", target))
    said = sentence(invoke("evaluate", gray, target, tmp_path / "rgb.tif"))
    assert "makes 1 channel:" in said


@pytest.mark.parametrize("command", ["apply", "evaluate", "info"])
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "There is no file"),
        (b"", "is empty"),
        (b"II*\0" + bytes(99), "not a napari-pix2pix model"),
    ],
)
def test_unusable_model(folder, files, tmp_path, command, content, words, invoke, sentence):
    model = tmp_path / "m.safetensors"
    if content is not None:
        model.write_bytes(content)
    more = {
        "apply": (folder / "source.tif", "-o", tmp_path / "out.tif"),
        "evaluate": files,
        "info": (),
    }
    assert words in sentence(invoke(command, model, *more[command]))


def test_incomplete_header(gray, tmp_path, invoke, sentence):
    tensors, header = model_file.read_container(gray)
    del header["versions"]
    model_file.write_container(tmp_path / "m.st", tensors, header)
    assert "is incomplete" in sentence(invoke("info", tmp_path / "m.st"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--seed -1", "seed must be 0 or more"),
        ("--tile -1", "tile must be 0 or more"),
        ("--dropout", "no dropout layers"),
        ("--condition GFP", "has no conditions, got 'GFP'"),
        ("--device tpu", "no device 'tpu' here"),
    ],
)
def test_unusable_option_of_apply(folder, gray, tmp_path, options, words, invoke, sentence):
    model, source = gray, folder / "source.tif"
    assert words in sentence(invoke("apply", model, source, "-o", tmp_path / "o.tif", options))
    assert not list(tmp_path.iterdir())


def test_conditions_that_are_no_strings(tmp_path, invoke, succeed, sentence, write):
    image = gray_noise(48, 48)
    model = make_model([image, image], [image, 255 - image], condition=[1, 2])
    model.save(tmp_path / "m.st")
    source = write(tmp_path / "a.tif", image, "YX")
    succeed("apply", tmp_path / "m.st", source, "-o", tmp_path / "b.tif", "--condition 2")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), model(image, condition=2))
    scored = invoke("evaluate", tmp_path / "m.st", source, source, "--condition 1 --json")
    assert json.loads(scored.stdout)["prediction"]
    said = sentence(invoke("evaluate", tmp_path / "m.st", source, source))
    assert "one of 1, 2, got None" in said
    assert "Conditions: 1, 2." in invoke("info", tmp_path / "m.st").stdout
