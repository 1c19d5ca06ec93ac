from dataclasses import replace

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from napari_pix2pix._train import train
from napari_pix2pix.data.class_codec import ClassCodec
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import InputError
from napari_pix2pix.training._step import Pix2PixStep, TensorBatch
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.dataset import prepare
from napari_pix2pix.training.state import TrainingState, build_generator

WHOLE = {"adversarial": True, "adversarial_weight": 1.0, "rate": 1.0}
LABELLED = torch.ones(2, 1, 32, 32, dtype=torch.bool)
LABELLED[0, :, 5:20, 3:30] = False


@pytest.fixture
def make_step(make_state, tiny, fabric):
    """Return a maker of states, each with what trains it."""

    def make(conditions=0, **fields):
        state = make_state(tiny(**fields), conditions=conditions)
        return state, Pix2PixStep(state, fabric, conditions=conditions)

    return make


def make_batch(
    seed: int = 0, *, size: int = 2, side: int = 32, valid: Tensor | None = None, condition: int = 0
) -> TensorBatch:
    rng = torch.Generator().manual_seed(seed)
    source, target = (torch.rand(2, size, 1, side, side, generator=rng) * 2 - 1).unbind()
    return TensorBatch(source, target, valid, torch.full((size,), condition))


def weights(network: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in network.parameters()]


def same(one: list[Tensor], other: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("kind", ["vanilla", "lsgan"])
def test_golden_steps(kind, golden, golden_steps, make_state, fabric):
    small = {"depth": 7, "width": 8, "discriminator_width": 8, "patch": 128, "batch": 2}
    exact = {"dropout": 0.0, "precision": "32-true"}
    state = make_state(TrainConfig(preset="reference", adversarial=kind, **small, **exact))
    golden.fill_(state.generator.state_dict())
    golden.fill_(state.discriminator.state_dict())
    train_step = Pix2PixStep(state, fabric, conditions=0)
    assert len(golden_steps[kind]) == 5
    for number, expected in enumerate(golden_steps[kind]):
        batch = TensorBatch(
            golden.ramp(2, 1, 128, 128, phase=number),
            golden.ramp(2, 1, 128, 128, phase=number + 1.5),
            None,
            torch.zeros(2, dtype=torch.long),
        )
        losses = {name: loss.item() for name, loss in train_step(batch, **WHOLE).items()}
        assert losses == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(("bits", "steps", "near"), [(64, 20, 1e-6), (32, 5, 1e-3)])
def test_steps_of_the_reference_equal_a_plain_loop(bits, steps, near, golden, make_state):
    """From the golden weights; in float32 rounding decides after some steps."""
    config = TrainConfig(
        preset="reference", depth=5, width=8, discriminator_width=8, dropout=0.0, patch=64, batch=2
    )
    dtype = {32: torch.float32, 64: torch.float64}[bits]
    ours, plain = make_state(config), make_state(config)
    for network in (*ours.networks().values(), *plain.networks().values()):
        golden.fill_(network.to(dtype).state_dict())
    fabric = Fabric(accelerator="cpu", devices=1, precision=f"{bits}-true")
    train_step = Pix2PixStep(ours, fabric, conditions=0)
    plain_step = PlainLoop(plain.generator, plain.discriminator)
    for number in range(steps):
        x, y = (golden.ramp(2, 1, 64, 64, number + phase).to(dtype) for phase in (0, 1.5))
        rate = 1.0 - number / 40
        batch = TensorBatch(x, y, None, torch.zeros(2, dtype=torch.long))
        got = train_step(batch, adversarial=True, adversarial_weight=1.0, rate=rate)
        expected = plain_step(x, y, 2e-4 * rate)
        assert {n: v.item() for n, v in got.items()} == pytest.approx(expected, rel=near)
    for network, other in zip(ours.networks().values(), plain.networks().values(), strict=True):
        one, two = (torch.nn.utils.parameters_to_vector(n.parameters()) for n in (network, other))
        assert (one - two).norm() < near * two.norm()


class PlainLoop:
    """The reference's step, written from specification.md alone."""

    def __init__(self, generator: nn.Module, discriminator: nn.Module | None) -> None:
        self.networks = generator, discriminator
        self.optimizers = [
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999), foreach=False)
            for network in self.networks
        ]

    def __call__(self, x: Tensor, y: Tensor, rate: float) -> dict[str, float]:
        generator, discriminator = self.networks
        for optimizer in self.optimizers:
            optimizer.param_groups[0]["lr"] = rate
        fake = generator(x)
        logits = discriminator(torch.cat([x, fake.detach()], 1))
        d_fake = functional.binary_cross_entropy_with_logits(logits, torch.zeros_like(logits))
        logits = discriminator(torch.cat([x, y], 1))
        d_real = functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        self._learn(1, 0.5 * (d_fake + d_real))
        logits = discriminator(torch.cat([x, fake], 1))
        g_gan = functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
        g_l1 = 100 * (fake - y).abs().mean()
        self._learn(0, g_gan + g_l1)
        losses = {"G_GAN": g_gan, "G_L1": g_l1, "D_real": d_real, "D_fake": d_fake}
        return {name: loss.item() for name, loss in losses.items()}

    def _learn(self, which: int, loss: Tensor) -> None:
        self.optimizers[which].zero_grad()
        loss.backward()
        self.optimizers[which].step()


