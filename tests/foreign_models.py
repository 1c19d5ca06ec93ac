"""ONNX files and BioImage.IO packages that napari-pix2pix did not write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def onnx_file(
    path: Path,
    *,
    channels: tuple[int, int] = (1, 1),
    side: int | str = "side",
    depth: int | str = "depth",
    batch: int | str = "batch",
    dtype: str = "FLOAT",
    axes: str = "bcyx",
    inputs: int = 1,
    stride: int = 1,
    value: float | None = None,
) -> Path:
    """Write a network of one convolution of 3 x 3, whose halo is 1, with the axes of an image.

    Or of a volume, if z is among the axes. With a stride, it takes their multiples alone, but any
    number of planes. A `value` is that of one weight.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    given, made = channels
    ours = "bczyx" if "z" in axes else "bcyx"
    ndim = len(ours) - 2
    weights = np.random.default_rng(0).normal(size=(made, given, *[3] * ndim)).astype(np.float32)
    if value is not None:
        weights.flat[0] = value
    kind = getattr(TensorProto, dtype)
    to_float = helper.make_node("Cast", ["source"], ["float"], to=TensorProto.FLOAT)
    is_known = len(axes) == len(ours)
    order = [axes.index(axis) for axis in ours] if is_known else [*range(len(axes))]
    nodes = [to_float, helper.make_node("Transpose", ["float"], ["planes"], perm=order)]
    tensors = [numpy_helper.from_array(weights, "weights")]
    last = "planes"
    if not is_known:  # arrays of other ranks come out as they go in
        nodes.append(helper.make_node("Identity", [last], ["target"]))
    else:
        if stride > 1:  # sides that are no multiples do not fit when they are added
            factors = [1] * (ndim - 2) + [stride] * 2
            scales = np.array([1, 1, *factors], np.float32)
            tensors.append(numpy_helper.from_array(scales, "scales"))
            pooled = {"kernel_shape": factors, "strides": factors}
            nodes += [
                helper.make_node("AveragePool", [last], ["small"], **pooled),
                helper.make_node("Resize", ["small", "", "scales"], ["large"]),
                helper.make_node("Add", ["large", last], ["sum"]),
            ]
            last = "sum"
        back = [ours.index(axis) for axis in axes]
        nodes += [
            helper.make_node("Conv", [last, "weights"], ["made"], pads=[1] * 2 * ndim),
            helper.make_node("Transpose", ["made"], ["target"], perm=back),
        ]
    lengths = {"b": batch, "z": depth, "y": side, "x": side}

    def shape(count: int) -> list[Any]:
        return [count if axis == "c" else lengths[axis] for axis in axes]

    names = ["source", *(f"other_{number}" for number in range(1, inputs))]
    graph = helper.make_graph(
        nodes,
        "convolution",
        [helper.make_tensor_value_info(name, kind, shape(given)) for name in names],
        [helper.make_tensor_value_info("target", TensorProto.FLOAT, shape(made))],
        tensors,
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def package(path: Path, *args: Any, **fields: Any) -> Path:
    """Write a package with such a network and these steps, by the library of the format.

    Or with other weights; `tests` are its test images.
    """
    from napari_pix2pix.export import _package

    with _package._quiet():  # it leaves files open
        return _write_package(path, *args, **fields)


def _write_package(
    path: Path,
    before: list[Any] = [],  # noqa: B006 (it is not changed)
    after: list[Any] = [],  # noqa: B006
    *,
    channels: tuple[int, int] = (1, 1),
    names: list[str] | None = None,
    axes: str = "bcyx",
    size: Any = None,
    depth: Any = None,
    halo: int = 1,
    plane_halo: int = 1,
    dtypes: tuple[str, str] = ("uint8", "float32"),
    scale: float = 1.0,
    plane_scale: float = 1.0,
    unit: str | None = None,
    weights: Any = None,
    tests: tuple[np.ndarray, np.ndarray] | None = None,
    **network: Any,
) -> Path:
    from bioimageio.spec import save_bioimageio_package
    from bioimageio.spec.model import v0_5

    folder = path.parent / f"{path.stem} parts"
    folder.mkdir()
    side = size if isinstance(size, int) else "side"
    planes = depth if isinstance(depth, int) else "depth"
    network = {"channels": channels, "axes": axes, "side": side, "depth": planes, **network}
    if weights is None:
        source = onnx_file(folder / "weights.onnx", **network)
        weights = {"onnx": v0_5.OnnxWeightsDescr(source=source, opset_version=17)}
    shown = size if isinstance(size, int) else getattr(size, "min", 32)
    deep = depth if isinstance(depth, int) else getattr(depth, "min", 16)
    lengths = {"b": 1, "z": deep, "y": shown, "x": shown}
    arrays = []
    for end, (name, count) in enumerate(zip(("source", "target"), channels, strict=True)):
        shape = [count if axis == "c" else lengths[axis] for axis in axes]
        array = np.ones(shape, dtypes[end]) if tests is None else tests[end]
        np.save(folder / f"{name}.npy", array)
        arrays.append(folder / f"{name}.npy")
    (folder / "README.md").write_text("# A network of others\n\n## Validation\n\nNone.\n")

    def axis(letter: str, *, given: bool) -> Any:
        if letter == "b":
            return v0_5.BatchAxis()
        if letter == "c":
            count = channels[0 if given else 1]
            own = names if given and names else [f"channel{number}" for number in range(count)]
            return v0_5.ChannelAxis(channel_names=own)
        name, own = v0_5.AxisId(letter), (depth, plane_halo, plane_scale)
        length, around, distance = own if letter == "z" else (size, halo, scale)
        space: dict[str, Any] = {"scale": distance, "unit": unit}
        if given:
            wanted = length or v0_5.ParameterizedSize(min=16, step=1)
            return v0_5.SpaceInputAxis(id=name, size=wanted, **space)
        same = v0_5.SizeReference(tensor_id=v0_5.TensorId("source"), axis_id=name)
        if around:
            return v0_5.SpaceOutputAxisWithHalo(id=name, size=same, halo=around, **space)
        return v0_5.SpaceOutputAxis(id=name, size=same, **space)

    made: Any = v0_5.IntervalOrRatioDataDescr(type="float32")
    if dtypes[1] == "bool":
        made = v0_5.NominalOrOrdinalDataDescr(values=[False, True], type="bool")
    elif dtypes[1] != "float32":
        made = v0_5.IntervalOrRatioDataDescr(type=dtypes[1])
    described = v0_5.ModelDescr(
        name="A network of others",
        description="Sharpens, or not",
        authors=[v0_5.Author(name="Ada Lovelace"), v0_5.Author(name="Charles Babbage")],
        license="MIT",
        cite=[v0_5.CiteEntry(text="None", doi=v0_5.Doi("10.1109/CVPR.2017.632"))],
        documentation=v0_5.FileDescr(source=folder / "README.md"),
        inputs=[
            v0_5.InputTensorDescr(
                id=v0_5.TensorId("source"),
                axes=[axis(letter, given=True) for letter in axes],
                test_tensor=v0_5.FileDescr(source=arrays[0]),
                data=v0_5.IntervalOrRatioDataDescr(type=dtypes[0]),
                preprocessing=before,
            )
        ],
        outputs=[
            v0_5.OutputTensorDescr(
                id=v0_5.TensorId("target"),
                axes=[axis(letter, given=False) for letter in axes],
                test_tensor=v0_5.FileDescr(source=arrays[1]),
                data=made,
                postprocessing=after,
            )
        ],
        weights=v0_5.WeightsDescr(**weights),
    )
    save_bioimageio_package(described, output_path=path)
    return path


def state_dict_package(
    path: Path,
    network: Any,
    *,
    name: str,
    module: str | None = None,
    kwargs: dict[str, Any] | None = None,
    tests: tuple[np.ndarray, np.ndarray],
    **fields: Any,
) -> Path:
    """Write a package whose weights are those of a network of PyTorch, and its test images.

    It names its architecture by a library's module, or as a file of its own.
    """
    import torch

    weights = path.with_name(f"{path.stem} weights.pt")
    torch.save(network.state_dict(), weights)
    code = path.with_name(f"{path.stem}_networks.py")
    code.write_text("raise SystemExit('this was run')\n")

    from napari_pix2pix.export import _package

    with _package._quiet():
        made = _describe_state_dict(weights, code, name, module, kwargs or {})
        return _write_package(path, weights=made, tests=tests, **fields)


def _describe_state_dict(
    weights: Path, code: Path, name: str, module: str | None, kwargs: dict[str, Any]
) -> dict[str, Any]:
    from bioimageio.spec.model import v0_5

    architecture: Any
    if module is None:
        architecture = v0_5.ArchitectureFromFileDescr(
            source=code, callable=v0_5.Identifier(name), kwargs=kwargs
        )
    else:
        architecture = v0_5.ArchitectureFromLibraryDescr(
            callable=v0_5.Identifier(name), kwargs=kwargs, import_from=module
        )
    described = v0_5.PytorchStateDictWeightsDescr(
        source=weights, architecture=architecture, pytorch_version=v0_5.Version("2.4")
    )
    return {"pytorch_state_dict": described}


def run_package(path: Path, given: np.ndarray) -> np.ndarray:
    """Run a package with bioimageio.core on an array with the axes of its input."""
    from napari_pix2pix.export import _package

    with _package._quiet():
        return _run_package(path, given)


def _run_package(path: Path, given: np.ndarray) -> np.ndarray:
    from bioimageio.core import Sample, Tensor, create_prediction_pipeline
    from bioimageio.spec import load_model_description

    described = load_model_description(path)
    (tensor,) = described.inputs
    member = Tensor.from_numpy(given, dims=[axis.id for axis in tensor.axes])
    sample = Sample(members={tensor.id: member}, stat={}, id="image")
    with create_prediction_pipeline(described) as pipeline:
        result = pipeline.predict_sample_without_blocking(
            sample, skip_input_padding=True, skip_output_cropping=True
        )
    return np.asarray(result.members[described.outputs[0].id].data)
