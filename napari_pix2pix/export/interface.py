"""What goes into an exported network and comes out of it, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.codecs import Codec, ImageCodec, InstanceCodec, takes_gray
from napari_pix2pix.errors import InputError, plural
from napari_pix2pix.inference.networks import measures_input
from napari_pix2pix.inference.tiling import TileGrid
from napari_pix2pix.training.model_info import ModelInfo

_RGB = "red", "green", "blue"
_INSTANCE_PLANES = (
    "foreground",
    "depth in object",
    "same object as right neighbour",
    "same object as lower neighbour",
)
_NEXT_PLANE = "same object as neighbour in the next plane"  # of volumes


class AxisSizes(NamedTuple):
    """What lengths a network takes along an axis."""

    stride: int  # they are multiples of it
    least: int
    halo: int  # context that makes a tile equal the whole; 0 where only the whole is right

    @property
    def side(self) -> int:
        """The smallest length of which something is left within the halo."""
        around = 2 * self.halo + self.stride if self.halo else 0
        return max(self.least, -(-around // self.stride) * self.stride)


@dataclass(frozen=True)
class Interface:
    """Planes and sizes of an exported network."""

    inputs: tuple[str, ...]  # names of the planes, in their order
    outputs: tuple[str, ...]
    stride: int  # heights and widths are multiples of it
    least: int  # smallest height and width
    halo: int  # pixels of context that make a tile equal the whole; 0 where only the whole is right
    mirrors: bool  # whether it mirrors what is at the edges, where others see zeros
    notes: tuple[str, ...]  # what a user has to know, a sentence each
    planes: AxisSizes | None = None  # of volumes

    @property
    def axes(self) -> dict[str, AxisSizes]:
        """The axes of an image or a volume by name, in their order."""
        within = AxisSizes(self.stride, self.least, self.halo)
        planes = {} if self.planes is None else {"z": self.planes}
        return {**planes, "y": within, "x": within}


def describe_interface(info: ModelInfo, generator: UNet | ResNet) -> Interface:
    """Name the planes of a model's generator; an `InputError` where no file can hold the model."""
    _check_exportable(info)
    names = info.source_channels or _channel_names(info.source_codec, info.channels)
    conditions = tuple(f"condition {name}" for name in info.conditions)
    measures = measures_input(generator)
    return Interface(
        inputs=(*_with_neighbours(_planes(info.source_codec, names), info), *conditions),
        outputs=_planes(info.target_codec, _target_names(info)),
        stride=generator.stride,
        least=TileGrid.of_network(generator, 1, 1).padded[0],
        halo=0 if measures else generator.halo,
        mirrors=isinstance(generator, ResNet),
        notes=(*_notes(info, measures), *_notes_of_volumes(generator, measures)),
        planes=_plane_sizes(generator, measures) if generator.ndim == 3 else None,
    )


def describe_range(codec: ImageCodec) -> str:
    """Return the intensities that become -1 and 1: ``0 to 255``, one a channel."""
    ends = zip(codec.low, codec.high, strict=True)
    return " and ".join(f"{low:.6g} to {high:.6g}" for low, high in ends)


def describe_labels(codec: Codec) -> str:
    """Say how labels become planes, and planes labels; "" for images."""
    if isinstance(codec, ClassCodec):
        labels = ", ".join(map(str, codec.values))
        return (
            f"Each class has a plane, in this order: {labels}. A plane is 1 inside its class and "
            "-1 elsewhere. The label of a pixel is the class of its largest plane."
        )
    if isinstance(codec, InstanceCodec):
        count, neighbours, last = "four", "its right and its lower neighbour are", "two"
        if codec.ndim == 3:
            count, last = "five", "three"
            neighbours = "its right, its lower and its next plane's neighbour are"
        return (
            f"Each label image has {count} planes, from -1 (no) to 1 (yes): whether a pixel is "
            f"foreground (above 0), how deep it lies in its object (1 from {codec.reach} pixels "
            f"on), and whether {neighbours} of the same object. To get "
            "objects, take a watershed of the negative depth in the foreground, join parts where "
            f"the last {last} planes say so, and leave out objects of less than "
            f"{plural(codec.smallest, 'pixel')}. The function split_objects of napari-pix2pix does "
            "so."
        )
    return ""


