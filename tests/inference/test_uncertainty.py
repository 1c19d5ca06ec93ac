import numpy as np
import pytest

from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.uncertainty import Draws, Spread, parse_quantiles, summarise


def test_draws_have_their_mean_deviation_and_median():
    draws = Draws([0.5])
    for value in (1.0, 2.0, 6.0):
        draws.add(np.full((1, 1, 1), value, np.float32))
    assert [float(part.item()) for part in draws.spread()] == [3.0, 2.6457512378692627, 2.0]


def test_a_summary_holds_what_is_asked_for():
    summary = summarise(lambda levels: Spread(1, 2, levels), ["q5", "mean"])
    assert summary == {"q5": 0.05, "mean": 1}


def test_quantiles_are_read_as_levels():
    assert parse_quantiles(" q5, q50,q97.5") == (0.05, 0.5, 0.975)
    assert parse_quantiles("") == ()


@pytest.mark.parametrize("text", ["mean", "0.05", "q101", "qnan", "q5,q5.0"])
def test_other_words_are_no_quantiles(text):
    with pytest.raises(InputError, match=r"a list such as q5,q95 .* got"):
        parse_quantiles(text)
