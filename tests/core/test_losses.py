"""Losses against their formulas, and five training steps against the reference's."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from napari_pix2pix.core.conditioning import stack_planes
from napari_pix2pix.core.discriminators import PatchDiscriminator
from napari_pix2pix.core.generators import UNet
from napari_pix2pix.core.losses import (
    discriminator_loss,
    feature_matching_loss,
    generator_loss,
    gradient_penalty,
    r1_penalty,
    reconstruction_loss,
)

KINDS = ["vanilla", "lsgan", "hinge", "wgan"]


@pytest.mark.parametrize("kind", ["vanilla", "lsgan"])
def test_five_steps_equal_the_reference(kind, golden, golden_values):
    generator = UNet(1, 1, depth=7, width=8)
    discriminator = PatchDiscriminator(2, width=8)
    for network in (generator, discriminator):
        golden.fill_(network.state_dict())
    generator_adam, discriminator_adam = (
        torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
        for network in (generator, discriminator)
    )
    for step, expected in enumerate(golden_values["training_steps"][kind]):
        source = golden.ramp(2, 1, 128, 128, phase=step)
        target = golden.ramp(2, 1, 128, 128, phase=step + 1.5)
        prediction = generator(source)

        seen_fake = stack_planes(source, prediction.detach())
        fake = discriminator_loss(kind, discriminator(seen_fake), real=False)
        real = discriminator_loss(kind, discriminator(stack_planes(source, target)), real=True)
        discriminator_adam.zero_grad()
        (0.5 * (fake + real)).backward()
        discriminator_adam.step()

        adversarial = generator_loss(kind, discriminator(stack_planes(source, prediction)))
        reconstruction = 100 * reconstruction_loss("l1", prediction, target)
        generator_adam.zero_grad()
        (adversarial + reconstruction).backward()
        generator_adam.step()

        got = {"G_GAN": adversarial, "G_L1": reconstruction, "D_real": real, "D_fake": fake}
        losses = {name: loss.item() for name, loss in got.items()}
        assert losses == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("real", [True, False])
def test_vanilla_is_cross_entropy(real):
    logits = torch.linspace(-30, 30, 31).reshape(1, 1, 1, 31)
    expected = nn.functional.binary_cross_entropy_with_logits(
        logits, torch.full_like(logits, float(real))
    )
    assert torch.allclose(discriminator_loss("vanilla", logits, real), expected)


@pytest.mark.parametrize(
    ("kind", "of_real", "of_fake", "of_generator"),
    [
        ("lsgan", [4.0, 0.25], [1.0, 2.25], [4.0, 0.25]),
        ("hinge", [2.0, 0.0], [0.0, 2.5], [1.0, -1.5]),
        ("wgan", [1.0, -1.5], [-1.0, 1.5], [1.0, -1.5]),
    ],
)
def test_formulas(kind, of_real, of_fake, of_generator):
    logits = torch.tensor([-1.0, 1.5]).reshape(1, 1, 1, 2)
    mean = pytest.approx
    assert discriminator_loss(kind, logits, True).item() == mean(sum(of_real) / 2)
    assert discriminator_loss(kind, logits, False).item() == mean(sum(of_fake) / 2)
    assert generator_loss(kind, logits).item() == mean(sum(of_generator) / 2)


def test_relativistic_compares_the_logits_of_a_place():
    """softplus(-(real - fake)) by hand: of 1, -2 and 3, minus 0, -1 and 5."""
    real, fake = (torch.tensor(v).reshape(1, 1, 1, 3) for v in ([1.0, -2.0, 3.0], [0.0, -1.0, 5.0]))
    expected = [sum(math.log1p(math.exp(s * d)) for d in (1, -1, -2)) / 3 for s in (-1, 1)]
    assert discriminator_loss("relativistic", real, True, fake).item() == pytest.approx(expected[0])
    assert discriminator_loss("relativistic", fake, False, real).item() == pytest.approx(
        expected[0]
    )
    assert generator_loss("relativistic", fake, real).item() == pytest.approx(expected[1])
    both = (fake, 2 * fake), (real, real)
    halves = [generator_loss("relativistic", one, two) for one, two in zip(*both, strict=True)]
    assert torch.allclose(generator_loss("relativistic", *both), sum(halves) / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_scales_are_averaged_whatever_their_size(kind):
    rng = torch.Generator().manual_seed(0)
    scales = tuple(torch.randn(2, 1, n, n, generator=rng) for n in (8, 4))
    for loss in (
        lambda logits: discriminator_loss(kind, logits, True),
        lambda logits: discriminator_loss(kind, logits, False),
        lambda logits: generator_loss(kind, logits),
    ):
        assert torch.allclose(loss(scales), (loss(scales[0]) + loss(scales[1])) / 2)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("real", [True, False])
def test_a_better_verdict_costs_less(kind, real):
    logits = torch.full((1, 1, 2, 2), 0.1, requires_grad=True)
    discriminator_loss(kind, logits, real).backward()
    assert torch.all(logits.grad < 0 if real else logits.grad > 0)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_logits_give_a_full_precision_loss(kind):
    logits = torch.linspace(-1, 1, 4096).reshape(1, 1, 64, 64)
    loss = discriminator_loss(kind, logits.bfloat16(), True)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(discriminator_loss(kind, logits, True).item(), abs=1e-3)


class Linear(nn.Module):
    """A critic whose slope is its weight."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).sum((1, 2, 3), keepdim=True)


