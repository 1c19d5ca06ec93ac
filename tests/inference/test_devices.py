"""Which device is taken, what it is called, and its errors in words."""

from __future__ import annotations

import pytest
import torch

import napari_pix2pix.inference.devices as devices
from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference.devices import (
    available_devices,
    choose_device,
    name_device,
    out_of_memory_in_words,
)

CPU, MPS = torch.device("cpu"), torch.device("mps")
CUDA = [torch.device("cuda", index) for index in range(2)]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """Stand in for the devices of a machine; the list may be changed."""
    machine = [CPU]
    monkeypatch.setattr(devices, "available_devices", lambda: machine)
    return machine


@pytest.mark.parametrize(
    ("machine", "wanted", "expected"),
    [
        ([CPU], "auto", CPU),
        ([CPU], "cpu", CPU),
        ([MPS, CPU], "auto", MPS),
        ([MPS, CPU], "mps", MPS),
        ([MPS, CPU], "cpu", CPU),
        ([*CUDA, CPU], "auto", CUDA[0]),
        ([*CUDA, CPU], "cuda", CUDA[0]),
        ([*CUDA, CPU], "cuda:1", CUDA[1]),
        ([*CUDA, CPU], "cpu", CPU),
    ],
)
def test_choice(
    machine: list[torch.device], wanted: str, expected: torch.device, found: list[torch.device]
) -> None:
    found[:] = machine
    assert choose_device(wanted) == expected


@pytest.mark.parametrize("wanted", ["cuda", "cuda:2", "mps", "tpu", "", "gpu", "meta"])
def test_what_is_not_there_is_refused_with_what_is(wanted: str, found: list[torch.device]) -> None:
    found[:] = [CPU]
    with pytest.raises(DeviceError, match=f"There is no device '{wanted}' here: .* one of cpu"):
        choose_device(wanted)


def test_every_machine_has_a_cpu_last() -> None:
    found = available_devices()
    assert found[-1] == CPU
    assert found.count(CPU) == 1
    assert sum(device.type == "cuda" for device in found) == torch.cuda.device_count()


def test_the_fastest_kind_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert available_devices() == [*CUDA, MPS, CPU]


def test_names(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    assert name_device(CUDA[1]) == "NVIDIA H100 (cuda:1)"
    assert name_device(MPS) == "Apple GPU (mps)"
    for threads, name in ((1, "CPU (1 thread)"), (2, "CPU (2 threads)")):
        monkeypatch.setattr(torch, "get_num_threads", lambda threads=threads: threads)
        assert name_device(CPU) == name


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("x"), RuntimeError("CUDA out of memory")]
)
def test_running_out_of_memory_is_said_with_advice(error: Exception) -> None:
    with (
        pytest.raises(
            DeviceError, match=r"Memory ran out while training\. Lower batch\."
        ) as caught,
        out_of_memory_in_words("training", "Lower batch."),
    ):
        raise error
    assert caught.value.__cause__ is error


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), out_of_memory_in_words("x", "y"):
        raise RuntimeError("shapes do not fit")


def test_the_cpu_is_on_every_machine() -> None:
    assert choose_device("cpu") == CPU
