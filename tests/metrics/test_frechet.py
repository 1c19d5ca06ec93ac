from __future__ import annotations

import numpy as np
import pytest

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.summary import frechet_distance


def test_normal_distributions_on_a_line() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (500, 1)), rng.normal(5, 3, (400, 1))
    expected = (first.mean() - second.mean()) ** 2 + (first.std(ddof=1) - second.std(ddof=1)) ** 2
    assert frechet_distance(first, second) == pytest.approx(expected)


def test_it_is_0_for_the_same_and_symmetric_with_fewer_rows_than_columns() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(0, 1, (5, 12)), rng.normal(1, 2, (7, 12))
    assert frechet_distance(first, first) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(first, second) == pytest.approx(frechet_distance(second, first))
    assert frechet_distance(first, second) > 1


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        (np.zeros((1, 3)), np.zeros((4, 3)), r"\(1, 3\) and \(4, 3\).*2 images"),
        (np.zeros((4, 2)), np.zeros((4, 3)), "same number of columns"),
        (np.zeros(4), np.zeros(4), r"\(4,\)"),
        (np.full((4, 2), np.nan), np.zeros((4, 2)), "NaN"),
    ],
)
def test_what_is_no_table_is_refused(first: np.ndarray, second: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words):
        frechet_distance(first, second)
