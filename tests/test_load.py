"""Generators of the PyTorch reference implementation as translators."""

import pickle
import re

import numpy as np
import pytest
import torch
from helpers import Bomb, integer_noise, write_reference_weights
from torch import nn

from napari_pix2pix import evaluate, load, train
from napari_pix2pix._load import read_foreign_info
from napari_pix2pix.core import DiscriminatorMap
from napari_pix2pix.errors import ConfigError, FileError, InputError
from napari_pix2pix.inference._frame_job import applying
from napari_pix2pix.io.pytorch_networks import ReferenceDiscriminator, ReferenceGenerator

UNET = ReferenceGenerator("unet", 1, 1, 4, "batch", depth=6)
COLOURS = ReferenceGenerator("unet", 3, 3, 2, "batch", depth=5)
TINY = {"patch": 64, "batch": 1, "discriminator_width": 2, "validation": 0.0}
RESNET = ReferenceGenerator("resnet", 1, 2, 4, "instance", blocks=1)


@pytest.fixture
def save(golden, tmp_path):
    """Return what writes weights as the reference does."""

    return lambda shapes, name="latest_net_G.pth": write_reference_weights(
        tmp_path / name, golden, shapes
    )


@pytest.mark.parametrize("index", range(4))
def test_golden_outputs(index, golden, golden_values, save):
    entry = golden_values["generators"][index]
    generator = load(save(entry["state_dict"])).generator
    assert sum(p.numel() for p in generator.parameters()) == entry["parameters"]
    assert any(isinstance(module, nn.Dropout) for module in generator.modules())
    modes = {"eval": "running", "train_statistics": "per-image"}
    for mode in set(modes) & set(entry):
        with torch.no_grad(), applying(generator, norm_statistics=modes[mode]):
            got = golden.probe(generator(golden.ramp(*entry["input"])))
        assert got["shape"] == entry[mode]["shape"]
        for key in ("mean", "std", "values"):
            assert got[key] == pytest.approx(entry[mode][key], abs=1e-4)


@pytest.mark.parametrize("statistics", ["running", "per-image"])
@pytest.mark.parametrize("network", [UNET, COLOURS])
def test_bytes_become_the_network_s_range(network, statistics, save):
    translator = load(save(network.shapes()))
    shape = (64, 128, 3) if network is COLOURS else (64, 128)
    image = integer_noise(*shape)
    planes = torch.from_numpy(np.atleast_3d(image)).movedim(-1, 0)[None].float() / 127.5 - 1
    with torch.no_grad(), applying(translator.generator, norm_statistics=statistics):
        made = (translator.generator(planes)[0].movedim(0, -1).numpy() + 1) * 127.5
    translated = translator(image, norm_statistics=statistics)
    assert translated.dtype == np.uint8
    assert np.abs(translated - made.reshape(shape)).max() < 0.51
    exact = translator(image, norm_statistics=statistics, output="float")
    np.testing.assert_allclose(exact, made.reshape(shape), atol=1e-2)


