"""Files of the PyTorch implementation in the docks: they are read in a thread."""

import numpy as np
import pytest
import torch
from helpers import apply_without_error, integer_noise, write_reference_weights

from napari_pix2pix import load
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.io.pytorch_networks import ReferenceDiscriminator, ReferenceGenerator
from napari_pix2pix.widgets.apply.dock import ApplyDock
from napari_pix2pix.widgets.common.known_models import models
from napari_pix2pix.widgets.evaluate.dock import EvaluateDock


@pytest.fixture
def weights(golden, tmp_path):
    """Write a U-Net from one channel to one."""
    shapes = ReferenceGenerator("unet", 1, 1, 4, "batch", depth=6).shapes()
    path = tmp_path / "facades" / "latest_net_G.pth"
    return write_reference_weights(path, golden, shapes)


def choose_file(dock, qtbot, path, source):
    dock.set_layers([source])
    dock.set_model(path)
    qtbot.waitUntil(lambda: dock.card is not None)


def test_chosen_read_and_applied(viewer, dock, qtbot, weights):
    source = viewer.add_image(integer_noise(64, 64), name="s")
    dock.set_layers([source])
    dock.set_model(weights)
    assert dock.model is None
    assert "Reading facades latest" in dock._view.picker.description.text()
    qtbot.waitUntil(lambda: dock.card is not None)
    assert "U-Net-64 of width 4" in dock.card.summary
    assert models().recent_files() == (weights,)
    apply_without_error(dock, qtbot)
    assert [layer.name for layer in viewer.layers] == ["s", "s [facades latest]"]
    np.testing.assert_array_equal(viewer.layers[1].data, load(weights)(source.data))

    paper = {"norm_statistics": "per-image", "dropout": True, "seed": 5}
    dock.options = PredictOptions(**paper)
    apply_without_error(dock, qtbot)
    np.testing.assert_array_equal(viewer.layers[1].data, load(weights)(source.data, **paper))


def test_images_of_16_bits(viewer, dock, qtbot, weights):
    image = integer_noise(64, 64).astype(np.uint16) * 257
    choose_file(dock, qtbot, weights, viewer.add_image(image, name="s"))
    described = dock._view.picker.description
    assert "Intensities: the whole range of the image's dtype." in described.text()
    assert "U-Net's file does not say whether it was trained" in described.toolTip()
    apply_without_error(dock, qtbot)
    made = viewer.layers[1]
    assert made.data.dtype == np.uint16
    assert made.contrast_limits == [0, 65535]
    np.testing.assert_array_equal(made.data, load(weights, dtype="uint16")(image))


def test_gray_layers_and_a_network_of_three_channels(viewer, dock, qtbot, golden, tmp_path):
    shapes = ReferenceGenerator("unet", 3, 3, 2, "batch", depth=5).build().state_dict()
    path = tmp_path / "latest_net_G.pth"
    torch.save(golden.fill_(shapes), path)
    source = viewer.add_image(integer_noise(64, 64), name="s")
    choose_file(dock, qtbot, path, source)
    apply_without_error(dock, qtbot)
    assert viewer.layers[1].rgb
    np.testing.assert_array_equal(viewer.layers[1].data, load(path)(source.data))


def test_its_discriminator_is_asked(viewer, dock, qtbot, weights, golden):
    source = viewer.add_image(integer_noise(64, 64), name="s")
    choose_file(dock, qtbot, weights, source)
    dock.check()
    assert not dock._view.discriminator_map.isEnabled()
    network = ReferenceDiscriminator(2, 4, "batch", 1)
    torch.save(golden.fill_(network.build().state_dict()), weights.with_name("latest_net_D.pth"))
    dock.set_model(models().remember(load(weights), "with D", path=weights))
    apply_without_error(dock, qtbot)
    made = viewer.layers[-1]
    with qtbot.waitSignal(dock.ended):
        dock._view.discriminator_map.click()
    expected = load(weights).discriminator_map(source.data, made.data)
    np.testing.assert_allclose(viewer.layers[-1].data, expected, atol=1e-5)


def test_unreadable_file_is_said_to_be_so(dock, qtbot, tmp_path):
    path = tmp_path / "bad.pth"
    torch.save(torch.nn.Conv3d(1, 1, 4).state_dict(), path)
    dock.set_model(path)
    qtbot.waitUntil(lambda: bool(dock._view.picker.error.text()))
    assert "3D weights" in dock._view.picker.error.text()
    assert dock._view.picker.description.text() == ""
    assert dock.model is None
    dock.check()
    assert not dock._view.apply.isEnabled()


def test_another_file_chosen_meanwhile_is_read_too(dock, qtbot, weights, tmp_path):
    other = tmp_path / "other_net_G.pth"
    other.write_bytes(weights.read_bytes())
    dock.set_model(weights)
    dock.set_model(other)
    qtbot.waitUntil(lambda: dock.model is not None)
    assert dock.model.path == other


def test_last_file_is_read_by_both_docks_as_one_model(viewer, qtbot, weights):
    translator = load(weights)
    models().remember(translator, "G", path=weights)
    models.cache_clear()  # as when napari is started again
    docks = [ApplyDock(viewer), EvaluateDock(viewer)]
    for dock in docks:
        qtbot.addWidget(dock, before_close_func=type(dock).close_down)
    pickers = [dock._view.picker for dock in docks]
    qtbot.waitUntil(lambda: all(picker.info is not None for picker in pickers))
    qtbot.waitUntil(lambda: not any(one._reader.running for one in pickers))
    assert len(models().known()) == 1
