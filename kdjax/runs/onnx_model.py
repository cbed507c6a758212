"""A run as an ONNX model, in float32 or as ONNX Runtime reads 8 bits: QuantizeLinear pairs (QDQ).

In 8 bits, weights are the numbers of the C library, a scale for each output channel; activations
have 8 bits all the way, in the ranges that the beats drawn for that library give them. Both are
stored unsigned: signed weights cost 0.06 of AUC on one CPU, presumably because sums saturate on x86
without VNNI.
"""

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import kdjax
from kdjax.detection.detector import Detector, float32_threshold
from kdjax.embedded import library
from kdjax.embedded.quantise import BYTE, HEADROOM, INPUT_MAX, float_activations
from kdjax.errors import InputError
from kdjax.models.folded import Folded, Layer, fold
from kdjax.models.layers import STRIDE
from kdjax.models.sizes import KERNEL, LEAKY_SLOPE, STAGES

OPSET, IR_VERSION = 18, 8  # of ONNX 1.13 (2022): runtimes of the last years take them

_TAKES_WEIGHTS = ("Conv", "ConvTranspose")
_LEVELS, _MIDDLE = 255, 128


def to_onnx(detector: Detector, about: Mapping[str, Any]) -> bytes:
    """The ONNX model of windows [batch, T, C], `about` as JSON in its metadata."""
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph()
    folded, threshold = fold(detector.variables), float32_threshold(detector)
    zero, one, two = (graph.number(str(value), value) for value in range(3))
    time, beat = graph.constant("time", np.array([1])), graph.constant("beat", np.array([1, 2]))
    x = _scale(graph, time, (zero, one, two))
    x_hat = _reconstruct(graph, folded, x)
    _decide(graph, x, x_hat, beat=beat, threshold=threshold)

    def tensor(name: str, kind: int, *shape: int) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, ["batch", *shape])

    size = detector.generator.length, detector.generator.channels
    whole = helper.make_graph(
        graph.nodes,
        "kdjax",
        [tensor("windows", TensorProto.FLOAT, *size)],
        [
            tensor("score", TensorProto.FLOAT),
            tensor("abnormal", TensorProto.BOOL),
            tensor("x", TensorProto.FLOAT, *size),
            tensor("x_hat", TensorProto.FLOAT, *size),
        ],
        graph.constants,
    )
    model = helper.make_model(
        whole,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="kdjax",
        producer_version=kdjax.__version__,
    )
    helper.set_model_props(model, {name: json.dumps(value) for name, value in about.items()})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