def test_dropout_is_assumed_and_drops_where_it_is_asked_for(save):
    path = save(UNET.shapes())
    translator, image = load(path), integer_noise(64, 64)
    assert any("trained with dropout" in note for note in translator.info.notes)
    one, same, other = (translator(image, dropout=True, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert (one != translator(image)).any()
    assert translator(image, dropout=True, samples=3).shape == (3, 64, 64)
    np.testing.assert_array_equal(load(path, dropout=True)(image), translator(image))
    without = load(path, dropout=False)
    np.testing.assert_array_equal(without(image), translator(image))
    with pytest.raises(InputError, match="no dropout layers"):
        without(image, dropout=True)


@pytest.mark.parametrize(("network", "name"), [(RESNET, "ResNet-1"), (COLOURS, "U-Net-32")])
def test_networks_that_say_that_they_have_no_dropout(network, name, save):
    """A ResNet's is in its names, and a shallow U-Net has no place for any."""
    path = save(network.shapes())
    translator = load(path)
    assert translator.config.dropout == load(path, dropout=False).config.dropout == 0
    assert not any("whether it was trained with dropout" in one for one in translator.info.notes)
    with pytest.raises(InputError, match=rf"{name} of .* without dropout, got dropout=True"):
        load(path, dropout=True)


def test_channels_and_dtypes(save):
    path = save(RESNET.shapes())
    translator = load(path, dtype="uint16")
    image = integer_noise(20, 24, dtype=np.uint16)
    translated = translator(image)
    assert (translated.shape, translated.dtype) == ((2, 20, 24), np.uint16)
    bytes_ = load(path)((image // 257).astype(np.uint8), output="float")
    assert np.abs(translated / 257 - bytes_).mean() < 3
    assert load(path, dtype="int16").source_codec.low == (-32768.0,)
    for wrong in ("float32", "colour"):
        with pytest.raises(InputError, match=f"must be an integer dtype.*got '{wrong}'"):
            load(path, dtype=wrong)


@pytest.mark.parametrize("dtype", [None, "uint8"])
def test_a_gray_image_is_taken_for_rgb(dtype, save):
    da = pytest.importorskip("dask.array")
    shapes = ReferenceGenerator("unet", 3, 3, 2, "batch", depth=5).shapes()
    translator, image = load(save(shapes), dtype=dtype), integer_noise(2, 40, 50)
    colours = np.stack([image] * 3, axis=-1)
    translated = translator(colours)
    np.testing.assert_array_equal(translator(image), translated)
    np.testing.assert_array_equal(translator(image[1]), translated[1])
    np.testing.assert_array_equal(translator(da.from_array(image, chunks=32)), translated)
    assert any("taken for three equal ones" in note for note in translator.info.notes)
    one, other = (evaluate(translator, s, 255 - colours)["prediction"] for s in (image, colours))
    assert one == pytest.approx(other, nan_ok=True)
    with pytest.raises(InputError, match="on images of 3 channels, got 2"):
        translator((image, image))


@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.uint8])
def test_the_image_s_dtype_is_the_range(dtype, save):
    path, image = save(UNET.shapes()), integer_noise(64, 64, dtype=dtype)
    translated = load(path)(image)
    assert translated.dtype == dtype
    np.testing.assert_array_equal(translated, load(path, dtype=np.dtype(dtype).name)(image))
    one_level = np.iinfo(dtype).max / 127
    how = {"output": "float", "norm_statistics": "per-image"}
    same, stated = (load(path, dtype=name)(image, **how) for name in (None, np.dtype(dtype).name))
    assert np.abs(same - stated).max() < one_level / 100


def test_a_mask_is_the_whole_range_and_gives_bytes(save):
    path, mask = save(UNET.shapes()), integer_noise(64, 64) > 127
    translated = load(path)(mask)
    assert translated.dtype == np.uint8
    np.testing.assert_array_equal(translated, load(path)(np.where(mask, 255, 0).astype(np.uint8)))


def test_what_has_no_range_or_little_of_it_is_said(save):
    translator, image = load(save(UNET.shapes())), integer_noise(64, 64)
    with pytest.warns(UserWarning, match="float32 has none: values from 0 to 255"):
        floats = translator(image.astype(np.float32))
    np.testing.assert_array_equal(floats, translator(image))
    words = r"0 to 65535, is used.*fills only 6.2 % of it .0 to 4080."
    with pytest.warns(UserWarning, match=words):
        translator(image.astype(np.uint16) * 16)


def test_dask_layers_and_verdict_take_the_dtype_too(save):
    da = pytest.importorskip("dask.array")
    layers = pytest.importorskip("napari.layers")
    translator, image = load(save(UNET.shapes())), integer_noise(96, 96, dtype=np.uint16)
    whole = translator(image)
    lazy = translator(da.from_array(image, chunks=64))
    assert lazy.dtype == np.uint16
    np.testing.assert_array_equal(lazy.compute(), whole)
    layer = translator(layers.Image(image))
    np.testing.assert_array_equal(layer.data, whole)
    assert layer.contrast_limits == [0, 65535]


@pytest.mark.parametrize("norm", ["batch", "instance", "none"])
@pytest.mark.parametrize("conditional", [True, False])
@pytest.mark.parametrize("layers", [0, 2])
def test_the_discriminator_beside_it_is_its(layers, norm, save, *, conditional):
    network = ReferenceDiscriminator(1 + 3 * conditional, 2, norm, layers)
    shapes = ReferenceGenerator("unet", 3, 1, 2, "batch", depth=5).shapes()
    path, beside = save(shapes), save(network.shapes(), "latest_net_D.pth")
    translator = load(path)
    assert any(f"latest_net_D.pth: a {network}" in note for note in translator.info.notes)
    image, made = integer_noise(64, 96, 3), integer_noise(64, 96)
    seen = np.concatenate([image.transpose(2, 0, 1), made[None]]) if conditional else made[None]
    weights, detached_copy = torch.load(beside, weights_only=True), network.build()
    detached_copy.load_state_dict(weights, strict=norm != "none")  # where ours has biases of 0
    if norm == "none":
        for name, bias in detached_copy.named_parameters():
            if name not in weights:
                nn.init.zeros_(bias)
    wide = translator.discriminator_map(image.astype(np.uint16) * 257, made)
    np.testing.assert_allclose(translator.discriminator_map(image, made), wide, atol=1e-5)
    with torch.no_grad():
        logits = DiscriminatorMap(detached_copy.eval())(
            torch.from_numpy(seen)[None].float() / 127.5 - 1
        )[0, 0]
    np.testing.assert_allclose(translator.discriminator_map(image, made), logits, atol=1e-5)


def test_a_discriminator_learns_on(save):
    save(ReferenceDiscriminator(2, 2, "batch", 2).shapes(), "latest_net_D.pth")
    path, source = save(UNET.shapes()), integer_noise(80, 80)
    model = train(source, 255 - source, start=path, steps=1, patch=64, batch=1, validation=0.0)
    assert not any("no discriminator" in note for note in model.info.notes)
    assert (model.config.discriminator_width, model.config.discriminator_layers) == (2, 2)
    learnt, weights = model.discriminator.state_dict(), load(path).discriminator.state_dict()
    for name in ("model.0.weight", "model.8.weight"):
        assert 0 < (learnt[name] - weights[name]).abs().max() < 1e-3  # one step away
    with pytest.raises(ConfigError, match="has discriminator_layers=2, got 3"):
        train(source, source, start=path, steps=1, discriminator_layers=3)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (ReferenceDiscriminator(9, 2, "batch", 1).shapes(), "takes 9 channels, where.* have 2 and"),
        ({"model.0.weight": (2, 2, 4, 4)}, "holds no discriminator of pix2pix"),
        (UNET.shapes(), "holds no discriminator of pix2pix"),
        (None, "is not a PyTorch file of weights"),
    ],
)
def test_another_discriminator_is_left_out_in_words(weights, words, save):
    path = save(UNET.shapes())
    if weights is None:
        path.with_name("latest_net_D.pth").touch()
    else:
        save(weights, "latest_net_D.pth")
    translator = load(path)
    assert translator.discriminator is None
    (said,) = (n for n in translator.info.notes if n.startswith("The discriminator is left"))
    assert re.search(words, said), said


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_no_pickle_beside_it_is_run(protocol, save, tmp_path):
    path = save(UNET.shapes())
    bomb = pickle.dumps(Bomb(tmp_path / "mark"), protocol=protocol)
    path.with_name("latest_net_D.pth").write_bytes(bomb)
    translator = load(path)
    assert translator.discriminator is None
    assert re.search("refused and not run|nothing in it was run", " ".join(translator.info.notes))
    assert not (tmp_path / "mark").exists()


