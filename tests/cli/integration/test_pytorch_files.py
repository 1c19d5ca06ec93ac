"""What people who come from the PyTorch implementation have: its files and its folders."""

import json
import re
import warnings
from shutil import copy

import helpers
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import torch
from helpers import integer_noise, write_reference_weights

from napari_pix2pix import Pair, load, train
from napari_pix2pix.io.pytorch_networks import ReferenceDiscriminator, ReferenceGenerator

TINY = helpers.TINY | {"steps": 2, "dropout": 0.0}
PAPER = {"norm_statistics": "per-image", "dropout": True, "seed": 3}


@pytest.fixture(scope="module")
def weights(golden, tmp_path_factory):
    """Return the file of a U-Net from one channel to one."""
    shapes = ReferenceGenerator("unet", 1, 1, 4, "batch", depth=6).shapes()
    path = tmp_path_factory.mktemp("reference") / "latest_net_G.pth"
    return write_reference_weights(path, golden, shapes)


@pytest.mark.parametrize(
    ("options", "how"),
    [
        ("", {}),
        ("--norm-statistics per-image", {"norm_statistics": "per-image"}),
        ("--norm-statistics per-image --dropout --seed 3", PAPER),
    ],
)
def test_apply_equals_python(options, how, weights, tmp_path, succeed, write):
    image = integer_noise(70, 90)
    source = write(tmp_path / "a.tif", image, "YX")
    succeed("apply", weights, source, "-o", tmp_path / "b.tif", options)
    written = tifffile.imread(tmp_path / "b.tif")
    np.testing.assert_array_equal(written, load(weights)(image, **how), strict=True)


@pytest.mark.parametrize("options", ["", "--region :,:64"])
def test_images_of_16_bits(options, weights, tmp_path, invoke, succeed, write):
    image = integer_noise(64, 96).astype(np.uint16) * 257
    source, out = write(tmp_path / "a.tif", image, "YX"), tmp_path / "b.tif"
    result = succeed("apply", weights, source, "-o", out, options)
    assert "Warning" not in result.stderr
    expected = load(weights, dtype="uint16")(image)[:, : 64 if options else 96]
    np.testing.assert_allclose(tifffile.imread(out).astype(int), expected, atol=1)
    assert tifffile.imread(out).dtype == np.uint16
    write(tmp_path / "c.tif", image // 64, "YX")
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = invoke("apply", weights, tmp_path / "c.tif", "-o", tmp_path / "d.tif", options)
    assert re.search(r"Warning: .*fills only 1\.6 % of it \(0 to 102.\): scale it", result.stderr)


@pytest.mark.parametrize("options", ["", "--region :,:64"])
def test_gray_images_and_a_network_of_three_channels(options, golden, tmp_path, succeed, write):
    shapes = ReferenceGenerator("unet", 3, 3, 2, "batch", depth=5).build().state_dict()
    model, image = tmp_path / "latest_net_G.pth", integer_noise(64, 96)
    torch.save(golden.fill_(shapes), model)
    source, out = write(tmp_path / "a.tif", image, "YX"), tmp_path / "b.tif"
    succeed("apply", model, source, "-o", out, options)
    expected = load(model)(np.stack([image] * 3, axis=-1))[:, : 64 if options else 96]
    np.testing.assert_allclose(tifffile.imread(out).astype(int), expected, atol=1)


def test_its_discriminator_is_asked(weights, golden, tmp_path, invoke, succeed, write):
    network = ReferenceDiscriminator(2, 4, "batch", 1)
    copy(weights, tmp_path / "5_net_G.pth")
    write_reference_weights(tmp_path / "5_net_D.pth", golden, network.shapes())
    assert "Its discriminator is 5_net_D.pth" in invoke("info", tmp_path / "5_net_G.pth").stdout
    image, made = integer_noise(64, 64), integer_noise(64, 64, seed=1)
    source, prediction = (
        write(tmp_path / name, one, "YX") for name, one in (("s.tif", image), ("p.tif", made))
    )
    model, out = tmp_path / "5_net_G.pth", tmp_path / "v.tif"
    succeed("discriminator-map", model, prediction, "--source", source, "-o", out)
    np.testing.assert_array_equal(tifffile.imread(out), load(model).discriminator_map(image, made))
    result = invoke("convert", model, tmp_path / "again_net_G.pth")
    assert "again_net_D.pth is its discriminator" in result.stdout
    names = "5_net_D.pth", "again_net_D.pth"
    one, other = (torch.load(tmp_path / name, weights_only=True) for name in names)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is empty"), (b"PK\x03\x04cut", "cut short or damaged; nothing in it was run")],
)
def test_an_unusable_file_ends_in_a_sentence(content, said, tmp_path, invoke, sentence):
    path = tmp_path / "latest_net_G.pth"
    path.write_bytes(content)
    for words in (["info", path], ["convert", path, tmp_path / "m.safetensors"]):
        assert said in sentence(invoke(*words))
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_info(weights, invoke, succeed):
    said = succeed("info", weights)
    assert said.stdout.startswith("# latest_net_G\n\n- Translates images with 1 channel into")
    assert "images with 1 channel, U-Net-64 of width 4 with batch" in said.stdout
    assert "steps in" not in said.stdout
    assert json.loads(invoke("info", weights, "--json").stdout)["config"]["depth"] == 6


