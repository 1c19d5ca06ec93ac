"""The devices of this machine, their free memory, and the tiles and blocks that fit."""

from __future__ import annotations

import copy
import ctypes
import math
import sys
import weakref
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import nn

from napari_pix2pix.errors import DeviceError, is_out_of_memory, plural
from napari_pix2pix.inference._forks import check_usable_here
from napari_pix2pix.inference.memory_limits import available_memory
from napari_pix2pix.inference.networks import ExternalNetwork
from napari_pix2pix.inference.tiling import TileGrid

_MOST_WINDOWS = 8  # at once: more would only make progress coarser
_SHARE = 0.5  # of the free memory: other programs, workspaces and the image itself need some too
_BLOCK_BYTES = 1 << 30  # windows and blocks take half of it: more would hardly be faster
_VOLUME_BLOCK = 512  # pixels
_ENOUGH_HALOS = 8  # a tile as wide as so many is hardly slower than the whole image
_AT_ONCE = 1 << 20  # bytes of a buffer that goes back to the system as soon as it is freed
_USUAL = 32 << 20  # the most that glibc's own rule comes to
_ALL = 2**31 - 1  # the largest number of bytes that glibc takes
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # their numbers in malloc.h


def free_memory(device: torch.device | str) -> int:
    """Return the bytes that can still be allocated on a device without swapping."""
    device = torch.device(device)
    # A program that runs a network may use a GPU that PyTorch knows nothing of.
    if device.type == "cuda" and torch.cuda.is_available():
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    if device.type == "mps" and torch.backends.mps.is_available():
        return torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory()
    return available_memory()


def free_at_once() -> None:
    """Give freed buffers back to the system at once, where the C library would keep them."""
    # By default glibc keeps buffers up to the size of the largest one that was freed, at most 32
    # MB, so how much memory a process holds would depend on what came before.
    _keep_freed(_AT_ONCE)


@contextmanager
def freed_memory_kept(device: torch.device) -> Iterator[None]:
    """Keep freed buffers for the next ones; at the end, give them back to the system."""
    # Each step on a CPU asks for the buffers that the last one freed. If the system takes them back
    # meanwhile, it fills every page with zeros again: an eighth of a step of `reference`, whose
    # gradients are as large as its 54 million weights.
    if device.type != "cpu":
        yield
        return
    _keep_freed(_ALL)
    try:
        yield
    finally:
        _keep_freed(_USUAL)
        if (c_library := _glibc()) is not None:
            c_library.malloc_trim(0)


def _keep_freed(most: int) -> None:
    """Let glibc keep a freed buffer of up to so many bytes, and as many at the heap's end."""
    if (c_library := _glibc()) is not None:
        for option in (_MMAP_THRESHOLD, _TRIM_THRESHOLD):
            c_library.mallopt(option, most)


def _glibc() -> ctypes.CDLL | None:
    """Return the C library if it is glibc; others have neither of its functions."""
    if sys.platform != "linux":
        return None
    c_library = ctypes.CDLL(None)
    return c_library if hasattr(c_library, "malloc_trim") else None  # musl has none


def estimate_bytes_per_pixel(network: nn.Module, channels: int, *, side: int) -> float:
    """Estimate the bytes that a network needs for each pixel of its input, in float32.

    Of a network of volumes they are those of a pixel of one plane.
    """
    if isinstance(network, ExternalNetwork):
        return network.bytes_per_pixel
    # The most that its layers' inputs and outputs occupy at one time, without the workspaces of the
    # convolutions: 0.6 to 1.05 of what processes grew by on the CPU when a whole window was
    # computed. It runs on tensors that have a shape and no data, `side` pixels high and wide.
    # A copy that shares nothing and holds nothing: its weights have a shape and no memory.
    weights = [*network.parameters(), *network.buffers()]
    memo = {id(weight): weight.detach().to("meta", torch.float32) for weight in weights}
    shadow = copy.deepcopy(network, memo).eval()
    strides: tuple[int, ...] = getattr(network, "strides", (1, 1))
    depth = [2 * stride for stride in strides[:-2]]  # planes of a volume
    alive: dict[int, int] = {}  # bytes by identity: a layer's output is the next one's input
    most = 0

    def count(_layer: nn.Module, inputs: tuple[object, ...], output: object = None) -> None:
        nonlocal most
        for tensor in (*inputs, output):
            if isinstance(tensor, torch.Tensor) and id(tensor) not in alive:
                alive[id(tensor)] = tensor.nbytes
                weakref.finalize(tensor, alive.pop, id(tensor))
        most = max(most, sum(alive.values()))

    for layer in shadow.modules():
        layer.register_forward_pre_hook(count)
        layer.register_forward_hook(count)
    with torch.inference_mode():
        shadow(torch.empty(1, channels, *depth, side, side, device="meta"))
    return most / (math.prod(depth) * side**2)


