"""Whether values rank errors."""

import math

import numpy as np
import pytest

from napari_pix2pix.errors import InputError
from napari_pix2pix.metrics.ranking import rank_errors


def test_known_rankings():
    errors = np.arange(100.0)
    assert rank_errors(errors**3, errors).auroc == 1
    assert rank_errors(errors**3, errors).correlation == pytest.approx(1)
    assert rank_errors(-errors, errors).auroc == 0
    drawn = np.random.default_rng(0).random((2, 5000))
    assert rank_errors(*drawn).auroc == pytest.approx(0.5, abs=0.05)


def test_few_errors_and_ties_are_counted_by_their_size_not_their_place():
    few = np.zeros(100)
    few[[3, 40]] = 2, 1  # fewer than a tenth: the other eight of the tenth are not wrong
    assert rank_errors(few > 0, few).auroc == 1
    ties = np.repeat([0.0, 1.0], [70, 30])
    assert rank_errors(ties, ties).auroc == 1
    turned = np.random.default_rng(2).permutation(100)
    assert rank_errors(np.arange(100)[turned], ties[turned]).auroc == 1


@pytest.mark.parametrize(
    ("noise", "words"), [(0, "tells where"), (120, "only hints at"), (1e4, "does not tell")]
)
def test_the_conclusion_is_in_words(noise, words):
    errors = np.arange(200.0)
    values = errors + noise * np.random.default_rng(1).standard_normal(200)
    assert rank_errors(values, errors).conclusion.startswith(words)


def test_nothing_to_tell():
    ranking = rank_errors(np.ones(5), np.arange(5))
    assert math.isnan(ranking.auroc)
    assert "nothing to tell" in ranking.conclusion
    with pytest.raises(InputError, match="number of values is 2 and the number of errors 3"):
        rank_errors(np.ones(2), np.ones(3))
