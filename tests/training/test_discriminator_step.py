"""The discriminator's half of a step: penalties, and the Torch original's stale activations."""

import pytest
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from napari_pix2pix.core import generator_loss, gradient_penalty, r1_penalty
from napari_pix2pix.training._discriminator_step import DiscriminatorStep
from napari_pix2pix.training._step import Pix2PixStep, TensorBatch
from napari_pix2pix.training.state import TrainingState


def make_discriminator_step(state: TrainingState, fabric: Fabric) -> DiscriminatorStep:
    return DiscriminatorStep(state.discriminator, state.optimizer_d, fabric, state.config)


@pytest.fixture
def make_step(make_state, tiny, fabric):
    return lambda **fields: make_discriminator_step(make_state(tiny(**fields)), fabric)


def images(seed: int = 0) -> list[Tensor]:
    """Source, real and fake; the fake is what the generator's gradient begins at."""
    rng = torch.Generator().manual_seed(seed)
    given, real, fake = (torch.randn(2, 1, 32, 32, generator=rng) for _ in range(3))
    return [given, real, fake.requires_grad_()]


def weights(step: DiscriminatorStep) -> list[Tensor]:
    return [p.detach().clone() for p in step.discriminator.parameters()]


def distance(one: list[Tensor], other: list[Tensor]) -> float:
    return sum((a - b).abs().sum().item() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("name", ["gradient_penalty", "r1"])
def test_a_penalty_trains_the_discriminator(name, make_step):
    results = []
    for weight in (0.0, 10.0):
        step = make_step(**{name: weight}, norm="none")
        torch.manual_seed(0)
        given, real, fake = images()
        losses = step.learn(given, real, fake, None)
        results.append(weights(step))
        said = "D_penalty" if name == "gradient_penalty" else "D_r1"
        assert set(losses) - {"D_fake", "D_real"} == ({said} if weight else set())
        assert fake.grad is None  # the generator learns nothing from the discriminator's step
    assert distance(*results) > 0


def test_penalties_are_those_of_what_the_discriminator_sees(make_step):
    step = make_step(gradient_penalty=10.0, r1=3.0, norm="none")
    given, real, fake = images()
    seen_real, seen_fake = torch.cat([given, real], 1), torch.cat([given, fake], 1)
    torch.manual_seed(3)
    alpha = torch.rand(2, 1, 1, 1)
    wgan = 10 * gradient_penalty(step.discriminator, seen_real, seen_fake, alpha).item()
    r1 = 3 * r1_penalty(step.discriminator, seen_real).item()
    torch.manual_seed(3)
    losses = step.learn(given, real, fake, None)
    assert losses["D_penalty"].item() == pytest.approx(wgan, rel=1e-5)
    assert losses["D_r1"].item() == pytest.approx(r1, rel=1e-5)


def test_lazy_r1_is_rarer_and_as_much_heavier(make_step):
    """Of four steps two have the penalty, twice: on average what each step has without."""
    found = []
    for every in (1, 2):
        step = make_step(r1=3.0, r1_every=every, norm="none", discriminator_learning_rate=1e-9)
        losses = [step.learn(*images(), None, step=number) for number in range(6, 10)]
        found.append([one["D_r1"].item() if "D_r1" in one else None for one in losses])
    each, lazy = found
    twice = pytest.approx(2 * each[0], rel=1e-4)
    assert lazy == [twice, None, twice, None]
    assert each == [pytest.approx(each[0], rel=1e-4)] * 4


@pytest.mark.parametrize("fields", [{}, {"discriminator_scales": 2, "feature_matching": 1.0}])
def test_relativistic_compares_each_patch_with_the_target_s(fields, make_step):
    step = make_step(adversarial="relativistic", norm="none", **fields)
    given, real, fake = images()
    valid = torch.rand(2, 1, 32, 32) > 0.5
    seen = (torch.cat([given, image * valid], 1) for image in (real, fake))
    of_real, of_fake = (step.discriminator(pair) for pair in seen)
    if not fields:
        of_real, of_fake = (of_real,), (of_fake,)
    lead = [one - two for one, two in zip(of_real, of_fake, strict=True)]
    wanted = [sum(nn.functional.softplus(s * d).mean() for d in lead) / len(lead) for s in (-1, 1)]
    verdict = step.judge(given, real, fake, valid)
    loss = generator_loss("relativistic", verdict.fake, verdict.real)
    assert loss.item() == pytest.approx(wanted[1].item(), rel=1e-5)
    loss.backward()
    assert fake.grad[valid].abs().sum() > 0
    assert all(p.grad is None for p in step.discriminator.parameters())
    losses = step.learn(given, real, fake, valid)
    assert losses["D_real"].item() == losses["D_fake"].item()
    assert losses["D_real"].item() == pytest.approx(wanted[0].item(), rel=1e-5)


def test_images_that_are_compared_are_augmented_alike(make_step):
    step = make_step(adversarial="relativistic", discriminator_augmentation="translation+cutout")
    shown = seen_by(step)
    image = images()[1]
    for number, work in enumerate((step.learn, step.judge)):
        work(image, image, image.clone(), None)
        assert torch.equal(shown[2 * number], shown[2 * number + 1])
        assert not torch.equal(shown[2 * number][:, :1], image)


@pytest.mark.parametrize("halve", [True, False])
def test_the_loss_is_halved_on_demand(halve, make_step):
    step = make_step(halve_discriminator_loss=halve, norm="none")
    given, real, fake = images()
    losses = step.learn(given, real, fake, None)
    bias = list(step.discriminator.parameters())[-1].grad
    # d/db of BCE is sigmoid(logit) - label, so its mean over both maps is a loss's own slope.
    fresh = make_step(norm="none")
    fake_logits, real_logits = (fresh.discriminator(torch.cat([given, x], 1)) for x in (fake, real))
    slope = fake_logits.sigmoid().mean() + real_logits.sigmoid().mean() - 1
    assert bias.item() == pytest.approx(slope.item() * (0.5 if halve else 1.0), rel=1e-2)
    expected = nn.functional.softplus(fake_logits).mean().item()
    assert losses["D_fake"].item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("masked", [False, True])
def test_judging_leads_to_labelled_pixels_of_the_image_alone(masked, make_step):
    step = make_step()
    valid = torch.rand(2, 1, 32, 32) > 0.5 if masked else None
    given, real, fake = images()
    generator_loss("vanilla", step.judge(given, real, fake, valid).fake).backward()
    assert fake.grad.abs().sum() > 0
    if masked:
        assert (fake.grad[~valid] == 0).all()
        assert (fake.grad[valid] != 0).any()
    assert all(p.grad is None and p.requires_grad for p in step.discriminator.parameters())


@pytest.mark.parametrize("scales", [1, 2])
@pytest.mark.parametrize("spectral_norm", [False, True])
def test_stale_and_ordinary_updates_are_the_same(scales, spectral_norm, make_state, tiny, fabric):
    """Only what the generator is told differs, not how the discriminator learns."""
    fields = {"discriminator_scales": scales, "spectral_norm": spectral_norm}
    state = make_state(tiny(norm="none", **fields))
    # Spectral norm moves on with each pass, and the two orders pass real and fake in turn.
    state.discriminator.eval()
    before = {name: value.clone() for name, value in state.discriminator.state_dict().items()}
    given, real, fake = images()
    ordinary = make_discriminator_step(state, fabric)
    losses = ordinary.learn(given, real, fake, None)
    other = make_state(tiny(norm="none", stale_discriminator=True, **fields))
    other.discriminator.eval().load_state_dict(before)
    stale = make_discriminator_step(other, fabric)
    stale_losses, _ = stale.learn_stale(given, real, fake, None)
    assert {n: v.item() for n, v in stale_losses.items()} == pytest.approx(
        {n: v.item() for n, v in losses.items()}, rel=1e-5
    )
    for one, two in zip(weights(ordinary), weights(stale), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-4, atol=1e-5)


def test_stale_gradient_has_old_activations_and_new_weights(make_state, tiny, fabric):
    fields = {"discriminator_layers": 0, "norm": "none"}
    rate = {"discriminator_learning_rate": 0.05}  # so that old and new weights are far apart
    state = make_state(tiny(stale_discriminator=True, **fields, **rate))
    step = make_discriminator_step(state, fabric)
    given, real, fake = images()
    old = layers(step)
    _, verdict = step.learn_stale(given, real, fake, None)
    new = layers(step)
    (got,) = torch.autograd.grad(generator_loss("vanilla", verdict.fake), fake)

    expected = by_hand(torch.cat([given, fake.detach()], 1), activations=old, weights=new)[:, 1:]
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-9)
    wholly_old = by_hand(torch.cat([given, fake.detach()], 1), activations=old, weights=old)[:, 1:]
    assert (got - wholly_old).abs().max() > 0.1 * got.abs().max()
    (ordinary,) = torch.autograd.grad(
        generator_loss("vanilla", step.judge(given, real, fake, None).fake), fake
    )
    assert (got - ordinary).abs().max() > 0.1 * got.abs().max()


