from typing import get_args

import pytest
from pydantic import ValidationError

from napari_pix2pix.core import AdversarialLoss
from napari_pix2pix.core.augmentation import Augmentation
from napari_pix2pix.core.generators import Activation, DropoutPlacement, GeneratorKind
from napari_pix2pix.core.layers import NormName, Upsampling
from napari_pix2pix.core.losses import ReconstructionLoss
from napari_pix2pix.errors import ConfigError
from napari_pix2pix.training.config import PRESETS, TrainConfig, with_default_budget

# specification.md: what both public implementations do.
SHARED = {
    "generator": "unet",
    "depth": 8,
    "width": 64,
    "norm": "batch",
    "dropout": 0.5,
    "activation": "tanh",
    "upsampling": "transpose",
    "discriminator_layers": 3,
    "discriminator_width": 64,
    "conditional": True,
    "adversarial": "vanilla",
    "adversarial_weight": 1.0,
    "adversarial_start": 0.0,
    "adversarial_full": 0.0,
    "reconstruction": "l1",
    "reconstruction_weight": 100.0,
    "gradient_penalty": 0.0,
    "learning_rate": 2e-4,
    "discriminator_learning_rate": 2e-4,
    "beta1": 0.5,
    "beta2": 0.999,
    "batch": 1,
    "patch": 256,
    "zoom": (286 / 256, 286 / 256),
    "flips": True,
    "quarter_turns": False,
    "ema": 0.0,
    "default_epochs": 200,
    "passes": 0,
}
# specification.md: where the two differ.
DIFFERENT = {
    "dropout_placement": ("reference", "paper"),
    "bias": (True, False),
    "halve_discriminator_loss": (True, False),
    "stale_discriminator": (False, True),
    "decay": ("linear", "constant"),
}


@pytest.mark.parametrize("preset", ["reference", "paper"])
def test_presets_are_the_published_recipes(preset):
    config = TrainConfig(preset=preset)
    assert {name: getattr(config, name) for name in SHARED} == SHARED
    place = ("reference", "paper").index(preset)
    for name, values in DIFFERENT.items():
        assert getattr(config, name) == values[place], name


def test_the_two_recipes_differ_in_nothing_else():
    reference, paper = (TrainConfig(preset=name).model_dump() for name in ("reference", "paper"))
    different = {name for name in reference if reference[name] != paper[name]}
    # `decay_start` is read by decays only, and the paper's rate is constant.
    assert different - {"preset", "decay_start"} == DIFFERENT.keys()
    assert reference["decay_start"] == 0.5


@pytest.mark.parametrize("preset", ["reference", "paper"])
def test_the_recipes_have_none_of_what_came_later(preset):
    config = TrainConfig(preset=preset)
    assert config.discriminator_augmentation == "none"
    assert config.discriminator_scales == 1
    for name in ("spectral_norm", "feature_matching", "shift_tolerance", "r1", "gradient_clip"):
        assert not getattr(config, name)
    assert config.noise_channels == 0


@pytest.mark.parametrize("preset", PRESETS)
def test_a_given_field_wins_over_the_preset(preset):
    config = TrainConfig(preset=preset, batch=3, learning_rate=0.5)
    assert (config.preset, config.batch, config.learning_rate) == (preset, 3, 0.5)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"epochs": -1}, "epochs should be greater than or equal to 1, got -1."),
        ({"steps": 0}, "steps should be greater than or equal to 1, got 0."),
        ({"max_seconds": 0}, "max_seconds should be greater than 0, got 0."),
        ({"max_seconds": float("inf")}, "max_seconds should be a finite number, got inf."),
        ({"learning_rate": float("nan")}, "learning_rate should be"),
        ({"epochs": "three"}, "epochs should be a valid integer, .*, got 'three'."),
        ({"epochs": 2.5}, "epochs should be a valid integer, .*, got 2.5."),
        ({"width": None}, "width should be a valid integer, got None."),
        ({"flips": "maybe"}, "flips should be a valid boolean, .*, got 'maybe'."),
        ({"preset": "ligth"}, "preset should be 'light', 'reference' or 'paper', got 'ligth'."),
        ({"preset": ["light"]}, "preset should be 'light', 'reference' or 'paper', got"),
        ({"norm": "layer"}, "norm should be 'batch', .* got 'layer'."),
        ({"validation": 1.0}, "validation should be less than 1, got 1.0."),
        ({"learnig_rate": 1}, "There is no field learnig_rate: did you mean learning_rate?"),
        ({"xyzzy": 1}, "There is no field xyzzy: see help"),
        ({"zoom": (1.0,)}, r"zoom should be a pair of numbers, got \(1.0,\)."),
        ({"zoom": (1, 2, 3)}, r"zoom should be a pair of numbers, got \(1, 2, 3\)."),
        ({"zoom": (2, 1)}, "zoom should go from low to high"),
        ({"adversarial_weight": 0, "reconstruction_weight": 0}, "nothing would be learnt"),
        ({"class_weights": True, "reconstruction_weight": 0}, "leave one of them out"),
        ({"shift_tolerance": 2, "reconstruction_weight": 0}, "leave one of them out"),
        ({"foreground_dice": 1, "reconstruction_weight": 0}, "leave one of them out"),
        ({"foreground_weight": -1}, "foreground_weight should be greater than or equal to 0"),
        ({"r1_every": 16}, "r1_every=16 says how often .* set r1, or r1_every=1"),
        ({"r1_every": 0, "r1": 1}, "r1_every should be greater than or equal to 1, got 0."),
        ({"preset": "paper", "adversarial": "relativistic"}, "judges each image alone: set"),
        ({"shift_tolerance": 9}, "shift_tolerance should be less than or equal to 8, got 9."),
        ({"feature_matching": 40, "adversarial_weight": 0}, "leave one of them out"),
        ({"discriminator_augmentation": "flip"}, "discriminator_augmentation should be 'none', "),
        ({"classes": 1}, "classes should be greater than or equal to 2, got 1."),
        ({"classes": 3, "target_kind": "image"}, "classes is for a target of classes, and"),
        ({"smallest": 3, "target_kind": "classes"}, "smallest is for a target of instances"),
        ({"adversarial_start": 0.8, "adversarial_full": 0.2}, "lies before adversarial_start"),
        ({"patch": 100, "depth": 3}, "patch should be a multiple of 8 at depth=3, got 100"),
        ({"patch": 102, "generator": "resnet"}, "multiple of 4 for a ResNet, got 102"),
        ({"patch": 128, "preset": "reference"}, "multiple of 256 at depth=8, got 128"),
        ({"patch": 64, "discriminator_layers": 5}, "patch should be at least 96 for"),
        ({"patch": 32, "discriminator_scales": 4, "discriminator_layers": 1}, "at least 48 for"),
        ({"device": "cuda:1", "devices": 2}, "device='cuda:1' names a single device and devices=2"),
        ({"preset": "paper", "r1": 1.0}, "set gradient_penalty=0 and r1=0"),
        ({"preset": "paper", "gradient_penalty": 10.0}, "set gradient_penalty=0 and r1=0"),
        ({"preset": "paper", "feature_matching": 1.0}, "set feature_matching=0 and"),
        (
            {"preset": "paper", "discriminator_augmentation": "translation"},
            "discriminator_augmentation='none', or stale_discriminator=False",
        ),
    ],
)
def test_refusals_are_sentences(fields, sentence):
    with pytest.raises(ConfigError, match=sentence) as caught:
        TrainConfig(**fields)
    said = str(caught.value)
    assert said.endswith(".") or said.endswith("?")
    assert "\n" not in said
    assert "pydantic" not in said


