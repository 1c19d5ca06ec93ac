"""What is asked of a network that is applied: one of ours, or one that another program runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.errors import InputError
from napari_pix2pix.inference.norm_statistics import norms_that_measure
from napari_pix2pix.inference.options import NormStatistics

FloatPlanes: TypeAlias = NDArray[np.float32]


class ExternalNetwork(nn.Module, ABC):
    """A network that another program runs; it has no layers that can be changed."""

    ndim: int  # 2 if it is given images, 3 if volumes
    # How images are cut for it is said as generators say it: see `TileGrid`.
    in_channels: int
    stride: int  # heights and widths are multiples of it
    halo: int  # pixels around a part that it depends on; 0 if that is not known
    takes_halo: bool = False  # its file does not say the halo, and one lets it be cut into tiles
    least_size: int
    # Side of the parts that are kept, where windows have one size; 0: it is given whole images;
    # None: as memory allows.
    tile: int | None
    # Of a network of volumes the same along each axis, planes first: see `depth_grid`.
    strides: tuple[int, ...]
    halos: tuple[int, ...]
    least_sizes: tuple[int, ...]
    plane_tile: int | None  # as `tile`, of the planes
    measures: bool  # what it does depends on the whole frame, which `fitted` is told
    digest: str  # 16 hexadecimal digits that tell it from others
    bytes_per_pixel: float  # of a window, about
    library: str  # that a process needs to run it, besides those of this package; or ""

    @abstractmethod
    def forward(self, planes: Tensor) -> Tensor:
        """Map planes (B, C, H, W) to planes (B, K, H, W), both on the CPU; volumes likewise."""

    @abstractmethod
    def choose_device(self, wanted: str) -> torch.device:
        """Return the device of a name, or the fastest for ``auto``; a `DeviceError` if it can't."""

    @abstractmethod
    def use(self, device: torch.device) -> None:
        """Compute on this device from now on."""

    @abstractmethod
    def fitted(self, read: Callable[[], FloatPlanes], size: tuple[int, ...]) -> ExternalNetwork:
        """Return the network for a frame whose planes `read` returns.

        `size` is its height and width; of a volume the number of planes comes first.
        """


Network: TypeAlias = UNet | ResNet | ExternalNetwork


def measures_input(network: Network, norm_statistics: NormStatistics = "running") -> bool:
    """Whether what comes out of a part depends on the whole image."""
    if isinstance(network, ExternalNetwork):
        return network.measures or network.tile == 0
    return bool(norms_that_measure(network, norm_statistics))


def own_generator(network: Network) -> UNet | ResNet:
    """Return a generator of ours; raises `InputError` where another program runs the network."""
    if isinstance(network, ExternalNetwork):
        raise InputError(
            "The model is an ONNX file or a package, so nothing is known of its layers: use the "
            "model of napari-pix2pix that it was made of."
        )
    return network


def device_of(network: nn.Module) -> torch.device:
    """Return where a network's planes are; those of other programs' networks are on the CPU."""
    weight = next(network.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device