def test_a_discriminator_s_file_is_no_model(save):
    with pytest.raises(FileError, match=r"holds a discriminator.*such as latest_net_G\.pth"):
        load(save(ReferenceDiscriminator(2, 2, "batch").shapes(), "latest_net_D.pth"))


def test_it_says_what_it_is(save):
    path = save(COLOURS.shapes())
    translator = load(path)
    assert repr(translator).startswith("<Translator RGB images to RGB images, U-Net-32")
    assert any("the whole range of the image's integer dtype" in n for n in translator.info.notes)
    stated = load(path, dtype="uint8")
    assert repr(stated).startswith("<Translator 8-bit RGB images to 8-bit RGB images, U-Net-32")
    assert any("0 to 255, the range of uint8" in note for note in stated.info.notes)
    assert read_foreign_info(path).summary == translator.info.summary
    assert translator.discriminator is None


def test_saved_it_is_a_model_like_any(save, tmp_path):
    translator = load(save(UNET.shapes()))
    translator.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert (again.digest, again.config) == (translator.digest, translator.config)
    assert again.info.notes == translator.info.notes
    image = integer_noise(64, 64, dtype=np.uint16)
    np.testing.assert_array_equal(again(image), translator(image))
    for option in ({"dtype": "uint16"}, {"dropout": True}):
        with pytest.raises(InputError, match="for files of the PyTorch implementation"):
            load(tmp_path / "m.safetensors", **option)


