"""Layers with everything that an output has to keep, one by one."""

from collections.abc import Callable

import dask.array
import numpy as np
import pytest
import zarr
from napari.layers import Image, Labels, Layer

SHAPE = (24, 32)


def values(*shape: int, dtype: str = "uint16") -> np.ndarray:
    return np.random.default_rng(0).integers(0, 200, shape or SHAPE).astype(dtype)


def plain(**keywords) -> Layer:
    return Image(values(), rgb=False, name="source", **keywords)


def stack(*frames: int, **keywords) -> Layer:
    return Image(values(*frames, *SHAPE), rgb=False, name="source", **keywords)


AFFINE = np.array([[0.9, 0.2, 3.0], [-0.1, 1.1, -2.0], [0.0, 0.0, 1.0]])
TZ = {
    "scale": (3.0, 2.0, 0.4, 0.3),
    "translate": (1.0, -2.0, 5.0, 7.0),
    "units": ("s", "um", "um", "um"),
    "axis_labels": ("t", "z", "y", "x"),
}

CASES: dict[str, Callable[[], Layer]] = {
    "plain": plain,
    "anisotropic scale": lambda: plain(scale=(0.5, 0.25)),
    "translate": lambda: plain(translate=(-3.5, 40.0)),
    "rotate": lambda: plain(rotate=30),
    "shear": lambda: plain(shear=[0.3]),
    "lower shear": lambda: plain(shear=np.array([[1.0, 0.0], [0.4, 1.0]])),
    "affine": lambda: plain(affine=AFFINE),
    "units": lambda: plain(scale=(0.5, 0.5), units=("um", "nm")),
    "axis labels": lambda: plain(axis_labels=("down", "across")),
    "all at once": lambda: plain(
        scale=(0.5, 0.25),
        translate=(3.0, 4.0),
        rotate=20,
        shear=[0.1],
        affine=AFFINE,
        units=("um", "um"),
        axis_labels=("y", "x"),
    ),
    "rgb": lambda: Image(values(*SHAPE, 3, dtype="uint8"), rgb=True, scale=(2, 3), name="source"),
    "rgba stack": lambda: Image(
        values(2, *SHAPE, 4, dtype="uint8"), rgb=True, translate=(1, 2, 3), name="source"
    ),
    "labels": lambda: Labels(values(), scale=(2, 3), units=("um", "um"), name="source"),
    "multiscale": lambda: Image(
        [values(), values()[::2, ::2]], multiscale=True, scale=(0.5, 0.5), name="source"
    ),
    "dask": lambda: Image(
        dask.array.from_array(values(), chunks=8),
        rgb=False,
        rotate=10,
        contrast_limits=(0, 200),
        name="source",
    ),
    "zarr": lambda: Image(zarr.array(values()), rgb=False, scale=(2, 2), name="source"),
    "t": lambda: stack(3, scale=(5, 1, 1), axis_labels=("t", "y", "x")),
    "z, as small as rgb": lambda: Image(
        values(24, 32, 3, dtype="uint8"), rgb=False, scale=(1, 1, 4), name="source"
    ),
    "t and z": lambda: stack(2, 3, **TZ),
    "t and z, rotated": lambda: stack(
        2, 3, **TZ, rotate=np.array([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, -1], [0, 0, 1, 0]])
    ),
}


@pytest.fixture(params=CASES)
def layer(request):
    return CASES[request.param]()
