"""The report of an evaluation: one HTML file that holds its pictures, to be mailed or printed."""

from __future__ import annotations

import base64
import io
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, NamedTuple

from napari_pix2pix import __version__
from napari_pix2pix.errors import InputError, plural
from napari_pix2pix.evaluation._cells import CELL
from napari_pix2pix.evaluation._figures import (
    show_frame,
    show_ranks,
    show_ring_correlations,
    show_spectra,
    show_thresholds,
    show_uncertainty,
)
from napari_pix2pix.evaluation._uncertainty import check_uncertainty
from napari_pix2pix.evaluation._unlikeness import check_unlikeness
from napari_pix2pix.evaluation.result import EvaluationResult
from napari_pix2pix.evaluation.scoring import Frame, ImageScores, OnPart
from napari_pix2pix.io.paths import as_path, check_ending, replacing
from napari_pix2pix.metrics.names import describe_score, primary_metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT_ENDINGS = (".html", ".htm")
SAMPLES = 8  # that a report draws by default

_DPI = 130
_SHOWN_DPI = 90  # on a screen; the same for all figures, so that their letters have one size

_LEGENDS = {
    "image": "Prediction and truth have the same contrast, the truth's. The difference is red "
    "where the prediction is too bright and blue where it is too dark. Pixels that do not count "
    "are gray.",
    "instances": "Labels over the source; of a volume the plane where the truth has most of them. "
    "In the difference orange is only in the prediction, and blue only in the truth.",
}
_LEGENDS["classes"] = f"{_LEGENDS['instances'][:-1]}; pink is another class."

