"""What the user set once for all docks, and where docks keep what they remember."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSettings, QStandardPaths

PLUGIN = "napari-pix2pix"


@dataclass(frozen=True)
class Settings:
    """The plugin's page in napari's preferences.

    Attributes
    ----------
    device, precision : str
        As in `TrainConfig`; ``auto`` finds the best.
    models_folder : Path
        Where models are offered to be saved and opened.
    autosave : bool
        Whether a training writes checkpoints.
    autosave_folder : Path
        Where it writes them.
    """

    device: str
    precision: str
    models_folder: Path
    autosave: bool
    autosave_folder: Path


def read_settings() -> Settings:
    """Read the preferences; the defaults where this napari has no page for plugins."""
    page = _page()
    running, files = getattr(page, "running", None), getattr(page, "files", None)
    autosaves = _data_folder() / "autosave"
    return Settings(
        device=getattr(running, "device", "").strip() or "auto",
        precision=getattr(running, "precision", "auto"),
        models_folder=_folder(getattr(files, "models_folder", ""), Path.home()),
        autosave=getattr(files, "autosave", True),
        autosave_folder=_folder(getattr(files, "autosave_folder", ""), autosaves),
    )


def memory() -> QSettings:
    """Return the file in which docks keep what they remember from one start to the next."""
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, PLUGIN, "remembered")


def _page() -> Any:
    """Return the plugin's page, which napari 0.9 has where npe2 knows of pages; None without."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    return get_plugin_settings().get(PLUGIN)


def _folder(named: str, otherwise: Path) -> Path:
    return Path(named).expanduser() if named.strip() else otherwise


def _data_folder() -> Path:
    place = QStandardPaths.StandardLocation.GenericDataLocation
    return Path(QStandardPaths.writableLocation(place)) / PLUGIN
