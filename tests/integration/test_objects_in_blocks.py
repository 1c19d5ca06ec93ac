"""Objects of files and arrays that are translated block by block."""

from copy import copy
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import torch
from helpers import make_model
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage.measure import label

from napari_pix2pix.data import object_parts
from napari_pix2pix.data.codecs import InstanceCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.errors import FileError, Remedy
from napari_pix2pix.inference.networks import ExternalNetwork
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.large_images import _translate_file, translate_file
from napari_pix2pix.large_images._job import Work
from napari_pix2pix.translator import Translator


class SameAgain(ExternalNetwork):
    """A network whose output is its input: planes of objects come as the image's channels."""

    ndim, in_channels, stride, halo, least_size, tile = 2, 4, 4, 6, 4, None
    strides, halos, least_sizes, plane_tile = (4, 4, 4), (6, 6, 6), (4, 4, 4), None
    measures, digest, bytes_per_pixel, library = False, "0" * 16, 64.0, ""

    def forward(self, planes):
        return planes

    def choose_device(self, wanted):
        return torch.device("cpu")

    def use(self, device):
        pass

    def fitted(self, read, size):
        return self


def grains(height: int, width: int, seed: int) -> np.ndarray:
    """Label rectangles of some pixels, most of which touch others."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((height, width), np.uint16)
    for number in range(1, 2 + height * width // 60):
        top, left = rng.integers(0, height), rng.integers(0, width)
        down, over = rng.integers(2, 14, 2)
        labels[top : top + down, left : left + over] = number
    return label(labels, connectivity=1).astype(np.uint16)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Blocks and chunks of files of 32 pixels, as if memory were short."""
    monkeypatch.setattr(_translate_file, "CHUNK", 32)
    monkeypatch.setattr("napari_pix2pix.io.zarr_file.CHUNK", 32)
    monkeypatch.setattr(_translate_file, "_LARGEST", 32)


@pytest.fixture(scope="module")
def model() -> Translator:
    labels = grains(64, 64, 0)
    codec = InstanceCodec.fit([labels[np.newaxis]], layout=Layout(), smallest=1)
    source = codec.encode(labels[np.newaxis])
    made = make_model(source, labels, channel_axis=0, smallest=1, target_kind="instances")
    made.generator = SameAgain()
    return made


class SameVolume(SameAgain):
    """The same for volumes."""

    in_channels, ndim = 5, 3


def planes_of(model: Translator, *frames: np.ndarray) -> np.ndarray:
    """Return an image (T, C, H, W) that the model makes these labels of."""
    return np.stack([model.target_codec.encode(labels[np.newaxis]) for labels in frames])


def dense(labels: np.ndarray) -> np.ndarray:
    """Number objects by their first pixels."""
    values, first = np.unique(labels, return_index=True)
    first, values = first[values != 0], values[values != 0]
    numbers = np.zeros(int(labels.max()) + 1, np.int64)
    numbers[values[np.argsort(first)]] = np.arange(len(values)) + 1
    return numbers[labels]


def apply(model: Translator, source, out, options=None, **how) -> np.ndarray:
    options = options or PredictOptions(device="cpu")
    translate_file(model, source, read_image(source), out, options, **how)
    return np.asarray(read_image(out).data)


@pytest.fixture
def small_parts(monkeypatch):
    """Blocks of arrays are small, and have several parts."""
    monkeypatch.setattr(object_parts, "_MOST_PIXELS", 70**2)
    monkeypatch.setattr(object_parts, "_PLANE_BYTES", 16 * 80**2)


def write_planes(path, planes: np.ndarray):
    write_image(path, planes, "TCYX")
    return path


@pytest.mark.parametrize("ending", [".zarr", ".ome.tif", ".tif"])
def test_files_of_any_format_have_the_objects_of_the_whole(model, tmp_path, ending):
    labels = grains(75, 110, 1), grains(75, 110, 2)
    source = write_planes(tmp_path / "in.zarr", planes_of(model, *labels))
    made = apply(model, source, tmp_path / f"out{ending}")
    np.testing.assert_array_equal(made, np.stack(list(map(dense, labels))))
    np.testing.assert_array_equal(made, model(planes_of(model, *labels)))
    assert not (tmp_path / f"out{ending}.part").exists()


