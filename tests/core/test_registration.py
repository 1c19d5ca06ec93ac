import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from napari_pix2pix.core.losses import reconstruction_loss
from napari_pix2pix.core.registration import align_target, shift_planes


def images(count: int = 2, seed: int = 0, channels: int = 2, side: int = 12) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, side, side, generator=rng)


def moved(image: Tensor, dy: int, dx: int) -> Tensor:
    return torch.roll(image, (dy, dx), (-2, -1))


@settings(deadline=None, max_examples=20)
@given(dy=st.integers(-3, 3), dx=st.integers(-3, 3))
def test_each_image_moves_by_its_own_offset(dy, dx):
    image = images()
    got, inside = shift_planes(image, torch.tensor([[dy, dx], [0, 0]]))
    assert inside.sum().item() == (12 - abs(dy)) * (12 - abs(dx)) + 144
    where = inside[0].expand_as(got[0])
    assert torch.equal(got[0][where], moved(image[0], -dy, -dx)[where])
    assert torch.equal(got[1], image[1])


def test_gradient_goes_back_to_where_it_came_from():
    image = images(1).requires_grad_()
    got, inside = shift_planes(image, torch.tensor([[2, -3]]))
    (got * inside).sum().backward()
    expected = torch.zeros(12, 12)
    expected[2:, : 12 - 3] = 1
    assert torch.equal(image.grad[0, 0], expected)


@pytest.mark.parametrize("kind", ["l1", "l2", "charbonnier"])
def test_a_shifted_target_costs_nothing(kind):
    """One shift for each image, as far as the reach goes and no farther."""
    prediction = images(3)
    shifts = [(2, -1), (0, 0), (-1, 2)]
    target = torch.stack([moved(prediction[i], *shift) for i, shift in enumerate(shifts)])
    # Nothing comes round the edge.
    valid = torch.zeros(3, 1, 12, 12, dtype=torch.bool)
    valid[..., 2:-2, 2:-2] = True
    target[~valid.expand_as(target)] = float("nan")
    aligned, counted = align_target(kind, prediction, target, valid, 2)
    least = 1e-3 if kind == "charbonnier" else 0
    assert reconstruction_loss(kind, prediction, aligned, counted).item() == pytest.approx(least)
    aligned, counted = align_target(kind, prediction, target, valid, 1)
    assert reconstruction_loss(kind, prediction, aligned, counted).item() > 0.1


def test_the_smallest_of_all_shifts_is_taken():
    prediction, target = images(2, 1), images(2, 2)
    aligned, counted = align_target("l1", prediction, target, None, 1)
    for item in range(2):
        losses = []
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                one, inside = shift_planes(target[item : item + 1], torch.tensor([[dy, dx]]))
                loss = reconstruction_loss("l1", prediction[item : item + 1], one, inside)
                losses.append(loss.item())
        got = reconstruction_loss(
            "l1", *(part[item : item + 1] for part in (prediction, aligned, counted))
        )
        assert got.item() == pytest.approx(min(losses))


def test_what_fits_best_in_place_stays():
    prediction = images()
    target = prediction + 0.01 * images(seed=5)
    valid = torch.rand(2, 2, 12, 12) < 0.8
    aligned, counted = align_target("l1", prediction, target, valid, 3)
    assert torch.equal(aligned, target)
    assert torch.equal(counted, valid)
    flat = torch.zeros_like(target)
    assert align_target("l1", prediction * 0, flat, None, 2)[1].sum() == 288


def test_a_reach_of_nothing_is_the_ordinary_loss():
    prediction, target = images(2, 1), images(2, 2)
    aligned, counted = align_target("l2", prediction, target, None, 0)
    assert torch.equal(aligned, target)
    assert counted.all()


def test_ignored_pixels_choose_no_shift():
    prediction = images(2, 1)
    valid = torch.ones(2, 1, 12, 12, dtype=torch.bool)
    valid[:, :, 3:8, 2:9] = False
    results = []
    for value in (0.0, 1e3, float("nan")):
        target = torch.where(valid, moved(prediction, 1, 1), value)
        aligned, counted = align_target("l1", prediction, target, valid, 2)
        results.append((aligned.where(counted, 0), counted))
    for aligned, counted in results[1:]:
        assert torch.equal(aligned, results[0][0])
        assert torch.equal(counted, results[0][1])


def test_few_pixels_that_are_left_do_not_count_as_a_fit():
    """One row of the target is known: a shift that loses it would cost nothing."""
    valid = torch.zeros(1, 1, 12, 12, dtype=torch.bool)
    valid[..., :1, :] = True
    prediction, target = torch.zeros(1, 1, 12, 12), torch.ones(1, 1, 12, 12)
    _, counted = align_target("l1", prediction, target, valid, 2)
    assert counted.sum() == 12


def test_nothing_known_is_no_trouble():
    prediction = images().requires_grad_()
    target = torch.full((2, 2, 12, 12), float("nan"))
    valid = torch.zeros(2, 1, 12, 12, dtype=torch.bool)
    loss = reconstruction_loss("l1", prediction, *align_target("l1", prediction, target, valid, 2))
    assert loss.item() == 0
    loss.backward()
    assert (prediction.grad == 0).all()


def test_unusable_arguments_are_refused_in_words():
    image = images()
    with pytest.raises(ValueError, match="reach is -1; give an integer of at least 0"):
        align_target("l1", image, image, None, -1)
    with pytest.raises(ValueError, match=r"valid has shape \(2, 12, 12\)"):
        align_target("l1", image, image, torch.ones(2, 12, 12), 1)