class _Graph:
    """The nodes and constants of an ONNX graph; each is known by the name of its output.

    named: whether a node bears that name itself, too.
    """

    def __init__(self, *, named: bool = True) -> None:
        self.named = named
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: np.ndarray) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value, order="C"), name))
        return name

    def number(self, name: str, value: float | np.float32) -> str:
        """A constant of one float32, which stands for any shape."""
        return self.constant(name, np.array([value], np.float32))

    def node(self, op: str, output: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        name = output if self.named else None
        self.nodes.append(helper.make_node(op, inputs, [output], name, **attributes))
        return output

    def convolution(self, op: str, output: str, x: str, *, layer: Layer, **attributes: Any) -> str:
        # Kernels [k, in, out] become [out, in, k]; transposed ones, [in, k, out], [in, out, k].
        order = (2, 1, 0) if op == "Conv" else (0, 2, 1)
        kernel = self.constant(f"{output}.kernel", layer.kernel.transpose(order))
        bias = self.constant(f"{output}.bias", layer.bias)
        return self.node(op, output, x, kernel, bias, **attributes)


def _scale(graph: _Graph, time: str, numbers: tuple[str, str, str]) -> str:
    """Windows scaled to [-1, 1], as `beats.scale`; a flat lead is 0."""
    (zero, one, two), node = numbers, graph.node
    low = node("ReduceMin", "low", "windows", time)
    span = node("Sub", "span", node("ReduceMax", "high", "windows", time), low)
    flat = node("Equal", "flat", span, zero)
    divisor = node("Where", "divisor", flat, one, span)
    share = node("Div", "share", node("Sub", "above", "windows", low), divisor)
    scaled = node("Sub", "scaled", node("Mul", "doubled", share, two), one)
    return node("Where", "x", flat, zero, scaled)


def _reconstruct(graph: _Graph, folded: Folded, x: str) -> str:
    """The generator's reconstruction of scaled beats."""
    node, convolution = graph.node, graph.convolution
    halving = {"kernel_shape": [KERNEL], "strides": [STRIDE], "pads": [1, 1]}
    h = node("Transpose", "leads_first", x, perm=[0, 2, 1])
    for stage, layer in enumerate(folded.encoder):
        h = convolution("Conv", f"encoder{stage}", h, layer=layer, **halving)
        h = node("LeakyRelu", f"encoder{stage}.activation", h, alpha=LEAKY_SLOPE)
    h = convolution("Conv", "z", h, layer=folded.head)
    h = convolution("ConvTranspose", "tail", h, layer=folded.tail)
    for stage, layer in enumerate(folded.decoder):
        h = node("Relu", f"decoder{stage}.activation", h)
        h = convolution("ConvTranspose", f"decoder{stage}", h, layer=layer, **halving)
    return node("Transpose", "x_hat", node("Tanh", "tanh", h), perm=[0, 2, 1])


def _decide(graph: _Graph, x: str, x_hat: str, *, beat: str, threshold: np.float32) -> None:
    """The mean squared error over the axes `beat`, and whether it is above the threshold."""
    node = graph.node
    error = node("Sub", "error", x_hat, x)
    mean = node("ReduceMean", "mean", node("Mul", "square", error, error), beat, keepdims=0)
    # The difference of a sample and itself is NaN where the sample is NaN or infinite.
    nothing = node(
        "ReduceSum", "nothing", node("Sub", "self", "windows", "windows"), beat, keepdims=0
    )
    infinity = graph.number("infinity", np.inf)
    score = node("Where", "score", node("IsNaN", "not_finite", nothing), infinity, mean)
    node("Greater", "abnormal", score, graph.number("threshold", threshold))


def to_onnx_int8(detector: Detector, about: Mapping[str, Any]) -> bytes:
    """`to_onnx` with weights and activations of 8 bits; InputError as `library.integers`."""
    import onnx

    library.check_fits(detector)
    model = onnx.load_from_string(to_onnx(detector, about))
    found = ranges(fold(detector.variables), library.drawn(detector))
    content = quantised(model, found)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    return content


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
    rounding = _Rounding(model, of_tensors)
    graph = rounding.graph
    for node in model.graph.node:
        if node.op_type in _TAKES_WEIGHTS:
            inputs = rounding.rounded(node.input[0])
            node.input[:] = [inputs, *rounding.weights(node)]
        elif node.op_type == "LeakyRelu":
            node.input[:] = [rounding.rounded(node.input[0])]
        graph.nodes.append(node)
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(graph.nodes)
    for name, value in rounding.stored.items():
        graph.constant(name, value)
    model.graph.initializer.extend(graph.constants)
    return model.SerializeToString(deterministic=True)


class _Rounding:
    """The graph that rounds, so far; `stored` are the arrays that stay as they are.

    scales: what 1 stands for in the tensors that are rounded.
    """

    def __init__(self, model: Any, of_tensors: Mapping[str, tuple[float, float]]) -> None:
        from onnx import numpy_helper

        arrays = model.graph.initializer
        self.stored = {array.name: numpy_helper.to_array(array) for array in arrays}
        self.of_tensors = of_tensors
        self.graph = _Graph(named=False)
        self.scales: dict[str, float] = {}

    def rounded(self, tensor: str) -> str:
        """The tensor rounded to 8 bits."""
        node, constant = self.graph.node, self.graph.constant
        scale, zero = _grid(*self.of_tensors[tensor])
        self.scales[tensor] = scale
        how = (
            constant(f"{tensor}.scale", np.array(scale, np.float32)),
            constant(f"{tensor}.zero", np.array(zero)),
        )
        stored = node("QuantizeLinear", f"{tensor}.stored", tensor, *how)
        return node("DequantizeLinear", f"{tensor}.rounded", stored, *how)

    def weights(self, node: Any) -> list[str]:
        """The kernel and the bias of a node whose input has been rounded, in whole numbers."""
        constant, scale = self.graph.constant, self.scales[node.input[0]]
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
            how = constant(f"{name}.scale", by.astype(np.float32))
            inputs = [constant(f"{name}.stored", value), how]
            inputs.append(constant(f"{name}.zero", np.full(len(by), zero, value.dtype)))
            along = axis if name == node.input[1] else 0
            names.append(self.graph.node("DequantizeLinear", name, *inputs, axis=along))
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


def read_onnx(content: bytes) -> Callable[[np.ndarray], dict[str, Any]]:
    """The function that a file holds."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda windows: dict(zip(names, session.run(names, {"windows": windows}), strict=True))


def check_installed() -> None:
    """Raises InputError unless what writes and what runs ONNX files is installed."""
    for package in ("onnx", "onnxruntime"):
        try:
            importlib.import_module(package)
        except ImportError as error:
            raise InputError(
                f"exporting to ONNX needs {error.name}, which is not installed; install kdjax with "
                "the extra onnx: pip install -e '.[onnx]' -c constraints.txt"
            ) from None
