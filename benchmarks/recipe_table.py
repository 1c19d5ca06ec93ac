"""The page that `recipes.py` writes: scores of each recipe on each set, and which recipe wins."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from recipe_sets import SETS

Row = dict[str, Any]  # a finished run, as `recipes.py` keeps it
BASELINE = "baseline"
_PRIMARY = {each.name: each.score for each in SETS}
_OTHERS = ("ssim", "nrmse", "spectrum", "dice")


@dataclass(frozen=True)
class Cell:
    """The scores of one recipe on one set under one budget, one a seed."""

    values: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return statistics.mean(self.values)

    @property
    def spread(self) -> float:
        """Largest minus smallest; 0 of a single run."""
        return max(self.values) - min(self.values)

    def __str__(self) -> str:
        if len(self.values) == 1:
            return f"{self.mean:.3f}"
        return f"{self.mean:.3f} ({self.spread:.3f})"


@dataclass(frozen=True)
class Budget:
    """All runs that had the same seconds, or the same steps."""

    name: str
    cells: dict[tuple[str, str], Cell] = field(default_factory=dict)  # by recipe and set

    @property
    def recipes(self) -> list[str]:
        """Recipes in the order in which they were run."""
        return list(dict.fromkeys(recipe for recipe, _ in self.cells if recipe != BASELINE))

    @property
    def sets(self) -> list[str]:
        """Sets with any run, in the order of the module of sets."""
        found = {name for _, name in self.cells}
        return [each.name for each in SETS if each.name in found]

    def sets_of(self, recipe: str) -> list[str]:
        """Return the sets that a recipe was run on."""
        return [name for name in self.sets if (recipe, name) in self.cells]

    def first(self, name: str) -> Cell:
        """Return the best cell of a set."""
        cells = [
            self.cells[recipe, name] for recipe in self.recipes if name in self.sets_of(recipe)
        ]
        return max(cells, key=lambda cell: cell.mean)

    def gap(self, recipe: str, name: str) -> tuple[float, float]:
        """Return how far a recipe lies behind the first of a set, and what seeds explain.

        Seeds explain the larger of the two recipes' spreads.
        """
        own, first = self.cells[recipe, name], self.first(name)
        return first.mean - own.mean, max(first.spread, own.spread)


def page(rows: list[Row], head: str) -> str:
    """Return the page as Markdown."""
    lines = [head.strip(), ""]
    rows = [row for row in rows if "=" not in row["recipe"]]  # no variants
    for budget in budgets(rows):
        lines += ["", f"## {budget.name}", "", *_score_table(budget), "", *_rank_table(budget)]
    lines += ["", "## Other scores", "", *_other_table(rows)]
    return "\n".join(lines) + "\n"


def budgets(rows: list[Row]) -> list[Budget]:
    """Sort the runs by budget, seconds first."""
    keys = sorted({(row.get("seconds") or 0, row.get("steps") or 0) for row in rows})
    return [Budget(_name(*key), _cells(list(_of_budget(rows, *key)))) for key in keys]


def _name(seconds: float, steps: int) -> str:
    return f"{seconds:.0f} CPU seconds" if seconds else f"{steps} steps"


def _of_budget(rows: list[Row], seconds: float, steps: int) -> Iterator[Row]:
    for row in rows:
        if (row.get("seconds") or 0, row.get("steps") or 0) == (seconds, steps):
            yield row


def _cells(rows: list[Row]) -> dict[tuple[str, str], Cell]:
    values: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        score = _PRIMARY[row["set"]]
        values.setdefault((row["recipe"], row["set"]), []).append(row["prediction"][score])
        values[BASELINE, row["set"]] = [row["baseline"][score]]
    return {key: Cell(tuple(scores)) for key, scores in values.items()}


def _score_table(budget: Budget) -> list[str]:
    """Recipes are columns: there are fewer of them than sets."""
    columns = [*budget.recipes, BASELINE]
    lines = [f"| set | score | {' | '.join(columns)} |", "|---" * (len(columns) + 2) + "|"]
    for name in budget.sets:
        best = budget.first(name)
        cells = [budget.cells.get((recipe, name)) for recipe in columns]
        texts = [f"**{cell}**" if cell is best else str(cell or "-") for cell in cells]
        lines.append(f"| {name} | {_PRIMARY[name]} | {' | '.join(texts)} |")
    means = [_mean(budget, recipe) for recipe in columns]
    return [*lines, f"| mean | | {' | '.join(means)} |"]


def _mean(budget: Budget, recipe: str) -> str:
    """Return the mean over the sets, which only a recipe that was run on all has."""
    if budget.sets_of(recipe) != budget.sets:
        return "-"
    return f"{statistics.mean(budget.cells[recipe, name].mean for name in budget.sets):.3f}"


def _rank_table(budget: Budget) -> list[str]:
    lines = [
        "| recipe | first or within the spread | largest gap to the first | above the baseline |"
    ]
    lines.append("|---|---|---|---|")
    for recipe in budget.recipes:
        sets = budget.sets_of(recipe)
        count = len(sets)
        gaps = [budget.gap(recipe, name) for name in sets]
        level = sum(gap <= spread for gap, spread in gaps)
        worst = max(range(count), key=lambda index: gaps[index][0])
        above = sum(
            budget.cells[recipe, name].mean > budget.cells[BASELINE, name].mean for name in sets
        )
        gap = f"{gaps[worst][0]:.3f} ({sets[worst]})"
        lines.append(f"| {recipe} | {level} of {count} | {gap} | {above} of {count} |")
    return lines


def _other_table(rows: list[Row]) -> list[str]:
    """Return what else `light` and the baseline have on each set, after the most seconds."""
    lines = ["| set | seconds | of | " + " | ".join(_OTHERS) + " |"]
    lines.append("|---" * (len(_OTHERS) + 3) + "|")
    for name in [each.name for each in SETS]:
        own = [row for row in rows if row["set"] == name and row["recipe"] == "light"]
        most = max((row.get("seconds") or 0 for row in own), default=0)
        runs = list(_of_budget(own, most, 0))
        for side in ("prediction", BASELINE) if runs else ():
            cells = [
                str(Cell(tuple(run[side][score] for run in runs))) if score in runs[0][side] else ""
                for score in _OTHERS
            ]
            lines.append(f"| {name} | {most:.0f} | {side} | {' | '.join(cells)} |")
    return lines