def choose_tile(grid: TileGrid, *, bytes_per_pixel: float, free_bytes: float) -> int:
    """Return the side of the largest tile whose window fits into half of the memory; 0: whole."""
    # Never less than the stride: whether even that is too much shows when it is tried.

    def needed(tile: int) -> float:
        height, width = replace(grid, tile=tile).window
        return height * width * bytes_per_pixel

    budget = free_bytes * _SHARE
    if needed(0) <= budget:
        return 0
    sides = range(grid.stride, max(grid.padded) + grid.stride, grid.stride)
    return sides[max(0, bisect_right(sides, budget, key=needed) - 1)]


def fit_to_memory(
    network: nn.Module,
    channels: int,
    grid: TileGrid,
    *,
    device: torch.device | str,
    tile: int | None = None,
    batch: int | None = None,
    most: int = _MOST_WINDOWS,
    bounded: bool = False,
    planes: int = 1,
) -> tuple[int, int]:
    """Return tile and batch as given, or where they are None by the memory that is free."""
    # Bounded, they take no more than makes them fast. `planes` of a volume are seen at once.
    if tile == 0:
        return 0, batch or 1  # a single window
    if tile is not None and batch is not None:
        return tile, batch
    side = max(2 * grid.stride, grid.least)
    bytes_per_pixel = planes * estimate_bytes_per_pixel(network, channels, side=side)
    free: float = free_memory(device)
    if bounded and planes > 1:
        free = min(free, _BLOCK_BYTES)
    elif bounded:
        height, width = replace(grid, tile=max(grid.stride, _ENOUGH_HALOS * grid.halo)).window
        free = min(free, max(_BLOCK_BYTES, height * width * bytes_per_pixel / _SHARE))
    if tile is None:
        tile = choose_tile(grid, bytes_per_pixel=bytes_per_pixel, free_bytes=free)
    if batch is None:
        height, width = replace(grid, tile=tile).window
        fitting = int(free * _SHARE / (height * width * bytes_per_pixel))
        batch = min(max(1, fitting), most)
    return tile, batch


def cut_image(
    network: nn.Module,
    channels: int,
    grid: TileGrid,
    *,
    device: torch.device | str,
    tile: int | None = None,
    batch: int | None = None,
    whole: bool = False,
    planes: int = 1,
) -> tuple[TileGrid, int]:
    """Return the grid with its tile, and the batch; both by memory where they are None."""
    # `whole` asks for the whole image, if the memory holds it.
    side, at_once = fit_to_memory(
        network,
        channels,
        grid,
        device=device,
        tile=tile,
        batch=batch,
        bounded=not whole,
        planes=planes,
    )
    cut = replace(grid, tile=side)
    return (replace(grid, tile=0) if cut.whole else cut), at_once


def block_side(
    network: nn.Module,
    channels: int,
    grid: TileGrid,
    *,
    device: torch.device | str,
    planes: int = 1,
) -> int:
    """Return the side in pixels of blocks to read, predict and write; 0: the whole image."""
    # A block of a volume holds all planes, and is predicted in tiles that memory allows.
    if planes > 1:
        return 0 if max(grid.height, grid.width) <= _VOLUME_BLOCK else _VOLUME_BLOCK
    # A window takes half a GB, or more where the block would be smaller than twice the halo: the
    # window then has four times its pixels.
    side = max(2 * grid.stride, grid.least)
    each = estimate_bytes_per_pixel(network, channels, side=side)
    free = free_memory(device)
    block, most = (
        choose_tile(grid, bytes_per_pixel=each, free_bytes=bytes_)
        for bytes_ in (min(free, _BLOCK_BYTES), free)
    )
    enough = 2 * grid.halo
    return block if not 0 < block < enough else min(most or enough, enough)


def choose_device(wanted: str = "auto") -> torch.device:
    """Return the device of a name: ``cpu``, ``cuda``, ``cuda:1``, ``mps``; or the fastest."""
    device = _find_device(wanted)
    check_usable_here(device)
    return device


def _find_device(wanted: str) -> torch.device:
    devices = available_devices()
    if wanted == "auto":
        return devices[0]
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = None
    if device is not None and device.index in (None, 0):
        first = next((other for other in devices if other.type == device.type), None)
        if first is not None:  # cuda is cuda:0, and mps:0 is mps
            return first
    if device not in devices:
        names = ", ".join(map(str, devices))
        raise DeviceError(f"There is no device {wanted!r} here: choose auto or one of {names}.")
    return device


def choose_device_of(network: nn.Module, wanted: str | None) -> torch.device:
    """Return the device that a network runs on; the fastest that it can without a name."""
    if isinstance(network, ExternalNetwork):
        return network.choose_device(wanted or "auto")
    return choose_device(wanted or "auto")


def available_devices() -> list[torch.device]:
    """List the devices of this machine, the fastest kind first."""
    devices = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append(torch.device("mps"))
    return [*devices, torch.device("cpu")]


def name_device(device: torch.device) -> str:
    """Return a readable name, such as ``CPU (2 threads)`` or ``NVIDIA H100 (cuda:0)``."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    if device.type == "mps":
        return "Apple GPU (mps)"
    return f"CPU ({plural(torch.get_num_threads(), 'thread')})"


@contextmanager
def out_of_memory_in_words(what: str, advice: str) -> Iterator[None]:
    """Raise a `DeviceError` with ``advice`` when memory runs out while ``what`` is done."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(f"Memory ran out while {what}. {advice}") from error
