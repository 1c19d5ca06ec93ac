import sys
from pathlib import Path

import PIL.Image
import pytest
from npe2 import PluginManifest

import napari_pix2pix
from napari_pix2pix.io.read_limits import READ_LIMIT, read_limit
from napari_pix2pix.io.reading import read_image
from napari_pix2pix.training.config import TrainConfig
from napari_pix2pix.widgets.common.runner import Runner
from napari_pix2pix.widgets.common.settings import PLUGIN, read_settings

MANIFEST = Path(napari_pix2pix.__file__).parent / "napari.yaml"


@pytest.fixture
def page(plugin_settings, npe2pm):
    """The plugin's page of the preferences."""
    npe2pm.register(PluginManifest.from_file(MANIFEST))
    from napari.settings import get_plugin_settings

    return get_plugin_settings(PLUGIN)


def test_defaults_are_those_without_a_page(page, monkeypatch):
    with_page = read_settings()
    monkeypatch.setitem(sys.modules, "napari.settings", None)  # as if this napari had none
    assert read_settings() == with_page
    assert with_page.device == TrainConfig().device
    assert with_page.precision == TrainConfig().precision
    assert with_page.autosave


def test_what_the_user_set_is_read(page, tmp_path):
    page.running.device = "cpu"
    page.running.precision = "bf16-mixed"
    page.files.models_folder = str(tmp_path)
    page.files.autosave = False
    page.files.autosave_folder = str(tmp_path / "saves")
    read = read_settings()
    assert (read.device, read.precision, read.autosave) == ("cpu", "bf16-mixed", False)
    assert (read.models_folder, read.autosave_folder) == (tmp_path, tmp_path / "saves")


def test_devices_are_a_list(page):
    manifest = PluginManifest.from_file(MANIFEST)
    offered = manifest.contributions.configurations["running"].properties["device"].enum
    for device in offered:
        page.running.device = device
        assert read_settings().device == device
    with pytest.raises(ValueError, match="device"):
        page.running.device = "a fast one"


def test_precisions_are_those_of_the_config(page):
    manifest = PluginManifest.from_file(MANIFEST)
    offered = manifest.contributions.configurations["running"].properties["precision"].enum
    for precision in offered:
        assert TrainConfig(precision=precision).precision == precision


def test_limit_of_reading_is_said_to_be_in_the_preferences_and_holds_there(page, qtbot, tmp_path):
    picture = tmp_path / "a.png"
    PIL.Image.new("L", (1000, 1000), 100).save(picture)
    runner, shapes, sentences = Runner(), [], []
    runner.finished.connect(shapes.append)
    runner.failed.connect(sentences.append)

    def read():
        with qtbot.waitSignal(runner.ended):
            runner.start(lambda control: read_image(picture).shape)

    page.files.read_limit = 1
    read()
    assert sentences[0].endswith("The limit is in File > Preferences > Pix2Pix.")
    page.files.read_limit = 3
    read()
    assert shapes == [(1000, 1000)]
    page.files.reset()
    read()
    assert read_limit() == READ_LIMIT
    with pytest.raises(ValueError, match="read_limit"):
        page.files.read_limit = 0
