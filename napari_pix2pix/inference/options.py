"""How a model is applied: one declaration for Python, the command line and the Apply dock."""

from __future__ import annotations

import json
import operator
from collections.abc import Hashable
from typing import Annotated, Any, Literal, Self, get_args

import numpy as np
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from napari_pix2pix.data.codecs import Output
from napari_pix2pix.errors import InputError

NormStatistics = Literal["running", "per-image"]
Precision = Literal["32-true", "bf16-mixed"]
Turns = Literal[1, 8]

_LEAST = {"seed": 0, "tile": 0, "batch": 1, "samples": 1}
# Options that decide what comes out; the others decide how fast, and where.
_DECIDING = {"condition", "seed", "dropout", "turns", "norm_statistics", "precision", "output"}


class PredictOptions(BaseModel):
    """Everything that can be chosen when a model is applied; frozen, keyword-only.

    Parameters
    ----------
    **fields
        Any of the fields below; those left out keep their defaults.

    Raises
    ------
    InputError
        When an option does not exist or its value is out of range; the sentence names the option,
        what was got and what would do.

    Examples
    --------
    >>> PredictOptions(tile=512).batch is None
    True
    >>> PredictOptions(batch=0)
    Traceback (most recent call last):
    ...
    napari_pix2pix.errors.InputError: batch must be 1 or more, got 0.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    condition: Hashable = Field(
        None, description="One of the model's conditions; needed when it has any."
    )
    output: Output = Field(
        "target",
        description="target: in the target's dtype, rounded and clipped; float: floating point in "
        "the target's units, not clipped.",
    )
    tile: Annotated[int, Field(ge=0, le=2**20)] | None = Field(
        None,
        description="Side of the tiles in pixels; 0 is the whole image, and memory decides when "
        "not given. The result is the same, but parts appear sooner and take less memory. Models "
        "with instance or group norm measure the image first, and the result is nearly the same.",
    )
    batch: Annotated[int, Field(ge=1, le=65536)] | None = Field(
        None,
        description="Tiles at once, by memory when not given; more are faster on a GPU and take "
        "more memory.",
    )
    device: str | None = Field(
        None, description="Where the network runs: the fastest that is found, cpu, cuda or mps."
    )
    norm_statistics: NormStatistics = Field(
        "running",
        description="running: batch norm uses the statistics of the training; per-image: it "
        "measures each image, as the paper does.",
    )
    dropout: bool = Field(
        False,
        description="Keep dropout on, as the paper does when it applies a model. What is dropped "
        "depends on seed and position, so tiles drop what the whole image drops.",
    )
    turns: Turns = Field(
        1,
        description="8: translate the image in its eight flips and quarter turns, and take the "
        "mean: a little better, and eight times the work.",
    )
    precision: Precision = Field(
        "32-true",
        description="bf16-mixed computes in half precision: faster on a GPU, off by 1 % of the "
        "range at most, and in full precision where it would be more.",
    )
    compile: bool = Field(
        False,
        description="Let torch compile the network first. That takes half a minute or more, and "
        "gains nothing on a CPU.",
    )
    seed: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Seed of dropout and noise planes; another seed gives another sample."
    )
    samples: Annotated[int, Field(ge=1, le=10_000)] = Field(
        1,
        description="How many samples to draw with noise planes and dropout; the Apply dock shows "
        "their mean and standard deviation. With 8 turns, each sample sees the image in the next "
        "turn.",
    )
    resample: bool = Field(
        False,
        description="Compute at the pixel size that the model was trained on, and come back to the "
        "image's own pixels: for images of another magnification. Labels come back as labels.",
    )
    pixel_size: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None,
        description="Height and width of the image's pixels, in the unit of the model's, where the "
        "image does not state it or states a wrong one.",
    )
    plane_distance: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = Field(
        None,
        description="Distance of the image's planes, in the unit of the model's pixel size, where "
        "the image does not state it or states a wrong one.",
    )
    _turn: int | None = PrivateAttr(None)  # the one turn of a sample of several

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise InputError(_in_words(error)) from None

    @field_validator(*_LEAST, mode="before")
    @classmethod
    def _check_integer(cls, value: Any, info: ValidationInfo) -> int | None:
        name = str(info.field_name)
        if value is None and name != "samples":
            return None
        return check_integer(name, value, _LEAST[name])

    @field_validator("device", mode="before")
    @classmethod
    def _name_device(cls, value: Any) -> str | None:
        return None if value is None else str(value)  # a torch.device reads like its name

    def of_sample(self, number: int) -> Self:
        """Return the options of one sample, with a seed of its own."""
        seed = sample_seed(self.seed or 0, number)
        options = self.model_copy(update={"seed": seed, "samples": 1})
        if self.turns > 1 and self.samples > 1:
            options._turn = number % self.turns
        return options

    @property
    def own_turns(self) -> range:
        """The turns of the eight in which one sample sees the image; their mean is taken."""
        return range(self.turns) if self._turn is None else range(self._turn, self._turn + 1)

    @property
    def passes(self) -> int:
        """How many times the network sees each pixel."""
        return self.samples if self.samples > 1 else self.turns

    def deciding(self) -> dict[str, Any]:
        """Return the options that decide what comes out, as JSON values."""
        # Files that were made before there was resampling say nothing of it.
        include = _DECIDING | ({"resample", "pixel_size"} if self.resample else set())
        if self.resample and self.plane_distance is not None:
            include |= {"plane_distance"}
        values = {**self.model_dump(include=include), "seed": self.seed or 0}
        return dict(json.loads(json.dumps(values, default=str)))


def sample_seed(seed: int, number: int) -> int:
    """Return the seed of sample ``number``, counted from 0; the first one's is ``seed`` itself."""
    if number == 0:
        return seed
    return int(np.random.SeedSequence([seed, number]).generate_state(1, np.uint64)[0])


