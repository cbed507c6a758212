"""Random valid WFDB records, read by kdjax and by wfdb: where the two differ, one misreads.

Samples are random bytes; headers take every form that the format allows and wfdb understands.
"""

import datetime
import random
import shutil
import warnings
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kdjax.recordings.wfdbsignals import PACKING

COUNT = 3000
RATES = ("360", "250", "128", "500.5", "360/360", "360/1000(5)", "360/360(-12.5)")
STARTS = ("", " 12:30:01", " 1:02:03.5", " 12:30 01/02/1999", " 23:59:59.999 29/02/2000")
GAINS = ("200", "0", "1000.5", "-200", "1e2", "6553.6", ".5", "200.", "2.5e-1")
LEADS = ("II", "V1", "MLII", "chest lead", "lead-2", "a/b")
MILLIVOLTS = {"mV": 1, "uV": 1e-3, "V": 1e3}

FAILS = "wfdb fails, kdjax reads"


class Made(NamedTuple):
    """A header, and for each signal its format, samples a frame and skew."""

    header: Path
    signals: list[tuple[str, int, int]]


def same_as_wfdb(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Records of one segment and, a quarter of them, of several."""
    records = 40 if quick else COUNT
    counts, compared, strange = Counter(), Counter(), []
    for number in range(records):
        rng = random.Random(f"{seed} {number}")
        place = folder / str(number)
        place.mkdir()
        if number % 4 == 3:
            made = segments(place, rng)
            said = compared_with_wfdb(made, several=True)
        else:
            made = record(place, rng)
            said = compared_with_wfdb(made)
        counts[said] += 1
        compared.update(format_ for format_, _, _ in made.signals)
        if said not in ("equal", FAILS):
            strange.append(f"{said}: {made.header.read_text()}")
            print(strange[-1], flush=True)
        shutil.rmtree(place)
    return {
        "records": records,
        "equal": counts["equal"],
        "wfdb_fails": counts[FAILS],
        "signals": {name: compared[name] for name in PACKING},
        "strange": strange[:20],
    }


def record(folder: Path, rng: random.Random) -> Made:
    """Up to four signals in one or two files, some skewed, some with several samples a frame."""
    frames, skewed = rng.randint(30, 400), rng.random() < 0.3
    signals, lines = [], []
    for number in range(rng.randint(1, 2)):
        format_, file = rng.choice(list(PACKING)), f"r{number}.dat"
        offset = rng.choice((0, 0, 0, 5, 512))
        rows = [
            (format_, rng.choice((1, 1, 1, 2, 4)), rng.choice((0, 1, 3, 7)) if skewed else 0)
            for _ in range(rng.randint(1, 2))
        ]
        count = sum(per_frame for _, per_frame, _ in rows) * frames
        _write(folder / file, format_, count, offset=offset, rng=rng)
        signals += rows
        lines += [f"{file} {_packing(*row, offset=offset)}{_fields(rng)}" for row in rows]
    first = f"r {len(lines)} {rng.choice(RATES)} {frames}{rng.choice(STARTS)}"
    text = "\n".join([first, *rng.choice(((), ("# a note",))), *lines, ""])
    if rng.random() < 0.2:
        text = text.replace(" ", rng.choice(("\t", "   ")), rng.randint(1, 9))
    if rng.random() < 0.2:
        text = text.replace("\n", "\r\n")
    header = folder / "r.hea"
    header.write_bytes(text.encode())
    return Made(header, signals)


def _packing(format_: str, per_frame: int, skew: int, *, offset: int) -> str:
    text = format_ + (f"x{per_frame}" if per_frame > 1 else "")
    return text + (f":{skew}" if skew else "") + (f"+{offset}" if offset else "")


def _fields(rng: random.Random) -> str:
    """What follows the format in a signal's line; each field may be the last."""
    gain = f" {rng.choice(GAINS)}" + rng.choice(("", "", "(0)", "(-5)", "(1024)", "(-32768)"))
    gain += rng.choice(("", "/mV", "/mV", "/uV", "/V"))
    resolution, zero = f" {rng.choice((0, 8, 12, 16))}", f" {rng.choice((0, 0, 1024, -7))}"
    initial, checksum = f" {rng.randint(-100, 100)}", f" {rng.randint(-32768, 32767)}"
    name = f" {rng.choice(LEADS)}{rng.randrange(100)}"
    fields = (gain, resolution, zero, initial, checksum, " 0", name)
    return "".join(fields[: rng.choice((0, 1, 2, 3, 4, 5, 6, 7, 7, 7, 7))])


def segments(folder: Path, rng: random.Random) -> Made:
    """Segments of the same signals, or of some of a layout's, gaps between them."""
    leads, rate, has_layout = ("II", "V1", "aVF"), rng.choice(("360", "250")), rng.random() < 0.5
    gains = [rng.choice(("200(3)/mV", "100/mV", "1000(-4)/uV", "200")) for _ in leads]
    usual, signals, lines, total = rng.choice(list(PACKING)), [], [], 0
    if has_layout:
        rows = [f"~ 0 {gain} 12 0 0 0 0 {lead}" for gain, lead in zip(gains, leads, strict=True)]
        (folder / "m0.hea").write_text("\n".join([f"m0 3 {rate} 0", *rows, ""]))
        lines.append("m0 0")
    for number in range(1, rng.randint(2, 5)):
        frames = rng.randint(20, 200)
        total += frames
        if has_layout and number > 1 and rng.random() < 0.3:
            lines.append(f"~ {frames}")
            continue
        there = rng.sample(range(3), rng.randint(1, 3)) if has_layout else range(3)
        format_ = rng.choice(list(PACKING)) if has_layout else usual
        name = f"m{number}"
        _write(folder / f"{name}.dat", format_, len(there) * frames, offset=0, rng=rng)
        rows = [f"{name}.dat {format_} {gains[i]} 12 0 0 0 0 {leads[i]}" for i in there]
        first = f"{name} {len(there)} {rate} {frames}"
        (folder / f"{name}.hea").write_text("\n".join([first, *rows, ""]))
        lines.append(f"{name} {frames}")
        signals += [(format_, 1, 0)] * len(there)
    header = folder / "m.hea"
    header.write_text("\n".join([f"m/{len(lines)} 3 {rate} {total}", *lines, ""]))
    return Made(header, signals)


def _write(file: Path, format_: str, count: int, *, offset: int, rng: random.Random) -> None:
    """A file of at least `count` random samples."""
    packing = PACKING[format_]
    size = packing.size
    length = -(-count // packing.samples) * size + rng.choice((0, 0, 0, size, 2, 100))
    content = np.frombuffer(rng.randbytes(offset + length), np.uint8).copy()
    if format_ == "311":
        content[offset + 3 :: 4] &= 0x3F  # two bits mean nothing, and wfdb reads one of them
    file.write_bytes(content.tobytes())


def compared_with_wfdb(made: Made, several: bool = False) -> str:
    """'equal', FAILS, or how the two differ."""
    import wfdb

    from kdjax.errors import InputError
    from kdjax.recordings import open_source

    try:
        source = open_source(made.header)
        ours = np.concatenate(list(source.blocks(range(len(source.leads)))))
    except InputError as error:
        return f"refused: {error}"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            theirs: Any = wfdb.rdrecord(str(made.header.with_suffix("")), smooth_frames=several)
        except (ValueError, TypeError) as error:
            skewed = any(skew for *_, skew in made.signals)  # where it is known to
            return FAILS if skewed else f"wfdb fails: {error}"
    if several:
        rows = [theirs.sig_name.index(lead) for lead in source.leads]
        wanted = [theirs.p_signal[:, row] for row in rows]
    else:
        rows = [i for i, (_, n, _) in enumerate(made.signals) if n * theirs.fs == source.fs]
        wanted = [theirs.e_p_signal[row] for row in rows]
        for values, (_, per_frame, skew) in zip(
            wanted, [made.signals[row] for row in rows], strict=True
        ):
            if skew:  # wfdb marks too few samples where there are several a frame
                values[-skew * per_frame :] = np.nan
    wanted = [v * MILLIVOLTS[theirs.units[row]] for v, row in zip(wanted, rows, strict=True)]
    return _difference(source, ours, np.stack(wanted, axis=1), theirs=theirs)


def _difference(source: Any, ours: np.ndarray, wanted: np.ndarray, *, theirs: Any) -> str:
    if ours.shape != wanted.shape:
        return f"{ours.shape} and not {wanted.shape}"
    if not np.allclose(ours, wanted, rtol=1e-6, atol=0, equal_nan=True):
        return "other samples"
    start = None
    if theirs.base_date:
        start = datetime.datetime.combine(theirs.base_date, theirs.base_time)
    return "equal" if source.start == start else f"start {source.start} and not {start}"
