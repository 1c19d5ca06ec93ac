"""Train several recipes under one budget, and compare what they reach on the same held-out part.

It is the experiment of Isola et al. 2017, section 4.2, on one's own images.
"""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from napari_pix2pix._train import held_out_pairs, training_events
from napari_pix2pix.data.pair import Pair, make_pairs
from napari_pix2pix.errors import InputError, StoppedError, own_errors
from napari_pix2pix.evaluation._comparison_report import comparison_html
from napari_pix2pix.evaluation._report import REPORT_ENDINGS
from napari_pix2pix.evaluation.result import TABLE_ENDINGS
from napari_pix2pix.inference.options import check_callable
from napari_pix2pix.io.csv_cells import text_cell
from napari_pix2pix.io.paths import as_path, check_ending, replacing
from napari_pix2pix.metrics.names import describe_score, primary_metric
from napari_pix2pix.napari_layers import read_pairs
from napari_pix2pix.napari_layers.keep_responsive import ProgressReporter, run_responsive
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.events import Control, Event, Step, interrupt_stops
from napari_pix2pix.translator import Translator

# Without another term, the discriminator has to teach from the beginning.
_ALONE = {
    "adversarial_weight": 1.0,
    "reconstruction_weight": 0.0,
    "adversarial_start": 0.0,
    "adversarial_full": 0.0,
}
_BOTH = {"adversarial_weight": 1.0, "reconstruction": "l1"}

# What the paper compares, by the names that it gives them.
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "L1": {"adversarial_weight": 0.0, "reconstruction": "l1"},
    "L2": {"adversarial_weight": 0.0, "reconstruction": "l2"},
    "GAN": {**_ALONE, "conditional": False},
    "cGAN": {**_ALONE, "conditional": True},
    "L1+GAN": {**_BOTH, "conditional": False},
    "L1+cGAN": {**_BOTH, "conditional": True},
    "encoder-decoder": {"generator": "encoder_decoder"},
    "light": {"preset": "light"},
    "reference": {"preset": "reference"},
    "paper": {"preset": "paper"},
}
DEFAULT_RECIPES = ("L1", "cGAN", "L1+cGAN")


