"""A model as an ONNX file: planes in, planes out, and what they mean in words beside it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.data.codecs import Codec, ImageCodec
from napari_pix2pix.export.interface import (
    Interface,
    describe_interface,
    describe_labels,
    describe_range,
)
from napari_pix2pix.io.model_header import FORMAT_NAME
from napari_pix2pix.io.onnx_file import write_onnx
from napari_pix2pix.training.model_info import ModelInfo


def export_onnx(path: Path, generator: UNet | ResNet, info: ModelInfo) -> tuple[str, ...]:
    """Write a model's generator as an ONNX file; return what a user has to know, in sentences."""
    interface = describe_interface(info, generator)
    write_network(path, generator, info, interface)
    return _describe(info, interface)


def write_network(
    path: Path, generator: UNet | ResNet, info: ModelInfo, interface: Interface
) -> None:
    """Write an ONNX file that says in words and in its metadata what is true of the model."""
    header = replace(info, has_discriminator=False).to_header()
    metadata = {
        FORMAT_NAME: json.dumps(header),
        "input planes": json.dumps(interface.inputs),
        "output planes": json.dumps(interface.outputs),
    }
    text = " ".join([f"{info.summary}.", *_describe(info, interface)])
    write_onnx(path, generator, len(interface.outputs), text, metadata)


def _describe(info: ModelInfo, interface: Interface) -> tuple[str, ...]:
    return (*_describe_ends(info), *interface.notes, _describe_sizes(interface))


def _describe_ends(info: ModelInfo) -> Iterator[str]:
    """Say what goes in and what comes out."""
    codecs: dict[str, Codec] = {"source": info.source_codec, "target": info.target_codec}
    ranges = [
        f"{what} {describe_range(codec)}"
        for what, codec in codecs.items()
        if isinstance(codec, ImageCodec)
    ]
    if ranges:
        yield (
            "Intensities are left out: -1 to 1 goes in and comes out, which is "
            f"{', '.join(ranges)} here."
        )
    for what, codec in codecs.items():
        if labels := describe_labels(codec):
            yield f"The {what} is planes of labels. {labels}"


def _describe_sizes(interface: Interface) -> str:
    around = f"; tiles need {interface.halo} pixels around them" if interface.halo else ""
    return (
        f"Heights and widths are multiples of {interface.stride} pixels, at least "
        f"{interface.least}{around}."
    )