def images(count: int, seed: int = 0, channels: int = 2, size: int = 6) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, size, size, generator=rng, dtype=torch.float64)


def test_penalties_of_a_linear_critic():
    critic = Linear(images(1, 5)[0])
    norm = critic.weight.detach().norm()
    alpha = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64).reshape(3, 1, 1, 1)
    penalty = gradient_penalty(critic, images(3, 1), images(3, 2), alpha)
    assert penalty.item() == pytest.approx((norm.item() - 1) ** 2)
    penalty.backward()
    expected = 2 * (norm - 1) * critic.weight.detach() / norm
    assert torch.allclose(critic.weight.grad, expected)

    critic.weight.grad = None
    penalty = r1_penalty(critic, images(3, 1))
    assert penalty.item() == pytest.approx(norm.item() ** 2)
    penalty.backward()
    assert torch.allclose(critic.weight.grad, 2 * critic.weight.detach())


def test_gradient_penalty_is_taken_at_the_mixture():
    real, fake = images(2, 1), images(2, 2)
    alpha = torch.tensor([0.25, 1.0], dtype=torch.float64).reshape(2, 1, 1, 1)
    mixture = alpha * real + (1 - alpha) * fake

    def parabola(x):  # its slope is x itself
        return x.square().sum((1, 2, 3)) / 2

    expected = (mixture.flatten(1).norm(dim=1) - 1).square().mean()
    assert torch.allclose(gradient_penalty(parabola, real, fake, alpha), expected)
    assert torch.allclose(r1_penalty(parabola, real), real.square().sum((1, 2, 3)).mean())


def test_penalties_of_scales_are_averaged():
    one, other = Linear(images(1, 5)[0]), Linear(images(1, 6)[0])
    real, alpha = images(2, 1), torch.ones(2, 1, 1, 1, dtype=torch.float64)

    def both(x):
        return one(x), other(x)

    def penalty(critic):
        return torch.stack([gradient_penalty(critic, real, real, alpha), r1_penalty(critic, real)])

    assert torch.allclose(penalty(both), (penalty(one) + penalty(other)) / 2)


