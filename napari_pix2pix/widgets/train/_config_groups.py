"""The fields of `TrainConfig` in groups that open and close, with a search box over all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QWidget

from napari_pix2pix.training.config import CARD_FIELDS, TrainConfig
from napari_pix2pix.widgets.common.elements import (
    Section,
    Sentence,
    follow_font,
    lay_out_column,
)
from napari_pix2pix.widgets.common.forms import Editor
from napari_pix2pix.widgets.train._config_form import ConfigForm
from napari_pix2pix.widgets.train._relevance import PairFacts, irrelevant_fields

_DATA = (
    "source_kind",
    "target_kind",
    "classes",
    "smallest",
    "ndim",
    "z_context",
    "plane_levels",
    "validation",
    "hold_out",
    "correct_shift",
    "source_normalisation",
    "target_normalisation",
)
# In parts by their headings: each from one field to another one, in the order of the config.
_LEARNING = (
    ("patch", "source_noise"),
    ("adversarial", "foreground_dice"),
    ("learning_rate", "keep"),
    ("steps", "steps"),
    ("passes", "passes"),
    ("seed", "seed"),
    ("precision", "checkpoint_seconds"),
)
_NETWORKS = ("generator", "spectral_norm")


def _span(first: str, last: str) -> tuple[str, ...]:
    names = list(TrainConfig.model_fields)
    return tuple(names[names.index(first) : names.index(last) + 1])


GROUPS: dict[str, tuple[str, ...]] = {
    "Data": _DATA,
    "Learning": tuple(name for part in _LEARNING for name in _span(*part)),
    "Networks": _span(*_NETWORKS),
    "Model card": CARD_FIELDS,
}
_WITHOUT_HEADINGS = ("Data", "Model card")


class ConfigGroups(QWidget):
    """Sections of fields. What changes nothing is hidden, unless it is set or searched for."""

    changed = Signal()  # another value is shown

    def __init__(self) -> None:
        super().__init__()
        self.names = tuple(name for names in GROUPS.values() for name in names)
        self.forms = {
            title: ConfigForm(names, headings=title not in _WITHOUT_HEADINGS)
            for title, names in GROUPS.items()
        }
        self.sections = {title: Section(title, form) for title, form in self.forms.items()}
        self._facts = PairFacts()
        self._opened: set[str] = set()  # before the search
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search the options")
        self.search.setClearButtonEnabled(True)
        self.search.setToolTip("Show only the options whose name or description has these words.")
        follow_font(next(iter(self.sections.values())).toggleButton(), self.search)
        self.nothing = Sentence()
        lay_out_column(self, self.search, self.nothing, *self.sections.values(), spacing=4)
        self.search.textChanged.connect(self._on_search)
        for form in self.forms.values():
            form.changed.connect(self._on_changed)
        self._show_relevant()

    def values(self) -> dict[str, Any]:
        """Return the fields whose values differ from the defaults; only those count as set."""
        return {name: v for form in self.forms.values() for name, v in form.values().items()}

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Set the fields of the groups; those that are not given take their defaults."""
        for form in self.forms.values():
            form.set_values(values)

    def set_value(self, name: str, value: Any) -> None:
        """Set one field, as the user would."""
        self._form_of(name).set_value(name, value)

    def reset(self, name: str) -> None:
        """Give a field its default again."""
        self._form_of(name).reset(name)

    def set_preset(self, preset: str) -> None:
        """Show a preset's values as the defaults; the fields that the user set stay."""
        for form in self.forms.values():
            form.set_preset(preset)

    def set_inferred(self, values: Mapping[str, Any], texts: Mapping[str, str]) -> None:
        """Show what the pairs decide as defaults, and in words what ``auto`` and None mean."""
        for form in self.forms.values():
            form.set_inferred(values, texts)
        self._show_relevant()

    def set_facts(self, facts: PairFacts) -> None:
        """Hide what does not matter for such pairs."""
        self._facts = facts
        self._show_relevant()

    def editor(self, name: str) -> Editor:
        """Return the editor of a field."""
        return self._form_of(name).editor(name)

    def error(self, name: str) -> str:
        """Return the error that stands below a field; empty without one."""
        return self._form_of(name).error(name)

    def show_error(self, sentence: str) -> bool:
        """Show an error below the field that it is about; return whether there is such a field."""
        for title, form in self.forms.items():
            if form.show_error(sentence):
                self._show_relevant()
                self.sections[title].expand(animate=False)
                return True
        return False

    def clear_error(self) -> None:
        """Hide the error."""
        for form in self.forms.values():
            form.clear_error()

    def _form_of(self, name: str) -> ConfigForm:
        return next(form for form in self.forms.values() if name in form.names)

    def _on_changed(self) -> None:
        self._show_relevant()
        self.changed.emit()

    def _on_search(self, text: str) -> None:
        """Open the groups that have what is searched for; afterwards those that were open."""
        words = text.lower().split()
        if not words:
            for title, section in self.sections.items():
                section.setVisible(True)
                _open(section, title in self._opened)
            self._opened = set()
            self.nothing.set_text("")
            self._show_relevant()
            return
        if not self._opened:
            self._opened = {t for t, section in self.sections.items() if section.isExpanded()}
        found = 0
        for title, form in self.forms.items():
            matching = [name for name in form.names if _matches(name, words)]
            found += len(matching)
            form.show_only(matching)
            self.sections[title].setVisible(bool(matching))
            _open(self.sections[title], bool(matching))
        self.nothing.set_text(
            "" if found else f"No option has {text.strip()!r} in its name or tip."
        )

    def _show_relevant(self) -> None:
        if self.search.text().strip():
            return
        shown: dict[str, Any] = {}
        for form in self.forms.values():
            shown |= form.shown_values()
        hidden = irrelevant_fields(shown, self._facts)
        for form in self.forms.values():
            kept = {*form.values(), *form.faulty()}
            form.show_only([name for name in form.names if name not in hidden or name in kept])


def _open(section: Section, is_open: bool) -> None:
    if is_open != section.isExpanded():
        (section.expand if is_open else section.collapse)(animate=False)


def _matches(name: str, words: Iterable[str]) -> bool:
    field = TrainConfig.model_fields[name]
    text = f"{name} {name.replace('_', ' ')} {field.title or ''} {field.description or ''}".lower()
    return all(word in text for word in words)
