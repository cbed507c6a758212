"""The files of a recording, written whole and read back."""

import dataclasses
import errno
import fcntl
import io
import json
import time
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
from detections import FIVE, beats_of, detection_of, many_beats, synthetic

from kdjax import memory
from kdjax.detection import files, report, review
from kdjax.errors import InputError
from kdjax.files import sha256

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # wfdb 4.3 on pandas 3
    import wfdb

NAMES = ["beats.csv", "detection.npz", "events.csv", "families.csv", "holter.kdjax", "report.html"]
NAMES += ["rr.csv", "summary.json"]


@pytest.fixture
def no_page(monkeypatch):
    monkeypatch.setattr(report, "render", lambda *_, **__: "<p>a page</p>")


def same(a, b):
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if dataclasses.is_dataclass(a):
        pairs = ((getattr(a, f.name), getattr(b, f.name)) for f in dataclasses.fields(a))
        return all(same(x, y) for x, y in pairs)
    if isinstance(a, tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def test_a_review_outlives_a_second_detection_of_the_same_beats(tmp_path, no_page):
    detection, decision = synthetic(), {"family": 1, "kind": "Q"}
    assert files.write(detection, tmp_path)[1:] == (detection, "")
    paths, reviewed, said = files.write(detection, tmp_path, [decision])
    assert {path.name for path in paths} == {*NAMES, "review.json"} - {"holter.kdjax"} | {
        "synthetic.kdjax"
    }
    assert said == "1 decision carried over"
    _, again, said = files.write(detection, tmp_path)
    assert said == f"1 decision of {tmp_path / 'review.json'} applied again"
    assert same(again.beats.kind, reviewed.beats.kind)
    assert json.loads((tmp_path / "summary.json").read_text())["decisions"] == 1
    carried = [decision, {"family": 2, "kind": "N"}, {"family": 1, "kind": "V"}]
    _, both, said = files.write(detection, tmp_path, carried)
    assert said == (
        f"3 decisions carried over; 1 decision of {tmp_path / 'review.json'} applied again"
    )
    assert review.read(tmp_path / "review.json", detection) == [*carried[1:], decision]
    assert set(both.beats.kind[detection.beats.family == 0]) == {"Q"}
    other = dataclasses.replace(detection, threshold=detection.threshold + 1)
    other = dataclasses.replace(other, beats=other.beats._replace(sample=other.beats.sample + 1))
    _, found, said = files.write(other, tmp_path)
    assert (found, said) == (
        other,
        f"{tmp_path / 'review.json'} belongs to another detection and was not applied; "
        "to apply it, detect with the earlier options again",
    )
    assert json.loads((tmp_path / "summary.json").read_text())["decisions"] == 0
    before = (tmp_path / "review.json").read_bytes()
    said = files.write(other, tmp_path, [decision])[-1]
    assert said.endswith(f"is kept as {tmp_path / 'review.previous.json'}")
    assert (tmp_path / "review.previous.json").read_bytes() == before
    assert review.read(tmp_path / "review.json", other) == [decision]


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "review.json").write_text("{}")
    with pytest.raises(InputError, match=r"review\.json: is a file; name the folder"):
        files.read(tmp_path / "review.json")