@pytest.mark.parametrize("norm", ["instance", "group", "none"])
@pytest.mark.parametrize("which", ["gradient", "r1"])
def test_penalty_reaches_the_weights(norm, which):
    torch.manual_seed(0)
    network = PatchDiscriminator(2, layers=1, width=3, norm=norm).double()
    real, fake = images(2, 1, size=12), images(2, 2, size=12)
    alpha = torch.full((2, 1, 1, 1), 0.4, dtype=torch.float64)

    def penalty():
        if which == "r1":
            return r1_penalty(network, real)
        return gradient_penalty(network, real, fake, alpha)

    penalty().backward()
    weight = network.model[0].weight
    epsilon = 1e-5
    for place in [(0, 0, 0, 0), (1, 1, 2, 1), (2, 0, 3, 3)]:
        values = []
        for shift in (epsilon, -epsilon):
            with torch.no_grad():
                weight[place] += shift
            values.append(penalty().item())
            with torch.no_grad():
                weight[place] -= shift
        slope = (values[0] - values[1]) / (2 * epsilon)
        assert weight.grad[place].item() == pytest.approx(slope, rel=1e-5, abs=1e-7)


def test_penalties_leave_images_and_generator_alone():
    fake = images(1, 2).requires_grad_()
    critic = Linear(images(1, 5)[0])
    gradient_penalty(critic, images(1, 1), fake, torch.rand(1, 1, 1, 1).double()).backward()
    real = images(1, 1)
    r1_penalty(critic, real).backward()
    assert fake.grad is None
    assert not real.requires_grad


def test_flat_critic_has_finite_gradients():
    critic = Linear(torch.zeros(2, 6, 6, dtype=torch.float64))
    penalty = gradient_penalty(critic, images(1), images(1, 1), torch.rand(1, 1, 1, 1).double())
    assert penalty.item() == 1
    penalty.backward()
    assert torch.isfinite(critic.weight.grad).all()


def test_features_are_matched_layer_by_layer():
    one = [[torch.zeros(2, 3, 4, 4), torch.zeros(2, 5, 2, 2), torch.zeros(2, 1, 2, 2)]]
    other = [
        [torch.full((2, 3, 4, 4), 2.0), torch.full((2, 5, 2, 2), -4.0), torch.ones(2, 1, 2, 2)]
    ]
    assert feature_matching_loss(one, other).item() == 3  # logits left out
    assert feature_matching_loss(one + one, other + one).item() == 1.5
    half = [[layer.bfloat16() for layer in scale] for scale in other]
    assert feature_matching_loss(half, one).dtype == torch.float32
    with pytest.raises(ValueError, match=r"fake has shape \(2, 3, 4, 4\) but real has"):
        feature_matching_loss(one, [[layer[..., :1] for layer in one[0]]])


def test_features_move_the_generated_image_alone():
    network = PatchDiscriminator(1, layers=1, width=2, norm="none").double()
    real, fake = images(1, 1, 1, 12).requires_grad_(), images(1, 2, 1, 12).requires_grad_()
    feature_matching_loss(network.features(fake), network.features(real)).backward()
    assert real.grad is None
    assert fake.grad.abs().sum() > 0


def test_l1_is_exactly_the_mean_difference():
    prediction, target = images(2, 1).float(), images(2, 2).float()
    loss = reconstruction_loss("l1", prediction, target)
    assert torch.equal(loss, torch.mean(torch.abs(prediction - target)))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("l1", 1.0), ("l2", 2.0), ("charbonnier", (1e-3 + math.sqrt(4 + 1e-6)) / 2)],
)
def test_reconstruction_formulas(kind, expected):
    target = torch.tensor([0.0, 2.0], dtype=torch.float64).reshape(1, 1, 1, 2)
    loss = reconstruction_loss(kind, torch.zeros_like(target), target)
    assert loss.item() == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["l1", "l2", "charbonnier"])
