import platform

import numpy as np
import pytest
import torch
from helpers import run_python
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from napari_pix2pix.core.generators import ResNet, UNet
from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference import devices
from napari_pix2pix.inference.devices import (
    available_devices,
    block_side,
    choose_device,
    choose_tile,
    cut_image,
    estimate_bytes_per_pixel,
    fit_to_memory,
    free_memory,
    is_out_of_memory,
    name_device,
    out_of_memory_in_words,
)
from napari_pix2pix.inference.tiling import TileGrid

CPU, MPS = torch.device("cpu"), torch.device("mps")
CUDA = [torch.device("cuda", index) for index in range(2)]


@pytest.fixture
def found(monkeypatch):
    """Stand in for the devices of a machine; the list may be changed."""
    machine = [CPU]
    monkeypatch.setattr(devices, "available_devices", lambda: machine)
    return machine


@pytest.mark.parametrize(
    ("machine", "wanted", "expected"),
    [
        ([CPU], "auto", CPU),
        ([CPU], "cpu", CPU),
        ([MPS, CPU], "auto", MPS),
        ([MPS, CPU], "mps", MPS),
        ([MPS, CPU], "cpu", CPU),
        ([*CUDA, CPU], "auto", CUDA[0]),
        ([*CUDA, CPU], "cuda", CUDA[0]),
        ([*CUDA, CPU], "cuda:1", CUDA[1]),
        ([*CUDA, CPU], "cpu", CPU),
    ],
)
def test_choice(machine, wanted, expected, found):
    found[:] = machine
    assert choose_device(wanted) == expected


@pytest.mark.parametrize("wanted", ["cuda", "cuda:2", "mps", "tpu", "", "gpu", "meta"])
def test_what_is_not_there_is_refused_with_what_is(wanted, found):
    found[:] = [CPU]
    with pytest.raises(DeviceError, match=f"There is no device '{wanted}' here: .* one of cpu"):
        choose_device(wanted)


def test_every_machine_has_a_cpu_last():
    found = available_devices()
    assert found[-1] == CPU
    assert found.count(CPU) == 1
    assert choose_device("cpu") == CPU
    assert sum(device.type == "cuda" for device in found) == torch.cuda.device_count()


def test_the_fastest_kind_comes_first(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert available_devices() == [*CUDA, MPS, CPU]


def test_names(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    assert name_device(CUDA[1]) == "NVIDIA H100 (cuda:1)"
    assert name_device(MPS) == "Apple GPU (mps)"
    for threads, name in ((1, "CPU (1 thread)"), (2, "CPU (2 threads)")):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert name_device(CPU) == name


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("x"), RuntimeError("CUDA out of memory")]
)
def test_running_out_of_memory_is_said_with_advice(error):
    said = r"Memory ran out while training\. Lower batch\."
    with (
        pytest.raises(DeviceError, match=said) as caught,
        out_of_memory_in_words("training", "Lower batch."),
    ):
        raise error
    assert caught.value.__cause__ is error


def test_other_errors_pass_as_they_are():
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory_in_words("x", "y"):
        raise RuntimeError("shapes do not fit")


# --- memory ---------------------------------------------------------------------------------------


NETWORK = UNet(1, 1, depth=5, width=2)  # stride 32, halo 64


def cut(size: int = 2000, **how) -> TileGrid:
    grid = TileGrid(size, size, stride=NETWORK.stride, halo=NETWORK.halo)
    return cut_image(NETWORK, 1, grid, device="cpu", batch=1, **how)[0]


def test_windows_as_large_as_the_image_are_the_whole():
    chosen = cut(size=90, tile=32)
    assert chosen.whole
    assert chosen.tile == 0


def test_windows_fill_the_memory_with_all_of_their_halo(monkeypatch):
    per_pixel = estimate_bytes_per_pixel(NETWORK, 1, side=64)
    for window in (640, 192):
        monkeypatch.setattr(devices, "free_memory", lambda _, n=window: 2 * per_pixel * n**2)
        assert cut().window == (window, window)
        assert cut().tile == window - 128


# The sides of windows that fit, and of the blocks: 0 is all of the image.
@pytest.mark.parametrize(("free", "side"), [(3000, 0), (1000, 864), (200, 64), (4000, 0)])
def test_blocks_fill_the_memory(monkeypatch, free, side):
    per_pixel = estimate_bytes_per_pixel(NETWORK, 1, side=64)
    monkeypatch.setattr(devices, "free_memory", lambda _: 2 * per_pixel * free**2)
    grid = TileGrid(2000, 2000, stride=NETWORK.stride, halo=NETWORK.halo)
    assert block_side(NETWORK, 1, grid, device="cpu") == side


def test_a_large_halo_takes_more_than_a_gigabyte(monkeypatch):
    monkeypatch.setattr(devices, "_BLOCK_BYTES", 1 << 20)
    per_pixel = estimate_bytes_per_pixel(NETWORK, 1, side=64)
    grid = TileGrid(9000, 9000, stride=NETWORK.stride, halo=NETWORK.halo)
    sides = []
    for free in (160, 224, 2000, 20000):
        monkeypatch.setattr(devices, "free_memory", lambda _, n=free: 2 * per_pixel * n**2)
        sides.append(block_side(NETWORK, 1, grid, device="cpu"))
    assert sides == [32, 96, 128, 128]


