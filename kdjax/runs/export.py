"""A run without kdjax: as one file of ONNX or of StableHLO, or as a folder of C.

The graph of the first two takes band-passed windows in mV and scales, reconstructs, scores and
decides; see docs/guides/export.md for its inputs, outputs and metadata, and `onnx_model` for the
one of ONNX. The C library takes samples, see `embedded`.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.export
import jax.numpy as jnp
import numpy as np

import kdjax
from kdjax import beats
from kdjax.detection import detector_files
from kdjax.detection.detector import Detector, float32_threshold
from kdjax.embedded import library, stream
from kdjax.embedded.library import Parity
from kdjax.errors import InputError, ParityError
from kdjax.files import json_bytes, write_files
from kdjax.models.folded import fold
from kdjax.models.inference import forward
from kdjax.models.networks import anomaly_score
from kdjax.runs import directory, onnx_model

FORMATS = ("onnx", "stablehlo")  # of one file; C is a folder
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
TOLERANCE = 1e-5  # of a score, relative; of scaled samples, absolute
INT8_TOLERANCE = 0.5  # of a score, relative to the threshold where the score is below it

_SMALLEST = np.finfo(np.float32).tiny  # what is divided by, at least

Call = Callable[[np.ndarray], Mapping[str, Any]]


def export(run: str | Path, form: str, out: Path, *, int8: bool = False) -> float:
    """Writes `run` to the file `out`, for "stablehlo" its metadata to `out`.json too.

    What is written has been run against the Detector, see `check`; gives the largest relative
    difference of their scores. int8: ONNX with weights and activations of 8 bits, checked to
    INT8_TOLERANCE. Raises InputError when the run cannot be loaded or has no threshold, or for int8
    no calibration or several leads, `out` is a folder, or the ONNX packages are not installed;
    ParityError when the file disagrees with the Detector.
    """
    if form not in FORMATS:
        raise InputError(f"no format {form!r}; choose from {', '.join(FORMATS)}")
    if int8 and form != "onnx":
        raise InputError(f"--int8 goes with --format onnx or c; {form} has float32 only")
    if out.is_dir():
        raise InputError(f"{out}: is a folder; name a file")
    if form == "onnx":
        onnx_model.check_installed()
    detector = directory.load_run(run)
    if detector.threshold is None:
        raise InputError(
            f"{run}: has no threshold, because too few beats were held out for any of its "
            "eval.fpr_targets; train it with a higher one"
        )
    about, files = metadata(run, detector), {}
    if int8:
        content = onnx_model.to_onnx_int8(detector, about)
        error = check_int8(onnx_model.read_onnx(content), detector)
    elif form == "onnx":
        content = onnx_model.to_onnx(detector, about)
        error = check(onnx_model.read_onnx(content), detector)
    else:
        content = to_stablehlo(detector)
        error = check(read_stablehlo(content), detector)
        files[out.with_name(out.name + ".json")] = json_bytes(about)
    write_files(files | {out: content})
    return error


def export_c(run: str | Path, out: Path) -> Parity:
    """Writes `run` as a library of C in integers to the new folder `out`.

    Gives how it decides beside the float detector. Raises InputError when the run cannot be loaded
    or is none that the library knows (`library.integers`, `library.check`), or `out` holds
    something already; ParityError when the integers do not decide as the float detector does.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out}: already holds something; name a new folder")
    detector = directory.load_run(run)
    found, signal = library.integers(detector), library.test_signal(detector)
    decisions = stream.decide(found, signal)
    parity = library.check(detector, found, signal=signal, decisions=decisions)
    content = library.files(found, signal, decisions)
    content["README.md"] = library.readme(found, parity, metadata(run, detector)).encode()
    write_files({out / name: data for name, data in content.items()})
    return parity


