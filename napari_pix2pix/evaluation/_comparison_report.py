"""The page of a comparison of recipes: a table, and a picture of each."""

from __future__ import annotations

import base64
import io
import math
from html import escape
from typing import TYPE_CHECKING, Any

from napari_pix2pix import __version__
from napari_pix2pix.evaluation._report import STYLE
from napari_pix2pix.metrics.names import describe_score

if TYPE_CHECKING:
    from napari_pix2pix.evaluation.compare import Comparison, RecipeResult

_HEIGHT = 192  # pixels of a picture on the screen


def comparison_html(comparison: Comparison) -> str:
    """Compose the page."""
    best = comparison.best
    info = best.translator.info
    introduction = (
        f"<p>{escape(info.summary)}. Each recipe had the same budget, the same pairs, the same "
        f"seed and the same held-out part. <b>{escape(best.name)}</b> has the best score.</p>"
    )
    parts = [
        "<h1>Comparison of recipes</h1>",
        introduction,
        _table(comparison),
        "<h2>A held-out part</h2>",
        *map(_picture, comparison.results),
        '<p class="note">From left to right: source, prediction, truth.</p>',
        f'<p class="note">Written by napari-pix2pix {escape(__version__)}.</p>',
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<title>Comparison of recipes</title>"
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _table(comparison: Comparison) -> str:
    names = list(comparison.results[0].scores)
    best = {name: comparison.best_of(name) for name in names}
    head = "".join(
        f'<th class="number" title="{escape(describe_score(name).tip)}">'
        f"{escape(describe_score(name).title)}</th>"
        for name in names
    )
    rows = []
    runs = {result.name: result.translator.info for result in comparison.results}
    for recipe, scores in comparison.scores.items():
        cells = "".join(
            f'<td class="number{" best" if best[name] == recipe else ""}">'
            f"{_number(scores.get(name, math.nan))}</td>"
            for name in names
        )
        info: Any = runs.get(recipe)
        cost = "" if info is None else f"{info.steps} steps, {info.seconds:.0f} s"
        rows.append(f'<tr><th>{escape(recipe)}</th><td class="note">{cost}</td>{cells}</tr>')
    return (
        f"<table><thead><tr><th>Recipe</th><th></th>{head}</tr></thead>"
        f"<tbody>{''.join(rows)}</tbody></table>"
        '<p class="note">The best of each column is bold.</p>'
    )


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.3g}"


def _picture(result: RecipeResult) -> str:
    import imageio.v3 as iio

    thumbnail = result.translator.info.thumbnail
    if thumbnail is None:
        return ""
    buffer = io.BytesIO()
    iio.imwrite(buffer, thumbnail, extension=".png")
    data = base64.b64encode(buffer.getvalue()).decode()
    return (
        f"<h3>{escape(result.name)}</h3>\n"
        f'<p><img alt="{escape(result.name)}: source, prediction, truth" height="{_HEIGHT}" '
        f'style="image-rendering: pixelated" src="data:image/png;base64,{data}"></p>'
    )
