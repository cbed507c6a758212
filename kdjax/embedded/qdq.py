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
    from onnx import helper, numpy_helper

    stored = {array.name: numpy_helper.to_array(array) for array in model.graph.initializer}
    nodes, arrays, scales = [], [], {}

    def constant(name: str, value: np.ndarray) -> str:
        arrays.append(numpy_helper.from_array(value, name))
        return name

    def rounded(tensor: str) -> str:
        """The tensor rounded to 8 bits."""
        low, high = of_tensors[tensor]
        scale, zero = _grid(low, high)
        scales[tensor] = scale
        how = (
            constant(f"{tensor}.scale", np.array(scale, np.float32)),
            constant(f"{tensor}.zero", np.array(zero)),
        )
        nodes.append(helper.make_node("QuantizeLinear", [tensor, *how], [f"{tensor}.stored"]))
        both = [f"{tensor}.stored", *how], [f"{tensor}.rounded"]
        nodes.append(helper.make_node("DequantizeLinear", *both))
        return f"{tensor}.rounded"

    def weights(node: Any, scale: float) -> list[str]:
        kernel, bias = (stored.pop(name) for name in node.input[1:])
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
            how = constant(f"{name}.scale", by.astype(np.float32))
            inputs = [constant(f"{name}.stored", value), how]
            inputs.append(constant(f"{name}.zero", np.full(len(by), zero, value.dtype)))
            along = axis if name == node.input[1] else 0
            nodes.append(helper.make_node("DequantizeLinear", inputs, [name], axis=along))
            names.append(name)
        return names

    for node in model.graph.node:
        if node.op_type in _TAKES_WEIGHTS:
            inputs = rounded(node.input[0])
            node.input[:] = [inputs, *weights(node, scales[node.input[0]])]
        elif node.op_type == "LeakyRelu":
            node.input[:] = [rounded(node.input[0])]
        nodes.append(node)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    arrays.extend(numpy_helper.from_array(value, name) for name, value in stored.items())
    model.graph.initializer.extend(arrays)
    return model.SerializeToString(deterministic=True)


def _grid(low: float, high: float) -> tuple[float, np.uint8]:
    """Scale and zero point, which is 0 for what a ReLU gives."""
    if low == 0:
        return max(high, 1e-6) / _LEVELS, np.uint8(0)
    return max(-low, high) / INPUT_MAX, np.uint8(_MIDDLE)


def _steps(kernel: np.ndarray, axis: int) -> np.ndarray:
    """What 1 stands for in each output channel's weights, as in the C library."""
    others = tuple(i for i in range(kernel.ndim) if i != axis)
    return np.maximum(np.abs(kernel.astype(np.float64)).max(axis=others), 1e-9) / BYTE
