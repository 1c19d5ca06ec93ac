"""Generators of the PyTorch reference implementation as translators."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from napari_pix2pix import evaluate, load, train
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.formats.reference import ReferenceNetwork
from napari_pix2pix.loading import foreign_header
from napari_pix2pix.translation.inference import applying

UNET = ReferenceNetwork("unet", 1, 1, 4, "batch", depth=6)
COLOURS = ReferenceNetwork("unet", 3, 3, 2, "batch", depth=5)
RESNET = ReferenceNetwork("resnet", 1, 2, 4, "instance", blocks=1)


@pytest.fixture
def save(golden: Any, tmp_path: Path) -> Any:
    """Return what writes weights as the reference does."""

    def write(shapes: Any) -> Path:
        state = {
            name: torch.zeros(shape, dtype=torch.int64 if name.endswith("tracked") else None)
            for name, shape in shapes.items()
        }
        path = tmp_path / "latest_net_G.pth"
        torch.save(golden.fill_(state), path)
        return path

    return write


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape, dtype)


@pytest.mark.parametrize("index", range(4))
def test_golden_outputs(index: int, golden: Any, golden_values: dict[str, Any], save: Any) -> None:
    entry = golden_values["generators"][index]
    generator = load(save(entry["state_dict"])).generator
    assert sum(p.numel() for p in generator.parameters()) == entry["parameters"]
    assert any(isinstance(module, nn.Dropout) for module in generator.modules())
    modes = {"eval": "stored", "train_statistics": "image"}
    for mode in set(modes) & set(entry):
        with torch.no_grad(), applying(generator, statistics=modes[mode]):
            got = golden.probe(generator(golden.ramp(*entry["input"])))
        assert got["shape"] == entry[mode]["shape"]
        for key in ("mean", "std", "values"):
            assert got[key] == pytest.approx(entry[mode][key], abs=1e-4)


@pytest.mark.parametrize("statistics", ["stored", "image"])
@pytest.mark.parametrize("network", [UNET, COLOURS])
def test_bytes_become_the_network_s_range(
    network: ReferenceNetwork, statistics: Any, save: Any
) -> None:
    translator = load(save(network.shapes()))
    shape = (64, 128, 3) if network is COLOURS else (64, 128)
    image = noise(*shape)
    planes = torch.from_numpy(np.atleast_3d(image)).movedim(-1, 0)[None].float() / 127.5 - 1
    with torch.no_grad(), applying(translator.generator, statistics=statistics):
        made = (translator.generator(planes)[0].movedim(0, -1).numpy() + 1) * 127.5
    translated = translator(image, statistics=statistics)
    assert translated.dtype == np.uint8
    assert np.abs(translated - made.reshape(shape)).max() < 0.51
    exact = translator(image, statistics=statistics, output="float")
    np.testing.assert_allclose(exact, made.reshape(shape), atol=1e-2)


def test_dropout_is_assumed_and_drops_where_it_is_asked_for(save: Any) -> None:
    path = save(UNET.shapes())
    translator, image = load(path), noise(64, 64)
    assert any("trained with dropout" in note for note in translator.notes)
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


def test_a_resnet_s_dropout_is_in_its_names(save: Any) -> None:
    path = save(RESNET.shapes())
    assert load(path).config.dropout == 0
    assert load(path, dropout=False).config.dropout == 0
    with pytest.raises(InputError, match=r"ResNet-1 of .* without dropout, got dropout=True"):
        load(path, dropout=True)


def test_a_shallow_u_net_has_no_dropout(save: Any) -> None:
    path = save(COLOURS.shapes())
    translator = load(path)
    assert translator.config.dropout == 0
    assert len(translator.notes) == 1
    with pytest.raises(InputError, match=r"U-Net-32 of .* without dropout, got dropout=True"):
        load(path, dropout=True)


def test_channels_and_dtypes(save: Any) -> None:
    path = save(RESNET.shapes())
    translator = load(path, dtype="uint16")
    image = noise(20, 24, dtype=np.uint16)
    translated = translator(image)
    assert (translated.shape, translated.dtype) == ((2, 20, 24), np.uint16)
    bytes_ = load(path)((image // 257).astype(np.uint8), output="float")
    assert np.abs(translated / 257 - bytes_).mean() < 3
    assert load(path, dtype="int16").source_codec.low == (-32768.0,)
    for wrong in ("float32", "colour"):
        with pytest.raises(InputError, match=f"must be an integer dtype.*got '{wrong}'"):
            load(path, dtype=wrong)


def test_it_says_what_it_is(save: Any) -> None:
    path = save(COLOURS.shapes())
    translator = load(path)
    assert repr(translator).startswith("<Translator uint8 RGB -> uint8 RGB image; U-Net-32")
    assert any("0 to 255, the range of uint8" in note for note in translator.notes)
    assert foreign_header(path)["summary"] == translator.summary
    assert translator.discriminator is None


def test_saved_it_is_a_model_like_any(save: Any, tmp_path: Path) -> None:
    translator = load(save(UNET.shapes()))
    translator.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    assert (again.digest, again.config, again.notes) == (
        translator.digest,
        translator.config,
        translator.notes,
    )
    for option in ({"dtype": "uint16"}, {"dropout": True}):
        with pytest.raises(InputError, match="for files of the PyTorch implementation"):
            load(tmp_path / "m.safetensors", **option)


def test_a_training_starts_from_it(save: Any) -> None:
    path, source = save(UNET.shapes()), noise(80, 80)
    translator = load(path)
    tiny: dict[str, Any] = {"patch": 64, "batch": 1, "discriminator_width": 2, "validation": 0.0}
    model = train(source, 255 - source, start=path, steps=1, **tiny)
    assert model.source_codec == translator.source_codec
    assert (model.config.depth, model.config.activation) == (6, "tanh")
    before, after = (m.generator.state_dict() for m in (translator, model))
    first = "model.model.0.weight"
    assert (after[first] - before[first]).abs().max() < 1e-3  # one step away
    with pytest.raises(InputError, match="was trained on 1 of uint8"):
        train(noise(80, 80, dtype=np.uint16), source, start=translator, steps=1, **tiny)


def test_it_is_evaluated_without_training_data(save: Any) -> None:
    source = noise(40, 40)
    scores = evaluate(load(save(UNET.shapes())), source, 255 - source)
    assert 0 < scores["prediction"]["l1"] < 255


def test_an_unusable_file_is_said_to_be_so(tmp_path: Path) -> None:
    path = tmp_path / "latest_net_G.pth"
    path.touch()
    with pytest.raises(FileError, match="is empty"):
        load(path)
    torch.save(nn.Conv3d(1, 1, 4).state_dict(), path)
    with pytest.raises(FileError, match="3D weights"):
        load(path)
    with pytest.raises(FileError, match="no file"):
        load(tmp_path / "none.pth")
