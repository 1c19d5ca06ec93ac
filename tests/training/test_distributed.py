"""Two processes on the CPU train as one, and end together."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
from helpers import run_script

from napari_pix2pix import TrainConfig, load
from napari_pix2pix.errors import ConfigError, DeviceError, InputError
from napari_pix2pix.inference.devices import choose_device
from napari_pix2pix.training.distributed import make_fabric

WORKER = Path(__file__).with_name("two_processes.py")
SHARED = WORKER.parents[1]  # what tests share by name
TRAIN = "train --steps 2 --device cpu --batch 1 --patch 32 --depth 3 --width 4 --devices 2 --json"
LIMIT = 600  # seconds, after which processes that wait for each other are ended


@pytest.fixture(scope="module")
def worker():
    return run_script(WORKER)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("two_processes")


@pytest.fixture(scope="module")
def found(folder):
    """Run the worker, which starts a second one; return what each found, and what was said."""
    if sys.platform == "win32":
        pytest.skip("several processes are not tried on Windows")
    rng = np.random.default_rng(0)
    files = [str(folder / name) for name in ("source.tif", "target.tif", "model.safetensors")]
    for name in files[:2]:
        tifffile.imwrite(name, rng.random((64, 64), np.float32))
    files.insert(2, "--out")
    path = os.pathsep.join(filter(None, [str(SHARED), os.environ.get("PYTHONPATH")]))
    process = subprocess.Popen(
        [sys.executable, str(WORKER), *TRAIN.split(), *files],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "error", "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        said, complaints = process.communicate(timeout=LIMIT)
        assert process.returncode == 0, complaints
    finally:
        with suppress(ProcessLookupError):  # both have ended
            os.killpg(process.pid, signal.SIGKILL)
    first, second = (json.loads((folder / f"{rank}.json").read_text()) for rank in range(2))
    return first | {"said": said}, second


@pytest.mark.parametrize("norm", ["group", "instance", "none"])
def test_two_processes_match_one_with_twice_the_batch(norm, found, folder, worker):
    translator, events = worker.run(batch=4, **worker.ALIKE[norm])
    ours = worker.losses(events)
    for theirs in (process[norm]["losses"] for process in found):
        assert [list(step) for step in theirs] == [list(step) for step in ours]
        assert len(theirs) == 5
        for one, two in zip(ours, theirs, strict=True):
            assert two == pytest.approx(one, rel=1e-4)
    output = translator(worker.make_pair(1).source)
    assert np.abs(np.load(folder / f"{norm}.npy") - output).max() < 1e-4 * np.ptp(output)


@pytest.mark.parametrize(
    "name", ["group", "instance", "none", "batch", "seconds", "stopped", "whole", "not finite"]
)
def test_both_end_with_the_same_model_and_scores(name, found):
    first, second = (process[name] for process in found)
    for known in ("step", "reason", "digest", "losses", "scores", "health"):
        assert first[known] == second[known]


def test_the_first_decides_when_all_end(found):
    for process in found:
        assert (process["stopped"]["step"], process["stopped"]["reason"]) == (3, "stopped")
        assert process["seconds"]["reason"] == "budget"
        assert process["seconds"]["step"] > 0
        assert process["not finite"]["reason"] == "not finite"


def test_the_first_alone_writes_and_a_run_goes_on(found):
    first, second = found
    assert (first["half"]["checkpoints"], second["half"]["checkpoints"]) == (1, 0)
    assert first["half"]["step"] == 3
    assert first["whole"]["losses"] == first["batch"]["losses"][3:]
    assert first["whole"]["weights"] == first["batch"]["weights"]


def test_devices_are_named(found):
    assert found[0]["group"]["device"].startswith("2 × CPU")


def test_other_pairs_and_lost_processes_are_said(found):
    first, second = found
    assert "Process 1 was given other pairs than the first" in second["error"]
    assert "Another process of this training has ended" in first["error"]


def test_another_number_of_processes_does_not_go_on(found, folder, worker):
    with pytest.raises(InputError, match=r"made by 2 processes, got 1"):
        worker.run(batch=2, norm="batch", dropout=0.5, files={"resume": folder / "run.ckpt"})


def test_the_command_starts_its_processes(found, folder):
    model = folder / "model.safetensors"
    assert json.loads(found[0]["said"])["model"] == str(model)  # once
    assert (load(model).info.steps, load(model).config.processes) == (2, 2)


def test_a_program_alone_is_sent_to_the_shell(worker):
    with pytest.raises(ConfigError, match=r"devices=2 .* a single one: train in a shell"):
        worker.run(devices=2, batch=1)


@pytest.mark.parametrize(("devices", "started"), [(1, 2), (2, 3)])
def test_other_processes_than_take_part_are_refused(devices, started, worker, monkeypatch):
    for name in ("RANK", "LOCAL_RANK"):
        monkeypatch.setenv(name, "0")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "here")
    monkeypatch.setenv("WORLD_SIZE", str(started))
    with pytest.raises(ConfigError, match=rf"{started} processes were started, but devices="):
        worker.run(devices=devices, batch=1)


def test_slurm_without_srun_is_refused(worker, monkeypatch):
    variables = {"NTASKS": "2", "NTASKS_PER_NODE": "2"}
    variables |= {"PROCID": "0", "LOCALID": "0", "NODEID": "0"}
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(ConfigError, match="write srun before the command"):
        worker.run(devices=2, batch=1)


def test_more_devices_than_there_are_are_refused(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 1)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: False)
    with pytest.raises(DeviceError, match=r"devices=2, but this process sees 1"):
        make_fabric(TrainConfig(devices=2), choose_device("cuda"))
