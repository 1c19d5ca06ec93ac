"""Volumes: planes are seen together, and all laws of images hold along three axes."""

import warnings
from dataclasses import replace

import dask.array as da
import numpy as np
import pytest
import torch
from helpers import let_all_levels_count, noise
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import label

from napari_pix2pix import Pair, convert, evaluate, load, train
from napari_pix2pix.data.codecs import InstanceCodec
from napari_pix2pix.data.lazy_image import as_lazy_image
from napari_pix2pix.data.pair import open_pair
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.data.resampling import ResampledImage, Resampling
from napari_pix2pix.data.volumes import VolumeImage
from napari_pix2pix.errors import ConfigError, InputError
from napari_pix2pix.evaluation.evaluate import make_case
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io.image_file import ImageFile
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.io.writing import write_image
from napari_pix2pix.large_images import _translate_file, translate_file
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores
from napari_pix2pix.training._pair_checks import _config_without_source
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.translator import Translator

TINY = {
    "ndim": 3,
    "width": 4,
    "depth": 2,
    "discriminator_width": 4,
    "discriminator_layers": 1,
    "patch": 16,
    "batch": 2,
    "device": "cpu",
    "steps": 1,
}
QUIET = {"validation": 0.0, "adversarial_weight": 0.0}


@pytest.fixture(scope="module", params=[0, 1, 2], ids=lambda levels: f"plane_levels={levels}")
def model(request):
    volume = noise(8, 24, 24)
    fields = {**TINY, **QUIET, "plane_levels": request.param}
    made = train(volume, 1 - volume, **fields)
    let_all_levels_count(made.generator)
    return made


@settings(deadline=None, max_examples=3)
@given(
    # Wide enough that the last axis is not taken for channels.
    size=st.tuples(st.integers(2, 37), st.integers(1, 37), st.integers(17, 37)),
    tile=st.integers(1, 12),
    chunk=st.integers(3, 20),
    batch=st.integers(1, 3),
)
def test_however_a_volume_is_cut_the_answer_is_the_same(model, size, tile, chunk, batch):
    volume = noise(*size, seed=size)
    whole = model(volume, tile=0, output="float")
    assert whole.shape == size
    spread = model.target_codec.data_range[0]
    tiles = model(volume, tile=tile, batch=batch, output="float")
    np.testing.assert_allclose(tiles, whole, atol=1e-5 * spread)
    chunks = model(da.from_array(volume, chunks=chunk), output="float")
    assert chunks.shape == size
    np.testing.assert_allclose(chunks.compute(), whole, atol=1e-5 * spread)


def test_planes_see_each_other_within_the_halo_alone(model):
    volume = noise(40, 8, 8)
    other = volume.copy()
    other[20] = 1 - other[20]
    changed = np.abs(model(volume, output="float") - model(other, output="float")).max((1, 2)) > 0
    halo = model.generator.halos[0]
    assert changed[20]
    assert changed.sum() == 1 if halo == 0 else changed.sum() > 1
    assert not changed[: 20 - halo].any()
    assert not changed[21 + halo :].any()


def test_tiles_along_planes_are_really_cut(model, monkeypatch):
    seen = []
    run = type(model.generator).forward
    monkeypatch.setattr(
        type(model.generator), "forward", lambda net, x: seen.append(x.shape) or run(net, x)
    )
    model(noise(60, 8, 8), tile=0, output="float")
    assert [shape[2] for shape in seen] == [60]


def test_file_is_translated_block_by_block_like_the_array(model, tmp_path):
    volume = noise(2, 5, 30, 20)
    whole = model(volume, output="float")
    source, out = tmp_path / "in.npy", tmp_path / "out.zarr"
    np.save(source, volume)
    image = ImageFile(data=volume, axes="TZYX", scale={"Z": 2.0, "Y": 0.5, "X": 0.5})
    translate_file(model, source, image, out, PredictOptions(output="float"))
    made = read_image(out)
    assert made.axes == "TZYX"
    np.testing.assert_allclose(np.asarray(made.data), whole, atol=1e-5)


