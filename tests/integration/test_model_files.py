import json
import pickle
from dataclasses import replace

import helpers
import numpy as np
import pytest
import torch
from helpers import Bomb, noise, with_other_best
from safetensors.torch import save_file

from napari_pix2pix import convert, load, train
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io import model_file
from napari_pix2pix.io.model_file import read_container, write_container
from napari_pix2pix.training.model_info import ModelInfo, read_model_info
from napari_pix2pix.translator import Translator

TINY = helpers.TINY | {"dropout": 0.0}


@pytest.fixture(scope="module")
def translator():
    """Gray float32 to gray uint16, with a discriminator, an average and a validation."""
    source = noise(96, 96)
    target = (source * 60000).astype(np.uint16)
    return train(source, target, **TINY, steps=4, adversarial_start=0.0)


def test_round_trip_is_bit_identical(translator, tmp_path):
    translator.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    for name, tensor in translator.generator.state_dict().items():
        assert torch.equal(again.generator.state_dict()[name], tensor), name
    for part in ("config", "history", "scores", "summary", "conditions", "baselines"):
        assert getattr(again.info, part) == getattr(translator.info, part), part
    assert again.source_codec == translator.source_codec
    assert again.target_codec == translator.target_codec
    image = noise(21, 17)
    one, other = (model(image, output="float") for model in (again, translator))
    np.testing.assert_array_equal(one, other, strict=True)
    again.save(tmp_path / "again.safetensors")
    written = [(tmp_path / f"{name}.safetensors").read_bytes() for name in ("m", "again")]
    assert written[0] == written[1]


def test_slim_leaves_the_discriminator_out(translator, tmp_path):
    whole, slim = tmp_path / "m.safetensors", tmp_path / "slim.safetensors"
    translator.save(whole)
    translator.save(slim, slim=True)
    assert slim.stat().st_size < whole.stat().st_size
    assert translator.discriminator is not None
    again = load(slim)
    np.testing.assert_array_equal(again.info.thumbnail, translator.info.thumbnail)
    assert again.discriminator is None
    image = noise(12, 12)
    np.testing.assert_array_equal(again(image), translator(image))


def test_discriminator_is_as_trained(translator):
    discriminator = translator.discriminator
    assert not discriminator.training
    assert discriminator(torch.zeros(1, 2, 64, 64)).shape[1] == 1


@pytest.mark.parametrize("keep", ["last", "best"])
def test_kept_weights_are_applied(translator, keep, tmp_path):
    tensors, header = _parts(translator, tmp_path)
    marked = {
        name: torch.zeros_like(tensor) if name.startswith("best.") else tensor
        for name, tensor in tensors.items()
    }
    config = {**header["config"], "keep": keep}
    model = Translator(marked, ModelInfo.from_header({**header, "config": config}, tmp_path))
    weights = torch.cat([value.flatten() for value in model.generator.parameters()])
    assert bool((weights == 0).all()) == (keep == "best")
    image = noise(8, 8)
    model.save(tmp_path / "slim.safetensors", slim=True)
    np.testing.assert_array_equal(load(tmp_path / "slim.safetensors")(image), model(image))


def test_weights_are_chosen_after_training(translator, tmp_path):
    model, path = with_other_best(translator), tmp_path / "m.safetensors"
    image = noise(16, 16)
    model.save(path)
    assert read_model_info(path).weights == ("last", "best")
    last, best = load(path), load(path, weights="best")
    assert (last.info.applied, last.scores.prediction) == ("last", {"pearson": 0.5})
    assert (best.info.applied, best.scores.prediction) == ("best", {"pearson": 0.75})
    np.testing.assert_array_equal(last(image), translator(image))
    assert np.ptp(best(image)) == 0
    best.save(path)  # with all weights, and this choice
    again = load(path)
    assert again.digest == best.digest
    assert again.with_weights("last").digest == last.digest
    assert read_model_info(path).applied == "best"


def test_scores_are_of_a_validation_where_the_last_weights_had_none(translator):
    model = with_other_best(translator)
    model = Translator(model.tensors, replace(model.info, steps=1250))
    best = model.with_weights("best")
    assert best.scores.prediction == {"pearson": 0.75}
    assert best.with_weights("last").scores == model.scores
    assert best.with_weights("last").info.candidates[0].step == 1250


def test_weights_that_are_not_there_are_refused(translator, tmp_path):
    model, path = with_other_best(translator), tmp_path / "m.safetensors"
    alone = "It holds the best weights alone, without the last ones"
    assert convert(model, path, weights="best") == (f"{alone} and the discriminator.",)
    assert convert(path, tmp_path / "again.safetensors", weights="best") == ()  # nothing more
    kept = load(path)
    assert {name.partition(".")[0] for name in kept.tensors} == {"best"}
    assert np.ptp(kept(noise(16, 16))) == 0
    with pytest.raises(InputError, match="holds only its best weights, got weights='last'"):
        load(path, weights="last")
    with pytest.raises(InputError, match="weights must be 'last' or 'best', got 'first'"):
        model.with_weights("first")
    with pytest.raises(InputError, match="weights must be 'last' or 'best', got array"):
        model.with_weights(np.zeros((2, 2)))


def test_generator_edited_in_place_is_what_is_saved(translator, tmp_path):
    translator.save(tmp_path / "m.safetensors")
    model = load(tmp_path / "m.safetensors")
    with torch.no_grad():
        for parameter in model.generator.parameters():
            parameter.mul_(0.5)
    image = noise(16, 16)
    for slim in (False, True):
        model.save(tmp_path / "edited.safetensors", slim=slim)
        edited = load(tmp_path / "edited.safetensors")
        np.testing.assert_array_equal(edited(image), model(image))
        assert not np.array_equal(edited(image), translator(image))


