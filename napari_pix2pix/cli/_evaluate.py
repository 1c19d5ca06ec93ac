"""The commands ``evaluate`` and ``discriminator-map``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from napari_pix2pix.cli._console import say
from napari_pix2pix.cli._options import (
    PATH,
    PairArguments,
    axes_option,
    condition_option,
    device_option,
    halo_option,
    json_option,
    overwrite_option,
    pairs_options,
    parse_condition,
    read_limit_option,
    read_pair_sets,
    say_changes,
    weights_option,
)
from napari_pix2pix.cli._output import check_output, print_result, score_table
from napari_pix2pix.errors import InputError

if TYPE_CHECKING:
    from napari_pix2pix.data.pair import Pair
    from napari_pix2pix.training.config import AppliedWeights

_OTSU = "otsu"  # the segmenter that is no model


@click.command()
@click.argument("model", type=PATH)
@pairs_options
@weights_option
@halo_option
@condition_option
@click.option("--csv", type=PATH, help="Write the scores of each image to this CSV file.")
@click.option("--report", type=PATH, help="Write a report with pictures to this HTML file.")
@click.option(
    "--samples",
    type=int,
    help="Samples in the report, by noise, dropout or the eight turns; 0 for none.  [default: 8]",
)
@click.option(
    "--segmenter",
    help="Also segment the prediction and score the objects: otsu, or a model that makes labels.",
)
@click.option(
    "--labels",
    type=PATH,
    help="True labels for --segmenter, given like TARGET.  [default: TARGET is segmented]",
)
@overwrite_option
@json_option
def evaluate(
    model: Path,
    named: PairArguments,
    weights: AppliedWeights | None,
    halo: int | None,
    condition: str | None,
    csv: Path | None,
    report: Path | None,
    samples: int | None,
    segmenter: str | None,
    labels: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Score MODEL on images that it has not seen.

    SOURCE and TARGET are files, folders (files are matched by name) or patterns in quotes, as for
    train. For a model that was trained with --derive, TARGET may be given alone. If a table
    (--pairs) has a validation set, only that is scored. The output also has the
    scores of a baseline without a network: a linear fit, or Otsu's threshold for labels.

    \b
    napari-pix2pix evaluate dapi.safetensors test/phase/ test/dapi/ --report report.html
    napari-pix2pix evaluate dapi.safetensors test/phase/ test/dapi/ --segmenter otsu --csv s.csv
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix._load import load
    from napari_pix2pix.evaluation import (
        REPORT_ENDINGS,
        SAMPLES,
        TABLE_ENDINGS,
        Measures,
        check_samples,
    )
    from napari_pix2pix.evaluation.evaluate import evaluate_pairs
    from napari_pix2pix.io.locks import locked
    from napari_pix2pix.io.paths import check_ending

    if samples is not None and report is None:
        raise InputError("--samples is for the report: name its file with --report.")
    samples = SAMPLES if samples is None else samples
    check_samples(samples)
    outputs = (csv, TABLE_ENDINGS, "a table of scores"), (report, REPORT_ENDINGS, "a report")
    for path, endings, what in outputs:
        if path is not None:
            check_output(path, overwrite=overwrite)
            check_ending(path, *endings, what=what)
    with locked(csv, report):
        translator = load(model, weights=weights, halo=halo)
        sets = read_pair_sets(
            named,
            condition=condition,
            derive=translator.config.derive if named.target is None else None,
            test=True,
            model=translator.info,
            outputs=(csv, report),
            read_too=_read_besides(model, segmenter, labels),
        )
        chosen = [
            replace(pair, condition=parse_condition(translator, pair.condition))
            for pair in sets.validation or sets.train
        ]
        scores = evaluate_pairs(
            translator,
            chosen,
            labels=None if labels is None else _read_labels(chosen, named, labels),
            measures=Measures(None if segmenter is None else _load_segmenter(segmenter)),
            name=model.name,
        )
        say_changes(sets)
        written = []
        if csv is not None:
            scores.to_csv(csv)
            written.append(csv)
        if report is not None:
            scores.report(report, samples=samples)
            written.append(report)
    said = filter(None, (scores.verdict, scores.objects))
    lines = [score_table(scores.to_dict()), *said, *(f"Wrote {path}" for path in written)]
    print_result(scores.to_dict(), "\n".join(lines), as_json=as_json)


def _read_besides(model: Path, segmenter: str | None, labels: Path | None) -> list[Path]:
    """List the files that are read besides those of the pairs."""
    from napari_pix2pix.io.paths import expand_paths, files_read

    models = [model] if segmenter in (None, _OTSU) else [model, Path(segmenter)]
    return models if labels is None else [*models, *files_read(expand_paths(labels))]


def _load_segmenter(name: str) -> Any:
    """Return Otsu's threshold, or the model in a file."""
    from napari_pix2pix._load import load
    from napari_pix2pix.metrics.segmentation import segment_otsu

    if name == _OTSU:
        return segment_otsu
    segmenter = load(name)
    if segmenter.target_codec.kind == "image":
        raise InputError(f"The segmenter {name} makes images: give a model that makes labels.")
    return segmenter


