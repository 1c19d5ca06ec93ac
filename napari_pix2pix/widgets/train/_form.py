"""The form of the Train dock: pairs, options and fields of the config, checked as they change."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QWidget

from napari_pix2pix.data.pair import Pair
from napari_pix2pix.errors import ConfigError, Pix2PixError
from napari_pix2pix.napari_layers import transforms_differ
from napari_pix2pix.training.config import DERIVE_FIELDS, TrainConfig
from napari_pix2pix.widgets.common.elements import (
    Section,
    Sentence,
    lay_out_column,
    push_button,
    row_of,
)
from napari_pix2pix.widgets.common.runner import LatestOnly, errors_in_words
from napari_pix2pix.widgets.common.settings import (
    expected_seconds,
    follow_preferences,
    in_time_units,
    read_settings,
    remember_fields,
    remembered_fields,
)
from napari_pix2pix.widgets.train._advice import Advice, AdvicePanel, Mend
from napari_pix2pix.widgets.train._compare import CompareDialog
from napari_pix2pix.widgets.train._config_groups import ConfigGroups
from napari_pix2pix.widgets.train._data_source import DataSource
from napari_pix2pix.widgets.train._pair_rows import PairRows
from napari_pix2pix.widgets.train._pair_summary import PairSummary, PatchPreview, summarise_chosen
from napari_pix2pix.widgets.train._relevance import PairFacts
from napari_pix2pix.widgets.train._resampling import TargetResampler, can_resample
from napari_pix2pix.widgets.train._run_options import RunOptions
from napari_pix2pix.widgets.train._shown_frame import with_shown_frame

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import napari.viewer

    from napari_pix2pix.training.hardware import Device

# Fields of several processes; a viewer is one process.
_SHELL = ("devices", "num_nodes", "strategy")
_REMEMBERED = "train/fields"
_OF_A_MODEL = {"intended_use", "pixel_size", "plane_distance", "hold_out", "derive", *DERIVE_FIELDS}
_CHECK_DELAY = 300  # milliseconds without a change
_DEVICES_DELAY = 100  # milliseconds, for the dock to open: finding devices imports torch
_CHOOSE_TWO = "Choose two layers that show the same field: a source and a target."
_CHOOSE_ONE = "Choose a layer as target: the network learns to make such images."


class TrainForm(QWidget):
    """All that is chosen before a run."""

    ready_changed = Signal(bool, str)  # whether the choices can be trained on, and if not, why

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self._remembers = False
        self._is_held = False
        self._is_touched = False  # since the last check
        self._build(viewer)
        self._lay_out()
        self._connect()
        self._recall()
        self._finder.touch()
        self.touch()

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of `TrainConfig` that are set; all others have the preset's values."""
        return self.options.values() | self.groups.values() | self.data.values()

    def set_fields(self, fields: Mapping[str, Any]) -> None:
        """Set some fields; raise `ConfigError`, and change nothing, if one of them is wrong."""
        _check_shown(TrainConfig(**fields))
        self.options.set_values(dict(fields))
        if "derive" in fields and (fields["derive"] or self.data.values()):
            self.data.set_source(fields["derive"] or "")
        self.data.set_values({**self.data.derive.values(), **fields})
        self.groups.set_values({**self.groups.values(), **fields})

    def reset_fields(self) -> None:
        """Give all fields of the forms the preset's values."""
        self.groups.set_values({})
        self.data.set_values({})

    def touch(self) -> None:
        """Something has changed: check it soon, and don't train until then."""
        self.ready_changed.emit(False, "The layers are being checked.")
        self._is_touched = True
        if not self._is_held:
            self._check.touch()

    def hold(self, is_held: bool) -> None:
        """Check nothing while a run needs the processor."""
        released = self._is_held and not is_held
        self._is_held = is_held
        self.compare.setEnabled(self.patches.isEnabled() and not is_held)
        if is_held and self._is_touched:
            self.estimate.set_text("")  # of other choices
        if released and self._is_touched:
            self._check.touch()

    def remember(self) -> None:
        """Remember the fields for the next start, but not those that belong to one model."""
        kept = {name: value for name, value in self.fields.items() if name not in _OF_A_MODEL}
        remember_fields(_REMEMBERED, kept)

    def close_work(self) -> None:
        """Wait for the threads; no signal comes afterwards."""
        self._unfollow()
        self._check.close()
        self._finder.close()
        self._resampler.close()
        self.data.close_work()
        if self.comparison is not None:
            self.comparison.close()

    def _build(self, viewer: napari.viewer.Viewer) -> None:
        self._viewer = viewer
        self._check = LatestOnly(self, delay=_CHECK_DELAY)
        self._finder = LatestOnly(self, delay=_DEVICES_DELAY)
        self._checked_pairs: Sequence[Pair] = ()
        self._summary: PairSummary | None = None  # of the last check that found nothing wrong
        self._resampler = TargetResampler(self, viewer)
        self.pairs = PairRows(viewer)
        self.data = DataSource(self.pairs)
        self.wrong = Sentence(is_error=True)
        self.summary = Sentence()
        self.advice = AdvicePanel()
        self.notes = Sentence()
        self.notes_section = Section("Notes", self.notes)
        self.options = RunOptions()
        self.groups = ConfigGroups()
        self.patches = push_button("Preview patches", "Show patches as the network will see them.")
        self.compare = push_button(
            "Compare recipes", "Train L1, cGAN, both and others with this budget, and compare them."
        )
        self.comparison: CompareDialog | None = None
        self.estimate = Sentence()

    def _lay_out(self) -> None:
        lay_out_column(
            self,
            *(self.data, self.wrong, self.summary, self.advice, self.notes_section),
            *(self.options, self.groups, self.estimate, row_of(self.patches, self.compare)),
            spacing=6,
        )
        self.notes_section.hide()

    def _connect(self) -> None:
        for part in (self.data, self.options, self.groups):
            part.changed.connect(self.touch)
        self.options.preset_changed.connect(self.groups.set_preset)
        self.pairs.hold_out_clicked.connect(self._on_hold_out)
        self.advice.mend_wanted.connect(self._on_mend)
        self._resampler.resampled.connect(self.pairs.set_targets)
        self._resampler.failed.connect(self.wrong.set_text)
        self.patches.clicked.connect(self._on_patches)
        self.compare.clicked.connect(self._on_compare)
        self._unfollow = follow_preferences(self._on_preferences)
        self._check.due.connect(self._on_due)
        self._check.finished.connect(self._on_summary)
        self._check.failed.connect(self._on_error)
        self._finder.due.connect(self._find_devices)
        self._finder.finished.connect(self._on_devices)
        self._finder.failed.connect(self.wrong.set_text)

    def _on_preferences(self, event: Any) -> None:
        """Check again what may have been refused for the limit of reading."""
        if event.key == "files.read_limit":
            self.touch()

    def _on_due(self) -> None:
        if self._is_held:
            return
        self._is_touched = False
        self.wrong.set_text("")
        self.options.show_start_error("")
        self.groups.clear_error()
        self.data.derive.clear_error()
        try:
            with errors_in_words():
                chosen = self.data.open(copy=False)
                config = TrainConfig(**self.fields)
        except Pix2PixError as error:
            self._on_error(str(error))
            return
        self._checked_pairs = chosen.pairs
        start = self.options.start_from
        work = partial(summarise_chosen, open_sets=chosen.open, config=config, start=start)
        self._check.start(work)

    def _on_error(self, sentence: str) -> None:
        self.summary.set_text("")
        self.advice.show_advice(self._resampling())
        self.notes_section.hide()
        self.estimate.set_text("")
        self.patches.setEnabled(False)
        self.compare.setEnabled(False)
        self._show_error(sentence)
        self.ready_changed.emit(False, sentence)

    def _show_error(self, sentence: str) -> None:
        """Show an error beside the pair, field or model that it is about."""
        rows = self.data.choices()
        if len(rows) == 1 and not rows[0].layers:
            self.groups.set_inferred({}, {})
            self.groups.set_facts(PairFacts())
            self.summary.set_text(_CHOOSE_TWO if self.data.has_source else _CHOOSE_ONE)
            return
        if self.groups.show_error(sentence) or self.data.derive.show_error(sentence):
            return
        if self.options.start_from is not None and _is_of_start(sentence):
            self.options.show_start_error(sentence)
            return
        if self.data.is_files:
            self.data.show_error(sentence)
            return
        if not self.pairs.has_error():
            named = [pair.name in sentence for pair in self._checked_pairs]
            if sum(named) == 1 and len(named) == len(rows):
                self.pairs.show_error(named.index(True), sentence)
            else:
                self.wrong.set_text(sentence)

    def _on_summary(self, summary: PairSummary) -> None:
        self._summary = summary
        places = [transforms_differ((*c.sources, *c.targets)) for c in self.data.choices()]
        self.summary.set_text(summary.text)
        advice = [*map(Advice, filter(None, places)), *summary.advice]
        self.advice.show_advice(
            [
                replace(one, mend=None) if one.mend is Mend.SWAP and not self.data.can_swap else one
                for one in advice
            ]
        )
        self.notes.set_text("\n".join(summary.notes))
        self.notes_section.setText(f"Notes ({len(summary.notes)})")
        self.notes_section.setVisible(bool(summary.notes))
        self.notes.setVisible(self.notes_section.isExpanded())
        self.groups.set_inferred(summary.inferred, summary.texts)
        self.groups.set_facts(summary.facts)
        self.estimate.set_text(_estimate(summary))
        self.patches.setEnabled(True)
        self.compare.setEnabled(not self._is_held)
        self.ready_changed.emit(True, "")

    def _resampling(self) -> list[Advice]:
        """Offer to resample targets that show the field of their source in other pixels."""
        return [
            Advice(
                f"{choice.targets[0].name!r} shows the field of {choice.sources[0].name!r} in "
                "another number of pixels.",
                Mend.RESAMPLE,
                pair,
            )
            for pair, choice in enumerate(self.data.choices())
            if choice.sources and choice.targets and can_resample(choice)
        ]

    def _on_hold_out(self, index: int) -> None:
        before = self.groups.values().get("hold_out", "")
        try:
            with errors_in_words():
                wanted = with_shown_frame(before, self._viewer, self.data.choices(), index)
        except Pix2PixError as error:
            self.pairs.show_error(index, str(error))
        else:
            self.groups.set_value("hold_out", wanted)

    def _on_mend(self, advice: Advice) -> None:
        """Do what a button beside a warning says."""
        match advice.mend:
            case Mend.CORRECT_SHIFT:
                self.groups.set_value("correct_shift", True)
            case Mend.SWAP:
                self.data.swap_sides()
            case Mend.USE_AS_LABELS if self._summary is not None:
                self.groups.set_value("target_kind", self._summary.target_looks_like)
            case Mend.RESAMPLE:
                self._resampler.resample(self.pairs.choices()[advice.pair], advice.pair)

    def _on_patches(self) -> None:
        try:
            with errors_in_words():
                chosen, config = self.data.open(copy=False), TrainConfig(**self.fields)
        except Pix2PixError as error:
            self._show_error(str(error))
            return
        PatchPreview(chosen.open, config, self.options.start_from, self).show()

    def _on_compare(self) -> None:
        try:
            with errors_in_words():
                chosen = self.data.open(copy="small")
                TrainConfig(**self.fields)
        except Pix2PixError as error:
            self._show_error(str(error))
            return
        if self.comparison is not None:
            self.comparison.close()
        self.comparison = CompareDialog(chosen.open, self.fields, chosen.name, self)
        self.comparison.finished.connect(self._forget_comparison)
        self.comparison.show()

    def _forget_comparison(self) -> None:
        self.comparison = None  # Qt deletes its window

    def _find_devices(self) -> None:
        self._finder.start(lambda control: _find_devices())

    def _on_devices(self, devices: Sequence[Device]) -> None:
        from napari_pix2pix.training.hardware import suggest_fields

        self.options.show_devices(devices)
        if not self._remembers:
            suggested = suggest_fields(devices[0], self.options.preset.value)
            self.groups.set_values({**suggested, **self.groups.values()})

    def _recall(self) -> None:
        """Show the fields of the last training, as far as this version knows them."""
        fields = remembered_fields(_REMEMBERED)
        try:
            with errors_in_words():
                self.set_fields(fields)
        except Pix2PixError:
            fields = {}
        self._remembers = bool(fields)
        precision = read_settings().precision
        if not fields and precision != "auto":
            self.groups.set_value("precision", precision)


