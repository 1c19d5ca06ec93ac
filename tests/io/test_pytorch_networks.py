"""Files of the PyTorch reference implementation: which network they hold, if any."""

import pickle
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from helpers import Bomb
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from napari_pix2pix.core import make_discriminator, make_generator
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.pytorch_files import ReferenceNetwork
from napari_pix2pix.io.pytorch_networks import (
    ReferenceDiscriminator,
    ReferenceGenerator,
    discriminator_path,
    read_discriminator,
    read_generator,
    write_network,
)

UNET = ReferenceGenerator("unet", 1, 1, 2, "batch", depth=5)
RESNET = ReferenceGenerator("resnet", 1, 1, 2, "instance", blocks=2)
PATCH = ReferenceDiscriminator(2, 2, "batch")


def weights_of(network: ReferenceNetwork) -> dict[str, Tensor]:
    """Make random weights with the reference's names."""
    rng = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=rng) if not name.endswith("tracked") else torch.tensor(7)
        for name, shape in network.shapes().items()
    }


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return list(one) == list(other) and all(
        torch.equal(one[name], other[name]) and one[name].dtype == other[name].dtype for name in one
    )


@st.composite
def networks(draw) -> ReferenceGenerator:
    kind = draw(st.sampled_from(["unet", "resnet"]))
    size = {"depth": draw(st.integers(2, 6))} if kind == "unet" else {}
    if kind == "resnet":
        size = {"blocks": draw(st.integers(1, 3)), "dropout": draw(st.booleans())}
    channels = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    norm = draw(st.sampled_from(["batch", "instance", "none"]))
    return ReferenceGenerator(kind, *channels, draw(st.integers(1, 3)), norm, **size)