def _read_labels(pairs: Sequence[Pair], named: PairArguments, labels: Path) -> list[Any]:
    """Read the labels of pairs, matched by name like targets."""
    from napari_pix2pix.io.datasets import read_pairs

    if named.source is None:
        raise InputError("--labels are matched by name with SOURCE: give SOURCE and TARGET too.")
    options = replace(named.read_options, target_channels=None)
    labelled, _ = read_pairs(named.source, labels, options=options)
    by_name = {pair.name: pair.target for pair in labelled}
    missing = [pair.name for pair in pairs if pair.name not in by_name]
    if missing:
        raise InputError(
            f"There are no labels for {missing[0]} in {labels}: give one file for each image."
        )
    return [by_name[pair.name] for pair in pairs]


@click.command()
@click.argument("model", type=PATH)
@click.argument("prediction", type=PATH)
@click.option("--source", type=PATH, help="Source of the prediction; none without a source.")
@click.option("--out", "-o", required=True, type=PATH, help="The file to write.")
@axes_option
@read_limit_option
@condition_option
@click.option("--tile", type=int, help="Side of the tiles in pixels; 0: whole.  [by memory]")
@device_option
@overwrite_option
@json_option
def discriminator_map(
    model: Path,
    prediction: Path,
    source: Path | None,
    out: Path,
    axes: str | None,
    condition: str | None,
    tile: int | None,
    device: str | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Show where an image looks false to MODEL.

    MODEL's discriminator judges PREDICTION, an image of this model or another, patch by patch. OUT
    is float32 and of the same size: positive where PREDICTION looks real, negative where it looks
    false, 0 where the discriminator can't tell.

    \b
    napari-pix2pix discriminator-map dapi.safetensors made.tif --source phase.tif -o map.tif
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix._load import load
    from napari_pix2pix.data.layouts import Layout
    from napari_pix2pix.io.outputs import check_apart
    from napari_pix2pix.io.paths import files_read
    from napari_pix2pix.io.reading import lazy_image_of_file, read_image
    from napari_pix2pix.io.writing import check_translation, write_translation

    check_output(out, overwrite=overwrite)
    check_apart([out], [model, *files_read([prediction, source])])
    translator = load(model)
    judged, layout = read_image(prediction, axes, override=False), Layout()
    check_translation(out, "float32", source=judged, layout=layout)
    given = None if source is None else read_image(source, axes, override=False)
    for note in (*judged.notes, *(given.notes if given else ())):
        say(note, err=True)
    logits = translator.discriminator_map(
        None if given is None else lazy_image_of_file(given),
        lazy_image_of_file(judged),
        condition=parse_condition(translator, condition),
        tile=tile,
        device=device,
    )
    write_translation(out, logits, source=judged, layout=layout, overwrite=overwrite)
    mean, falsest = float(logits.mean()), float(logits.min())
    text = f"Wrote {out}: mean {mean:.3g}, falsest {falsest:.3g}"
    print_result({"written": str(out), "mean": mean, "falsest": falsest}, text, as_json=as_json)
