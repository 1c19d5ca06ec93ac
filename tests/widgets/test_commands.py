from pathlib import Path

import numpy as np
import pytest
from helpers import make_model
from npe2 import PluginManifest

import napari_pix2pix
from napari_pix2pix.widgets.commands import apply_last_model, open_dock
from napari_pix2pix.widgets.common.known_models import models

MANIFEST = PluginManifest.from_file(Path(napari_pix2pix.__file__).parent / "napari.yaml")


@pytest.fixture
def plugin(npe2pm):
    """The plugin manager of this test, which knows this plugin alone."""
    npe2pm.register(MANIFEST)
    return npe2pm


@pytest.mark.parametrize("command", MANIFEST.contributions.commands, ids=lambda one: one.id)
def test_command_is_there(plugin, command):
    assert callable(plugin.commands.get(command.id))


def test_menus_name_commands_where_plugins_may_contribute():
    known = {command.id for command in MANIFEST.contributions.commands}
    for menu, items in MANIFEST.contributions.menus.items():
        assert menu.startswith("napari/layers/")
        assert {item.command for item in items} <= known
    assert MANIFEST.contributions.keybindings is None  # napari reads none


@pytest.mark.parametrize("name", ["Train", "Apply", "Evaluate", "Compare"])
def test_dock_opens_once(plugin, viewer, name):
    widget = open_dock(viewer, name)
    assert open_dock(viewer, name) is widget


def test_menu_and_commands_open_one_dock(plugin, viewer, qtbot):
    from napari._app_model import get_app_model

    widget = open_dock(viewer, "Apply")
    docks = viewer.window.dock_widgets
    assert list(docks) == ["Apply (Pix2Pix)"]
    get_app_model().commands.execute_command("napari-pix2pix.apply")  # as the menu does
    assert list(docks) == ["Apply (Pix2Pix)"]
    assert open_dock(viewer, "Apply") is widget


def test_last_model_is_applied_to_the_active_layer(plugin, viewer, qtbot):
    image = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    models().remember(make_model(image, 1 - image), "m")
    viewer.add_image(image, name="s")
    plugin.commands.execute("napari-pix2pix.apply_last")
    dock = open_dock(viewer, "Apply")
    qtbot.waitUntil(lambda: not dock.running)
    assert [layer.name for layer in viewer.layers] == ["s", "s [m]"]
    viewer.layers.selection.clear()
    apply_last_model()
    assert "Select an Image or Labels layer" in dock._view.error.text()
