"""The features in the middle of a generator, and how far from usual they are."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.core.encoder import UsualFeatures, cell_side, feature_layer


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("generator", "cell", "channels"),
    [
        (UNet(2, 1, depth=2, width=4), 4, 8),
        (UNet(2, 1, depth=6, width=4), 16, 32),
        (UNet(2, 1, depth=4, width=4, skips=False, upsampling="resize"), 16, 32),
        (ResNet(2, 1, blocks=2, width=4, upsampling="resize"), 4, 16),
    ],
)
def test_features_are_those_of_the_last_halving(generator, cell, channels):
    seen = []
    feature_layer(generator).register_forward_hook(lambda *args: seen.append(args[2].shape))
    generator.eval()(torch.zeros(1, 2, 64, 128))
    assert cell_side(generator) == cell
    assert seen == [(1, channels, 64 // cell, 128 // cell)]


@given(st.integers(1, 600), st.integers(1, 80), st.integers(0, 99))
@settings(deadline=None, max_examples=20)
def test_99_of_100_cells_lie_below_1(count, channels, seed):
    features = drawn(count, channels, seed=seed)
    distances = UsualFeatures.fit(features)(features.T[None, :, None])
    assert distances.shape == (1, 1, 1, count)
    assert distances.isfinite().all()
    assert (distances > 1.0001).sum() <= 0.01 * count + 1


def test_a_change_of_unit_changes_nothing():
    features, others = drawn(500, 6), 3 * drawn(40, 6, seed=1)
    mixed = drawn(6, 6, seed=2)
    plain = UsualFeatures.fit(features)(others.T[None, :, None])
    changed = UsualFeatures.fit(features @ mixed + 5)((others @ mixed + 5).T[None, :, None])
    torch.testing.assert_close(changed, plain, rtol=1e-3, atol=1e-3)
    assert (plain > 1).float().mean() > 0.5


def test_cells_that_are_all_alike_know_no_distance():
    usual = UsualFeatures.fit(torch.ones(20, 4))
    assert usual(torch.ones(1, 4, 1, 1)).item() == 0
    assert usual.axes.isfinite().all()


def test_few_cells_know_few_axes():
    assert len(UsualFeatures.fit(drawn(40, 30)).axes) == 5
    assert len(UsualFeatures.fit(drawn(2000, 100)).axes) == 64
