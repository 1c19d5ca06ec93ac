"""Some channels of an image file: those that a user names, or those that a model was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from napari_pix2pix.data.lazy_array import TakenChannels
from napari_pix2pix.errors import InputError, Remedy, plural
from napari_pix2pix.io.image_file import ImageFile


@dataclass(frozen=True)
class TrainedChannels:
    """How many channels a model's images have, and their names, if these are known."""

    count: int
    names: tuple[str, ...] = ()


def take_channels(
    image: ImageFile,
    wanted: str | None,
    trained: TrainedChannels | None,
    remedy: Remedy = Remedy.CHANNELS,
) -> ImageFile:
    """Keep the channels that are wanted, else those of a model, else all."""
    if wanted is not None:
        return select_channels(image, wanted, remedy)
    return image if trained is None else select_trained(image, trained, remedy)


def select_channels(image: ImageFile, wanted: str, remedy: Remedy = Remedy.CHANNELS) -> ImageFile:
    """Keep the channels that a text lists by number (from 0) or name, as in ``0,DAPI``."""
    numbers = [_find(part.strip(), image, remedy) for part in wanted.split(",")]
    if len(set(numbers)) < len(numbers):
        raise InputError(
            f"The channels {wanted} name one twice: name each once.", remedies=(remedy,)
        )
    return _take(image, numbers)


def select_trained(
    image: ImageFile, trained: TrainedChannels, remedy: Remedy = Remedy.CHANNELS
) -> ImageFile:
    """Keep the channels that a model was trained on, by name; an image may have only these."""
    names = _names(image)
    found = [name for name in trained.names if names.count(name) == 1]
    if trained.names and len(found) == len(trained.names):
        numbers = [names.index(name) for name in found]
        if numbers == list(range(_count(image))):
            return image
        note = f"Of the channels of {image.name} these are taken: {', '.join(found)}."
        return replace(_take(image, numbers), notes=(*image.notes, note))
    if _count(image) <= trained.count or not trained.names:
        if not trained.names or not names:
            return image
        note = (
            f"{image.name} has {_listed(names, len(names))}, and the model was trained on "
            f"{', '.join(trained.names)}: the channels are taken by their place."
        )
        if not found:
            return replace(image, notes=(*image.notes, note))
    missing = ", ".join(name for name in trained.names if name not in found)
    raise InputError(
        f"{image.name} has {_listed(names, _count(image))}, and the model was trained on "
        f"{', '.join(trained.names)}, of which {missing} is missing: choose channels instead.",
        remedies=(remedy,),
    )


def _find(wanted: str, image: ImageFile, remedy: Remedy) -> int:
    """Return the number of a channel."""
    names, count = _names(image), _count(image)
    same = [number for number, name in enumerate(names) if name == wanted]
    same = same or [n for n, name in enumerate(names) if name.casefold() == wanted.casefold()]
    if wanted.isdecimal() and int(wanted) < count:
        return int(wanted)
    if len(same) == 1:
        return same[0]
    raise InputError(
        f"{image.name} has {_listed(names, count)}, got {wanted!r}: choose channels by number, "
        "from 0, or by name.",
        remedies=(remedy,),
    )


def _take(image: ImageFile, numbers: Sequence[int]) -> ImageFile:
    """Keep some channels in a given order; a single one has no axis."""
    axis = image.channel_axis
    if axis is None:
        return image
    pick = numbers[0] if len(numbers) == 1 else list(numbers)
    if type(image.data) is np.ndarray or hasattr(image.data, "dask"):
        data: Any = image.data[(slice(None),) * axis + (pick,)]
    else:
        data = TakenChannels(image.data, axis, pick)
    axes = image.axes.replace("S", "C")
    names, looks = image.channel_names, image.looks
    return replace(
        image,
        data=data,
        axes=axes.replace("C", "") if len(numbers) == 1 else axes,
        channel_names=tuple(names[number] for number in numbers) if names else (),
        looks=tuple(looks[number] for number in numbers) if looks else (),
    )


def _count(image: ImageFile) -> int:
    return 1 if image.channel_axis is None else image.shape[image.channel_axis]


def _names(image: ImageFile) -> tuple[str, ...]:
    if "S" in image.axes:
        return ("red", "green", "blue", "alpha")[: _count(image)]
    return image.channel_names


def _listed(names: Sequence[str], count: int) -> str:
    return f"the channels {', '.join(names)}" if names else plural(count, "channel")