@pytest.mark.parametrize(
    ("adversarial", "weight", "names"),
    [
        (False, 0.0, {"G_L1"}),
        (True, 0.0, {"G_L1", "D_fake", "D_real"}),  # it learns before it is listened to
        (True, 0.5, {"G_L1", "G_GAN", "D_fake", "D_real"}),
    ],
)
def test_a_term_that_is_off_costs_nothing(adversarial, weight, names, make_step):
    state, train_step = make_step()
    calls: list[int] = []
    state.discriminator.register_forward_hook(lambda *_: calls.append(1))
    losses = train_step(make_batch(), adversarial=adversarial, adversarial_weight=weight, rate=1.0)
    assert set(losses) == names
    assert len(calls) == 2 * adversarial + bool(weight)
    assert not any(loss.requires_grad for loss in losses.values())


def test_weight_zero_makes_no_discriminator(make_step):
    state, train_step = make_step(adversarial_weight=0)
    assert state.discriminator is None
    assert state.optimizer_d is None
    losses = train_step(make_batch(), **WHOLE)
    assert set(losses) == {"G_L1"}


def test_adversarial_term_alone_trains(make_step):
    state, train_step = make_step(reconstruction_weight=0)
    before = weights(state.generator)
    losses = train_step(make_batch(), **WHOLE)
    assert set(losses) == {"G_GAN", "D_fake", "D_real"}
    assert not same(before, weights(state.generator))


def test_weights_scale_their_terms(make_state, tiny, fabric):
    one, other = (
        Pix2PixStep(make_state(tiny(reconstruction_weight=w)), fabric, conditions=0)(
            make_batch(), adversarial=True, adversarial_weight=a, rate=1.0
        )
        for w, a in ((1.0, 1.0), (7.0, 3.0))
    )
    assert other["G_L1"].item() == pytest.approx(7 * one["G_L1"].item(), rel=1e-5)
    assert other["G_GAN"].item() == pytest.approx(3 * one["G_GAN"].item(), rel=1e-4)


@pytest.mark.parametrize("kind", ["l2", "charbonnier"])
def test_other_reconstructions_have_their_name(kind, make_step):
    state, train_step = make_step(
        reconstruction=kind, adversarial_weight=0, reconstruction_weight=1
    )
    batch = make_batch()
    with torch.no_grad():
        difference = state.generator.train()(batch.source) - batch.target
    expected = difference.square() if kind == "l2" else (difference.square() + 1e-6).sqrt()
    losses = train_step(batch, **WHOLE)
    assert losses["G_reconstruction"].item() == pytest.approx(expected.mean().item(), rel=1e-5)


