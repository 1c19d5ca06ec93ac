"""A generator with its codecs: tiles equal the whole, and nothing is left changed."""

from collections.abc import Callable
from copy import deepcopy

import numpy as np
import pytest
import torch
from torch import nn

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.codecs import NO_SOURCE, ImageCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.lazy_array import LazyArray
from napari_pix2pix.data.lazy_image import EmptyImage, LazyImage
from napari_pix2pix.errors import DeviceError, InputError
from napari_pix2pix.inference import norm_statistics
from napari_pix2pix.inference._frame_job import FrameJob, applying
from napari_pix2pix.inference._stochastic import noise_reader
from napari_pix2pix.inference.norm_statistics import norms_that_measure
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.predictor import Predictor, condition_index
from napari_pix2pix.inference.tiling import put_together

CODEC = ImageCodec("minmax", "float32", (0.0,), (1.0,), Layout(None, False))
IMAGE = np.random.default_rng(0).random((1, 150, 117)).astype(np.float32)


def as_if_trained(network, seed: int = 0):
    """Give a network weights and running statistics that are not those of a fresh one."""
    rng = torch.Generator().manual_seed(seed)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.copy_(0.5 + torch.rand(tensor.shape, generator=rng))
        elif name.endswith("running_mean"):
            tensor.copy_(0.3 * torch.randn(tensor.shape, generator=rng))
        elif tensor.ndim == 4:
            fan_in = tensor[0].numel()
            tensor.copy_(torch.randn(tensor.shape, generator=rng) * (2 / fan_in) ** 0.5)
    return network.eval()


def unet(planes: int = 1, **fields) -> UNet:
    return as_if_trained(UNet(planes, 1, **{"depth": 3, "width": 4, **fields}))


def opened(image) -> LazyImage:
    return image if isinstance(image, LazyImage) else LazyImage(image, channel_axis=0)


def options(**fields) -> PredictOptions:
    return PredictOptions(**{"device": "cpu", **fields})


def translate(
    model: Predictor, image=IMAGE, on_tile: Callable[[int, int], None] | None = None, **fields
) -> np.ndarray:
    """Return planes in the network's range."""
    source, parts = opened(image), []
    for tile in model.predict(source, options(**fields), decoded=False):
        parts.append((tile.box, tile.pixels))
        if on_tile is not None:
            on_tile(tile.done, tile.area.pixels)
    return put_together(parts, Box.of_size(source.height, source.width))


def state_of(network: nn.Module):
    modes = {f"mode {n}": torch.tensor(module.training) for n, module in network.named_modules()}
    return modes | {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same_state(one, other) -> bool:
    assert set(one) == set(other)
    return all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("conditions", "noise", "make"),
    [
        (0, 0, unet),
        (3, 0, unet),
        (0, 2, unet),
        (2, 2, unet),
        (2, 1, lambda planes: unet(planes, skips=False, upsampling="resize")),
        (0, 0, lambda planes: as_if_trained(ResNet(planes, 1, blocks=1, width=4, norm="batch"))),
    ],
)
@pytest.mark.parametrize("kind", ["image", "pixel"])
@pytest.mark.parametrize(("tile", "batch"), [(32, 1), (64, 3), (None, None)])
def test_tiles_equal_the_whole(conditions, noise, make, tile, batch, kind):
    planes = {"conditions": tuple(range(conditions)), "noise_channels": noise, "noise": kind}
    model = Predictor(make(1 + conditions + noise), CODEC, CODEC, **planes)
    chosen = {"condition": conditions - 1 if conditions else None, "seed": 4}
    whole = translate(model, tile=0, **chosen)
    assert whole.shape == IMAGE.shape
    assert whole.dtype == np.float32
    assert whole.std() > 1e-3  # a constant would prove nothing
    tiles = translate(model, tile=tile, batch=batch, **chosen)
    assert np.abs(tiles - whole).max() <= 1e-5


