import inspect
import pickle
import re

import numpy as np
import pytest
from helpers import run_python

from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import PredictOptions, check_size, sample_seed
from napari_pix2pix.translator import Translator


def test_declaration_is_that_of_the_call():
    arguments = dict(inspect.signature(Translator.__call__).parameters)
    for name in ("self", "image", "on_tile"):
        del arguments[name]
    assert {name: one.default for name, one in arguments.items()} == PredictOptions().model_dump()


def test_a_spread_takes_the_same_but_what_it_chooses():
    arguments = dict(inspect.signature(Translator.spread).parameters)
    for name in ("self", "image", "n", "quantiles", "on_tile"):
        del arguments[name]
    fields = PredictOptions().model_dump(exclude={"samples", "output"})
    assert {name: one.default for name, one in arguments.items()} == fields


def test_torch_is_not_needed_to_choose():
    assert "torch" not in run_python(
        "import sys, napari_pix2pix.inference.options; print(*sys.modules)"
    )


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"precision": "half"}, "precision must be '32-true' or 'bf16-mixed', got 'half'"),
        ({"samples": 0}, "samples must be 1 or more, got 0"),
        ({"samples": 1.5}, "samples must be an integer, got 1.5"),
        ({"samples": None}, "samples must be an integer, got None"),
        ({"seed": "a"}, "seed must be an integer, got 'a'"),
        ({"seed": -1}, "seed must be 0 or more, got -1"),
        ({"tile": 3.5}, "tile must be an integer, got 3.5"),
        ({"tile": "a"}, "tile must be an integer, got 'a'"),
        ({"tile": -4}, "tile must be 0 or more, got -4"),
        ({"batch": 2.5}, "batch must be an integer, got 2.5"),
        ({"batch": 0}, "batch must be 1 or more, got 0"),
        ({"output": "flaot"}, "output must be 'target' or 'float', got 'flaot'"),
        ({"norm_statistics": "both"}, "'running' or 'per-image', got 'both'"),
        ({"dropout": "perhaps"}, "dropout must be a valid boolean"),
        ({"condition": ["GFP"]}, "condition must be hashable, got ['GFP']"),
        ({"statistics": "image"}, "There is no option statistics: choose from condition, output"),
    ],
)
def test_refused(how, words):
    with pytest.raises(InputError, match=re.escape(words)):
        PredictOptions(**how)


def test_integers_of_any_make_are_fine():
    options = PredictOptions(tile=np.int64(32), batch=np.uint8(2), seed=2**70)
    assert (options.tile, options.batch, options.seed) == (32, 2, 2**70)


def test_the_options_of_a_sample_have_its_seed():
    options = PredictOptions(samples=3, tile=64)
    assert options.of_sample(0) == PredictOptions(seed=0, tile=64)
    assert options.of_sample(2) == PredictOptions(seed=sample_seed(0, 2), tile=64)


def test_they_can_be_sent_and_compared():
    options = PredictOptions(condition=("RFP", 2), seed=4)
    assert pickle.loads(pickle.dumps(options)) == options
    assert hash(options) == hash(PredictOptions(condition=("RFP", 2), seed=4))


def test_what_decides_the_result_is_json():
    options = PredictOptions(condition=("RFP", 2), tile=64, device="cpu", compile=True)
    assert options.deciding() == {
        "condition": ["RFP", 2],
        "dropout": False,
        "norm_statistics": "running",
        "output": "target",
        "precision": "32-true",
        "seed": 0,
        "turns": 1,
    }


@pytest.mark.parametrize("size", [7, (7, 7), [7, np.int64(7)], np.array([7, 7])])
def test_sizes(size):
    assert check_size(size) == (7, 7)


def test_sizes_of_volumes():
    assert check_size(7, 3) == (3, 7, 7)
    assert check_size((2, 7, 9), 3) == (2, 7, 9)
    with pytest.raises(InputError, match="a number of pixels or \\(planes, height, width\\)"):
        check_size((7, 7), 3)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "height must be 1 or more, got 0"),
        ((8, -1), "width must be 1 or more, got -1"),
        ((8, 8, 8), "a number of pixels or (height, width), got (8, 8, 8)"),
        ("8", "height must be an integer, got '8'"),
        ((8, None), "width must be an integer, got None"),
    ],
)
def test_sizes_that_are_none(size, words):
    with pytest.raises(InputError, match=re.escape(words)):
        check_size(size)
