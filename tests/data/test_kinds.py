import numpy as np
import pytest
import tifffile
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage import data, io, measure

from napari_pix2pix.data.kinds import describe_kind, infer_kind, other_kinds


def blobs(seed=0, density=0.004, sigma=5.0, side=160):
    points = np.random.default_rng(seed).random((side, side)) < density
    smooth = ndimage.gaussian_filter(points.astype(float), sigma)
    return smooth / smooth.max()


def nuclei(seed=0):
    return measure.label(blobs(seed) > 0.4)


@settings(deadline=None, max_examples=60)
@given(
    photons=st.sampled_from([2, 5, 20, 100, 3000]),
    gain=st.sampled_from([1, 3, 257]),
    dtype=st.sampled_from([np.uint8, np.uint16, np.int32]),
    seed=st.integers(0, 99),
)
def test_fluorescence_is_an_image_however_dim_or_saturated(photons, gain, dtype, seed):
    # Black ground, grey levels counted from few photons, clipped where they don't fit.
    rng = np.random.default_rng(seed)
    counts = rng.poisson(blobs(seed) * photons).astype(float) * gain
    clipped = np.clip(counts, 0, np.iinfo(dtype).max).astype(dtype)
    assume(len(np.unique(clipped)) > 3)
    assert infer_kind(clipped) == "image"


@pytest.mark.parametrize("levels", [2, 3, 6])
def test_noise_in_few_grey_levels_is_an_image(levels):
    assert infer_kind(np.random.default_rng(0).integers(0, levels, (64, 64))) == "image"


@pytest.mark.parametrize("top", [12, 40, 255, 4000])
def test_an_image_without_noise_is_an_image(top):
    assert infer_kind((blobs(sigma=12) * top).astype(np.uint16)) == "image"
    ramp = np.broadcast_to(np.linspace(0, top, 400).astype(np.uint16), (300, 400))
    assert infer_kind(ramp) == "image"


@pytest.mark.parametrize("name", ["camera", "coins", "moon", "page", "text", "cell", "brick"])
def test_photographs_are_images(name):
    photograph = getattr(data, name)()
    assert infer_kind(photograph) == "image"
    assert infer_kind(photograph.astype(np.uint16) * 16) == "image"


def test_a_saturated_photograph_is_an_image():
    bright = np.clip(data.camera().astype(int) * 2, 0, 255).astype(np.uint8)
    assert (bright == 255).mean() > 0.5
    assert infer_kind(bright) == "image"


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
@pytest.mark.parametrize("seed", range(3))
def test_nuclei_are_instances(dtype, seed):
    assert infer_kind(nuclei(seed).astype(dtype)) == "instances"


