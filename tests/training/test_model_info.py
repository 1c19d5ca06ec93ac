import json
import math
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import helpers
import numpy as np
import pytest
import torch
from helpers import run_python

from napari_pix2pix import convert, load, train
from napari_pix2pix._load import read_foreign_info
from napari_pix2pix.data.channel_look import ChannelLook
from napari_pix2pix.data.codecs import ImageCodec
from napari_pix2pix.data.intensities import LEVELS, Intensities
from napari_pix2pix.data.layouts import Layout
from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.errors import FileError, InputError
from napari_pix2pix.io.pytorch_networks import ReferenceDiscriminator, ReferenceGenerator
from napari_pix2pix.metrics.baselines import Baselines, LinearBaseline
from napari_pix2pix.training.config import CARD_FIELDS, TrainConfig
from napari_pix2pix.training.history import EpochRecord, HeldOutScores
from napari_pix2pix.training.made_for import MadeFor
from napari_pix2pix.training.model_info import (
    ModelInfo,
    StartedFrom,
    count_planes,
    decode_picture,
    encode_picture,
    read_model_info,
)
from napari_pix2pix.translator import Translator

GRAY = ImageCodec("minmax", "uint8", (0.0,), (255.0,), Layout())
COLOURS = ImageCodec("minmax", "uint8", (0.0,) * 3, (255.0,) * 3, Layout(-1, rgb=True))
PATH = Path("m.safetensors")
PICTURE = np.random.default_rng(0).integers(0, 256, (7, 9, 3)).astype(np.uint8)
TINY = helpers.TINY | {"depth": 5, "dropout": 0.0, "steps": 3, "adversarial_start": 0.0}


@pytest.fixture
def info():
    """Fill in every field."""
    known = Intensities("uint8", (tuple(float(i) for i in range(len(LEVELS))), ()), 0.1 + 0.2)
    return ModelInfo(
        config=TrainConfig(width=8, noise_channels=2, conditional=False),
        source_codec=COLOURS,
        target_codec=GRAY,
        conditions=("DAPI", ("GFP", 2), 3),
        baselines=Baselines(3 * (LinearBaseline(((0.1, 0.2, 0.3),), (1 / 3,)),)),
        has_discriminator=True,
        scores=HeldOutScores({"pearson": float("nan"), "l1": 0.1}, {"pearson": 0.5, "l1": 0.2}),
        history=(
            EpochRecord(3, 1, {"G_L1": 0.3, "D_real": float("inf")}),
            EpochRecord(6, 2, {"G_L1": 0.2, "D_real": 1.0}, {"pearson": float("nan")}),
        ),
        summary="8-bit RGB images to 8-bit images",
        notes=("All looks well.",),
        steps=6,
        seconds=1.5,
        versions={"torch": "2.6"},
        intensities=(known, known),
        thumbnail=PICTURE,
        started_from=StartedFrom("uint8 image", 4, False, "ab12"),
        fingerprint="cd34",
        sampled_blocks=(8, 1),
        made_for=MadeFor(
            images=3,
            date="2026-11-27",
            pixel_size=PixelSize(0.65, 0.6, 2.0),
            source_looks=(ChannelLook("#FF0000", limits=(0.1, 0.3)),),
            target_looks=((ChannelLook("#00FF00", "viridis"),), (), ()),
        ),
    )


def test_every_field_survives_a_header(info):
    header = json.loads(json.dumps(info.to_header()))
    again = ModelInfo.from_header(header, PATH)
    told_by_the_file = {"weights", "engine", "is_external"}
    assert set(header) == set(vars(info)) - told_by_the_file
    for name, value in vars(info).items():
        if name == "thumbnail":
            np.testing.assert_array_equal(again.thumbnail, value, strict=True)
        else:
            assert repr(getattr(again, name)) == repr(value), name  # NaN is not itself
    assert again.to_header().keys() == header.keys()
    assert json.dumps(again.to_header()) == json.dumps(header)


def test_a_file_from_before_is_read(info):
    header = info.to_header()
    del header["made_for"]
    for name in CARD_FIELDS:
        del header["config"][name]
    again = ModelInfo.from_header(header, PATH)
    assert (again.made_for, again.config.licence) == (MadeFor(), "")
    assert again.output_looks("DAPI") == ()


