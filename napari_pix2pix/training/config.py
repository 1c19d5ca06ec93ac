"""One declaration of everything that can be chosen about a training run.

The Python call, the command line and the dock are all made from :class:`TrainConfig`: the same
names, defaults, checks and help texts. A preset is a set of defaults; a field that is given wins.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from napari_pix2pix.errors import ConfigError
from napari_pix2pix.training._config_errors import find_conflict, in_words
from napari_pix2pix.training.presets import PRESETS

Preset = Literal["light", "reference", "paper"]
Kind = Literal["auto", "image", "classes", "instances"]
Normalisation = Literal["percentile", "minmax", "meanstd", "dtype"]

_Fraction = Annotated[float, Field(ge=0, le=1)]
_Weight = Annotated[float, Field(ge=0)]
_Count = Annotated[int, Field(ge=1)]


class TrainConfig(BaseModel):
    """Everything that can be chosen about a training run; frozen, keyword-only.

    Parameters
    ----------
    **fields
        Any of the fields below. Those left out take the preset's values.

    Raises
    ------
    ConfigError
        When a field does not exist or its value is out of range; the sentence names the field, what
        was got and what would do.

    Notes
    -----
    ``light`` is made for minutes on a laptop: a U-Net of 4 million parameters, batches of patches,
    running statistics, an averaged generator and an adversarial term that eases in. ``reference``
    is the PyTorch implementation's recipe and ``paper`` the Torch original's [1]_.

    References
    ----------
    .. [1] Isola, Zhu, Zhou, Efros, "Image-to-image translation with conditional adversarial
       networks", CVPR 2017.

    Examples
    --------
    >>> TrainConfig(preset="reference", width=8).depth
    8
    >>> TrainConfig(epochs=-1)
    Traceback (most recent call last):
    ...
    napari_pix2pix.errors.ConfigError: epochs should be greater than or equal to 1, got -1.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    preset: Preset = Field(
        "light",
        description="Set of defaults: light (minutes on a laptop), reference (the PyTorch "
        "implementation) or paper (the Torch original).",
    )

    # Budget: the first that is reached ends the training.
    epochs: _Count | None = Field(
        None,
        description="Budget in epochs. An epoch draws each patch area of the training set once: "
        "at least 100 steps, at most 1,000.",
    )
    steps: _Count | None = Field(None, description="Budget in optimisation steps.")
    max_seconds: Annotated[float, Field(gt=0)] | None = Field(
        None,
        description="Budget in seconds for the whole call, preparation and validation included.",
    )
    default_epochs: _Count = Field(30, description="Budget in epochs when no other is given.")

    # Where it runs.
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="Seed of every random draw: split, patches, weights, dropout, noise."
    )
    device: str = Field(
        "auto", description="auto (the best that is found), cpu, cuda, cuda:1 or mps."
    )
    devices: _Count = Field(
        1,
        description="Devices of each machine to train on, a process for each (from a shell: see "
        "docs/cluster.md).",
    )
    num_nodes: _Count = Field(
        1, description="Machines to train on, each with as many devices and a process for each."
    )
    strategy: Literal["auto", "ddp"] = Field(
        "auto",
        description="How processes share a training: ddp gives each its own patches and the mean "
        "of all gradients; auto is ddp where there are several, and no sharing where there is one.",
    )
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        "auto",
        description="Number format of the training: auto is bf16-mixed on a CUDA device that has "
        "it, 32-true elsewhere.",
    )
    compile: bool = Field(
        False,
        description="Compile the networks with torch.compile: slow to start, faster steps on a "
        "GPU.",
    )
    checkpoint_seconds: Annotated[float, Field(gt=0)] = Field(
        15.0,
        description="Seconds between checkpoints; writing takes at most a tenth of the time.",
    )

    # Pairs.
    source_kind: Kind = Field(
        "auto", description="What the source is: image, classes, instances, or auto to find out."
    )
    target_kind: Kind = Field(
        "auto", description="What the target is: image, classes, instances, or auto to find out."
    )
    classes: Annotated[int, Field(ge=2, le=64)] | None = Field(
        None,
        description="How many classes the target has, background included: where some are rare, "
        "they may be missing in what is read before training. Labels are then 0 to classes - 1, "
        "unless as many other values are found.",
    )
    smallest: _Count | None = Field(
        None,
        description="Fewest pixels of an object where the target is instances: smaller ones in the "
        "output are specks and left out. Measured on the target when not given.",
    )
    z_context: Annotated[int, Field(ge=0)] = Field(
        0,
        description="Neighbouring planes on each side that the generator sees beside a plane of a"
        " stack (2.5D).",
    )
    correct_shift: bool = Field(
        False,
        description="Take out a shift between sources and targets before training: by the whole "
        "pixels that the alignment check found, the same in all pairs; pixels without a partner "
        "are left out. The output then lies where the source lies.",
    )
    source_normalisation: Normalisation = Field(
        "percentile",
        description="How source intensities are mapped to [-1, 1], measured over the training "
        "set: percentile (0.1 and 99.9), minmax, meanstd, or dtype (its whole range).",
    )
    target_normalisation: Normalisation = Field(
        "percentile", description="The same for the target; inverted on the way out."
    )
    validation: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2,
        description="Fraction held out for validation, by whole images or by blocks with a gap; 0"
        " turns it off.",
    )

    # Patches.
    patch: Annotated[int, Field(ge=16)] = Field(
        128, description="Side of a training patch in pixels."
    )
    batch: _Count = Field(
        8, description="Patches per step; of each process, where there are several."
    )
    content: _Fraction = Field(
        0.5,
        description="Share of the patches that are drawn where the target has content; the others"
        " are drawn uniformly. Without a source light draws all uniformly unless told otherwise.",
    )
    flips: bool = Field(True, description="Mirror patches at random.")
    vertical_flips: bool = Field(
        True, description="Mirror top to bottom too; the paper mirrors left to right alone."
    )
    quarter_turns: bool = Field(True, description="Turn patches by 90 degrees at random.")
    zoom: tuple[Annotated[float, Field(gt=0)], Annotated[float, Field(gt=0)]] = Field(
        (1.0, 1.0),
        description="Range of the random magnification of a patch; the paper's 286 to 256 is "
        "1.117.",
    )
    intensity_jitter: _Fraction = Field(
        0.1,
        description="Random gain and offset of the source's intensities, as a fraction of their "
        "range.",
    )

    # Generator.
    generator: Literal["unet", "encoder_decoder", "resnet"] = Field(
        "unet", description="U-Net, the paper's encoder-decoder (no skip connections), or ResNet."
    )
    depth: Annotated[int, Field(ge=2, le=10)] = Field(
        5, description="Halvings of a U-Net: 8 is U-Net-256, 7 is U-Net-128."
    )
    blocks: _Count = Field(9, description="Residual blocks of a ResNet.")
    width: _Count = Field(32, description="Channels of the generator's first layer.")
    norm: Literal["batch", "instance", "group", "none"] = Field(
        "batch", description="Normalisation layers."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5,
        description="Dropout of the generator's inner decoder blocks (or residual blocks), "
        "pix2pix's source of noise. For labels as target light takes 0 unless told otherwise.",
    )
    dropout_placement: Literal["reference", "paper"] = Field(
        "paper",
        description="Which U-Net blocks drop out: as in the PyTorch implementation (none at "
        "depth 5 and below), or the three innermost as in the Torch original.",
    )
    upsampling: Literal["transpose", "resize"] = Field(
        "transpose",
        description="Transposed convolution, or nearest-neighbour resize and convolution, which "
        "leaves no checkerboard.",
    )
    activation: Literal["tanh", "linear"] = Field(
        "linear",
        description="Last layer of the generator: tanh bounds the output to the normalised range,"
        " linear does not.",
    )
    bias: bool = Field(
        True, description="Biases in the convolutions; the Torch original keeps them at zero."
    )
    noise_channels: Annotated[int, Field(ge=0)] = Field(
        0, description="Noise planes beside the source; 16 where there is no source."
    )
    noise: Literal["image", "pixel"] = Field(
        "image",
        description="What noise planes hold: one normal number per plane and image, or one per "
        "plane and pixel, as is taken where there is no source: images larger than a patch need "
        "it.",
    )

    # Discriminator.
    discriminator_layers: Annotated[int, Field(ge=0, le=6)] = Field(
        3,
        description="Layers of the PatchGAN: 0, 1, 2, 3, 4, 5 see 1, 16, 34, 70, 142, 286 pixels.",
    )
    discriminator_width: _Count = Field(
        16, description="Channels of the discriminator's first layer."
    )
    discriminator_norm: Literal["batch", "instance", "group", "none"] | None = Field(
        None, description="Normalisation layers of the discriminator; the generator's if not given."
    )
    discriminator_scales: _Count = Field(
        1, description="Discriminators that look at the image at 1, 1/2, 1/4 ... of its size."
    )
    conditional: bool = Field(
        True,
        description="The discriminator sees the source beside the image (cGAN) or the image alone"
        " (GAN).",
    )
    discriminator_augmentation: Literal[
        "none", "translation", "translation+cutout", "colour+translation+cutout"
    ] = Field(
        "none",
        description="Random changes of what the discriminator sees, real and generated alike, "
        "against learning few images by heart (DiffAugment).",
    )
    spectral_norm: bool = Field(False, description="Spectral normalisation of the discriminator.")

    # Objective.
    adversarial: Literal["vanilla", "lsgan", "hinge", "wgan"] = Field(
        "vanilla", description="Adversarial loss."
    )
    adversarial_weight: _Weight = Field(
        1.0,
        description="Weight of the adversarial term; 0 turns it and the discriminator off. For "
        "labels as target light takes 0 unless told otherwise: there the paper's best is the "
        "reconstruction term alone.",
    )
    adversarial_start: _Fraction = Field(
        0.5,
        description="Part of the budget after which the discriminator begins to learn; 0 without a "
        "source.",
    )
    adversarial_full: _Fraction = Field(
        1.0,
        description="Part of the budget at which the adversarial term has its whole weight, "
        "reached in a straight line from adversarial_start.",
    )
    gradient_penalty: _Weight = Field(
        0.0, description="Weight of the gradient penalty on the discriminator (WGAN-GP: 10)."
    )
    r1: _Weight = Field(
        0.0,
        description="Weight of the R1 penalty, the discriminator's squared gradient at real "
        "images.",
    )
    feature_matching: _Weight = Field(
        0.0,
        description="Weight, within the adversarial term, of how far the discriminator's "
        "activations for the output are from those for the target, the mean over its layers "
        "(pix2pixHD: 40, which it writes as 10 for each of 4 layers).",
    )
    halve_discriminator_loss: bool = Field(
        True, description="Halve the discriminator's loss, as the PyTorch implementation does."
    )
    stale_discriminator: bool = Field(
        False,
        description="The generator's gradient goes through activations from before the "
        "discriminator's update, as in the Torch original.",
    )
    reconstruction: Literal["l1", "l2", "charbonnier"] = Field(
        "l1",
        description="Reconstruction loss. For labels as target light takes l2 unless told "
        "otherwise: it keeps thin borders.",
    )
    reconstruction_weight: _Weight = Field(
        100.0,
        description="Weight of the reconstruction term; 0 turns it off, as it is without a source.",
    )
    shift_tolerance: Annotated[int, Field(ge=0, le=8)] = Field(
        0,
        description="Pixels by which a target may lie beside its source, differently from patch "
        "to patch: the reconstruction term takes each patch's target where it fits best.",
    )
    class_weights: bool = Field(
        False,
        description="Let rare classes count for more: the reconstruction term weighs each pixel "
        "by the inverse square root of its class's frequency. For targets that are classes.",
    )

    # Optimisation.
    learning_rate: Annotated[float, Field(gt=0)] = Field(
        1e-3, description="Adam's rate for the generator."
    )
    discriminator_learning_rate: Annotated[float, Field(gt=0)] = Field(
        2e-4, description="Adam's rate for the discriminator."
    )
    beta1: Annotated[float, Field(ge=0, lt=1)] = Field(0.5, description="Adam's first moment.")
    beta2: Annotated[float, Field(ge=0, lt=1)] = Field(0.999, description="Adam's second moment.")
    decay: Literal["constant", "linear", "cosine"] = Field(
        "cosine", description="How the rates fall to 0 over the budget."
    )
    decay_start: _Fraction = Field(
        0.0, description="Part of the budget after which the rates begin to fall."
    )
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.995,
        description="Decay of the generator's running average, which is what is applied; 0 turns "
        "it off.",
    )
    gradient_clip: Annotated[float, Field(gt=0)] | None = Field(
        None, description="Largest norm of the generator's gradient."
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="Weights that are applied: the last, or those of the best validation. Both "
        "are in the file.",
    )

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigError(in_words(error, fields, TrainConfig.model_fields)) from None
        # Those that the user gave, without those that the preset filled in.
        object.__setattr__(self, "__pydantic_fields_set__", set(fields))

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, fields: Any) -> Any:
        return {**PRESETS.get(str(fields.get("preset", "light")), {}), **fields}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if conflict := find_conflict(self):
            raise ValueError(conflict)
        return self

    @property
    def processes(self) -> int:
        """Processes that train together, one for each device."""
        return self.devices * self.num_nodes

    def with_default_budget(self, before: TrainConfig | None = None) -> TrainConfig:
        """Return a config that has a budget.

        Its own, or without any that of the run which is resumed, or else the preset's epochs.
        """
        if self.epochs or self.steps or self.max_seconds:
            return self
        if before is not None:
            budget = ("epochs", "steps", "max_seconds")
            return self.model_copy(update={name: getattr(before, name) for name in budget})
        return self.model_copy(update={"epochs": self.default_epochs})