def test_rate_zero_changes_nothing_and_rates_are_set(make_step):
    state, train_step = make_step(learning_rate=0.5, discriminator_learning_rate=0.25)
    networks = state.generator, state.discriminator
    before = [weights(network) for network in networks]
    train_step(make_batch(), adversarial=True, adversarial_weight=1.0, rate=0.0)
    assert all(same(old, weights(new)) for old, new in zip(before, networks, strict=True))
    train_step(make_batch(), adversarial=True, adversarial_weight=1.0, rate=0.5)
    assert state.optimizer_g.param_groups[0]["lr"] == 0.25
    assert state.optimizer_d.param_groups[0]["lr"] == 0.125


def test_generator_steps_leave_no_trace_in_the_discriminator(make_step):
    state, train_step = make_step()
    gradients: list[list[Tensor]] = []
    judge = train_step.discriminator_step.judge

    def spy(*seen, **how):
        gradients.append([p.grad.clone() for p in state.discriminator.parameters()])
        return judge(*seen, **how)

    train_step.discriminator_step.judge = spy  # type: ignore[method-assign]
    train_step(make_batch(), **WHOLE)
    assert same(gradients[0], [p.grad for p in state.discriminator.parameters()])
    assert all(p.requires_grad for p in state.discriminator.parameters())


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"shift_tolerance": 2},
        {"feature_matching": 10.0, "discriminator_scales": 2},
        {"discriminator_augmentation": "colour+translation+cutout", "feature_matching": 10.0},
        {"stale_discriminator": True, "r1": 0.0, "gradient_penalty": 0.0},
    ],
    ids=str,
)
def test_unlabelled_targets_have_no_influence(fields, make_step):
    """Whatever stands where the mask is False, NaN too, every weight comes out the same."""
    results = []
    for value in (0.0, 1e3, float("nan")):
        state, train_step = make_step(**{"r1": 1.0, "gradient_penalty": 1.0, **fields})
        for number in range(3):
            batch = make_batch(number, valid=LABELLED)
            target = torch.where(LABELLED, batch.target, value)
            torch.manual_seed(number)
            train_step(TensorBatch(batch.source, target, LABELLED, batch.condition), **WHOLE)
        results.append([w for network in state.networks().values() for w in weights(network)])
    assert all(w.isfinite().all() for w in results[0])
    assert same(results[0], results[1])
    assert same(results[0], results[2])


def test_labelled_targets_do_have_influence(make_step):
    results = []
    for offset in (0.0, 0.5):
        state, train_step = make_step()
        batch = make_batch(valid=LABELLED)
        moved = TensorBatch(batch.source, batch.target + offset, LABELLED, batch.condition)
        train_step(moved, **WHOLE)
        results.append(weights(state.generator))
    assert not same(*results)


def test_a_wholly_unlabelled_batch_leaves_finite_weights(make_step):
    state, train_step = make_step()
    batch = make_batch(valid=torch.zeros(2, 1, 32, 32, dtype=torch.bool))
    losses = train_step(batch, **WHOLE)
    assert losses["G_L1"].item() == 0
    assert state.is_finite()


def test_a_shifted_target_is_met_within_the_tolerance(make_step):
    """The loss is that of each target moved back; beyond the tolerance it is not."""
    losses = {}
    for tolerance in (0, 1, 2):
        state, train_step = make_step(adversarial_weight=0, shift_tolerance=tolerance)
        batch = make_batch()
        with torch.no_grad():
            fake = state.generator.train()(batch.source)
        valid = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
        valid[..., 2:-2, 2:-2] = True
        moved = torch.stack([fake[0].roll((2, -1), (-2, -1)), fake[1].roll((-2, 2), (-2, -1))])
        batch = TensorBatch(batch.source, moved + 0.01, valid, batch.condition)
        losses[tolerance] = train_step(batch, **WHOLE)["G_L1"].item()
    assert losses[2] == pytest.approx(100 * 0.01, rel=1e-3)
    assert losses[0] > losses[1] > 1.5 * losses[2]