def test_conditions_and_noise_are_what_the_training_gave():
    """Planes in the order of the training: source, condition, noise."""
    seen: list[torch.Tensor] = []
    generator = unet(1 + 3 + 2)
    first_layer(generator).register_forward_hook(
        lambda _, inputs, __: seen.append(inputs[0].clone())
    )
    model = Predictor(generator, CODEC, CODEC, conditions=(0, 1, 2), noise_channels=2)
    translate(model, condition=1, seed=5, tile=0)
    noise = noise_reader("image", 2, 5)(slice(9, 10), slice(9, 10))
    (planes,) = seen
    assert planes.shape[1] == 6
    np.testing.assert_allclose(planes[0, 0, :150, :117], 2 * IMAGE[0] - 1, atol=1e-6)
    assert planes[0, 1:4].amin((1, 2)).tolist() == planes[0, 1:4].amax((1, 2)).tolist() == [0, 1, 0]
    assert planes[0, 4:].amin((1, 2)).tolist() == planes[0, 4:].amax((1, 2)).tolist()
    np.testing.assert_array_equal(planes[0, 4:, 9:10, 9:10], noise)


def test_noise_and_condition_change_the_result():
    model = Predictor(unet(1 + 2 + 1), CODEC, CODEC, conditions=(0, 1), noise_channels=1)
    first = translate(model, condition=0)
    assert np.array_equal(first, translate(model, condition=0))
    assert not np.allclose(first, translate(model, seed=1, condition=0))
    assert not np.allclose(first, translate(model, condition=1))


def test_tiles_equal_the_whole_without_a_source():
    """Of noise per pixel, at a size that is no multiple of the stride nor of the noise's blocks."""
    fields = {"conditions": (0, 1), "noise_channels": 3, "noise": "pixel"}
    model = Predictor(unet(2 + 3), NO_SOURCE, CODEC, **fields)
    size = (150, 117)

    def sample(seed, tile, shape=size):
        return translate(model, EmptyImage(*shape), condition=1, seed=seed, tile=tile)

    whole = sample(3, 0)
    assert whole.std() > 1e-3
    assert np.abs(sample(3, 32) - whole).max() <= 1e-5
    assert not np.allclose(sample(4, 0), whole)
    # The noise belongs to its place, so a larger image goes on where a smaller one ends.
    inside = slice(0, 150 - model.generator.halo - 8)
    assert np.abs(sample(3, 0, (200, 117))[:, inside] - whole[:, inside]).max() <= 1e-5


def test_image_statistics_are_those_of_training_mode():
    """Batch norm as in the training, on this image alone; its running statistics stay."""
    generator = unet()
    rows, columns = 144, 112  # multiples of the stride: no padding to measure along
    planes = torch.from_numpy(CODEC.encode(IMAGE[:, :rows, :columns]))[None]
    model = Predictor(generator, CODEC, CODEC)
    before = state_of(generator)
    got = translate(model, IMAGE[:, :rows, :columns], norm_statistics="per-image")
    assert same_state(before, state_of(generator))
    with torch.no_grad():
        expected = generator.train()(planes)[0].numpy()
    np.testing.assert_allclose(got, expected, atol=1e-5)
    stored = translate(model, norm_statistics="running")[:, :rows, :columns]
    assert np.abs(got - stored).max() > 0.01


def test_dropout_drops_by_its_seed():
    generator = unet(dropout=0.5, dropout_placement="paper")
    model = Predictor(generator, CODEC, CODEC)
    off = translate(model, seed=0)
    assert np.array_equal(off, translate(model, seed=1))
    on = translate(model, seed=0, dropout=True)
    assert not np.allclose(on, off)
    assert np.array_equal(on, translate(model, seed=0, dropout=True))
    assert not np.allclose(on, translate(model, seed=1, dropout=True))


MEASURING = [
    (lambda: unet(norm="instance"), "running"),
    (lambda: unet(norm="group"), "running"),
    (unet, "per-image"),
    (lambda: as_if_trained(ResNet(1, 1, blocks=1, width=4)), "running"),
]


def first_layer(generator: nn.Module) -> nn.Module:
    """Return what sees all that the generator is given, in whatever parts it is run."""
    return next(layer for layer in generator.modules() if not list(layer.children()))


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    """In dB, with a peak of 2, the range of a network that ends with tanh."""
    return float(10 * np.log10(4 / np.square(image - truth).mean()))


