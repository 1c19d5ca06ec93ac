"""Processes that are forked, as ``multiprocessing`` does on Linux: they compute, or say how to.

A forked process has its parent's memory, but not its threads, nor its access to a GPU. OpenMP would
wait for ever for those threads; it needs none where it computes with one.
"""

from __future__ import annotations

import os

import torch

from napari_pix2pix.errors import DeviceError

_LOADED_IN = os.getpid()  # the process that has imported this, which may fork others


def check_usable_here(device: torch.device) -> None:
    """Refuse a GPU that the process used from which this one was forked."""
    if device.type != "cuda" or os.getpid() == _LOADED_IN:
        return
    try:
        torch.cuda.init()
    except RuntimeError as error:
        if "fork" not in str(error):
            raise
        raise DeviceError(
            f"{device} was used before this process was forked, and can't be used in it: start "
            'processes by multiprocessing.get_context("spawn"), or compute on the CPU.'
        ) from error


if hasattr(os, "register_at_fork"):  # Windows has no forks
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
