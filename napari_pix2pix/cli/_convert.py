"""The command ``convert``: models from one kind of file to another."""

from __future__ import annotations

from pathlib import Path

import click

from napari_pix2pix.cli._options import PATH, json_option, overwrite_option
from napari_pix2pix.cli._output import check_output, say_result


@click.command()
@click.argument("model", type=PATH)
@click.argument("out", type=PATH)
@click.option(
    "--dtype",
    help="Of a .pth file, which holds no intensities: the integer type whose range becomes -1 to "
    "1.  [default: uint8]",
)
@overwrite_option
@json_option
def convert(model: Path, out: Path, dtype: str | None, overwrite: bool, as_json: bool) -> None:
    """Write MODEL into OUT, in the kind of file that its ending names.

    A name that ends in .pth gets the generator's weights as the PyTorch implementation of pix2pix
    loads them, any other name a model of napari-pix2pix. What OUT does not hold is said; what the
    PyTorch implementation has no such network for is refused.

    \b
    napari-pix2pix convert latest_net_G.pth model.safetensors
    napari-pix2pix convert model.safetensors checkpoints/mine/latest_net_G.pth
    """  # noqa: D301 (click's mark for lines that are not to be wrapped)
    from napari_pix2pix import _convert
    from napari_pix2pix._load import load

    check_output(out, overwrite=overwrite)
    notes = _convert.convert(load(model, dtype=dtype), out, overwrite=overwrite)
    text = "\n".join([f"Wrote {out}.", *notes])
    say_result({"written": str(out), "notes": list(notes)}, text, as_json=as_json)
