"""Packages of the BioImage Model Zoo: bioimageio.core makes our pixels of them."""

import io
import json
import zipfile

import numpy as np
import pytest
import torch
from helpers import gray_noise, integer_noise, let_all_levels_count, make_model
from PIL import Image
from torch import nn

from napari_pix2pix import convert
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.export import _package as package

bioimageio_core = pytest.importorskip("bioimageio.core", reason="needs the extra bioimageio")

IMAGE = integer_noise(64, 64)


def squares():
    labels = np.kron(np.arange(1, 17).reshape(4, 4), np.ones((16, 16), int)).astype(np.uint16)
    labels[::16] = labels[:, ::16] = 0
    return labels


def with_contrast(model):
    """Make more of what one step of training has learned."""
    convolutions = nn.Conv2d, nn.ConvTranspose2d, nn.Conv3d, nn.ConvTranspose3d
    last = [one for one in model.generator.modules() if isinstance(one, convolutions)][-1]
    with torch.no_grad():
        last.weight *= 30
    return model


def model_of(kind):
    if kind == "image":
        return make_model(IMAGE, gray_noise(64, 64, seed=1, dtype=np.uint16), depth=2)
    if kind == "rgb":
        return make_model(integer_noise(64, 64, 3), 255 - integer_noise(64, 64, 3), norm="instance")
    if kind == "classes":
        return make_model(IMAGE, (IMAGE > 100).astype(np.uint8), target_kind="classes")
    if kind == "instances":
        return make_model(IMAGE, squares(), target_kind="instances", generator="resnet", blocks=1)
    sources = [integer_noise(2, 64, 64, seed=seed) for seed in range(2)]
    targets = [source.astype(np.int16) - 100 for source in sources]
    fields = {"condition": ["a", "b"], "channel_axis": 0, "upsampling": "resize"}
    return make_model(sources, targets, **fields)


def run_package(path, given):
    with package._quiet():
        return predict(path, given)


def predict(path, given):
    """Run a package as others do, without padding; return (C, H, W)."""
    from bioimageio.core import Sample, Tensor, create_prediction_pipeline
    from bioimageio.spec import load_model_description

    described = load_model_description(path)
    (tensor,) = described.inputs
    dims = [axis.id for axis in tensor.axes]
    member = Tensor.from_numpy(given[np.newaxis], dims=dims)
    sample = Sample(members={tensor.id: member}, stat={}, id="image")
    with create_prediction_pipeline(described) as pipeline:
        result = pipeline.predict_sample_without_blocking(
            sample, skip_input_padding=True, skip_output_cropping=True
        )
    return np.asarray(result.members[described.outputs[0].id].data)[0]


def ours(model, raw, condition=None):
    """Return what the translator makes of (C, H, W), as planes for labels."""
    if model.target_codec.kind == "image":
        shown = model.source_codec.layout.assemble(raw[np.newaxis])
        made = model(shown, condition=condition)
        axis = model.target_codec.layout.channel_axis
        return made[np.newaxis] if axis is None else np.moveaxis(made, axis, 0)
    return model.predict_window(raw, decoded=False)


@pytest.mark.parametrize("kind", ["image", "rgb", "channels", "classes", "instances"])
def test_others_make_our_pixels(kind, tmp_path):
    model, path = with_contrast(model_of(kind)), tmp_path / "cells.zip"
    notes = model.export(path)
    assert [file.name for file in tmp_path.iterdir()] == ["cells.zip"]
    with zipfile.ZipFile(path) as file:
        assert {"weights.onnx", "README.md", "cover.png"} <= {*file.namelist()}
    readme = read(path, "README.md")
    assert "## Validation" in readme
    assert "as the microscope made them, without any normalisation" in readme
    assert ("scaled before and after the network" in readme) == (model.target_codec.kind == "image")
    assert ("network mirror what they are given" in readme) == (kind == "instances")  # a ResNet
    assert ("The network sees zeros" in readme) != (kind == "instances")
    size = 3 * 32
    raw = integer_noise(model.source_codec.planes, size, size, seed=5)
    planes = np.zeros((len(model.conditions), size, size), raw.dtype)
    planes[1:2] = 1
    found = run_package(path, np.concatenate([raw, planes]))
    wanted = ours(model, raw, model.conditions[1] if model.conditions else None)
    if kind in ("classes", "instances"):
        np.testing.assert_allclose(found, wanted, atol=1e-4)
    else:
        assert found.dtype == wanted.dtype
        assert np.abs(found.astype(int) - wanted.astype(int)).max() <= 1
        assert np.ptp(wanted) > 9
    assert ("Each condition" in " ".join(notes)) == (kind == "channels")


VOLUMES = {
    "instances": {"target_kind": "instances", "smallest": 1},
    "apart": {"plane_levels": 2},
    "resnet": {"generator": "resnet", "blocks": 1, "plane_levels": 1, "norm": "none"},
}


