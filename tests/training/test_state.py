import pytest
import torch
from lightning_fabric import Fabric
from pydantic import TypeAdapter
from torch import Tensor, nn

from napari_pix2pix.core import MultiScaleDiscriminator, PixelDiscriminator, ResNet, UNet
from napari_pix2pix.io.model_file import read_container, write_container
from napari_pix2pix.training._step import Pix2PixStep, TensorBatch
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.training.state import (
    Counters,
    TrainingState,
    build_discriminator,
    build_generator,
)


def run(state: TrainingState, fabric: Fabric, numbers: range) -> None:
    train_step = Pix2PixStep(state, fabric, conditions=0)
    for number in numbers:
        rng = torch.Generator().manual_seed(number)
        source, target = torch.randn(2, 2, 1, 32, 32, generator=rng).unbind()
        batch = TensorBatch(source, target, None, torch.zeros(2, dtype=torch.long))
        losses = train_step(batch, adversarial=True, adversarial_weight=1.0, rate=1.0)
        state.add_losses({name: loss.item() for name, loss in losses.items()})
        state.step += 1
        state.average()


def assert_same(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert set(one) == set(other)
    assert not [name for name in one if not torch.equal(one[name], other[name])]


def channels_last(state: TrainingState) -> TrainingState:
    for network in state.networks().values():
        network.to(memory_format=torch.channels_last)
    return state


@pytest.fixture
def trained(make_state, tiny, fabric):
    state = channels_last(make_state(tiny(ema=0.9)))
    run(state, fabric, range(3))
    state.keep_best(0.5)
    return state


def test_a_file_brings_all_of_it_back(trained, make_state, fabric, tmp_path):
    scores = {"losses": {}, "validation": {"pearson": 0.1 + 0.2}}
    trained.history.append({"step": 3, "epoch": 1, **scores})
    trained.seconds = 1 / 3
    form = TypeAdapter(Counters)
    write_container(tmp_path / "state", trained.tensors(), form.dump_python(trained.counters()))
    before = {name: tensor.clone() for name, tensor in trained.tensors().items()}

    loaded = channels_last(make_state(trained.config))
    tensors, counters = read_container(tmp_path / "state")
    loaded.load(tensors, form.validate_python(counters))
    assert_same(loaded.tensors(), before)
    assert loaded.counters() == trained.counters()
    parts = {"generator", "averaged", "discriminator", "optimizer_g", "optimizer_d", "best"}
    assert {name.split(".")[0] for name in before} == parts
    # And they go on alike, in weights and in Adam's moments.
    for state in (trained, loaded):
        run(state, fabric, range(3, 6))
    assert_same(loaded.tensors(), trained.tensors())


def test_loaded_moments_lie_in_memory_as_the_weights_do(trained, make_state):
    """The fused Adam walks raw memory: another layout would pair wrong numbers."""
    loaded = channels_last(make_state(trained.config))
    contiguous = {name: tensor.contiguous() for name, tensor in trained.tensors().items()}
    loaded.load(contiguous, trained.counters())
    layouts = 0
    for optimizer in (loaded.optimizer_g, loaded.optimizer_d):
        for parameter, moments in optimizer.state.items():
            assert set(moments) == {"step", "exp_avg", "exp_avg_sq"}
            assert moments["exp_avg"].stride() == parameter.stride()
            assert moments["exp_avg_sq"].stride() == parameter.stride()
            layouts += not parameter.is_contiguous()
    assert layouts > 0  # else this would prove nothing


def test_a_run_whose_discriminator_waits_comes_back(make_state, tiny):
    fresh = make_state(tiny())
    loaded = make_state(tiny(seed=5))
    loaded.load(fresh.tensors(), fresh.counters())
    assert_same(loaded.tensors(), fresh.tensors())


def test_average_follows_its_formula(make_state, tiny):
    """``min(ema, (1 + step) / (10 + step))`` of the old and the rest of the new."""
    state = make_state(tiny(ema=0.6))
    name, parameter = next(iter(state.generator.named_parameters()))
    expected = parameter.detach().clone()
    for step, decay in [(1, 2 / 11), (2, 3 / 12), (98, 0.6)]:
        state.step = step
        with torch.no_grad():
            parameter += step
        expected = decay * expected + (1 - decay) * parameter.detach()
        state.average()
        torch.testing.assert_close(state.averaged.state_dict()[name], expected)
    assert not any(p.requires_grad for p in state.averaged.parameters())


def test_average_takes_running_statistics_along(trained):
    averaged, current = trained.averaged.state_dict(), trained.generator.state_dict()
    for name in averaged:
        if name.endswith("num_batches_tracked"):
            assert averaged[name] == current[name] == 3
        if name.endswith("running_mean"):
            assert not torch.equal(averaged[name], torch.zeros_like(averaged[name]))


def test_without_ema_the_generator_itself_is_applied(make_state, tiny):
    state = make_state(tiny(ema=0.0))
    assert state.averaged is None
    assert state.applied is state.generator
    assert "averaged" not in state.networks()
    state.average()
    averaging = make_state(tiny(ema=0.9))
    assert averaging.applied is averaging.averaged


def test_best_weights_are_those_of_the_best_score(make_state, tiny):
    state = make_state(tiny())
    parameter = next(iter(state.applied.parameters()))
    name = next(iter(dict(state.applied.named_parameters())))
    kept = []
    for value, score in enumerate([float("nan"), 0.1, 0.5, float("nan"), 0.3, 0.5]):
        parameter.data.fill_(value)
        kept.append(state.keep_best(score))
    assert kept == [False, True, True, False, False, False]
    assert (state.best[name] == 2).all()
    assert state.best_score == 0.5
    assert (state.model_tensors()[f"best.{name}"] == 2).all()


def test_restore_undoes_what_came_after_the_snapshot(trained, fabric):
    snapshot = trained.snapshot()
    before = {name: tensor.clone() for name, tensor in snapshot.items()}
    run(trained, fabric, range(3, 4))
    assert not all(torch.equal(t, before[n]) for n, t in trained.snapshot().items())
    trained.restore(snapshot)
    assert_same(trained.snapshot(), before)


def test_mean_losses_are_reset(make_state, tiny):
    state = make_state(tiny())
    assert state.take_mean_losses() == {}
    state.add_losses({"G_L1": 1.0})
    state.add_losses({"G_L1": 3.0})
    assert state.take_mean_losses() == {"G_L1": 2.0}
    assert state.take_mean_losses() == {}


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("network", ["generator", "averaged", "discriminator"])
def test_weights_that_are_not_finite_are_found(value, network, make_state, tiny):
    state = make_state(tiny())
    assert state.is_finite()
    list(state.networks()[network].parameters())[-1].data.view(-1)[0] = value
    assert not state.is_finite()


def count(network: nn.Module | None) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_reference_networks_have_the_published_sizes():
    config = TrainConfig(preset="reference")
    assert count(build_generator(config, planes_in=3, planes_out=3)) == 54_413_955
    discriminator = build_discriminator(config, planes_in=6)
    assert count(discriminator) == 2_768_705


def test_paper_networks_have_no_convolution_bias(tiny):
    config = tiny(preset="paper", depth=3)
    networks = (
        build_generator(config, planes_in=1, planes_out=1),
        build_discriminator(config, planes_in=2),
    )
    for network in networks:
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert layers
        assert all(m.bias is None for m in layers)


@pytest.mark.parametrize("placement", ["paper", "reference"])
def test_dropout_reaches_the_generator(placement, tiny):
    config = tiny(depth=7, patch=128, width=1, dropout=0.3, dropout_placement=placement)
    network = build_generator(config, planes_in=1, planes_out=1)
    rates = [m.p for m in network.modules() if isinstance(m, nn.Dropout)]
    assert rates == [0.3] * (3 if placement == "paper" else 2)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"generator": "resnet", "blocks": 2}, ResNet),
        ({"generator": "unet"}, UNet),
        ({"generator": "encoder_decoder"}, UNet),
    ],
)
def test_generators_take_their_planes(fields, kind, tiny):
    network = build_generator(tiny(**fields), planes_in=5, planes_out=2)
    assert isinstance(network, kind)
    assert network(torch.zeros(1, 5, 32, 32)).shape == (1, 2, 32, 32)


