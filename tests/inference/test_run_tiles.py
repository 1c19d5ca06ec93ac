import threading
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import pytest
import torch
from helpers import as_if_trained
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.core.generators import ResNet, UNet
from napari_pix2pix.core.partial_forward import run_part
from napari_pix2pix.data.box import Box
from napari_pix2pix.errors import ConfigError, DeviceError, InputError
from napari_pix2pix.inference import tiling as module
from napari_pix2pix.inference._run_tiles import (
    FloatPlanes,
    TileNetwork,
    iter_tiles,
    kept_parts,
    to_device,
)
from napari_pix2pix.inference.tiling import Tile, TileGrid, put_together

GENERATORS: dict[str, Callable[[], UNet | ResNet]] = {
    "unet": lambda: UNet(2, 3, depth=3, width=4),
    "resize": lambda: UNet(2, 3, depth=2, width=4, upsampling="resize", activation="linear"),
    "encoder_decoder": lambda: UNet(2, 3, depth=3, width=4, skips=False),
    "resnet": lambda: ResNet(2, 3, blocks=1, width=4, norm="batch"),
    "resnet without norm": lambda: ResNet(2, 3, blocks=2, width=4, norm="none"),
}


@cache
def generator(name: str) -> UNet | ResNet:
    """Make a network with statistics as if it had been trained, and large enough weights."""
    torch.manual_seed(len(name))
    return as_if_trained(GENERATORS[name]().eval())


def image_of(height: int, width: int, channels: int = 2) -> np.ndarray:
    rng = np.random.default_rng(height * 1000 + width)
    return rng.uniform(-1, 1, (channels, height, width)).astype(np.float32)