def test_feature_matching_comes_with_the_adversarial_term(make_step):
    found = []
    for feature_matching, weight in ((0.0, 1.0), (4.0, 1.0), (8.0, 0.5), (8.0, 0.0)):
        state, train_step = make_step(feature_matching=feature_matching)
        losses = train_step(make_batch(), adversarial=True, adversarial_weight=weight, rate=1.0)
        found.append((losses, weights(state.generator)))
    plain, once, half, silent = (losses for losses, _ in found)
    assert set(once) - set(plain) == {"G_features"}
    assert set(silent) == {"G_L1", "D_fake", "D_real"}
    assert once["G_features"].item() == pytest.approx(half["G_features"].item())
    assert once["G_GAN"].item() == pytest.approx(plain["G_GAN"].item())
    assert not same(found[0][1], found[1][1])


def test_conditions_and_noise_reach_the_generator(make_step):
    state, train_step = make_step(noise_channels=2, conditions=3)
    seen: list[Tensor] = []
    judged: list[Tensor] = []
    state.generator.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].clone()))
    state.discriminator.register_forward_hook(lambda _, inputs, __: judged.append(inputs[0]))
    torch.manual_seed(5)
    noise = torch.randn(2, 2)
    torch.manual_seed(5)
    batch = make_batch(condition=1)
    train_step(batch, **WHOLE)
    assert seen[0].shape == (2, 6, 32, 32)
    assert torch.equal(seen[0][:, :1], batch.source)
    assert torch.equal(seen[0][:, 1:4, 7, 7], torch.tensor([[0.0, 1.0, 0.0]] * 2))
    assert torch.equal(seen[0][:, 4:, 7, 7], noise)
    assert (seen[0][:, 4:] == noise[:, :, None, None]).all()
    # The discriminator is told the condition but not the noise.
    assert {tuple(one.shape) for one in judged} == {(2, 5, 32, 32)}
    assert torch.equal(judged[1][:, 4:], batch.target)
    assert torch.equal(judged[1][:, :4], seen[0][:, :4])


def test_unconditional_discriminator_sees_the_image_alone(make_step):
    state, train_step = make_step(conditional=False, conditions=2)
    judged: list[Tensor] = []
    state.discriminator.register_forward_hook(lambda _, inputs, __: judged.append(inputs[0]))
    batch = make_batch()
    train_step(batch, **WHOLE)
    assert {one.shape[1] for one in judged} == {1}
    assert torch.equal(judged[1], batch.target)


def test_gradient_clip_bounds_the_step(make_step):
    state, train_step = make_step(gradient_clip=1e-3)
    train_step(make_batch(), **WHOLE)
    norms = [p.grad.square().sum() for p in state.generator.parameters() if p.grad is not None]
    assert torch.stack(norms).sum().sqrt().item() == pytest.approx(1e-3, rel=1e-3)


# --- weights of classes ---------------------------------------------------------------------------


OBJECTIVE = {"adversarial_weight": 0.0, "reconstruction_weight": 1.0}


@pytest.fixture
def labels():
    """Return 98 % of class 0, and 2 % of class 7: 8 x 16 of 80 x 80 pixels."""
    made = np.zeros((80, 80), np.uint8)
    made[30:38, 20:36] = 7
    return made


