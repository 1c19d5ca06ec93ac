"""Packages whose only weights are a PyTorch state dict: of known architectures, and of others."""

import pickle
from copy import deepcopy

import numpy as np
import pytest
import torch
from foreign_models import state_dict_package
from helpers import gray_noise

from napari_pix2pix import load
from napari_pix2pix.core import ResNet, UNet, initialise_, make_generator
from napari_pix2pix.errors import FileError

pytest.importorskip("bioimageio.core", reason="needs the extra bioimageio")
v0_5 = pytest.importorskip("bioimageio.spec.model.v0_5")

OURS = "napari_pix2pix.core"
MAKERS = {"make_generator": make_generator, "UNet": UNet, "ResNet": ResNet}
KINDS = {
    "make_generator": {"kind": "encoder_decoder", "depth": 3, "norm": "none"},
    "UNet": {"depth": 3, "upsampling": "resize", "activation": "linear"},
    "ResNet": {"blocks": 1, "norm": "batch"},
}


def learnt(network):
    """Let a network do more with an image than its first weights do."""
    return initialise_(network, std=0.2, rng=torch.Generator().manual_seed(0)).eval()


def steps():
    scale = v0_5.ScaleLinearKwargs(gain=1 / 100, offset=-1.0)
    as_float = v0_5.EnsureDtypeDescr(kwargs=v0_5.EnsureDtypeKwargs(dtype="float32"))
    return [v0_5.ScaleLinearDescr(kwargs=scale), as_float]


def output_of(network, image):
    planes = torch.from_numpy(image.astype(np.float32) / 100 - 1)[None, None]
    with torch.inference_mode():
        return network(planes).numpy()


@pytest.fixture(scope="module")
def unet():
    return learnt(make_generator("unet", 1, 1, depth=3, width=4, norm="batch"))


def write(path, network, name, **fields):
    """Write a package with the test image that its network makes."""
    test = gray_noise(64, 64, seed=1)
    if "tests" not in fields:
        fields["tests"] = test[None, None], output_of(network, test)
    size = v0_5.ParameterizedSize(min=64, step=8)
    return state_dict_package(
        path, network, name=name, before=steps(), size=size, halo=24, **fields
    )


@pytest.mark.parametrize("name", KINDS)
def test_generators_of_ours_are_built_from_their_arguments(name, tmp_path):
    kwargs = {"in_channels": 1, "out_channels": 1, "width": 4, **KINDS[name]}
    network = learnt(MAKERS[name](**kwargs))
    path = write(tmp_path / "ours.zip", network, name, module=OURS, kwargs=kwargs)
    image = gray_noise(72, 64, seed=3)
    np.testing.assert_allclose(load(path)(image), output_of(network, image)[0, 0], atol=1e-5)


def test_generators_of_the_pytorch_implementation_are_told_by_their_weights(unet, tmp_path):
    path = write(tmp_path / "others.zip", unet, "UnetGenerator", kwargs={"ngf": 4})
    model, image = load(path), gray_noise(96, 64)
    whole = model(image, tile=0)
    np.testing.assert_allclose(model(image, tile=16), whole, atol=1e-5)
    np.testing.assert_allclose(whole, output_of(unet, image)[0, 0], atol=1e-5)
    sent = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(sent(image, tile=0), whole)


@pytest.mark.parametrize(
    ("name", "module"),
    [("UnetGenerator3", None), ("UNet", None), ("UNet", "monai.networks.nets"), ("train", OURS)],
)
def test_another_architecture_is_refused_and_its_code_not_run(name, module, unet, tmp_path):
    path = write(tmp_path / "others.zip", unet, name, module=module)
    with pytest.raises(FileError, match=r"not known here.*no code of a package is run"):
        load(path)


@pytest.mark.parametrize(
    ("kwargs", "sentence"),
    [
        ({"depth": 4}, "holds other weights than"),
        ({"depth": 3, "width": 10**9}, "describes no network"),
        ({"depth": 10**9}, "describes no network"),
        ({"deep": 3}, "describes no network"),
        ({"depth": 3, "in_channels": 2}, "it has 2 to 1 channels"),
    ],
)
def test_arguments_that_do_not_fit_the_weights_are_refused(kwargs, sentence, unet, tmp_path):
    kwargs = {"in_channels": 1, "out_channels": 1, "width": 4, **kwargs}
    path = write(tmp_path / "ours.zip", unet, "UNet", module=OURS, kwargs=kwargs)
    with pytest.raises(FileError, match=sentence):
        load(path)


def test_a_network_that_does_something_else_with_the_test_image_is_refused(unet, tmp_path):
    bare = UNet(1, 1, depth=3, width=4, activation="linear").eval()
    bare.load_state_dict(unet.state_dict())
    path = write(tmp_path / "others.zip", bare, "UnetGenerator")
    with pytest.raises(FileError, match="makes another image of its test image"):
        load(path)


def test_a_network_that_makes_nothing_but_nan_is_refused(unet, tmp_path):
    image, broken = gray_noise(64, 64, seed=1), deepcopy(unet)
    for layer in broken.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_var.fill_(-1)  # which is finite
    tests = image[None, None], output_of(unet, image)
    path = write(tmp_path / "others.zip", broken, "UnetGenerator", tests=tests)
    with pytest.raises(FileError, match="makes another image of its test image"):
        load(path)


class Bomb:
    """A network whose weights would run code where a pickle is trusted."""

    def __reduce__(self):
        return exec, ("raise SystemExit('this was run')",)

    def state_dict(self):
        return {"model.model.0.weight": self}


def test_weights_that_hold_code_are_refused_and_not_run(unet, tmp_path):
    test = gray_noise(64, 64, seed=1)
    tests = test[None, None], output_of(unet, test)
    path = write(tmp_path / "others.zip", Bomb(), "UnetGenerator", tests=tests)
    with pytest.raises(FileError, match="could run code; it was refused and not run"):
        load(path)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    network = learnt(make_generator("unet", 1, 1, depth=3, width=4))
    with torch.no_grad():
        network.state_dict()["model.model.0.weight"][0, 0, 0, 0] = torch.nan
    path = write(tmp_path / "others.zip", network, "UnetGenerator")
    with pytest.raises(FileError, match="NaN or infinite"):
        load(path)
