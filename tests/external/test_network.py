"""Networks of volumes, of ONNX files and packages: ours as they were, and those of others."""

import numpy as np
import pytest
import torch
from foreign_models import onnx_file, package, run_package, state_dict_package
from helpers import gray_noise, integer_noise, let_all_levels_count, make_model, noise

from napari_pix2pix import load
from napari_pix2pix.core import initialise_, make_generator
from napari_pix2pix.errors import FileError, InputError

pytest.importorskip("bioimageio.core", reason="needs the extra bioimageio")
v0_5 = pytest.importorskip("bioimageio.spec.model.v0_5")

VOLUME = integer_noise(8, 32, 32)
GIVEN = gray_noise(21, 37, 30, seed=3)
AXES = "bczyx"
KINDS = {
    "image": {"plane_levels": 1},
    "instance norm": {"norm": "instance"},
    "resnet": {"generator": "resnet", "blocks": 1, "plane_levels": 1},
    "classes": {"target_kind": "classes"},
    "instances": {"target_kind": "instances", "smallest": 1},
}


def model_of(kind):
    target = 9 * VOLUME.astype(np.int16) - 100
    if kind == "classes":
        target = (VOLUME > 100).astype(np.uint8)
    elif kind == "instances":
        labels = np.kron(np.arange(1, 5).reshape(2, 2), np.ones((16, 16), int)).astype(np.uint16)
        labels[::16] = labels[:, ::16] = 0
        target = np.broadcast_to(labels, VOLUME.shape).copy()
    model = make_model(VOLUME, target, ndim=3, depth=2, patch=16, **KINDS[kind])
    let_all_levels_count(model.generator)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_own_package_is_the_models_equal(kind, tmp_path):
    model = model_of(kind)
    model.export(tmp_path / "model.zip")
    again, wanted = load(tmp_path / "model.zip"), model(GIVEN)
    found = again(GIVEN)
    assert (found.dtype, found.shape) == (wanted.dtype, wanted.shape)
    assert np.ptp(wanted) > 0
    if kind == "instances":
        assert ((found > 0) ^ (wanted > 0)).mean() < 0.01
    else:
        assert np.abs(found.astype(np.int64) - wanted.astype(np.int64)).max() <= 1
    assert again.ndim == 3
    assert again.card().startswith(model.card())


def test_tiles_of_an_own_onnx_file_equal_the_whole(tmp_path):
    model = make_model(VOLUME, noise(8, 32, 32, seed=1), ndim=3, depth=2, patch=16, plane_levels=1)
    let_all_levels_count(model.generator)
    model.export(tmp_path / "model.onnx")
    again, volume = load(tmp_path / "model.onnx"), integer_noise(2, 21, 37, 30, seed=5)
    whole = again(volume, tile=0)
    np.testing.assert_allclose(again(volume, tile=4), whole, atol=1e-5)
    np.testing.assert_allclose(whole, model(volume, tile=0), atol=1e-4)


def as_float():
    return v0_5.EnsureDtypeDescr(kwargs=v0_5.EnsureDtypeKwargs(dtype="float32"))


def of_mean(*axes):
    return v0_5.ZeroMeanUnitVarianceDescr(kwargs=v0_5.ZeroMeanUnitVarianceKwargs(axes=axes))


def linear(gain):
    along = v0_5.ScaleLinearAlongAxisKwargs(axis="channel", gain=gain, offset=[0.5] * len(gain))
    return v0_5.ScaleLinearDescr(kwargs=along)


STEPS = {
    "linear": [linear([0.01, 0.02])],
    "volume": [of_mean("z", "y", "x")],
    "all": [of_mean("channel", "z", "y", "x")],
}


@pytest.mark.parametrize("name", STEPS)
def test_package_of_others_gives_what_its_own_library_gives(name, tmp_path):
    path = package(
        tmp_path / "others.zip", [*STEPS[name], as_float()], axes=AXES, channels=(2, 3), stride=2
    )
    model, given = load(path), gray_noise(2, 21, 38, 30, seed=4)
    wanted = run_package(path, given[np.newaxis])[0]
    scale = np.abs(wanted).max()
    np.testing.assert_allclose(model(given) / scale, wanted / scale, atol=1e-5)


def test_planes_that_are_measured_one_by_one_are_refused(tmp_path):
    path = package(tmp_path / "others.zip", [of_mean("y", "x"), as_float()], axes=AXES)
    with pytest.raises(FileError, match="zero_mean_unit_variance differs along the axis z: only"):
        load(path)


def sized(path, **fields):
    return load(package(path, [as_float()], axes=AXES, **fields))