def test_shuffled_and_touching_instances_are_instances():
    cells = np.arange(64).reshape(8, 8)
    touching = np.kron(np.random.default_rng(0).permutation(64)[cells], np.ones((16, 16), int))
    assert infer_kind(touching) == "instances"


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_thresholds_are_classes(classes):
    levels = np.digitize(blobs(density=0.002), np.linspace(0.1, 0.9, classes)[:-1])
    assert infer_kind(levels.astype(np.uint8)) == "classes"
    assert infer_kind((levels * (255 // classes)).astype(np.uint8)) == "classes"


def test_many_small_things_of_three_classes_are_classes():
    labels = nuclei()
    classes = np.random.default_rng(0).integers(1, 4, labels.max() + 1)
    classes[0] = 0
    assert infer_kind(classes[labels].astype(np.uint8)) == "classes"


def test_booleans_are_classes_and_floats_and_constants_images():
    assert infer_kind(blobs() > 0.3) == "classes"
    assert infer_kind(nuclei().astype(np.float32)) == "image"
    assert infer_kind(np.zeros((8, 8), np.uint16)) == "image"


def test_windows_are_judged_together():
    labels = nuclei().astype(np.uint16)
    windows = [labels[i : i + 40, j : j + 40] for i in range(0, 160, 40) for j in range(0, 160, 40)]
    assert infer_kind(windows) == "instances"
    assert infer_kind([labels[:1, :1], labels]) == "instances"
    assert infer_kind(np.stack([labels, labels.T])) == "instances"


def test_descriptions():
    assert describe_kind(data.camera()) == "uint8 -> image"
    labels = nuclei().astype(np.uint16)
    assert describe_kind(labels) == f"uint16 -> {labels.max()} instances"
    assert describe_kind(labels > 0) == "bool -> 2 classes"
    assert describe_kind([labels, labels]) == f"uint16 -> {2 * labels.max()} instances"
    assert describe_kind(labels, "image") == "uint16 -> image"
    assert describe_kind(np.array([[0, 1], [2, 2]]), "classes") == "int64 -> 3 classes"


def read(path):
    return tifffile.imread(path) if path.suffix == ".tif" else io.imread(path)


def channels(image):
    return [image] if image.shape[-1] != 3 else [image[..., i] for i in range(3)]


@pytest.mark.parametrize("name", ["nuclei_fluorescence", "nuclei_histology"])
@pytest.mark.parametrize(("side", "kind"), [("source", "image"), ("target", "instances")])
def test_real_sets_file_by_file_and_as_a_whole(real_data, name, side, kind):
    images = [read(path) for path in sorted((real_data / name).glob(f"*/{side}/*"))]
    assert len(images) > 50
    assert {infer_kind(one) for image in images for one in channels(image)} == {kind}
    assert infer_kind([channels(image)[0] for image in images]) == kind
    windows = [channels(image)[0][i : i + 128, :128] for image in images for i in (0, 128)]
    assert infer_kind(windows) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("phase_to_fluorescence/source_phase_ZYX.tif", "image"),
        ("phase_to_fluorescence/target_DAPI_MAP2_NFH_CYX.tif", "image"),
        ("timelapse_two_channels/source_TYX.tif", "image"),
        ("timelapse_two_channels/target_TYX.tif", "image"),
        ("volume_nuclei/source_ZYX.tif", "image"),
        ("volume_nuclei/target_ZYX.tif", "instances"),
    ],
)
def test_real_stacks(real_data, path, kind):
    stack = tifffile.imread(real_data / path)
    assert infer_kind(stack) == kind
    if kind == "image":
        assert {infer_kind(plane) for plane in stack} == {kind}


def test_images_of_another_kind_than_their_set_are_named():
    labels = [nuclei(seed).astype(np.uint16) for seed in range(4)]
    classes = np.random.default_rng(0).integers(1, 4, 1 + max(one.max() for one in labels))
    classes[0] = 0
    noisy = np.random.default_rng(0).poisson(500 * blobs()).astype(np.uint16)
    mixed = {
        "a": [labels[0]],
        "b": [classes[labels[1]].astype(np.uint16)],
        "c": [noisy],
        "d": [labels[2][:80], labels[2][80:]],
        "few": [(labels[3] * (labels[3] < 3))],  # two objects could be two classes
        "empty": [np.zeros_like(labels[0])],
    }
    assert other_kinds(mixed, "instances") == {"classes": ["b"], "image": ["c"]}
    assert other_kinds(mixed, "classes") == {"instances": ["a", "d"], "image": ["c"]}
    assert other_kinds({"e": [noisy / 2]}, "image") == {}


@pytest.mark.parametrize("name", ["nuclei_fluorescence", "nuclei_histology"])
def test_real_sets_are_of_one_kind(real_data, name):
    for side, kind in (("source", "image"), ("target", "instances")):
        files = sorted((real_data / name / "train" / side).iterdir())
        images = {file.name: io.imread(file) for file in files}
        plain = {key: [one if one.ndim == 2 else one[..., 0]] for key, one in images.items()}
        assert other_kinds(plain, kind) == {}
