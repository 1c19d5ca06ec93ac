"""What a BioImage.IO package says of its model, as far as images are translated with it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_pix2pix.data.pixel_size import PixelSize
from napari_pix2pix.errors import FileError
from napari_pix2pix.external._network import End, PlaneSizes, Sizes
from napari_pix2pix.external._steps import Step, read_steps
from napari_pix2pix.io.libraries import needing

if TYPE_CHECKING:
    from bioimageio.spec.model.v0_5 import InputTensorDescr, ModelDescr, OutputTensorDescr

_VERSION = (0, 5)  # the newest model description that is known here
# Pixels and planes that a window shows at least, where windows have one size that is chosen.
_TYPICAL, _TYPICAL_PLANES = 256, 32


@dataclass(frozen=True)
class PackageFile:
    """A file of a package, and its hash where that is stated."""

    name: str
    sha256: str | None

    @classmethod
    def of(cls, entry: Any) -> PackageFile:
        """Return the file of an entry of the description."""
        return cls(str(entry.source), None if entry.sha256 is None else str(entry.sha256))


@dataclass(frozen=True, eq=False)
class Architecture:
    """Which function or class makes a network of PyTorch, as a package names it."""

    name: str
    module: str | None  # of a library; None for a file of the package
    kwargs: Mapping[str, Any]

    def __str__(self) -> str:
        return f"{self.module}.{self.name}" if self.module else f"{self.name}, a file of its own"

    def is_in(self, library: str) -> bool:
        """Whether a library has it."""
        return (self.module or "").partition(".")[0] == library


@dataclass(frozen=True, eq=False)
class Tensor:
    """What goes into a package's model, or comes out."""

    axes: str  # a letter each, as in `End`
    channels: int
    names: tuple[str, ...]  # of the channels, as the package has them
    dtype: str
    span: tuple[float, float] | None  # its least and largest values, where both are stated
    steps: tuple[Step, ...]
    test: PackageFile | None = None  # an array to try the network with

    def end(self, name: str, dtype: str) -> End:
        """Return the same for the network's input or output of this name."""
        return End(name, self.axes, self.channels, dtype)


@dataclass(frozen=True, eq=False)
class Description:
    """A package's model, with one image, or one volume, in and one out."""

    name: str
    text: str
    authors: str  # with commas between them
    licence: str
    weights: PackageFile
    architecture: Architecture | None  # of a state dict of PyTorch; None: the weights are ONNX
    given: Tensor
    made: Tensor
    sizes: Sizes
    pixel_size: PixelSize | None


def parse_description(content: dict[str, Any]) -> Description:
    """Return what a package's description says; a `FileError` says why it can't be applied."""
    with needing("bioimageio", "A BioImage.IO package"):
        from bioimageio.spec import ValidationContext, build_description
        from bioimageio.spec.common import InvalidDescr
        from loguru import logger
    _check_version(content)
    logger.disable("bioimageio")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what an older version did not say
            # No file is opened, and none is downloaded.
            context = ValidationContext(perform_io_checks=False, log_warnings=False)
            model = build_description(content, format_version="latest", context=context)
    finally:
        logger.enable("bioimageio")
    if isinstance(model, InvalidDescr):
        errors = [error for detail in model.validation_summary.details for error in detail.errors]
        where = ".".join(map(str, errors[0].loc)) if errors else "it"
        reason = errors[0].msg[:200].rstrip(". ") if errors else "of no known kind"
        raise FileError(f"its description is invalid ({where}: {reason})")
    return _read_model(model)


def _check_version(content: dict[str, Any]) -> None:
    if content.get("type") != "model":
        raise FileError(f"it describes no model but a {content.get('type')}")
    text = str(content.get("format_version"))
    try:
        version = tuple(int(part) for part in text.split(".")[:2])
    except ValueError:
        version = ()
    if not version or version > _VERSION:
        known = ".".join(map(str, _VERSION))
        raise FileError(
            f"it follows version {text} of the model description, and {known} is the newest that "
            "is known here: update napari-pix2pix"
        )


