"""A detector in integers on small devices: the same integers everywhere, memory, instructions.

python -m benchmarks.speed.embedded --records DIR [--data-dir DIR] [--run RUN ...]

Writes docs/results/embedded_device.json. DIR holds the MIT-BIH records. Without --run: the shipped
detector; a cell of `kdjax study configs/study.py:embedded` is a run too. Needs gcc, make,
arm-none-eabi-gcc and qemu-system-arm.

same: decisions, scores and hashes of latents and residuals on 10,000 drawn beats and on half an
hour of a record, of NumPy, of the host under gcc's sanitizers, and of a Cortex-M4 and a Cortex-M0
under QEMU. A difference ends the command with an error. cores: flash, memory and instructions of a
build for size (-Os), counted by QEMU on nine minutes of beats, learnt and decided on.
"""

import datetime
import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.embedded import SHIPPED, given, load, said, signal
from benchmarks.shared import write_rows
from kdjax.detection.detector import Detector
from kdjax.embedded import library, quantise, stream, trials
from kdjax.embedded.stream import Integers
from kdjax.models.folded import fold
from kdjax.runs import provenance

RESULT = Path("docs/results/embedded_device.json")
COMMAND = "python -m benchmarks.speed.embedded --records DIR --run RUN"
BEATS, MORE = 10_000, 100  # drawn beats; the first seconds give none
RECORD = "208"  # of DS1, with many VEBs and fusion beats
SANITISED = "-O1 -fsanitize=undefined,address -fno-sanitize-recover=all"
CORES = ("m4", "m0")
_SAID = {
    "instructions a beat": r"instructions a beat: (\d+)",
    "most": r"at most: (\d+)",
    "instructions a sample": r"instructions a sample: (\d+)",
    "stack": r"stack in bytes: (\d+)",
}


def main() -> None:
    """Writes the result."""
    args, beats, parts = given(__doc__)
    result: dict[str, Any] = {"command": COMMAND, "record": RECORD, "cores": {}, "same": {}}
    result |= {"made_by": provenance.made_by(), "compilers": compilers()}
    result["date"] = datetime.datetime.now(datetime.UTC).date().isoformat()
    for run in args.run or [SHIPPED]:
        detector = load(run, beats, parts)
        integers = library.integers(detector)
        name = f"width {integers.network.width}"
        result["cores"][name] = counted(detector, integers)
        write_rows(RESULT, result)
        for what, whole in signals(detector, args.records):
            for row in same(integers, whole):
                result["same"][f"{name}, {what}, {row['on']}"] = row
                write_rows(RESULT, result)


def compilers() -> dict[str, str]:
    """The first line of what each tool says of itself."""
    tools = ("gcc", "arm-none-eabi-gcc", "qemu-system-arm")
    return {tool: said(Path(), tool, "--version").splitlines()[0] for tool in tools}


def signals(detector: Detector, records: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Drawn beats one after the other, and a record: names and int64 [T] in microvolts."""
    assert detector.calibration is not None
    rng = np.random.default_rng(2)
    count = BEATS + MORE
    x = trials.normal_beats(detector.calibration, fold(detector.variables), count=count, rng=rng)
    yield f"{BEATS:,} beats", trials.signal(x, rng=rng)
    yield f"record {RECORD}", signal(records, RECORD)


def same(integers: Integers, whole: np.ndarray) -> Iterator[dict[str, Any]]:
    """Compares the host and both cores with NumPy on a signal; SystemExit where they differ."""
    decisions = stream.decide(integers, whole)
    about = {"beats": len(decisions), "scored": sum(d.scored for d in decisions)}
    about |= {"samples": len(whole), "kinds": _counts([d.kind for d in decisions])}
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), integers, whole, decisions=decisions)
        for on, *command in (
            ("host", "check", f"CFLAGS={SANITISED}"),
            *((core, f"check-{core}", "COUNT=") for core in CORES),
        ):
            text = said(Path(folder), "make", *command)
            assert f"beats as expected: {len(decisions)}" in text, text
            yield {"on": on} | about


def _counts(kinds: Sequence[str]) -> dict[str, int]:
    return {kind: kinds.count(kind) for kind in "NSVQ"}


def write(
    folder: Path, integers: Integers, whole: np.ndarray, *, decisions: list[stream.Decision]
) -> None:
    """The library with a signal and the decisions expected on it."""
    for name, content in library.files(integers, whole, decisions).items():
        (folder / name).write_bytes(content)


def counted(detector: Detector, integers: Integers) -> dict[str, Any]:
    """Size of the network, and flash, memory and instructions on both cores."""
    whole = library.test_signal(detector)
    about = {
        "weights": sum(layer.weights.size for layer in integers.network.layers.values()),
        "multiply_accumulates": quantise.multiply_accumulates(integers.network),
    }
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), integers, whole, decisions=stream.decide(integers, whole))
        return about | {core: _core(Path(folder), core) for core in CORES}


def _core(folder: Path, core: str) -> dict[str, int]:
    sizes = said(folder, "make", "-s", f"size-{core}")
    flash, state = (int(n) for n in re.findall(r"(?:flash|state): (\d+)", sizes))
    text = said(folder, "make", "-s", f"check-{core}")
    found = {name: int(re.findall(pattern, text)[0]) for name, pattern in _SAID.items()}
    return {"flash": flash, "state": state} | found


if __name__ == "__main__":
    main()
