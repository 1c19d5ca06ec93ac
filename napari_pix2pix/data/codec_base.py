"""What codecs have in common: their form in a model file, and checks and counts of labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from napari_pix2pix.data.kinds import Kind
from napari_pix2pix.errors import ConfigError, FileError, InputError, plural

T = TypeVar("T")


@dataclass(frozen=True)
class CodecBase:
    """Base of the codecs; the fields of a codec are what a model file holds of it."""

    kind: ClassVar[Kind]

    def to_dict(self) -> dict[str, Any]:
        """Return the codec as JSON values, without marks that are not set; floats stay exact."""
        parts = asdict(self)
        layout = parts.pop("layout")
        marks = {name: value for name, value in parts.items() if value is not False}
        return {"kind": self.kind, **marks, **layout}


@dataclass(frozen=True)
class LabelCodec(CodecBase):
    """Base of the codecs of classes and instances."""

    @property
    def data_range(self) -> tuple[float, ...]:
        """Empty: labels have no range."""
        return ()

    def check_encodable(self, raw: NDArray[Any], channels: int) -> None:
        """Refuse arrays that are not labels, or have other channels than the training labels."""
        if raw.shape[0] != channels:
            raise InputError(
                f"The labels have {plural(raw.shape[0], 'channel')}, the training labels had "
                f"{channels}; give the same channels in the same order."
            )
        check_labels(raw, "labels")

    def check_output(self, output: str) -> None:
        """Refuse to decode labels to floats."""
        if output != "target":
            raise ConfigError(
                f"The model's output is labels, which can't be had with output={output!r}; ask for "
                "output='target'."
            )


def read_parts(kind: type[T], parts: Mapping[str, Any], what: str) -> T:
    """Build a dataclass from what a file holds of it; `what` is like "The codec is"."""
    try:
        return TypeAdapter(kind).validate_python(dict(parts))
    except ValidationError as error:
        first = error.errors()[0]
        where = f"{first['loc'][0]!r}: " if first["loc"] else ""
        reason = where + first["msg"].removeprefix("Value error, ")
    except TypeError as error:  # of numpy, for a dtype that does not exist
        reason = str(error)
    raise FileError(f"{what} damaged: {reason}.")


def check_alike(blocks: Sequence[NDArray[Any]], what: str, remedy: str) -> np.dtype[Any]:
    """Refuse blocks (C, h, w) of several dtypes or channel counts; return their native dtype."""
    if not blocks:
        raise InputError(f"There is no block of the {what} to measure; give at least one.")
    if len({block.shape[0] for block in blocks}) > 1:
        raise InputError(f"The {what} has different channel counts; give all images the same.")
    dtypes = sorted({block.dtype.newbyteorder("=").name for block in blocks})
    if len(dtypes) > 1:
        raise InputError(f"The {what} has dtype {' here, '.join(dtypes)} there; {remedy}.")
    return np.dtype(dtypes[0])


def check_label_blocks(blocks: Iterable[NDArray[Any]], what: str) -> list[NDArray[Any]]:
    """Return blocks (C, h, w); refuse all but labels of one dtype and channel count."""
    arrays = list(blocks)
    check_alike(arrays, what, "convert all labels to one dtype")
    for array in arrays:
        check_labels(array, what)
    return arrays


def check_labels(labels: NDArray[Any], what: str) -> None:
    """Refuse floats and negative numbers."""
    if labels.dtype.kind not in "biu":
        raise InputError(
            f"The {what} holds {labels.dtype} values, but labels are integers: convert it, for "
            "example with astype('uint16'), or treat it as an image."
        )
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        raise InputError(
            f"The {what} holds the negative label {labels.min()}; labels are 0 for the background "
            "and positive, so renumber it, or mask what is unlabelled."
        )


def distinct_values(arrays: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Return the sorted distinct values of all arrays together."""
    return np.unique(np.concatenate([np.unique(array) for array in arrays])).astype(np.int64)


def labelled(
    arrays: Sequence[NDArray[Any]], valid: Iterable[NDArray[np.bool_]]
) -> list[NDArray[Any]]:
    """Return the values of arrays (C, h, w) inside masks (1 or C, h, w)."""
    return [
        array[np.broadcast_to(np.asarray(mask, bool), array.shape)]
        for array, mask in zip(arrays, valid, strict=True)
    ]


def list_labels(values: Sequence[int], most: int = 8) -> str:
    """Name some labels: "label 3", or with `most=2` "labels 3, 5 and 1 more"."""
    names = ", ".join(str(value) for value in values[:most])
    more = f" and {len(values) - most} more" if len(values) > most else ""
    return f"{'label' if len(values) == 1 else 'labels'} {names}{more}"