def _read_model(model: ModelDescr) -> Description:
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise FileError(
            f"it takes {len(model.inputs)} inputs and makes {len(model.outputs)} outputs, and one "
            "image in and one out are needed"
        )
    weights = model.weights.onnx or model.weights.pytorch_state_dict
    if weights is None:
        others = ", ".join(name for name, entry in model.weights if entry is not None)
        raise FileError(
            f"it holds neither ONNX weights nor a PyTorch state dict, one of which is needed, but "
            f"{others}"
        )
    [given], [made] = model.inputs, model.outputs
    depth = _depth(given)
    return Description(
        name=str(model.name),
        text=str(model.description or model.name),
        authors=", ".join(author.name for author in model.authors),
        licence=str(model.license or ""),
        weights=PackageFile.of(weights),
        architecture=_read_architecture(getattr(weights, "architecture", None)),
        given=_read_tensor(given, is_volume=depth is not None),
        made=_read_tensor(made, is_volume=depth is not None),
        sizes=_read_sizes(given, made, depth),
        pixel_size=_read_pixel_size(*_plane(given), depth),
    )


def _read_tensor(tensor: InputTensorDescr | OutputTensorDescr, *, is_volume: bool) -> Tensor:
    names: tuple[str, ...] = ()
    for axis in tensor.axes:
        if axis.type == "channel":
            names = tuple(map(str, axis.channel_names))
    span = getattr(tensor.data, "range", None)
    known = span is not None and None not in span and bool(np.isfinite(span).all())
    return Tensor(
        axes=_letters(tensor, is_volume=is_volume),
        channels=max(1, len(names)),
        names=names,
        dtype=str(tensor.dtype),
        span=(span[0], span[1]) if known and span is not None else None,
        steps=read_steps(tensor, max(1, len(names)), 3 if is_volume else 2),
        test=None if tensor.test_tensor is None else PackageFile.of(tensor.test_tensor),
    )


def _read_architecture(described: Any) -> Architecture | None:
    if described is None:
        return None
    module = getattr(described, "import_from", None)
    return Architecture(str(described.callable), module and str(module), dict(described.kwargs))


def _plane(tensor: Any) -> tuple[Any, Any]:
    """Return the axes of rows and of columns."""
    space = {str(axis.id): axis for axis in tensor.axes if axis.type == "space"}
    if {"y", "x"} <= space.keys():
        return space["y"], space["x"]
    raise FileError(f"{tensor.id} has no axes y and x")


def _depth(tensor: Any) -> Any:
    """Return the axis of planes of a volume; None of an image, which has one plane at most."""
    axes = (axis for axis in tensor.axes if axis.type == "space" and str(axis.id) == "z")
    return next((axis for axis in axes if axis.size != 1), None)


def _letters(tensor: Any, *, is_volume: bool) -> str:
    """Name each axis by a letter; others than space, channels and batches have the length 1."""
    space, letters = "zyx" if is_volume else "yx", ""
    for axis in tensor.axes:
        if axis.type in ("batch", "channel"):
            letters += axis.type[0]
        elif axis.type == "space" and str(axis.id) in space:
            letters += str(axis.id)
        else:
            least = axis.size if isinstance(axis.size, int) else getattr(axis.size, "min", None)
            if least != 1 and not _follows(axis.size):
                raise FileError(
                    f"{tensor.id} has an axis {axis.id} of {least or 'several'}, and images or "
                    "volumes are translated one by one: time series can't be"
                )
            letters += "s"
    return letters


def _follows(size: Any) -> bool:
    """Whether a length is that of another axis."""
    return hasattr(size, "axis_id")


