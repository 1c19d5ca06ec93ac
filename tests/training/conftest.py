"""Tiny pairs, configs and runs for the tests of the training room."""

import numpy as np
import pytest
from helpers import TINY
from lightning_fabric import Fabric
from scipy.ndimage import gaussian_filter

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.dataset import prepare
from napari_pix2pix.training.distributed import make_fabric
from napari_pix2pix.training.events import Control
from napari_pix2pix.training.loop import TrainingLoop, build_state
from napari_pix2pix.training.state import TrainingState, build_discriminator, build_generator

# Nothing random but what a test asks for, and nothing that follows the defaults of ``light``.
PLAIN = TINY | {
    "depth": 3,
    "discriminator_layers": 1,
    "dropout": 0.0,
    "intensity_jitter": 0.0,
    "source_noise": 0.0,
    "ema": 0.9,
    "learning_rate": 1e-3,
    "adversarial_start": 0.5,
    "adversarial_full": 1.0,
    "decay": "cosine",
    "decay_start": 0.0,
    "keep": "last",
}


@pytest.fixture(scope="session")
def golden_steps(golden_values):
    return golden_values["training_steps"]


@pytest.fixture(scope="session")
def fabric():
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture
def tiny():
    """Return a maker of configs of tiny networks."""
    return lambda **fields: TrainConfig(**{**PLAIN, **fields})


@pytest.fixture
def make_pair():
    """Return a maker of pairs: smooth noise, and its square with an offset."""

    def make(seed=0, shape=(96, 80), **fields):
        source = gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
        source = (source / source.std()).astype(np.float32)
        return Pair(source, source**2 + 3, **fields)

    return make


@pytest.fixture
def make_state():
    """Return a maker of states of networks that take ``planes`` and give one."""

    def make(config, *, planes=1, conditions=0):
        generator = build_generator(
            config, planes_in=planes + conditions + config.noise_channels, planes_out=1
        )
        given = planes + conditions if config.conditional else 0
        discriminator = build_discriminator(config, planes_in=given + 1)
        return TrainingState(config, generator, discriminator)

    return make


@pytest.fixture
def make_loop(tiny, make_pair, device):
    """Return a maker of loops over one pair."""

    def make(*, data=None, control=None, save=None, seconds_before=0.0, preview=None, **fields):
        config = tiny(**fields)
        data = data or prepare([make_pair()], config)
        state = build_state(config, data, device)
        how = {"control": control or Control(), "save": save, "seconds_before": seconds_before}
        return TrainingLoop(state, data, make_fabric(config, device), preview=preview, **how)

    return make
