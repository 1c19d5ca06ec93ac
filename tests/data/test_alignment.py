import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter
from skimage.measure import label

from napari_pix2pix.data.alignment import check_alignment
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.pair import Pair, correct_shift, open_pair
from napari_pix2pix.data.split import Area, whole_areas

SIZE = 280


def cells(seed, count=120):
    """Labels of round cells of different sizes."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[:SIZE, :SIZE]
    mask = np.zeros((SIZE, SIZE), bool)
    for y, x, radius in zip(
        *rng.uniform(0, SIZE, (2, count)), rng.uniform(4, 11, count), strict=True
    ):
        mask |= (rows - y) ** 2 + (columns - x) ** 2 < radius**2
    return label(mask).astype(np.uint16)


def bright(labels, seed=0):
    """Return fluorescence of the cells."""
    rng = np.random.default_rng(seed)
    levels = rng.uniform(0.5, 1.5, labels.max() + 1) * (np.arange(labels.max() + 1) > 0)
    return gaussian_filter(levels[labels], 1.5) + rng.normal(0, 0.05, labels.shape)


def apart(source, target, offset):
    """Crop both, so that the target lies `offset` away from the source."""
    (dy, dx), m = offset, 12
    moved = target[..., m - dy : target.shape[-2] - m - dy, m - dx : target.shape[-1] - m - dx]
    return Pair(source[..., m:-m, m:-m], moved)


def check(*pairs, seed=0, **options):
    opened = [open_pair(pair) for pair in pairs]
    return check_alignment(opened, whole_areas(opened), seed=seed, **options)


LABELS = cells(0)
IMAGE = bright(LABELS)
CONTRASTS = {
    "labels": LABELS,
    "classes": (LABELS > 0).astype(np.uint8),
    "inverted": (60000 - 20000 * gaussian_filter(IMAGE, 1)).clip(0).astype(np.uint16),
    "edges": np.hypot(*np.gradient(gaussian_filter(IMAGE, 1))).astype(np.float32),
    "relief": gaussian_filter(IMAGE, 1.5, order=(1, 0)),
}


@pytest.mark.parametrize("contrast", CONTRASTS)
@pytest.mark.parametrize("offset", [(0, 0), (3, 0), (0, -5), (-10, 10)])
def test_shifts_are_found_in_any_contrast(contrast, offset):
    found = check(apart(IMAGE, CONTRASTS[contrast], offset))
    assert found.known
    assert found.offset == pytest.approx(offset, abs=0.5)
    assert found.shifted == (offset != (0, 0))
    swapped = check(apart(CONTRASTS[contrast], IMAGE, offset))
    assert swapped.offset == pytest.approx(offset, abs=0.5)


def test_half_pixels_are_found():
    fine = gaussian_filter(np.random.default_rng(0).normal(size=(560, 560)), 4)
    found = check(Pair(fine[10::2, 10::2], fine[5:-5:2, 10::2]))
    assert found.offset == pytest.approx((2.5, 0), abs=0.1)


def test_the_sentence_says_where_the_target_lies():
    found = check(apart(IMAGE, LABELS, (3, -5)))
    down, right = found.offset
    lies = f"The target lies {down:.1f} px down and {-right:.1f}"
    assert found.sentence.startswith(lies)
    assert " px left of the source (confidence 1.0)" in found.sentence
    assert check(Pair(IMAGE, LABELS)).sentence.startswith("Alignment: within 0.")


def blobs(seed, size=(200, 200), sigma=3):
    return gaussian_filter(np.random.default_rng(seed).normal(size=size), sigma)


UNRELATED = {
    "noise": lambda i: Pair(*np.random.default_rng(i).normal(size=(2, 200, 200))),
    "blobs": lambda i: Pair(blobs(i), blobs(i + 100)),
    "other cells": lambda i: Pair(bright(cells(i)), cells(i + 100)),
    "stack": lambda i: Pair(blobs(i, (8, 80, 80), 2), blobs(i + 100, (8, 80, 80), 2)),
    "constant": lambda i: Pair(blobs(i), np.full((200, 200), i, np.uint8)),
    "periodic": lambda i: Pair(grid(i), grid(0)),
    "tiny": lambda i: Pair(blobs(i, (20, 20)), blobs(i, (20, 20))),
}


def grid(phase):
    wave = np.sin(np.arange(200) / 2.5 + phase)
    return np.multiply.outer(wave, wave)


@pytest.mark.parametrize("what", UNRELATED)
def test_nothing_is_claimed_of_unrelated_images(what):
    for i in range(3):
        found = check(UNRELATED[what](i), seed=i)
        assert not found.known
        assert found.confidence < 0.5
        assert np.isnan(found.offset).all()
        assert found.sentence.startswith("Alignment: can't tell; ")


def test_a_shift_beyond_the_reach_is_not_claimed():
    found = check(Pair(IMAGE[40:], LABELS[:-40]))
    assert not found.known


def test_sets_stacks_channels_and_sizes():
    labels = [cells(seed, 60) for seed in range(3)]
    pairs = [apart(bright(one), one, (4, -3)) for one in labels]
    pairs[1] = Pair(pairs[1].source[:150], pairs[1].target[:150])
    assert check(*pairs).offset == pytest.approx((4, -3), abs=0.5)
    stack = apart(np.stack([bright(one) for one in labels]), np.stack(labels), (4, -3))
    assert check(stack).offset == pytest.approx((4, -3), abs=0.5)
    planes = apart(np.stack([IMAGE * k - k**2 for k in range(5)]), IMAGE, (4, -3))
    source = (planes.source * 1000).astype(np.int32)
    found = check(Pair(source, planes.target, channel_axis=(0, None)))
    assert found.offset == pytest.approx((4, -3), abs=0.5)


def test_missing_and_masked_pixels_are_left_out():
    pair = apart(IMAGE, CONTRASTS["edges"], (4, -3))
    target = pair.target.copy()
    target[:, :90] = np.nan
    mask = np.ones(target.shape, bool)
    mask[200:] = False
    # What lies outside the mask contradicts.
    target[200:] = target[140:196][:, ::-1]
    found = check(Pair(pair.source, target, mask=mask))
    assert found.offset == pytest.approx((4, -3), abs=0.5)
    nothing = check(Pair(pair.source, pair.target, mask=np.zeros(mask.shape, bool)))
    assert not nothing.known


def test_channels_that_some_images_lack_have_no_say():
    pair = apart(IMAGE, IMAGE**2, (5, 0))
    first = Pair(pair.source, (pair.target, None))
    second = Pair(pair.source, (None, pair.target))
    assert check(first, second).offset == pytest.approx((5, 0), abs=0.5)
    corrected = correct_shift(first, (5, 0))
    assert open_pair(corrected).target.absent == (1,)
    assert check(corrected, correct_shift(second, (5, 0))).offset == pytest.approx((0, 0), abs=0.5)


def test_it_depends_on_the_seed_alone_and_reads_only_the_areas():
    rng = np.random.default_rng(0)
    source, target = rng.random((2, 700, 300))
    source[:400], target[:400] = np.tile(blobs(0, (100, 100)), (4, 3)), np.nan
    source[400:690, 10:290] = blobs(1, (290, 280))
    target[400:690, 10:290] = blobs(1, (290, 280))
    opened = [open_pair(Pair(source, target))]
    area = [Area(0, Box(400, 690, 10, 290))]
    found = check_alignment(opened, area, seed=3)
    assert found.offset == pytest.approx((0, 0), abs=0.1)
    assert found == check_alignment(opened, area, seed=3)


def test_values_of_labels_mean_nothing():
    renumbered = np.random.default_rng(0).permutation(5000).astype(np.uint16)[LABELS]
    renumbered[LABELS == 0] = 0
    assert check(Pair(IMAGE, LABELS)) == check(
        Pair(IMAGE, renumbered), source_kind="image", target_kind="instances"
    )


@pytest.mark.parametrize(("channel", "offset"), [(0, (3, 0)), (1, (0, 5)), (2, (-10, 10))])
def test_phase_and_fluorescence(real_data, channel, offset):
    folder = real_data / "phase_to_fluorescence"
    phase = tifffile.imread(folder / "source_phase_ZYX.tif")[6]
    target = tifffile.imread(folder / "target_DAPI_MAP2_NFH_CYX.tif")[channel]

    def found(by):
        return check(apart(phase, target, by))

    plain, shifted = found((0, 0)), found(offset)
    assert plain.known
    assert shifted.known
    assert np.hypot(*(np.subtract(shifted.offset, plain.offset) - offset)) < 1


def test_two_channels_of_a_dividing_cell_are_not_judged(real_data):
    folder = real_data / "timelapse_two_channels"
    source, target = (tifffile.imread(folder / f"{side}_TYX.tif") for side in ("source", "target"))
    assert not check(Pair(source, target)).known


def cells_of_volume(seed=0):
    """Blobs of a volume, that reach over some planes, and their edges."""
    rough = np.random.default_rng(seed).normal(size=(24, 120, 120))
    made = gaussian_filter(rough, (1.5, 3, 3))
    made = np.maximum(made / made.std(), 0)
    edges = np.hypot(*np.gradient(made, axis=(1, 2)))
    return made.astype(np.float32), edges.astype(np.float32)


def moved_in_z(source, target, planes, offset=(0, 0)):
    """Crop both, so that the target lies so many planes later, and `offset` away."""
    z = slice(4 - planes, len(target) - 4 - planes)
    (dy, dx), m = offset, 6
    part = np.s_[z, m - dy : target.shape[1] - m - dy, m - dx : target.shape[2] - m - dx]
    return Pair(source[4:-4, m:-m, m:-m], target[part])


@pytest.mark.parametrize(
    ("planes", "offset"), [(0, (0, 0)), (1, (0, 0)), (-2, (3, -2)), (3, (0, 4))]
)
def test_shifts_along_z_are_found_in_volumes(planes, offset):
    source, target = cells_of_volume()
    pair = moved_in_z(source, target, planes, offset)
    found = check(pair, volumes=True)
    assert (found.planes, found.known) == (planes, True)
    assert found.offset == pytest.approx(offset, abs=0.5)
    assert found.shifted == (planes != 0)
    corrected = check(correct_shift(pair, found.offset, found.planes), volumes=True)
    assert corrected.planes == 0
    assert corrected.offset == pytest.approx((0, 0), abs=0.5)


def test_shift_along_z_is_said_in_planes():
    found = check(moved_in_z(*cells_of_volume(), 1, (3, 0)), volumes=True)
    assert found.sentence.startswith("The target lies 1 plane later, 3.")
    assert found.distance == f"1 plane and {np.hypot(*found.offset):.1f} px"


def test_planes_of_images_are_not_taken_for_a_volume():
    assert check(moved_in_z(*cells_of_volume(), 2)).planes == 0


def test_unlike_volumes_have_no_shift_along_z():
    pair = Pair(cells_of_volume(0)[0], cells_of_volume(1)[1])
    found = check(pair, volumes=True)
    assert not found.known
    assert found.planes == 0


@pytest.mark.parametrize("planes", [2, 9])
def test_blank_volumes_are_not_said_to_lie_some_planes_away(planes):
    blank = np.zeros((planes, 120, 120), np.float32)
    found = check(Pair(blank, blank + 1), volumes=True)
    assert not found.known
    assert "share too little structure" in found.sentence


def test_shift_beyond_the_planes_that_are_looked_at_is_not_known():
    source, target = cells_of_volume()
    found = check(Pair(source[:-5], target[5:]), volumes=True)
    assert not found.known
