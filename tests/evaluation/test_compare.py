import csv
from dataclasses import replace

import pytest
from helpers import TINY, noise

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError, StoppedError
from napari_pix2pix.evaluation.compare import (
    RECIPES,
    Comparison,
    RecipeDone,
    choose_recipes,
    compare_recipes,
    comparison_events,
)
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Control
from napari_pix2pix.translator import Translator

IMAGE = noise(96, 96)
FIELDS = TINY | {"steps": 2}


@pytest.fixture(scope="module")
def found():
    return compare_recipes(IMAGE, 1 - IMAGE, **FIELDS)


def test_recipes_differ_in_their_terms_alone(found):
    configs = {name: model.config for name, model in found.models.items()}
    assert list(configs) == ["L1", "cGAN", "L1+cGAN"]
    weights = {n: (c.reconstruction_weight, c.adversarial_weight) for n, c in configs.items()}
    assert weights == {"L1": (100, 0), "cGAN": (0, 1), "L1+cGAN": (100, 1)}
    assert {config.steps for config in configs.values()} == {2}


def test_scores_stand_beside_one_baseline(found):
    assert list(found.scores) == ["L1", "cGAN", "L1+cGAN", "baseline"]
    assert found.best_of("pearson") == "baseline"  # the target is linear in the source
    assert found.best.name in found.models
    values = {name: one["l1"] for name, one in found.scores.items()}
    assert found.best_of("l1") == min(values, key=values.get)


def test_verdict_says_whether_any_recipe_is_better_than_the_baseline(found):
    name = found.best.name
    assert found.verdict == f"No recipe is better than the baseline; {name} comes closest to it."
    info = found.best.translator.info
    worse = replace(info.scores, baseline=dict.fromkeys(info.scores.baseline, -1.0))
    results = [
        replace(one, translator=Translator(one.translator.tensors, replace(info, scores=worse)))
        for one in found.results
        if one.name == name
    ]
    assert Comparison(tuple(results)).verdict == f"{name} has the best score."


def test_table_page_and_models_are_written(found, tmp_path):
    found.to_csv(tmp_path / "scores.csv")
    with (tmp_path / "scores.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert [row[0] for row in rows] == ["recipe", "L1", "cGAN", "L1+cGAN", "baseline"]
    found.report(tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3
    saved = found.save(tmp_path)
    assert [path.name for path in saved] == [
        "L1.safetensors",
        "cGAN.safetensors",
        "L1_cGAN.safetensors",
    ]


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_a_config(name):
    config = TrainConfig(**RECIPES[name])
    assert all(getattr(config, key) == value for key, value in RECIPES[name].items())


def test_recipes_of_ones_own_and_wrong_names():
    assert list(choose_recipes(" l1 + CGAN,L2")) == ["L1+cGAN", "L2"]
    own = {"thin": {"width": 4}, "wide": {"width": 8}}
    assert choose_recipes(own) == own
    with pytest.raises(InputError, match="There is no recipe 'L3'"):
        choose_recipes(["L1", "L3"])
    with pytest.raises(InputError, match="needs 2 recipes or more, got 1"):
        choose_recipes("L1")


def drain(events, control):
    """Stop after the first recipe, and return the comparison."""
    while True:
        try:
            if isinstance(next(events), RecipeDone):
                control.stop()
        except StopIteration as ended:
            return ended.value


def test_stopping_keeps_what_was_trained():
    control = Control()
    pairs, recipes = [Pair(IMAGE, 1 - IMAGE)], choose_recipes("L1,L2,cGAN")
    events = comparison_events(pairs, recipes, FIELDS, control=control)
    assert list(drain(events, control).models) == ["L1"]
    with pytest.raises(StoppedError, match="before the first recipe"):
        list(comparison_events(pairs, recipes, FIELDS, control=control))


def test_nothing_held_out_is_refused():
    with pytest.raises(InputError, match="set validation above 0"):
        compare_recipes(IMAGE, 1 - IMAGE, validation=0.0, **FIELDS)
