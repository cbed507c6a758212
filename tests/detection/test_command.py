"""`kdjax detect` and `kdjax calibrate` as they are typed."""

import csv
import json
import os
import re
import subprocess
import sys
from contextlib import contextmanager
from functools import cache
from itertools import islice

import numpy as np
import pytest
import wfdb
from malformed import malformed

from kdjax import cli
from kdjax.commands import recordings
from kdjax.datasets.synthetic_beats import generator
from kdjax.detection import detector_files, report
from kdjax.detection import earlier as earlier_names
from kdjax.errors import InputError
from kdjax.runs import directory

FS = 360


@cache
def ecg():
    """A minute and a half of synthetic ECG [T, 1], mV at 360 Hz."""
    return generator.recording(0).signal[: 90 * FS]


@pytest.fixture(scope="module", autouse=True)
def load_once():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(directory, "load_run", cache(directory.load_run))
        patch.setattr(detector_files, "shipped_one", cache(detector_files.shipped_one))
        yield


@pytest.fixture
def recording(tmp_path):
    np.save(tmp_path / "mine.npy", ecg())
    return tmp_path / "mine.npy"


def typed(*arguments):
    """The exit status of a command; argparse ends the process where it refuses a value."""
    try:
        return cli.main([str(argument) for argument in arguments])
    except SystemExit as end:
        return end.code


def test_a_recording_gives_a_folder_of_files(recording, tmp_path, capsys):
    out = tmp_path / "out"
    done = typed("detect", "mitbih-w8", recording, "--fs", 360, "--units", "mV", "--out", out)
    assert done == 0
    line, *notes = capsys.readouterr().out.splitlines()
    assert line.startswith("mine: 1.5 min, ")
    assert re.search(r" abnormal \(\d+ S, \d+ V\); ", line)  # only a reviewer gives F and Q
    assert line.endswith(str(out / "mine" / "report.html"))
    assert notes == [
        "  note: lead 1 read as MLII, on which the detector was calibrated",
        "  note: the recording is shorter than 5 minutes, so the score adapted to its 90 s alone",
    ]
    assert {path.name for path in (out / "mine").iterdir()} == {
        "beats.csv",
        "detection.npz",
        "events.csv",
        "families.csv",
        "mine.kdjax",
        "report.html",
        "rr.csv",
        "summary.json",
    }
    rows = list(csv.DictReader((out / "mine" / "beats.csv").read_text().splitlines()))
    summary = json.loads((out / "mine" / "summary.json").read_text())
    assert len(rows) == summary["beats"] > 80
    read = wfdb.rdann(str(out / "mine" / "mine"), "kdjax")
    assert [int(row["sample"]) for row in rows] == list(read.sample)


def rows_of(folder):
    return list(csv.DictReader((folder / "beats.csv").read_text().splitlines()))


def test_names_of_an_earlier_recording_are_carried_over(recording, tmp_path, capsys, monkeypatch):
    """The next recording is the same heart, a little later and a little lower."""
    given = ("--fs", 360, "--units", "mV", "--out", tmp_path / "out")
    np.save(tmp_path / "next.npy", 0.9 * ecg()[5 * FS :])
    assert typed("detect", "mitbih-w8", recording, *given) == 0
    earlier = tmp_path / "out" / "mine"
    detect_next = ("detect", "mitbih-w8", tmp_path / "next.npy", *given, "--earlier", earlier)
    assert typed(*detect_next) == 2
    assert "save the review from report.html first" in capsys.readouterr().err
    assert not (tmp_path / "out" / "next").exists()
    table = (earlier / "families.csv").read_text().replace("\n1,N,", "\n1,F,")
    (tmp_path / "families.csv").write_text(table)
    assert typed("review", earlier, "--families", tmp_path / "families.csv") == 0
    assert typed(*detect_next) == 0
    rows = rows_of(tmp_path / "out/next")
    assert sum(row["kind"] == "F" for row in rows) > 0.7 * len(rows)
    (decision,) = json.loads((tmp_path / "out/next/review.json").read_text())["decisions"]
    assert decision == {"family": 1, "kind": "F"}
    decided = tmp_path / "out/next/review.json"
    own = {"family": 1, "kind": "Q"}
    decided.write_text(json.dumps(json.loads(decided.read_text()) | {"decisions": [own]}))
    assert typed("review", tmp_path / "out/next", "--earlier", earlier) == 0
    assert json.loads(decided.read_text())["decisions"] == [decision, own]
    monkeypatch.setattr(earlier_names, "carried", lambda *_: ([], ()))
    capsys.readouterr()
    assert typed("review", tmp_path / "out/next", "--earlier", earlier) == 0
    assert "no name was carried over: no family is like one" in capsys.readouterr().err
    assert typed(*detect_next) == 0
    assert "no name was carried over: no family is like one" in capsys.readouterr().out


