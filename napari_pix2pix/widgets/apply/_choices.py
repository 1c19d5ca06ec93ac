"""What is chosen in the Apply dock: all that the mouse can choose, as properties."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.options import PredictOptions
from napari_pix2pix.inference.uncertainty import parse_quantiles
from napari_pix2pix.training.model_info import ModelInfo
from napari_pix2pix.widgets.apply._request import FormState, with_preferred_device
from napari_pix2pix.widgets.apply._uncertainty import with_samples
from napari_pix2pix.widgets.apply._view import ApplyView
from napari_pix2pix.widgets.common.known_models import ModelEntry, models
from napari_pix2pix.widgets.common.layer_choice import is_image, unwrapped
from napari_pix2pix.widgets.common.model_dock import ModelDock

_IN_VIEW, _FOLLOWED = 1, 2  # entries of the list of parts


class ApplyChoices(ModelDock):
    """What is chosen in the Apply dock; all that the mouse can choose is a property here."""

    _view: ApplyView

    @property
    def model(self) -> ModelEntry | None:
        """The model; None where there is none or its file can't be read."""
        return self._view.picker.model

    def set_model(self, model: Any) -> None:
        """Choose a `ModelEntry`, the path of a file, or a `Translator`."""
        if hasattr(model, "predict_frame"):
            known = [entry for entry in models().known() if entry.translator is model]
            model = known[0] if known else models().remember(model, "model")
        self._view.picker.choose(model)

    @property
    def card(self) -> ModelInfo | None:
        """What the model is."""
        return self._view.picker.info

    @property
    def layers(self) -> list[list[Any]]:
        """One list a result: a layer, or the layers that are its channels."""
        return self._view.layers.groups

    def set_layers(self, layers: Sequence[Any], *, by_channel: bool = False) -> None:
        """Choose the layers to translate, or with ``by_channel`` the channels of one image."""
        self._view.layers.choose(layers, by_channel=by_channel)

    @property
    def condition(self) -> Hashable:
        """The condition; None for a model without any."""
        return self._view.condition.value

    @condition.setter
    def condition(self, value: Hashable) -> None:
        self._view.condition.choose(value)

    @property
    def current_frame(self) -> bool:
        """Whether only the frames that are shown are translated."""
        return bool(self._view.frames.currentData())

    @current_frame.setter
    def current_frame(self, value: bool) -> None:
        self._view.frames.setCurrentIndex(int(value))

    @property
    def visible_only(self) -> bool:
        """Whether only the part in view is translated."""
        return bool(self._view.part.currentData() == _IN_VIEW)

    @visible_only.setter
    def visible_only(self, value: bool) -> None:
        self._view.part.setCurrentIndex(int(value))

    @property
    def follows_view(self) -> bool:
        """Whether tiles are translated where the user looks from now on, and only there."""
        return bool(self._view.part.currentData() == _FOLLOWED)

    @follows_view.setter
    def follows_view(self, value: bool) -> None:
        self._view.part.setCurrentIndex(_FOLLOWED if value else 0)

    @property
    def replaces(self) -> bool:
        """Whether results take the places of their sources."""
        return self._view.replaces.isChecked()

    @replaces.setter
    def replaces(self, value: bool) -> None:
        self._view.replaces.setChecked(value)

    @property
    def shows_uncertainty(self) -> bool:
        """Whether several samples are drawn, and their deviation is shown over their mean."""
        return self._view.uncertainty.isEnabled() and self._view.uncertainty.isChecked()

    @shows_uncertainty.setter
    def shows_uncertainty(self, value: bool) -> None:
        if value and not self._view.uncertainty.isEnabled():
            raise InputError(self._view.uncertainty.toolTip())
        self._view.uncertainty.setChecked(value)

    @property
    def quantiles(self) -> tuple[float, ...]:
        """The quantiles that are shown of several samples, as levels from 0 to 1."""
        return parse_quantiles(self._view.quantiles.text())

    @quantiles.setter
    def quantiles(self, levels: Sequence[float]) -> None:
        self._view.quantiles.setText(",".join(f"q{100 * level:g}" for level in levels))

    @property
    def options(self) -> PredictOptions:
        """The advanced options."""
        return self._view.options.options()

    @options.setter
    def options(self, value: PredictOptions) -> None:
        self._view.options.set_options(value)

    @property
    def warning(self) -> str:
        """What is unusual about the chosen layers for this model, known soon after `check`."""
        return " ".join(filter(None, (self._view.note.text(), self._view.seen.text())))

    def resample(self) -> None:
        """Let images be computed at the pixel size of the model's training."""
        self.options = self.options.model_copy(update={"resample": True})

    def _choose_selected(self) -> None:
        selected = [unwrapped(layer) for layer in self._viewer.layers.selection]
        chosen = [layer for layer in selected if is_image(layer)]
        if chosen and not self.layers:
            self.set_layers(sorted(chosen, key=self._viewer.layers.index))

    @property
    def _makes_images(self) -> bool:
        """Whether the model takes no source."""
        return self.card is not None and not self.card.channels

    def _choices(self) -> FormState:
        options = self.options.model_copy(update={"condition": self.condition})
        if self.shows_uncertainty and self.card is not None:
            options = with_samples(options, self.card)
        return FormState(
            model=self.model,
            card=self.card,
            groups=self.layers,
            by_channel=self._view.layers.by_channel,
            options=options,
            current_frame=self.current_frame,
            visible_only=self.visible_only,
            follows_view=self.follows_view,
            replaces=self.replaces,
            quantiles=self._view.quantiles.text(),
        )

    def _model_and_options(self) -> tuple[ModelEntry | None, PredictOptions]:
        options = self.options.model_copy(update={"condition": self.condition})
        return self.model, with_preferred_device(options, self.card)
