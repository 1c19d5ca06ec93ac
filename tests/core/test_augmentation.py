"""What a discriminator sees, augmented: seeded, the same for all planes, with a gradient."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from napari_pix2pix.core.augmentation import AUGMENTATION_DRAWS, Augmentation, augment

KINDS = list(get_args(Augmentation))
WHOLE = "colour+translation+cutout"


def planes(count: int = 2, seed: int = 0) -> Tensor:
    """Two planes of a source and three of an image."""
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, 5, 16, 24, generator=rng)


def draws(count: int = 2, seed: int = 0, **fixed: float) -> Tensor:
    names = ["brightness", "saturation", "contrast", "rows", "columns", "top", "left"]
    rng = torch.Generator().manual_seed(seed)
    numbers = torch.rand(count, AUGMENTATION_DRAWS, generator=rng)
    for name, value in fixed.items():
        numbers[:, names.index(name)] = value
    return numbers


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_numbers_give_the_same(kind):
    one, same, other = (augment(kind, planes(), draws(seed=seed), 3) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert torch.equal(one, other) == torch.equal(one, planes()) == (kind == "none")
    assert one.shape == (2, 5, 16, 24)


@pytest.mark.parametrize(("number", "offset"), [(0.0, -2), (0.5, 0), (0.999, 2)])
def test_all_planes_move_together_by_an_eighth_at_most(number, offset):
    image = planes()
    got = augment("translation", image, draws(rows=number, columns=0.5), 3)
    expected = torch.zeros_like(image)
    to = slice(max(-offset, 0), 16 - max(offset, 0))
    of = slice(max(offset, 0), 16 - max(-offset, 0))
    expected[:, :, to] = image[:, :, of]
    assert torch.equal(got, expected)


def test_a_square_of_half_the_size_is_cut_out_of_all_planes():
    numbers = draws(rows=0.5, columns=0.5, top=0.5, left=0.5)
    got = augment("translation+cutout", planes(), numbers, 3)
    expected = planes()
    expected[:, :, 4:12, 6:18] = 0
    assert torch.equal(got, expected)
    corner = augment("translation+cutout", planes(), draws(rows=0.5, columns=0.5, top=0, left=0), 3)
    assert (corner == 0).sum() == 2 * 5 * 4 * 6


def test_colour_changes_the_image_alone():
    still = {"rows": 0.5, "columns": 0.5, "top": 0.0, "left": 0.0}
    plain = {"brightness": 0.5, "saturation": 0.5, "contrast": 0.5}
    image = planes()
    kept = image.clone()
    kept[:, :, :4, :6] = 0
    assert torch.allclose(augment(WHOLE, image, draws(**still, **plain), 3), kept, atol=1e-6)

    brighter = augment(WHOLE, image, draws(**still, **plain | {"brightness": 0.75}), 3)
    assert torch.equal(brighter[:, :2], kept[:, :2])
    assert torch.allclose((brighter - kept)[:, 2:, 4:], torch.tensor(0.25), atol=1e-5)

    gray = augment(WHOLE, image, draws(**still, **plain | {"saturation": 0.0}), 3)[:, 2:, 4:]
    assert torch.allclose(gray, image[:, 2:, 4:].mean(1, keepdim=True).expand_as(gray), atol=1e-5)

    flat = augment(WHOLE, image, draws(**still, **plain | {"contrast": 0.0}), 3)[:, 2:, 4:]
    mean = image[:, 2:].mean((1, 2, 3), keepdim=True)
    assert torch.allclose(flat - mean, 0.5 * (image[:, 2:, 4:] - mean), atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_gradient_goes_through(kind):
    """By finite differences, in double precision."""
    numbers = draws(1)
    image = planes(1)[:, :, :8, :8].double().requires_grad_()
    assert torch.autograd.gradcheck(lambda seen: augment(kind, seen, numbers, 3), (image,))


def test_colour_of_an_image_of_no_source():
    image = planes()[:, :1]
    got = augment(WHOLE, image, draws(saturation=0.0), 1)
    assert torch.allclose(got, augment(WHOLE, image, draws(saturation=0.9), 1), atol=1e-6)


def test_unknown_kinds_are_refused_in_words():
    with pytest.raises(ValueError, match="augmentation 'cutout' is not known; choose one of"):
        augment("cutout", planes(), draws(), 3)  # type: ignore[arg-type]