def test_a_folder_gives_a_folder_for_each_and_goes_on_after_one_that_is_damaged(
    recording, tmp_path, capsys
):
    folder = tmp_path / "records"
    folder.mkdir()
    for name in ("a.npy", "b.csv", "c.npy", "c.csv"):
        if name.endswith("npy"):
            np.save(folder / name, ecg())
        else:
            np.savetxt(folder / name, ecg(), fmt="%.4f")
    (folder / "a.npy").write_bytes(b"damaged")
    out = tmp_path / "out"
    done = typed("detect", "mitbih-w8", folder, "--fs", 360, "--units", "mV", "--out", out)
    said = capsys.readouterr()
    assert done == 2
    assert sorted(path.name for path in out.iterdir()) == [
        "b",
        "c-csv",
        "c-npy",
        "index.html",
        "index.json",
    ]
    assert len(said.err.splitlines()) == 2
    assert "a.npy" in said.err.splitlines()[0]
    assert said.err.splitlines()[1].endswith("recordings refused: 1 of 4")


def test_several_recordings_and_folders_each_once_and_the_rest_goes_on(tmp_path, capsys):
    """Names in any script, other files beside, two of one name, one that is missing."""
    for name in ("x/1.csv", "x/心电一.csv", "x/心电二.csv", "y/1.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        np.savetxt(tmp_path / name, 200 * ecg()[: 25 * FS], fmt="%.1f")
    (tmp_path / "x" / "notes\x1b[31m.txt").write_text("ward 3")
    (tmp_path / "z").mkdir()
    paths = [tmp_path / name for name in ("x", "y/1.csv", "x/1.csv", "no.csv", "z")]
    out = tmp_path / "out"
    done = typed("detect", "mitbih-w8", *paths, "--fs", 360, "--gain", 200, "--out", out)
    said = capsys.readouterr()
    assert done == 2
    assert {path.name for path in out.iterdir()} == {
        "index.html",
        "index.json",
        "x-1",
        "y-1",
        "心电一",
        "心电二",
    }
    left, empty, missing, last = said.err.splitlines()
    assert left == f"kdjax detect: {tmp_path / 'x'}: skipped, not recordings: notes [31m.txt"
    assert empty == f"kdjax detect: {tmp_path / 'z'}: no recordings in it"
    assert "no.csv: no such file" in missing
    assert last == "kdjax detect: recordings refused: 2 of 6"
    summary = json.loads((out / "心电一" / "summary.json").read_text())
    assert summary["beats"] > 20


def test_what_a_reader_says_and_the_start_stand_in_the_summary(tmp_path, capsys):
    signal = 1000 * ecg()[: 30 * FS, 0]
    start = np.datetime64("2024-02-29T23:59:30.000")
    times = start + (np.arange(len(signal)) * 1e3 / FS).round().astype("m8[ms]")
    rows = [f"{t};{v:.1f}" for t, v in zip(times, signal, strict=True)]
    path = tmp_path / "mine.csv"
    path.write_text("\n".join(["time;II [mV]", *rows[:5_000], *rows[6_000:]]))
    assert typed("detect", "mitbih-w8", path, "--units", "uV", "--out", tmp_path / "o") == 0
    summary = json.loads((tmp_path / "o" / "mine" / "summary.json").read_text())
    assert summary["start"] == "2024-02-29T23:59:30"
    assert summary["seconds"] == pytest.approx(30)
    said = capsys.readouterr().out
    for note in (
        "read as uV instead of the file's mV",
        "2.778 s missing, 0:00:13 after the start, by the clock",
    ):
        assert any(line.startswith(note) for line in summary["notes"])
        assert f"  note: {note}" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["no-such-run", "mine.npy"], "no-such-run"),
        (["mitbih-w8", "missing.hea"], "missing.hea"),
        (["mitbih-w8", "mine.npy"], "--fs"),
        (["mitbih-w8", "mine.npy", "--fs", "360", "--units", "furlong"], "furlong"),
        (["mitbih-w8", "mine.npy", "--fs", "360", "--units", "mV", "--lead", "V9"], "V9"),
        (["mitbih-w8", "mine.npy", "--fs", "360", "--units", "mV", "--fpr", "2"], "fpr is 2"),
        (
            ["mitbih-w8", "mine.npy", "--fs", "360", "--units", "mV", "--calibration", "x.npz"],
            "x.npz: no such file",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line_and_nothing_is_written(
    arguments, says, recording, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert typed("detect", *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("kdjax detect: ")
    assert says in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.npy"]


def test_a_calibration_of_the_person_is_used_where_it_is_named(
    recording, tmp_path, capsys, monkeypatch
):
    own, bars = tmp_path / "own.npz", []
    given = ("--fs", 300, "--units", "mV")

    @contextmanager
    def bar(name, samples):
        bars.append((samples, []))
        yield bars[-1][1].append

    with monkeypatch.context() as patch:
        patch.setattr(recordings, "_bar", bar)
        assert typed("calibrate", "mitbih-w8", recording, "--out", own, *given) == 0
    ((total, steps),) = bars
    assert sum(steps) == total
    said = capsys.readouterr().out
    assert "\n  note: mine: lead 1 read as MLII, on which the detector was calibrated\n" in said
    assert "\n  note: mine: resampled from 300 to 360 Hz\n" in said
    assert "0.5 % of other people's normal beats score above the threshold" in said
    assert said.endswith("too few beats to set a threshold that 0.5 % of them exceed.\n")
    assert (
        typed(
            "detect", "mitbih-w8", recording, *given, "--calibration", own, "--out", tmp_path / "o"
        )
        == 0
    )
    summary = json.loads((tmp_path / "o" / "mine" / "summary.json").read_text())
    assert summary["score"] == "fusion, adapted to the person"


@pytest.mark.parametrize("command", [["detect"], ["calibrate", "--out=c.npz"]])
def test_a_folder_without_recordings_is_said(command, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "readme.txt").write_text("nothing here")
    assert typed(*command, "mitbih-w8", tmp_path) == 2
    assert "no recordings in it" in capsys.readouterr().err


def test_the_tables_of_a_detection_are_not_read_as_recordings(recording, tmp_path, capsys):
    given = ("--fs", 360, "--units", "mV", "--out", tmp_path / "out")
    assert typed("detect", "mitbih-w8", recording, *given) == 0
    assert typed("detect", "mitbih-w8", tmp_path / "out" / "mine", *given) == 2
    assert "is a folder that kdjax detect wrote" in capsys.readouterr().err


def test_another_recording_s_folder_is_not_written_over(recording, tmp_path, capsys):
    given = ("--fs", 360, "--units", "mV", "--out", tmp_path / "out")
    assert typed("detect", "mitbih-w8", recording, *given) == 0
    other = tmp_path / "other" / "mine.npy"
    other.parent.mkdir()
    np.save(other, ecg()[: 30 * FS])
    before = (tmp_path / "out" / "mine" / "beats.csv").read_bytes()
    assert typed("detect", "mitbih-w8", other, *given) == 2
    assert "holds the detection of" in capsys.readouterr().err
    assert (tmp_path / "out" / "mine" / "beats.csv").read_bytes() == before
    assert typed("detect", "mitbih-w8", recording, *given) == 0


@pytest.mark.parametrize("out", ["mine.npy", "notes.npz"])
def test_a_calibration_is_written_over_nothing_else(out, recording, tmp_path, capsys):
    (tmp_path / "notes.npz").write_text("of mine")
    before = (tmp_path / out).read_bytes()
    given = ("--fs", 360, "--units", "mV", "--out", tmp_path / out)
    assert typed("calibrate", "mitbih-w8", recording, *given) == 2
    assert out in capsys.readouterr().err
    assert (tmp_path / out).read_bytes() == before


@pytest.mark.parametrize("step", [20, pytest.param(1, marks=pytest.mark.slow)])
def test_strange_recordings_end_in_unscorable_marks_or_in_one_line(
    step, tmp_path, capsys, monkeypatch
):
    """Half a thousand and more: never a traceback, never a part of an output."""
    render, accepted, refused = report.render, 0, 0

    def now_and_then(*arguments, **named):
        """Pages take a second each; every tenth is drawn."""
        return "page" if accepted % 10 else render(*arguments, **named)

    monkeypatch.setattr(report, "render", now_and_then)
    (tmp_path / "in").mkdir()
    for name, path, options in islice(malformed(tmp_path / "in"), 0, None, step):
        out = tmp_path / "out" / str(accepted + refused)
        given = [f"--{option}={value}" for option, value in options.items() if value is not None]
        done = typed("detect", "mitbih-w8", path, f"--out={out}", *given)
        said = capsys.readouterr()
        files = [p for p in out.rglob("*") if p.is_file()]
        assert done in (0, 2), name
        if done == 0:
            assert not said.err or os.path.isdir(path), name
            assert len(files) % 8 == 0, name
            assert files or os.path.isdir(path), name
            accepted += 1
        else:
            lines = said.err.splitlines()
            assert all(line.startswith("kdjax detect: ") for line in lines), name
            assert len(lines) == 1 or os.path.isdir(path), name
            assert os.path.isdir(path) or not files, name
            refused += 1
    assert accepted + refused >= 500 / step
    assert min(accepted, refused) >= 80 / step


def test_several_recordings_get_an_index_that_a_review_keeps_up(recording, tmp_path, capsys):
    other = tmp_path / "other.npy"
    np.save(other, ecg()[: 40 * FS])
    out = tmp_path / "out"
    given = ("--fs", 360, "--units", "mV", "--out", out)
    assert typed("detect", "mitbih-w8", tmp_path / "no.npy", other, *given) == 2
    assert f"index of all recordings: {out / 'index.html'}" in capsys.readouterr().out
    assert typed("detect", "mitbih-w8", recording, other, *given) == 0
    assert f"index of all recordings: {out / 'index.html'}" in capsys.readouterr().out
    rows = json.loads((out / "index.json").read_text())
    assert [row["recording"] for row in rows] == ["mine", "other"]
    families = (out / "mine" / "families.csv").read_text()
    (tmp_path / "families.csv").write_text(families.replace("\n1,N,", "\n1,V,", 1))
    assert typed("review", out / "mine", "--families", tmp_path / "families.csv") == 0
    assert "mine: 1 decision; " in capsys.readouterr().out
    assert json.loads((out / "index.json").read_text())[0]["V"] > rows[0]["V"]
    # What was decided stays decided, and the same decisions give the same files.
    before = (out / "mine" / "beats.csv").read_bytes()
    assert typed("review", out / "mine") == 0
    assert (out / "mine" / "beats.csv").read_bytes() == before
    # Another review takes its place, and what was decided is kept.
    saved = json.loads((out / "mine" / "review.json").read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps(saved | {"decisions": [{"family": 1}]}))
    assert typed("review", out / "mine", "--decisions", other) == 2
    said = capsys.readouterr().err
    assert f"{other}: decision 1 does not fit this recording: it has family; a decision" in said
    other.write_text(json.dumps(saved | {"decisions": []}))
    assert typed("review", out / "mine", "--decisions", other) == 0
    kept = out / "mine" / "review.previous.json"
    said = f"the review before it, which has 1 decision that this one lacks, is kept as {kept}"
    assert said in capsys.readouterr().out
    assert json.loads(kept.read_text()) == saved
    assert typed("review", out / "mine", "--earlier", out / "mine") == 2
    assert "is the folder itself" in capsys.readouterr().err


def test_an_index_page_of_something_else_stays(recording, tmp_path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "index.html").write_text("mine")
    both = (recording, tmp_path / "other.npy")
    assert typed("detect", "mitbih-w8", *both, "--fs", 360, "--units", "mV", "--out", out) == 2
    assert "index.html: holds something else; choose another folder" in capsys.readouterr().err
    assert [path.name for path in out.iterdir()] == ["index.html"]


def test_a_record_is_one_with_and_without_the_ending_of_its_header(tmp_path):
    header = write_annotated(tmp_path, 1)
    given = ("detect", "mitbih-w8", "--out", tmp_path / "out")
    assert typed(*given, header) == 0
    assert typed(*given, header.with_suffix("")) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], "nowhere/detection.npz: no such file"),
        (["nowhere", "--decisions", "a.json"], "nowhere/detection.npz: no such file"),
    ],
)
def test_a_review_of_nothing_is_said_in_a_line(arguments, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert typed("review", *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("kdjax review: ")
    assert says in said
    assert said.count("\n") == 1


def write_annotated(folder, minutes):
    """A record s9 with its annotations, a patient's five minutes over and over; its header."""
    record = generator.recording(9)
    assert record.annotations is not None
    place = {"write_dir": str(folder), "fs": FS}
    times = -(-minutes // 5)
    signal = np.concatenate([record.signal] * times)[: minutes * 60 * FS].astype(np.float64)
    sample = np.concatenate([record.annotations.sample + k * 300 * FS for k in range(times)])
    symbol = np.tile(record.annotations.symbol, times)[sample < len(signal)]
    wfdb.wrsamp("s9", units=["mV"], sig_name=["MLII"], p_signal=signal, fmt=["16"], **place)
    wfdb.wrann("s9", "atr", sample[sample < len(signal)], symbol=list(symbol), **place)
    return folder / "s9.hea"


def test_a_record_shorter_than_what_ec57_leaves_out_has_nothing_to_compare(tmp_path, capsys):
    header = write_annotated(tmp_path, 1)
    given = ("detect", "mitbih-w8", header, "--against", ".atr", "--out", tmp_path / "out")
    assert typed(*given) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-1].startswith("--against atr: no beat lies after the first 5 minutes")


def test_only_records_with_annotations_are_compared(tmp_path, capsys, monkeypatch):
    header, out = write_annotated(tmp_path, 6), tmp_path / "out"
    (tmp_path / "s8.hea").write_text(header.read_text().replace("s9 1", "s8 1"))
    records = header, tmp_path / "s8.hea"
    given = "detect", "mitbih-w8", *records, "--against", "atr", "--out", out
    assert typed(*given) == 0
    said = capsys.readouterr()
    assert said.err == "kdjax detect: not compared, no such file: s8.atr\n"
    assert {path.name for path in out.iterdir() if path.is_dir()} == {"s8", "s9"}

    (tmp_path / "s8.atr").write_bytes(b"no annotations")
    with monkeypatch.context() as patch:  # both are detected already
        patch.setattr(recordings, "_detect_in", lambda *args, **kwargs: "")
        assert typed(*given) == 2
    damaged = capsys.readouterr()
    first, last = damaged.err.splitlines()
    assert first.startswith("kdjax detect: not compared: record s8: ")
    assert last == "kdjax detect: annotation files refused: 1 of 2"
    assert damaged.out.splitlines()[-3:] == said.out.splitlines()[-3:]  # s9 is compared as before

    (tmp_path / "s9.atr").rename(tmp_path / "s8.atr")
    assert typed("detect", "mitbih-w8", header, "--against", "atr", "--out", out) == 2
    assert "s9.atr: no such file; --against atr needs one" in capsys.readouterr().err


def test_of_many_records_without_annotations_five_are_named(tmp_path, capsys):
    paths = [tmp_path / f"{number}.hea" for number in range(8)]
    for path in paths[1:]:
        path.touch()
    paths[1].with_suffix(".ATR").touch()
    references = recordings._references(paths, "atr")  # the first is reported when it is opened
    assert references == {paths[1]: tmp_path / "1.ATR"}
    assert capsys.readouterr().err == (
        "kdjax detect: not compared, no such file: 2.atr, 3.atr, 4.atr, 5.atr, 6.atr and 1 more\n"
    )
    with pytest.raises(InputError, match="0"):
        recordings._references(paths[:1], "atr")


def test_a_record_with_annotations_is_compared_with_them(tmp_path, capsys):
    header, out = write_annotated(tmp_path, 10), tmp_path / "out"  # EC57 leaves out 5 minutes
    assert typed("detect", "mitbih-w8", header, "--against", "ref", "--out", out) == 2
    assert "s9.ref: no such file; --against ref needs one" in capsys.readouterr().err
    assert not out.exists()
    assert typed("detect", "mitbih-w8", header, "--against", "atr", "--out", out) == 0
    said = capsys.readouterr().out
    assert "atr" in said
    assert "VE run detection" in said
    assert said.splitlines()[-1].endswith(f"--test kdjax --detections {out} --classes aami")
    assert typed("ec57", tmp_path / "s9", "--test", "kdjax", "--detections", out) == 0
    assert capsys.readouterr().out.strip() in said  # the same figures


def test_a_shipped_detector_waits_for_no_library_that_it_does_not_use(recording, tmp_path):
    code = (
        "import sys; from kdjax import cli; assert cli.main(sys.argv[1:]) == 0; "
        "slow = {'jax', 'flax', 'sklearn', 'scipy.signal', 'matplotlib', 'pandas', 'wfdb'}; "
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    given = ["detect", "mitbih-w8", str(recording), "--fs", "360", "--units", "mV"]
    subprocess.run([sys.executable, "-c", code, *given, "--out", str(tmp_path / "o")], check=True)


def test_a_recording_at_too_low_a_rate_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    np.save("slow.npy", np.zeros(5000))
    assert cli.main(["detect", "mitbih-w8", "slow.npy", "--fs", "50", "--units", "mV"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("kdjax detect: slow.npy: a signal at 50 Hz cannot hold the band")
    assert said.count("\n") == 1
