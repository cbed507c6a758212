"""Recordings that are damaged, false or strange, more than 500 of them, made from a seed.

See `file_bytes` for the whole files that they begin as.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from file_bytes import FS, csv_bytes, ecg, edf_fields, edf_header, ishne_bytes, wfdb_bytes

HERE = {"fs": FS, "units": "mV"}  # what the formats that do not state it are opened with
ABSURD = (b"", b"0", b"1", b"-1", b"1e30", b"nan", b"inf", b"99999999", b"abc", b"\xff\xfe", b"1.5")

Made = tuple[str, Path, dict]


def malformed(folder: Path, seed: int = 0) -> Iterator[Made]:
    """(name, path, options of `open_source`) of each, written into `folder` one by one."""
    rng = np.random.default_rng(seed)
    for make in (
        _signals, _wfdb_files, _edf_files, _ishne_files, _npy_files, _csv_files, _clocks, _paths,
    ):  # fmt: skip
        yield from make(folder, rng)


def _npy_bytes(shape: str, descr: str = "'<f4'", order: str = "False", data: bytes = b"") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}".encode()
    text = text.ljust(118 - 1) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + data


def _flipped(content: bytes, rng: np.random.Generator, count: int = 3) -> bytes:
    flipped = bytearray(content)
    for place in rng.integers(0, len(flipped), count):
        flipped[place] ^= int(rng.integers(1, 256))
    return bytes(flipped)


def _cuts(content: bytes, count: int) -> list[int]:
    """Lengths to cut to: none, one byte, evenly between, all but one byte."""
    return sorted({0, 1, *np.linspace(2, len(content) - 1, count).astype(int).tolist()})


def _write(folder: Path, name: str, content: bytes, options: dict) -> Made:
    path = folder / name
    path.write_bytes(content)
    return name, path, options


def _save(folder: Path, name: str, array: np.ndarray, options: dict = HERE) -> Made:
    path = folder / f"{name}.npy"
    np.save(path, array, allow_pickle=True)
    return name, path, options


def _record(folder: Path, name: str, header: bytes, data: bytes | None) -> Made:
    (folder / f"{name}.hea").write_bytes(header)
    if data is not None:
        (folder / f"{name}.dat").write_bytes(data)
    return name, folder / f"{name}.hea", {}


def _signals(folder: Path, rng: np.random.Generator) -> Iterator[Made]:
    """Whole files of signals that are not what a detector hopes for, 20 to 70 s each."""
    beats = ecg(30, rng)
    n = len(beats)
    time = np.arange(n) / FS
    gaps, dropouts, steps, clipped, spikes = (beats.copy() for _ in range(5))
    gaps[2000:2030] = gaps[5000:9000] = np.nan
    dropouts[3000:4500] = 0
    steps[4000:] += 40
    clipped = np.clip(clipped, -0.1, 0.4)
    spikes[rng.integers(0, n, 40)] = 25
    syllables = (np.sin(2 * np.pi * 3 * time) > 0) * rng.normal(0, 1, n)
    strange = {
        "beats": beats,
        "constant": np.full((n, 2), 0.7),
        "zeros": np.zeros((n, 2)),
        "all nan": np.full((n, 2), np.nan),
        "all infinite": np.full((n, 2), np.inf),
        "huge": beats * 1e30,
        "beyond float32": beats * 1e300,
        "tiny": beats * 1e-30,
        "swapped leads": beats[:, ::-1],
        "inverted": -beats,
        "gaps": gaps,
        "dropout": dropouts,
        "step": steps,
        "clipped": clipped,
        "spikes": spikes,
        "one good lead": np.stack([beats[:, 0], np.full(n, np.nan)], axis=1),
        "one beat": np.concatenate([beats[:280], np.zeros((9000, 2))]),
        "noise": rng.normal(0, 1, (n, 2)),
        "noisy beats": beats + rng.normal(0, 1, (n, 2)),
        "sine": np.sin(2 * np.pi * np.stack([time, 7 * time], axis=1)),
        "mains": beats + np.sin(2 * np.pi * 50 * time)[:, None],
        "square wave": np.sign(np.sin(2 * np.pi * 1.2 * np.stack([time, time], axis=1))),
        "speech": np.stack([syllables, np.convolve(syllables, np.ones(5) / 5, "same")], axis=1),
        "random walk": np.cumsum(rng.normal(0, 0.1, (n, 2)), axis=0),
        "nan at the ends": np.concatenate([gaps[5000:6000], beats, gaps[5000:6000]]),
        "every second nan": np.where(np.arange(n)[:, None] % 2 == 0, beats, np.nan),
        "fast": ecg(20, rng, rate=300),
        "slow": ecg(40, rng, rate=12),
        "minute": ecg(70, rng),
    }
    for name, signal in strange.items():
        yield _save(folder, f"signal {name}", signal)
    for fs in (50.0, 91.0, 128.0, 1000.0, 20000.0):
        yield _save(folder, f"wrong fs {fs:g}", beats[:7200], {"fs": fs, "units": "mV"})
    extremes = np.where(rng.random((7200, 2)) < 0.5, -32768, 32767).astype(np.int16)
    yield _save(folder, "int16 extremes", extremes)
    yield _save(folder, "wrong units", beats, {"fs": FS, "units": "V"})
    yield _save(folder, "wrong units the other way", beats, {"fs": FS, "units": "uV"})
    yield _save(folder, "one lead", beats[:, 0])
    yield _save(folder, "rows are leads", beats.T.astype(np.float32))
    yield _save(folder, "sixty leads", np.repeat(beats[:3600], 30, axis=1))
    yield _write(folder, "whole.csv", csv_bytes(beats), HERE)
    yield _record(folder, "whole", *wfdb_bytes(gaps, "whole"))
    fields, data = edf_fields(beats)
    yield _write(folder, "whole.edf", edf_header(fields) + data, {})
    fields, data = edf_fields(beats, bdf=True)
    yield _write(folder, "whole.bdf", edf_header(fields) + data, {})
    for n in (1, 2, 3, 50, 319, 320, 321, 700):
        yield _save(folder, f"{n} samples", beats[:n, :1])


def _wfdb_files(folder: Path, rng: np.random.Generator) -> Iterator[Made]:
    signal = ecg(1.5, rng)
    header, data = wfdb_bytes(signal, "r")
    number = 0

    def record(what: str, header: bytes, data: bytes | None = data) -> Made:
        nonlocal number
        number += 1
        name = f"w{number}"
        made = _record(folder, name, header.replace(b"r.dat", f"{name}.dat".encode()), data)
        return f"wfdb {number} {what}", *made[1:]

    for cut in _cuts(data, 10):
        yield record(f"data cut to {cut}", header, data[:cut])
    for cut in _cuts(header, 30):
        yield record(f"header cut to {cut}", header[:cut])
    lines = [line.split() for line in header.splitlines()]
    for i, line in enumerate(lines):
        for j in range(len(line)):
            for value in (*ABSURD, b"1000000", b"1000000000000"):
                if i == 2 and j > 1:
                    continue  # the second signal's line is like the first's
                fields = [list(fields) for fields in lines]
                fields[i][j] = value
                text = b"\n".join(b" ".join(fields) for fields in fields) + b"\n"
                yield record(f"field {i} {j} {value!r}", text)
    for _ in range(30):
        yield record("header flipped", _flipped(header, rng))
    for _ in range(8):
        yield record("data flipped", header, _flipped(data, rng, 40))
    packing = "8 24 32 61 80 160 212 310 311 508 516 524 0 17 16x2 16x0 16x9999999999 16:5 16+7"
    for word in f"{packing} 16:999999999 16+999999999 16x4:3+2".split():
        yield record(f"format {word}", header.replace(b".dat 16 ", f".dat {word} ".encode()))
    for word in ("mmHg", "NU", "V", "uV", "nV", "", "MV", "\N{MICRO SIGN}V"):
        yield record(f"unit {word}", header.replace(b"/mV", f"/{word}".encode()))
    for word in ("0", "-200", "1e-300", "1e300", "200(99999999999)", "200(-32768)", "1.5.2"):
        yield record(f"gain {word}", header.replace(b"200(0)", word.encode()))
    yield record("one unit", header.replace(b"/mV", b"/mmHg", 1))
    yield record("no signal file", header, None)
    yield record("no length", header.replace(b" 540\n", b"\n"))
    yield record("names alike", header.replace(b"L1", b"L0"))
    yield record("no names", header.replace(b" L1", b"").replace(b" L0", b""))
    yield record("two rates", header.replace(b".dat 16 ", b".dat 16x3 ", 1))
    yield record("CRLF", header.replace(b"\n", b"\r\n"))
    yield record("byte order mark", b"\xef\xbb\xbf" + header)
    yield record("UTF-16", header.decode().encode("utf-16"))
    yield record("binary", rng.bytes(500))
    yield record("long", header + b"# a\n" * 30_000)
    yield record("longer", header + b"x 16\n" * 500_000)
    yield record("long line", header[:-1] + b"9" * 500_000)
    yield record("itself as a segment", b"w%d/1 2 360 540\nw%d 540\n" % (number + 1, number + 1))
    yield record("segment missing", b"m/2 2 360 1080\nw1 540\nnothere 540\n")
    yield record("segments too few", b"m/3 2 360 540\nwhole 540\n")
    yield record("only gaps", b"m/2 2 360 1080\n~ 540\n~ 540\n")
    yield record("endless gap", b"m/2 2 360 1000000010800\nwhole 10800\n~ 1000000000000\n")
    yield record("segment of another length", b"m/2 2 360 1080\nwhole 540\n~ 540\n")
    yield record("segment and gap", b"m/2 2 360 20800\nwhole 10800\n~ 10000\n")
    yield record("segment outside", b"m/1 2 360 540\n../../etc/passwd 540\n")
    loop, directory = folder / "loop.hea", folder / "folder.dat"
    loop.symlink_to(loop)
    directory.mkdir()
    yield "wfdb loop", loop, {}
    yield "wfdb loop without suffix", folder / "loop", {}
    yield _record(folder, "folder", wfdb_bytes(signal, "folder")[0], None)


def _edf_files(folder: Path, rng: np.random.Generator) -> Iterator[Made]:
    number = 0

    def file(what: str, content: bytes, options: dict | None = None, suffix: str = "edf") -> Made:
        nonlocal number
        number += 1
        made = _write(folder, f"e{number}.{suffix}", content, options or {})
        return f"{suffix} {number} {what}", *made[1:]

    for bdf, suffix in ((False, "edf"), (True, "bdf")):
        fields, data = edf_fields(ecg(3, rng), bdf=bdf)
        header = edf_header(fields)
        for cut in _cuts(header + data, 15):
            yield file(f"cut to {cut}", (header + data)[:cut], suffix=suffix)
        for cut in _cuts(header, 8):
            yield file(f"header cut to {cut}", header[:cut], suffix=suffix)
        for key, (_, width) in fields.items():
            if key[1] == 1:
                continue  # the second signal's fields are like the first's
            for value in ABSURD[: 4 if bdf else None]:
                changed = fields | {key: (value, width)}
                yield file(f"{key} {value!r}", edf_header(changed) + data, suffix=suffix)
        for _ in range(25):
            yield file("header flipped", _flipped(header, rng) + data, suffix=suffix)
        yield file("data flipped", header + _flipped(data, rng, 40), suffix=suffix)
        yield file("other suffix", header + data, suffix="bdf" if suffix == "edf" else "edf")
        yield file("trailing bytes", header + data + b"abc", suffix=suffix)
    fields, data = edf_fields(ecg(3, rng))

    def mutant(what: str, *changes: tuple[str, int | None, bytes], options: dict | None = None):
        changed = dict(fields)
        for name, signal, value in changes:
            changed[name, signal] = (value, fields[name, signal][1])
        return file(what, edf_header(changed) + data, options)

    yield mutant("interrupted", ("reserved", None, b"EDF+D"))
    yield mutant("continuous", ("reserved", None, b"EDF+C"))
    yield mutant("not stopped", ("records", None, b"-1"))
    yield mutant("no ECG", ("unit", 0, b"degC"), ("unit", 1, b""))
    yield mutant("no units", ("unit", 0, b""), ("unit", 1, b""))
    yield mutant("units given", ("unit", 0, b""), ("unit", 1, b""), options={"units": "mV"})
    yield mutant("units contradicted", options={"units": "V"})
    yield mutant("fs contradicted", options={"fs": 250.0})
    yield mutant("two rates", ("samples", 0, b"240"), ("samples", 1, b"480"))
    yield mutant("only annotations", ("label", 0, b"EDF Annotations"), ("label", 1, b"EDF Annot"))
    yield mutant("label of control signs", ("label", 0, b"\x1b[31m\n\0"))
    yield mutant("inverted", ("physical min", 0, b"5"), ("physical max", 0, b"-5"))
    yield mutant("micro", ("unit", 0, b"\xb5V"))
    yield file("text", csv_bytes(ecg(1, rng)))
    yield file("zeros", bytes(5000))
    yield file("random", rng.bytes(5000))


def _ishne_files(folder: Path, rng: np.random.Generator) -> Iterator[Made]:
    whole = ishne_bytes(ecg(3, rng))
    number = 0

    def file(what: str, content: bytes, options: dict | None = None) -> Made:
        nonlocal number
        number += 1
        made = _write(folder, f"i{number}.ecg", content, options or {})
        return f"ishne {number} {what}", *made[1:]

    yield file("whole", whole)
    for cut in _cuts(whole, 15):
        yield file(f"cut to {cut}", whole[:cut])
    for at in range(8, 522, 2):
        value = int(rng.choice([0, 1, -1, 2**15 - 1, -(2**15), int(rng.integers(-999, 999))]))
        changed = whole[:at] + value.to_bytes(2, "little", signed=True) + whole[at + 2 :]
        yield file(f"{value} at {at}", changed)
    for _ in range(25):
        yield file("header flipped", _flipped(whole[:529], rng) + whole[529:])
    yield file("data flipped", whole[:529] + _flipped(whole[529:], rng, 40))
    yield file("fs contradicted", whole, {"fs": 250.0})
    yield file("unit overridden", whole, {"units": "uV"})
    yield file("gain overridden", whole, {"gain": 200.0})


def _clocks(folder: Path, rng: np.random.Generator) -> Iterator[Made]:
    """Tables with a column of times, from plain to absurd."""
    lead = ecg(4, rng)[:, 0]
    n = len(lead)
    seconds = np.arange(n) / FS
    leap, back, hole, random = (seconds.copy() for _ in range(4))
    leap[n // 2 :] += 10.0 ** rng.integers(0, 12)
    back[n // 2 :] -= 10.0 ** rng.integers(0, 12)
    hole[100:200] = np.nan
    rng.shuffle(random)
    moments = np.datetime64("2024-02-29T23:59:58.000") + (1e3 * seconds).astype("m8[ms]")
    iso = [str(moment) for moment in moments]
    columns = {
        "seconds": seconds, "milliseconds": 1e3 * seconds, "nanoseconds": 1.7e18 + 1e9 * seconds,
        "packets": seconds // 0.2 * 0.2, "whole seconds": seconds // 1, "leap": leap, "back": back,
        "missing times": hole, "shuffled": random, "backwards": -seconds, "still": 0 * seconds,
        "infinite": np.where(seconds > 1, np.inf, seconds), "counter": np.arange(n),
        "ring": np.arange(n) % 16, "counter with a hole": np.arange(n) + 999 * (seconds > 2),
        "ISO": iso, "time of day": [text[11:] for text in iso],
        "ISO seconds": [text[:19] for text in iso],
        "one word amid": [*iso[:500], "oops", *iso[501:]],
        "no such day": ["2024-02-31 1:00:00"] * n,
        "years": [f"{rng.integers(1, 9999):04d}{text[4:]}" for text in iso],
        "dates alone": [text[:10] for text in iso], "nonsense": [text[::-1] for text in iso],
    }  # fmt: skip
    for name, times in columns.items():
        for sign in (",", ";"):
            rows = "\n".join(f"{t}{sign}{v:.4f}" for t, v in zip(times, lead, strict=True))
            for given in ({"units": "mV"}, HERE):
                path = f"t {name} {'comma' if sign == ',' else 'semicolon'} {len(given)}.csv"
                yield _write(folder, path, f"time{sign}II\n{rows}\n".encode(), given)
        rows = "\n".join(f"{t},{v:.4f}" for t, v in zip(times, lead, strict=True)).encode()
        flipped = _flipped(b"# fs=360\ntime [s],II [mV]\n" + rows, rng, 2)
        yield _write(folder, f"t {name} flipped.csv", flipped, {})


def _npy_files(folder: Path, rng: np.random.Generator) -> Iterator[Made]:
    signal = ecg(1.5, rng).astype(np.float32)
    number = 0

    def file(what: str, content: bytes, options: dict = HERE) -> Made:
        nonlocal number
        number += 1
        return f"npy {number} {what}", *_write(folder, f"n{number}.npy", content, options)[1:]

    data = signal.tobytes()
    whole = _npy_bytes("(540, 2)", data=data)
    for cut in _cuts(whole, 20):
        yield file(f"cut to {cut}", whole[:cut])
    for shape in (
        "()", "(0,)", "(0, 2)", "(540, 0)", "(2, 540)", "(540, 1, 2)", "(-1, 2)", "(10**12, 2)",
        "(1000000000000, 2)", "(2, 1000000000000)", "(1080,)", "(1, 1080)", "(30, 36)", "(10, 65)",
        "(99999999999999999999, 9)", "(540.0, 2)", "('540', 2)", "[540, 2]", "540", "None",
        "(True, True)", "((((((((((540, 2))))))))))", "(540, 2", "__import__('os').getpid()",
    ):  # fmt: skip
        yield file(f"shape {shape}", _npy_bytes(shape, data=data))
    for descr in (
        "'<f8'", "'>f4'", "'<f2'", "'<i2'", "'|i1'", "'<u8'", "'|b1'", "'<c8'", "'|O'", "'|S4'",
        "'<U1'", "'<M8[s]'", "'<m8[s]'", "'|V4'", "[('a', '<f4')]", "''", "'nonsense'", "7", "None",
        "'<f99'", "'<f16'",
    ):  # fmt: skip
        yield file(f"type {descr}", _npy_bytes("(540, 2)", descr, data=data * 4))
    yield file("Fortran order", _npy_bytes("(540, 2)", order="True", data=data))
    yield file("no order", _npy_bytes("(540, 2)", order="'maybe'", data=data))
    for _ in range(30):
        yield file("header flipped", _flipped(whole[:128], rng) + whole[128:])
    for _ in range(5):
        yield file("data flipped", whole[:128] + _flipped(data, rng, 60))
    for version in (0, 2, 3, 9, 255):
        yield file(f"version {version}", whole[:6] + bytes([version]) + whole[7:])
    yield file("text", csv_bytes(signal))
    yield file("zip", b"PK\x03\x04" + rng.bytes(300))
    yield file("pickle", b"\x80\x04]q\x00.")
    yield _save(folder, "objects", np.array([None, {}], object))
    yield _save(folder, "words", np.array(["a"] * 500))
    odd = [{"fs": fs, "units": "mV"} for fs in (0.0, -FS, np.nan, np.inf, 1e9, 49.0)]
    odd += [{"fs": FS, "units": units} for units in ("mmHg", "", "\N{GREEK SMALL LETTER MU}V")]
    for options in ({}, {"fs": FS}, {"units": "mV"}, *odd):
        yield file(f"opened with {options}", whole, options)


def _csv_files(folder: Path, rng: np.random.Generator) -> Iterator[Made]:
    signal = ecg(1.5, rng)
    whole = csv_bytes(signal)
    bare = csv_bytes(signal, header="")
    number = 0

    def file(what: str, content: bytes | str, options: dict = HERE) -> Made:
        nonlocal number
        number += 1
        content = content.encode() if isinstance(content, str) else content
        return f"csv {number} {what}", *_write(folder, f"c{number}.csv", content, options)[1:]

    for cut in _cuts(whole, 20):
        yield file(f"cut to {cut}", whole[:cut])
    for _ in range(40):
        yield file("flipped", _flipped(whole, rng, 2))
    timed = np.column_stack([np.arange(540) / FS, signal])
    contents = {
        "bare": bare,
        "no line feed at the end": bare[:-1],
        "CRLF": whole.replace(b"\n", b"\r\n"),
        "CR": whole.replace(b"\n", b"\r"),
        "mixed ends": bare.replace(b"\n", b"\r\n", 100),
        "blank lines at the end": whole + b"\n\r\n\n",
        "blank lines at the start": b"\n\n" + whole,
        "blank lines amid": bare.replace(b"\n", b"\n\n", 5),
        "byte order mark": b"\xef\xbb\xbf" + whole,
        "UTF-16": whole.decode().encode("utf-16"),
        "latin-1 names": csv_bytes(signal, "V\xe4,V\xf6").decode().encode("latin-1"),
        "not UTF-8 amid": bare[:3000] + b"\xff\xfe" + bare[3000:],
        "NUL amid": bare[:3000] + b"\0" + bare[3000:],
        "only names": "I,II\n",
        "only line feeds": b"\n" * 300,
        "only spaces": b"   \n" * 300,
        "only commas": b",\n" * 400,
        "only dashes": b"-,-\n" * 400,
        "one number": "1",
        "one row": "1,2\n",
        "a word": "hello",
        "prose": "This is no table, it is a text.\nIt has lines, commas, and words.\n" * 30,
        "HTML": "<html><body>" + "<p>1,2</p>\n" * 300,
        "JSON": '{"signal": [1, 2, 3],\n "fs": 360}\n',
        "binary": rng.bytes(4000),
        "long line": b"1," * 800_000,
        "long line of digits": b"1" * 1_500_000 + b"\n" + bare,
        "long name": b"x" * 200_000 + b",y\n" + bare,
        "thousand columns": b",".join([b"1"] * 1000) + b"\n" + b",".join([b"1"] * 1000),
        "ragged short": bare + b"0.5\n" + bare,
        "ragged long": bare + b"1,2,3\n" + bare,
        "ragged both": bare + b"1,2,3\n0.5\n" + bare,
        "word amid": bare + b"oops,1\n" + bare,
        "quotes amid": bare + b'"1.0","2.0"\n' + bare,
        "quote left open": bare + b'"1.0,2\n' + bare,
        "quoted names": csv_bytes(signal, "\"V5, left\",'II'"),
        "names with markup": csv_bytes(signal, "<script>alert(1)</script>,\x1b[31mII"),
        "names alike": csv_bytes(signal, "I,I"),
        "blank names": csv_bytes(signal, ","),
        "names too few": csv_bytes(signal, "I"),
        "names too many": csv_bytes(signal, "I,II,III"),
        "units below names": csv_bytes(signal, "I,II\nmV,mV"),
        "semicolons": csv_bytes(signal, "I;II", ";"),
        "decimal commas": csv_bytes(signal, "I;II", ";").replace(b".", b","),
        "decimal commas and points": csv_bytes(signal, "I;II", ";") + b"1,5;2.5\n",
        "tabs": csv_bytes(signal, "I\tII", "\t"),
        "spaces": csv_bytes(signal, "I II", " "),
        "many spaces": csv_bytes(signal, "  I   II ", "    ").replace(b"\n", b"  \n  "),
        "comma and space": csv_bytes(signal, "I, II", ", "),
        "numpy comment": csv_bytes(signal, "# I,II"),
        "time": csv_bytes(timed, "time,I,II"),
        "seconds of another rate": csv_bytes(timed * [2, 1, 1], "seconds,I,II"),
        "time backwards": csv_bytes(timed * [-1, 1, 1], "time,I,II"),
        "only time": csv_bytes(timed[:, :1], "time"),
        "index": csv_bytes(np.column_stack([np.arange(540), signal]), ",I,II"),
        "sample": csv_bytes(np.column_stack([np.arange(540), signal]), "sample #,I,II"),
        "clock": "time,I\n" + "".join(f"00:00:{i / FS:06.3f},0.1\n" for i in range(500)),
        "empty fields": bare.replace(b"0.0", b"", 200) + b",\n" * 50,
        "nan": b"nan,NaN\n" * 400 + bare,
        "infinite": b"inf,-inf\n" * 400 + bare,
        "huge": b"1e30,-1e300\n1e999,1e-999\n" * 200,
        "hexadecimal": b"0x10,0x20\n" * 200,
        "true": b"True,False\n" * 200,
        "thousands": b'"1,000","2,000"\n' * 200,
        "one column": csv_bytes(signal[:, :1], "II"),
        "one column with gaps": b"1\n\n2\n\n" * 100,
        "formulas": "=1+1,=cmd|' /C calc'!A0\n" * 20,
    }
    for what, content in contents.items():
        yield file(what, content)


def _paths(folder: Path, rng: np.random.Generator) -> Iterator[Made]:
    whole = csv_bytes(ecg(1.5, rng))
    for suffix in (".csv", ".txt", ".npy", ".edf", ".bdf", ".hea"):
        yield _write(folder, f"empty{suffix}", b"", HERE if suffix in (".csv", ".npy") else {})
        directory = folder / f"directory{suffix}"
        directory.mkdir()
        yield directory.name, directory, HERE
        loop = folder / f"ring{suffix}"
        loop.symlink_to(loop.name)
        yield f"loop {suffix}", loop, HERE
        yield f"missing {suffix}", folder / f"missing{suffix}", HERE
        locked = folder / f"locked{suffix}"
        locked.write_bytes(whole)
        locked.chmod(0)
        yield locked.name, locked, HERE
    for name in ("with space.csv", "Größe µ 心电图.csv", "UPPER.CSV", "a.b.c.csv", "-dash.csv"):
        yield _write(folder, name, whole, HERE)
    for name in ("line\nfeed.csv", "*.csv", "a::b.csv", "~.csv", "%s{0}.csv", ".csv", "no suffix"):
        yield _write(folder, name, whole, HERE)
    for name in ("picture.png", "r.dat", "x.mat", "x.csv.gz"):
        yield _write(folder, name, whole, HERE)
    yield "folder itself", folder, HERE
    yield "name too long", folder / ("x" * 300 + ".csv"), HERE
    yield "below a file", folder / "UPPER.CSV" / "x.csv", HERE
    yield "NUL in the name", folder / "a\0b.csv", HERE
    yield "no name", Path(""), HERE
    header, data = wfdb_bytes(ecg(1.5, rng), "in colons")
    inside = folder / "http::x"
    inside.mkdir()
    yield _record(inside, "r1", header.replace(b"in colons", b"r1"), data)
