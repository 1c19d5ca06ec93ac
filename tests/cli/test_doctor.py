import os
import subprocess

import pytest
from helpers import strict_json

import napari_pix2pix
from napari_pix2pix.cli import _doctor
from napari_pix2pix.cli._doctor import Finding, examine


def subjects(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.subject: finding for finding in findings}


def test_doctor_trains_and_says_what_is_installed(invoke, monkeypatch):
    monkeypatch.setattr(_doctor, "_look_at_qt", lambda: [Finding("Qt", "was not asked")])
    said = invoke("doctor", "--max-seconds 1")
    assert said.exit_code == 0
    lines = said.stdout.splitlines()
    assert lines[-1] == "All is well."
    assert any(f"napari-pix2pix {napari_pix2pix.__version__}" in line for line in lines)
    (training,) = (line for line in lines if "training:" in line)
    assert training.startswith("ok")
    assert "the model translates an image" in training


def test_json_holds_the_same(invoke, monkeypatch):
    broken = Finding("Qt", "can't open a window.", "Install its libraries.", is_bad=True)
    monkeypatch.setattr(_doctor, "_look_at_qt", lambda: [broken])
    said = invoke("doctor", "--json", "--max-seconds 0")
    answer = strict_json(said.stdout)
    assert said.exit_code == 1
    assert answer["well"] is False
    assert answer["versions"]["napari-pix2pix"] == napari_pix2pix.__version__
    (found,) = (one for one in answer["findings"] if one["subject"] == "Qt")
    assert (found["is_bad"], found["advice"]) == (True, "Install its libraries.")


def test_what_fails_is_found_and_the_rest_is_looked_at(monkeypatch):
    def fail():
        raise OSError("libcuda.so: cannot open shared object file")

    monkeypatch.setattr(_doctor, "_look_at_devices", fail)
    monkeypatch.setattr(_doctor, "_look_at_qt", list)
    found = subjects(examine(max_seconds=0))
    assert found["devices"].is_bad
    assert "libcuda.so" in found["devices"].found
    assert "memory" in found


@pytest.mark.parametrize(
    ("said", "screen", "is_bad", "words"),
    [
        ("qt.qpa.xcb: could not connect to display", "", False, "there is no screen"),
        ("qt.qpa.plugin: Could not load xcb", ":0", True, "Could not load xcb"),
        ("qtpy.QtBindingsNotFoundError: No Qt bindings", "", False, "no binding"),
    ],
)
def test_a_machine_without_a_screen_is_no_fault(monkeypatch, said, screen, is_bad, words):
    failed = subprocess.CompletedProcess([], 134, "", said)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    monkeypatch.setattr(_doctor.sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", screen)
    if not screen:
        monkeypatch.delenv("DISPLAY")
    (finding,) = _doctor._look_at_qt()
    assert (finding.is_bad, words in finding.found) == (is_bad, True)
    assert finding.advice


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="needs a user who is refused")
def test_a_folder_that_cannot_be_written_to_is_bad(tmp_path):
    tmp_path.chmod(0o500)
    finding = _doctor._look_at_folder("autosaves", tmp_path / "autosave")
    assert finding.is_bad
    assert "Permission denied" in finding.found


def test_a_full_disk_is_bad(tmp_path, monkeypatch):
    usage = _doctor.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(_doctor.shutil, "disk_usage", lambda _: usage)
    finding = _doctor._look_at_folder("models", tmp_path)
    assert finding.line().startswith("BAD ")
    assert "Free at least 1 GB" in finding.advice
