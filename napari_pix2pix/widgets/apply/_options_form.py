"""The options of applying a model as a form, made from their declaration."""

from __future__ import annotations

from typing import Any

from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.common.forms import Editor, OptionsForm, make_editor

# The condition has a field of its own; compiling would keep a viewer waiting.
_ELSEWHERE = {"condition", "compile"}
# Texts and values to choose from, where any number or text would be too much.
_CHOICES: dict[str, list[tuple[str, Any]]] = {
    "tile": [("whole image", 0), ("256", 256), ("512", 512), ("1024", 1024)],
    "device": [("cpu", "cpu"), ("cuda", "cuda"), ("mps", "mps")],
}
_NONE_TEXTS = {"tile": "automatic", "batch": "automatic", "device": "as in Preferences"}


class PredictOptionsForm(OptionsForm):
    """Editors for the options; those that a model has no use for are disabled."""

    def __init__(self) -> None:
        names = [name for name in PredictOptions.model_fields if name not in _ELSEWHERE]
        super().__init__(map(_make_editor, names))
        self._model_measures = False
        self.set_options(PredictOptions())

    def options(self) -> PredictOptions:
        """Return what is shown; the options that the model has no use for have their defaults."""
        return PredictOptions(**self.values())

    @property
    def whole(self) -> bool:
        """Whether the network takes the whole image at once, as far as memory allows."""
        options = self.options()
        measures = self._model_measures or options.norm_statistics == "per-image"
        return options.tile == 0 or (measures and options.tile is None)

    def set_options(self, options: PredictOptions) -> None:
        """Show other options."""
        self.set_values({name: getattr(options, name) for name in self.editors})

    def fit(self, card: ModelInfo) -> None:
        """Disable the options that a model has no use for."""
        config = card.config
        self._model_measures = config.norm in ("instance", "group")
        is_image = card.target_codec.kind == "image"
        varies = is_image and (config.noise_channels > 0 or config.dropout > 0)
        self._allow("output", is_image, "Labels have no float form.")
        self._allow(
            "samples",
            varies,
            "Samples have a mean where targets are images and the model has noise or dropout.",
        )
        self._allow("dropout", config.dropout > 0, "This model has no dropout layers.")
        self._allow("norm_statistics", config.norm == "batch", "This model has no batch norm.")

    def _allow(self, name: str, allowed: bool, why_not: str) -> None:
        editor = self.editors[name]
        editor.enabled = allowed
        description = PredictOptions.model_fields[name].description or ""
        editor.tooltip = description if allowed else why_not


def _make_editor(name: str) -> Editor:
    return make_editor(
        name,
        PredictOptions.model_fields[name],
        none_text=_NONE_TEXTS.get(name, "not set"),
        choices=_CHOICES.get(name),
    )
