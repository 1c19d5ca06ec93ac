import numpy as np

from napari_pix2pix.inference.uncertainty import Draws, Spread, summarise


def test_draws_have_their_mean_deviation_and_median():
    draws = Draws([0.5])
    for value in (1.0, 2.0, 6.0):
        draws.add(np.full((1, 1, 1), value, np.float32))
    assert [float(part.item()) for part in draws.spread()] == [3.0, 2.6457512378692627, 2.0]


def test_a_summary_holds_what_is_asked_for():
    summary = summarise(lambda levels: Spread(1, 2, levels), ["q5", "mean"])
    assert summary == {"q5": 0.05, "mean": 1}
