from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.metrics.discriminant import ClassMap
from napari_pix2pix.metrics.maps import TrivialMaps, fit_trivial
from napari_pix2pix.metrics.otsu import OtsuMap
from napari_pix2pix.metrics.trivial import LinearMap


def triples(values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(0)
    source = 50 * values + rng.normal(0, 5, values.shape)
    return [(source[None], values[None], np.ones((1, *values.shape), bool))]


BLOBS = np.zeros((48, 48), np.uint16)
BLOBS[6:20, 6:20] = 1
BLOBS[26:42, 24:44] = 2


@pytest.mark.parametrize(
    ("values", "kind", "wanted"),
    [
        (BLOBS.astype(float), "image", LinearMap),
        (BLOBS, "instances", OtsuMap),
        (np.minimum(BLOBS, 1), "classes", OtsuMap),
        (BLOBS, "classes", ClassMap),
    ],
)
def test_each_kind_has_its_map_and_a_file_brings_it_back(values, kind, wanted):
    fitted = fit_trivial(triples(values), kind=kind)
    assert isinstance(fitted, wanted)
    source = triples(values)[0][0]
    again = TrivialMaps.from_dict(TrivialMaps((fitted,)).to_dict())
    np.testing.assert_array_equal(again.predict(source), fitted.predict(source))


def test_each_condition_has_its_own_map():
    rng = np.random.default_rng(0)
    source = rng.random((1, 32, 32))
    valid = np.ones((1, 32, 32), bool)
    maps = TrivialMaps(
        tuple(fit_trivial([(source, sign * source, valid)], kind="image") for sign in (1.0, -1.0))
    )
    again = TrivialMaps.from_dict(maps.to_dict())
    np.testing.assert_allclose(again.predict(source, 0), source, atol=1e-9)
    np.testing.assert_allclose(again.predict(source, 1), -source, atol=1e-9)
