"""Models of ours as files that the PyTorch reference implementation loads, and back."""

import re

import helpers
import numpy as np
import pytest
import torch
from helpers import integer_noise, write_reference_weights

from napari_pix2pix import Translator, convert, load, train
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.pytorch_networks import ReferenceGenerator

# The PyTorch implementation has no U-Net of less than 5 halvings.
TINY = helpers.TINY | {"preset": "reference", "depth": 5, "patch": 64, "batch": 1}
TINY |= {"steps": 1, "validation": 0.0}


def make(source=None, target=None, **fields) -> Translator:
    source = integer_noise(64, 64) if source is None else source
    return train(
        source, 255 - integer_noise(64, 64) if target is None else target, **(TINY | fields)
    )


@pytest.fixture(scope="module")
def model():
    return make(target=integer_noise(64, 64).astype(np.uint16) * 200, depth=7, patch=128)


@pytest.mark.parametrize("index", range(4))
def test_round_trip_is_bit_identical(index, golden, golden_values, tmp_path):
    shapes = golden_values["generators"][index]["state_dict"]
    first, ours, last = (tmp_path / name for name in ("a.pth", "m.safetensors", "b.pth"))
    weights = torch.load(write_reference_weights(first, golden, shapes), weights_only=True)
    assert convert(first, ours) == ()
    convert(ours, last)
    again = torch.load(last, weights_only=True)
    assert list(again) == list(weights)
    for name in weights:
        assert again[name].dtype == weights[name].dtype
        assert again[name].is_contiguous()
        assert torch.equal(again[name], weights[name])


@pytest.mark.parametrize("index", range(3))
def test_a_discriminator_s_round_trip_is_bit_identical(index, golden, golden_values, tmp_path):
    entry = golden_values["discriminators"][index]
    generator = ReferenceGenerator("unet", 3, 3, 2, entry["norm"], depth=5).shapes()
    files = {"latest_net_G.pth": generator, "latest_net_D.pth": entry["state_dict"]}
    (tmp_path / "again").mkdir()
    for name, shapes in files.items():
        write_reference_weights(tmp_path / name, golden, shapes)
    convert(tmp_path / "latest_net_G.pth", tmp_path / "m.safetensors")
    notes = convert(tmp_path / "m.safetensors", tmp_path / "again" / "latest_net_G.pth")
    assert "latest_net_D.pth is its discriminator; its options there: --netD " in notes[-1]
    for name in files:
        before, after = (
            torch.load(path / name, weights_only=True) for path in (tmp_path, tmp_path / "again")
        )
        assert list(before) == list(after)
        assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"conditional": False}, "sees the image alone: pix2pix there shows it the source"),
        ({"discriminator_layers": 1, "adversarial": "lsgan"},
         "--netD n_layers --n_layers_D 1 --ndf 4 --norm batch --gan_mode lsgan"),
        ({"discriminator_layers": 0, "adversarial": "hinge"}, "--netD pixel.*the loss is hinge"),
        ({"discriminator_norm": "instance"}, "one --norm for both networks, and these differ"),
    ],
)  # fmt: skip
def test_a_trained_discriminator_comes_back(fields, words, tmp_path):
    model = make(**fields)
    (note,) = (one for one in convert(model, tmp_path / "5_net_G.pth") if "5_net_D.pth" in one)
    assert re.search(words, note), note
    again = load(tmp_path / "5_net_G.pth")
    assert again.config.conditional == model.config.conditional
    before, after = model.discriminator.state_dict(), again.discriminator.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(
    ("fields", "name", "words"),
    [
        ({"discriminator_scales": 2}, "G_net_G.pth", "has several scales"),
        ({"spectral_norm": True}, "G_net_G.pth", "has spectral norm"),
        ({"discriminator_norm": "group"}, "G_net_G.pth", "has group norm"),
        ({"discriminator_norm": "none", "steps": 2}, "G_net_G.pth", "biases where the PyTorch"),
        ({"adversarial_weight": 0.0}, "G_net_G.pth", "The model has no discriminator"),
        ({"adversarial_start": 1.0, "adversarial_full": 1.0}, "G_net_G.pth", "has learnt nothing"),
        ({}, "mine.pth", "only with a name like latest_net_G.pth"),
    ],
)
def test_a_discriminator_that_is_not_written_is_said_to_be_so(fields, name, words, tmp_path):
    other = tmp_path / "G_net_D.pth"
    other.write_text("of another model")
    notes = convert(make(**fields), tmp_path / name)
    assert words in notes[-1]
    assert ("is of another model" in notes[-1]) == (name == "G_net_G.pth")
    assert other.read_text() == "of another model"


