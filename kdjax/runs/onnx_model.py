"""A run as an ONNX model, in float32 or with weights and activations of 8 bits."""

import importlib
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

import kdjax
from kdjax.detection.detector import Detector, float32_threshold
from kdjax.embedded import library, qdq
from kdjax.errors import InputError
from kdjax.models.folded import Folded, Layer, fold
from kdjax.models.layers import STRIDE
from kdjax.models.sizes import KERNEL, LEAKY_SLOPE

OPSET, IR_VERSION = 18, 8  # of ONNX 1.13 (2022): runtimes of the last years take them


def to_onnx(detector: Detector, about: Mapping[str, Any]) -> bytes:
    """The ONNX model of windows [batch, T, C], `about` as JSON in its metadata."""
    import onnx
    from onnx import TensorProto, helper

    graph = _Graph()
    folded, threshold = fold(detector.variables), float32_threshold(detector)
    zero, one, two = (graph.constant(str(value), np.float32(value)) for value in range(3))
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
    """The nodes and constants of an ONNX graph; each is known by the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, output: str, *inputs: str, **attributes: Any) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
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


def _decide(graph: _Graph, x: str, x_hat: str, *, beat: str, threshold: Any) -> None:
    """The mean squared error over the axes `beat`, and whether it is above the threshold."""
    node, constant = graph.node, graph.constant
    error = node("Sub", "error", x_hat, x)
    mean = node("ReduceMean", "mean", node("Mul", "square", error, error), beat, keepdims=0)
    # The difference of a sample and itself is NaN where the sample is NaN or infinite.
    nothing = node(
        "ReduceSum", "nothing", node("Sub", "self", "windows", "windows"), beat, keepdims=0
    )
    infinity = constant("infinity", np.float32(np.inf))
    score = node("Where", "score", node("IsNaN", "not_finite", nothing), infinity, mean)
    node("Greater", "abnormal", score, constant("threshold", threshold))


def to_onnx_int8(detector: Detector, about: Mapping[str, Any]) -> bytes:
    """`to_onnx` with weights and activations of 8 bits; InputError as `library.integers`."""
    import onnx

    library.check_fits(detector)
    model = onnx.load_from_string(to_onnx(detector, about))
    found = qdq.ranges(fold(detector.variables), library.drawn(detector))
    content = qdq.quantised(model, found)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    return content


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
