"""What computes a network of others: ONNX Runtime, or PyTorch."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from copy import deepcopy
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_pix2pix.errors import DeviceError
from napari_pix2pix.inference.devices import choose_device
from napari_pix2pix.io.onnx_devices import CPU, choices_of
from napari_pix2pix.io.onnx_file import open_session
from napari_pix2pix.io.onnx_reading import OnnxFile
from napari_pix2pix.training.model_info import EngineKind

Values: TypeAlias = NDArray[Any]


class Engine(ABC):
    """Computes a network, array in and array out; it can be copied and sent to other processes."""

    name: str
    kind: EngineKind
    library: str  # that a process needs for it, besides those of this package; or ""
    digest: bytes  # of all that the network is

    @abstractmethod
    def choose_device(self, wanted: str) -> torch.device:
        """Return the device of a name, or the fastest for ``auto``; a `DeviceError` if it can't."""

    @abstractmethod
    def run(self, given: Values, device: torch.device) -> Values:
        """Return what the network makes of an array."""


class OnnxEngine(Engine):
    """ONNX Runtime, with a network as an ONNX file holds it."""

    name = "ONNX Runtime"
    kind = "onnx"
    library = "onnxruntime"

    def __init__(self, content: bytes, given: str, made: str) -> None:
        self._content, self._given, self._made = content, given, made
        self._sessions: dict[torch.device, Any] = {}  # the last one that was used, if any
        self.digest = hashlib.sha256(content).digest()

    @classmethod
    def of(cls, onnx: OnnxFile) -> OnnxEngine:
        """Return the engine of a file that was read."""
        return cls(onnx.content, onnx.given.name, onnx.made.name)

    def choose_device(self, wanted: str) -> torch.device:
        """Return the first device on which a session can be opened."""
        *others, last = choices_of(wanted)
        for device in others:
            try:
                self._session(device)
            except DeviceError:
                continue
            return device
        self._session(last)
        return last

    def run(self, given: Values, device: torch.device) -> Values:
        """Return what the network makes of an array."""
        made: Values = self._session(device).run([self._made], {self._given: given})[0]
        return made

    def _session(self, device: torch.device) -> Any:
        """Return an open session, which serves several threads."""
        session = self._sessions.get(device)
        if session is None:
            session = open_session(self._content, device)
            self._sessions = {device: session}  # not two copies of the weights
        return session

    def __getstate__(self) -> dict[str, Any]:
        # A session stays in its process; another one opens its own.
        return {**self.__dict__, "_sessions": {}}


class TorchEngine(Engine):
    """PyTorch, with a network of an architecture that is known here."""

    name = "PyTorch"
    kind = "torch"
    library = ""

    def __init__(self, network: nn.Module) -> None:
        own = network.eval().requires_grad_(requires_grad=False)
        self._networks = {CPU: own}  # one on each device, since threads may use several at once
        parts = hashlib.sha256(repr(own).encode())
        for key, tensor in sorted(own.state_dict().items()):
            parts.update(key.encode())
            parts.update(tensor.contiguous().numpy().tobytes())
        self.digest = parts.digest()

    def choose_device(self, wanted: str) -> torch.device:
        """Return the device of a name, of those of PyTorch."""
        return choose_device(wanted)

    def run(self, given: Values, device: torch.device) -> Values:
        """Return what the network makes of an array."""
        if device not in self._networks:
            self._networks[device] = deepcopy(self._networks[CPU]).to(device)
        with torch.inference_mode():
            planes = torch.from_numpy(np.ascontiguousarray(given)).to(device)
            made: Values = self._networks[device](planes).cpu().numpy()
        return made

    def __getstate__(self) -> dict[str, Any]:
        # Another process may have other devices.
        return {**self.__dict__, "_networks": {CPU: self._networks[CPU]}}