def test_tiles_overlap_by_the_halo_that_the_package_says_along_each_axis(tmp_path):
    model = sized(tmp_path / "others.zip", halo=1, plane_halo=1)
    assert (model.generator.halos, model.generator.plane_tile) == ((1, 1, 1), None)
    whole = model(GIVEN, tile=0)
    np.testing.assert_allclose(model(GIVEN, tile=5), whole, rtol=1e-4, atol=1e-3)
    short = sized(tmp_path / "short.zip", halo=1, plane_halo=0)
    assert short.generator.plane_tile == 0  # it does not say how planes may be cut
    np.testing.assert_allclose(short(GIVEN, tile=5), whole, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("depth", [8, (7, 3), (9, 9)])
def test_numbers_of_planes_of_a_package_are_kept(depth, tmp_path):
    if isinstance(depth, tuple):
        depth = v0_5.ParameterizedSize(min=depth[0], step=depth[1])
    model = sized(tmp_path / "others.zip", depth=depth, size=16, halo=2, plane_halo=1, batch=1)
    whole = sized(tmp_path / "free.zip")(GIVEN)
    inner = np.s_[1:-1, 2:-2, 2:-2]
    np.testing.assert_allclose(model(GIVEN)[inner], whole[inner], rtol=1e-4, atol=1e-3)


def test_package_says_how_far_apart_planes_lie(tmp_path):
    model = sized(tmp_path / "others.zip", scale=0.5, plane_scale=2.0, unit="micrometer")
    assert "Trained at 0.5 µm per pixel, planes 2 µm apart." in model.card()
    assert model.info.engine == "onnx"


def test_a_plane_alone_is_refused(tmp_path):
    with pytest.raises(InputError, match="volumes are asked for"):
        sized(tmp_path / "others.zip")(GIVEN[0])


def test_plain_file_sees_all_planes_unless_it_has_a_halo(tmp_path):
    path = onnx_file(tmp_path / "plain.onnx", axes=AXES, stride=4)
    whole, volume = load(path), noise(21, 37, 30)
    assert whole.generator.strides == (1, 4, 4)
    assert "given whole images" in " ".join(whole.info.notes)
    cut = load(path, halo=8)
    np.testing.assert_allclose(cut(volume, tile=4), whole(volume), atol=1e-5)


@pytest.mark.parametrize("halo", [None, 3])
def test_plain_file_of_one_size_is_cut_into_it_along_all_axes(halo, tmp_path):
    free = load(onnx_file(tmp_path / "free.onnx", axes=AXES))
    path = onnx_file(tmp_path / "one.onnx", axes=AXES, side=16, depth=8, batch=1)
    model, inner = load(path, halo=halo), np.s_[1:-1, 1:-1, 1:-1]
    overlap = f"takes 8 planes at a time: windows overlap by {halo or 1} of them"
    assert overlap in " ".join(model.info.notes)
    volume = noise(21, 37, 30)
    np.testing.assert_allclose(model(volume)[inner], free(volume)[inner], atol=1e-4)


def test_number_of_planes_may_be_the_only_fixed_one(tmp_path):
    planes = load(onnx_file(tmp_path / "planes.onnx", axes=AXES, depth=8))
    side = load(onnx_file(tmp_path / "side.onnx", axes="bzyxc", side=16))
    for model in (planes, side):
        assert model(GIVEN.astype(np.float32)).shape == GIVEN.shape
    assert (planes.generator.plane_tile, planes.generator.tile) == (6, 0)
    assert (side.generator.plane_tile, side.generator.tile) == (0, 12)


def test_array_of_six_axes_is_refused(tmp_path):
    path = onnx_file(tmp_path / "six.onnx", axes="bcyyxx")
    with pytest.raises(FileError, match="or 5, with z before y"):
        load(path)


def test_state_dict_of_a_generator_of_ours_is_run_by_pytorch(tmp_path):
    kwargs = {"in_channels": 1, "out_channels": 1, "depth": 2, "width": 4, "ndim": 3}
    kwargs |= {"plane_levels": 1, "kind": "unet", "norm": "batch"}
    rng = torch.Generator().manual_seed(0)
    network = initialise_(make_generator(**kwargs), std=0.2, rng=rng).eval()

    def made_of(volume):
        with torch.inference_mode():
            return network(torch.from_numpy(volume.astype(np.float32))[None, None]).numpy()

    test, volume = noise(16, 32, 32), noise(18, 36, 32, seed=1)
    path = state_dict_package(
        tmp_path / "ours.zip",
        network,
        name="make_generator",
        module="napari_pix2pix.core",
        kwargs=kwargs,
        tests=(test[None, None], made_of(test)),
        axes=AXES,
        size=v0_5.ParameterizedSize(min=32, step=4),
        depth=v0_5.ParameterizedSize(min=16, step=2),
        halo=12,
        plane_halo=6,
        dtypes=("float32", "float32"),
    )
    model = load(path)
    assert (model.info.engine, model.info.is_external) == ("torch", True)
    np.testing.assert_allclose(model(volume), made_of(volume)[0, 0], atol=1e-5)
    with pytest.raises(InputError, match="neither trained on, saved"):
        model.save(tmp_path / "a.safetensors")
