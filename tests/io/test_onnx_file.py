"""Generators as ONNX files: the same numbers, or no file."""

import numpy as np
import pytest
import torch
from helpers import as_if_trained

from napari_pix2pix.core.generators import make_generator
from napari_pix2pix.core.layers import initialise_
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io import onnx_file
from napari_pix2pix.io.onnx_file import check_onnx, run_onnx, write_onnx

onnx = pytest.importorskip("onnx", reason="needs the extra onnx")
pytest.importorskip("onnxruntime", reason="needs the extra onnx")

KINDS = [("unet", "transpose"), ("unet", "resize"), ("encoder_decoder", "transpose")]
KINDS += [("resnet", "transpose")]
# Planes in and out of images, RGB, several channels, classes under two conditions, and instances.
PLANES = [(1, 1), (3, 3), (4, 2), (3, 5), (2, 4)]


def make(kind="unet", upsampling="transpose", norm="batch", planes=(2, 3), seed=0, **fields):
    torch.manual_seed(seed)  # of the running statistics
    sizes = {"depth": 2, "blocks": 1, "width": 4, "dropout": 0.5}
    network = make_generator(
        kind, *planes, norm=norm, upsampling=upsampling, **(sizes | fields)
    ).eval()
    rng = torch.Generator().manual_seed(seed)
    return as_if_trained(initialise_(network, std=0.1, rng=rng))


def write(path, network, planes_out=3):
    write_onnx(path, network, planes_out, "What it does.", {"key": "value"})


@pytest.mark.parametrize("norm", ["batch", "instance", "group", "none"])
@pytest.mark.parametrize(("kind", "upsampling"), KINDS)
def test_every_network_is_the_same_in_onnx(kind, upsampling, norm, tmp_path):
    for planes in PLANES:
        network, path = make(kind, upsampling, norm, planes), tmp_path / "m.onnx"
        write(path, network, planes[1])
        x = np.random.default_rng(1).normal(size=(3, planes[0], 20, 36)).astype(np.float32)
        with torch.inference_mode():
            wanted = network(torch.from_numpy(x)).numpy()
        np.testing.assert_allclose(run_onnx(path, x), wanted, atol=1e-4 * np.ptp(wanted))
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]


@pytest.mark.parametrize("levels", [0, 1])
@pytest.mark.parametrize(
    ("kind", "upsampling", "norm"),
    [("unet", "transpose", "group"), ("unet", "resize", "batch"), ("resnet", "transpose", "batch")],
)
def test_networks_of_volumes_are_the_same_in_onnx(kind, upsampling, norm, levels, tmp_path):
    network, path = make(kind, upsampling, norm, ndim=3, plane_levels=levels), tmp_path / "m.onnx"
    write(path, network)
    x = np.random.default_rng(1).normal(size=(2, 2, 12, 8, 20)).astype(np.float32)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(run_onnx(path, x), wanted, atol=1e-4 * np.ptp(wanted))


def test_file_says_what_it_is_and_old_engines_read_it(tmp_path):
    write(tmp_path / "m.onnx", make("resnet", norm="group"))
    model = onnx.load(tmp_path / "m.onnx")
    assert ([one.version for one in model.opset_import], model.ir_version) == ([17], 8)
    assert model.doc_string == "What it does."
    assert {entry.key: entry.value for entry in model.metadata_props} == {"key": "value"}
    free = [
        [d.dim_param or d.dim_value for d in end.type.tensor_type.shape.dim]
        for end in (*model.graph.input, *model.graph.output)
    ]
    assert free == [["batch", 2, "height", "width"], ["batch", 3, "height", "width"]]


def test_file_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    path, other = tmp_path / "m.onnx", make(seed=1)
    path.write_text("before")
    build = onnx_file.build_graph
    monkeypatch.setattr(onnx_file, "build_graph", lambda _, *rest: build(other, *rest))
    with pytest.raises(FileError, match=r"something else than PyTorch \(off by .*no file was"):
        write(path, make())
    assert path.read_text() == "before"
    assert [file.name for file in tmp_path.iterdir()] == ["m.onnx"]
    with pytest.raises(FileError, match="something else"):
        write(path, make(norm="instance"))
    monkeypatch.undo()
    network = make()
    write(path, network)
    check_onnx(path, network)


def test_layer_that_is_not_ours_is_refused(tmp_path):
    network = make()
    network.model.model.append(torch.nn.Softmax(1))
    with pytest.raises(InputError, match="has a layer Softmax, which can't be written to ONNX"):
        write(tmp_path / "m.onnx", network)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_missing_library_is_named_with_its_extra(library, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, library, None)
    with pytest.raises(
        FileError, match=rf'needs {library}, .*pip install "napari-pix2pix\[onnx\]"'
    ):
        write(tmp_path / "m.onnx", make())
    assert not list(tmp_path.iterdir())