@pytest.mark.parametrize(("make", "statistics"), MEASURING)
@pytest.mark.parametrize("tile", [None, 0])
def test_networks_that_measure_their_input_get_the_whole_where_it_fits(make, statistics, tile):
    generator = make()
    seen: list[tuple[int, ...]] = []
    first_layer(generator).register_forward_hook(
        lambda _, inputs, __: seen.append(tuple(inputs[0].shape))
    )
    translate(Predictor(generator, CODEC, CODEC), tile=tile, norm_statistics=statistics)
    assert seen[-1:] == [(1, 1, 152, -(-117 // generator.stride) * generator.stride)]


@pytest.mark.parametrize(("make", "statistics"), MEASURING)
def test_their_tiles_nearly_equal_the_whole(make, statistics, monkeypatch):
    monkeypatch.setattr(norm_statistics, "_SIDE", 64)
    model = Predictor(make(), CODEC, CODEC)
    before = state_of(model.generator)
    whole = translate(model, norm_statistics=statistics)
    tiles = translate(model, tile=32, batch=2, norm_statistics=statistics)
    assert same_state(before, state_of(model.generator))
    assert psnr(tiles, whole) > 50
    # Each tile by its own statistics would be another image.
    alone = translate(model, IMAGE[:, :64, :64], norm_statistics=statistics)
    assert psnr(alone, whole[:, :64, :64]) < 45


def test_what_was_measured_serves_all_regions(monkeypatch):
    monkeypatch.setattr(norm_statistics, "_SIDE", 64)
    model = Predictor(unet(norm="instance"), CODEC, CODEC)
    whole = translate(model, tile=32)
    image, in_tiles = opened(IMAGE), options(tile=32)
    measured = model.measure_frame(image, 0, in_tiles)
    monkeypatch.setattr(FrameJob, "measure", None)  # must not be needed again
    for region in (Box(0, 64, 0, 117), Box(64, 150, 0, 32)):
        for tile in model.predict(
            image, in_tiles, region=region, measured=[measured], decoded=False
        ):
            same = whole[:, tile.box.rows, tile.box.columns]
            assert np.abs(tile.pixels - same).max() <= 1e-5


def test_nothing_is_measured_where_statistics_are_fixed():
    assert Predictor(unet(), CODEC, CODEC).measure_frame(opened(IMAGE), 0, options()) == {}


DROPPING = [
    lambda: unet(dropout=0.5, dropout_placement="paper"),
    lambda: unet(dropout=0.2, dropout_placement="paper", upsampling="resize"),
    lambda: as_if_trained(ResNet(1, 1, blocks=2, width=4, norm="batch", dropout=0.5)),
]


@pytest.mark.parametrize("make", DROPPING)
@pytest.mark.parametrize("batch", [1, 3])
def test_tiles_drop_what_the_whole_drops(make, batch):
    model = Predictor(make(), CODEC, CODEC)
    whole = translate(model, tile=0, dropout=True, seed=3)
    tiles = translate(model, tile=32, batch=batch, dropout=True, seed=3)
    assert np.abs(tiles - whole).max() <= 1e-5
    assert np.abs(whole - translate(model, tile=0)).max() > 0.01


def test_a_region_drops_what_the_whole_drops():
    model = Predictor(unet(dropout=0.5, dropout_placement="paper"), CODEC, CODEC)
    whole = translate(model, dropout=True)
    region = Box(64, 100, 24, 117)
    for tile in model.predict(opened(IMAGE), options(dropout=True), region=region, decoded=False):
        assert np.abs(tile.pixels - whole[:, tile.box.rows, tile.box.columns]).max() <= 1e-5


def test_dropout_beside_the_statistics_of_each_image():
    """What is measured is what is left after dropping."""
    model = Predictor(unet(dropout=0.5, dropout_placement="paper"), CODEC, CODEC)
    how = {"norm_statistics": "per-image", "dropout": True, "seed": 1}
    assert psnr(translate(model, tile=32, **how), translate(model, tile=0, **how)) > 50


def run_out_above(pixels: int) -> Callable[..., None]:
    def hook(_, inputs):
        if inputs[0].shape[2] * inputs[0].shape[3] > pixels:
            raise torch.OutOfMemoryError("out of memory")

    return hook


def test_networks_that_measure_their_input_are_tiled_when_memory_runs_out():
    generator = unet(norm="instance")
    model = Predictor(generator, CODEC, CODEC)
    whole = translate(model)
    first_layer(generator).register_forward_pre_hook(run_out_above(110 * 110))
    with pytest.warns(UserWarning, match="going on in tiles") as caught:
        tiles = translate(model)
    assert len(caught) == 1
    assert psnr(tiles, whole) > 40
    with pytest.raises(DeviceError, match="not enough memory for a window of 152 x 120"):
        translate(model, tile=0)


def test_which_norms_measure():
    assert not norms_that_measure(unet(norm="batch"))
    assert not norms_that_measure(unet(norm="none"), "per-image")
    assert len(norms_that_measure(unet(norm="batch"), "per-image")) == 3


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("statistics", ["running", "per-image"])
def test_applying_sets_modes_and_puts_them_back(training, statistics):
    generator = unet(dropout=0.5, dropout_placement="paper").train(training)
    dropouts = [m for m in generator.modules() if isinstance(m, nn.Dropout)]
    norms = [m for m in generator.modules() if isinstance(m, nn.BatchNorm2d)]
    dropouts[0].eval()  # a mode of its own has to come back as well
    before = state_of(generator)
    with applying(generator, norm_statistics=statistics):
        assert not any(m.training for m in dropouts)
        assert not any(m.training for m in norms)
        assert {m.running_mean is None for m in norms} == {statistics == "per-image"}
    assert same_state(before, state_of(generator))


def test_applying_puts_modes_back_after_an_error():
    generator = unet().train()
    before = state_of(generator)
    with pytest.raises(KeyError), applying(generator, norm_statistics="per-image"):
        raise KeyError
    assert same_state(before, state_of(generator))


@pytest.mark.parametrize("how", [{"tile": 0}, {"tile": 64}, {"tile": 64, "dropout": True}])
@pytest.mark.parametrize("norm", ["batch", "instance"])
def test_a_copy_that_another_thread_makes_meanwhile_is_whole(norm, how):
    model = Predictor(unet(norm=norm, dropout=0.5), CODEC, CODEC)
    before = state_of(model.generator)
    copies: list[nn.Module] = []

    class Copying(LazyArray):
        def read_window(self, window):
            copies.append(deepcopy(model.generator))
            return IMAGE[window]

    for statistics in ("running", "per-image"):
        translate(model, Copying(IMAGE.shape, IMAGE.dtype), norm_statistics=statistics, **how)
    assert len(copies) > 1
    for copy in copies:
        assert same_state(before, state_of(copy))
        assert str(copy) == str(model.generator)


def test_progress_counts_all_pixels():
    seen: list[tuple[int, int]] = []
    translate(
        Predictor(unet(), CODEC, CODEC), tile=64, batch=1, on_tile=lambda *pair: seen.append(pair)
    )
    total = IMAGE[0].size
    assert seen[-1] == (total, total)
    assert [done for done, _ in seen] == sorted({done for done, _ in seen})
    assert len(seen) > 1


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (8, 8), (33, 17)])
def test_any_height_and_width(size):
    height, width = size
    model = Predictor(unet(), CODEC, CODEC)
    result = translate(model, IMAGE[:, :height, :width])
    assert result.shape == (1, height, width)
    assert np.isfinite(result).all()


def test_conditions_by_name():
    assert condition_index((), None) == 0
    assert condition_index(("GFP", ("RFP", 2)), ("RFP", 2)) == 1
    with pytest.raises(InputError, match="no conditions, got 'GFP'"):
        condition_index((), "GFP")
    with pytest.raises(InputError, match=r"one of 'GFP', 'RFP', got None"):
        condition_index(("GFP", "RFP"), None)
