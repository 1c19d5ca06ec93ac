"""A network that an engine runs, with the steps before and after it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_pix2pix.errors import DeviceError, FileError, is_out_of_memory
from napari_pix2pix.external._engines import Engine
from napari_pix2pix.external._steps import Step, fit_steps, measure_steps, run_steps
from napari_pix2pix.inference.networks import ExternalNetwork, FloatPlanes
from napari_pix2pix.io.onnx_devices import CPU

_PLANES = "czyx"
_USUAL_BYTES = 1536.0  # a pixel of a U-Net that has 64 channels at full size, and joins 128

Values: TypeAlias = NDArray[Any]


@dataclass(frozen=True)
class End:
    """Input or output of a network: its name, and the axes of the array, a letter each."""

    name: str
    axes: str  # of b, c, z, y and x, and others of length 1; y and x are among them
    channels: int
    dtype: str = "float32"


@dataclass(frozen=True)
class PlaneSizes:
    """Which numbers of planes a network of volumes takes, and how they are cut for it."""

    stride: int
    least: int
    fixed: bool = False  # `least` is the only number
    halo: int | None = None  # None where it is not known


@dataclass(frozen=True)
class Sizes:
    """Which heights and widths a network takes, and how an image is cut for it."""

    stride: int
    least: int
    fixed: bool = False  # `least` is the only height and width
    halo: int | None = None  # None where it is not known
    one_by_one: bool = False  # it takes one image at a time
    planes: PlaneSizes | None = None  # of a network of volumes


class SteppedNetwork(ExternalNetwork):
    """Runs a network of others on planes, after some steps and before others."""

    def __init__(
        self,
        engine: Engine,
        given: End,
        made: End,
        sizes: Sizes,
        before: Sequence[Step] = (),
        after: Sequence[Step] = (),
        bytes_per_pixel: float = _USUAL_BYTES,
    ) -> None:
        super().__init__()
        self._engine, self._device = engine, CPU
        self.library = engine.library
        self._given, self._made, self._sizes = given, made, sizes
        self._before, self._after = tuple(before), tuple(after)
        self._size: tuple[int, ...] | None = None  # of the frame, once that is known
        self.in_channels = given.channels
        self.stride, self.least_size = sizes.stride, sizes.least
        self.halo = sizes.halo or 0
        self.tile = self._find_tile()
        planes = sizes.planes
        self.ndim = 2 if planes is None else 3
        depth = [] if planes is None else [(planes.stride, planes.halo or 0, planes.least)]
        along = [*depth, *[(self.stride, self.halo, self.least_size)] * 2]
        self.strides, self.halos, self.least_sizes = zip(*along, strict=True)
        self.plane_tile = self._find_plane_tile()
        self.measures = measure_steps(before)
        parts = hashlib.sha256(engine.digest)
        parts.update(repr((given, made, sizes, self._before, self._after)).encode())
        self.digest = parts.hexdigest()[:16]
        self.bytes_per_pixel = bytes_per_pixel

    def choose_device(self, wanted: str) -> torch.device:
        """Return the device of a name, of those of the engine."""
        return self._engine.choose_device(wanted)

    def use(self, device: torch.device) -> None:
        """Compute on this device from now on."""
        self._device = device

    def fitted(self, read: Callable[[], FloatPlanes], size: tuple[int, ...]) -> SteppedNetwork:
        """Return the network for a frame: with its steps fitted, where they measure."""
        if not (self.measures or measure_steps(self._after)):
            return self
        own = copy(self)
        own._size = size
        if self.measures:
            own._before = fit_steps(self._before, read())
        return own

    def forward(self, planes: Tensor) -> Tensor:
        """Map planes (B, C, H, W) to planes (B, K, H, W), or those of volumes."""
        values = planes.cpu().numpy()
        given = [self._arrange(run_steps(self._before, image)) for image in values]
        made = [image for batch in self._batches(given) for image in self._run(batch)]
        if any(image.shape[1:] != values.shape[2:] for image in made):
            found, wanted = (
                " x ".join(map(str, shape)) for shape in (made[0].shape[1:], values.shape[2:])
            )
            raise FileError(
                f"The network makes {found} pixels of {wanted}: only networks that keep the size "
                "of an image can be applied."
            )
        finished = [run_steps(self._fit_after(image), image) for image in made]
        return torch.from_numpy(np.stack(finished).astype(np.float32))

    def __deepcopy__(self, memo: dict[int, Any]) -> SteppedNetwork:
        return copy(self)  # nothing in it changes, and an engine serves several threads

    def _find_tile(self) -> int | None:
        sizes = self._sizes
        if sizes.halo is None or measure_steps(self._after):
            return 0
        return sizes.least - 2 * sizes.halo if sizes.fixed else None

    def _find_plane_tile(self) -> int | None:
        planes = self._sizes.planes
        if planes is None:
            return None
        if planes.fixed:
            return planes.least - 2 * (planes.halo or 0)
        return 0 if planes.halo is None or self.tile == 0 else None

    def _fit_after(self, image: Values) -> Sequence[Step]:
        """Return the last steps, for a frame that is given as a whole where they measure."""
        if self._size is None or not measure_steps(self._after):
            return self._after
        frame = image[(slice(None), *map(slice, self._size))]  # without what pads it
        return fit_steps(self._after, frame)

    def _arrange(self, image: Values) -> Values:
        """Return planes (C, H, W), or (C, Z, H, W), with the axes of the network's input."""
        axes = self._given.axes
        kept = image if "c" in axes else image[0]
        there = [axis for axis in _PLANES if axis in axes]
        order = [there.index(axis) for axis in axes if axis in there]
        index = tuple(slice(None) if axis in there else np.newaxis for axis in axes)
        return kept.transpose(order)[index].astype(self._given.dtype)

    def _batches(self, given: list[Values]) -> list[Values]:
        """Stack images, if the network takes several at once."""
        if "b" not in self._given.axes or self._sizes.one_by_one:
            return given
        return [np.concatenate(given, self._given.axes.index("b"))]

    def _run(self, given: Values) -> list[Values]:
        """Run the network; return the images of a batch, (K, H, W) or (K, Z, H, W) each."""
        try:
            made = self._engine.run(given, self._device)
        except DeviceError:
            raise
        except Exception as error:  # ONNX Runtime has a class for each of its codes
            if is_out_of_memory(error) or "alloc" in str(error).lower():
                raise MemoryError(str(error)) from error
            shape = " x ".join(map(str, given.shape))
            reason = " ".join(str(error).split())[-200:]
            raise FileError(
                f"{self._engine.name} can't run the model on an array of {shape} ({reason}): its "
                "file promises that it can, so take another copy, or ask its authors."
            ) from error
        axes = self._made.axes
        if made.ndim != len(axes):
            raise FileError(
                f"The network makes arrays of {made.ndim} axes, and its file says {len(axes)}."
            )
        if "b" not in axes:
            return [as_planes(made, axes)]
        parts = np.moveaxis(made, axes.index("b"), 0)
        return [as_planes(part, axes.replace("b", "")) for part in parts]


def as_planes(made: Values, axes: str) -> Values:
    """Return (K, H, W) of an array with other axes; (K, Z, H, W) of a volume."""
    kept = made[tuple(slice(None) if axis in _PLANES else 0 for axis in axes)]
    left = [axis for axis in axes if axis in _PLANES]
    ordered = kept.transpose([left.index(axis) for axis in _PLANES if axis in left])
    return ordered if "c" in left else ordered[np.newaxis]