def test_loaded_model_does_not_hold_its_file(translator, tmp_path):
    path, copy = tmp_path / "m.safetensors", tmp_path / "copy.safetensors"
    translator.save(path)
    before = path.read_bytes()
    model = load(path)
    with path.open("r+b") as file:  # what is mapped would change with it
        file.write(bytes(len(before)))
    model.save(copy)
    assert copy.read_bytes() == before
    model.save(path)
    assert path.read_bytes() == before


def test_checkpoint_is_saved_as_a_model(tmp_path):
    checkpoint, path = tmp_path / "run.ckpt", tmp_path / "m.safetensors"
    image = noise(64, 64)
    model = train(image, 1 - image, **TINY, steps=2, checkpoint=checkpoint)
    load(checkpoint).save(path)
    model.save(tmp_path / "direct.safetensors")
    (tensors, header), (expected, _) = map(read_container, (path, tmp_path / "direct.safetensors"))
    # A checkpoint does not know what is usual.
    assert set(tensors) == {name for name in expected if not name.startswith("usual.")}
    assert "counters" not in header
    assert path.stat().st_size < checkpoint.stat().st_size


@pytest.mark.parametrize("path", [None, 3.5])
def test_what_is_no_path(translator, path):
    for use in (translator.save, load):
        with pytest.raises(InputError, match=f"name of a file, got {path}"):
            use(path)


def _parts(translator, folder):
    translator.save(folder / "whole.safetensors")
    return read_container(folder / "whole.safetensors")


# What a good file is made of at a path, and what is said of it.
BAD_FILES = {
    "missing": (lambda path: path.unlink(), "There is no file"),
    "empty": (lambda path: path.write_bytes(b""), "is empty"),
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-100]), "cut short"),
    "cut in its header": (lambda path: path.write_bytes(path.read_bytes()[:50]), "cut short"),
    "foreign": (lambda path: save_file({"weight": torch.zeros(2)}, path), "of another program"),
    "no model": (
        lambda path: path.write_bytes(b"II*\0" + bytes(99)),
        "not a napari-pix2pix model",
    ),
    "pickle": (
        lambda path: path.write_bytes(pickle.dumps(Bomb(path.with_name("mark")))),
        "not a PyTorch file of weights.*nothing in it was run",
    ),
    "pth": (
        lambda path: torch.save(Bomb(path.with_name("mark")), path),
        "holds more than weights.*refused and not run",
    ),
    "folder": (lambda path: (path.unlink(), path.mkdir()), "is a folder"),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_unusable_file(translator, tmp_path, kind):
    spoil, words = BAD_FILES[kind]
    path = tmp_path / "m.safetensors"
    translator.save(path)
    spoil(path)
    with pytest.raises(FileError, match=words) as caught:
        load(path)
    assert "m.safetensors" in str(caught.value)
    assert not (tmp_path / "mark").exists()


def test_newer_version(translator, tmp_path, monkeypatch):
    with monkeypatch.context() as later:
        later.setattr(model_file, "FORMAT_VERSION", 99)
        later.setattr(model_file, "__version__", "9.9.9")
        translator.save(tmp_path / "m.safetensors")
    with pytest.raises(FileError, match=r"9\.9\.9.*version 99.*update it"):
        load(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("config", {"widht": 4}),
        ("config", {"width": 8}),
        ("config", {"generator": "resnet"}),
        ("source_codec", {"kind": "image"}),
        ("source_codec", {"kind": "holograms"}),
        ("target_codec", None),
        ("baselines", {}),
        ("history", [{"step": 3}]),
        ("thumbnail", {"height": 1}),
        ("has_discriminator", False),
        ("conditions", None),
        ("conditions", ["one too many"]),
        ("scores", ...),
    ],
)
def test_header_that_does_not_fit(translator, tmp_path, part, value):
    tensors, header = _parts(translator, tmp_path)
    if value is ...:
        del header[part]
    else:
        whole = {"config": header["config"] | value} if part == "config" else {part: value}
        header |= whole
    path = tmp_path / "odd.safetensors"
    write_container(path, tensors, header)
    with pytest.raises(FileError, match=r"odd\.safetensors") as caught:
        load(path)
    assert "\n" not in str(caught.value)


def test_file_without_a_generator(translator, tmp_path):
    _, header = _parts(translator, tmp_path)
    write_container(tmp_path / "odd.safetensors", {"x": torch.zeros(1)}, header)
    with pytest.raises(FileError, match="holds no generator"):
        load(tmp_path / "odd.safetensors")


def test_nothing_in_a_model_file_is_a_pickle(translator, tmp_path):
    path = tmp_path / "m.safetensors"
    translator.save(path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + length])
    assert json.loads(header["__metadata__"]["napari-pix2pix"])["header"]["summary"]
    del header["__metadata__"]
    assert {entry["dtype"] for entry in header.values()} <= {"F32", "I64"}


def test_save_refuses_to_replace_where_asked_and_a_missing_folder(translator, tmp_path):
    path = tmp_path / "m.safetensors"
    path.write_text("mine")
    with pytest.raises(FileError, match="exists: choose another name, or overwrite it"):
        translator.save(path, overwrite=False)
    assert path.read_text() == "mine"
    with pytest.raises(FileError, match="no folder"):
        translator.save(tmp_path / "none" / "m.safetensors")


def test_full_disk_leaves_the_old_file(translator, tmp_path, monkeypatch):
    path = tmp_path / "m.safetensors"
    translator.save(path)
    before = path.read_bytes()

    def full(tensors, fresh, metadata):
        fresh.write_bytes(b"a part")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(model_file, "save_file", full)
    with pytest.raises(FileError, match="No space left on device"):
        translator.save(path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"]