@pytest.mark.parametrize("ending", ["zarr", "tif", "ome.tif"])
def test_several_blocks_of_a_file_are_the_whole_volume(model, ending, tmp_path, monkeypatch):
    monkeypatch.setattr(_translate_file, "CHUNK", 32)
    monkeypatch.setattr(_translate_file, "block_side", lambda *_, **__: 32)
    volume = noise(7, 70, 41)
    given, out = tmp_path / f"in.{ending}", tmp_path / f"out.{ending}"
    write_image(given, volume, axes="ZYX", scale={"Z": 2.0, "Y": 0.5, "X": 0.5})
    counts = []
    translate_file(
        model,
        given,
        read_image(given),
        out,
        PredictOptions(output="float"),
        on_tile=lambda done, every: counts.append((done, every)),
    )
    assert counts[-1] == (6, 6)
    made = read_image(out)
    assert made.axes == "ZYX"
    np.testing.assert_allclose(np.asarray(made.data), model(volume, output="float"), atol=1e-5)


def test_frames_in_front_are_translated_one_by_one(model):
    stack = noise(3, 6, 12, 10)
    made = model(stack, output="float")
    alone = np.stack([model(volume, output="float") for volume in stack])
    np.testing.assert_allclose(made, alone, atol=1e-5)


def test_channels_may_lie_between_planes_and_rows():
    volume = noise(8, 2, 20, 20)
    fields = {**TINY, **QUIET, "channel_axis": 1}
    model = train(volume, 1 - volume, **fields)
    assert model.info.channels == 2
    assert model(volume).shape == volume.shape
    # The same channels in front.
    other = train(volume.swapaxes(0, 1), 1 - volume.swapaxes(0, 1), **{**fields, "channel_axis": 0})
    found = other(volume.swapaxes(0, 1), output="float").swapaxes(0, 1)
    np.testing.assert_allclose(found, model(volume, output="float"), atol=1e-4)


def test_eight_turns_are_those_of_planes(model):
    volume = noise(7, 16, 16)
    turned = model(volume, turns=8, output="float")
    again = model(np.rot90(volume, axes=(1, 2)).copy(), turns=8, output="float")
    np.testing.assert_allclose(np.rot90(turned, axes=(1, 2)), again, atol=1e-4)


@pytest.fixture(scope="module", params=["unet", "resnet"])
def drawing(request):
    """Return a model with dropout and noise of each voxel."""
    fields = {**TINY, **QUIET, "dropout": 0.5, "noise_channels": 2, "noise": "pixel"}
    if request.param == "resnet":
        fields |= {"generator": "resnet", "blocks": 1, "norm": "none"}
    else:
        fields |= {"depth": 3, "plane_levels": 1}
    volume = noise(16, 24, 24)
    made = train(volume, 1 - volume, **fields)
    let_all_levels_count(made.generator)
    return made


@settings(deadline=None, max_examples=3)
@given(
    size=st.tuples(st.integers(2, 40), st.integers(1, 30), st.integers(17, 30)),
    tile=st.integers(1, 12),
    seed=st.integers(0, 9),
)
def test_what_is_drawn_belongs_to_its_place(drawing, size, tile, seed):
    volume, options = noise(*size, seed=size), {"dropout": True, "seed": seed, "output": "float"}
    whole = drawing(volume, tile=0, **options)
    spread = drawing.target_codec.data_range[0]
    tiles = drawing(volume, tile=tile, batch=2, **options)
    np.testing.assert_allclose(tiles, whole, atol=1e-5 * spread)
    chunks = drawing(da.from_array(volume, chunks=9), **options)
    np.testing.assert_allclose(chunks.compute(), whole, atol=1e-5 * spread)


def test_samples_of_a_volume_differ_and_have_a_spread(drawing):
    volume = noise(6, 20, 20)
    spread = drawing.spread(volume, 3, dropout=True)
    assert spread.mean.shape == spread.std.shape == volume.shape
    assert (spread.std > 0).mean() > 0.9
    assert not np.array_equal(drawing(volume, dropout=True), drawing(volume))


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_norms_measure_a_volume_as_a_whole(norm):
    volume = noise(8, 24, 24)
    model = train(volume, 1 - volume, norm=norm, **TINY, **QUIET)
    whole = model(volume, output="float")
    np.testing.assert_allclose(model(volume, tile=8, output="float"), whole, atol=0.02)


def test_it_learns_from_other_planes_what_a_plane_does_not_show(tmp_path):
    """Noise that moves up by a plane: only a volume says what lies there."""
    volume = noise(24, 48, 48)
    target = np.roll(volume, 1, axis=0)
    fields = {
        **TINY,
        **QUIET,
        "steps": 80,
        "learning_rate": 1e-2,
        "width": 8,
        "reconstruction": "l2",
    }
    model = train(volume, target, **fields)
    test = noise(16, 32, 32, seed=5)
    made = model(test, output="float")[2:]
    assert np.corrcoef(made.ravel(), np.roll(test, 1, axis=0)[2:].ravel())[0, 1] > 0.6
    model.save(tmp_path / "m.pix2pix")
    again = load(tmp_path / "m.pix2pix")
    assert (again.config.ndim, again.config.patch_planes) == (3, model.config.patch_planes)
    np.testing.assert_array_equal(again(test, output="float")[2:], made)


