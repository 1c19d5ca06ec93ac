"""What can't be learned from is refused in a sentence, before any work starts."""

import numpy as np
import pytest
from helpers import make_model

from napari_pix2pix import _train, convert, evaluate, list_models, load, train
from napari_pix2pix.corrections import learn_from_corrections
from napari_pix2pix.errors import Pix2PixError, UnexpectedError
from napari_pix2pix.evaluation.compare import Comparison, RecipeResult, compare_recipes
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io.datasets import read_aligned, read_pairs, read_table
from napari_pix2pix.io.paths import expand_paths
from napari_pix2pix.large_images import FileTranslation
from napari_pix2pix.large_images.outputs import prepare_outputs

RNG = np.random.default_rng(0)
IMAGE = RNG.random((48, 48), dtype=np.float32)
STACK = RNG.random((2, 48, 48), dtype=np.float32)
LABELS = np.kron(np.arange(9).reshape(3, 3), np.ones((16, 16), int))
NOWHERE = np.zeros((48, 48), bool)
LEFT = np.broadcast_to(np.arange(48) < 16, (48, 48))
NAN = np.full((48, 48), np.nan, np.float32)


@pytest.mark.parametrize(
    ("source", "target", "how", "sentence"),
    [
        (IMAGE, np.ones((48, 48), int), {"target_kind": "classes"}, "The target is constant"),
        (IMAGE, LABELS // 3, {"target_kind": "classes", "mask": LEFT & (LABELS < 3)}, "one value"),
        (IMAGE, LABELS // 9, {"target_kind": "instances"}, "The target is empty"),
        (IMAGE, LABELS - 1, {"target_kind": "classes"}, "negative label -1"),
        (IMAGE, LABELS - 1, {"target_kind": "instances"}, "negative label -1"),
        (IMAGE, LABELS / 2, {"target_kind": "classes"}, "whole numbers"),
        (IMAGE, LABELS / 2, {"target_kind": "instances"}, "whole numbers"),
        (IMAGE, LABELS, {"target_kind": "spots"}, "target_kind"),
        (IMAGE, np.arange(48 * 48).reshape(48, 48), {"target_kind": "classes"}, "64 classes at mo"),
        (IMAGE, LABELS % 3, {"classes": 2}, "3 classes .labels 0, 1, 2., and 2 are stated"),
        (IMAGE, (LABELS % 3, LABELS % 2), {"target_kind": "classes"}, "2 channels, but classes"),
        ((LABELS, LABELS), IMAGE, {"source_kind": "instances"}, "source_kind='image'"),
        (IMAGE, (IMAGE * 99).astype(int) + 2**60, {}, "subtract an offset"),
        (IMAGE.tolist(), IMAGE, {}, "The source is a list of lists or numbers"),
        (list(STACK), IMAGE, {}, "2 sources and 1 target: .* channels of one image are a tuple"),
        (IMAGE, STACK, {}, "frames"),
        (IMAGE, IMAGE[:40], {}, "48 x 48 pixels, the target 40 x 48"),
        (IMAGE[0], IMAGE[0], {}, "at least the axes Y and X"),
        ([STACK, STACK[:1]], [IMAGE] * 2, {"channel_axis": 0}, "has 1 channel of float32"),
        ([IMAGE] * 2, [STACK, (IMAGE, IMAGE, None)], {"channel_axis": 0}, "has 3 channels"),
        (IMAGE, IMAGE, {"mask": NOWHERE}, "the masks leave nothing"),
        (IMAGE, NAN, {}, "holds no finite pixel"),
        (NAN, IMAGE, {}, "holds no finite pixel"),
        (IMAGE, (NAN, IMAGE), {}, "Channel 0 of the target has no finite pixel"),
        (IMAGE, (IMAGE, None), {}, "Channel 1 of the target has no finite pixel"),
        (IMAGE, (None, None), {}, "nothing but None"),
        ((IMAGE, IMAGE * 0), IMAGE, {}, "Channel 1 of the source is constant"),
        ([IMAGE] * 2, [IMAGE] * 2, {"condition": ["a", None]}, "give one to each"),
        ([IMAGE] * 2, [IMAGE], {}, "2 sources and 1 target"),
    ],
)
def test_refused_before_any_work(monkeypatch, source, target, how, sentence):
    def work(*_):
        raise AssertionError("a network was built")

    monkeypatch.setattr(_train, "build_state", work)
    with pytest.raises(Pix2PixError, match=sentence):
        train(source, target, patch=32, steps=1, validation=0.0, device="cpu", **how)


class _Hostile:
    """Raises an error of its own, whatever it is asked."""

    def __getattribute__(self, name):
        if name == "__class__":
            return object.__getattribute__(self, name)
        raise ZeroDivisionError(name)

    def __repr__(self):
        raise ZeroDivisionError

    __str__ = __hash__ = __eq__ = __bool__ = __len__ = __iter__ = __fspath__ = __array__ = __repr__


@pytest.fixture(scope="module")
def doors():
    """What a user calls from Python, each with something that raises an error of its own."""
    model, bad = make_model(IMAGE, 1 - IMAGE), _Hostile()
    unsourced = make_model(None, IMAGE, adversarial_weight=1.0)
    evaluation = evaluate(model, IMAGE, 1 - IMAGE)
    comparison = Comparison((RecipeResult("L1", model),))
    files = FileTranslation(model, PredictOptions())
    return {
        "train": lambda: train(IMAGE, IMAGE, condition=[bad]),
        "load": lambda: load(bad),
        "convert": lambda: convert(model, bad),
        "list_models": lambda: list_models(bad),
        "evaluate": lambda: evaluate(model, IMAGE, bad),
        "evaluate's to_csv": lambda: evaluation.to_csv(bad),
        "evaluate's report": lambda: evaluation.report(bad),
        "compare_recipes": lambda: compare_recipes(IMAGE, bad),
        "its to_csv": lambda: comparison.to_csv(bad),
        "its report": lambda: comparison.report(bad),
        "its save": lambda: comparison.save(bad),
        "learn_from_corrections": lambda: learn_from_corrections(model, IMAGE, bad, bad),
        "a translator": lambda: model(bad),
        "its options": lambda: model(IMAGE, condition=bad),
        "its spread": lambda: model.spread(bad, turns=8),
        "its sample": lambda: unsourced.sample(size=bad),
        "its discriminator_map": lambda: model.discriminator_map(IMAGE, bad),
        "its unlikeness_map": lambda: model.unlikeness_map(bad),
        "its with_weights": lambda: model.with_weights(bad),
        "its describe": lambda: model.describe(authors=bad),
        "its save as a file": lambda: model.save(bad),
        "its export": lambda: model.export(bad),
        "read_pairs": lambda: read_pairs(bad, bad),
        "read_table": lambda: read_table(bad),
        "read_aligned": lambda: read_aligned(bad),
        "expand_paths": lambda: expand_paths(bad),
        "prepare_outputs": lambda: prepare_outputs(bad, [bad], bad, [], model=None),
        "files": lambda: files.apply(bad, [bad]),
        "maps of files": lambda: files.write_unlikeness(bad, bad),
    }


def test_what_nobody_foresaw_is_an_error_of_ours_at_each_door(doors):
    """One list for all doors, so that a new one is added to it."""
    for name, door in doors.items():
        with pytest.raises(Pix2PixError) as caught:
            door()
        foreseen = not isinstance(caught.value, UnexpectedError)
        assert foreseen or isinstance(caught.value.__cause__, ZeroDivisionError), name


def test_what_the_functions_of_the_caller_raise_is_theirs():
    def fails(_):
        raise LookupError("mine")

    model = make_model(IMAGE, 1 - IMAGE)
    for how in ({"segmenter": fails}, {"features": fails}):
        with pytest.raises(LookupError, match="mine"):
            evaluate(model, IMAGE, 1 - IMAGE, **how)


@pytest.mark.parametrize(
    "how", [{"recipes": 5}, {"recipes": [1]}, {"validation": [1]}, {"callback": "x"}]
)
def test_comparisons_refuse_odd_arguments(how):
    with pytest.raises(Pix2PixError, match=rf"{next(iter(how))} must be"):
        compare_recipes(IMAGE, 1 - IMAGE, **{"recipes": ["L1", "GAN"], "steps": 1, **how})