@pytest.mark.parametrize("scales", [1, 2])
def test_features_are_compared_with_the_target_s(scales, make_step):
    step, plain = (
        make_step(discriminator_scales=scales, norm="instance", feature_matching=weight)
        for weight in (1.0, 0.0)
    )
    given, real, fake = images()
    verdict = step.judge(given, real, fake, None)
    judged = plain.judge(given, real, fake, None).fake
    for one, other in zip(verdict.fake, judged if scales > 1 else [judged], strict=True):
        assert torch.equal(one, other)
    distance = verdict.matching
    found, wanted = (step.discriminator.features(torch.cat([given, x], 1)) for x in (fake, real))
    layers = [
        (one - other).abs().mean().item()
        for of_fake, of_real in zip(found, wanted, strict=True)
        for one, other in zip(of_fake[:-1], of_real[:-1], strict=True)
    ]
    assert len(layers) == 2 * scales
    assert distance.item() == pytest.approx(sum(layers) / len(layers), rel=1e-5)
    distance.backward()
    assert fake.grad.abs().sum() > 0
    assert all(p.grad is None and p.requires_grad for p in step.discriminator.parameters())
    assert step.judge(given, real, real, None).matching.item() == 0


def seen_by(step: DiscriminatorStep) -> list[Tensor]:
    """Return a list that grows with all that the discriminator is shown."""
    shown: list[Tensor] = []
    step.discriminator.register_forward_hook(lambda _, inputs, __: shown.append(inputs[0]))
    return shown