@settings(
    deadline=None, max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    size=st.tuples(st.integers(30, 130), st.integers(30, 130)),
    chunks=st.tuples(st.integers(20, 90), st.integers(20, 90)),
    seed=st.integers(0, 100),
)
def test_arrays_in_blocks_and_chunks_have_the_objects_of_the_whole(
    model, small_parts, size, chunks, seed
):
    labels = grains(*size, seed)
    planes = planes_of(model, labels)[0]
    np.testing.assert_array_equal(model(planes), dense(labels))
    lazy = model(da.from_array(planes, chunks=(4, *chunks)))
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), dense(labels))


def test_objects_of_volumes_are_those_of_the_whole_through_all_doors(
    small_parts, tmp_path, monkeypatch
):
    labels = np.stack([grains(60, 50, 6) * (n != 1) for n in range(4)])  # apart above and below
    labels = label(labels, connectivity=1).astype(np.uint16)
    codec = InstanceCodec.fit([labels[np.newaxis]], layout=Layout(), smallest=1, ndim=3)
    source = codec.encode(labels[np.newaxis])
    fields = {"channel_axis": 0, "ndim": 3, "target_kind": "instances", "smallest": 1}
    model = make_model(source, labels, patch=16, depth=2, **fields)
    model.generator = SameVolume()
    np.testing.assert_array_equal(model(source), labels)
    lazy = model(da.from_array(source, chunks=(5, 2, 30, 40)))
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), labels)
    monkeypatch.setattr("napari_pix2pix.inference.devices._VOLUME_BLOCK", 32)
    write_image(tmp_path / "in.zarr", source, "CZYX")
    made = apply(model, tmp_path / "in.zarr", tmp_path / "out.zarr")
    np.testing.assert_array_equal(made, labels)


def test_progress_rises_to_the_whole_area(model, small_parts):
    planes, told = planes_of(model, grains(100, 90, 7))[0], []
    model(planes, tile=16, batch=2, on_tile=lambda done, total: told.append((done, total)))
    done = [pixels for pixels, _ in told]
    assert done == sorted(set(done))
    assert len(done) > 20
    assert {total for _, total in told} == {9000} == {done[-1]}


@settings(
    deadline=None, max_examples=3, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    size=st.tuples(st.integers(40, 100), st.integers(40, 100)),
    pixel=st.sampled_from([0.37, 0.5, 1.0, 1.3, 2.0]),
    chunk=st.integers(30, 70),
    seed=st.integers(0, 100),
)
def test_objects_at_the_models_pixel_size_are_those_of_the_whole(
    model, tmp_path_factory, size, pixel, chunk, seed
):
    folder = tmp_path_factory.mktemp("resampled")
    planes = planes_of(model, grains(*size, seed))
    source = write_planes(folder / "in.zarr", planes)
    other = copy(model)
    other.pixel_size = PixelSize(1.0, 1.0)
    resampled = {"resample": True, "pixel_size": pixel}
    whole = other(planes, **resampled)
    assert whole.any()
    options = PredictOptions(device="cpu", **resampled)
    made = apply(other, source, folder / "out.zarr", options)
    np.testing.assert_array_equal(made.reshape(size), whole[0])
    lazy = other(da.from_array(planes, chunks=(1, 4, chunk, chunk)), **resampled)
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), whole)


def test_objects_of_volumes_at_the_models_pixel_size_are_those_of_the_whole(tmp_path, monkeypatch):
    labels = np.stack([grains(36, 40, 6)] * 3)
    codec = InstanceCodec.fit([labels[np.newaxis]], layout=Layout(), smallest=1, ndim=3)
    source = codec.encode(labels[np.newaxis])
    fields = {"channel_axis": 0, "ndim": 3, "target_kind": "instances", "smallest": 1}
    model = make_model(source, labels, patch=16, depth=2, **fields)
    model.generator, model.pixel_size = SameVolume(), PixelSize(1.0, 1.0, z=1.0)
    options = {"resample": True, "pixel_size": 1.4, "plane_distance": 2.0}
    whole = model(source, **options)
    assert whole.max() > 20
    lazy = model(da.from_array(source, chunks=(5, 2, 30, 40)), **options)
    np.testing.assert_array_equal(lazy.compute(scheduler="sync"), whole)
    monkeypatch.setattr("napari_pix2pix.inference.devices._VOLUME_BLOCK", 32)
    write_image(tmp_path / "in.zarr", source, "CZYX")
    chosen = PredictOptions(device="cpu", **options)
    made = apply(model, tmp_path / "in.zarr", tmp_path / "out.zarr", chosen)
    np.testing.assert_array_equal(made, whole)


