"""Recordings as the bytes of a file, written here rather than by the libraries that read them.

Those refuse to write most of what `malformed` makes of them.
"""

import binascii
import datetime
import struct
from collections.abc import Sequence

import numpy as np

FS = 360.0


def ecg(seconds: float, rng: np.random.Generator, fs: float = FS, rate: float = 72) -> np.ndarray:
    """Something with P, QRS and T in mV, [T, 2]: Gaussian bumps at `rate` beats a minute."""
    time = np.arange(int(seconds * fs)) / fs
    phase = (time * rate / 60) % 1
    bumps = [(0.2, 0.15, 0.025), (0.36, -0.1, 0.008), (0.38, 1.2, 0.01), (0.41, -0.25, 0.01)]
    lead = sum(a * np.exp(-0.5 * ((phase - p) / w) ** 2) for p, a, w in [*bumps, (0.65, 0.3, 0.05)])
    noise = rng.normal(0, 0.01, (len(time), 2))
    return np.stack([lead, 0.6 * lead], axis=1) + noise


def wfdb_bytes(signal: np.ndarray, name: str, fs: float = FS, units: str = "mV"):
    """(header, samples) of a record in format 16, 200 steps a unit; NaN is the invalid sample."""
    steps = np.clip(np.rint(signal * 200), -32767, 32767)
    steps = np.nan_to_num(steps, nan=-32768).astype("<i2")
    lines = [f"{name} {signal.shape[1]} {fs:g} {len(signal)}"]
    lines += [f"{name}.dat 16 200(0)/{units} 16 0 0 0 0 L{i}" for i in range(signal.shape[1])]
    return "\n".join([*lines, ""]).encode(), steps.tobytes()


def edf_fields(signal: np.ndarray, fs: float = FS, units: str = "mV", bdf: bool = False):
    """The header's fields in order, {(name, signal or None): (bytes, width)}, and the samples.

    Data records last a second; what is over is left out. Values lie between -5 and 5 units.
    """
    n, per_record = signal.shape[1], int(fs)
    records, most = len(signal) // per_record, 8388607 if bdf else 32767
    main = [
        ("version", b"\xffBIOSEMI" if bdf else b"0", 8), ("patient", b"X X X X", 80),
        ("recording", b"Startdate X X X X", 80), ("date", b"01.01.01", 8), ("time", b"00.00.00", 8),
        ("header bytes", b"%d" % (256 * (n + 1)), 8), ("reserved", b"", 44),
        ("records", b"%d" % records, 8), ("duration", b"1", 8), ("signals", b"%d" % n, 4),
    ]  # fmt: skip
    each = [
        ("label", b"ECG", 16), ("transducer", b"", 80), ("unit", units.encode("latin-1"), 8),
        ("physical min", b"-5", 8), ("physical max", b"5", 8), ("digital min", b"%d" % -most, 8),
        ("digital max", b"%d" % most, 8), ("filter", b"", 80),
        ("samples", b"%d" % per_record, 8), ("reserved", b"", 32),
    ]  # fmt: skip
    fields = {(name, None): (value, width) for name, value, width in main}
    fields |= {(name, i): (value, width) for name, value, width in each for i in range(n)}
    steps = np.clip(np.rint(np.nan_to_num(signal) * most / 5), -most, most).astype("<i4")
    steps = steps[: records * per_record].reshape(records, per_record, n).transpose(0, 2, 1)
    if bdf:
        data = np.ascontiguousarray(steps).view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    else:
        data = steps.astype("<i2").tobytes()
    return fields, data


def edf_header(fields: dict) -> bytes:
    return b"".join(value[:width].ljust(width) for value, width in fields.values())


def ishne_bytes(
    signal: np.ndarray,
    fs: int = int(FS),
    *,
    resolution: int = 5000,
    codes: Sequence[int] = (6, 5),
    block: bytes = b"made up",
    start: datetime.datetime = datetime.datetime(2024, 2, 29, 23, 59, 30),
) -> bytes:
    """An ISHNE Holter file of [T, leads] in mV, `resolution` nV a step; NaN is a fault."""
    n = signal.shape[1]
    steps = np.nan_to_num(np.rint(signal * 1e6 / resolution), nan=-32768).astype("<i2")
    dates = (1, 1, 1950, start.day, start.month, start.year, 1, 3, 2024)
    header = struct.pack("<4ih", len(block), len(signal), 522, 522 + len(block), 1)
    header += struct.pack("<40s40s20s2h9h", b"A", b"B", b"1", 1, 0, *dates)
    header += struct.pack("<3hh", start.hour, start.minute, start.second, n)
    header += struct.pack("<12h", *[*codes, *[-9] * 12][:12]) + struct.pack("<12h", *[0] * 12)
    header += struct.pack("<12h", *[*[resolution] * n, *[-9] * 12][:12])
    header += struct.pack("<h40sh80s80s88s", 0, b"", fs, b"", b"", b"")
    checksum = struct.pack("<H", binascii.crc_hqx(header + block, 0xFFFF))
    return b"ISHNE1.0" + checksum + header + block + steps.tobytes()


def csv_bytes(signal: np.ndarray, header: str = "I,II", sep: str = ",") -> bytes:
    rows = "\n".join(sep.join(f"{value:.4f}" for value in row) for row in signal)
    return (f"{header}\n" if header else "").encode() + rows.encode() + b"\n"