def test_convert_there_and_back(weights, tmp_path, invoke, succeed, sentence):
    ours, back = tmp_path / "m.safetensors", tmp_path / "latest_net_G.pth"
    result = invoke("convert", weights, ours, "--json")
    assert json.loads(result.stdout) == {"written": str(ours), "notes": []}
    result = succeed("convert", ours, back)
    assert result.stdout.startswith(f"Wrote {back}.\nThe commands there have no U-Net-64")
    one, other = (torch.load(path, weights_only=True) for path in (weights, back))
    assert list(one) == list(other)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert "exists: choose another name" in sentence(invoke("convert", ours, back))
    assert invoke("convert", weights, ours, "--overwrite --dtype uint16").exit_code == 0
    assert load(ours).source_codec.dtype == "uint16"
    said = sentence(invoke("convert", ours, tmp_path / "n.pth", "--dtype uint8"))
    assert "for files of the PyTorch implementation" in said


def test_convert_refuses_before_it_writes(gray, tmp_path, invoke, sentence):
    said = sentence(invoke("convert", gray, tmp_path / "G.pth"))
    assert "a U-Net of 2 halvings (depth), where 5 are the least, another last layer" in said
    assert not list(tmp_path.iterdir())


@pytest.fixture
def facades(tmp_path):
    """Images whose right half is the inverse of the left one."""
    for number, name in enumerate(("train/1.png", "train/2.png", "val/3.png", "test/4.png")):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        image = integer_noise(48, 40, seed=number)
        iio.imwrite(path, np.concatenate([image, 255 - image], axis=1))
    return tmp_path


@pytest.mark.parametrize("direction", ["AtoB", "BtoA"])
def test_side_by_side_equals_python(direction, facades, invoke, succeed, tiny):
    files = "--aligned", facades, f"--direction {direction}"
    succeed("train", *files, "-o", facades / "m.st", tiny)
    lefts = [integer_noise(48, 40, seed=seed) for seed in range(3)]
    rights = [255 - left for left in lefts]
    sources, targets = (lefts, rights) if direction == "AtoB" else (rights, lefts)
    held_out = [Pair(sources[2], targets[2])]
    expected = train(sources[:2], targets[:2], validation=held_out, callback=lambda _: None, **TINY)
    made = load(facades / "m.st")
    assert made.digest == expected.digest
    assert made.scores == expected.scores
    scored = json.loads(invoke("evaluate", facades / "m.st", *files, "--json").stdout)
    assert [image["name"] for image in scored["images"]] == ["4.png"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train/1.png --aligned .", "--aligned names all pairs, so SOURCE can't be given"),
        ("--aligned . --no-source", "so --no-source can't be given"),
        ("--aligned . --pairs p.csv", "--pairs names all pairs, so --aligned can't be given"),
        ("train/1.png train/2.png --direction BtoA", "--direction belongs to --aligned"),
        ("--aligned . --direction AtoA", "'AtoA' is not one of 'AtoB', 'BtoA'"),
        ("--aligned none", "no file or folder none"),
        ("--aligned . --validation 0.5", "--validation 0.5 would hold out"),
    ],
)
def test_misuse(words, said, facades, monkeypatch, invoke, sentence, tiny):
    monkeypatch.chdir(facades)
    assert said in sentence(invoke("train -o m.st", tiny, words))
    assert not list(facades.glob("m.*"))