def test_a_trained_model_comes_back(model, tmp_path):
    notes = convert(model, tmp_path / "latest_net_G.pth")
    again = load(tmp_path / "latest_net_G.pth")
    assert again.digest == model.digest
    assert (again.config.depth, again.config.width, again.config.norm) == (7, 4, "batch")
    said = " ".join(notes)
    low, high = model.target_codec.low[0], model.target_codec.high[0]
    assert f"target {low:.6g} to {high:.6g} here" in said
    assert "latest_net_D.pth is its discriminator; its options there: --netD basic --ndf 4" in said
    assert "--netG unet_128 --ngf 4 --norm batch --input_nc 1 --output_nc 1." in said


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"preset": "paper"}, "is in other blocks"),
        ({"generator": "resnet", "blocks": 1, "dropout": 0.25}, "Dropout is 0.5 there and 0.25"),
        ({"generator": "resnet", "norm": "instance", "bias": False, "blocks": 6}, "resnet_6blocks"),
        ({"norm": "none", "bias": False, "dropout": 0.0}, "make it from the class UnetGenerator"),
        ({"preset": "light", "activation": "tanh", "width": 2}, "no U-Net-32"),
    ],
)
def test_what_differs_is_said_and_the_weights_mean_the_same(fields, words, tmp_path):
    model = make(**fields)
    notes = convert(model, tmp_path / "G.pth")
    assert any(words in note for note in notes), notes
    planes = torch.linspace(-1, 1, 64 * 64).reshape(1, 1, 64, 64)
    again = load(tmp_path / "G.pth")
    for name in ("generator", "norm"):
        assert getattr(again.config, name) == getattr(model.config, name)
    with torch.no_grad():
        one, other = (m.generator(planes) for m in (model, again))
    torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


LABELS = np.kron(np.arange(4).reshape(2, 2), np.ones((32, 32), np.uint8))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"activation": "linear"}, r"another last layer \(activation='linear'\)"),
        ({"upsampling": "resize"}, r"another upsampling \(upsampling='resize'\)"),
        ({"norm": "group"}, r"group norm"),
        ({"generator": "encoder_decoder"}, r"an encoder-decoder"),
        ({"noise_channels": 2}, r"2 noise planes"),
        ({"depth": 4}, r"a U-Net of 4 halvings \(depth\), where 5 are the least"),
        ({"condition": "DAPI"}, r"conditions \(DAPI\)"),
        ({"target": LABELS, "target_kind": "classes"}, r"labels as target \(classes\)"),
        ({"source": np.stack([integer_noise(64, 64)] * 3),
          "target": np.stack([integer_noise(64, 64, seed=1)] * 3),
          "z_context": 1}, r"neighbouring planes \(z_context=1\)"),
        ({"activation": "linear", "norm": "group"}, r"group norm \(norm='group'\), another last"),
    ],
)  # fmt: skip
def test_what_the_reference_has_not_is_refused(fields, words, tmp_path):
    with pytest.raises(InputError, match=f"can't hold this model, which has .*{words}"):
        convert(make(**fields), tmp_path / "G.pth")
    assert not list(tmp_path.iterdir())


def test_without_a_source(tmp_path):
    model = train(None, integer_noise(64, 64), noise="pixel", **TINY)
    with pytest.raises(InputError, match="which has no source, 16 noise planes"):
        convert(model, tmp_path / "G.pth")


def test_an_old_file_is_kept(model, tmp_path):
    path = tmp_path / "G.pth"
    path.write_text("mine")
    with pytest.raises(FileError, match="exists: choose another name, or overwrite it"):
        convert(model, path, overwrite=False)
    with pytest.raises(FileError, match="no folder"):
        convert(model, tmp_path / "none" / "G.pth")
    assert path.read_text() == "mine"
    convert(model, path)
    assert load(path).digest == model.digest
    (tmp_path / "1_net_D.pth").write_text("mine")
    with pytest.raises(FileError, match=r"1_net_D\.pth exists: choose another name"):
        convert(model, tmp_path / "1_net_G.pth", overwrite=False)
    assert not (tmp_path / "1_net_G.pth").exists()
