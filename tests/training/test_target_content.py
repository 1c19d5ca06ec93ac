import numpy as np
import pytest
import torch

from napari_pix2pix.core import foreground_dice_loss
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.training._step import Pix2PixStep, TensorBatch
from napari_pix2pix.training._target_content import ChannelContent
from napari_pix2pix.training.dataset import prepare
from napari_pix2pix.training.loop import build_state

ONLY_PIXELS = {"adversarial_weight": 0.0, "reconstruction_weight": 1.0, "validation": 0.0}


@pytest.fixture
def pair():
    """Return a target of 100 with a quarter at 300, and noise that fills the gap between."""
    rng = np.random.default_rng(0)
    target = rng.normal(100, 40, (96, 80))
    target[:48, :40] += 200
    return Pair(rng.random((96, 80)), target.astype(np.float32))


def content_of(pair, config):
    return prepare([pair], config).target_content


@pytest.mark.parametrize("sign", [1, -1])
def test_otsu_finds_the_foreground_on_either_side(sign, pair, tiny):
    data = prepare(
        [Pair(pair.source, sign * pair.target)], tiny(foreground_dice=1.0, **ONLY_PIXELS)
    )
    (content,) = data.target_content
    assert content.share == pytest.approx(0.25, abs=0.1)  # of blocks, which meet the middle more
    assert sign * content.threshold == pytest.approx(0.0, abs=0.2)
    assert sign * content.ground == pytest.approx(-0.45, abs=0.15)
    side = "above" if sign > 0 else "below"
    assert any(f"foreground, by Otsu's threshold, is what lies {side}" in n for n in data.notes)


@pytest.mark.parametrize(("bright", "warned"), [(0.6, True), (0.4, False), (0.8, False)])
def test_dense_bright_objects_are_warned_of(bright, warned, tiny):
    rng = np.random.default_rng(0)
    target = rng.normal(100, 40, (96, 100)) + 400 * (rng.random((96, 100)) < bright)
    config = tiny(foreground_weight=9.0, **ONLY_PIXELS)
    said = prepare([Pair(rng.random((96, 100)), target.astype(np.float32))], config).warnings
    found = [text for text in said if "here the dark one with 4" in text]
    assert len(found) == warned
    assert all("leave foreground_weight out" in text for text in found)


def test_a_threshold_is_in_the_middle_of_an_empty_gap(tiny):
    target = np.full((96, 80), 100.0, np.float32)
    target[:48, :40] = 300
    pair = Pair(np.random.default_rng(0).random((96, 80)), target)
    (content,) = content_of(pair, tiny(foreground_weight=9.0, **ONLY_PIXELS))
    assert content.threshold == pytest.approx(0.0, abs=1e-6)


def test_nothing_is_measured_unasked_for(pair, tiny):
    assert content_of(pair, tiny(**ONLY_PIXELS)) is None


def test_labels_are_refused(tiny):
    labels = np.zeros((96, 80), np.uint8)
    labels[10:30] = 1
    pair = Pair(np.random.default_rng(0).random((96, 80)), labels)
    with pytest.raises(InputError, match="taken for classes: leave foreground_dice out"):
        prepare([pair], tiny(foreground_dice=1.0, target_kind="classes", validation=0.0))


def test_both_terms_are_those_of_the_foreground(pair, tiny, fabric):
    """Weights by hand: what lies above 0 weighs 4, all else 1."""
    content = (ChannelContent(ground=-1.0, threshold=0.0, gain=0.0, share=0.5),)
    config = tiny(foreground_weight=3.0, foreground_dice=0.5, **ONLY_PIXELS)
    data = prepare([pair], config)
    state = build_state(data.config, data, torch.device("cpu"))
    rng = torch.Generator().manual_seed(0)
    source, target = (2 * torch.rand(2, 2, 1, 32, 32, generator=rng) - 1).unbind()
    with torch.no_grad():
        fake = state.generator.train()(source)
    train_step = Pix2PixStep(state, fabric, conditions=0, target_content=content)
    losses = train_step(
        TensorBatch(source, target, None, torch.zeros(2, dtype=torch.long)),
        adversarial=False,
        adversarial_weight=0.0,
        rate=1.0,
    )
    weights = torch.where(target > 0, 4.0, 1.0)
    expected = (weights * (fake - target).abs()).mean().item()
    assert losses["G_L1"].item() == pytest.approx(expected, rel=1e-5)
    ground, threshold = torch.full((1, 1, 1), -1.0), torch.zeros(1, 1, 1)
    dice = foreground_dice_loss(fake, target, ground, threshold).item()
    assert losses["G_dice"].item() == pytest.approx(0.5 * dice, rel=1e-5)
