"""How many unlike cells are usual, and when that is said."""

import numpy as np
import pytest

from napari_pix2pix.training._unlike_shares import UnlikeShares
from napari_pix2pix.training.unlikeness import largest_share


def shares(cells=2000, most=0.02, held_out=0.03):
    return UnlikeShares(cells, most, held_out)


def test_twice_the_most_of_a_training_window_is_too_much():
    assert shares().limit == 0.05
    assert shares(most=0.1).limit == 0.2
    assert shares(most=1.0).warning({0: 0.6})
    assert shares().warning({0: 0.05}) == ""
    assert shares().warning({}) == ""
    assert shares().warning({7: 0.34}).startswith("34 % of the image is unlike the training images")
    assert "of frame 6 is" in shares().warning({5: 0.01, 6: 0.5, 7: 0.4})


def test_few_cells_warn_nobody():
    assert shares(cells=900).warning({0: 1.0}) == ""
    assert "warns of no image, since 900 cells are too few" in shares(cells=900).note
    assert "warns of no image" not in shares().note


def test_a_few_odd_cells_do_not_say_what_is_usual():
    odd, usual = np.full(99, 2, np.float32), np.repeat(np.float32([0, 2]), [95, 5])
    assert largest_share([odd, usual]) == 0.05
    assert largest_share([odd]) == 0


@pytest.mark.parametrize(("held_out", "words"), [(0.03, "and 97.0 % of the held"), (None, "1.")])
def test_the_note_says_how_often_held_out_cells_are_unlike(held_out, words):
    assert words in shares(held_out=held_out).note
