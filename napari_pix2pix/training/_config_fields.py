"""The fields of `TrainConfig`: names, types, ranges, help, and the defaults of ``light``.

The command's options and the dock's form are made from these: users read every description.
Choices repeat those of ``core``, whose import would load torch for every ``--help``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Preset = Literal["light", "reference", "paper"]
Kind = Literal["auto", "image", "classes", "instances"]
AppliedWeights = Literal["last", "best"]
DerivedKind = Literal["edges", "gray", "holes", "blur", "downsample", "noise"]
Normalisation = Literal["percentile", "minmax", "meanstd", "dtype"]

# What each kind of source that is made of the target takes: the fields ``derive_``, and options of
# `derive_source`.
DERIVE_OPTIONS: dict[DerivedKind, tuple[str, ...]] = {
    "edges": ("sigma", "thin"),
    "gray": (),
    "holes": ("place", "cell"),
    "blur": ("sigma",),
    "downsample": ("factor", "interpolation"),
    "noise": ("model", "strength", "photons"),
}
_OTHER_NOISE = {"gaussian": "photons", "poisson": "strength"}

# Upper bounds lie far beyond what anyone trains: a file, or a slip of the keyboard, that asks for
# more is refused before memory is.
_Fraction = Annotated[float, Field(ge=0, le=1)]
_Weight = Annotated[float, Field(ge=0, le=1e9)]
_Count = Annotated[int, Field(ge=1, le=10**9)]
_Layers = Annotated[int, Field(ge=1, le=256)]
_Width = Annotated[int, Field(ge=1, le=4096)]
_Positive = Annotated[float, Field(gt=0, le=1e12)]
_Factor = Annotated[float, Field(ge=0.1, le=10)]


class ConfigFields(BaseModel):
    """The fields alone; `TrainConfig` fills them from presets and checks that they agree."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False
    )

    preset: Preset = Field(
        "light",
        description="Set of defaults: light (minutes on a laptop), reference (the PyTorch "
        "implementation) or paper (the Torch original).",
    )

    # Budget: the first limit that is reached ends the training.
    epochs: _Count | None = Field(
        None,
        description="Budget in epochs. An epoch draws each patch area of the training set once, "
        "with at least 100 and at most 1,000 steps.",
    )
    steps: _Count | None = Field(None, description="Budget in optimisation steps.")
    max_seconds: _Positive | None = Field(
        None,
        description="Budget in seconds for the whole call, preparation and validation included.",
    )
    default_epochs: _Count = Field(30, description="Budget in epochs when no other is given.")
    passes: Annotated[int, Field(ge=0)] = Field(
        200,
        description="A training in epochs or seconds ends at the latest after this many passes "
        "over the training images, but not before 500 steps: after more, models often know few "
        "images by heart and do worse on others. 0 sets no such limit, and a budget in steps has "
        "none.",
    )

    # Hardware.
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="Seed of every random draw: split, patches, weights, dropout, noise."
    )
    device: str = Field("auto", description="auto (the fastest available), cpu, cuda, cuda:1, mps.")
    devices: Annotated[int, Field(ge=1, le=1024)] = Field(
        1,
        description="Devices to use on each machine, with one process for each. Several need a "
        "shell, see docs/cluster.md.",
    )
    num_nodes: Annotated[int, Field(ge=1, le=65536)] = Field(
        1, description="Machines to train on, each with the same number of devices."
    )
    strategy: Literal["auto", "ddp"] = Field(
        "auto",
        description="How processes work together: with ddp each draws its own patches and all "
        "gradients are averaged. auto is ddp when there are several processes.",
    )
    precision: Literal["auto", "32-true", "bf16-mixed"] = Field(
        "auto",
        description="Number format: auto is bf16-mixed on CUDA devices that support it, and "
        "32-true elsewhere.",
    )
    compile: bool = Field(
        False,
        description="Compile the networks with torch.compile: a slow start, faster steps on a GPU.",
    )
    checkpoint_seconds: _Positive = Field(
        15.0,
        description="Seconds between checkpoints. Writing them takes at most a tenth of the time.",
    )

    # Pairs.
    derive: DerivedKind | None = Field(
        None,
        description="Make the source of each pair from its target, and give targets alone: edges, "
        "gray (of RGB), holes (rectangles to be filled in), blur, downsample or noise. The model "
        "then learns the way back.",
    )
    derive_sigma: _Positive | None = Field(
        None,
        title="sigma",
        description="For derive edges and blur: standard deviation of the Gaussian in pixels. By "
        "default 1.5 for edges and 2 for blur.",
    )
    derive_thin: bool = Field(
        True,
        title="thin",
        description="For derive edges: keep the ridges alone, one pixel wide, as in Canny's edges.",
    )
    derive_place: Literal["random", "centre"] = Field(
        "random",
        title="place",
        description="For derive holes: a rectangle at random in each cell, or the middle quarter "
        "of the image (centre).",
    )
    derive_cell: Annotated[int, Field(ge=4, le=65536)] = Field(
        128,
        title="cell",
        description="For derive holes: side of a cell in pixels. The sides of its hole are a "
        "quarter to a half of it.",
    )
    derive_factor: Annotated[int, Field(ge=2, le=1024)] = Field(
        4,
        title="factor",
        description="For derive downsample: so many pixels in each direction become one.",
    )
    derive_interpolation: Literal["linear", "nearest"] = Field(
        "linear",
        title="interpolation",
        description="For derive downsample: how the image is brought back to its size.",
    )
    derive_model: Literal["gaussian", "poisson"] = Field(
        "gaussian",
        title="noise is",
        description="For derive noise: gaussian (of the camera) or poisson (of few photons).",
    )
    derive_strength: _Positive = Field(
        0.5,
        title="strength",
        description="For derive noise: standard deviation of gaussian noise, in standard "
        "deviations of the target.",
    )
    derive_photons: _Positive = Field(
        30.0,
        title="photons",
        description="For derive noise: photons in the brightest pixels of an image with poisson "
        "noise.",
    )
    source_kind: Kind = Field(
        "auto",
        description="What the source holds: image, classes or instances; auto infers it. Floats "
        "are labels only where this says so.",
    )
    target_kind: Kind = Field(
        "auto",
        description="What the target holds: image, classes or instances; auto infers it. Floats "
        "are labels only where this says so.",
    )
    classes: Annotated[int, Field(ge=2, le=64)] | None = Field(
        None,
        description="Number of classes in the target, background included. Set it if rare classes "
        "may be missing from the sampled blocks.",
    )
    smallest: _Count | None = Field(
        None,
        description="Smallest object in pixels for a target of instances; smaller objects in the "
        "output are removed. Measured on the target by default.",
    )
    ndim: Literal[2, 3] = Field(
        2,
        title="dimensions",
        description="2 translates planes one by one, or with neighbours as z_context says (2.5D): "
        "little more work. 3 translates volumes: planes are seen together and come out together, "
        "at several times the work and memory. For stacks whose last axis before Y is Z.",
    )
    z_context: Annotated[int, Field(ge=0, le=64)] = Field(
        0,
        description="Neighbouring planes of a stack on each side that the generator sees too "
        "(2.5D).",
    )
    plane_levels: Annotated[int, Field(ge=0, le=10)] | None = Field(
        None,
        description="For volumes: how many of the first downsampling steps act within planes "
        "alone, since planes lie farther apart than pixels. By default as often as the distance of "
        "planes can be halved until it is that of pixels, where images state it; else 0.",
    )
    correct_shift: bool = Field(
        False,
        description="Correct a constant shift between sources and targets before training, by "
        "whole pixels (of volumes whole planes too) and the same in all pairs. The output then "
        "lies where the source lies.",
    )
    source_normalisation: Normalisation = Field(
        "percentile",
        description="Which range of source intensities becomes [-1, 1], measured on the training "
        "set: percentile (0.1 to 99.9, or those of sparse spots), minmax, meanstd or dtype (its "
        "whole range).",
    )
    target_normalisation: Normalisation = Field(
        "percentile", description="The same for the target. Outputs are mapped back."
    )
    validation: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2,
        description="Fraction held out for validation: whole images, frames of different fields, "
        "or a strip with a gap, inside the mask. 0 turns validation off.",
    )
    hold_out: str = Field(
        "",
        description="Images and frames to hold out for validation instead of a fraction, with "
        "commas between them: names or numbers of images (field 2, 5, 7-9), and frames behind a "
        "colon (field 2: 0-4). For a single stack numbers alone are its frames, or its volumes if "
        "ndim is 3. All numbers begin with 0.",
    )

    # Patches.
    patch: Annotated[int, Field(ge=16, le=16384)] = Field(
        128, description="Side of a training patch in pixels."
    )
    patch_planes: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        None,
        description="For volumes: planes of a training patch. By default as many as are as deep as "
        "the patch is wide, and no more than the volumes have.",
    )
    batch: Annotated[int, Field(ge=1, le=65536)] = Field(
        8, description="Patches per step, in each process."
    )
    content: _Fraction = Field(
        0.0,
        description="Share of patches that are drawn where the target has content; the others are "
        "drawn anywhere. For a target of labels or sparse spots, light uses 0.5.",
    )
    flips: bool = Field(True, description="Mirror patches at random.")
    vertical_flips: bool = Field(
        True, description="Mirror patches top to bottom too, not only left to right."
    )
    plane_flips: bool = Field(
        False,
        description="For volumes: mirror patches along Z too. Off by default, since light passes a "
        "sample in one direction.",
    )
    quarter_turns: bool = Field(True, description="Rotate patches by 90 degrees at random.")
    zoom: tuple[_Factor, _Factor] = Field(
        (1.0, 1.0),
        description="Range of random magnification. The paper resizes 256 pixels to 286: 1.117.",
    )
    intensity_jitter: _Fraction = Field(
        0.0,
        description="Random gain and offset of the source's intensities; the offset in standard "
        "deviations of the training set.",
    )
    source_noise: _Weight = Field(
        0.0,
        description="Random noise on each pixel of a source image, in standard deviations of the "
        "training set.",
    )

    # Generator.
    generator: Literal["unet", "encoder_decoder", "resnet"] = Field(
        "unet",
        description="Network: U-Net, the paper's encoder-decoder (a U-Net without skips) or "
        "ResNet.",
    )
    depth: Annotated[int, Field(ge=2, le=10)] = Field(
        5, description="Downsampling steps of a U-Net: 8 is U-Net-256, 7 is U-Net-128."
    )
    blocks: _Layers = Field(9, description="Residual blocks of a ResNet.")
    width: _Width = Field(16, description="Channels of the generator's first layer.")
    norm: Literal["batch", "instance", "group", "none"] = Field(
        "batch", description="Normalisation layers of the generator."
    )
    dropout: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="Dropout in the inner decoder or residual blocks, pix2pix's source of noise. "
        "The published recipes use 0.5.",
    )
    dropout_placement: Literal["reference", "paper"] = Field(
        "paper",
        description="Which U-Net blocks drop out: the three innermost (paper), or as in the "
        "PyTorch implementation (reference; none up to depth 5).",
    )
    upsampling: Literal["transpose", "resize"] = Field(
        "transpose",
        description="Transposed convolution, or nearest-neighbour resize and convolution, which "
        "makes no checkerboard.",
    )
    activation: Literal["tanh", "linear"] = Field(
        "linear",
        description="Last layer of the generator: tanh limits outputs to the normalised range, "
        "linear does not.",
    )
    bias: bool = Field(
        True, description="Use biases in the convolutions. The Torch original has none."
    )
    noise_channels: Annotated[int, Field(ge=0, le=4096)] = Field(
        0, description="Number of noise planes beside the source. Without a source: 16."
    )
    noise: Literal["image", "pixel"] = Field(
        "image",
        description="Noise planes hold one random number per image, or one per pixel. Without a "
        "source: pixel, which images larger than a patch need.",
    )

    # Discriminator.
    discriminator_layers: Annotated[int, Field(ge=0, le=6)] = Field(
        3,
        description="Layers of the PatchGAN. 0 to 5 layers see patches of 1, 16, 34, 70, 142, 286 "
        "pixels.",
    )
    discriminator_width: _Width = Field(
        16, description="Channels of the discriminator's first layer."
    )
    discriminator_norm: Literal["batch", "instance", "group", "none"] | None = Field(
        None,
        description="Normalisation layers of the discriminator; same as generator by default.",
    )
    discriminator_scales: Annotated[int, Field(ge=1, le=8)] = Field(
        1,
        description="Number of discriminators, which see the image at 1, 1/2, 1/4 ... of its size.",
    )
    conditional: bool = Field(
        True,
        description="The discriminator sees source and image together (conditional GAN), or the "
        "image alone.",
    )
    discriminator_augmentation: Literal[
        "none", "translation", "translation+cutout", "colour+translation+cutout"
    ] = Field(
        "none",
        description="Augment all images that the discriminator sees, so that it does not memorise "
        "a small training set (DiffAugment).",
    )
    spectral_norm: bool = Field(
        False, description="Use spectral normalisation in the discriminator."
    )

    # Objective.
    adversarial: Literal["vanilla", "lsgan", "hinge", "wgan", "relativistic"] = Field(
        "vanilla",
        description="Adversarial loss: cross-entropy (vanilla), least squares (lsgan), hinge, "
        "Wasserstein (wgan), or which of output and target is the real one (relativistic, best "
        "with r1).",
    )
    adversarial_weight: _Weight = Field(
        1.0,
        description="Weight of the adversarial term; 0 turns the discriminator off. For a target "
        "of labels, light uses 0.",
    )
    adversarial_start: _Fraction = Field(
        0.5,
        description="Fraction of the budget after which the discriminator starts to learn. Without "
        "a source: 0.",
    )
    adversarial_full: _Fraction = Field(
        1.0,
        description="Fraction of the budget at which the adversarial term reaches its full weight. "
        "It grows linearly from adversarial_start.",
    )
    gradient_penalty: _Weight = Field(
        0.0, description="Weight of the discriminator's gradient penalty (WGAN-GP uses 10)."
    )
    r1: _Weight = Field(
        0.0,
        description="Weight of the R1 penalty: the discriminator's squared gradient at real "
        "images.",
    )
    r1_every: _Count = Field(
        1,
        description="Steps from one R1 penalty to the next, which then counts as many times as "
        "much: 16 costs little (lazy regularisation).",
    )
    feature_matching: _Weight = Field(
        0.0,
        description="Weight of feature matching within the adversarial term: the discriminator's "
        "activations for output and target should agree. pix2pixHD's weight is 40 here.",
    )
    halve_discriminator_loss: bool = Field(
        True, description="Halve the discriminator's loss, as the PyTorch implementation does."
    )
    stale_discriminator: bool = Field(
        False,
        description="Send the generator's gradient through activations from before the "
        "discriminator's update, as the Torch original does.",
    )
    reconstruction: Literal["l1", "l2", "charbonnier"] = Field(
        "l1",
        description="Reconstruction loss. For a target of labels, light uses l2, which keeps thin "
        "borders.",
    )
    reconstruction_weight: _Weight = Field(
        100.0,
        description="Weight of the reconstruction term; 0 turns it off. Without a source: 0.",
    )
    shift_tolerance: Annotated[int, Field(ge=0, le=8)] = Field(
        0,
        description="Largest misalignment in pixels, which may differ from patch to patch. The "
        "reconstruction term shifts each target to where it fits best; of volumes along Z too.",
    )
    warp_tolerance: Annotated[int, Field(ge=0, le=16)] = Field(
        0,
        description="Largest misalignment in pixels where it differs smoothly within an image, as "
        "in stretched tissue. After a quarter of the training each target is registered to what "
        "the model draws, once. For targets that are images, of at most 32 megapixels together.",
    )
    class_weights: bool = Field(
        False,
        description="Give rare classes more weight in the reconstruction term: the inverse square "
        "root of their frequency. For a target of classes.",
    )
    foreground_weight: _Weight = Field(
        0.0,
        description="What the foreground of the target, the side of Otsu's threshold that holds "
        "fewer pixels, weighs more than its ground in the reconstruction term: with 9 it weighs 10 "
        "times as much. For a target of intensities.",
    )
    foreground_dice: _Weight = Field(
        0.0,
        description="Weight, within the reconstruction term, of soft Dice between the foregrounds "
        "of output and target. The foreground is the side of Otsu's threshold that holds fewer "
        "pixels. For a target of intensities.",
    )

    # Optimisation.
    learning_rate: _Positive = Field(2e-3, description="Adam's learning rate for the generator.")
    discriminator_learning_rate: _Positive = Field(
        2e-4, description="Adam's learning rate for the discriminator."
    )
    beta1: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.5, description="Adam's decay of the gradient's running mean."
    )
    beta2: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.999, description="Adam's decay of the squared gradient's running mean."
    )
    decay: Literal["constant", "linear", "cosine"] = Field(
        "cosine", description="How the learning rates fall to 0 over the budget."
    )
    decay_start: _Fraction = Field(
        0.0, description="Fraction of the budget after which the learning rates start to fall."
    )
    ema: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.995,
        description="Decay of the generator's running average, which is what is applied. 0 turns "
        "it off.",
    )
    gradient_clip: _Positive | None = Field(
        None, description="Largest norm of the generator's gradient; no limit by default."
    )
    keep: AppliedWeights = Field(
        "last",
        description="Which weights are applied: the last, or those of the best validation. The "
        "model file holds both, so this can be chosen again later.",
    )

    # What people are told of the model: its card shows it.
    authors: str = Field(
        "", description="Who made the model, for its card: names, with commas between them."
    )
    licence: str = Field("", description="Licence of the model, for its card, such as CC-BY-4.0.")
    intended_use: str = Field(
        "", description="What the model is meant for, and what not, for its card."
    )
    pixel_size: _Positive | None = Field(
        None,
        description="Height and width of the training images' pixels in micrometers, where files "
        "and layers do not state it or state a wrong one.",
    )
    plane_distance: _Positive | None = Field(
        None,
        description="Distance of the training images' planes in micrometers, where files and "
        "layers do not state it or state a wrong one.",
    )

    @property
    def derive_options(self) -> dict[str, Any]:
        """The options of `derive_source` that differ from its defaults."""
        return {
            name: getattr(self, f"derive_{name}")
            for name in _derive_options(self.derive, self.derive_model)
            if getattr(self, f"derive_{name}") != _default(f"derive_{name}")
        }


def derive_fields(kind: DerivedKind | None, model: str) -> tuple[str, ...]:
    """Return the fields that change how sources of a kind are made, with this model of noise."""
    return tuple(f"derive_{name}" for name in _derive_options(kind, model))


def unused_derive_field(config: ConfigFields) -> str | None:
    """Return a field that was set for another kind of source than the config makes."""
    used = derive_fields(config.derive, config.derive_model)
    names = (name for name in ConfigFields.model_fields if name.startswith("derive_"))
    unused = (name for name in names if name not in used)
    return next((name for name in unused if getattr(config, name) != _default(name)), None)


def _derive_options(kind: DerivedKind | None, model: str) -> tuple[str, ...]:
    if kind is None:
        return ()
    return tuple(name for name in DERIVE_OPTIONS[kind] if name != _OTHER_NOISE[model])


def _default(name: str) -> Any:
    return ConfigFields.model_fields[name].default
