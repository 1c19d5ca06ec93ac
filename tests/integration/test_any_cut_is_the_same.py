"""Whole, tiles, chunks and blocks agree for each preset's network, with neighbours in a stack."""

from typing import get_args

import numpy as np
import pytest
from helpers import let_all_levels_count, noise
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix import Translator, train
from napari_pix2pix.data.box import Box
from napari_pix2pix.data.inputs import open_source_image
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.training.config import Preset

SLIM = {"width": 4, "steps": 1, "batch": 1, "validation": 0.0, "adversarial_weight": 0.0}


@pytest.fixture(scope="module", params=get_args(Preset))
def model(request):
    """A preset's network at its full depth, with weights that let all of its levels count."""
    stack = noise(3, 256, 256, seed=(3, 256, 256))
    made = train(stack, 1 - stack, preset=request.param, z_context=1, device="cpu", **SLIM)
    let_all_levels_count(made.generator)
    return made


def cut(model: Translator, stack: np.ndarray, box: Box, frame: int) -> np.ndarray:
    codec = model.source_codec
    planes = open_source_image(stack, codec.layout, codec.channels, model.config.z_context)
    return model.predict_region(planes, frame, box, PredictOptions(output="float"))[0]


@settings(deadline=None, max_examples=3)
@given(data=st.data())
def test_however_a_stack_is_cut_the_answer_is_the_same(model, data):
    import dask.array as da

    stride, halo = model.generator.stride, model.generator.halo
    # Long enough that windows see less than the whole, and short across.
    height = data.draw(st.integers(2 * halo + stride + 1, 3 * halo + 2 * stride))
    width = data.draw(st.integers(1, stride))
    frames = 2  # the fewest that have a neighbour
    stack = noise(frames, height, width, seed=(frames, height, width))
    whole = model(stack, tile=0, output="float")
    assert whole.std() > 1e-3 * model.target_codec.data_range[0]
    tiles = model(stack, tile=data.draw(st.integers(1, 2 * stride)), output="float",
                  batch=data.draw(st.integers(1, 3)))  # fmt: skip
    chunk = data.draw(st.integers(stride // 2, 2 * stride))
    chunks = np.asarray(model(da.from_array(stack, chunks=(1, chunk, chunk)), output="float"))
    frame, top = data.draw(st.integers(0, frames - 1)), data.draw(st.integers(0, height - 1))
    box = Box(top, data.draw(st.integers(top + 1, height)), width // 2, width)
    block = cut(model, stack, box, frame)
    unit = model.target_codec.data_range[0] / 2  # the network's range is 2
    for part, same in (
        (tiles, whole),
        (chunks, whole),
        (block, whole[frame, box.rows, box.columns]),
    ):
        assert np.abs(part - same).max() <= 1e-5 * unit