def _check_exportable(info: ModelInfo) -> None:
    """Refuse what draws random numbers: an exported network has one answer to an image."""
    remedy = "keep it in a file of napari-pix2pix"
    if info.config.noise_channels:
        raise InputError(
            f"The model has {plural(info.config.noise_channels, 'plane')} of noise, which other "
            f"programs can't draw: {remedy}, or train one with noise_channels=0."
        )
    if not info.channels:
        raise InputError(
            "The model makes images without a source, which other programs can't ask for: "
            f"{remedy}."
        )


def _channel_names(codec: Codec, channels: int) -> tuple[str, ...]:
    if codec.layout.rgb:
        return _RGB
    return ("intensity",) if channels == 1 else tuple(f"channel {i}" for i in range(channels))


def _target_names(info: ModelInfo) -> Sequence[str]:
    known = info.trained_channels[1].names
    return known or _channel_names(info.target_codec, info.target_codec.channels)


def _planes(codec: Codec, channels: Sequence[str]) -> tuple[str, ...]:
    """Name the planes of images or labels by their channels."""
    if isinstance(codec, ImageCodec):
        return tuple(channels)
    parts: tuple[str, ...] = _INSTANCE_PLANES
    if isinstance(codec, InstanceCodec) and codec.ndim == 3:
        parts = (*_INSTANCE_PLANES, _NEXT_PLANE)
    if isinstance(codec, ClassCodec):
        parts = tuple(f"class {value}" for value in codec.values)
    if len(channels) == 1:
        return parts
    return tuple(f"{channel} {part}" for channel in channels for part in parts)


def _with_neighbours(planes: Sequence[str], info: ModelInfo) -> tuple[str, ...]:
    """Name the planes of an image and its neighbours in a stack, the first neighbour first."""
    z = info.config.z_context
    if not z:
        return tuple(planes)
    return tuple(f"{plane} z{step:+d}" for step in range(-z, z + 1) for plane in planes)


def _plane_sizes(generator: UNet | ResNet, measures: bool) -> AxisSizes:
    stride, halo, least = generator.strides[0], generator.halos[0], generator.least_sizes[0]
    return AxisSizes(stride, least, 0 if measures else halo)


def _notes_of_volumes(generator: UNet | ResNet, measures: bool) -> Iterator[str]:
    """Say what is true of the planes of volumes, which stand before heights and widths."""
    if generator.ndim == 2:
        return
    stride, least, halo = _plane_sizes(generator, measures)
    around = f"; tiles need {plural(halo, 'plane')} around them" if halo else ""
    yield (
        f"It takes volumes: batch, channel, planes, height, width. Numbers of planes are multiples "
        f"of {stride}, at least {least}{around}."
    )


def _notes(info: ModelInfo, measures: bool) -> Iterator[str]:
    config = info.config
    if measures:
        yield (
            f"The network measures each image that it is given ({config.norm} norm): give it whole "
            "images, since tiles come out different."
        )
    if info.conditions:
        yield (
            "Each condition is an input plane of its own: 1 in that of the condition that is "
            "wanted, 0 in the others."
        )
    if config.z_context:
        yield (
            f"A plane of a stack goes in with {plural(config.z_context, 'neighbour')} on each side "
            "as channels, from z-"
            f"{config.z_context} to z+{config.z_context}; at the ends the outermost is repeated."
        )
    if takes_gray(info.source_codec):
        yield "An image of one channel goes in as three equal ones."
    if isinstance(info.source_codec, ImageCodec) and info.source_codec.assumed:
        yield "The model's file told no intensities: 0 to 255 of uint8 is assumed."
    if config.dropout:
        yield "Dropout is left out, so there is one answer to an image."
