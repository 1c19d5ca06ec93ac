import numpy as np
import pytest
from helpers import noise
from napari.layers import Image, Labels

from napari_pix2pix.napari_layers import KEY, MAP
from napari_pix2pix.widgets.common.last_result import find_last_result


def made_of(layer: Image, **record) -> Image:
    record = {"source_id": str(layer.unique_id), "source": layer.name, **record}
    return Image(noise(32, 32), name="made", metadata={KEY: record})


@pytest.fixture
def source():
    return Image(noise(32, 32), name="phase")


def test_nothing_is_found_without_a_result(source):
    assert find_last_result([source, Image(noise(32, 32))]) is None


def test_truth_is_the_uppermost_layer_of_its_kind_at_its_place(source):
    truth, made = Image(noise(32, 32)), made_of(source)
    away = Image(noise(32, 32), translate=(100, 0))
    others = [away, Labels(np.ones((32, 32), int)), Image(noise(2, 32, 32))]
    heat = Image(noise(32, 32), metadata={MAP: "unlikeness"})
    found = find_last_result([Image(noise(32, 32)), truth, source, *others, heat, made])
    assert (found.predictions, found.source, found.truths) == ((made,), source, (truth,))
    assert find_last_result([source, made]).truths == ()


def test_truth_has_the_name_of_the_channel_where_a_layer_has_it(source):
    truth, other = Image(noise(32, 32), name="DAPI"), Image(noise(32, 32), name="MAP2")
    made = made_of(source, channel_names=["DAPI"])
    assert find_last_result([source, truth, other, made]).truths == (truth,)


def test_other_sources_of_the_model_are_not_the_truth(source):
    second, truth = Image(noise(32, 32), name="stain"), Image(noise(32, 32), name="t")
    made = made_of(source, source="phase + stain")
    assert find_last_result([truth, source, second, made]).truths == (truth,)


def test_each_channel_has_the_truth_of_its_name_or_none_has(source):
    names = "DAPI", "MAP2"
    made = [made_of(source, channel=n, channel_names=[names[n]], digest="d", shown="",
                    condition=None) for n in (1, 0)]  # fmt: skip
    truths = [Image(noise(32, 32), name=name) for name in names]
    found = find_last_result([source, *truths[::-1], *made])
    assert found.predictions == (made[1], made[0])
    assert found.truths == tuple(truths)
    assert find_last_result([source, truths[0], *made]).truths == ()


def test_a_result_that_is_meant_goes_before_the_uppermost(source):
    first, second = made_of(source), made_of(source)
    assert find_last_result([source, first, second]).predictions == (second,)
    assert find_last_result([source, first, second], among=[first]).predictions == (first,)