def check_integer(name: str, value: Any, lowest: int) -> int:
    """Return an integer of any kind as an int; raises `InputError` if it is none or too low."""
    try:
        number = operator.index(value)
    except TypeError:
        raise InputError(f"{name} must be an integer, got {value!r}.") from None
    if number < lowest:
        raise InputError(f"{name} must be {lowest} or more, got {value}.")
    return number


def check_callable(name: str, value: Any) -> None:
    """Refuse what is to be called and can't be; None is nothing to call."""
    if value is not None and not callable(value):
        raise InputError(f"{name} must be a function, got {value!r}.")


def check_size(size: Any, planes: int | None = None) -> tuple[int, ...]:
    """Return height and width from one number of pixels or a pair; raises `InputError`.

    With a number of planes it is the size of a volume, from one number or all three.
    """
    axes = ("height", "width") if planes is None else ("planes", "height", "width")
    sizes = (size, size) if planes is None else (planes, size, size)
    if isinstance(size, tuple | list | np.ndarray):
        sizes = tuple(size)
    if len(sizes) != len(axes):
        raise InputError(f"size must be a number of pixels or ({', '.join(axes)}), got {size!r}.")
    return tuple(check_integer(name, one, 1) for name, one in zip(axes, sizes, strict=True))


def _in_words(error: ValidationError) -> str:
    """Say the first thing that is wrong: which option, what was got, what would do."""
    first = error.errors()[0]
    name = str(first["loc"][0]) if first["loc"] else ""
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "extra_forbidden":
        names = ", ".join(PredictOptions.model_fields)
        return f"There is no option {name}: choose from {names}."
    if first["type"] == "literal_error":
        choices = get_args(PredictOptions.model_fields[name].annotation)
        return f"{name} must be {' or '.join(map(repr, choices))}, got {first['input']!r}."
    wanted = first["msg"].removeprefix("Input ").removeprefix("should ")
    return f"{name} must {wanted}, got {first['input']!r}."
