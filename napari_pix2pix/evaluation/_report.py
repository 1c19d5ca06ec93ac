"""The report of an evaluation: one HTML file with its pictures inside, to be mailed or printed."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING

from napari_pix2pix import __version__
from napari_pix2pix.evaluation._figures import (
    WORDS,
    show_doubt,
    show_frame,
    show_ranks,
    show_spectra,
    show_thresholds,
)
from napari_pix2pix.evaluation._uncertainty import describe, draw_doubt
from napari_pix2pix.evaluation.cases import Frame
from napari_pix2pix.evaluation.scoring import Mark
from napari_pix2pix.metrics.names import headline, name_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from napari_pix2pix.evaluation.result import Evaluation

_DPI = 130
_SHOWN_DPI = 90  # on a screen; all figures at one scale, so that their letters have one size

_LEGENDS = {
    "image": "Prediction and truth have the same contrast, the truth's. The difference is red "
    "where the prediction is too bright, blue where too dark; what does not count is gray.",
    "instances": "Labels over the source. In the difference orange is only in the prediction, and "
    "blue is missed.",
}
_LEGENDS["classes"] = f"{_LEGENDS['instances'][:-1]}; pink is another class."

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1100px; margin: 2em auto;
  padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { font-size: 1.25em; margin-top: 2em; } h3 { font-size: 1.05em; }
img { max-width: 100%; }
details th { white-space: nowrap; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 0.2em 0.9em 0.2em 0; text-align: left; vertical-align: top; }
td.number, th.number { text-align: right; }
td { white-space: pre-line; }
tbody tr { border-top: 1px solid #ddd; }
.best { font-weight: 600; } .note { color: #555; }
"""