@settings(deadline=None, max_examples=20)
@given(data=st.data())
def test_valid_counts_valid_elements_only(kind, data):
    seed = data.draw(st.integers(0, 1000))
    channels = data.draw(st.sampled_from([1, 3]))
    rng = torch.Generator().manual_seed(seed)
    prediction, target = images(2, seed, 3), images(2, seed + 1, 3)
    valid = torch.rand(2, channels, 6, 6, generator=rng) < 0.5
    valid[0, 0, 0, 0] = True
    where = valid.expand(2, 3, 6, 6)
    expected = reconstruction_loss(
        kind, prediction[where].reshape(1, 1, 1, -1), target[where].reshape(1, 1, 1, -1)
    )
    target[~where] = float("nan")
    for mask in (valid, valid.float()):
        assert torch.allclose(reconstruction_loss(kind, prediction, target, mask), expected)


@pytest.mark.parametrize("kind", ["l1", "l2", "charbonnier"])
def test_nothing_valid_is_zero_with_a_gradient(kind):
    prediction = torch.randn(1, 2, 4, 4, requires_grad=True)
    target = torch.full((1, 2, 4, 4), float("nan"))
    loss = reconstruction_loss(kind, prediction, target, torch.zeros(1, 1, 4, 4, dtype=torch.bool))
    assert loss.item() == 0
    loss.backward()
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))


def test_weights_weigh():
    target = torch.tensor([1.0, 3.0]).reshape(1, 1, 1, 2)
    weights = torch.tensor([0.75, 0.25]).reshape(1, 1, 1, 2)
    loss = reconstruction_loss("l1", torch.zeros_like(target), target, weights)
    assert loss.item() == pytest.approx(1.5)


def test_a_factor_counts_the_same_whatever_else_is_in_the_batch():
    target = torch.tensor([1.0, 3.0, float("nan")]).reshape(1, 1, 1, 3)
    weight = torch.tensor([5.0, 0.5, 7.0]).reshape(1, 1, 1, 3)
    valid = torch.tensor([True, True, False]).reshape(1, 1, 1, 3)
    for mask, expected in ((valid, 6.5 / 2), (valid.logical_and(target == 1), 5.0)):
        loss = reconstruction_loss("l1", torch.zeros_like(target), target, mask, weight)
        assert loss.item() == pytest.approx(expected)
    one, four = torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 4.0)
    assert reconstruction_loss("l2", 3 * one, one, None, four).item() == 16


def test_memory_format_changes_nothing():
    prediction, target = images(2, 1), images(2, 2)
    last = torch.channels_last
    others = [image.to(memory_format=last) for image in (prediction, target)]
    for kind in ("l1", "l2", "charbonnier"):
        one = reconstruction_loss(kind, prediction, target)
        assert torch.allclose(one, reconstruction_loss(kind, *others))


def test_unusable_arguments_are_refused_in_words():
    logits = torch.zeros(1, 1, 2, 2)
    with pytest.raises(ValueError, match="adversarial loss 'wgangp' is not known; choose one of"):
        discriminator_loss("wgangp", logits, True)
    with pytest.raises(ValueError, match="adversarial loss 'gan' is not known"):
        generator_loss("gan", logits)
    with pytest.raises(ValueError, match="got 'relativistic' without it"):
        discriminator_loss("relativistic", logits, True)
    with pytest.raises(ValueError, match="got 'lsgan' with it"):
        generator_loss("lsgan", logits, logits)
    with pytest.raises(ValueError, match="reconstruction loss 'l3' is not known"):
        reconstruction_loss("l3", logits, logits)
    with pytest.raises(ValueError, match=r"prediction has shape \(1, 1, 2, 2\) but target has"):
        reconstruction_loss("l1", logits, torch.zeros(1, 2, 2, 2))
    with pytest.raises(ValueError, match=r"valid has shape \(1, 2, 2\)"):
        reconstruction_loss("l1", logits, logits, torch.zeros(1, 2, 2))
    with pytest.raises(ValueError, match=r"weight has shape \(1, 2, 2\)"):
        reconstruction_loss("l1", logits, logits, None, torch.ones(1, 2, 2))
    with pytest.raises(ValueError, match=r"real has shape"):
        gradient_penalty(lambda x: x, logits, torch.zeros(2, 1, 2, 2), torch.ones(1, 1, 1, 1))