class Reader:
    """Reads windows of an image, and refuses those that leave it."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image

    def __call__(self, rows: slice, columns: slice) -> np.ndarray:
        height, width = self.image.shape[1:]
        assert 0 <= rows.start < rows.stop <= height
        assert 0 <= columns.start < columns.stop <= width
        return self.image[:, rows, columns]


class OnTiles:
    """Runs a network, or a part of a generator, on tiles."""

    device = torch.device("cpu")

    def __init__(self, network: Callable[[torch.Tensor], torch.Tensor]) -> None:
        self._network = network

    def __call__(self, windows: FloatPlanes, tiles: Sequence[Tile]) -> list[FloatPlanes]:
        wanted, network = Box.around(tile.crop for tile in tiles), self._network
        with torch.inference_mode():
            x = to_device(windows, self.device)
            if isinstance(network, UNet | ResNet):
                y = run_part(network, x, wanted.rows, wanted.columns)
            else:
                y = network(x)[..., wanted.rows, wanted.columns]
        return kept_parts(y, tiles, wanted)


GRID = {"height", "width", "stride", "halo", "tile", "least"}


def tiles_of(network, read, **how):
    grid = TileGrid(**{name: value for name, value in how.items() if name in GRID})
    others = {name: value for name, value in how.items() if name not in GRID}
    runs: TileNetwork = OnTiles(network)
    return iter_tiles(runs, read, grid, **others)


def translate(network, read, *, height: int, width: int, **how) -> np.ndarray:
    pieces = tiles_of(network, read, height=height, width=width, **how)
    return put_together(pieces, Box.of_size(height, width))


def run(network: UNet | ResNet, image: np.ndarray, **options) -> np.ndarray:
    shape = {"height": image.shape[1], "width": image.shape[2], "least": network.least_size}
    grid = {"stride": network.stride, "halo": network.halo}
    return translate(network, Reader(image), **{**shape, **grid, **options})


def whole(network: UNet | ResNet, image: np.ndarray) -> np.ndarray:
    """Pad by hand, run once, crop."""
    height, width = image.shape[1:]
    sizes = [max(-(-n // network.stride) * network.stride, network.least_size)
             for n in (height, width)]  # fmt: skip
    padding = [(0, 0), (0, sizes[0] - height), (0, sizes[1] - width)]
    with torch.no_grad():
        output = network(torch.from_numpy(np.pad(image, padding, mode="reflect"))[None])
    return output[0, :, :height, :width].numpy()


@pytest.mark.parametrize("name", GENERATORS)
@settings(deadline=None, max_examples=15)
@given(height=st.integers(1, 150), width=st.integers(1, 150), tile=st.integers(0, 70),
       batch=st.integers(1, 5))  # fmt: skip
def test_tiles_equal_the_whole(name, height, width, tile, batch):
    network, image = generator(name), image_of(height, width)
    result = run(network, image, tile=tile, batch=batch)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, whole(network, image), rtol=0, atol=1e-5)


def test_less_than_the_halo_is_not_exact():
    network, image = generator("unet"), image_of(128, 128)
    cut = run(network, image, tile=32, halo=0)
    assert np.abs(cut - whole(network, image)).max() > 1e-3


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (33, 1)])
def test_images_smaller_than_the_stride_keep_their_size(size):
    network, image = UNet(1, 1, depth=4, width=2).eval(), image_of(*size, channels=1)
    np.testing.assert_allclose(run(network, image), whole(network, image), atol=1e-5)


def test_windows_come_in_batches_of_equal_shape_in_inference_mode():
    seen = []

    def network(x):
        assert torch.is_inference_mode_enabled()
        seen.append((tuple(x.shape), x.is_contiguous(memory_format=torch.channels_last)))
        return x

    image = image_of(50, 50)
    result = translate(network, Reader(image), height=50, width=50, stride=2, halo=4, tile=20,
                       batch=4)  # fmt: skip
    assert seen == [((4, 2, 28, 28), True), ((4, 2, 28, 28), True), ((1, 2, 28, 28), True)]
    np.testing.assert_array_equal(result, image)


def test_parts_arrive_one_by_one_and_progress_counts_pixels():
    image = image_of(30, 50)
    options = {"height": 30, "width": 50, "stride": 2, "halo": 2, "tile": 20}
    reads = 0

    def read(rows, columns):
        nonlocal reads
        reads += 1
        return image[:, rows, columns]

    parts = tiles_of(lambda x: x, read, **options)
    box, planes = next(parts)
    np.testing.assert_array_equal(planes, image[:, box.rows, box.columns])
    parts.close()
    assert reads <= 2  # the next one was read meanwhile

    progress: list[tuple[int, int]] = []
    done = 0
    for box, _ in tiles_of(lambda x: x, read, **options):
        done += box.pixels
        progress.append((done, 1500))
    assert len(progress) == 6
    assert progress == sorted(progress)
    assert progress[-1] == (1500, 1500)


def test_the_next_windows_are_read_while_the_network_runs():
    image, begun = image_of(30, 50), [threading.Event() for _ in range(6)]
    reads = iter(begun)

    def read(rows, columns):
        next(reads).set()
        return image[:, rows, columns]

    runs = iter(begun[1:])

    def network(x):
        following = next(runs, None)
        assert following is None or following.wait(60)
        return x

    options = {"height": 30, "width": 50, "stride": 2, "halo": 2, "tile": 20}
    np.testing.assert_array_equal(translate(network, read, **options), image)


def test_a_window_that_cannot_be_read_says_so_after_those_before_it():
    def read(rows, columns):
        if rows.start:
            raise OSError("the disk is gone")
        return np.zeros((1, rows.stop - rows.start, columns.stop - columns.start))

    options = {"height": 60, "width": 20, "stride": 2, "halo": 0, "tile": 20}
    parts = tiles_of(lambda x: x, read, **options)
    next(parts)
    with pytest.raises(OSError, match="disk is gone"):
        next(parts)


def test_a_part_does_not_hold_its_window_in_memory():
    image = image_of(64, 64)
    parts = tiles_of(lambda x: x, Reader(image), height=64, width=64, stride=2, halo=8, tile=16)
    for _, planes in parts:
        assert planes.base is None
        assert planes.flags.c_contiguous


def limited(pixels: int, error: Callable[[], Exception]) -> Callable[[torch.Tensor], torch.Tensor]:
    """Make a network that runs out of memory above a number of pixels."""
    network = generator("unet")

    def forward(x):
        if x.shape[0] * x.shape[2] * x.shape[3] > pixels:
            raise error()
        return network(x)

    return forward


@pytest.mark.parametrize(
    "error",
    [
        lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        lambda: RuntimeError("MPS backend out of memory"),
        lambda: RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"),
        MemoryError,
    ],
)
@pytest.mark.parametrize(("tile", "batch"), [(32, 8), (96, 2), (0, 1)])
def test_out_of_memory_goes_on_smaller_with_one_warning(tile, batch, error):
    network, image = generator("unet"), image_of(150, 130)
    options = {"height": 150, "width": 130, "stride": network.stride, "halo": network.halo}
    with pytest.warns(UserWarning, match="ran out of memory") as caught:
        result = translate(limited(80 * 80, error), Reader(image), **options, tile=tile,
                           batch=batch)  # fmt: skip
    assert len(caught) == 1
    np.testing.assert_allclose(result, whole(network, image), atol=1e-5)


def test_out_of_memory_in_the_middle_does_nothing_twice():
    image = image_of(64, 64)
    calls = 0

    def network(x):
        nonlocal calls
        calls += 1
        if calls >= 3 and x.shape[2] > 20:
            raise MemoryError
        return x

    pieces = tiles_of(network, Reader(image), height=64, width=64, stride=8, halo=0, tile=32)
    with pytest.warns(UserWarning, match="32 x 32 pixels"):
        parts = list(pieces)
    covered = np.zeros((64, 64), int)
    for box, planes in parts:
        np.testing.assert_array_equal(planes, image[:, box.rows, box.columns])
        covered[box.rows, box.columns] += 1
    assert (covered == 1).all()
    assert len(parts) == 2 + 2 * 4


def test_an_allocation_that_really_fails_is_understood():
    def network(x):
        if x.shape[2] > 16:
            torch.empty(2**50)  # more than any address space has
        return x

    image = image_of(20, 40)
    with pytest.warns(UserWarning, match="cpu ran out of memory"):
        result = translate(network, Reader(image), height=20, width=40, stride=8, halo=0)
    np.testing.assert_array_equal(result, image)


def test_the_smallest_tile_too_large_is_said_in_words():
    network, image = generator("unet"), image_of(150, 130)
    options = {"height": 150, "width": 130, "stride": network.stride, "halo": network.halo}
    with (
        pytest.warns(UserWarning, match="ran out of memory"),
        pytest.raises(DeviceError, match=r"a window of \d+ x \d+ pixels, .* can't be cut"),
    ):
        translate(limited(100, MemoryError), Reader(image), **options, batch=3, tile=64)


def test_what_may_not_be_cut_is_run_whole_or_refused():
    image = image_of(40, 40)
    options = {"height": 40, "width": 40, "stride": 8, "halo": 8, "whole": True}
    measured = translate(lambda x: x - x.mean(), Reader(image), **options)
    np.testing.assert_allclose(measured, image - image.mean(), atol=1e-6)
    with pytest.raises(DeviceError, match="window of 40 x 40 pixels"):
        translate(limited(100, MemoryError), Reader(image), **options)
    with pytest.raises(ConfigError, match="tile is 16"):
        translate(lambda x: x, Reader(image), **options, tile=16)


def test_no_room_for_the_result_is_said_in_words(monkeypatch):
    def refuse(*_args, **_options):
        raise MemoryError

    read = Reader(image_of(9, 9))
    monkeypatch.setattr(module.np, "empty", refuse)
    with pytest.raises(DeviceError, match="2 x 9 x 9 pixels"):
        translate(lambda x: x, read, height=9, width=9, stride=1, halo=0)


def test_other_errors_are_left_alone():
    def network(x):
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1"):
        translate(network, Reader(image_of(9, 9)), height=9, width=9, stride=1, halo=0)


def test_bad_sizes_are_refused_in_words():
    options = {"height": 9, "width": 9, "stride": 1, "halo": 0}
    read = Reader(image_of(9, 9))
    with pytest.raises(ConfigError, match="batch is 0"):
        translate(lambda x: x, read, **options, batch=0)
    with pytest.raises(ConfigError, match="tile is -3"):
        translate(lambda x: x, read, **options, tile=-3)
    with pytest.raises(InputError, match="0 pixels high"):
        translate(lambda x: x, read, **{**options, "height": 0})