def _check_shown(config: TrainConfig) -> None:
    """Refuse values that no field of the form can show."""
    if config.epochs and config.max_seconds:
        raise ConfigError(
            f"The dock has one field for epochs and max_seconds, got {config.epochs} and "
            f"{config.max_seconds:g}: give one of the two."
        )
    plain = TrainConfig(preset=config.preset)
    for name in ("default_epochs", *_SHELL):
        if getattr(config, name) != getattr(plain, name):
            raise ConfigError(
                f"The dock has no field {name}, got {getattr(config, name)!r}: leave it out, or "
                "train in a shell."
            )


def _find_devices() -> list[Device]:
    from napari_pix2pix.training.hardware import find_devices

    return find_devices()


def _is_of_start(sentence: str) -> bool:
    """Whether the error is about the model to start from, or its file."""
    return any(words in sentence for words in ("start from", "starts from", ".safetensors", ".pth"))


def _estimate(summary: PairSummary) -> str:
    """Describe what a run will take, as far as that is known."""
    config = summary.config
    gigabytes = summary.memory / 2**30
    amount = f"{gigabytes:.1f} GB" if gigabytes > 0.1 else f"{1024 * gigabytes:.0f} MB"
    memory = f"about {amount} of the device's memory"
    limits = config.steps, summary.most_steps, (config.epochs or 0) * summary.steps_per_epoch
    steps = min(filter(None, limits), default=0)
    seconds = expected_seconds(config, steps) if steps else None
    if config.max_seconds and (seconds is None or seconds > config.max_seconds):
        most = "at most " if steps else ""
        return f"Takes {most}{in_time_units(config.max_seconds)} and {memory}."
    count = f"{steps} steps"
    if steps == summary.most_steps:
        count += " (the most for so few images, see passes)"
    if seconds is None:
        return f"{count}, {memory}; the time is known after the first steps."
    return f"{count} in about {in_time_units(seconds)}, {memory}."
