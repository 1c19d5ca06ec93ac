import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import dask
import dask.array as da
import helpers
import numpy as np
import pytest
from helpers import noise
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix import train
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.lazy_image import LazyImage
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference import norm_statistics
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.predictor import Predictor
from napari_pix2pix.translator import Translator

TINY = helpers.TINY | {"dropout": 0.0}


def learn(source, target, **fields) -> Translator:
    fields = {"steps": 1, "validation": 0.0, "adversarial_weight": 0.0, "device": "cpu", **fields}
    return train(source, target, **{**TINY, **fields})


@pytest.fixture(scope="module")
def gray():
    return learn(noise(64, 64), noise(64, 64, seed=1) * 3)


@pytest.fixture(scope="module")
def stack():
    """With two neighbours and noise that belongs to pixels."""
    source = noise(4, 48, 48)
    return learn(source, 1 - source, z_context=1, noise_channels=1, noise="pixel")


def apart(translator: Translator, one, other) -> float:
    """Largest difference in the network's range, of which [-1, 1] is 2."""
    span = min(translator.target_codec.data_range)
    return float(np.abs(np.asarray(one) - np.asarray(other)).max() / span * 2)


@settings(deadline=None, max_examples=15)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    chunks=st.tuples(st.integers(1, 60), st.integers(1, 60)),
)
def test_chunks_are_parts_of_the_whole(gray, height, width, chunks):
    image = noise(height, width, seed=height)
    lazy = gray(da.from_array(image, chunks=chunks), output="float")
    assert lazy.shape == image.shape
    assert apart(gray, lazy, gray(image, tile=0, output="float")) < 1e-5


@settings(deadline=None, max_examples=6)
@given(frames=st.integers(2, 4), width=st.integers(20, 70), chunks=st.integers(1, 4))
def test_stacks_with_neighbours_and_noise(stack, frames, width, chunks):
    image = noise(frames, 41, width)
    lazy = stack(da.from_array(image, chunks=(chunks, 16, 40)), output="float", seed=3)
    assert apart(stack, lazy, stack(image, tile=0, output="float", seed=3)) < 1e-5


def counted(read):
    """An image of 16 x 16 chunks, which are listed when they are read."""

    def block(block_info=None):
        read.append(block_info[None]["chunk-location"])
        return np.full((64, 64), 0.5, np.float32)

    return da.map_blocks(block, chunks=((64,) * 16, (64,) * 16), dtype=np.float32)


def test_nothing_is_read_before_it_is_looked_at(gray):
    read = []
    image = counted(read)
    lazy = gray(image)
    assert isinstance(lazy, da.Array)
    assert (lazy.chunks, lazy.dtype) == (image.chunks, np.dtype("float32"))
    assert not read
    lazy[640:700, 3:9].compute(scheduler="synchronous")
    assert set(read) == {(i, j) for i in (9, 10, 11) for j in (0, 1)}
    assert len(read) == 6


def test_chunks_begin_on_the_grid_and_are_no_smaller_than_twice_the_halo(gray):
    stride, halo = gray.generator.stride, gray.generator.halo
    lazy = gray(da.zeros((200, 90), chunks=(7, 41), dtype=np.float32))
    for lengths in lazy.chunks:
        assert all(edge % stride == 0 for edge in np.cumsum(lengths)[:-1])
        assert all(length >= 2 * halo for length in lengths[:-1])
    assert len(lazy.chunks[0]) > 2


def test_channels_frames_and_colours_keep_their_layout():
    source = np.rint(noise(40, 48, 3) * 255).astype(np.uint8)
    model = learn(source, np.moveaxis(source[..., :2], -1, 0), channel_axis=(None, 0))
    image = np.rint(noise(2, 40, 48, 3, seed=2) * 255).astype(np.uint8)
    lazy = model(da.from_array(image, chunks=(2, 16, 48, 1)))
    whole = model(image, tile=0)
    assert (lazy.shape, lazy.dtype) == (whole.shape, whole.dtype) == ((2, 2, 40, 48), np.uint8)
    assert np.abs(lazy.compute().astype(int) - whole).max() <= 1
    back = learn(np.moveaxis(source, -1, 0), 255 - source, channel_axis=(0, None))
    lazy = back(da.from_array(np.moveaxis(source, -1, 0), chunks=(3, 20, 20)))
    assert lazy.compute().shape == (40, 48, 3)


def test_tuple_of_dask_and_numpy_is_channels_of_one_image():
    a, b = noise(48, 48), noise(48, 48, seed=1)
    model = learn((a, b), (b, a))
    lazy = model((da.from_array(a, chunks=24), b), output="float")
    assert apart(model, lazy, model((a, b), tile=0, output="float")) < 1e-5


def test_classes_by_chunk_and_instances_by_frame():
    image = noise(64, 64)
    classes = learn(image, (image > 0.5).astype(np.uint8) * 7, target_kind="classes")
    np.testing.assert_array_equal(classes(da.from_array(image, chunks=32)), classes(image, tile=0))
    objects = np.zeros((64, 64), np.uint16)
    objects[4:30, 4:30], objects[34:60, 20:60] = 1, 2
    instances = learn(objects / 2 + 0.1 * image, objects, target_kind="instances", steps=30)
    stack = np.stack([objects / 2, objects / 2 + 0.1 * image])
    lazy = instances(da.from_array(stack, chunks=(1, 32, 32)))
    assert lazy.chunks == ((1, 1), (64,), (64,))
    np.testing.assert_array_equal(lazy, instances(stack, tile=0))