def metadata(run: str | Path, detector: Detector) -> dict[str, Any]:
    """What a file says of itself, in JSON's terms: how to make its input, what its decision is."""
    generator = detector.generator
    return {
        "kdjax": kdjax.__version__,
        "window": generator.length,
        **(_of_ecg(detector) if detector.ecg else _OF_WINDOWS),
        "leads": generator.channels,
        "score": "mean squared error of the reconstruction, of a window scaled to [-1, 1]; "
        "infinity for a window that holds NaN or infinity",
        "threshold": detector.threshold,
        "weights": directory.fingerprint(detector.variables),
        "source": _source(run),
    }


_OF_WINDOWS = {
    "input": "windows as prepared, in their own unit: [batch, window, channels]; shorter ones are "
    "padded at the end with their last sample",
}


def _of_ecg(detector: Detector) -> dict[str, Any]:
    """How a detector of heartbeats gets its windows."""
    low, high = beats.BAND
    order = len(beats.band_taps(beats.FS)) - 1
    return {
        "input": "ECG windows, band-passed, in mV: [batch, window, leads]",
        "sampling_rate": beats.FS,
        "before": beats.BEFORE,
        "centre": "R-peak: the maximum of the band-passed first lead within 50 ms of its detection",
        "filter": f"band-pass {low:g}-{high:g} Hz, FIR of order {order} (windowed sinc, Hamming), "
        "forwards and backwards",
        "lead_names": list(detector.calibration.leads) if detector.calibration else None,
    }


def _source(run: str | Path) -> dict[str, Any]:
    """Where a run's weights and threshold come from; of a shipped detector, its card."""
    if not Path(run).exists():
        return detector_files.read_card(detector_files.shipped()[str(run)])["card"]
    result = directory.read_result(Path(run))
    names = ("dataset", "protocol", "fold", "fingerprints")
    rate = directory.decided_by(result)["fpr_target"]
    return {"fpr_target": rate} | {name: result[name] for name in names}


# --- parity ------------------------------------------------------------------------------------


def check(call: Call, detector: Detector) -> float:
    """The largest relative difference between an exported file's scores and the Detector's.

    On `probes`, in batches of 1, 2, 17 and the rest. Raises ParityError where scores differ by more
    than a relative 1e-5, scaled windows or reconstructions by 1e-5, or a decision at all, unless
    the score is within that of the threshold.
    """
    _check_not_finite(call, detector)
    threshold, worst = float(float32_threshold(detector)), 0.0
    for windows in np.split(probes(detector), np.cumsum([1, 2, 17])):
        x = beats.scale(windows)
        score, x_hat = detector.score(x), detector.reconstruct(x)
        found = _outputs(call, windows)
        differences = {
            "score": np.abs(found["score"] - score) / np.maximum(score, _SMALLEST),
            "x": np.abs(found["x"] - x),
            "x_hat": np.abs(found["x_hat"] - x_hat),
            "abnormal": (found["abnormal"] != (score > threshold))
            & (np.abs(score - threshold) > TOLERANCE * threshold),
        }
        for name, difference in differences.items():
            if not difference.max() <= TOLERANCE:  # NaN is no agreement
                raise ParityError(
                    f"{name} differs from the Detector's by {difference.max():.1e} on one of "
                    f"{len(x)} windows, {TOLERANCE:g} is allowed; please report it"
                )
        worst = max(worst, float(differences["score"].max()))
    return worst


def check_int8(call: Call, detector: Detector) -> float:
    """The largest difference between an int8 file's scores and the Detector's.

    On the beats that set its ranges, relative to the threshold or to a score above it. Raises
    ParityError where it is more than INT8_TOLERANCE, or a decision differs whose score is further
    from the threshold.
    """
    _check_not_finite(call, detector)
    windows = library.drawn(detector).astype(np.float32)
    threshold, score = float(float32_threshold(detector)), detector.score(windows)
    found = _outputs(call, windows)
    away = np.abs(found["score"] - score) / np.maximum(score, threshold)
    sure = np.abs(score - threshold) > INT8_TOLERANCE * threshold
    differ = (found["abnormal"] != (score > threshold)) & sure
    if not away.max() <= INT8_TOLERANCE or differ.any():  # NaN is no agreement
        raise ParityError(
            f"int8 scores differ from the Detector's by {away.max():.1e}, {differ.sum()} decisions "
            f"with them; {INT8_TOLERANCE:g} is allowed; please report it"
        )
    return float(away.max())


