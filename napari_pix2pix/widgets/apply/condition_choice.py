"""Choice of one of a model's conditions."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

from napari_pix2pix.errors import InputError
from napari_pix2pix.widgets.common.elements import Choice


class ConditionChoice(Choice):
    """Combo box of conditions, by whatever names they have."""

    def __init__(self) -> None:
        super().__init__()
        self._conditions: tuple[Hashable, ...] = ()
        self.setToolTip("One of the conditions that the model was trained with")

    @property
    def value(self) -> Hashable:
        """The condition; None for a model without any."""
        return self._conditions[self.currentIndex()] if self._conditions else None

    def offer(self, conditions: Sequence[Hashable]) -> None:
        """Offer other conditions; the choice stays if it is one of them."""
        before, self._conditions = self.value, tuple(conditions)
        self.blockSignals(True)
        self.clear()
        self.addItems([str(condition) for condition in self._conditions])
        if before in self._conditions:
            self.setCurrentIndex(self._conditions.index(before))
        self.blockSignals(False)

    def choose(self, value: Hashable) -> None:
        """Choose a condition; raises `InputError` where there is no such."""
        if value not in self._conditions:
            known = ", ".join(map(repr, self._conditions)) or "none"
            raise InputError(f"The model's conditions are {known}; got {value!r}.")
        self.setCurrentIndex(self._conditions.index(value))
