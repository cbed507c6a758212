"""Recordings that tests write, and what they read of them."""

import numpy as np
import wfdb
from file_bytes import csv_bytes, edf_fields, edf_header, ishne_bytes, wfdb_bytes


def write_record(folder, name="r1", length=2000, leads=("V5", "MLII"), symbols="+NVN", invalid=()):
    """Writes a record whose lead i is a ramp of 200 steps of 5 uV, starting at i mV; gives it."""
    steps = np.arange(length)[:, None] % 200 + 200 * np.arange(len(leads))
    digital = steps.copy()
    digital[list(invalid), 0] = -2048  # format 212's mark of an invalid sample
    wfdb.wrsamp(
        name,
        fs=360,
        units=["mV"] * len(leads),
        sig_name=list(leads),
        d_signal=digital,
        fmt=["212"] * len(leads),
        adc_gain=[200.0] * len(leads),
        baseline=[0] * len(leads),
        write_dir=str(folder),
    )
    if symbols:
        samples = np.arange(1, len(symbols) + 1) * 300
        wfdb.wrann(name, "atr", samples, symbol=list(symbols), write_dir=str(folder))
    return steps / 200


def whole(source, columns=None):
    """The source's leads, read to the end and joined."""
    columns = range(len(source.leads)) if columns is None else columns
    return np.concatenate(list(source.blocks(columns)))


def write_wfdb(folder, signal, name="r1", **options):
    header, data = wfdb_bytes(signal, name, **options)
    (folder / f"{name}.dat").write_bytes(data)
    (folder / f"{name}.hea").write_bytes(header)
    return folder / f"{name}.hea"


def write_edf(folder, signal, bdf=False, changes=(), **options):
    fields, data = edf_fields(signal, bdf=bdf, **options)
    for name, lead, value in changes:
        fields[name, lead] = (value, fields[name, lead][1])
    path = folder / ("r1.bdf" if bdf else "r1.edf")
    path.write_bytes(edf_header(fields) + data)
    return path


def write_bdf(folder, signal, **options):
    return write_edf(folder, signal, bdf=True, **options)


def write_csv(folder, signal):
    path = folder / "r1.csv"
    path.write_bytes(csv_bytes(signal, "I,II" if signal.shape[1] == 2 else ""))
    return path


def write_npy(folder, signal):
    np.save(folder / "r1.npy", signal)
    return folder / "r1.npy"


def write_text(folder, content, name="r1.csv"):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder / name


def write_ishne(folder, signal, name="r1.ecg", **options):
    """Writes an ISHNE Holter file; see `file_bytes.ishne_bytes`."""
    (folder / name).write_bytes(ishne_bytes(signal, **options))
    return folder / name


STATED = {
    write_wfdb: True,
    write_edf: True,
    write_bdf: True,
    write_ishne: True,
    write_csv: False,
    write_npy: False,
}
GIVEN = {"fs": 360.0, "units": "mV"}


BARE = "r1 1 360 900\nr1.dat 16 200/mV 16 0 0 0 0 II\n"


def write_headed(folder, header, name="r1.hea", data="r1.dat"):
    """A record of 900 samples, a ramp of 5 uV a step, under the header given."""
    (folder / data).write_bytes(np.arange(900, dtype="<i2").tobytes())
    return write_text(folder, header, name)