STYLE = """
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


class _Shown(NamedTuple):
    """An image that the report shows, such as the best."""

    title: str
    scores: ImageScores
    frame: Frame


def check_samples(samples: int) -> None:
    """Refuse a number of samples that has no spread."""
    if samples < 0 or samples == 1:
        raise InputError(f"Spread needs 2 samples or more, or 0 for none; got {samples}.")


def write_report(
    result: EvaluationResult,
    path: str | os.PathLike[str],
    *,
    samples: int = SAMPLES,
    on_part: OnPart | None = None,
) -> None:
    """Write the report in this thread; a file that was there stays intact on an error."""
    check_samples(samples)
    path = as_path(path)
    check_ending(path, *REPORT_ENDINGS, what="a report")
    with replacing(path) as fresh:
        page = report_html(result, samples, on_part)
        fresh.write_text(page, encoding="utf-8", errors="backslashreplace")


def report_html(result: EvaluationResult, samples: int, on_part: OnPart | None = None) -> str:
    """Compose the page; ``samples`` are drawn of models that give several answers."""
    report_part = on_part or (lambda part: None)
    share = 0.5 if samples and _draws(result) else 1.0
    images = _choose_shown(result.ranked)
    shown = []
    for done, (title, scores) in enumerate(images.items(), start=1):
        frame = scores.case.read(scores.number)
        assert frame is not None  # it was scored
        shown.append(_Shown(title, scores, frame))
        report_part(share * done / len(images))
    parts = [
        _summary(result),
        _model(result.facts),
        _pooled_scores(result),
        *_pictures(result, shown),
        *_curves(result, shown),
        *_uncertainty(result, samples, lambda part: report_part(share + (1 - share) * part)),
        *_unlikeness(result),
        _all_images(result),
        f'<p class="note">Written by napari-pix2pix {escape(__version__)}.</p>',
    ]
    report_part(1.0)
    title = f"Evaluation of {escape(_title(result))}"
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title>"
        f"<style>{STYLE}</style></head>\n<body>\n" + "\n".join(parts) + "\n</body></html>\n"
    )


def _draws(result: EvaluationResult) -> bool:
    return any(image.case.draw for image in result.image_scores)


def _choose_shown(ranked: Sequence[ImageScores]) -> dict[str, ImageScores]:
    """Choose the best, the median and the worst image, or as many as there are."""
    if len(ranked) == 1:
        return {"The image": ranked[0]}
    chosen = {"Best": ranked[0], "Median": ranked[len(ranked) // 2], "Worst": ranked[-1]}
    if len(ranked) == 2:
        del chosen["Median"]
    return chosen


def _title(result: EvaluationResult) -> str:
    return next(iter(result.facts.values()), "a prediction")


def _summary(result: EvaluationResult) -> str:
    images = plural(len(result.image_scores), "image")
    text = f"{_primary(result.pooled['prediction'])} over {images}"
    if "baseline" in result.pooled:
        text += f"; the baseline has {_primary(result.pooled['baseline'])}"
        sides = result.pooled["prediction"], result.pooled["baseline"]
        best = [_better(key, *(side.get(key, math.nan) for side in sides)) for key in sides[0]]
        text += f". The prediction is better in {best.count(0)} of "
        text += f"{len(best) - best.count(None)} scores"
    notes = "".join(f"\n<p>{escape(note)}</p>" for note in result.notes)
    return f"<h1>Evaluation of {escape(_title(result))}</h1>\n<p>{text}.</p>{notes}"


def _primary(scores: Mapping[str, float]) -> str:
    title, score = primary_metric(scores)
    return f"no {title}" if math.isnan(score) else f"{title} {score:.3f}"


def _better(key: str, first: float, second: float) -> int | None:
    """Return which of two values is better; None if they are equal or one is unknown."""
    if math.isnan(first) or math.isnan(second) or first == second:
        return None
    return int((first > second) != (describe_score(key).better == "higher"))


def _model(facts: Mapping[str, str]) -> str:
    rows = [f"<tr><th>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in facts.items()]
    return f"<h2>Model</h2>\n<table><tbody>{''.join(rows)}</tbody></table>" if rows else ""


def _pooled_scores(result: EvaluationResult) -> str:
    rows = []
    for key in result.pooled["prediction"]:
        title, tip, better, pooled = describe_score(key)
        values = [result.pooled[name].get(key, math.nan) for name in result.predictors]
        best = _better(key, *values) if len(values) == 2 else None
        spreads = [
            result.spread(name, key) if pooled.startswith("mean over images") else math.nan
            for name in result.predictors
        ]
        cells = [
            _cell(value, is_best=i == best, spread=spread)
            for i, (value, spread) in enumerate(zip(values, spreads, strict=True))
        ]
        if "truth" in result.pooled:
            value = result.pooled["truth"].get(key)
            cells.append(_cell(value) if value is not None else "<td></td>")
        note = f'<td class="note">{escape(tip)}; {better} is better; {pooled}</td>'
        rows.append(f"<tr><th>{escape(title)}</th>{''.join(cells)}{note}</tr>")
    head = "".join(f'<th class="number">{name.capitalize()}</th>' for name in result.pooled)
    truth = " Truth is what the segmenter reaches on the true images."
    return (
        f"<h2>Scores of all images together</h2>\n<table><thead><tr><th></th>{head}<th></th></tr>"
        f"</thead><tbody>{''.join(rows)}</tbody></table>\n"
        '<p class="note">The better value is bold; ± is the standard deviation over the images. '
        "The baseline needs no network: a linear fit for intensities, Otsu's threshold for labels "
        "(a linear classifier for more than two classes). A score without a value is shown as –."
        f"{truth * ('truth' in result.pooled)}</p>"
    )


def _cell(value: float, *, is_best: bool = False, spread: float = math.nan) -> str:
    text = "–" if math.isnan(value) else f"{value:#.4g}".rstrip(".")
    if not math.isnan(spread):
        text += f' <span class="note">± {spread:#.2g}</span>'
    return f'<td class="number{" best" if is_best else ""}">{text}</td>'


def _pictures(result: EvaluationResult, shown: Sequence[_Shown]) -> Iterator[str]:
    yield "<h2>Pictures</h2>"
    yield f'<p class="note">{_LEGENDS[result.image_scores[0].case.codec.kind]}</p>'
    for image in shown:
        scored = image.scores.scored.items()
        text = "; ".join(f"{name}: {_primary(scores.scores)}" for name, scores in scored)
        yield f"<h3>{image.title}: {escape(image.scores.name)}</h3>\n<p>{text}.</p>"
        yield _picture(show_frame(image.frame, image.scores.case), image.title)


def _curves(result: EvaluationResult, shown: Sequence[_Shown]) -> Iterator[str]:
    if len(result.image_scores) > 1:
        yield "<h2>Image by image</h2>"
        yield _picture(show_ranks(result), "Scores of all images")
    if "f1_55" in result.pooled["prediction"]:
        yield "<h2>How exact the objects are</h2>"
        yield _picture(show_thresholds(result), "F1 over the overlap")
    if "spectrum" in result.pooled["prediction"]:
        spectra = show_spectra([(image.title.lower(), image.frame) for image in shown])
        if spectra is not None:
            yield (
                "<h2>Power over spatial frequency</h2>\n<p>Fine detail is on the right. There, a "
                "curve below the truth's means blur, and a curve above it means detail or noise "
                "that is not in the truth.</p>"
            )
            yield _picture(spectra, "Radial power spectra")
        correlations = show_ring_correlations([(i.title.lower(), i.frame) for i in shown])
        if correlations is not None:
            yield (
                "<h2>Fourier ring correlation with the truth</h2>\n<p>1 means that detail of this "
                "size is the same as in the truth, 0 that it has nothing in common. The cut-off is "
                "where the curve first falls below 1/7; 1 over it is the size of the finest shared "
                "detail, in pixels.</p>"
            )
            yield _picture(correlations, "Fourier ring correlation")


def _uncertainty(result: EvaluationResult, samples: int, on_part: OnPart) -> Iterator[str]:
    if not samples or not any(image.case.translate for image in result.image_scores):
        return
    if not _draws(result):
        yield (
            '<p class="note">The model has neither dropout nor noise, and its norms measure each '
            "image, so it can't be turned: it gives one answer, and nothing shows where that "
            "answer is uncertain.</p>"
        )
        return
    check = check_uncertainty(result.ranked, samples, on_part)
    if check is None:  # none of the ranked images is of a model that draws
        return
    yield "<h2>Does the spread of samples show where the error is?</h2>"
    yield f"<p>{escape(check.calibration.conclusion)}</p>"
    yield f'<p class="note">{escape(check.description)} Shown: {escape(check.name)}.</p>'
    yield _picture(show_uncertainty(check), "Spread and error")


def _unlikeness(result: EvaluationResult) -> Iterator[str]:
    check = check_unlikeness(result.ranked)
    if check is None:
        return
    yield "<h2>Is the error where an image is unlike the training?</h2>"
    yield f"<p>The unlikeness map {escape(check.ranking.conclusion)}</p>"
    yield (
        f'<p class="note">Of {plural(check.images, "image")}, {100 * check.share:.1f} % of the '
        f"cells of {CELL} pixels lie above 1, and 1 % of the training's. It tells that an image is "
        "another kind of image, and need not tell where a usual one is wrong.</p>"
    )


def _all_images(result: EvaluationResult) -> str:
    images, predictors = result.image_scores, result.predictors
    own = {key for image in images for key in image.scored["prediction"].scores}
    keys = [key for key in result.pooled["prediction"] if key in own]
    head = "".join(
        f'<th class="number">{escape(describe_score(key).title)}<br>'
        f'<span class="note">{predictor}</span></th>'
        for key in keys
        for predictor in predictors
    )
    grouped = any(image.case.pair.group is not None for image in images)
    group_head = "<th>group</th>" if grouped else ""
    rows = []
    for image in images:
        cells = [
            _cell(image.scored[predictor].scores.get(key, math.nan))
            for key in keys
            for predictor in predictors
        ]
        of_image = "" if image.case.pair.group is None else image.case.pair.group
        group = f"<td>{escape(str(of_image))}</td>" if grouped else ""
        rows.append(f"<tr><th>{escape(image.name)}</th>{group}{''.join(cells)}</tr>")
    return (
        "<h2>All images</h2>\n<details><summary>Scores of each</summary>"
        f'<div style="overflow-x: auto"><table><thead><tr><th></th>{group_head}{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></details>"
    )


def _picture(figure: Figure, text: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI)
    data = base64.b64encode(buffer.getvalue()).decode()
    width = round(figure.get_figwidth() * _SHOWN_DPI)
    return f'<p><img alt="{escape(text)}" width="{width}" src="data:image/png;base64,{data}"></p>'
