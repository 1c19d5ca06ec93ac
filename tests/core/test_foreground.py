import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.core.foreground import foreground, foreground_dice_loss

GROUND, THRESHOLD = torch.tensor([-1.0, 1.0]), torch.tensor([0.0, 0.5])
CHANNELS = GROUND.reshape(2, 1, 1), THRESHOLD.reshape(2, 1, 1)


def test_the_foreground_lies_beyond_the_threshold_on_either_side():
    planes = torch.tensor([-2.0, 0.2, 0.7, float("nan")]).reshape(1, 1, 1, 4).expand(1, 2, 1, 4)
    bright, dark = foreground(planes, *CHANNELS)[0, :, 0].tolist()
    assert bright == [False, True, True, False]
    assert dark == [True, True, False, False]
    flat = CHANNELS[0], CHANNELS[0]
    assert not foreground(planes, *flat).any()


def test_dice_is_that_of_the_soft_foreground():
    """By hand: sigmoids of 0.1, -0.2 and 0.3 over 0.1; the target's first and last are in."""
    prediction = torch.tensor([0.1, -0.2, 0.3]).reshape(1, 1, 1, 3)
    target = torch.tensor([1.0, -1.0, 0.1]).reshape(1, 1, 1, 3)
    soft = [0.7310586, 0.1192029, 0.9525741]
    expected = 1 - (2 * (soft[0] + soft[2]) + 1) / (sum(soft) + 2 + 1)
    channel = CHANNELS[0][:1], CHANNELS[1][:1]
    loss = foreground_dice_loss(prediction, target, *channel)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    valid = torch.tensor([True, True, False]).reshape(1, 1, 1, 3)
    target[..., 2] = float("nan")
    expected = 1 - (2 * soft[0] + 1) / (soft[0] + soft[1] + 1 + 1)
    loss = foreground_dice_loss(prediction, target, *channel, valid)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    half = foreground_dice_loss(prediction.bfloat16(), prediction, *channel)
    assert half.dtype == torch.float32


@settings(deadline=None, max_examples=15)
@given(seed=st.integers(0, 1000), size=st.integers(1, 9))
def test_a_gradient_moves_values_to_their_side(seed, size):
    rng = torch.Generator().manual_seed(seed)
    prediction = (0.2 * torch.randn(2, 2, size, size, generator=rng)).requires_grad_()
    target = torch.randn(2, 2, size, size, generator=rng)
    loss = foreground_dice_loss(prediction, target, *CHANNELS)
    assert 0 <= loss.item() <= 1
    loss.backward()
    inside = foreground(target, *CHANNELS)
    outwards = (CHANNELS[1] - CHANNELS[0]).sign() * prediction.grad
    assert (outwards[inside] <= 0).all()
    assert (outwards[~inside] >= 0).all()


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="prediction has shape"):
        foreground_dice_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 1, 4, 4), *CHANNELS)