@settings(deadline=None, max_examples=25)
@given(network=networks())
def test_network_follows_from_names_and_shapes(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reference")
    given_, path = weights_of(network), folder / "latest_net_G.pth"
    torch.save(OrderedDict(given_), path)
    found, weights = read_generator(path)
    assert found == network
    network.build().load_state_dict(weights)  # strict: all names, all shapes
    assert not any(weights[name].any() for name in weights if name not in given_)
    write_network(folder / "again.pth", found, weights)
    assert same(torch.load(folder / "again.pth", weights_only=True), given_)


@pytest.mark.parametrize("index", range(4))
def test_names_and_order_are_the_golden_ones(index, golden_values):
    entry = golden_values["generators"][index]
    kind, _, size = entry["net"].partition("_")
    network = ReferenceGenerator(
        kind,
        entry["in"],
        entry["out"],
        entry["width"],
        entry["norm"],
        depth=int(size).bit_length() - 1 if kind == "unet" else 8,
        blocks=int(size[0]) if kind == "resnet" else 9,
        dropout=kind == "resnet",
    )
    expected = [(name, tuple(shape)) for name, shape in entry["state_dict"].items()]
    assert list(network.shapes().items()) == expected


def changed(weights: dict[str, Tensor], how: str) -> dict[str, Tensor]:
    """Make of weights what other versions of PyTorch and of the reference wrote."""
    if how == "several GPUs":
        return {f"module.{name}": value for name, value in weights.items()}
    if how == "compiled":
        return {f"module._orig_mod.{name}": value for name, value in weights.items()}
    if how == "counts no batches":
        return {k: v for k, v in weights.items() if not k.endswith("tracked")}
    made = dict(weights)
    for name in [name for name in weights if name.endswith("1.bias")]:
        layer = name.removesuffix("1.bias") + "2."
        made |= {f"{layer}running_mean": torch.zeros(2), f"{layer}running_var": torch.ones(2)}
        made[f"{layer}num_batches_tracked"] = torch.tensor(3)
    return made


@pytest.mark.parametrize(
    ("network", "how"),
    [
        (UNET, "several GPUs"),
        (RESNET, "several GPUs"),
        (RESNET, "compiled"),
        (UNET, "counts no batches"),
        (RESNET, "instance norm has statistics"),
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_older_files(network, how, tmp_path, *, zipped):
    weights, path = weights_of(network), tmp_path / "200_net_G.pth"
    old = changed(weights, how)
    assert set(old) != set(weights)
    torch.save(old, path, _use_new_zipfile_serialization=zipped)
    found, read = read_generator(path)
    assert found == network
    counts = {name for name in read if name.endswith("tracked")} - set(old)
    assert all(torch.equal(read[k], weights[k]) for k in set(weights) - counts if k in read)
    assert not any(read[name] for name in counts if how == "counts no batches")


INNER = "model.model.1.model"
# What is made of the weights of a U-Net, and what is said of it.
WRONG = {
    "nested": (
        lambda weights: {"state_dict": weights, "epoch": 3},
        r"more than the weights of one network: found state_dict, epoch; expected",
    ),
    "discriminator": (
        lambda _: make_discriminator(2, width=2).state_dict(),
        r"holds a discriminator: found model\.0\.weight.*expected a U-Net.*net_G",
    ),
    "pixel discriminator": (
        lambda _: make_discriminator(2, width=2, layers=0).state_dict(),
        r"holds a discriminator: found net\.0\.weight",
    ),
    "3D": (
        lambda weights: {k: v[..., None] if v.ndim == 4 else v for k, v in weights.items()},
        r"3D weights: model\.model\.0\.weight has shape \(2, 1, 4, 4, 1\), expected 4 axes",
    ),
    "classifier": (
        lambda _: nn.Sequential(nn.Linear(1, 1)).state_dict(),
        r"no generator of pix2pix: found 0\.weight, 0\.bias; expected a U-Net",
    ),
    "lacks one": (
        lambda weights: {k: v for k, v in weights.items() if k != f"{INNER}.3.model.1.weight"},
        r"model\.model\.1\.model\.3\.model\.1\.weight missing\.$",
    ),
    "has more": (
        lambda weights: weights | {"model.model.4.weight": torch.zeros(1)},
        r"looks like a U-Net-32.*model\.model\.4\.weight unexpected",
    ),
    "other width": (
        lambda weights: weights | {f"{INNER}.2.weight": torch.zeros(5)},
        r"model\.2\.weight has shape \(5,\), expected \(4,\)",
    ),
    "no skips": (
        lambda weights: weights | {"model.model.3.weight": torch.zeros(2, 1, 4, 4)},
        r"model\.model\.3\.weight has shape \(2, 1, 4, 4\), expected \(4, 1, 4, 4\)",
    ),
    "a tensor": (lambda _: torch.zeros(3), r"no weights but a Tensor"),
    "nothing": (lambda _: {}, r"no weights but nothing"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_it_is_not_is_said(what, tmp_path):
    make, words = WRONG[what]
    path = tmp_path / "latest_net_G.pth"
    torch.save(make(weights_of(UNET)), path)
    with pytest.raises(FileError, match=words) as caught:
        read_generator(path)
    assert str(path) in str(caught.value)


def test_code_among_the_weights_is_not_run(tmp_path):
    path, mark = tmp_path / "latest_net_G.pth", tmp_path / "mark"
    torch.save(weights_of(UNET) | {"model.model.0.weight": Bomb(mark)}, path)
    words = r"more than weights \(\w+\), which could run code; it was refused and not run"
    with pytest.raises(FileError, match=words):
        read_generator(path)
    assert not mark.exists()


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_any_other_weights_are_refused_in_words(data, tmp_path_factory):
    weights = weights_of(data.draw(networks()))
    for name in data.draw(st.lists(st.sampled_from(sorted(weights)), min_size=1, max_size=5)):
        changes = [torch.zeros(shape) for shape in [(), (0,), (0, 1, 4, 4), (3, 3, 4, 4)]]
        change = data.draw(st.sampled_from([*changes, torch.zeros(1, dtype=torch.complex64), None]))
        if change is None:
            weights.pop(name, None)
        else:
            weights[name] = change
    path = tmp_path_factory.getbasetemp() / "odd_net_G.pth"
    torch.save(weights, path)
    try:
        network, read = read_generator(path)
    except FileError as error:
        assert str(error).endswith(".")  # noqa: PT017
    else:  # what was changed does not matter: a count, or a shape that is the right one
        network.build().load_state_dict(read)


@pytest.mark.parametrize("protocol", range(6))
def test_no_pickle_is_run(protocol, tmp_path):
    path = tmp_path / "latest_net_G.pth"
    path.write_bytes(pickle.dumps(Bomb(tmp_path / "mark"), protocol=protocol))
    with pytest.raises(FileError, match=r"refused and not run|nothing in it was run"):
        read_generator(path)
    assert not (tmp_path / "mark").exists()
    pickle.loads(path.read_bytes())  # it would have been
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_damaged_file(share, tmp_path, *, zipped):
    path = tmp_path / "latest_net_G.pth"
    torch.save(weights_of(RESNET), path, _use_new_zipfile_serialization=zipped)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(FileError, match="cut short or damaged; nothing in it was run"):
        read_generator(path)


def test_biases_without_a_norm_are_refused(tmp_path):
    network = ReferenceGenerator("unet", 1, 1, 2, "none", depth=5)
    weights = network.build().state_dict()
    words = r"the PyTorch implementation has no biases.*model\.model\.0\.bias"
    with pytest.raises(InputError, match=words):
        write_network(tmp_path / "G.pth", network, weights)
    assert not list(tmp_path.iterdir())


# --- discriminators ---

norms = st.sampled_from(["batch", "instance", "none"])
sizes = st.integers(1, 7), st.integers(1, 3), norms, st.integers(0, 6)
discriminators = st.builds(ReferenceDiscriminator, *sizes)


@settings(deadline=None, max_examples=25)
@given(network=discriminators)
def test_discriminator_follows_from_names_and_shapes(network, tmp_path_factory):
    folder, made = tmp_path_factory.mktemp("discriminator"), weights_of(network)
    torch.save(OrderedDict(made), folder / "latest_net_D.pth")
    found, weights = read_discriminator(folder / "latest_net_D.pth")
    assert found == network
    network.build().load_state_dict(weights)  # strict: all names, all shapes
    write_network(folder / "again.pth", found, weights)
    assert same(torch.load(folder / "again.pth", weights_only=True), made)


@pytest.mark.parametrize("index", range(4))
def test_discriminator_names_and_order_are_the_golden_ones(index, golden_values):
    entry = golden_values["discriminators"][index]
    layers = 0 if entry["net"] == "pixel" else entry["n_layers"]
    network = ReferenceDiscriminator(entry["in"], entry["width"], entry["norm"], layers)
    expected = [(name, tuple(shape)) for name, shape in entry["state_dict"].items()]
    assert list(network.shapes().items()) == expected


def test_discriminator_with_old_instance_norm_on_several_gpus(tmp_path):
    network = ReferenceDiscriminator(2, 2, "instance", 2)
    weights = weights_of(network)
    old = {**weights, "model.3.running_mean": torch.zeros(4), "model.3.running_var": torch.ones(4)}
    torch.save({f"module.{name}": value for name, value in old.items()}, tmp_path / "D.pth")
    found, read = read_discriminator(tmp_path / "D.pth")
    assert found == network
    assert all(torch.equal(read[name], weights[name]) for name in weights)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (nn.Conv2d(1, 1, 4).state_dict(), "holds no discriminator of pix2pix: found weight, bias"),
        (make_generator("unet", 1, 1, depth=5, width=1).state_dict(), "holds no discriminator"),
        (make_generator("resnet", 1, 1, blocks=1, width=1).state_dict(), "holds no discriminator"),
        (
            {k: v for k, v in weights_of(PATCH).items() if "3.w" not in k},
            "model.3.weight, model.3.running_mean, ... missing",
        ),
        ({**weights_of(PATCH), "more": torch.zeros(1)}, "more unexpected"),
        (
            {**weights_of(PATCH), "model.5.weight": torch.zeros(2, 4, 4, 4)},
            r"another network: model\.5\.weight has shape \(2, 4, 4, 4\), expected \(8, 4, 4, 4\)",
        ),
    ],
)
def test_what_is_no_discriminator_is_refused(weights, words, tmp_path):
    torch.save(weights, tmp_path / "latest_net_D.pth")
    with pytest.raises(FileError, match=words):
        read_discriminator(tmp_path / "latest_net_D.pth")


@pytest.mark.parametrize(
    ("generator", "discriminator"),
    [
        ("latest_net_G.pth", "latest_net_D.pth"),
        ("200_net_G.pt", "200_net_D.pt"),
        ("latest_net_G_A.pth", "latest_net_D_A.pth"),
        ("mine.pth", None),
    ],
)
def test_discriminator_has_its_name_from_the_generator(generator, discriminator):
    found = discriminator_path(Path("facades") / generator)
    assert found == (None if discriminator is None else Path("facades") / discriminator)


def test_one_value_that_is_repeated_is_no_weights(tmp_path):
    huge = torch.zeros(1).expand(10**6, 10**3, 4, 4)
    torch.save({"model.model.0.weight": huge}, tmp_path / "G.pth")
    with pytest.raises(FileError, match="claims weights of 64000 MB"):
        read_generator(tmp_path / "G.pth")


def test_a_compressed_archive_is_not_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "G.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    with pytest.raises(FileError, match="would unpack to 10 MB"):
        read_generator(tmp_path / "G.pth")