def test_a_training_starts_from_it(save):
    path, source = save(UNET.shapes()), integer_noise(80, 80)
    translator = load(path)
    model = train(source, 255 - source, start=path, steps=1, **TINY)
    assert model.source_codec == load(path, dtype="uint8").source_codec
    assert (model.config.depth, model.config.activation) == (6, "tanh")
    before, after = (m.generator.state_dict() for m in (translator, model))
    first = "model.model.0.weight"
    assert (after[first] - before[first]).abs().max() < 1e-3  # one step away
    with pytest.raises(InputError, match="was trained on 1 of uint8"):
        train(integer_noise(80, 80, dtype=np.uint16), source, start=model, steps=1, **TINY)


def test_a_training_that_starts_from_it_settles_the_dtypes(save):
    source = integer_noise(80, 80, dtype=np.uint16)
    model = train(
        source, (source // 257).astype(np.uint8), start=save(UNET.shapes()), steps=1, **TINY
    )
    assert (model.source_codec.high, model.target_codec.high) == ((65535.0,), (255.0,))
    assert model(source).dtype == np.uint8
    with pytest.warns(UserWarning, match="on uint16 images, got uint8|like the training targets"):
        model((source // 257).astype(np.uint8))


def test_it_is_evaluated_without_training_data_in_the_dtypes_of_the_pair(save):
    path, source, target = save(UNET.shapes()), integer_noise(40, 40), integer_noise(40, 40)[::-1]
    bytes_ = evaluate(load(path), source, target)["prediction"]
    assert 0 < bytes_["l1"] < 255
    mixed = evaluate(load(path), source.astype(np.uint16) * 257, target)["prediction"]
    assert mixed["l1"] == pytest.approx(bytes_["l1"], abs=0.1)
    assert mixed["psnr"] == pytest.approx(bytes_["psnr"], abs=0.1)


def test_an_unusable_file_is_said_to_be_so(tmp_path):
    path = tmp_path / "latest_net_G.pth"
    path.touch()
    with pytest.raises(FileError, match="is empty"):
        load(path)
    torch.save(nn.Conv3d(1, 1, 4).state_dict(), path)
    with pytest.raises(FileError, match="3D weights"):
        load(path)
    with pytest.raises(FileError, match="no file"):
        load(tmp_path / "none.pth")