def test_objects_at_the_models_pixel_size_are_made_in_blocks(model, tmp_path, monkeypatch):
    source = write_planes(tmp_path / "in.zarr", planes_of(model, grains(130, 120, 8)))
    other, made, translate = copy(model), [], Work.translate
    other.pixel_size = PixelSize(1.0, 1.0)

    def counted(self, read, block, *measured):
        made.append(block.box)
        return translate(self, read, block, *measured)

    monkeypatch.setattr(Work, "translate", counted)
    options = PredictOptions(device="cpu", resample=True, pixel_size=1.5)
    apply(other, source, tmp_path / "out.zarr", options, region="7:125,9:110")
    assert len(made) == 16


def test_a_region_ends_objects_and_numbers_them_from_one(model, tmp_path):
    labels = grains(90, 100, 3)
    source = write_planes(tmp_path / "in.zarr", planes_of(model, labels, labels))
    made = apply(model, source, tmp_path / "out.zarr", region="11:80,17:90", frames="1:2")
    whole = model.target_codec.decode(planes_of(model, labels)[0, :, 11:80, 17:90])
    np.testing.assert_array_equal(made.reshape(69, 73), whole[0])


def test_a_killed_run_goes_on_to_the_same_numbers(model, tmp_path, monkeypatch):
    labels = grains(100, 100, 4)
    source = write_planes(tmp_path / "in.zarr", planes_of(model, labels))
    translate, made = Work.translate, []

    def broken(self, read, block, *measured):
        made.append(block.number)
        if len(made) == 6:
            raise KeyboardInterrupt
        return translate(self, read, block, *measured)

    monkeypatch.setattr(Work, "translate", broken)
    with pytest.raises(KeyboardInterrupt):
        apply(model, source, tmp_path / "out.zarr")
    part = tmp_path / "out.zarr.part"
    (part / "facts_2.npz").write_bytes(b"PK what a loss of power left")
    made.clear()
    made += ["again"] * 10
    result = apply(model, source, tmp_path / "out.zarr", resume=True)
    np.testing.assert_array_equal(result.reshape(100, 100), dense(labels))
    assert 2 in made
    assert not {0, 1, 3} & set(made)


def spoiled(path):
    """Change a byte of what is packed first."""
    content = bytearray(path.read_bytes())
    content[content.index(b"box.npy") + 27] ^= 255
    path.write_bytes(content)


@pytest.mark.parametrize("lose", [Path.unlink, spoiled])
def test_facts_that_are_lost_at_the_end_are_said_and_made_again(lose, model, tmp_path, monkeypatch):
    labels = grains(60, 60, 5)
    source = write_planes(tmp_path / "in.zarr", planes_of(model, labels))
    number = _translate_file.number_objects

    def after_loss(work, image, pixels):
        lose(tmp_path / "out.zarr.part" / "facts_1.npz")
        return number(work, image, pixels)

    with monkeypatch.context() as patch:
        patch.setattr(_translate_file, "number_objects", after_loss)
        with pytest.raises(FileError, match=r"facts_1.npz can't be read") as caught:
            apply(model, source, tmp_path / "out.zarr")
    assert caught.value.remedies == (Remedy.RESUME,)
    result = apply(model, source, tmp_path / "out.zarr", resume=True)
    np.testing.assert_array_equal(result.reshape(60, 60), dense(labels))


def test_the_dtype_grows_with_the_objects_of_all_blocks(model, tmp_path):
    labels = np.arange(40 * 40).reshape(40, 40)  # from 0 on, as the background
    source = write_planes(tmp_path / "in.zarr", planes_of(model, labels))
    few = copy(model)
    few.target_codec = replace(model.target_codec, dtype="uint8")
    made = apply(few, source, tmp_path / "out.zarr")
    assert made.dtype == np.dtype("uint16")
    np.testing.assert_array_equal(made.reshape(40, 40), labels)
