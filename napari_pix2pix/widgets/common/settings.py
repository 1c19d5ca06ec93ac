"""The user's preferences, and what docks remember from one start to the next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSettings, QStandardPaths

from napari_pix2pix.errors import Pix2PixError, Remedy
from napari_pix2pix.training.config import TrainConfig

PLUGIN = "napari-pix2pix"
_READ_LIMIT = 268  # MB, the default of the page

# What the duration of a step depends on, besides the pairs.
_PACE_FIELDS = (
    "device",
    "precision",
    "compile",
    "patch",
    "batch",
    "generator",
    "depth",
    "blocks",
    "width",
    "adversarial_weight",
    "discriminator_layers",
    "discriminator_width",
    "discriminator_scales",
    "feature_matching",
)


@dataclass(frozen=True)
class Settings:
    """The plugin's page in napari's preferences."""

    device: str  # as in `TrainConfig`; ``auto`` chooses the best
    precision: str
    models_folder: Path  # where file dialogs for models begin
    autosave: bool  # whether a training writes checkpoints
    autosave_folder: Path  # where it writes them
    read_limit: int | None  # MB of an image read at once; None where it was left as it was


def read_settings() -> Settings:
    """Read the preferences; the defaults where this napari has no page for plugins."""
    page = _page()
    running, files = getattr(page, "running", None), getattr(page, "files", None)
    limit = getattr(files, "read_limit", _READ_LIMIT)
    return Settings(
        device=getattr(running, "device", "").strip() or "auto",
        precision=getattr(running, "precision", "auto"),
        models_folder=_folder(getattr(files, "models_folder", ""), Path.home()),
        autosave=getattr(files, "autosave", True),
        autosave_folder=_folder(getattr(files, "autosave_folder", ""), _data_folder() / "autosave"),
        read_limit=None if limit == _READ_LIMIT else limit,
    )


def follow_preferences(changed: Callable[[Any], None]) -> Callable[[], None]:
    """Call a method with an event, whose ``key`` is such as "files.read_limit", at each change.

    Returns what ends that.
    """
    page = _page()
    if page is None:
        return lambda: None
    page.events.changed.connect(changed)
    return partial(page.events.changed.disconnect, changed)


def shown_error(error: Pix2PixError) -> str:
    """Return the sentence of an error, and where the preferences have its remedy."""
    if Remedy.READ_LIMIT in error.remedies and _page() is not None:
        return f"{error} The limit is in File > Preferences > Pix2Pix."
    return str(error)


def memory() -> QSettings:
    """Return the file in which docks keep what they remember from one start to the next."""
    return QSettings(QSettings.Format.IniFormat, QSettings.Scope.UserScope, PLUGIN, "remembered")


def remember_fields(key: str, fields: Mapping[str, Any]) -> None:
    """Remember the fields of a form until the next start."""
    memory().setValue(key, json.dumps(dict(fields)))


def remembered_fields(key: str) -> dict[str, Any]:
    """Return the fields that a form remembered; empty where none are or they can't be read."""
    try:
        fields = json.loads(str(memory().value(key, "{}")))
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def remember_pace(config: TrainConfig, seconds: float) -> None:
    """Remember the seconds that a step took, including validation."""
    memory().setValue(_pace_key(config), seconds)


def expected_seconds(config: TrainConfig, steps: int) -> float | None:
    """Return the seconds that steps will take; None where no such step was timed before."""
    value = memory().value(_pace_key(config))
    return None if value is None else float(value) * steps


def in_time_units(seconds: float) -> str:
    """Return a duration in words.

    >>> in_time_units(0.42), in_time_units(42.3), in_time_units(400), in_time_units(8000)
    ('0.4 s', '42 s', '7 min', '2 h 13 min')
    """
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def in_bytes(count: float) -> str:
    """Return a size, in memory or on a disk, as text.

    >>> in_bytes(340_000), in_bytes(3_400_000), in_bytes(13_259_968)
    ('0.3 MB', '3.4 MB', '13 MB')
    >>> in_bytes(2.5e9), in_bytes(4_210_000_000)
    ('2.5 GB', '4.2 GB')
    """
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.1f} MB" if count < 1e7 else f"{count / 1e6:.0f} MB"


def _pace_key(config: TrainConfig) -> str:
    values = repr([getattr(config, name) for name in _PACE_FIELDS])
    return f"pace/{hashlib.sha256(values.encode()).hexdigest()[:16]}"


def _page() -> Any:
    """Return the plugin's page, which napari 0.9 has where npe2 supports pages; None without."""
    try:
        from napari.settings import get_plugin_settings
    except ImportError:
        return None
    return get_plugin_settings().get(PLUGIN)


def _folder(name: str, default: Path) -> Path:
    return Path(name).expanduser() if name.strip() else default


def _data_folder() -> Path:
    location = QStandardPaths.StandardLocation.GenericDataLocation
    return Path(QStandardPaths.writableLocation(location)) / PLUGIN