def report_html(
    evaluation: Evaluation, samples: int, on_part: Callable[[float], None] | None = None
) -> str:
    """Compose the report.

    Parameters
    ----------
    evaluation : Evaluation
    samples : int
        How many to draw of models that can; 0 for none.
    on_part : callable, optional
        Told the part that is done.
    """
    tell = on_part or (lambda part: None)
    share = 0.5 if samples and any(exam.draw for exam in evaluation.exams) else 1.0
    shown = _chosen(evaluation.ranked)
    frames: list[tuple[str, Mark, Frame]] = []
    for done, (word, mark) in enumerate(shown.items(), start=1):
        frame = evaluation.exams[mark.exam].read(mark.frame)
        assert frame is not None  # it was scored
        frames.append((word, mark, frame))
        tell(share * done / len(shown))
    parts = [
        _opening(evaluation),
        _facts(evaluation.facts),
        _scores(evaluation),
        *_pictures(evaluation, frames),
        *_curves(evaluation, frames),
        *(_doubt(evaluation, samples, lambda part: tell(share + (1 - share) * part))),
        _images(evaluation),
        f'<p class="note">Written by napari-pix2pix {escape(__version__)}.</p>',
    ]
    tell(1.0)
    title = f"Evaluation of {escape(_title(evaluation))}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>"
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _chosen(ranked: Sequence[Mark]) -> dict[str, Mark]:
    """Choose what is shown: best, median and worst, or as many as there are."""
    if len(ranked) == 1:
        return {"The image": ranked[0]}
    chosen = {"Best": ranked[0], "Median": ranked[len(ranked) // 2], "Worst": ranked[-1]}
    if len(ranked) == 2:
        del chosen["Median"]
    return chosen


def _title(evaluation: Evaluation) -> str:
    return next(iter(evaluation.facts.values()), "a prediction")


def _opening(evaluation: Evaluation) -> str:
    name, score = headline(evaluation["prediction"])
    count = len(evaluation["images"])
    text = f"{_scored(name, score)} over {count} image{'s' if count > 1 else ''}"
    if "trivial" in evaluation:
        text += f"; the best trivial map has {_scored(*headline(evaluation['trivial']))}"
        better, known = _wins(evaluation)
        text += f". The prediction is better in {better} of {known} scores"
    return f"<h1>Evaluation of {escape(_title(evaluation))}</h1>\n<p>{text}.</p>"


def _scored(name: str, score: float) -> str:
    return f"no {name}" if math.isnan(score) else f"{name} {score:.3f}"


def _wins(evaluation: Evaluation) -> tuple[int, int]:
    sides = evaluation["prediction"], evaluation["trivial"]
    best = [_better(key, *(side.get(key, math.nan) for side in sides)) for key in sides[0]]
    return best.count(0), len(best) - best.count(None)


def _better(key: str, *values: float) -> int | None:
    """Return which of two values is better; None where they are equal or one is unknown."""
    first, second = values
    if math.isnan(first) or math.isnan(second) or first == second:
        return None
    return int((first > second) != (name_of(key).better == "higher"))


def _facts(facts: Mapping[str, str]) -> str:
    rows = [f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in facts.items()]
    return f"<h2>Model</h2>\n<table><tbody>{''.join(rows)}</tbody></table>" if rows else ""


def _scores(evaluation: Evaluation) -> str:
    sides = evaluation.sides
    rows = []
    for key in evaluation["prediction"]:
        title, tip, better = name_of(key)
        values = [evaluation[side].get(key, math.nan) for side in sides]
        best = _better(key, *values) if len(values) == 2 else None
        cells = [_cell(value, is_best=i == best) for i, value in enumerate(values)]
        if "truth" in evaluation:
            value = evaluation["truth"].get(key)
            cells.append(_cell(value) if value is not None else "<td></td>")
        note = f'<td class="note">{escape(tip)}; {better} is better</td>'
        rows.append(f"<tr><th>{escape(title)}</th>{''.join(cells)}{note}</tr>")
    columns = [*sides, "truth"] if "truth" in evaluation else sides
    head = "".join(f'<th class="number">{WORDS[side].capitalize()}</th>' for side in columns)
    reached = " Truth is what the segmenter reaches on the true images." * ("truth" in evaluation)
    return (
        f"<h2>Scores of all images together</h2>\n<table><thead><tr><th></th>{head}<th></th></tr>"
        f"</thead><tbody>{''.join(rows)}</tbody></table>\n"
        '<p class="note">The better one is bold. The trivial map is what one gets without any '
        "network: a linear fit, or Otsu's threshold for labels. – stands where a score is not "
        f"defined.{reached}</p>"
    )


def _cell(value: float, *, is_best: bool = False) -> str:
    text = "–" if math.isnan(value) else f"{value:#.4g}".rstrip(".")
    return f'<td class="number{" best" if is_best else ""}">{text}</td>'


def _pictures(evaluation: Evaluation, frames: Iterable[tuple[str, Mark, Frame]]) -> Iterable[str]:
    yield "<h2>Pictures</h2>"
    yield f'<p class="note">{_LEGENDS[evaluation.exams[0].codec.kind]}</p>'
    for word, mark, frame in frames:
        said = "; ".join(
            f"{WORDS[side]}: {_scored(*headline(mark.sides[side].scores))}" for side in mark.sides
        )
        yield f"<h3>{word}: {escape(mark.name)}</h3>\n<p>{said}.</p>"
        yield _image(show_frame(frame, evaluation.exams[mark.exam]), word)


def _curves(evaluation: Evaluation, frames: Sequence[tuple[str, Mark, Frame]]) -> Iterable[str]:
    if len(evaluation["images"]) > 1:
        yield "<h2>Image by image</h2>"
        yield _image(show_ranks(evaluation), "Scores of all images")
    if "f1_55" in evaluation["prediction"]:
        yield "<h2>How exact the objects are</h2>"
        yield _image(show_thresholds(evaluation), "F1 over the overlap")
    if "spectrum" in evaluation["prediction"]:
        spectra = show_spectra([(word.lower(), frame) for word, _, frame in frames])
        if spectra is not None:
            yield (
                "<h2>Power over spatial frequency</h2>\n<p>Fine detail is on the right. A curve "
                "below the truth's there means blur, one above it detail or noise that is not in "
                "the truth.</p>"
            )
            yield _image(spectra, "Radial power spectra")


def _doubt(evaluation: Evaluation, samples: int, on_part: Callable[[float], None]) -> Iterable[str]:
    if not samples or not any(exam.translate for exam in evaluation.exams):
        return
    if not any(exam.draw for exam in evaluation.exams):
        yield (
            '<p class="note">The model has neither dropout nor noise: it gives one answer, and '
            "nothing to tell where that is in doubt.</p>"
        )
        return
    yield "<h2>Do several samples tell where the error is?</h2>"
    doubt = draw_doubt(evaluation.exams, evaluation.ranked, samples, on_part)
    assert doubt is not None  # something can be drawn
    kind = evaluation.exams[0].codec.kind
    yield f"<p>{escape(doubt.calibration.verdict)}</p>"
    yield f'<p class="note">{escape(describe(doubt, kind))} Shown: {escape(doubt.name)}.</p>'
    yield _image(show_doubt(doubt), "Spread and error")


def _images(evaluation: Evaluation) -> str:
    keys, sides = list(evaluation["prediction"]), evaluation.sides
    keys = [key for key in keys if any(key in one["prediction"] for one in evaluation["images"])]
    head = "".join(
        f'<th class="number">{escape(name_of(key).title)}<br>'
        f'<span class="note">{WORDS[side]}</span></th>'
        for key in keys
        for side in sides
    )
    rows = []
    for one in evaluation["images"]:
        cells = [_cell(one[side].get(key, math.nan)) for key in keys for side in sides]
        rows.append(f"<tr><th>{escape(one['name'])}</th>{''.join(cells)}</tr>")
    return (
        "<h2>All images</h2>\n<details><summary>Scores of each</summary>"
        f'<div style="overflow-x: auto"><table><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _image(figure: Figure, says: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    data = base64.b64encode(buffer.getvalue()).decode()
    width = round(figure.get_figwidth() * _SHOWN_DPI)
    return f'<p><img alt="{escape(says)}" width="{width}" src="data:image/png;base64,{data}"></p>'