def _read_sizes(given: InputTensorDescr, made: OutputTensorDescr, depth: Any) -> Sizes:
    rows, columns = _plane(given)
    halos = []
    for axis, source in zip(_plane(made), (rows, columns), strict=True):
        _check_length(made, axis, source)
        halos.append(getattr(axis, "halo", 0))
    halo = max(halos) or None
    batch = next((axis.size for axis in given.axes if axis.type == "batch"), 1)
    sizes = _common(_lengths(rows, columns), _lengths(columns, rows), halo, batch == 1)
    return sizes if depth is None else replace(sizes, planes=_read_planes(made, depth))


def _read_planes(made: OutputTensorDescr, depth: Any) -> PlaneSizes:
    axis = _depth(made)
    _check_length(made, axis, depth)
    size, halo = depth.size, getattr(axis, "halo", 0)
    if _follows(size):
        raise FileError(f"the length of its axis z depends on that of {size.axis_id}")
    least, step = (size, 0) if isinstance(size, int) else (size.min, size.step)
    if step and not least % step:
        return PlaneSizes(step, least, halo=halo or None)
    if step:
        wanted = _TYPICAL_PLANES + 2 * halo
        least += -(-max(0, wanted - least) // step) * step
    if least <= 2 * halo:
        raise FileError(f"it takes {least} planes, and nothing is left of them within its halo")
    return PlaneSizes(1, least, fixed=True, halo=halo or None)


def _check_length(made: OutputTensorDescr, axis: Any, source: Any) -> None:
    if axis is None or not _is_same_length(axis, source):
        raise FileError(f"its output {made.id} has another size than its input, along {source.id}")


def _is_same_length(axis: Any, source: Any) -> bool:
    if isinstance(axis.size, int):
        return bool(axis.size == source.size)
    same = {str(source.id)}
    if _follows(source.size):  # such as x, which is as long as y
        same.add(str(source.size.axis_id))
    if not _follows(axis.size) or str(axis.size.axis_id) not in same:
        return False
    return math.isclose(axis.scale, source.scale, rel_tol=1e-6) and axis.size.offset == 0


def _lengths(axis: Any, other: Any) -> tuple[int, int]:
    """Return least and step of an input axis; no step where its length is fixed."""
    size = axis.size
    if _follows(size):
        is_equal = size.axis_id == other.id and not size.offset and axis.scale == other.scale
        if not is_equal or _follows(other.size):
            raise FileError(f"the length of its axis {axis.id} depends on that of {size.axis_id}")
        size = other.size
    return (size, 0) if isinstance(size, int) else (size.min, size.step)


def _common(
    rows: tuple[int, int], columns: tuple[int, int], halo: int | None, one_by_one: bool
) -> Sizes:
    """Return which squares fit: any on a grid, or else those of one side."""
    (least_y, step_y), (least_x, step_x) = rows, columns
    if step_y and step_x and not (least_y % step_y or least_x % step_x):
        stride = math.lcm(step_y, step_x)
        least = -(-max(least_y, least_x) // stride) * stride
        return Sizes(stride, least, halo=halo, one_by_one=one_by_one)
    side = max(least_y, least_x)
    if step_y and step_x:
        wanted = _TYPICAL + 2 * (halo or 0)
        side += -(-max(0, wanted - side) // step_y) * step_y
    fits = all(
        side == least or (step and side > least and not (side - least) % step)
        for least, step in (rows, columns)
    )
    if not fits or side <= 2 * (halo or 0):
        raise FileError(
            f"it takes images of {least_y} x {least_x} pixels, of which no square tiles with its "
            f"halo ({halo or 0}) can be made"
        )
    return Sizes(1, side, fixed=True, halo=halo, one_by_one=one_by_one)


def _read_pixel_size(rows: Any, columns: Any, depth: Any) -> PixelSize | None:
    unit = None if rows.unit is None else str(rows.unit)
    if unit is None or rows.unit != columns.unit:
        return None
    is_known = depth is not None and depth.unit == rows.unit
    distance = float(depth.scale) if is_known else None
    return PixelSize(float(rows.scale), float(columns.scale), distance, unit)