@settings(deadline=None, max_examples=100)
@given(height=st.integers(1, 5000), width=st.integers(1, 5000), halo=st.sampled_from([0, 32, 96]),
       free=st.floats(1e3, 1e10))  # fmt: skip
def test_the_tile_chosen_is_the_largest_that_fits(height, width, halo, free):
    def needed(tile):
        grid = TileGrid(height, width, stride=32, halo=halo, tile=tile)
        return float(np.prod(grid.window)) * 500

    tile = choose_tile(TileGrid(height, width, stride=32, halo=halo), bytes_per_pixel=500,
                       free_bytes=free)  # fmt: skip
    if tile == 0:
        assert needed(0) <= free / 2
        return
    assert tile % 32 == 0
    assert needed(0) > free / 2
    assert tile == 32 or needed(tile) <= free / 2
    assert needed(tile + 32) > free / 2


def test_a_layer_needs_its_input_and_its_output():
    network = nn.Sequential(nn.Conv2d(2, 8, 4, stride=2, padding=1), nn.ReLU(inplace=True))
    # 2 planes in; 8 planes of half the size out, which the ReLU changes in place.
    assert estimate_bytes_per_pixel(network, 2, side=32) == 4 * (2 + 8 / 4)


@pytest.mark.parametrize("network", [UNet(1, 3, depth=5, width=4), ResNet(1, 3, blocks=1, width=4)])
def test_the_estimate_does_not_depend_on_the_side_and_leaves_the_network_alone(network):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    random_state = torch.get_rng_state()
    small, large = (estimate_bytes_per_pixel(network, 1, side=side) for side in (128, 512))
    assert small == pytest.approx(large, rel=0.15)  # a ResNet pads inside
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert torch.equal(random_state, torch.get_rng_state())
    assert network.training
    assert not any(layer._forward_hooks for layer in network.modules())


def test_the_cpu_has_some_free_memory():
    assert 2**20 < free_memory("cpu") < 2**50


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep less")


# In processes of their own: tests before these leave gaps in the heap, and threads take memory.
MEASURE = """
import numpy as np, psutil, torch
from napari_pix2pix.inference.devices import free_at_once, freed_memory_kept
held = lambda: psutil.Process().memory_info().rss
free_at_once()
"""
LEAST, MOST = 100e6, 20e6  # bytes: what 16 buffers of 8 MiB take, and what may be left of them


@glibc
def test_freed_buffers_are_kept_for_a_while():
    code = """
with freed_memory_kept(torch.device("cpu")):
    before = held()
    buffers = [np.ones(1 << 23, np.uint8) for _ in range(16)]
    above = bytes(1 << 17)
    del buffers
    print(held() - before)
print(held() - before)
"""
    kept, left = map(int, run_python(MEASURE + code))
    assert kept > LEAST
    assert left < MOST


@glibc
def test_another_device_leaves_the_library_as_it_is():
    code = """
with freed_memory_kept(torch.device("mps")):
    before = held()
    del (buffers := [np.ones(1 << 23, np.uint8) for _ in range(16)])[:]
    assert not buffers
    print(held() - before)
"""
    [left] = run_python(MEASURE + code)
    assert int(left) < MOST


@glibc
def test_freed_buffers_are_not_kept():
    code = """
for _ in range(2):  # the first would teach the library to keep them
    before = held()
    buffers = [np.ones(1 << 23, np.uint8) for _ in range(16)]
    above = bytes(1 << 17)
    print(held() - before)
    del buffers
    print(held() - before)
"""
    taken, left, taken_again, left_again = map(int, run_python(MEASURE + code))
    assert min(taken, taken_again) > LEAST
    assert max(left, left_again) < MOST


def test_what_was_left_open_is_filled_in(monkeypatch):
    network = UNet(1, 1, depth=3, width=4)
    grid = TileGrid(1000, 900, stride=network.stride, halo=network.halo)
    per_pixel = estimate_bytes_per_pixel(network, 1, side=16)

    def fit(free, **given):
        monkeypatch.setattr(devices, "free_memory", lambda _device: free)
        return fit_to_memory(network, 1, grid, device="cpu", **given)

    side = 128 + 2 * network.halo
    assert fit(1e12) == (0, 8)
    assert fit(0) == (8, 1)
    assert fit(2 * per_pixel * side**2) == (128, 1)
    assert fit(7 * per_pixel * side**2, tile=128) == (128, 3)
    assert fit(1e12, tile=128) == (128, 8)
    assert fit(0, batch=5) == (8, 5)
    assert fit(0, tile=0) == (0, 1)
    assert fit(0, tile=64, batch=7) == (64, 7)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("Allocation on device"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (RuntimeError("size mismatch"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_out_of_memory_is_recognised(error, expected):
    assert is_out_of_memory(error) is expected
