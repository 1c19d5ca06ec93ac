"""Compiled networks: the same result, compiled once, and refused where it can't be done."""

import shutil

import helpers
import numpy as np
import pytest
import torch
from helpers import noise

from napari_pix2pix import train
from napari_pix2pix.core import UNet
from napari_pix2pix.data.box import Box
from napari_pix2pix.errors import DeviceError, InputError
from napari_pix2pix.inference import _frame_job as acceleration
from napari_pix2pix.inference._frame_job import BOUND, GeneratorRun, check_compiler
from napari_pix2pix.inference._stochastic import Dropouts
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.tiling import Tile

TINY = helpers.TINY | {"dropout": 0.5, "dropout_placement": "paper", "steps": 1, "validation": 0.0}
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")  # torch's own
HAS_COMPILER = shutil.which("g++") is not None


@pytest.fixture(scope="module")
def gray():
    return train(noise(64, 64), 1 - noise(64, 64), **TINY)


@pytest.fixture
def graphs(monkeypatch):
    """List what is compiled, and run it as it is."""
    made = []

    def backend(graph, _):
        made.append(graph)
        return graph.forward

    compile_ = torch.compile
    monkeypatch.setattr(
        acceleration.torch, "compile", lambda net, **how: compile_(net, backend=backend, **how)
    )
    return made


def test_sizes_and_tiles_share_what_is_compiled(gray, graphs):
    how = {"device": "cpu", "output": "float"}
    for height, width in ((50, 70), (90, 43), (64, 130)):
        image = noise(height, width)
        made = gray(image, compile=True, tile=32, batch=2, **how)
        np.testing.assert_allclose(made, gray(image, tile=0, **how), atol=1e-5)
    assert 1 <= len(graphs) <= 2  # a batch of one is a case of its own


def test_volumes_are_compiled_once_for_all_sizes_and_tiles(graphs):
    source = noise(6, 32, 32)
    volumes = train(source, 1 - source, **{**TINY, "ndim": 3, "patch": 24, "depth": 2})
    helpers.as_if_trained(volumes.generator)
    how = {"device": "cpu", "output": "float"}
    for size in ((13, 18, 41), (17, 33, 25)):
        image = noise(*size)
        made = volumes(image, compile=True, tile=8, **how)
        np.testing.assert_allclose(made, volumes(image, tile=0, **how), atol=1e-5)
    assert 1 <= len(graphs) <= 2  # a batch of one is a case of its own
    turned = volumes(image, compile=True, tile=8, turns=8, **how)
    np.testing.assert_allclose(turned, volumes(image, tile=0, turns=8, **how), atol=1e-5)


@pytest.mark.skipif(not HAS_COMPILER, reason="there is no C++ compiler")
def test_it_is_really_compiled(gray):
    how = {"device": "cpu", "output": "float"}
    made = gray(noise(50, 70), compile=True, tile=0, **how)
    np.testing.assert_allclose(made, gray(noise(50, 70), tile=0, **how), atol=1e-5)


def test_refused_where_nothing_compiles(gray, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DeviceError, match="needs a C\\+\\+ compiler, and there is no no-such-comp"):
        gray(noise(50, 70), compile=True, device="cpu")
    monkeypatch.setattr(acceleration, "find_spec", lambda _: None)
    with pytest.raises(DeviceError, match="needs Triton on a GPU"):
        check_compiler(torch.device("cuda"))
    with pytest.raises(DeviceError, match="is for a CPU or CUDA, not for mps"):
        check_compiler(torch.device("mps"))


@pytest.mark.parametrize("how", [{"dropout": True}, {"norm_statistics": "per-image"}])
def test_refused_where_each_image_is_another(gray, how):
    words = "Only networks that do the same with every image can be compiled"
    with pytest.raises(InputError, match=words):
        gray(noise(50, 70), compile=True, **how)
    if "dropout" in how:
        with pytest.raises(InputError, match=words):
            gray.spread(noise(50, 70), 2, compile=True, **how)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return UNet(1, 1, depth=3, width=8).eval()


def ran(network: UNet, planes: torch.Tensor, how: str) -> np.ndarray:
    options = PredictOptions(precision=how)  # type: ignore[arg-type]
    run = GeneratorRun(network, network, options, condition=0, conditions=0, source_planes=1,
                       dropouts=Dropouts(network, None))  # fmt: skip
    whole = Box.of_size(*planes.shape[2:])
    made = np.stack(run(planes.numpy(), [Tile(whole, whole)] * len(planes)))
    assert made.dtype == np.float32
    return made


def test_half_is_near_and_tried_once(network):
    planes = torch.rand(2, 1, 32, 32) * 2 - 1
    full, half = ran(network, planes, "32-true"), ran(network, planes, "bf16-mixed")
    apart = np.sqrt(np.square(half - full).mean())
    assert 0 < apart <= BOUND
    calls = []
    network.register_forward_hook(lambda *_: calls.append(1))
    ran(network, planes, "bf16-mixed")
    assert len(calls) == 1
    ran(network, planes, "32-true")
    assert len(calls) == 2


def test_what_is_too_far_stays_in_full_precision(network, monkeypatch):
    monkeypatch.setattr(acceleration, "BOUND", 1e-9)
    planes = torch.rand(1, 1, 32, 32)
    with pytest.warns(UserWarning, match="In half precision this model is off by .* full precis"):
        first = ran(network, planes, "bf16-mixed")
    np.testing.assert_array_equal(first, ran(network, planes, "32-true"))
    np.testing.assert_array_equal(ran(network, planes, "bf16-mixed"), first)


def test_a_single_column_at_the_bottom_is_computed_in_full_precision(network):
    ran(network, torch.rand(1, 1, 32, 32), "bf16-mixed")  # near enough
    planes = torch.rand(1, 1, 80, 8) * 2 - 1  # what the innermost level makes a column of ten
    full, half = ran(network, planes, "32-true"), ran(network, planes, "bf16-mixed")
    np.testing.assert_array_equal(half, full)