@dataclass(frozen=True, eq=False)
class RecipeResult:
    """What one recipe has come to.

    Parameters
    ----------
    name : str
        The recipe's name, a key of `RECIPES` or one that the caller gave.
    translator : Translator
        Its model, whose ``info`` has the steps, the scores and a picture of a held-out part.
    """

    name: str
    translator: Translator

    @property
    def scores(self) -> Mapping[str, float]:
        """Scores on what was held out."""
        return self.translator.info.scores_by_side["prediction"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Recipes that were trained on the same pairs under one budget.

    Parameters
    ----------
    results : tuple of RecipeResult
        One a recipe, in the order of training.
    """

    results: tuple[RecipeResult, ...]

    @property
    def models(self) -> dict[str, Translator]:
        """The model of each recipe by its name."""
        return {result.name: result.translator for result in self.results}

    @property
    def baseline(self) -> Mapping[str, float]:
        """The scores of the baseline, which needs no network."""
        return self.results[0].translator.info.scores_by_side["baseline"]

    @property
    def scores(self) -> dict[str, Mapping[str, float]]:
        """The scores of each recipe by its name, and of the ``baseline``."""
        return {result.name: result.scores for result in self.results} | {"baseline": self.baseline}

    @property
    def best(self) -> RecipeResult:
        """The recipe with the best primary score: F1, Dice or Pearson."""
        return max(self.results, key=lambda result: _rank(primary_metric(result.scores)[1]))

    @property
    def verdict(self) -> str:
        """One sentence: the best recipe, or that none is better than the baseline."""
        best = self.best
        score = primary_metric(best.scores)[1]
        if _rank(score) > _rank(primary_metric(self.baseline)[1]):
            return f"{best.name} has the best score."
        return f"No recipe is better than the baseline; {best.name} comes closest to it."

    def best_of(self, score: str) -> str:
        """Return the name of the recipe (or ``baseline``) that is best in a score."""
        sign = 1 if describe_score(score).better == "higher" else -1
        values = {name: sign * one.get(score, math.nan) for name, one in self.scores.items()}
        return max(values, key=lambda name: _rank(values[name]))

    @own_errors()
    def to_dict(self) -> dict[str, Any]:
        """Return scores, steps and seconds by recipe, as plain values."""
        runs = {
            result.name: {
                "steps": result.translator.info.steps,
                "seconds": result.translator.info.seconds,
                "scores": dict(result.scores),
            }
            for result in self.results
        }
        return {"recipes": runs, "baseline": dict(self.baseline), "best": self.best.name}

    @own_errors()
    def to_csv(self, path: str | os.PathLike[str]) -> None:
        """Write a line for each recipe: steps, seconds and scores; a file there is replaced."""
        path = as_path(path)
        check_ending(path, *TABLE_ENDINGS, what="a table of scores")
        names = list(self.results[0].scores)
        with replacing(path) as fresh, fresh.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["recipe", "steps", "seconds", *names])
            for result in self.results:
                info = result.translator.info
                values = [result.scores.get(name, math.nan) for name in names]
                writer.writerow(
                    [text_cell(result.name), info.steps, round(info.seconds, 1), *values]
                )
            writer.writerow(["baseline", "", "", *(self.baseline.get(n, math.nan) for n in names)])

    @own_errors()
    def report(self, path: str | os.PathLike[str]) -> None:
        """Write one HTML page with the table, and a picture of each recipe."""
        path = as_path(path)
        check_ending(path, *REPORT_ENDINGS, what="a report")
        with replacing(path) as fresh:
            page = comparison_html(self.scores, self.models, self.verdict, self.best_of)
            fresh.write_text(page, encoding="utf-8")

    @own_errors()
    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Save the model of each recipe into a folder that exists; return the files."""
        paths = []
        for result in self.results:
            path = Path(folder) / model_name(result.name)
            result.translator.save(path)
            paths.append(path)
        return paths


@dataclass(frozen=True)
class RecipeEvent:
    """An event of a recipe's training."""

    recipe: str
    number: int  # from 1
    count: int  # of recipes
    event: Event

    @property
    def progress(self) -> float:
        """The share of the whole comparison that is done, from 0 to 1."""
        here = self.event.progress if isinstance(self.event, Step) else 0.0
        return (self.number - 1 + here) / self.count


@dataclass(frozen=True, eq=False)
class RecipeDone:
    """A recipe has ended."""

    result: RecipeResult
    number: int
    count: int


def model_name(recipe: str) -> str:
    """Return the name of the file that a recipe's model is saved in.

    >>> model_name("L1+cGAN")
    'L1_cGAN.safetensors'
    """
    return f"{recipe.replace('+', '_')}.safetensors"


def choose_recipes(
    names: str | Sequence[str] | Mapping[str, Mapping[str, Any]],
) -> dict[str, Mapping[str, Any]]:
    """Return the fields of recipes by name; raises `InputError` for one that does not exist."""
    given: object = names  # of whatever type the caller has it
    if isinstance(names, Mapping):
        chosen = dict(names)
    elif not isinstance(given, Sequence) or not all(isinstance(name, str) for name in given):
        raise InputError(f"recipes must be names, or fields by name, got {names!r:.60}.")
    else:
        words = names.split(",") if isinstance(names, str) else names
        known = {_plain(name): name for name in RECIPES}
        unknown = [word for word in words if _plain(word) not in known]
        if unknown:
            raise InputError(
                f"There is no recipe {unknown[0].strip()!r}: choose some of {', '.join(RECIPES)}."
            )
        chosen = {known[_plain(word)]: RECIPES[known[_plain(word)]] for word in words}
    if len(chosen) < 2:
        raise InputError(f"A comparison needs 2 recipes or more, got {len(chosen)}.")
    return chosen


def comparison_events(
    pairs: Sequence[Pair],
    recipes: Mapping[str, Mapping[str, Any]],
    fields: Mapping[str, Any],
    *,
    held_out: Sequence[Pair] | None = None,
    control: Control | None = None,
) -> Generator[RecipeEvent | RecipeDone, None, Comparison]:
    """Train one recipe after another: yield what happens, and return the comparison.

    If `control` stops it, the recipe in progress ends there and counts; the others are left out.
    """
    control = control or Control()
    configs = {name: TrainConfig(**{**fields, **recipe}) for name, recipe in recipes.items()}
    if not held_out and any(
        not (config.validation or config.hold_out) for config in configs.values()
    ):
        raise InputError(
            "Nothing would be held out, so there would be nothing to compare: set validation "
            "above 0, or give pairs for validation."
        )
    results: list[RecipeResult] = []
    for number, (name, config) in enumerate(configs.items(), start=1):
        events = training_events(pairs, config, held_out=held_out, control=control)
        try:
            while True:
                yield RecipeEvent(name, number, len(configs), next(events))
        except StopIteration as stop:
            translator: Translator = stop.value
        except StoppedError:
            break
        if not translator.info.scores_by_side:
            raise InputError(
                "Nothing could be held out and scored, so there is nothing to compare: give more "
                "images, or pairs with a source."
            )
        results.append(RecipeResult(name, translator))
        yield RecipeDone(results[-1], number, len(configs))
        if control.stopped:
            break
    if not results:
        raise StoppedError("Stopped before the first recipe had a model.")
    return Comparison(tuple(results))


@own_errors()
def compare_recipes(
    source: Any,
    target: Any,
    *,
    recipes: str | Sequence[str] | Mapping[str, Mapping[str, Any]] = DEFAULT_RECIPES,
    condition: Hashable | Sequence[Hashable] = None,
    mask: Any = None,
    group: Hashable | Sequence[Hashable] = None,
    channel_axis: int | None = None,
    validation: float | Sequence[Pair] | None = None,
    callback: Callable[[RecipeEvent | RecipeDone], None] | None = None,
    **fields: Any,
) -> Comparison:
    """Train several recipes on the same pairs under one budget, and compare them.

    Parameters
    ----------
    source, target, condition, mask, group, channel_axis, validation
        As in `train`.
    recipes : sequence of str, or mapping of str to fields
        Names of `RECIPES`, such as ``"L1"``, ``"cGAN"`` and ``"L1+cGAN"``; or recipes of one's
        own: a name, and the fields of `TrainConfig` that make it.
    callback : callable, optional
        Called with each `RecipeEvent` and `RecipeDone`.
    **fields
        Fields of `TrainConfig` that hold for all recipes, such as ``steps`` or ``max_seconds``:
        the budget of each.

    Returns
    -------
    Comparison
        Scores and models by recipe; it writes a table and a page with pictures.

    Raises
    ------
    InputError, ConfigError
        If a recipe does not exist, nothing is held out, or the pairs can't be trained on.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).random((96, 96)).astype("float32")
    >>> small = {"steps": 2, "width": 4, "discriminator_width": 4, "batch": 2, "patch": 32}
    >>> found = compare_recipes(image, 1 - image, recipes=["L1", "L1+cGAN"], **small)
    >>> list(found.scores)
    ['L1', 'L1+cGAN', 'baseline']
    """
    check_callable("callback", callback)
    chosen = choose_recipes(recipes)
    held_out = held_out_pairs(validation)
    if held_out is None and validation is not None:
        fields["validation"] = validation
    pairs = read_pairs(
        make_pairs(
            source,
            target,
            condition=condition,
            mask=mask,
            group=group,
            channel_axis=channel_axis,
        )
    )
    control = Control()

    def run(reporter: ProgressReporter) -> Comparison:
        events = comparison_events(pairs, chosen, fields, held_out=held_out, control=control)
        with interrupt_stops(control):
            while True:
                try:
                    event = next(events)
                except StopIteration as stop:
                    return stop.value
                if isinstance(event, RecipeEvent):
                    reporter.show(event.progress, event.recipe)
                if callback is not None:
                    reporter.call(partial(callback, event))

    return run_responsive(run, title="Comparing recipes", stop=control.stop)


def _rank(value: float) -> float:
    return -math.inf if math.isnan(value) else value


def _plain(name: str) -> str:
    """Return a name without spaces and case, so that "l1 + cgan" is found."""
    return "".join(name.lower().split())
