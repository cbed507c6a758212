"""A detector in integers as C: its tables are written here, its code stands in `c/`."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from kdjax import beats
from kdjax.embedded import fixed, frontend, quantise, score
from kdjax.embedded.quantise import Layer, Network
from kdjax.embedded.score import Distance, Tail
from kdjax.embedded.stream import Integers

_CODE = Path(__file__).parent / "c"
_COLUMNS = 96


def sources(detector: Integers) -> dict[str, str]:
    """The library's files by name."""
    code = {path.name: path.read_text() for path in sorted(_CODE.iterdir()) if path.is_file()}
    return code | {"kdjax_sizes.h": sizes(detector), "kdjax_tables.c": tables(detector)}


_OF_R_PEAKS = ("SWING", "HALF", "SPREAD", "LAG", "WAIT", "T_WAVE", "REACH", "LEARN", "RATIO",
               "FLOOR", "SILENCE")  # fmt: skip


def sizes(detector: Integers) -> str:
    """The header of constants: sizes of arrays and the numbers of the score."""
    network, fitted = detector.network, detector.score
    constants = {
        "KDJAX_WINDOW": network.length,
        "KDJAX_LATENT": network.latent,
        "KDJAX_LAYER": _largest_activation(network),
        "KDJAX_TAPS": 2 * len(frontend.taps()) - 1,
        "KDJAX_RING": frontend.RING,
        "KDJAX_BEFORE": beats.BEFORE,
        "KDJAX_AFTER": beats.AFTER,
        **{f"KDJAX_{name}": getattr(frontend, name) for name in _OF_R_PEAKS},
        "KDJAX_FLAT": frontend.FLAT,
        "KDJAX_SLOPE": quantise.SLOPE,
        "KDJAX_SLOPE_BITS": quantise.SLOPE_BITS,
        "KDJAX_LN2": fixed.LN2,
        "KDJAX_TWO_LOG2_E": fixed.TWO_LOG2_E,
        "KDJAX_REST_MULTIPLIER": fitted.rest[0],
        "KDJAX_REST_SHIFT": fitted.rest[1],
        "KDJAX_QUARTILES": score.QUARTILES,
        "KDJAX_TOLERANCE": score.TOLERANCE,
        "KDJAX_PREMATURITY_MOST": score.PREMATURITY_MOST,
        "KDJAX_IN_TIME": score.IN_TIME,
        "KDJAX_LEARNT": score.LEARNT,
        "KDJAX_UNSETTLED": score.UNSETTLED,
        "KDJAX_USUAL_LEAST": score.USUAL_LEAST,
        "KDJAX_USUAL_MOST": score.USUAL_MOST,
        "KDJAX_USUAL_BITS": score.USUAL_BITS,
        "KDJAX_THRESHOLD": fitted.threshold,
    }
    lines = ["/* Written by kdjax export. */", "#ifndef KDJAX_SIZES_H", "#define KDJAX_SIZES_H", ""]
    lines += [f"#define {name} {value}" for name, value in constants.items()]
    return "\n".join([*lines, "", "#endif", ""])


def _largest_activation(network: Network) -> int:
    """Numbers in the largest activation with the steps before and after it, a multiple of four."""
    steps, largest = network.length, network.length + 2
    for name, layer in network.layers.items():
        channels = len(layer.multiplier)
        if name.startswith("encoder"):
            steps //= 2
            largest = max(largest, (steps + 2) * channels)
    return -(-largest // 4) * 4


def tables(detector: Integers) -> str:
    """The C source of all constant tables."""
    network, fitted = detector.network, detector.score
    lines = ["/* Written by kdjax export. */", '#include "kdjax_tables.h"', ""]
    for name, layer in network.layers.items():
        lines += _layer(name, layer)
    lines += ["const kdjax_layer kdjax_layers[12] = {"]
    lines += [f"    {_layer_row(name, layer)}," for name, layer in network.layers.items()]
    lines += ["};", ""]
    for name, distance in (("residual", fitted.residual), ("latent", fitted.latent)):
        lines += _distance(name, distance)
    lines += [_tail("shape", fitted.shape), _tail("timing", fitted.timing), ""]
    lines += _array("int16_t", "kdjax_taps", frontend.taps(), static=False)
    for name in ("LOG2", "EXP2"):
        table = getattr(fixed, name)
        lines += _array("uint16_t", f"kdjax_table_{name.lower()}", table, static=False)
    return "\n".join(lines)


def _layer(name: str, layer: Layer) -> Iterator[str]:
    weights = layer.weights if _is_encoder(name) else _paired(layer.weights)
    yield from _array("int8_t", f"{name}_weights", weights)
    channels = np.stack([layer.bias, layer.multiplier], axis=1)
    yield from _array("kdjax_channel", f"{name}_channels", channels)


def _is_encoder(name: str) -> bool:
    """Whether a layer's inputs have 8 bits."""
    return name == "head" or name.startswith("encoder")


def _paired(weights: np.ndarray) -> np.ndarray:
    """Every whole group of four inputs in the order 0 2 1 3, in which a Cortex-M4 unpacks them."""
    paired = weights.copy()
    whole = weights.shape[2] // 4 * 4
    paired[..., 1:whole:4], paired[..., 2:whole:4] = (
        weights[..., 2:whole:4],
        weights[..., 1:whole:4],
    )
    return paired


def _layer_row(name: str, layer: Layer) -> str:
    _, rows, inputs = layer.weights.shape
    sizes = f"{inputs}, {rows}, {len(layer.multiplier)}, {layer.most}"
    shifts = f"{layer.bias_shift}, {layer.shift}"
    activation = f"KDJAX_{layer.activation.upper()}"
    return f"{{{name}_weights, {name}_channels, {sizes}, {shifts}, {activation}}}"


def _distance(name: str, distance: Distance) -> Iterator[str]:
    whiten = distance.whiten[np.triu_indices(len(distance.whiten))]
    yield from _array("int8_t", f"{name}_centre", distance.centre // score.CENTRE_UNIT)
    yield from _array("int8_t", f"{name}_whiten", whiten)
    yield from _array("uint16_t", f"{name}_whiten_multiplier", distance.multiplier)
    yield from _array("uint8_t", f"{name}_whiten_shift", distance.shift)
    yield f"const kdjax_distance kdjax_{name} = {{"
    parts = [f"{name}_{what}" for what in ("centre", "whiten")]
    parts += [f"{name}_whiten_{what}" for what in ("multiplier", "shift")]
    yield f"    {', '.join(parts)}, {distance.usual}}};"
    yield ""


def _tail(name: str, tail: Tail) -> str:
    return f"const kdjax_tail kdjax_{name} = {{{tail.median}, {tail.inverse}}};"


def _array(kind: str, name: str, values: np.ndarray, *, static: bool = True) -> Iterator[str]:
    """A constant array, of structs where `values` has two axes; as many a line as fit."""
    is_struct = kind == "kdjax_channel"
    rows = values.tolist() if is_struct else np.ravel(values).tolist()
    yield f"{'static ' if static else ''}const {kind} {name}[{len(rows)}] = {{"
    line = "   "
    for row in rows:
        number = f"{{{', '.join(map(str, row))}}}" if is_struct else str(row)
        if len(line) + len(number) + 2 > _COLUMNS:
            yield line
            line = "   "
        line += f" {number},"
    yield line
    yield "};"
    yield ""
