"""The command ``discriminator-map``: where a prediction looks false to the discriminator."""

from __future__ import annotations

from pathlib import Path

import click

from napari_pix2pix.cli._options import (
    PATH,
    axes_option,
    condition_option,
    device_option,
    json_option,
    overwrite_option,
    parse_condition,
)
from napari_pix2pix.cli._output import check_output, print_result


@click.command()
@click.argument("model", type=PATH)
@click.argument("prediction", type=PATH)
@click.option("--source", type=PATH, help="Source of the prediction; none without a source.")
@click.option("--out", "-o", required=True, type=PATH, help="File.")
@axes_option
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
    """Ask MODEL's discriminator where PREDICTION looks false, patch by patch.

    PREDICTION is an image of this model or another. OUT is float32, as large as it: positive where
    it looks real, negative where it looks false, 0 where the discriminator can't tell.

    \b
    napari-pix2pix discriminator-map dapi.safetensors made.tif --source phase.tif -o map.tif
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix._load import load
    from napari_pix2pix.data.layouts import Layout
    from napari_pix2pix.io.reading import lazy_image_of_file, read_image
    from napari_pix2pix.io.writing import check_translation, write_translation

    check_output(out, overwrite=overwrite)
    translator = load(model)
    judged, layout = read_image(prediction, axes), Layout()
    check_translation(out, "float32", source=judged, layout=layout)
    given = None if source is None else lazy_image_of_file(read_image(source, axes))
    logits = translator.discriminator_map(
        given,
        lazy_image_of_file(judged),
        condition=parse_condition(translator, condition),
        tile=tile,
        device=device,
    )
    write_translation(out, logits, source=judged, layout=layout, overwrite=overwrite)
    mean, falsest = float(logits.mean()), float(logits.min())
    text = f"Wrote {out}: mean {mean:.3g}, falsest {falsest:.3g}"
    print_result({"written": str(out), "mean": mean, "falsest": falsest}, text, as_json=as_json)