def test_config_remembers_that_all_its_fields_were_given(info):
    again = ModelInfo.from_header(info.to_header(), PATH).config
    assert again.model_fields_set == set(TrainConfig.model_fields)


def test_it_is_frozen(info):
    with pytest.raises(FrozenInstanceError):
        info.steps = 7  # type: ignore[misc]


def nested(depth: int) -> list:
    return [nested(depth - 1)] if depth else []


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"steps": "many"}, r"steps: Input should be a valid integer"),
        ({"config": {"widht": 4}}, r"config: .*There is no field widht"),
        ({"history": [{"step": 3}]}, r"history\.0\.epoch: Field required"),
        ({"conditions": None}, r"conditions: "),
        ({"baselines": {}}, "KeyError: 'maps'"),
        ({"seconds": math.inf}, "seconds: "),
        ({"steps": 10**13}, "steps: Input should be less than or equal"),
        ({"summary": 10**30}, "a number that is too large"),
        ({"notes": nested(40)}, "nested too deeply"),
    ],
)
def test_damage_is_said(damage, words, info):
    said = rf"Can't use m\.safetensors: its header is incomplete or damaged \(.*{words}"
    with pytest.raises(FileError, match=said):
        ModelInfo.from_header({**info.to_header(), **damage}, PATH)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ({"source_codec": None}, "holds no codec"),
        ({"conditions": ["a", "a", "b"]}, "conditions in its header does not fit the rest"),
        ({"baselines": {"maps": []}, "channel_names": [["a"], ["b"]]}, "channel_names in its"),
        ({"scores": {"prediction": {"fame": 1.0}, "baseline": {}}}, "scores in its header"),
    ],
)
def test_what_does_not_fit_is_said(damage, words, info):
    with pytest.raises(FileError, match=rf"Can't use m\.safetensors: .*{words}"):
        ModelInfo.from_header({**info.to_header(), **damage}, PATH)


def test_texts_of_a_file_control_no_terminal(info):
    damage = {"summary": "a\x1b[31mred\x9b\u202e", "notes": ["two\nlines"]}
    read = ModelInfo.from_header({**info.to_header(), **damage}, PATH)
    assert (read.summary, read.notes) == ("a[31mred", ("two\nlines",))


@pytest.mark.parametrize("name", ["config", "has_discriminator", "scores", "versions"])
def test_a_field_that_is_missing_is_named(name, info):
    header = info.to_header()
    del header[name]
    with pytest.raises(FileError, match=rf"{name}: Field required"):
        ModelInfo.from_header(header, PATH)


@pytest.mark.parametrize(
    "damage", [{"height": 8}, {"height": 10**6}, {"width": 0}, {"rgb": "AAAA"}, {"rgb": 3}]
)
def test_damaged_picture_is_said(damage):
    with pytest.raises(FileError, match="picture in the file is damaged"):
        decode_picture(encode_picture(PICTURE) | damage)


@pytest.mark.parametrize("picture", [PICTURE, None])
def test_a_picture_or_none_goes_through_a_header(picture):
    parts = json.loads(json.dumps(encode_picture(picture)))
    assert (parts is None) == (picture is None)
    np.testing.assert_array_equal(decode_picture(parts), picture)


@pytest.mark.parametrize(("conditional", "discriminator"), [(True, 3 + 2 + 1), (False, 1)])
def test_planes_are_source_conditions_and_noise(conditional, discriminator):
    config = TrainConfig(conditional=conditional, noise_channels=4)
    planes = count_planes(config, COLOURS, GRAY, 2)
    assert (planes.generator_in, planes.generator_out) == (3 + 2 + 4, 1)
    assert planes.discriminator_in == discriminator


def test_networks_take_the_planes_that_are_counted():
    image = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    fields = {**TINY, "noise_channels": 2}
    model = train([image] * 2, [1 - image] * 2, condition=["a", "b"], **fields)
    assert model.generator.in_channels == model.info.planes.generator_in == 1 + 2 + 2
    assert model.discriminator.in_channels == model.info.planes.discriminator_in == 1 + 2 + 1


def test_neighbouring_planes_are_no_channels(info):
    assert (info.channels, info.takes_layers) == (3, False)
    stack = replace(info, config=TrainConfig(z_context=1))
    assert (stack.channels, stack.takes_layers) == (1, False)
    several = replace(info, source_codec=replace(COLOURS, layout=Layout(-3)))
    assert several.takes_layers


