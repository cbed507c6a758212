"""EDF and BDF."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from kdjax.recordings.source import (
    BLOCK_VALUES,
    Source,
    block_length,
    reading,
    refusal,
    spans,
    voltages,
)

# EDF and BDF: https://www.edfplus.info/specs/edf.html, https://www.biosemi.com/faq/file_format.htm


def open_edf(file: Path, fs: float | None, units: str | None) -> Source:
    """An EDF or BDF file, which its first byte tells apart.

    edfio reads whole files: it is given the header with a few records at a time.
    """
    try:
        import edfio
    except ImportError as error:
        raise refusal(file, "EDF needs one more package: pip install 'kdjax[edf]'") from error
    with reading(file.stem, file):
        with file.open("rb") as opened:
            header = opened.read(256)
            if header[:8] not in (b"0       ", b"\xffBIOSEMI"):
                raise refusal(file, "is neither EDF nor BDF; check what it is")
            n = int(header[252:256])
            header += opened.read(256 * max(0, n))
        if n < 1 or len(header) != 256 * (n + 1) or int(header[184:192]) != len(header):
            raise refusal(file, "its header is truncated or damaged; copy it again")
        if not 0 < float(header[244:252]) < np.inf:
            raise refusal(file, "its data records last no time; choose a file with signals")
        if header[192:197] in (b"EDF+D", b"BDF+D"):
            raise refusal(file, "is an interrupted recording (EDF+D); convert it to EDF+C")
        at = 256 + 216 * n
        per_record = [int(header[at + 8 * i : at + 8 * i + 8]) for i in range(n)]
        if min(per_record) < 1 or sum(per_record) > 10 * BLOCK_VALUES:
            raise refusal(file, f"{sum(per_record)} samples a data record cannot be read")
        bdf = header[0] == 0xFF
        parse: Any = edfio.read_bdf if bdf else edfio.read_edf
        edf = parse(header, header_encoding="latin-1")
        signals = edf.signals  # without annotations
        found = voltages(
            file,
            [signal.label for signal in signals],
            [signal.physical_dimension or units or "" for signal in signals],
            [float(signal.sampling_frequency) for signal in signals],
            fs,
            units,
        )
        for signal in (signals[i] for i in found.places):
            physical, digital = signal.physical_range, signal.digital_range
            if not np.ptp(physical) > 0 or not np.isfinite(physical).all() or not np.ptp(digital):
                raise refusal(file, f"{signal.label} has no range of values; repair the header")
        size = sum(per_record) * (3 if bdf else 2)
        stated = int(header[236:244])
        held = (file.stat().st_size - len(header)) // size
        if stated > held or stated < -1:
            raise refusal(
                file,
                f"its header says {stated} data records, it holds {held}; it is truncated or "
                "damaged: copy it again",
            )
        records = held if stated == -1 else stated  # -1: the recorder was not stopped
        step = block_length(1 / edf.data_record_duration, sum(per_record))

    def read(columns: list[int]) -> Iterator[np.ndarray]:
        places = [found.places[column] for column in columns]
        for start, stop in spans(records, step):
            with reading(file.stem, file):
                with file.open("rb") as opened:
                    opened.seek(len(header) + start * size)
                    data = opened.read((stop - start) * size)
                part = header[:236] + b"%-8d" % (stop - start) + header[244:] + data
                signals = parse(part, header_encoding="latin-1").signals
                signal = np.stack([signals[i].data for i in places], axis=1)
                signal *= found.per_unit[columns]
            yield signal

    length = records * signals[found.places[0]].samples_per_data_record
    return Source(file.stem, found.fs, found.leads, length, read)