def step_loss(
    labels, predicted, config: TrainConfig, fabric: Fabric, valid: NDArray[np.bool_] | None = None
) -> float:
    """Return the loss of a step whose generator predicts given labels."""
    codec = ClassCodec.fit([labels[None]], layout=Layout())
    weights = codec.class_weights([labels[None]])
    target, planes = (torch.from_numpy(codec.encode(x[None]))[None] for x in (labels, predicted))
    generator = build_generator(config, planes_in=1, planes_out=2)
    # Whatever it computes is replaced, with its graph kept.
    generator.register_forward_hook(lambda _, __, output: 0 * output + planes)
    state = TrainingState(config, generator, None)
    step = Pix2PixStep(state, fabric, conditions=0, class_weights=weights)
    mask = None if valid is None else torch.from_numpy(valid)[None, None]
    batch = TensorBatch(torch.zeros(1, 1, *labels.shape), target, mask, torch.zeros(1).long())
    return step(batch, adversarial=False, adversarial_weight=0.0, rate=1.0)["G_L1"].item()


def test_a_wrong_pixel_counts_by_its_class(labels, tiny, fabric):
    # Weights go with 1 / sqrt(0.98) and 1 / sqrt(0.02); their mean over the pixels is 1.
    mean = 0.98**0.5 + 0.02**0.5
    rare, common = 0.02**-0.5 / mean, 0.98**-0.5 / mean
    assert 0.02 * rare + 0.98 * common == pytest.approx(1)
    config = tiny(**OBJECTIVE)
    for (row, column), weight in (((31, 21), rare), ((0, 0), common)):
        predicted = labels.copy()
        predicted[row, column] = 7 - labels[row, column]
        # Both planes are off by 2; the mean goes over 80 x 80 pixels.
        loss = step_loss(labels, predicted, config, fabric)
        assert loss == pytest.approx(weight * 2 / 6400, rel=1e-5)
    assert step_loss(labels, 7 - labels, config, fabric) == pytest.approx(2, rel=1e-5)


def test_ignored_pixels_count_for_nothing(labels, tiny, fabric):
    valid = np.ones(labels.shape, bool)
    valid[30:34] = False
    predicted = np.where(valid, labels, 7 - labels)
    assert step_loss(labels, predicted, tiny(**OBJECTIVE), fabric, valid) == 0


def test_several_class_maps_are_weighed_each_by_its_own(tiny, fabric):
    state = TrainingState(tiny(), build_generator(tiny(), planes_in=1, planes_out=6), None)
    step = Pix2PixStep(state, fabric, conditions=0, class_weights=(1.0, 2.0, 5.0))
    codec = ClassCodec("uint8", (0, 1, 4), Layout(-3), 2)
    raw = np.array([[[0, 1], [4, 4]], [[4, 0], [0, 1]]], np.uint8)
    weights = step._pixel_weights(torch.from_numpy(codec.encode(raw))[None])
    expected = np.array([1, 2, 0, 0, 5])[raw].repeat(3, axis=0)
    assert weights[0].tolist() == expected.tolist()


def test_weights_change_the_training(labels):
    image = labels + np.random.default_rng(0).normal(0, 2, labels.shape)

    def planes(**fields):
        translator = train(
            image, labels, steps=2, width=4, depth=3, batch=2, patch=32, validation=0.0,
            device="cpu", target_kind="classes", **fields,
        )  # fmt: skip
        return np.concatenate([p.detach().ravel() for p in translator.generator.parameters()])

    assert np.array_equal(planes(), planes(class_weights=False))
    assert not np.array_equal(planes(), planes(class_weights=True))


@pytest.mark.parametrize("kind", ["image", "instances"])
def test_other_targets_are_refused(kind, labels, tiny):
    pair = Pair(np.random.default_rng(0).random(labels.shape), labels)
    config = tiny(class_weights=True, target_kind=kind)
    with pytest.raises(InputError, match=f"the target is taken for {kind}: leave class_weights"):
        prepare([pair], config)
    data = prepare([pair], tiny(class_weights=True, target_kind="classes", validation=0))
    assert data.class_weights == pytest.approx((0.892, 6.245), abs=0.01)
    masked = replace(pair, mask=np.arange(6400).reshape(80, 80) < 38 * 80)
    data = prepare([masked], tiny(class_weights=True, target_kind="classes", validation=0))
    assert data.class_weights == pytest.approx((0.863, 4.116), abs=0.01)
