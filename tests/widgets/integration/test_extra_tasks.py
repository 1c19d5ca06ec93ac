"""What the Apply dock does beside applying: it generates images, and asks the discriminator."""

import dataclasses

import helpers
import numpy as np
import pytest
from helpers import choose, noise, with_other_best

from napari_pix2pix import train
from napari_pix2pix.data.channel_look import ChannelLook
from napari_pix2pix.errors import InputError
from napari_pix2pix.napari_layers import KEY
from napari_pix2pix.translator import Translator
from napari_pix2pix.widgets.apply.dock import ApplyDock
from napari_pix2pix.widgets.common.known_models import models

TINY = helpers.TINY | {
    "steps": 2, "validation": 0.0, "discriminator_layers": 1, "adversarial_start": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def maker():
    """Two conditions, RGB."""
    images = [(255 * noise(40, 40, 3, seed=i)).astype(np.uint8) for i in (0, 1)]
    return train(None, images, condition=["a", "b"], **TINY)


@pytest.fixture(scope="module")
def gray():
    return train(noise(64, 64), 1 - noise(64, 64), **TINY)


@pytest.fixture(scope="module")
def volumes():
    return train(noise(8, 32, 32), 1 - noise(8, 32, 32), ndim=3, **TINY)


def end_of(work, dock: ApplyDock, qtbot) -> tuple[str, bool]:
    with qtbot.waitSignal(dock.ended) as ended:
        work()
    return tuple(ended.args)


def test_images_on_demand(viewer, dock, qtbot, maker):
    dock.set_model(models().remember(maker, "m"))
    assert dock.check() == ""
    view = dock._view
    assert view.apply.text() == "Generate"
    assert view.generate.isVisibleTo(dock)
    assert not view.layers.images.isVisibleTo(dock)
    dock.condition = "b"
    view.generate.set_values({"images": 3, "height": 24, "width": 40, "seed": 5})
    assert end_of(view.apply.click, dock, qtbot) == ("Done.", False)
    (layer,) = viewer.layers
    assert layer.name == "made [m, b]"
    assert layer.rgb
    np.testing.assert_array_equal(layer.data, maker.sample("b", 3, (24, 40), seed=5))
    assert layer.metadata[KEY]["samples"] == 3
    assert dock.results == [layer]
    dock.undo()
    assert not viewer.layers


def test_each_channel_on_demand_is_a_layer_with_its_name_and_colour(viewer, dock, qtbot):
    model = train(None, noise(2, 40, 40), channel_axis=0, **TINY)
    looks = ((ChannelLook(colormap="cyan"), ChannelLook(colormap="magenta")),)
    made_for = dataclasses.replace(model.info.made_for, target_looks=looks)
    info = dataclasses.replace(model.info, channel_names=(("DAPI", "MAP2"),), made_for=made_for)
    dock.set_model(models().remember(Translator(model.tensors, info), "m"))
    dock._view.generate.set_values({"images": 3, "height": 24, "width": 40, "seed": 5})
    assert dock.check() == ""
    assert end_of(dock.apply, dock, qtbot) == ("Done.", False)
    assert [layer.name for layer in viewer.layers] == ["made [m, DAPI]", "made [m, MAP2]"]
    assert [layer.colormap.name for layer in viewer.layers] == ["cyan", "magenta"]
    assert [layer.blending for layer in viewer.layers] == ["translucent_no_depth", "additive"]
    wanted = np.moveaxis(model.sample(n=3, size=(24, 40), seed=5), 1, 0)
    for layer, channel in zip(viewer.layers, wanted, strict=True):
        np.testing.assert_array_equal(layer.data, channel)
    assert dock.results == [*viewer.layers]
    dock.undo()
    assert not viewer.layers


def test_volumes_on_demand(viewer, dock, qtbot, maker):
    made = train(None, noise(8, 32, 32), ndim=3, **TINY)
    dock.set_model(models().remember(maker, "m"))
    planes = dock._view.generate.editors["planes"].native
    assert not planes.isVisibleTo(dock)
    dock.set_model(models().remember(made, "v"))
    assert planes.isVisibleTo(dock)
    sizes = {"images": 2, "planes": 5, "height": 24, "width": 40}
    dock._view.generate.set_values(sizes)
    assert dock.check() == ""
    assert end_of(dock._view.apply.click, dock, qtbot) == ("Done.", False)
    (layer,) = viewer.layers
    np.testing.assert_array_equal(layer.data, made.sample(n=2, size=(5, 24, 40)))


@pytest.mark.usefixtures("in_step")
def test_cancelled_images_that_are_done_are_kept(viewer, dock, qtbot, maker):
    dock.set_model(models().remember(maker, "m"))
    dock._view.generate.set_values({"images": 9, "height": 24, "width": 24})
    dock._task.progressed.connect(lambda *_: dock.cancel())
    end_of(dock.apply, dock, qtbot)
    (layer,) = viewer.layers
    assert 1 <= len(layer.data) < 9


def test_a_model_with_a_source_shows_its_layers_again(dock, maker, gray):
    dock.set_model(models().remember(maker, "m"))
    dock.set_model(models().remember(gray, "g"))
    assert dock._view.apply.text() == "Apply"
    assert dock._view.layers.images.isVisibleTo(dock)
    assert not dock._view.generate.isVisibleTo(dock)


def test_the_verdict_on_what_was_made(viewer, dock, qtbot, gray):
    image = viewer.add_image(noise(2, 40, 48), name="s", scale=(1, 2, 2))
    choose(dock, gray, "g", image)
    end_of(dock.apply, dock, qtbot)
    (made,) = dock.results
    viewer.layers.selection.active = image
    message, is_error = end_of(dock._view.discriminator_map.click, dock, qtbot)
    assert message.startswith("Done. Green looks real")
    assert not is_error
    assert viewer.layers.selection.active.name == "s"
    discriminator_map = viewer.layers[-1]
    assert discriminator_map.name == f"{made.name} [discriminator map]"
    np.testing.assert_array_equal(discriminator_map.scale, (1, 2, 2))
    expected = gray.discriminator_map(image.data, made.data)
    np.testing.assert_allclose(discriminator_map.data, expected, atol=1e-5)
    dock.undo()
    assert list(viewer.layers) == [image, made]


def test_the_unlikeness_of_the_chosen_image(viewer, dock, qtbot, gray):
    image = viewer.add_image(noise(2, 40, 48), name="s", scale=(1, 2, 2))
    choose(dock, gray, "g", image)
    assert dock.check() == ""  # a button is off until its choices are checked
    message, is_error = end_of(dock._view.unlikeness_map.click, dock, qtbot)
    assert message.startswith("Done. 1 is above 99 % of the training images")
    assert not is_error
    shown = viewer.layers[-1]
    assert shown.name == "s [unlikeness map]"
    np.testing.assert_array_equal(shown.scale, (1, 2, 2))
    np.testing.assert_allclose(shown.data, gray.unlikeness_map(image.data), atol=1e-5)
    dock.undo()
    assert list(viewer.layers) == [image]


def test_maps_of_a_volume(viewer, dock, qtbot, volumes):
    image = viewer.add_image(noise(9, 40, 48), name="s", scale=(3, 1, 1))
    choose(dock, volumes, "v", image)
    dock.check()
    end_of(dock.apply, dock, qtbot)
    (made,) = dock.results
    viewer.layers.selection.active = image
    for button, expected in (
        (dock._view.discriminator_map, volumes.discriminator_map(image.data, made.data)),
        (dock._view.unlikeness_map, volumes.unlikeness_map(image.data)),
    ):
        message, is_error = end_of(button.click, dock, qtbot)
        assert message.startswith("Done."), message
        assert not is_error
        np.testing.assert_array_equal(viewer.layers[-1].scale, (3, 1, 1))
        np.testing.assert_allclose(viewer.layers[-1].data, expected, atol=1e-4)


def test_uncertainty_of_a_volume_is_shown(viewer, dock, qtbot):
    model = train(noise(8, 32, 32), 1 - noise(8, 32, 32), ndim=3, **{**TINY, "dropout": 0.5})
    image = viewer.add_image(noise(6, 32, 32), name="s")
    choose(dock, model, "v", image)
    dock._view.uncertainty.setChecked(True)
    assert dock.check() == ""
    end_of(dock.apply, dock, qtbot)
    mean, deviation = dock.results
    assert mean.data.shape == deviation.data.shape == image.data.shape
    assert deviation.data.max() > 0


def test_an_unlike_image_is_named_in_amber(viewer, dock, qtbot):
    large = noise(160, 160)
    model = train(large, 1 - large, **TINY)
    image = viewer.add_image(noise(64, 64).round(), name="s")
    choose(dock, model, "m", image)
    for _ in range(2):  # said once
        end_of(dock.apply, dock, qtbot)
    assert dock.warning.count("% of the image is unlike the training images") == 1
    old = Translator(model.tensors, dataclasses.replace(model.info, unlike=None))
    choose(dock, old, "o", image)
    dock.check()
    assert dock.warning == ""
    assert not dock._view.unlikeness_map.isEnabled()


def test_the_weights_that_are_chosen_are_compared(viewer, dock, qtbot):
    large = noise(160, 160)
    model = with_other_best(train(large, 1 - large, **TINY))
    image = viewer.add_image(noise(64, 64).round(), name="s")
    choose(dock, model.with_weights("best"), "m", image)
    dock.choose_weights("last")
    end_of(dock.apply, dock, qtbot)
    assert "% of the image is unlike the training images" in dock.warning
    message, is_error = end_of(dock.show_unlikeness, dock, qtbot)
    assert not is_error, message
    expected = model.unlikeness_map(image.data)
    np.testing.assert_allclose(viewer.layers[-1].data, expected, atol=1e-5)


def test_the_verdict_on_a_layer_that_is_selected(viewer, dock, qtbot, gray):
    image = viewer.add_image(noise(40, 48), name="s")
    other = viewer.add_image(noise(40, 48, seed=3), name="other")
    choose(dock, gray, "g", image)
    viewer.layers.selection.active = other
    end_of(dock.ask_discriminator_map, dock, qtbot)
    assert viewer.layers[-1].name == "other [discriminator map]"
    expected = gray.discriminator_map(image.data, other.data)
    np.testing.assert_allclose(viewer.layers[-1].data, expected, atol=1e-5)


def test_no_verdict(viewer, dock, qtbot, gray):
    image = viewer.add_image(noise(40, 48), name="s")
    choose(dock, gray, "g", image)
    with pytest.raises(InputError, match="Apply the model first, or select the layer"):
        dock.ask_discriminator_map()
    viewer.add_image(noise(30, 48), name="smaller")
    message, is_error = end_of(dock.ask_discriminator_map, dock, qtbot)
    assert is_error
    assert "give a prediction of this source" in message
    plain = train(noise(64, 64), 1 - noise(64, 64), adversarial_weight=0.0, **TINY)
    dock.set_model(models().remember(plain, "p"))
    dock.check()
    assert not dock._view.discriminator_map.isEnabled()


@pytest.mark.parametrize("slim", [False, True])
def test_a_file_offers_the_map_where_it_holds_a_discriminator(
    viewer, dock, qtbot, gray, tmp_path, slim
):
    image = viewer.add_image(noise(40, 48), name="s")
    gray.save(tmp_path / "m.safetensors", slim=slim)
    dock.set_layers([image])
    dock.set_model(tmp_path / "m.safetensors")
    dock.check()
    assert dock.model.translator is None  # the header alone was read
    assert dock._view.discriminator_map.isEnabled() != slim
    end_of(dock.apply, dock, qtbot)
    assert dock._view.discriminator_map.isEnabled() != slim
    assert (dock.model.translator.discriminator is None) == slim
