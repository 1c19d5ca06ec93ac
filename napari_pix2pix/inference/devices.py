"""The devices of this machine, and their names."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference.memory import is_out_of_memory


def choose_device(wanted: str = "auto") -> torch.device:
    """Return the device that ``wanted`` names.

    Parameters
    ----------
    wanted : str
        ``auto`` takes CUDA, then MPS, then the CPU; otherwise ``cpu``, ``cuda``,
        ``cuda:1``, ``mps``.

    Raises
    ------
    DeviceError
        When there is no such device here; the sentence lists those there are.

    Examples
    --------
    >>> choose_device("cpu")
    device(type='cpu')
    """
    found = available_devices()
    if wanted == "auto":
        return found[0]
    try:
        device = torch.device(wanted)
    except RuntimeError:
        device = None
    if device is not None and device.index in (None, 0):
        first = next((one for one in found if one.type == device.type), None)
        if first is not None:  # cuda is cuda:0, and mps:0 is mps
            return first
    if device not in found:
        names = ", ".join(str(device) for device in found)
        raise DeviceError(f"There is no device {wanted!r} here: choose auto or one of {names}.")
    return device


def available_devices() -> list[torch.device]:
    """List the devices of this machine, the fastest kind first."""
    found = [torch.device("cuda", index) for index in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append(torch.device("mps"))
    return [*found, torch.device("cpu")]


def name_device(device: torch.device) -> str:
    """Return a readable name, such as ``CPU (2 threads)`` or ``NVIDIA H100 (cuda:0)``."""
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)} ({device})"
    if device.type == "mps":
        return "Apple GPU (mps)"
    threads = torch.get_num_threads()
    return f"CPU ({threads} thread{'s' if threads > 1 else ''})"


@contextmanager
def out_of_memory_in_words(what: str, advice: str) -> Iterator[None]:
    """Raise a `DeviceError` with ``advice`` when memory runs out while ``what`` is done."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise DeviceError(f"Memory ran out while {what}. {advice}") from error
