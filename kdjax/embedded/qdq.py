"""An ONNX model of `runs.export` in 8 bits, as ONNX Runtime reads it: QuantizeLinear pairs (QDQ).

Weights are the numbers of the C library, a scale for each output channel; activations have 8 bits
all the way, in the ranges that the same drawn beats give them. Both are stored unsigned: signed
weights cost 0.06 of AUC on one CPU, presumably because sums saturate on x86 without VNNI.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kdjax.embedded.quantise import BYTE, HEADROOM, INPUT_MAX, float_activations
from kdjax.models.folded import Folded
from kdjax.models.sizes import LEAKY_SLOPE, STAGES

_TAKES_WEIGHTS = ("Conv", "ConvTranspose")
_LEVELS, _MIDDLE = 255, 128


def ranges(folded: Folded, x: np.ndarray) -> dict[str, tuple[float, float]]:
    """The least and the largest value of the tensors that are rounded, by the graph's names.

    x: normal beats [B, T, 1].
    """
    found, activations = {"leads_first": (-1.0, 1.0)}, float_activations(folded, x)
    for name, h in activations.items():
        low, high = min(float(h.min()), 0.0), max(float(h.max()), 0.0)
        if name.startswith("encoder"):
            found[name] = (low / LEAKY_SLOPE, high)
            found[f"{name}.activation"] = (low, high)
        elif name == "head":
            found["z"] = (HEADROOM * low, HEADROOM * high)
    for stage in range(STAGES):
        name = f"decoder{stage - 1}" if stage else "tail"
        found[f"decoder{stage}.activation"] = (0.0, HEADROOM * float(activations[name].max()))
    return found


def quantised(model: Any, of_tensors: Mapping[str, tuple[float, float]]) -> bytes:
    """A float ONNX model with its convolutions' inputs and weights in int8."""
    graph = _Graph(model, of_tensors)
    for node in model.graph.node:
        if node.op_type in _TAKES_WEIGHTS:
            inputs = graph.rounded(node.input[0])
            node.input[:] = [inputs, *graph.weights(node)]
        elif node.op_type == "LeakyRelu":
            node.input[:] = [graph.rounded(node.input[0])]
        graph.nodes.append(node)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(graph.nodes)
    for name, value in graph.stored.items():
        graph.constant(name, value)
    model.graph.initializer.extend(graph.arrays)
    return model.SerializeToString(deterministic=True)


class _Graph:
    """The nodes and arrays of the new graph so far; `stored` are the arrays that stay as they are.

    scales: what 1 stands for in the tensors that are rounded.
    """

    def __init__(self, model: Any, of_tensors: Mapping[str, tuple[float, float]]) -> None:
        from onnx import numpy_helper

        arrays = model.graph.initializer
        self.stored = {array.name: numpy_helper.to_array(array) for array in arrays}
        self.of_tensors = of_tensors
        self.nodes: list[Any] = []
        self.arrays: list[Any] = []
        self.scales: dict[str, float] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        from onnx import numpy_helper

        self.arrays.append(numpy_helper.from_array(value, name))
        return name

    def node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def rounded(self, tensor: str) -> str:
        """The tensor rounded to 8 bits."""
        scale, zero = _grid(*self.of_tensors[tensor])
        self.scales[tensor] = scale
        how = (
            self.constant(f"{tensor}.scale", np.array(scale, np.float32)),
            self.constant(f"{tensor}.zero", np.array(zero)),
        )
        stored = self.node("QuantizeLinear", [tensor, *how], f"{tensor}.stored")
        return self.node("DequantizeLinear", [stored, *how], f"{tensor}.rounded")

    def weights(self, node: Any) -> list[str]:
        """The kernel and the bias of a node whose input has been rounded, in whole numbers."""
        scale = self.scales[node.input[0]]
        kernel, bias = (self.stored.pop(name) for name in node.input[1:])
        axis = 0 if node.op_type == "Conv" else 1
        steps = _steps(kernel, axis)
        shape = [1, 1, 1]
        shape[axis] = -1
        whole = (np.rint(kernel / steps.reshape(shape)) + _MIDDLE).astype(np.uint8)
        sums = np.rint(bias / (scale * steps)).astype(np.int32)
        names = []
        for name, value, by, zero in (
            (node.input[1], whole, steps, _MIDDLE),
            (node.input[2], sums, scale * steps, 0),
        ):
            how = self.constant(f"{name}.scale", by.astype(np.float32))
            inputs = [self.constant(f"{name}.stored", value), how]
            inputs.append(self.constant(f"{name}.zero", np.full(len(by), zero, value.dtype)))
            along = axis if name == node.input[1] else 0
            names.append(self.node("DequantizeLinear", inputs, name, axis=along))
        return names


def _grid(low: float, high: float) -> tuple[float, np.uint8]:
    """Scale and zero point, which is 0 for what a ReLU gives."""
    if low == 0:
        return max(high, 1e-6) / _LEVELS, np.uint8(0)
    return max(-low, high) / INPUT_MAX, np.uint8(_MIDDLE)


def _steps(kernel: np.ndarray, axis: int) -> np.ndarray:
    """What 1 stands for in each output channel's weights, as in the C library."""
    others = tuple(i for i in range(kernel.ndim) if i != axis)
    return np.maximum(np.abs(kernel.astype(np.float64)).max(axis=others), 1e-9) / BYTE