def test_run_is_resumed_and_a_model_is_fine_tuned(tmp_path):
    volume = noise(8, 40, 40)
    begin = {"adversarial_start": 0.0, "adversarial_full": 0.0}
    fields = {**TINY, **begin, "ema": 0.0, "decay": "constant"}
    whole = train(volume, 1 - volume, **{**fields, "steps": 3})
    train(volume, 1 - volume, **{**fields, "steps": 2}, checkpoint=tmp_path / "run.pix2pix")
    resumed = train(volume, 1 - volume, resume=tmp_path / "run.pix2pix", steps=3, device="cpu")
    for name, tensor in whole.tensors.items():
        torch.testing.assert_close(resumed.tensors[name], tensor, rtol=0, atol=0)
    tuned = train(volume, 1 - volume, start=whole, steps=1, device="cpu")
    assert (tuned.config.ndim, tuned.config.plane_levels) == (3, 0)
    with pytest.raises(ConfigError, match="ndim=3, got 2: leave ndim out"):
        train(volume, 1 - volume, start=whole, ndim=2, steps=1)


def test_mask_counts_voxel_by_voxel_and_validation_scores_planes():
    volume = noise(8, 48, 48)
    target = 1 - volume
    mask = np.ones(volume.shape, bool)
    mask[:, :4] = False
    target[:, :4] = np.nan
    with pytest.warns(UserWarning, match="8.3 % of the target's values are NaN"):
        model = train(volume, target, mask=mask, **TINY)
    assert model.scores is not None
    assert 0 < model.scores.prediction["ssim"] <= 1
    assert model.info.thumbnail is not None
    assert "16 rows of 48" in " ".join(model.info.notes) or "columns" in " ".join(model.info.notes)


def balls(*size: int, count: int = 30) -> np.ndarray:
    """Return a volume of balls, numbered from 1, and a few that touch."""
    rng, labels = np.random.default_rng(0), np.zeros(size, np.uint16)
    grid = np.stack(np.indices(size))
    for number in range(1, count + 1):
        centre = np.array([rng.integers(3, n - 3) for n in size]).reshape(3, 1, 1, 1)
        inside = ((grid - centre) ** 2).sum(0) <= 16
        labels[inside & (labels == 0)] = number
    return label(labels, connectivity=1).astype(np.uint16)


@pytest.mark.parametrize("z_step", [1.0, 2.0])
def test_codec_of_objects_is_exact_in_volumes(z_step):
    labels = balls(20, 40, 40)[np.newaxis]
    codec = InstanceCodec.fit([labels], layout=VolumeImage(as_lazy_image(labels[0])).layout,
                              ndim=3, z_step=z_step, smallest=5)  # fmt: skip
    planes = codec.encode(labels)
    assert planes.shape == (5, 20, 40, 40)
    found = codec.decode(planes)
    kept = np.isin(labels, [v for v, n in zip(*np.unique(labels, return_counts=True), strict=True)
                            if n >= 5 and v])  # fmt: skip
    pairs = np.unique(np.stack([labels[kept], found[kept]]), axis=1)
    assert len(set(pairs[0])) == pairs.shape[1] == len(set(pairs[1]))


def test_objects_are_told_apart_over_planes():
    labels = balls(24, 48, 48)
    image = (labels > 0) + 0.1 * noise(*labels.shape)
    fields = {**TINY, "target_kind": "instances", "smallest": 5}
    model = train(image, labels, **fields)
    assert model.target_codec.planes == 5
    made = model(image)
    assert made.shape == labels.shape
    assert made.dtype.kind in "iu"
    # The baseline, Otsu's threshold and a watershed, finds objects in all three axes.
    assert model.scores.baseline["f1"] > 0.5
    result = evaluate(model, image, labels)
    counts = label_counts(made, labels, kind="instances")
    assert result["prediction"] == pytest.approx(
        pool_label_scores([counts], full=True), nan_ok=True
    )
    assert result["baseline"]["f1"] > 0.5
    assert len(result["images"]) == 1
    assert "three dimensions" in result["notes"][-1]


