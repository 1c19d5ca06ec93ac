"""A generator as an ONNX graph, layer by layer.

PyTorch has two exporters. The newer one takes seconds and writes opset 18, which is converted down
with luck; the older one is to be removed. Generators have a dozen kinds of layers, so they are
written here: in milliseconds, with the same result under every version of PyTorch.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_pix2pix.core import ResNet, UNet
from napari_pix2pix.core.layers import (
    Convolution,
    InstanceNorm,
    Reflection,
    ResidualBlock,
    ResizeConvolution,
    Transposed,
    UNetLevel,
)
from napari_pix2pix.core.partial_forward import folded
from napari_pix2pix.errors import InputError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

INPUT, OUTPUT = "source", "target"
OPSET = 17  # engines of 2023 stop at 18; nothing here needs a later one
_IR_VERSION = 8  # of the file, as old as the opset


def build_graph(
    generator: UNet | ResNet, out_channels: int, description: str, metadata: Mapping[str, str]
) -> ModelProto:
    """Return a generator in eval mode as an ONNX model: (B, C, H, W) float32 in and out.

    Volumes have their planes before H. Batch and sizes are free; sizes are multiples of the
    strides. Norms that measure their input still do so.
    """
    from onnx import TensorProto, helper

    graph = _Graph(generator.ndim)
    last = graph.add_layer(folded(generator).model, INPUT)
    graph.add("Identity", [last], name=OUTPUT)
    free = ["batch", "height", "width"]
    if generator.ndim == 3:
        free.insert(1, "planes")
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [free[0], channels, *free[1:]])
        for name, channels in ((INPUT, generator.in_channels), (OUTPUT, out_channels))
    ]
    made = helper.make_graph(graph.nodes, generator.name, ends[:1], ends[1:], graph.weights)
    model = helper.make_model(
        made,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
        producer_name="napari-pix2pix",
        doc_string=description,
    )
    helper.set_model_props(model, dict(metadata))
    return model


class _Graph:
    """Nodes and weights of a graph that grows from its input on."""

    def __init__(self, ndim: int) -> None:
        self.ndim = ndim  # axes of an image, or of a volume
        self.nodes: list[NodeProto] = []
        self.weights: list[TensorProto] = []

    def add(self, op: str, inputs: list[str], *, name: str = "", **attributes: Any) -> str:
        """Add a node, and return the name of its output."""
        from onnx import helper

        output = name or f"{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def add_layer(self, layer: nn.Module, x: str) -> str:
        """Add a layer, and return the name of its output."""
        if isinstance(layer, nn.Sequential):
            for inner in layer:
                x = self.add_layer(inner, x)
            return x
        if isinstance(layer, UNetLevel):
            y = self.add_layer(layer.model, x)
            return self.add("Concat", [x, y], axis=1) if layer.skip else y
        if isinstance(layer, ResidualBlock):
            return self.add("Add", [x, self.add_layer(layer.conv_block, x)])
        if isinstance(layer, Convolution | Transposed):
            return self._add_convolution(layer, x)
        if isinstance(layer, InstanceNorm | nn.GroupNorm):
            return self._add_norm(layer, x)
        return self._add_plain(layer, x)

    def _add_plain(self, layer: nn.Module, x: str) -> str:
        if isinstance(layer, nn.Identity | nn.Dropout):
            return x
        if isinstance(layer, nn.ReLU):
            return self.add("Relu", [x])
        if isinstance(layer, nn.LeakyReLU):
            return self.add("LeakyRelu", [x], alpha=layer.negative_slope)
        if isinstance(layer, nn.Tanh):
            return self.add("Tanh", [x])
        if isinstance(layer, Reflection):
            # ONNX names the first sides of all axes, then the last; torch the last axis first.
            first, last = layer.padding[-2::-2], layer.padding[::-2]
            pads = np.array([0, 0, *first, 0, 0, *last], np.int64)
            return self.add("Pad", [x, self._weight("pads", pads)], mode="reflect")
        raise InputError(
            f"The network has a layer {type(layer).__name__}, which can't be written to ONNX: "
            "export the network as it was trained."
        )

    def _add_convolution(self, layer: Convolution | Transposed | ResizeConvolution, x: str) -> str:
        is_doubling = isinstance(layer, Transposed | ResizeConvolution)
        weight, strides, padding = layer.weight, list(layer.stride), [int(p) for p in layer.padding]
        attributes: dict[str, Any] = {}
        if isinstance(layer, ResizeConvolution):
            weight, strides = layer.transposed_kernel(), list(layer.factors)
        elif isinstance(layer, Transposed):
            attributes["output_padding"] = list(layer.output_padding)
        inputs = [x, self._tensor("weight", weight)]
        if layer.bias is not None:
            inputs.append(self._tensor("bias", layer.bias))
        op = "ConvTranspose" if is_doubling else "Conv"
        return self.add(op, inputs, strides=strides, pads=padding * 2, **attributes)

    def _add_norm(self, layer: InstanceNorm | nn.GroupNorm, x: str) -> str:
        """Add a norm that measures its input; group norm is instance norm of stretched groups."""
        is_group = isinstance(layer, nn.GroupNorm)
        count = layer.num_groups if isinstance(layer, nn.GroupNorm) else layer.num_features
        ones = self._weight("scale", np.ones(count, np.float32))
        zeros = self._weight("shift", np.zeros(count, np.float32))
        if not is_group:
            return self.add("InstanceNormalization", [x, ones, zeros], epsilon=layer.eps)
        shape = self.add("Shape", [x])
        flat = self._weight("stretched", np.array([0, count, -1], np.int64))
        groups = self.add("Reshape", [x, flat])
        normed = self.add("InstanceNormalization", [groups, ones, zeros], epsilon=layer.eps)
        y = self.add("Reshape", [normed, shape])
        axes = [1] * self.ndim
        gain, offset = layer.weight.reshape(-1, *axes), layer.bias.reshape(-1, *axes)
        scaled = self.add("Mul", [y, self._tensor("gain", gain)])
        return self.add("Add", [scaled, self._tensor("offset", offset)])

    def _tensor(self, kind: str, values: Tensor) -> str:
        return self._weight(kind, values.detach().float().cpu().contiguous().numpy())

    def _weight(self, kind: str, values: NDArray[Any]) -> str:
        from onnx import numpy_helper

        name = f"{kind}_{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name