@pytest.mark.parametrize(
    "fields",
    [
        {"preset": "reference", "depth": 3, "patch": 32},
        {"generator": "resnet", "patch": 20, "discriminator_layers": 2},
        {"patch": 64, "discriminator_layers": 5, "adversarial_weight": 0},
        {"patch": 16, "depth": 4, "discriminator_layers": 0},
    ],
)
def test_what_can_be_built_is_not_refused(fields):
    config = TrainConfig(**fields)
    assert {name: getattr(config, name) for name in fields} == fields


@pytest.mark.parametrize("preset", PRESETS)
def test_json_brings_a_config_back(preset):
    config = TrainConfig(preset=preset, seed=2**62, max_seconds=1.5, zoom=(0.9, 1.1), depth=4)
    assert TrainConfig(**config.model_dump(mode="json")) == config
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


def test_it_is_frozen():
    config = TrainConfig()
    with pytest.raises(ValidationError, match="frozen"):
        config.width = 3  # type: ignore[misc]


@pytest.mark.parametrize("name", TrainConfig.model_fields)
def test_every_field_is_described_once(name):
    description = TrainConfig.model_fields[name].description
    assert description
    assert description.endswith(".")
    # Sentences that were joined without a space were pasted twice.
    half = len(description) // 2
    assert description[:half].strip() != description[half:].strip()
    assert description.count(description[:20]) == 1


@pytest.mark.parametrize(
    ("name", "choices"),
    [
        ("generator", GeneratorKind),
        ("norm", NormName),
        ("upsampling", Upsampling),
        ("activation", Activation),
        ("dropout_placement", DropoutPlacement),
        ("adversarial", AdversarialLoss),
        ("reconstruction", ReconstructionLoss),
        ("discriminator_augmentation", Augmentation),
    ],
)
def test_choices_are_those_of_the_networks_and_losses(name, choices):
    assert get_args(TrainConfig.model_fields[name].annotation) == get_args(choices)


def test_every_preset_is_made_of_fields():
    for preset in PRESETS.values():
        assert set(preset) <= set(TrainConfig.model_fields)


def test_the_default_budget_is_the_presets():
    assert with_default_budget(TrainConfig(default_epochs=7)).epochs == 7
    for given in ({"epochs": 2}, {"steps": 2}, {"max_seconds": 2.0}):
        config = TrainConfig(**given)
        assert with_default_budget(config) == config


def test_wgan_needs_a_bounded_discriminator():
    with pytest.raises(ConfigError, match="gradient_penalty=10"):
        TrainConfig(adversarial="wgan")
    assert TrainConfig(adversarial="wgan", gradient_penalty=10).gradient_penalty == 10
    assert TrainConfig(adversarial="wgan", spectral_norm=True).spectral_norm


def test_the_budget_of_a_run_that_is_resumed_is_kept():
    before = TrainConfig(max_seconds=7)
    assert with_default_budget(TrainConfig(), before).max_seconds == 7
    assert with_default_budget(TrainConfig(), before).epochs is None
    assert with_default_budget(TrainConfig(steps=3), before).max_seconds is None
    assert with_default_budget(TrainConfig()).epochs == TrainConfig().default_epochs