@pytest.mark.parametrize("kind", ["translation", "translation+cutout"])
def test_source_and_image_are_augmented_alike(kind, make_step):
    step = make_step(discriminator_augmentation=kind)
    shown = seen_by(step)
    image = images()[1]
    torch.manual_seed(0)
    step.learn(image, image, image.clone(), None)
    step.judge(image, image, image.clone().requires_grad_(), None)
    assert len(shown) == 3
    for one in shown:
        assert torch.equal(one[:, :1], one[:, 1:])
        assert not torch.equal(one[:, :1], image)
    assert not torch.equal(shown[0], shown[1])  # each image by draws of its own
    torch.manual_seed(0)
    step.learn(image, image, image.clone(), None)
    assert torch.equal(shown[3], shown[0])


def test_features_are_compared_at_the_same_place(make_step):
    kind = "colour+translation+cutout"
    step = make_step(discriminator_augmentation=kind, norm="none", feature_matching=1.0)
    given, real, fake = images()
    assert step.judge(given, real, real.clone(), None).matching.item() == 0
    assert step.judge(given, real, fake, None).matching.item() > 0


def test_the_generator_learns_through_the_augmentation(make_step):
    step = make_step(discriminator_augmentation="translation+cutout")
    given, real, fake = images()
    generator_loss("vanilla", step.judge(given, real, fake, None).fake).backward()
    untouched = (fake.grad == 0).float().mean().item()
    assert 0.1 < untouched < 0.7  # what was cut out or moved out tells nothing


Layer = tuple[Tensor, Tensor]


def layers(step: DiscriminatorStep) -> list[Layer]:
    """Weights (out, in) and biases of a PixelGAN's three 1x1 convolutions."""
    found = [m for m in step.discriminator.modules() if isinstance(m, nn.Conv2d)]
    assert len(found) == 3
    biases = [torch.zeros(len(m.weight)) if m.bias is None else m.bias for m in found]
    return [
        (m.weight.detach()[:, :, 0, 0].clone(), bias.detach().clone())
        for m, bias in zip(found, biases, strict=True)
    ]


def by_hand(image: Tensor, *, activations: list[Layer], weights: list[Layer]) -> Tensor:
    """Gradient of the generator's loss by the chain rule, forward and backward apart."""
    slopes, x = [], image
    for weight, bias in activations[:-1]:
        x = torch.einsum("oi,bihw->bohw", weight, x) + bias[:, None, None]
        slopes.append(torch.where(x > 0, 1.0, 0.2))
        x = x * slopes[-1]
    weight, bias = activations[-1]
    logits = torch.einsum("oi,bihw->bohw", weight, x) + bias[:, None, None]
    gradient = (logits.sigmoid() - 1) / logits.numel()
    for number in (2, 1, 0):
        gradient = torch.einsum("oi,bohw->bihw", weights[number][0], gradient)
        if number:
            gradient = gradient * slopes[number - 1]
    return gradient


def test_a_stale_step_trains_both_networks(make_state, tiny, fabric):
    rng = torch.Generator().manual_seed(0)
    source, target = torch.randn(2, 2, 1, 32, 32, generator=rng).unbind()
    results = []
    for stale in (False, True):
        state = make_state(tiny(stale_discriminator=stale, discriminator_learning_rate=0.05))
        train_step = Pix2PixStep(state, fabric, conditions=0)
        batch = TensorBatch(source, target, None, torch.zeros(2, dtype=torch.long))
        before = [w.clone() for w in state.snapshot().values()]
        losses = train_step(batch, adversarial=True, adversarial_weight=50.0, rate=1.0)
        assert set(losses) == {"G_GAN", "G_L1", "D_fake", "D_real"}
        assert distance(before, list(state.snapshot().values())) > 0
        results.append([p.detach().clone() for p in state.generator.parameters()])
    assert distance(*results) > 0