class TestWhole:
    @pytest.mark.parametrize(
        "detection", [detection_of(), detection_of(start=None, fpr=None), synthetic()]
    )
    def test_a_detection_reads_back_as_it_was(self, tmp_path, detection):
        (tmp_path / "detection.npz").write_bytes(files.whole_bytes(detection))
        read = files.read(tmp_path)
        for field in dataclasses.fields(detection):
            assert same(getattr(detection, field.name), getattr(read, field.name)), field.name

    def test_no_beats_and_no_families(self, tmp_path):
        detection = detection_of(beats_of(), families=(), events=())
        (tmp_path / "detection.npz").write_bytes(files.whole_bytes(detection))
        assert len(files.read(tmp_path).beats.sample) == 0

    def test_a_folder_without_one_is_named(self, tmp_path):
        with pytest.raises(
            InputError, match=r"detection\.npz: no such file; name the folder of one"
        ):
            files.read(tmp_path)

    @pytest.mark.parametrize("cut", [0, 10, -100])
    def test_a_damaged_one_is_said_in_a_line(self, tmp_path, cut):
        content = files.whole_bytes(detection_of())
        (tmp_path / "detection.npz").write_bytes(content[:cut])
        with pytest.raises(InputError, match="damaged"):
            files.read(tmp_path)

    def test_one_with_a_wrong_bit_is_read_or_said_in_a_line(self, tmp_path):
        content = files.whole_bytes(detection_of())
        rng = np.random.default_rng(0)
        refused = []
        for place in rng.integers(0, len(content), 1000).tolist():
            changed = bytearray(content)
            changed[place] ^= 1 << int(rng.integers(8))
            (tmp_path / "detection.npz").write_bytes(changed)
            try:
                files.read(tmp_path)
            except InputError as error:
                refused.append(str(error))
        assert len(refused) > 700
        assert all("run kdjax detect again" in said for said in refused)

    def test_a_header_that_claims_more_than_a_memory_holds_is_damage(self, tmp_path):
        header = io.BytesIO()
        fields = {"descr": "<f8", "fortran_order": False, "shape": (10**15,)}
        np.lib.format.write_array_header_1_0(header, fields)
        (tmp_path / "detection.npz").write_bytes(files.whole_bytes(detection_of()))
        with zipfile.ZipFile(tmp_path / "detection.npz", "a") as archive:
            archive.writestr("claimed.npy", header.getvalue())
        with pytest.raises(InputError, match=r"detection\.npz: damaged; run kdjax detect") as error:
            files.read(tmp_path)
        assert not memory.lacks(error.value)

    def test_a_defect_is_not_called_damage(self, tmp_path, monkeypatch):
        def defect(_):
            raise AttributeError("ours")

        (tmp_path / "detection.npz").write_bytes(files.whole_bytes(detection_of()))
        monkeypatch.setattr(files, "_from_arrays", defect)
        with pytest.raises(AttributeError, match="ours"):
            files.read(tmp_path)

    def test_one_of_another_version_is_not_called_damaged(self, tmp_path, monkeypatch):
        monkeypatch.setattr(files, "_FORMAT", 2)
        (tmp_path / "detection.npz").write_bytes(files.whole_bytes(detection_of()))
        monkeypatch.undo()
        with pytest.raises(InputError, match=r"written by another version.*run kdjax detect again"):
            files.read(tmp_path)