def test_summary_and_score_in_one_line(info):
    known = replace(info, scores=HeldOutScores({"pearson": 0.75}, {"pearson": 0.5}))
    assert repr(known) == (
        "<ModelInfo 8-bit RGB images to 8-bit images, light, held-out Pearson 0.750>"
    )
    assert str(replace(info, scores=None)) == "8-bit RGB images to 8-bit images, light"


def test_applied_weights(info):
    names = "generator.a", "averaged.a", "best.a", "discriminator.a"
    assert info.applied_weights(names) == "averaged"
    assert info.applied_weights(names[:1]) == "generator"
    best = replace(info, config=TrainConfig(keep="best"))
    assert best.applied_weights(names) == "best"
    assert best.applied_weights(names[:2]) == "averaged"
    with pytest.raises(ValueError, match="no weights of a generator"):
        info.applied_weights(names[3:])


def test_a_file_is_described_without_pytorch(tmp_path):
    image = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    train(image, 1 - image, **TINY).save(tmp_path / "m.safetensors")
    code = (
        "import sys; from pathlib import Path\n"
        "from napari_pix2pix.training.model_info import read_model_info\n"
        "print(read_model_info(Path(sys.argv[1])).steps, 'torch' in sys.modules)"
    )
    assert run_python(code, tmp_path / "m.safetensors") == ["3", "False"]


# --- one answer to whether there is a discriminator ----------------------------------------------


def has_discriminator(path: Path) -> bool:
    """Ask the file, the loaded model and its weights, which must agree."""
    own = path.suffix == ".safetensors"
    described = read_model_info(path) if own else read_foreign_info(path)
    translator = load(path)
    answers = {
        described.has_discriminator,
        translator.info.has_discriminator,
        translator.discriminator is not None,
        any(name.startswith("discriminator.") for name in translator.tensors),
    }
    assert len(answers) == 1
    if translator.info.has_discriminator:
        translator.discriminator_predictor("cpu")
    else:
        with pytest.raises(InputError, match="has no discriminator"):
            translator.discriminator_predictor("cpu")
    return answers.pop()


@pytest.fixture(scope="module")
def trained():
    image = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    return train(image, 255 - image, **TINY, preset="reference", validation=0)


def test_our_files_say_whether_they_have_a_discriminator(trained, tmp_path):
    whole, slim = tmp_path / "whole.safetensors", tmp_path / "slim.safetensors"
    trained.save(whole)
    trained.save(slim, slim=True)
    assert has_discriminator(whole)
    assert not has_discriminator(slim)
    load(slim).save(tmp_path / "again.safetensors")
    assert not has_discriminator(tmp_path / "again.safetensors")
    assert trained.info.has_discriminator  # saving slim changes nothing in memory


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_model_and_its_checkpoint_have_one_with_an_adversarial_term_alone(weight, tmp_path):
    image = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    fields = {**TINY, "adversarial_weight": weight, "checkpoint": tmp_path / "run.safetensors"}
    train(image, 1 - image, **fields).save(tmp_path / "m.safetensors")
    for name in ("m.safetensors", "run.safetensors"):
        assert has_discriminator(tmp_path / name) == bool(weight)


def test_pytorch_files_have_one_where_it_lies_beside(trained, tmp_path):
    path = tmp_path / "latest_net_G.pth"
    convert(trained, path)
    assert has_discriminator(path)
    (tmp_path / "latest_net_D.pth").unlink()
    assert not has_discriminator(path)
    wrong = ReferenceDiscriminator(7, 2, "batch").build().state_dict()
    torch.save(wrong, tmp_path / "latest_net_D.pth")
    assert not has_discriminator(path)  # of another generator


def test_a_converted_pytorch_file_says_what_it_holds(tmp_path):
    network = ReferenceGenerator("unet", 1, 1, 2, "batch", depth=5)
    torch.save(network.build().state_dict(), tmp_path / "latest_net_G.pth")
    convert(tmp_path / "latest_net_G.pth", tmp_path / "m.safetensors")
    assert not has_discriminator(tmp_path / "m.safetensors")


def test_a_header_that_contradicts_the_weights_is_refused(trained):
    with pytest.raises(ValueError, match="has_discriminator is False"):
        Translator(trained.tensors, replace(trained.info, has_discriminator=False))