def test_networks_that_measure_the_image_are_given_the_whole():
    model = learn(noise(64, 64), 1 - noise(64, 64), norm="instance")
    image = noise(70, 64, seed=1)
    lazy = model(da.from_array(image, chunks=32), output="float")
    assert lazy.chunks == ((70,), (64,))
    assert apart(model, lazy, model(image, output="float")) < 1e-5


@pytest.mark.parametrize("statistics", ["running", "per-image"])
def test_chunks_share_what_is_measured_of_a_frame(statistics):
    norm = "batch" if statistics == "per-image" else "instance"
    model = learn(noise(64, 64), 1 - noise(64, 64), norm=norm)
    stack = noise(2, 150, 130, seed=1) * np.linspace(0, 1, 130, dtype=np.float32)
    lazy = model(da.from_array(stack, chunks=(1, 32, 32)), output="float", tile=32,
                 norm_statistics=statistics)  # fmt: skip
    assert len(lazy.chunks[1]) > 1
    assert len(lazy.chunks[2]) > 1
    whole = model(stack, output="float", tile=0, norm_statistics=statistics)
    assert apart(model, lazy, whole) < 0.02
    one = lazy[1, 100:120, 40:60].compute()  # measured anew, and the same
    np.testing.assert_allclose(one, lazy.compute()[1, 100:120, 40:60], atol=1e-6)


def test_of_a_large_frame_only_a_sample_is_read_to_measure_it(monkeypatch):
    monkeypatch.setattr(norm_statistics, "_PIXELS", 2 * 64**2)
    monkeypatch.setattr(norm_statistics, "_SIDE", 64)
    model = learn(noise(64, 64), 1 - noise(64, 64), norm="instance")
    read = []
    model(counted(read), tile=64)[:10, :10].compute(scheduler="sync")
    assert 2 <= len(set(read)) == len(read) <= 4 + 2 * 9  # a chunk's surroundings, and two windows'


def test_samples_and_threads():
    model = learn(noise(64, 64), 1 - noise(64, 64), dropout=0.5, dropout_placement="paper")
    image = noise(48, 48)
    lazy = model(da.from_array(image, chunks=24), dropout=True, samples=2, output="float")
    plain = model(da.from_array(image, chunks=24), output="float")
    drawn, whole = dask.compute(lazy, plain, scheduler="threads", num_workers=4)
    assert apart(model, drawn, model(image, dropout=True, samples=2, output="float")) < 1e-5
    assert apart(model, whole, model(image, output="float")) < 1e-5


def test_a_lazy_array_keeps_the_network_that_it_was_made_with(gray):
    image = noise(40, 40)
    lazy, before = gray(da.from_array(image, chunks=16)), gray(image, tile=0)
    detached_copy = gray.detached_copy()
    for weights in detached_copy.generator.parameters():
        weights.data.zero_()
    gray.generator.train()
    try:
        assert apart(gray, lazy, before) < 1e-5
    finally:
        gray.generator.eval()


def test_the_weights_that_are_applied_go_alone_to_other_processes():
    model = learn(noise(64, 64), noise(64, 64, seed=1), width=32, ema=0.9, adversarial_weight=1.0)
    applied = sum(tensor.nbytes for tensor in model.generator.state_dict().values())
    assert sum(tensor.nbytes for tensor in model.tensors.values()) > 2 * applied
    assert len(pickle.dumps(model.detached_copy())) < 1.5 * applied


def test_one_chunk_at_a_time_is_in_the_network(gray, monkeypatch):
    busy, most = threading.Semaphore(), []
    translate = Predictor.predict_region

    def watched(*args, **kwargs):
        most.append(busy.acquire(blocking=False))
        try:
            return translate(*args, **kwargs)
        finally:
            busy.release()

    monkeypatch.setattr(Predictor, "predict_region", watched)
    with ThreadPoolExecutor(4) as pool:
        gray(da.from_array(noise(64, 64), chunks=16)).compute(pool=pool)
    assert len(most) > 1
    assert all(most)


def test_nan_is_warned_of_where_it_is_met(gray):
    image = noise(96, 96)
    image[:8, :8] = np.nan
    lazy = gray(da.from_array(image, chunks=32))
    lazy[64:, 64:].compute()
    with pytest.warns(UserWarning, match="NaN or infinite"):
        assert np.isfinite(lazy.compute()).all()


def test_a_layer_of_dask_becomes_a_lazy_layer(gray):
    from napari.layers import Image

    image = noise(2, 64, 48)
    layer = Image(da.from_array(image, chunks=32), scale=(2, 0.5, 0.5), name="phase")
    made = gray(layer)
    assert isinstance(made.data, da.Array)
    assert tuple(made.scale) == (2, 0.5, 0.5)
    assert apart(gray, made.data[1], gray(image[1], tile=0)) < 1e-5


def test_progress_of_a_lazy_array_is_refused(gray):
    with pytest.raises(InputError, match="leave on_tile out"):
        gray(da.zeros((40, 40), dtype=np.float32), on_tile=print)


@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_any_region_is_that_of_the_whole(gray, data):
    height, width = data.draw(st.integers(1, 80)), data.draw(st.integers(1, 80))
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    region = Box(top, data.draw(st.integers(top + 1, height)),
                 left, data.draw(st.integers(left + 1, width)))  # fmt: skip
    image = noise(height, width, seed=width)
    part = gray.predict_region(LazyImage(image), 0, region, PredictOptions(output="float"))
    whole = gray(image, tile=0, output="float")
    assert apart(gray, part[0], whole[region.rows, region.columns]) < 1e-5