@pytest.mark.usefixtures("no_page")
class TestWriting:
    def test_the_files_lie_in_the_folder(self, tmp_path):
        paths = files.write(detection_of(), tmp_path / "a" / "b").paths
        assert sorted(path.name for path in paths) == NAMES
        assert paths[-1].name == "summary.json"
        assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == NAMES

    def test_a_later_detection_replaces_its_own_files_alone(self, tmp_path):
        (tmp_path / "mine.txt").write_text("mine")
        files.write(detection_of(), tmp_path)
        files.write(detection_of(beats_of(), families=(), events=()), tmp_path)
        assert len((tmp_path / "beats.csv").read_text().splitlines()) == 1
        assert (tmp_path / "mine.txt").read_text() == "mine"
        assert len(list(tmp_path.iterdir())) == len(NAMES) + 1

    @pytest.mark.parametrize("failing", [0, 1, 7])
    def test_a_full_disk_leaves_the_earlier_files(self, tmp_path, monkeypatch, failing):
        files.write(detection_of(), tmp_path)
        before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
        whole, calls = Path.write_bytes, []

        def full(path, content):
            calls.append(path)
            if len(calls) > failing:
                whole(path, content[: len(content) // 2])
                raise OSError(28, "No space left on device")
            return whole(path, content)

        monkeypatch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space"):
            files.write(detection_of(beats_of(), families=(), events=()), tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_a_page_that_fails_leaves_nothing(self, tmp_path, monkeypatch):
        def broken(*_, **__):
            raise MemoryError

        monkeypatch.setattr(report, "render", broken)
        with pytest.raises(MemoryError):
            files.write(detection_of(), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    @pytest.mark.parametrize(
        ("name", "file"),
        [
            ("100", "100.kdjax"),
            ("my rec/é.1", "my_rec___1.kdjax"),
            ("", "_.kdjax"),
            ("x" * 250, "x" * 100 + ".kdjax"),
        ],
    )
    def test_annotations_have_a_name_that_wfdb_takes(self, tmp_path, name, file):
        files.write(detection_of(recording=name), tmp_path)
        summary = json.loads((tmp_path / "summary.json").read_text())
        assert summary["annotation_file"] == file
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wfdb.rdann(str((tmp_path / file).with_suffix("")), "kdjax")

    def test_a_name_that_is_no_unicode(self, tmp_path):
        files.write(detection_of(recording="caf\udce9"), tmp_path)
        assert json.loads((tmp_path / "summary.json").read_text())["recording"] == "caf\udce9"
        assert files.read(tmp_path).recording == "caf\udce9"


def test_a_day(tmp_path):
    count = 120_000
    stretches = tuple((20.0 * i, 20.0 * i + 2, "flat") for i in range(4000))
    detection = detection_of(many_beats(count), seconds=0.95 * count, unscorable=stretches)
    start = time.process_time()
    files.write(detection, tmp_path)
    assert time.process_time() - start < 10
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert len(page) < 4e6
    assert "The 50 longest of 4,000 stretches" in page


def test_another_recording_s_folder_is_kept(tmp_path):
    files.write(detection_of(file="/a/holter.hea"), tmp_path)
    files.check_free(tmp_path, "/a/holter.hea")
    with pytest.raises(InputError, match=r"holds the detection of /a/holter\.hea"):
        files.check_free(tmp_path, "/b/holter.hea")
    (tmp_path / "summary.json").write_text("[" * 100_000)  # of nobody's detection
    files.check_free(tmp_path, "/b/holter.hea")


def test_no_beat_that_can_be_scored(tmp_path):
    nothing = np.full(5, np.nan)
    beats = FIVE._replace(
        score=nothing,
        normalised=nothing,
        abnormal=np.zeros(5, bool),
        quality=np.full(5, "flat"),
        kind=np.full(5, ""),
        family=np.full(5, -1, np.int32),
        confidence=nothing.astype(np.float32),
    )
    files.write(detection_of(beats, families=(), unscorable=((0.0, 10.0, "flat"),)), tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert (summary["scored"], summary["abnormal_per_hour"]) == (0, None)
    assert "No beat was scored." in (tmp_path / "report.html").read_text()


class TestWhatAPersonChanged:
    """A file that is not as kdjax wrote it is kept when another takes its place."""

    @pytest.fixture
    def folder(self, tmp_path, no_page):
        files.write(synthetic(), tmp_path)
        return tmp_path

    def test_nothing_is_kept_where_nothing_was_changed(self, folder):
        files.write(synthetic(), folder)
        written = files.write_reviewed(synthetic(), [{"family": 1, "kind": "V"}], folder)
        assert written.said == ""
        files.write_reviewed(synthetic(), [{"family": 1, "kind": "V"}], folder)
        assert not list(folder.glob("*previous*"))

    @pytest.mark.parametrize("name", ["families.csv", "report.html", "synthetic.kdjax"])
    @pytest.mark.parametrize("by", ["detect", "review"])
    def test_a_changed_file_is_kept(self, folder, name, by):
        (folder / name).write_bytes(b"mine")

        def again():
            if by == "detect":
                return files.write(synthetic(), folder)
            return files.write_reviewed(synthetic(), [], folder)

        said = again().said
        kept = folder / f"{Path(name).stem}.previous{Path(name).suffix}"
        how = " (kdjax review --families applies it)" if name == "families.csv" else ""
        assert said == f"{name} was not as kdjax wrote it and is kept as {kept}{how}"
        assert kept.read_bytes() == b"mine"
        assert (folder / name).read_bytes() != b"mine"
        assert again().said == ""

    def test_a_second_edit_leaves_the_first(self, folder):
        for text in ("first", "second"):
            (folder / "families.csv").write_text(text)
            files.write(synthetic(), folder)
        kept = {path.name: path.read_text() for path in folder.glob("families.previous*")}
        assert kept == {"families.previous.csv": "first", "families.previous2.csv": "second"}

    def test_of_a_folder_without_checksums_nothing_is_known(self, folder):
        summary = json.loads((folder / "summary.json").read_text())
        del summary["sha256"]
        (folder / "summary.json").write_text(json.dumps(summary))
        assert files.write(synthetic(), folder).said == ""
        assert not list(folder.glob("*previous*"))

    def test_a_disk_that_locks_nothing_is_written_to(self, tmp_path, no_page, monkeypatch):
        def no_locks(*_):
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr(fcntl, "flock", no_locks)
        assert files.write(synthetic(), tmp_path).paths

    def test_files_of_the_same_names_that_were_there_before_are_kept(self, tmp_path, no_page):
        for name in ("summary.json", "events.csv"):
            (tmp_path / name).write_text("mine")
        files.write(synthetic(), tmp_path)
        for name in ("summary.previous.json", "events.previous.csv"):
            assert (tmp_path / name).read_text() == "mine"

    def test_a_table_of_families_that_is_applied_is_not_kept(self, folder):
        path = folder / "families.csv"
        path.write_text(path.read_text().replace(",N,", ",V,", 1))
        decisions = review.from_table(path, synthetic())
        written = files.write_reviewed(synthetic(), decisions, folder, applied=path)
        assert (len(decisions), written.said) == (1, "")
        assert not list(folder.glob("*previous*"))

    def test_sums_are_those_of_the_files(self, folder):
        sums = json.loads((folder / "summary.json").read_text())["sha256"]
        others = {path.name for path in folder.iterdir()} - {"summary.json", "detection.npz"}
        assert set(sums) == others
        assert {name: sha256(folder / name) for name in sums} == sums
