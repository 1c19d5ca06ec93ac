from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.measure import label

from napari_pix2pix.data._instance_planes import instance_planes, take_apart
from napari_pix2pix.metrics.labels import label_counts, pool_label_scores


def same_partition(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two maps differ in the objects' numbers alone, 0 being 0 in both."""
    pairs = np.unique(np.stack([one.ravel(), other.ravel()]), axis=1)
    zeros = pairs[:, (pairs == 0).any(axis=0)]
    return len(set(pairs[0])) == pairs.shape[1] == len(set(pairs[1])) and not zeros.any()


def random_objects(rng: np.random.Generator, height: int, width: int, count: int) -> np.ndarray:
    """4-connected objects of random shapes: rectangles and lines, over one another, nested."""
    labels = np.zeros((height, width), int)
    for number in range(1, count + 1):
        top, left = rng.integers(height), rng.integers(width)
        rows, columns = rng.choice([1, 1, 2, 3, 9], 2)
        labels[top : top + rows, left : left + columns] = number * rng.integers(2, size=1)[0]
    return label(labels, background=0, connectivity=1)


@settings(deadline=None, max_examples=300)
@given(
    seed=st.integers(0, 2**31),
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    count=st.integers(0, 60),
    reach=st.integers(1, 6),
)
def test_any_map_of_connected_objects_comes_back(seed, height, width, count, reach):
    labels = random_objects(np.random.default_rng(seed), height, width, count)
    planes = instance_planes(labels, reach)
    assert planes.dtype == np.float32
    assert np.abs(planes).max() <= 1
    assert same_partition(take_apart(planes), labels)


@pytest.mark.parametrize("density", [0.3, 0.7, 1.0])
def test_single_pixels_and_their_neighbours_come_back(density):
    rng = np.random.default_rng(0)
    # Three labels at random on each pixel: thin, branched, ringed and touching objects.
    labels = label(rng.integers(1, 4, (40, 50)) * (rng.random((40, 50)) < density), connectivity=1)
    assert same_partition(take_apart(instance_planes(labels, 3)), labels)


def test_an_object_that_is_narrow_in_the_middle_stays_one():
    labels = np.zeros((30, 50), int)
    labels[5:25, 2:20] = labels[5:25, 30:48] = labels[15, 20:30] = 1
    assert take_apart(instance_planes(labels, 3)).max() == 1


def test_depth_counts_from_whatever_is_another_object_up_to_the_reach():
    labels = np.array([[0, 1, 1, 1, 1, 1, 1, 2, 2]])
    depth = (instance_planes(labels, 2)[1, 0] + 1) / 2 * 2
    # Beyond its edges a map goes on, so that object 2 is cut by none.
    assert depth.tolist() == [0, 1, 2, 2, 2, 2, 1, 1, 2]


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**31), reach=st.integers(1, 5))
def test_planes_of_a_window_differ_near_its_edge_alone(seed, reach):
    labels = random_objects(np.random.default_rng(seed), 40, 40, 40)
    whole = instance_planes(labels, reach)[:, 10:30, 10:30]
    window = instance_planes(labels[10:30, 10:30], reach)
    np.testing.assert_array_equal(whole[0], window[0])
    np.testing.assert_array_equal(whole[2, :, :-1], window[2, :, :-1])
    np.testing.assert_array_equal(whole[3, :-1], window[3, :-1])
    inner = np.s_[reach - 1 : 21 - reach, reach - 1 : 21 - reach]
    np.testing.assert_array_equal(whole[1][inner], window[1][inner])


def test_specks_vanish_or_join_what_they_touch():
    labels = np.zeros((20, 20), int)
    labels[2:10, 2:10] = 1
    labels[2:4, 10] = 2  # touches 1
    labels[15, 15] = 3  # alone
    cleaned = take_apart(instance_planes(labels, 3), smallest=3)
    np.testing.assert_array_equal(cleaned, (labels == 1) | (labels == 2))


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (5, 2)])
@pytest.mark.parametrize("value", [0, 1])
def test_constant_maps_come_back(shape, value):
    labels = np.full(shape, value)
    np.testing.assert_array_equal(take_apart(instance_planes(labels, 3)), labels)


def discs(side: int, spacing: int, radius: float) -> np.ndarray:
    """Discs on a grid; neighbours touch where the radius exceeds half the spacing."""
    rows, columns = np.mgrid[:side, :side]
    numbers = (rows // spacing) * (side // spacing + 1) + columns // spacing + 1
    y, x = rows % spacing - spacing // 2, columns % spacing - spacing // 2
    return np.where(y**2 + x**2 <= radius**2, numbers, 0)


def test_touching_discs_survive_blur_and_noise():
    labels = discs(160, 16, 8.5)[:, :128]
    rng = np.random.default_rng(0)
    planes = ndimage.gaussian_filter(instance_planes(labels, 3), (0, 1, 1))
    found = take_apart(planes + rng.normal(0, 0.2, planes.shape), smallest=5)
    assert abs(found.max() - 80) <= 2
    counts = label_counts(found, labels, kind="instances")
    assert pool_label_scores([counts])["f1"] > 0.95


@pytest.mark.parametrize("name", ["nuclei_fluorescence", "nuclei_histology"])
def test_real_nuclei_survive_blur_and_noise(name):
    folder = os.environ.get("NAPARI_PIX2PIX_DATA")
    if not folder:
        pytest.skip("NAPARI_PIX2PIX_DATA names no folder of real pairs")
    rng = np.random.default_rng(0)
    true = found = 0
    for path in sorted(Path(folder, name, "train", "target").iterdir())[::4]:
        labels = label(tifffile.imread(path), background=0, connectivity=1)
        planes = instance_planes(labels, 3)
        assert same_partition(take_apart(planes), labels)
        blurred = ndimage.gaussian_filter(planes, (0, 1, 1))
        true += labels.max()
        found += take_apart(blurred + rng.normal(0, 0.2, planes.shape), smallest=5).max()
    assert abs(found / true - 1) < 0.04


def test_all_of_many_objects_are_found():
    labels = discs(1024, 44, 20)
    assert same_partition(take_apart(instance_planes(labels, 3), 5), labels)
    assert labels.max() > 500
