"""The command ``evaluate``: scores of a model, as text, JSON, CSV and a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_pix2pix.cli._options import (
    PATH,
    axes_option,
    condition_of,
    condition_option,
    json_option,
    overwrite_option,
)
from napari_pix2pix.cli._output import check_output, say_result, score_table
from napari_pix2pix.cli._pairs import aligned_options, pairs_options, read_given_pairs
from napari_pix2pix.errors import InputError

if TYPE_CHECKING:
    from napari_pix2pix.data.pair import Pair
    from napari_pix2pix.io.pair_tables import Direction


@click.command()
@click.argument("model", type=PATH)
@pairs_options
@aligned_options
@condition_option
@axes_option
@click.option("--csv", type=PATH, help="Write the scores of each image into this table.")
@click.option("--report", type=PATH, help="Write a report with pictures into this HTML file.")
@click.option(
    "--samples",
    type=int,
    help="Draws of a model with noise or dropout in the report; 0 for none.  [default: 8]",
)
@click.option(
    "--segmenter",
    help="Score what this finds in the prediction, too: otsu, or a model that makes labels.",
)
@click.option(
    "--labels",
    type=PATH,
    help="True labels for the segmenter, like TARGET; without them it is run on TARGET.",
)
@overwrite_option
@json_option
def evaluate(
    model: Path,
    source: Path | None,
    target: Path | None,
    pairs: Path | None,
    aligned: Path | None,
    direction: Direction | None,
    mask: Path | None,
    condition: str | None,
    axes: str | None,
    csv: Path | None,
    report: Path | None,
    samples: int | None,
    segmenter: str | None,
    labels: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Score MODEL on SOURCE and TARGET that it has not seen, beside the baseline.

    SOURCE and TARGET are files, folders (matched by name) or patterns in quotes, as in train. Of a
    table (--pairs) those of the set validation are scored, or all where it marks none. The baseline
    (a linear fit; Otsu for labels) is what one gets without any network.

    \b
    napari-pix2pix evaluate dapi.safetensors test/phase/ test/dapi/ --report report.html
    napari-pix2pix evaluate dapi.safetensors test/phase/ test/dapi/ --segmenter otsu --csv s.csv
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix._load import load
    from napari_pix2pix.evaluation import SAMPLES, Measures, check_samples
    from napari_pix2pix.evaluation.evaluate import evaluate_pairs

    if samples is not None and report is None:
        raise InputError("--samples is for the report: name its file with --report.")
    samples = SAMPLES if samples is None else samples
    check_samples(samples)
    for path in (csv, report):
        if path is not None:
            check_output(path, overwrite=overwrite)
    translator = load(model)
    sets = read_given_pairs(
        source,
        target,
        pairs=pairs,
        aligned=aligned,
        direction=direction,
        mask=mask,
        condition=condition,
        axes=axes,
        test=True,
    )
    chosen = [
        replace(pair, condition=condition_of(translator, pair.condition))
        for pair in sets.validation or sets.train
    ]
    scores = evaluate_pairs(
        translator,
        chosen,
        labels=None if labels is None else _labels_of(chosen, source, labels, axes),
        measures=Measures(None if segmenter is None else _segmenter_of(segmenter)),
        name=model.name,
    )
    written = []
    if csv is not None:
        scores.to_csv(csv)
        written.append(csv)
    if report is not None:
        scores.report(report, samples=samples)
        written.append(report)
    lines = [score_table(scores.to_dict()), *(f"Wrote {path}" for path in written)]
    say_result(scores.to_dict(), "\n".join(lines), as_json=as_json)


def _segmenter_of(named: str) -> Any:
    """Return Otsu's threshold, or the model that a file holds."""
    from napari_pix2pix._load import load
    from napari_pix2pix.metrics.segmentation import segment_otsu

    if named == "otsu":
        return segment_otsu
    segmenter = load(named)
    if segmenter.target_codec.kind == "image":
        raise InputError(f"The segmenter {named} makes images: give a model that makes labels.")
    return segmenter


def _labels_of(
    pairs: Sequence[Pair], source: Path | None, labels: Path, axes: str | None
) -> list[Any]:
    """Read the labels that belong to pairs, matched by name as targets are."""
    from napari_pix2pix.io.datasets import read_pairs

    if source is None:
        raise InputError("--labels are matched by name with SOURCE: give SOURCE and TARGET, too.")
    found, _ = read_pairs(source, labels, axes=axes)
    by_name = {pair.name: pair.target for pair in found}
    missing = [pair.name for pair in pairs if pair.name not in by_name]
    if missing:
        raise InputError(
            f"There are no labels for {missing[0]} in {labels}: give one file for each image."
        )
    return [by_name[pair.name] for pair in pairs]