def _check_not_finite(call: Call, detector: Detector) -> None:
    """Raises ParityError unless windows that hold NaN or infinity, and they alone, score that."""
    windows = probes(detector)[-4:].copy()
    windows[0, 7, -1], windows[1, 0], windows[2, -1, 0] = np.nan, np.inf, -np.inf
    found = _outputs(call, windows)
    if found["score"].tolist()[:3] != [np.inf] * 3 or not np.isfinite(found["score"][3]):
        raise ParityError(f"windows with NaN or infinity score {found['score']}; please report it")
    if not found["abnormal"][:3].all():
        raise ParityError("windows with NaN or infinity are not abnormal; please report it")


def _outputs(call: Call, windows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: np.asarray(array) for name, array in call(windows).items()}


def probes(detector: Detector) -> np.ndarray:
    """Windows float32 [N, T, C] to compare on, the same every time.

    Band-passed noise, what the network itself makes of it (which scores low), and what comes in odd
    recordings: flat leads, one step of the converter, amplitudes of microvolts and of volts.
    """
    length, channels = detector.generator.length, detector.generator.channels
    noise = beats.bandpass(
        np.random.default_rng(0).normal(0, 0.5, (100 * length, channels)), beats.FS
    )
    windows = noise.reshape(-1, length, channels)
    odd = windows[:6].copy()
    odd[0, :, 0] = 0
    odd[1] = 0
    odd[2] = 0.25
    odd[3] = 0
    odd[3, length // 2] = 2.0**-14
    odd[4] *= 1e-3
    odd[5] *= 1e3
    own = detector.reconstruct(beats.scale(windows))
    return np.concatenate([odd, own, windows])


# --- StableHLO ---------------------------------------------------------------------------------


def to_stablehlo(detector: Detector) -> bytes:
    """The serialised `jax.export.Exported` of windows [batch, T, C] -> a dict of outputs."""
    folded, threshold = fold(detector.variables), float32_threshold(detector)

    def decide(windows: jax.Array) -> dict[str, jax.Array]:
        low, high = (f(windows, axis=1, keepdims=True) for f in (jnp.min, jnp.max))
        flat = high == low
        scaled = (windows - low) / jnp.where(flat, jnp.float32(1), high - low) * 2 - 1
        x = jnp.where(flat, jnp.float32(0), scaled)
        x_hat, _ = forward(folded, x)
        finite = jnp.isfinite(windows).all(axis=(1, 2))
        score = jnp.where(finite, anomaly_score(x_hat, x), jnp.float32(jnp.inf))
        return {"score": score, "abnormal": score > threshold, "x": x, "x_hat": x_hat}

    shape = jax.export.symbolic_shape(
        f"batch, {detector.generator.length}, {detector.generator.channels}"
    )
    windows = jax.ShapeDtypeStruct(shape, jnp.float32)
    with _no_locations():
        exported = jax.export.export(jax.jit(decide), platforms=PLATFORMS)(windows)
    return bytes(exported.serialize())


@contextlib.contextmanager
def _no_locations() -> Iterator[None]:
    """Keeps the paths of source files out of what is lowered: the same run gives the same bytes."""
    name = "jax_traceback_in_locations_limit"
    limit = jax.config.values[name]
    jax.config.update(name, 0)
    try:
        yield
    finally:
        jax.config.update(name, limit)


def read_stablehlo(content: bytes) -> Call:
    """The function that a file holds."""
    return jax.jit(jax.export.deserialize(bytearray(content)).call)