def test_encoder_decoder_has_no_skips(tiny):
    kinds = ("encoder_decoder", "unet")
    one, other = (build_generator(tiny(generator=k), planes_in=1, planes_out=1) for k in kinds)
    assert count(one) < count(other)


def test_discriminator_takes_its_planes_where_there_is_one(tiny):
    network = build_discriminator(tiny(), planes_in=6)
    assert network(torch.zeros(1, 6, 32, 32)).shape[:2] == (1, 1)
    assert build_discriminator(tiny(adversarial_weight=0), planes_in=2) is None


def test_discriminators_of_other_kinds(tiny):
    pixel = build_discriminator(tiny(discriminator_layers=0), planes_in=2)
    assert isinstance(pixel, PixelDiscriminator)
    several = build_discriminator(tiny(discriminator_scales=2), planes_in=2)
    assert isinstance(several, MultiScaleDiscriminator)
    assert len(several(torch.zeros(1, 2, 32, 32))) == 2
    spectral = build_discriminator(tiny(spectral_norm=True), planes_in=2)
    assert any("parametrizations" in name for name, _ in spectral.named_parameters())


def test_weights_derive_from_the_seed_alone(tiny):
    def first(seed, noise):
        torch.manual_seed(noise)
        network = build_generator(tiny(seed=seed), planes_in=1, planes_out=1)
        return next(network.parameters())

    assert torch.equal(first(3, 0), first(3, 1))
    assert not torch.equal(first(3, 0), first(4, 0))


def test_building_leaves_torchs_random_state_alone_for_the_discriminator(tiny):
    """The generator's depth does not change the discriminator's weights."""
    shallow, deep = (build_discriminator(tiny(depth=depth), planes_in=2) for depth in (2, 4))
    assert torch.equal(next(shallow.parameters()), next(deep.parameters()))
