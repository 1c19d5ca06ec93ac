"""Checkpoints that docks write by themselves, and what is needed to go on from them.

Offers to go on with a run that died.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFrame, QHBoxLayout, QPushButton, QVBoxLayout

from napari_pix2pix.errors import FileError
from napari_pix2pix.widgets.common.elements import Sentence

_KEPT = 3  # checkpoints of runs that came to their end


@dataclass(frozen=True)
class Autosave:
    """The checkpoint of one run.

    Attributes
    ----------
    path : Path
        The checkpoint; beside it lies a JSON file of the same name.
    record : dict
        ``rows`` (names of the layers of each pair), ``fields`` (of `TrainConfig`), ``began``,
        ``state`` (running, closed or ended) and the process.
    """

    path: Path
    record: dict[str, Any]

    @classmethod
    def begin(
        cls, folder: Path, *, rows: list[dict[str, Any]], fields: Mapping[str, Any]
    ) -> Autosave:
        """Write down that a run begins.

        Raises
        ------
        FileError
            When the folder can't be written.
        """
        now = datetime.now()
        process = psutil.Process()
        record = {
            "rows": rows,
            "fields": dict(fields),
            "began": now.isoformat(timespec="minutes", sep=" "),
            "state": "running",
            "pid": process.pid,
            "process_began": process.create_time(),
        }
        made = cls(folder / f"{now:%Y-%m-%d_%H%M%S_%f}.safetensors", record)
        made._write("running")
        return made

    def mark(self, state: str) -> None:
        """Write down that the run was ``closed`` on the way, or has ``ended``."""
        if self.path.exists():
            self._write(state)
        else:
            self.discard()
        if state == "ended":
            ended = [one for one in _read_all(self.path.parent) if one.record["state"] == "ended"]
            for old in ended[:-_KEPT]:
                old.discard()

    def discard(self) -> None:
        """Remove checkpoint and record."""
        self.path.unlink(missing_ok=True)
        self._beside.unlink(missing_ok=True)

    @property
    def title(self) -> str:
        """Which layers it learns from, for people."""
        return "; ".join(
            f"{' + '.join(row['sources'])} → {' + '.join(row['targets'])}"
            for row in self.record["rows"]
        )

    @property
    def is_dead(self) -> bool:
        """Whether nothing works on the run any more and it did not come to its end."""
        if self.record["state"] != "running":
            return bool(self.record["state"] == "closed")
        try:
            process = psutil.Process(self.record["pid"])
            return abs(process.create_time() - self.record["process_began"]) > 1
        except psutil.Error:
            return True

    @property
    def _beside(self) -> Path:
        return self.path.with_suffix(".json")

    def _write(self, state: str) -> None:
        self.record["state"] = state
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            new = self._beside.with_suffix(".new")
            new.write_text(json.dumps(self.record, indent=2), encoding="utf-8")
            os.replace(new, self._beside)
        except OSError as error:
            raise FileError(
                f"Can't write the autosave to {self.path.parent} ({error.strerror}): choose "
                "another folder in the preferences, or turn autosave off."
            ) from error


def dead_runs(folder: Path) -> list[Autosave]:
    """Return the runs that died and can go on, the latest first."""
    return [one for one in reversed(_read_all(folder)) if one.is_dead and one.path.exists()]


def _read_all(folder: Path) -> list[Autosave]:
    found = []
    for path in sorted(folder.glob("*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if {"rows", "fields", "began", "state", "pid", "process_began"} <= set(record):
                found.append(Autosave(path.with_suffix(".safetensors"), record))
        except (OSError, ValueError):
            continue  # what can't be read can't be offered
    return found


class ResumeOffer(QFrame):
    """Shown while there is such a run.

    Attributes
    ----------
    wanted : Signal(object)
        The `Autosave` to go on with.
    """

    wanted = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.run: Autosave | None = None
        self.said = Sentence()
        self.resume = QPushButton("Resume")
        self.resume.setToolTip("Go on where the run ended; the same layers have to be open.")
        self.discard = QPushButton("Discard")
        self.discard.setToolTip("Delete what the run had learnt.")
        buttons = QHBoxLayout()
        buttons.addWidget(self.resume)
        buttons.addWidget(self.discard)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.said)
        layout.addLayout(buttons)
        self.resume.clicked.connect(self._on_resume)
        self.discard.clicked.connect(self._on_discard)
        self.hide()

    def look(self, folder: Path) -> None:
        """Look whether a run died."""
        runs = dead_runs(folder)
        self.run = runs[0] if runs else None
        self.setVisible(self.run is not None)
        if self.run is not None:
            self.said.say(
                f"A training of {self.run.record['began']} ({self.run.title}) did not come to its "
                "end. With the same layers open it can go on."
            )

    def refuse(self, sentence: str) -> None:
        """Say why it can't go on now."""
        self.said.say(sentence)

    def _on_resume(self) -> None:
        if self.run is not None:
            self.wanted.emit(self.run)

    def _on_discard(self) -> None:
        if self.run is not None:
            folder = self.run.path.parent
            self.run.discard()
            self.look(folder)
