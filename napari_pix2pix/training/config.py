"""One declaration of everything that can be chosen about a training run.

The Python call, the command line and the dock are all made from :class:`TrainConfig`: the same
names, defaults, checks and help texts. A preset is a set of defaults; a field that is given wins.
"""

from __future__ import annotations

from typing import Any, Self

from pydantic import ValidationError, model_validator

from napari_pix2pix.errors import ConfigError
from napari_pix2pix.training._config_errors import find_conflict, in_words
from napari_pix2pix.training._config_fields import ConfigFields, Kind, Normalisation, Preset
from napari_pix2pix.training.presets import PRESETS

__all__ = ["Kind", "Normalisation", "Preset", "TrainConfig"]


class TrainConfig(ConfigFields):
    """Everything that can be chosen about a training run; frozen, keyword-only.

    Parameters
    ----------
    **fields
        Any of the fields below. Those left out take the preset's values.

    Raises
    ------
    ConfigError
        When a field does not exist or its value is out of range; the sentence names the field, what
        was got and what would do.

    Notes
    -----
    ``light`` is made for minutes on a laptop: a U-Net of 4 million parameters, batches of patches,
    running statistics, an averaged generator and an adversarial term that eases in. ``reference``
    is the PyTorch implementation's recipe and ``paper`` the Torch original's [1]_.

    References
    ----------
    .. [1] Isola, Zhu, Zhou, Efros, "Image-to-image translation with conditional adversarial
       networks", CVPR 2017.

    Examples
    --------
    >>> TrainConfig(preset="reference", width=8).depth
    8
    >>> TrainConfig(epochs=-1)
    Traceback (most recent call last):
    ...
    napari_pix2pix.errors.ConfigError: epochs should be greater than or equal to 1, got -1.
    """

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise ConfigError(in_words(error, fields, TrainConfig.model_fields)) from None
        # Those that the user gave, without those that the preset filled in.
        object.__setattr__(self, "__pydantic_fields_set__", set(fields))

    @model_validator(mode="before")
    @classmethod
    def _fill_from_preset(cls, fields: Any) -> Any:
        return {**PRESETS.get(str(fields.get("preset", "light")), {}), **fields}

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if conflict := find_conflict(self):
            raise ValueError(conflict)
        return self

    @property
    def processes(self) -> int:
        """Processes that train together, one for each device."""
        return self.devices * self.num_nodes

    def with_default_budget(self, before: TrainConfig | None = None) -> TrainConfig:
        """Return a config that has a budget.

        Its own, or without any that of the run which is resumed, or else the preset's epochs.
        """
        if self.epochs or self.steps or self.max_seconds:
            return self
        if before is not None:
            budget = ("epochs", "steps", "max_seconds")
            return self.model_copy(update={name: getattr(before, name) for name in budget})
        return self.model_copy(update={"epochs": self.default_epochs})