@pytest.mark.parametrize("kind", VOLUMES)
def test_others_make_our_voxels(kind, tmp_path):
    volume, path = integer_noise(8, 32, 32), tmp_path / "cells.zip"
    target = 9 * volume.astype(np.int16) - 100
    if kind == "instances":
        target = np.broadcast_to(squares()[:32, :32], volume.shape).copy()
    fields = {"ndim": 3, "depth": 2, "patch": 16, **VOLUMES[kind]}
    model = with_contrast(make_model(volume, target, **fields))
    if kind == "resnet":
        let_all_levels_count(model.generator)
    notes = model.export(path)
    assert any("It takes volumes: batch, channel, planes, height, width." in n for n in notes)
    assert "batch, channel, z, y, x" in read(path, "README.md")
    assert "- 3d" in read(path, "rdf.yaml")
    raw = integer_noise(24, 32, 40, seed=5)
    found = run_package(path, raw[np.newaxis])
    if kind == "instances":
        wanted = model.predict_window(raw[np.newaxis], decoded=False)
        np.testing.assert_allclose(found, wanted, atol=1e-4)
        return
    wanted = model(raw)
    assert found.dtype == wanted.dtype
    assert np.abs(found[0].astype(int) - wanted.astype(int)).max() <= 1
    assert np.ptp(wanted) > 9


def read(path, name):
    with zipfile.ZipFile(path) as file:
        return file.read(name).decode()


def test_package_tells_what_the_model_knows(tmp_path):
    path = tmp_path / "a.zip"
    card = {"licence": "CC-BY-NC-4.0", "intended_use": "Nuclei", "pixel_size": 0.65}
    model = make_model(IMAGE, 255 - IMAGE, validation=0.3, authors="Ada Lovelace, Grace H.", **card)
    assert "It names no authors" not in " ".join(model.export(path))
    readme, described = (" ".join(read(path, n).split()) for n in ("README.md", "rdf.yaml"))
    for said in ("| Pearson | ", "- Intended use: Nuclei.", "0.65 µm per pixel", "CC-BY-NC-4.0"):
        assert said in readme
    for said in ("license: CC-BY-NC-4.0", "- name: Ada Lovelace - name: Grace H."):
        assert said in described
    assert "10.1109/CVPR.2017.632" in described
    assert json.dumps("intensity")[1:-1] in described
    shown = np.asarray(Image.open(io.BytesIO(zipfile.ZipFile(path).read("cover.png"))))
    height, width, _ = model.info.thumbnail.shape
    drawn = np.flatnonzero((shown < 255).any((1, 2)))
    assert shown.shape == (256, 512, 3)
    assert np.ptp(drawn) + 1 == pytest.approx(512 * height / width, abs=2)


def test_other_credits_are_those_of_the_package_alone(tmp_path):
    path, model = tmp_path / "a.zip", make_model(IMAGE, 255 - IMAGE, authors="Ada Lovelace")
    assert "It names no authors" in model.export(path, authors="", licence="MIT")[-1]
    assert "license: MIT" in read(path, "rdf.yaml")
    assert "- Licence: MIT." in read(path, "README.md")
    assert (model.config.authors, model.config.licence) == ("Ada Lovelace", "")


def test_what_a_package_can_not_be_leaves_nothing(tmp_path, monkeypatch):
    model, path = make_model(IMAGE, 255 - IMAGE), tmp_path / "m.zip"
    with monkeypatch.context() as patched:
        patched.setattr(package, "write_network", None)  # that comes too late
        with pytest.raises(InputError, match="the licence 'mine': give names, and an identifier"):
            model.export(path, licence="mine")
    none = r"are for packages \(.zip\) alone, and m.\w+ is none"
    with pytest.raises(InputError, match=none):
        model.export(tmp_path / "m.onnx", authors="Ada")
    for ending in ("onnx", "pth", "safetensors"):
        with pytest.raises(InputError, match=none):
            convert(model, tmp_path / f"m.{ending}", licence="MIT")
    monkeypatch.setattr(package, "decoding_steps", lambda codec: [])
    with pytest.raises(FileError, match=r"test of the package failed .*no file was written"):
        model.export(path)
    monkeypatch.setitem(__import__("sys").modules, "bioimageio.core", None)
    with pytest.raises(FileError, match=r'pip install "napari-pix2pix\[bioimageio\]"'):
        model.export(path)
    assert not list(tmp_path.iterdir())
    labels = make_model((IMAGE > 100).astype(np.uint8), IMAGE, source_kind="classes")
    monkeypatch.undo()
    with pytest.raises(InputError, match="can't turn labels into the planes"):
        package.export_package(path, labels.generator, labels.info)
    assert not list(tmp_path.iterdir())
