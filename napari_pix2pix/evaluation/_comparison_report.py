"""The page of a comparison of recipes: a table, and a picture of each."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from html import escape
from typing import TYPE_CHECKING

from napari_pix2pix import __version__
from napari_pix2pix.evaluation._report import STYLE
from napari_pix2pix.metrics.names import describe_score

if TYPE_CHECKING:
    from napari_pix2pix.training.model_info import ModelInfo
    from napari_pix2pix.translator import Translator

_HEIGHT = 192  # pixels of a picture on the screen


def comparison_html(
    scores: Mapping[str, Mapping[str, float]],
    models: Mapping[str, Translator],
    verdict: str,
    best_of: Callable[[str], str],
) -> str:
    """Compose the page.

    ``scores`` are those of each recipe and of the baseline, ``models`` those of the recipes;
    ``verdict`` is a sentence on the best recipe, and ``best_of`` names the best in a score.
    """
    pairs = next(iter(models.values())).info.summary
    introduction = (
        f"<p>{escape(pairs)}. Each recipe had the same budget, the same pairs, "
        f"the same seed and the same held-out part. <b>{escape(verdict)}</b></p>"
    )
    parts = [
        "<h1>Comparison of recipes</h1>",
        introduction,
        _table(scores, models, best_of),
        "<h2>A held-out part</h2>",
        *(_picture(name, model.info) for name, model in models.items()),
        '<p class="note">From left to right: source, prediction, truth.</p>',
        f'<p class="note">Written by napari-pix2pix {escape(__version__)}.</p>',
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<title>Comparison of recipes</title>"
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _table(
    scores: Mapping[str, Mapping[str, float]],
    models: Mapping[str, Translator],
    best_of: Callable[[str], str],
) -> str:
    names = list(scores[next(iter(models))])
    best = {name: best_of(name) for name in names}
    head = "".join(
        f'<th class="number" title="{escape(describe_score(name).tip)}">'
        f"{escape(describe_score(name).title)}</th>"
        for name in names
    )
    rows = []
    for recipe, values in scores.items():
        cells = "".join(
            f'<td class="number{" best" if best[name] == recipe else ""}">'
            f"{_number(values.get(name, math.nan))}</td>"
            for name in names
        )
        cost = ""
        if recipe in models:
            info = models[recipe].info
            cost = f"{info.steps} steps, {info.seconds:.0f} s"
        rows.append(f'<tr><th>{escape(recipe)}</th><td class="note">{cost}</td>{cells}</tr>')
    return (
        f"<table><thead><tr><th>Recipe</th><th></th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
        '<p class="note">The best of each column is bold.</p>'
    )


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _picture(name: str, info: ModelInfo) -> str:
    import imagecodecs

    if info.thumbnail is None:
        return ""
    data = base64.b64encode(imagecodecs.png_encode(info.thumbnail)).decode()
    return (
        f"<h3>{escape(name)}</h3>\n"
        f'<p><img alt="{escape(name)}: source, prediction, truth" height="{_HEIGHT}" '
        f'style="image-rendering: pixelated" src="data:image/png;base64,{data}"></p>'
    )