def test_classes_of_voxels_are_weighed_and_scored():
    labels = (balls(16, 48, 48) > 0).astype(np.uint8)
    fields = {**TINY, "target_kind": "classes", "class_weights": True}
    image = labels + 0.1 * noise(*labels.shape)
    model = train(image, labels, **fields)
    assert set(np.unique(model(image))) <= {0, 1}
    assert "dice" in model.scores.prediction


def test_cells_of_a_volume_are_the_same_however_it_is_cut(model):
    volume = noise(21, 30, 26)
    cells = model.generator.strides
    whole = model.unlikeness_map(volume, tile=0)
    assert whole.shape == volume.shape
    assert (whole[: cells[0]] == whole[:1]).all()
    count = np.prod([-(-n // k) for n, k in zip(volume.shape, cells, strict=True)])
    assert 0.99 * count < len(np.unique(whole)) <= count
    np.testing.assert_allclose(model.unlikeness_map(volume, tile=4), whole, rtol=1e-4, atol=1e-5)
    stack = model.unlikeness_map(np.stack([noise(21, 30, 26, seed=1), volume]))
    np.testing.assert_allclose(stack[1], whole, rtol=1e-4, atol=1e-5)


def test_volume_unlike_the_training_is_found(tmp_path):
    volume = noise(16, 48, 48)
    model = train(volume, 1 - volume, **TINY)
    assert any(note.startswith("Unlikeness: 99 %") for note in model.info.notes)
    other = noise(8, 24, 24, seed=1)
    other[4:, 12:, :] = 3.0
    found = model.unlikeness_map(other)
    assert found[4:, 12:].mean() > 1 > np.median(found[:4, :12])
    model.save(tmp_path / "m.safetensors", slim=True)
    np.testing.assert_array_equal(load(tmp_path / "m.safetensors").unlikeness_map(other), found)


JUDGES = [
    {"discriminator_layers": 2},
    {"discriminator_layers": 2, "plane_levels": 1, "adversarial": "lsgan", "conditional": False},
    {"discriminator_layers": 0, "discriminator_norm": "none"},
    {"discriminator_layers": 1, "discriminator_scales": 2},
]


@pytest.mark.parametrize("fields", JUDGES)
def test_discriminator_judges_a_volume_the_same_however_it_is_cut(fields):
    volume = noise(12, 32, 32)
    begin = {"adversarial_start": 0.0, "validation": 0.0, "steps": 2}
    model = train(volume, 1 - volume, **{**TINY, **begin, **fields})
    source, prediction = noise(39, 27, 22, seed=1), noise(39, 27, 22, seed=2)
    whole = model.discriminator_map(source, prediction, tile=0)
    assert whole.shape == source.shape
    assert whole.dtype == np.float32
    assert whole.std() > 0
    tiles = model.discriminator_map(source, prediction, tile=4)
    np.testing.assert_allclose(tiles, whole, atol=1e-5)
    pairs = np.stack([noise(39, 27, 22), source]), np.stack([noise(39, 27, 22), prediction])
    np.testing.assert_allclose(model.discriminator_map(*pairs)[1], whole, atol=1e-5)
    other = model.discriminator_map(noise(39, 27, 22), prediction, tile=0)
    assert (other != whole).any() == fields.get("conditional", True)


def test_images_of_volumes_are_scored_plane_by_plane(model):
    volume = noise(6, 20, 20)
    made = model(volume)
    result = evaluate(model, volume, made)
    assert len(result["images"]) == 6
    assert result["prediction"]["l1"] == 0
    assert any("plane by plane" in note for note in result["notes"])


def test_report_ranks_the_planes_of_a_volume_by_their_maps(model, tmp_path):
    volume = noise(9, 40, 40, seed=1)
    own = Translator(model.tensors, model.info)
    evaluate(own, volume, 1 - volume).report(tmp_path / "report.html")
    assert "The unlikeness map" in (tmp_path / "report.html").read_text()
    case = make_case(own, open_pair(Pair(volume, 1 - volume)), name="a")
    planes = np.stack([case.unlikeness(number) for number in range(9)])
    np.testing.assert_allclose(planes, own.unlikeness_map(volume), rtol=1e-4)


def test_last_planes_of_deep_volumes_are_held_out():
    volume = noise(64, 20, 20)
    model = train(volume, 1 - volume, **TINY)
    assert any("planes of 64 are held out" in note for note in model.info.notes)


def test_volumes_that_differ_are_held_out_whole():
    stack = noise(5, 6, 24, 24)
    model = train(stack, 1 - stack, **TINY)
    assert any("1 of 5 volumes, which show different fields," in note for note in model.info.notes)


def test_distance_of_planes_tells_how_many_levels_stay_within_them():
    from napari.layers import Image

    volume = noise(8, 24, 24)
    source, target = (
        Image(array, scale=(2.0, 0.5, 0.5), units=["micrometer"] * 3)
        for array in (volume, 1 - volume)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = train(source, target, **{**TINY, **QUIET, "depth": 3})
    assert (model.config.plane_levels, model.config.patch_planes) == (2, 4)
    assert model.generator.strides == (2, 8, 8)


REFUSED = [
    ({"z_context": 1}, "z_context gives planes their neighbours"),
    ({"ndim": 2, "plane_levels": 1}, "plane_levels is for volumes: set ndim=3"),
    ({"ndim": 2, "plane_flips": True}, "plane_flips is for volumes"),
    ({"patch_planes": 6, "plane_levels": 0, "depth": 2}, "multiple of 4 at plane_levels=0, got 6"),
]


@pytest.mark.parametrize(("fields", "words"), REFUSED)
def test_fields_that_do_not_go_with_volumes_are_refused(fields, words):
    with pytest.raises(ConfigError, match=words):
        TrainConfig(**{"ndim": 3, **fields})


def test_what_is_no_volume_is_refused():
    plane = noise(24, 24)
    with pytest.raises(InputError, match="has one plane, and volumes are asked for"):
        train(plane, plane, **TINY)


@pytest.fixture
def sized(model, monkeypatch):
    """Return a model whose voxels are 1 µm wide, in planes 2 µm apart."""
    monkeypatch.setattr(model, "pixel_size", PixelSize(1.0, 1.0, 2.0))
    return model


def stating(volume, *size):
    return as_lazy_image(volume).stating(PixelSize(*size), ())


def test_volume_is_resampled_along_all_axes(sized):
    volume = noise(12, 40, 36)
    image = stating(volume, 0.5, 0.5, 1.0)
    there = ResampledImage(VolumeImage(image), Resampling((40, 36), (20, 18), planes=(12, 6)))
    small = there.read(0, slice(0, 20), slice(0, 18))
    assert small.shape == (1, 6, 20, 18)
    np.testing.assert_allclose(small.mean(), volume.mean(), atol=0.02)
    way = Resampling((20, 18), (40, 36), planes=(6, 12))
    made = sized(small[0], output="float")
    back = ResampledImage(VolumeImage(as_lazy_image(made)), way)
    found = sized(image, resample=True, output="float")
    np.testing.assert_allclose(found, back.read(0, slice(0, 40), slice(0, 36))[0], atol=1e-4)
    told = sized(volume, resample=True, output="float", pixel_size=0.5, plane_distance=1.0)
    np.testing.assert_array_equal(told, found)
    tiles = sized(image, resample=True, output="float", tile=4)
    np.testing.assert_allclose(tiles, found, atol=1e-5 * sized.target_codec.data_range[0])
    own = sized(stating(volume, 1.0, 1.0, 2.0), resample=True)
    np.testing.assert_array_equal(own, sized(volume))


def test_resampled_file_is_the_resampled_array(sized, tmp_path):
    volume, out = noise(9, 40, 30), tmp_path / "out.zarr"
    options = {"resample": True, "pixel_size": 0.7, "plane_distance": 3.0, "output": "float"}
    image = ImageFile(data=volume, axes="ZYX")
    np.save(tmp_path / "in.npy", volume)
    translate_file(sized, tmp_path / "in.npy", image, out, PredictOptions(**options))
    found = np.asarray(read_image(out).data)
    np.testing.assert_allclose(found, sized(volume, **options), atol=1e-5)


def test_unlikeness_of_a_resampled_volume_is_on_its_own_grid(sized):
    volume = noise(9, 24, 30)
    found = sized.unlikeness_map(volume, resample=True, pixel_size=0.5, plane_distance=1.0)
    assert found.shape == volume.shape


def test_planes_that_are_apart_are_told(sized):
    far = stating(noise(6, 20, 20), 1.0, 1.0, 6.0)
    with pytest.warns(UserWarning, match="planes are 6 µm apart.* Turn resample on"):
        sized(far)
    with pytest.raises(InputError, match=r"how far apart its planes lie.* give plane_distance"):
        sized(noise(6, 20, 20), resample=True, pixel_size=1.0)
    with pytest.raises(InputError, match="more than 16 times as large"):
        sized(noise(6, 20, 20), resample=True, pixel_size=1.0, plane_distance=40.0)


def test_training_is_told_how_far_planes_are_apart():
    volume = noise(8, 24, 24)
    told = {"pixel_size": 0.5, "plane_distance": 2.0, "depth": 3}
    model = train(volume, 1 - volume, **{**TINY, **QUIET, **told})
    assert model.pixel_size == PixelSize(0.5, 0.5, 2.0)
    assert model.config.plane_levels == 2


def test_plane_is_no_volume(model):
    volume = noise(4, 8, 8)
    with pytest.raises(InputError, match="one plane of 8 x 8 pixels, and volumes are asked for"):
        model(volume[0])


def test_model_of_volumes_is_exported_as_onnx_and_to_no_other_program(model, tmp_path):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    notes = model.export(tmp_path / "m.onnx")
    assert any("Numbers of planes are multiples of" in note for note in notes)
    with pytest.raises(InputError, match=r"volumes \(ndim=3\)"):
        convert(model_file(model, tmp_path), tmp_path / "m.pth")


@pytest.mark.parametrize("kind", ["image", "pixel"])
def test_volumes_are_made_of_noise_and_a_condition(kind, tmp_path):
    targets = [noise(8, 24, 24), 1 - noise(8, 24, 24) / 4]
    fields = {**TINY, "noise": kind, "condition": ["dark", "light"], "steps": 3}
    maker = train(None, targets, **fields)
    depth = maker.config.patch_planes
    assert maker.sample("dark").shape == (1, depth, 16, 16)
    assert maker.sample("dark", size=20).shape == (1, depth, 20, 20)
    two = maker.sample("dark", 2, (11, 19, 30), seed=1, output="float")
    assert two.shape == (2, 11, 19, 30)
    assert len(np.unique(two[0])) > 1
    assert not np.allclose(two[0], two[1])
    maker.save(tmp_path / "m.safetensors")
    again = load(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.sample("dark", 1, (11, 19, 30), 1, output="float"), two[:1])
    other = maker.sample("light", 1, (11, 19, 30), seed=1, output="float")
    assert not np.allclose(other, two[:1])
    judged = maker.discriminator_map(None, two[0], condition="dark")
    assert judged.shape == (11, 19, 30)


def test_light_makes_volumes_in_small_patches():
    config = _config_without_source(TrainConfig(ndim=3), held_out=False)
    assert (config.patch, config.batch, config.noise, config.ndim) == (32, 8, "pixel", 3)
    told = _config_without_source(TrainConfig(ndim=3, patch=64, batch=2), held_out=False)
    assert (told.patch, told.batch) == (64, 2)


def model_file(model, folder):
    """Save a model and return its path."""
    model.save(folder / "m.safetensors")
    return folder / "m.safetensors"


def test_pair_given_for_validation_is_scored():
    volume = noise(8, 24, 24)
    held_out = Pair(noise(8, 24, 24, seed=1), 1 - noise(8, 24, 24, seed=1))
    model = train(volume, 1 - volume, validation=[held_out], **TINY)
    assert model.scores is not None


def test_flips_along_planes_are_drawn_if_asked_for():
    from napari_pix2pix.data.codecs import ImageCodec
    from napari_pix2pix.data.patches import PatchSampler
    from napari_pix2pix.data.split import whole_areas

    ramp = np.broadcast_to(np.arange(8, dtype=np.float32)[:, None, None], (8, 24, 24))
    pair = open_pair(Pair(ramp, ramp))
    codec = ImageCodec.fit([ramp[np.newaxis]], layout=pair.source.layout, method="minmax")
    fields = {"patch": 16, "planes": 4, "batch": 8, "seed": 0}
    for flips in (False, True):
        sampler = PatchSampler(
            [pair], whole_areas([pair]), codec, codec, plane_flips=flips, **fields
        )
        batch = sampler.batch(0)
        assert batch.source.shape == (8, 1, 4, 16, 16)
        np.testing.assert_array_equal(batch.source, batch.target)
        rises = {bool(patch[0, 0, 0, 0] < patch[0, 1, 0, 0]) for patch in batch.source}
        assert rises == ({True, False} if flips else {True})


def test_model_of_objects_says_how_its_volumes_are_coded():
    codec = InstanceCodec("uint16", 4, VolumeImage(as_lazy_image(noise(2, 4, 4))).layout, ndim=3)
    assert replace(codec, channels=2).planes == 10
