"""What can be chosen when a model is applied, declared once; PyTorch is not needed for it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from napari_pix2pix.data.codecs import Output

Statistics = Literal["stored", "image"]
Precision = Literal["32-true", "bf16-mixed"]


class CallOptions(BaseModel):
    """Options of a call of a `Translator`; names and defaults are those of its arguments.

    The docks are made from it, and a test holds it to the call.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    output: Output = Field(
        "target",
        description="target: in the target's dtype, rounded and clipped; float: floating point in "
        "the target's units, not clipped.",
    )
    tile: Annotated[int, Field(ge=0)] | None = Field(
        None,
        description="Side of the tiles in pixels; the result is the same, but parts appear sooner "
        "and take less memory. For models with instance or group norm the image is measured "
        "first, and the result nearly the same.",
    )
    batch: Annotated[int, Field(ge=1)] | None = Field(
        None, description="Tiles at once; faster on a GPU, and takes more memory."
    )
    device: str | None = Field(
        None, description="Where the network runs: the fastest that is found, cpu, cuda or mps."
    )
    statistics: Statistics = Field(
        "stored",
        description="Batch norm with the statistics of the training, or with those of each image, "
        "as the paper does.",
    )
    dropout: bool = Field(
        False,
        description="Let dropout drop, as the paper does when it is applied; by seed and place, so "
        "that tiles drop what the whole image drops.",
    )
    precision: Precision = Field(
        "32-true",
        description="bf16-mixed computes in half precision: faster on a GPU, off by 1 % of the "
        "range at most, and in full precision where it would be more.",
    )
    seed: Annotated[int, Field(ge=0)] | None = Field(
        None, description="Seed of dropout and noise planes; another seed, another sample."
    )
    samples: Annotated[int, Field(ge=1)] = Field(
        1,
        description="How many draws of noise planes and dropout; the Apply dock shows their "
        "mean and standard deviation.",
    )
