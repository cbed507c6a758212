import json
import re
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pages import Page

from kdjax.detection import outputs, report
from kdjax.detection.cores import QUALITIES
from kdjax.detection.recording import Detection
from kdjax.detection.stream import Beats

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # wfdb 4.3 on pandas 3
    import wfdb

FS = 250.0
NAN = np.nan
MADE_BY = {"code": "c" * 64, "versions": {"python": "3.11", "kdjax": "0.1"}, "device": "1 x cpu"}
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>\n&amp;"


def named(*columns):
    """Beats of the first six columns, abnormal ones ventricular, all of one family."""
    score, abnormal = columns[1], columns[3]
    kind = np.where(np.isnan(score), "", np.where(abnormal, "V", "N"))
    family = np.where(np.isnan(score), -1, 0).astype(np.int32)
    return Beats(*columns, kind, family, np.full(len(kind), 0.9, np.float32), np.ones(len(kind)))


def beats_of(*rows):
    """Rows (sample, score, normalised, abnormal, quality, rr)."""
    columns = zip(*rows, strict=True) if rows else ((),) * 6
    types = (np.int64, np.float64, np.float64, bool, "<U8", np.float32)
    return named(*(np.array(c, t) for c, t in zip(columns, types, strict=True)))


FIVE = beats_of(
    (50, NAN, NAN, False, "edge", NAN),
    (250, 0.5, 0.25, False, "good", 0.8),
    (500, 7.25, 1.0, True, "good", 1.0),
    (1500, NAN, NAN, False, "noisy", 4.0),
    (1750, 2.0, 0.75, False, "good", 1.0),
)


def detection_of(beats=FIVE, **fields):
    scored = np.flatnonzero(np.isfinite(beats.score))
    shown = scored[np.argsort(-beats.score[scored])][:12]
    x = np.tile(np.sin(np.arange(320) / 30)[:, None], (len(shown), 1, 1)).astype(np.float32)
    whole = {
        "recording": "holter",
        "fs": FS,
        "leads": ("MLII",),
        "seconds": 10.0,
        "beats": beats,
        "families": (),
        "events": (),
        "unscorable": ((3.0, 6.0, "noisy"),),
        "shown": shown,
        "x": x,
        "x_hat": 0.5 * x,
        "threshold": 5.0,
        "fpr": 0.01,
        "normal": np.linspace(0, 6, 200),
        "score": "fusion, adapted to the first 5 minutes",
        "detector": "mitbih-w8",
        "calibration": "4053 normal beats of mitbih",
        "notes": ("lead ECG was taken",),
        "made_by": MADE_BY,
    }
    return Detection(**{**whole, **fields})


def many_beats(count, seed=0):
    rng = np.random.default_rng(seed)
    quality = rng.choice(QUALITIES, count, p=(0.9, *[0.02] * 5)).astype("<U8")
    score = np.where(quality == "good", rng.gamma(1, 2, count), NAN)
    rr = rng.uniform(0.4, 1.4, count)
    return named(
        np.cumsum(np.round(rr * FS)).astype(np.int64),
        score,
        np.where(np.isfinite(score), rng.random(count), NAN),
        score > 5,
        quality,
        rr.astype(np.float32),
    )


def read_annotations(path: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return wfdb.rdann(str(path.with_suffix("")), path.suffix[1:])


def summary_of(**fields):
    detection = detection_of(**fields)
    stretches = outputs.union(detection.unscorable)
    rate = outputs.heart_rate(detection, stretches)
    return json.loads(json.dumps(outputs.summary(detection, stretches, rate)))


@pytest.fixture
def annotated(tmp_path):
    def read(beats=FIVE, fs=FS):
        file = tmp_path / "r.kdjax"
        file.write_bytes(outputs.annotations(beats, fs))
        return read_annotations(file)

    return read


@pytest.fixture
def written(tmp_path):
    def write(**fields):
        return {
            path.suffix[1:]: path
            for path in outputs.write(detection_of(**fields), tmp_path / "out")
        }

    return write


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    """The page of the five beats."""
    paths = outputs.write(detection_of(), tmp_path_factory.mktemp("usual"))
    return paths[2].read_text(encoding="utf-8")


@pytest.fixture
def no_page(monkeypatch):
    monkeypatch.setattr(report, "render", lambda *_: "<p>a page</p>")


def numbers(files):
    return json.loads(files["json"].read_text())


class TestBeatsCsv:
    def test_a_line_a_beat_and_what_is_not_known_stays_empty(self):
        assert outputs.csv(FIVE, FS).splitlines() == [
            "time_s,sample,score,normalised_score,abnormal,quality,rr_s",
            "0.200000,50,,,,edge,",
            "1.000000,250,0.5,0.250000,0,good,0.800000",
            "2.000000,500,7.25,1.000000,1,good,1.000000",
            "6.000000,1500,,,,noisy,4.000000",
            "7.000000,1750,2,0.750000,0,good,1.000000",
        ]

    def test_values_survive(self):
        beats = many_beats(500)
        lines = outputs.csv(beats, FS).splitlines()
        table = np.genfromtxt(lines, delimiter=",", names=True, dtype=None)
        np.testing.assert_array_equal(table["sample"], beats.sample)
        np.testing.assert_allclose(table["time_s"], beats.sample / FS, atol=1e-6)
        np.testing.assert_allclose(table["score"], beats.score, rtol=1e-8)
        np.testing.assert_allclose(table["rr_s"], beats.rr, atol=1e-6)
        assert list(table["quality"]) == list(beats.quality)


class TestAnnotations:
    def test_wfdb_reads_the_beats_with_their_codes_and_reasons(self, annotated):
        read = annotated()
        assert read.sample.tolist() == FIVE.sample.tolist()
        assert read.symbol == ["?", "N", "Q", "?", "N"]
        assert read.aux_note == ["edge", "", "", "noisy", ""]
        assert read.fs == FS

    @pytest.mark.parametrize("fs", [360.0, 128.0, 249.999, 1e7, 0.001])
    def test_the_sampling_frequency_is_stored(self, annotated, fs):
        assert annotated(fs=fs).fs == fs

    @settings(max_examples=40, deadline=None)
    @given(
        steps=st.lists(
            st.integers(0, 1100) | st.sampled_from([1023, 1024, 65535, 65536, 2**31 + 5]),
            max_size=30,
        ),
        kinds=st.lists(st.sampled_from("NQ?"), min_size=30, max_size=30),
    )
    def test_any_samples_read_back(self, tmp_path_factory, steps, kinds):
        sample = np.cumsum(np.array(steps, np.int64))
        kind = np.array(kinds[: len(steps)], "<U1")
        unscored = np.where(kind == "?", NAN, 1.0)
        quality = np.where(kind == "?", "flat", "good").astype("<U8")
        beats = named(sample, unscored, unscored, kind == "Q", quality, unscored)
        file = tmp_path_factory.mktemp("ann") / "r.kdjax"
        file.write_bytes(outputs.annotations(beats, FS))
        read = read_annotations(file)
        assert read.sample.tolist() == sample.tolist()
        assert read.symbol == kind.tolist()

    def test_the_bytes_are_those_that_wfdb_writes(self, tmp_path):
        sample = np.array([3, 400, 5000, 5001])
        ones = np.ones(4)
        abnormal = np.array([False, True, False, True])
        ours = outputs.annotations(
            named(sample, ones, ones, abnormal, np.full(4, "good"), ones), 360.0
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wfdb.wrann("r", "kdjax", sample, symbol=list("NQNQ"), fs=360, write_dir=str(tmp_path))
        assert ours == (tmp_path / "r.kdjax").read_bytes()

    @pytest.mark.parametrize(
        ("name", "file"),
        [
            ("100", "100.kdjax"),
            ("my rec/é.1", "my_rec___1.kdjax"),
            ("", "_.kdjax"),
            ("x" * 250, "x" * 100 + ".kdjax"),
        ],
    )
    @pytest.mark.usefixtures("no_page")
    def test_a_name_that_wfdb_takes(self, written, name, file):
        files = written(recording=name)
        assert files["kdjax"].name == file
        assert numbers(files)["annotation_file"] == file
        read_annotations(files["kdjax"])


class TestSummary:
    def test_the_counts(self):
        found = summary_of()
        assert (found["beats"], found["scored"], found["abnormal"]) == (5, 3, 1)
        assert found["abnormal_share"] == pytest.approx(1 / 3)
        assert found["abnormal_per_hour"] == pytest.approx(3600 / 7)  # 3 of 10 s are noisy
        assert found["not_scored"] == {"edge": 1, "noisy": 1}
        assert found["threshold"] == 5.0
        assert found["fpr"] == 0.01
        assert "not a medical device" in found["disclaimer"]
        assert found["made_by"] == MADE_BY

    def test_intervals_across_what_is_not_scorable_make_no_heart_rate(self):
        # RR of 0.8, 1 and 1 s; the 4 s reach into the noise.
        assert summary_of()["mean_heart_rate"] == pytest.approx(60 / (2.8 / 3))
        whole = summary_of(unscorable=())
        assert whole["mean_heart_rate"] == pytest.approx(60 / (6.8 / 4))

    def test_stretches_that_overlap_count_once(self):
        stretches = ((1.0, 3.0, "noisy"), (2.0, 4.0, "flat"), (8.0, 9.0, "noisy"))
        lost = summary_of(unscorable=stretches)["unscorable"]
        assert lost["seconds"] == pytest.approx(4)
        assert lost["share"] == pytest.approx(0.4)
        assert lost["by_reason"] == {
            "noisy": {"stretches": 2, "seconds": 3.0},
            "flat": {"stretches": 1, "seconds": 2.0},
        }
        assert lost["stretches"] == [list(s) for s in stretches]

    def test_hour_by_hour(self):
        beats = FIVE._replace(sample=np.array([0, 10, 3600, 3601, 7300]) * int(FS))
        hours = summary_of(beats=beats, seconds=7300.0, unscorable=())["hours"]
        assert [row["beats"] for row in hours] == [2, 2, 1]
        assert [row["abnormal"] for row in hours] == [0, 1, 0]
        assert [row["median_heart_rate"] for row in hours] == pytest.approx([75, 37.5, 60])

    @settings(max_examples=40, deadline=None)
    @given(
        st.lists(st.tuples(st.integers(0, 50), st.integers(1, 10)), max_size=12),
        st.lists(st.tuples(st.integers(0, 60), st.integers(1, 8)), min_size=1, max_size=12),
    )
    def test_heart_rates_are_known_where_an_interval_meets_no_stretch(self, spans, intervals):
        """Against every pair looked at, in whole seconds."""
        stretches = outputs.union([(float(a), float(a + n), "flat") for a, n in spans])
        seconds = {s for a, n in spans for s in range(a, a + n)}
        assert sum(b - a for a, b in stretches) == len(seconds)
        stop, rr = np.array(intervals).T
        ones = np.ones(len(stop))
        beats = named(stop, ones, ones, ones > 1, np.full(len(stop), "good"), rr)
        rate = outputs.heart_rate(detection_of(beats, fs=1.0), stretches)
        for i, (s, r) in enumerate(intervals):
            assert np.isnan(rate[i]) == bool(seconds & set(range(s - r, s)))


class TestReport:
    def test_the_headline(self, usual):
        text = Page(usual).text
        assert "0:00:10 (h:mm:ss) at 250 Hz; lead MLII; kdjax detect with mitbih-w8" in text
        assert "Beats 5 3 scored" in text
        assert "Abnormal 1 33.3 % of the scored beats" in text
        assert "lead ECG was taken" in text
        assert "not a medical device" in text

    def test_the_worst_beats_stand_with_their_time_and_score(self, usual):
        text = Page(usual).text
        assert "1. 0:00:02 score 7.25, abnormal no normal beat scores higher" in text
        assert "2. 0:00:07 score 2, below the threshold 75 % of normal beats" in text
        assert usual.count('alt="Beat at') == 3

    def test_what_a_rate_promises_and_what_it_does_not(self, written):
        text = Page(written(fpr=0.5)["html"].read_text()).text
        assert "with a probability of at most 50 %" in text
        assert "Were all 3 scored beats such normal beats, up to about 2 would be called" in text
        assert "for any one person, recording or electrode placement" in text
        assert "starting point" in text

    def test_a_threshold_given_as_a_number_promises_nothing(self, written):
        text = Page(written(fpr=None)["html"].read_text()).text
        assert "promises no false-positive rate" in text
        assert "What it promises" not in text

    def test_the_page_asks_the_network_for_nothing(self, usual):
        seen = Page(usual)
        assert not re.search(r"https?://|@import|url\(", usual)
        assert not set(seen.tags) & {"script", "link", "iframe", "object", "embed", "base", "form"}
        asked = [v for _, name, v in seen.attributes if name in ("src", "srcset", "href")]
        assert asked
        assert all(value.startswith(("data:image/png;base64,", "#")) for value in asked)
        assert "default-src 'none'" in usual
        assert '<meta charset="utf-8">' in usual
        assert 'name="viewport"' in usual

    def test_every_picture_says_in_words_what_it_shows(self, usual):
        seen = Page(usual)
        alt = [value for tag, name, value in seen.attributes if (tag, name) == ("img", "alt")]
        assert len(alt) == seen.tags.count("img")
        assert all(alt)

    def test_hostile_names_are_only_text(self, written):
        quality = FIVE.quality.copy()
        made_by = {HOSTILE: {HOSTILE: HOSTILE}}
        files = written(
            recording=HOSTILE,
            leads=(HOSTILE, HOSTILE),
            notes=(HOSTILE,),
            score=HOSTILE,
            detector=HOSTILE,
            unscorable=((1.0, 2.0, HOSTILE),),
            beats=FIVE._replace(quality=quality),
            made_by=made_by,
            x=np.zeros((3, 320, 2), np.float32),
            x_hat=np.ones((3, 320, 2), np.float32),
        )
        seen = Page(files["html"].read_text(encoding="utf-8"))
        assert "script" not in seen.tags
        assert seen.tags.count("img") == 5  # overview, three beats, histogram
        assert not [name for _, name, _ in seen.attributes if name.startswith("on")]
        assert seen.text.count("<script>alert(1)</script>") >= 8
        assert re.fullmatch(r"[\w-]+\.kdjax", files["kdjax"].name)
        assert numbers(files)["recording"] == HOSTILE

    def test_a_name_that_is_no_unicode(self, written):
        files = written(recording="caf\udce9")
        assert "caf?" in files["html"].read_text(encoding="utf-8")
        assert numbers(files)["recording"] == "caf\udce9"

    def test_no_beats_found(self, written):
        files = written(beats=beats_of(), unscorable=((0.0, 10.0, "flat"),))
        text = Page(files["html"].read_text()).text
        assert "No beats found." in text
        assert "flat the signal stands still 1 0:00:10 100 % 0" in text
        assert "img" not in Page(files["html"].read_text()).tags
        assert len(files["csv"].read_text().splitlines()) == 1
        assert len(read_annotations(files["kdjax"]).sample) == 0
        found = numbers(files)
        assert (found["beats"], found["abnormal_share"], found["mean_heart_rate"]) == (
            0,
            None,
            None,
        )

    def test_beats_none_of_which_can_be_scored(self, written):
        nothing = np.full(5, NAN)
        beats = FIVE._replace(
            score=nothing,
            normalised=nothing,
            abnormal=np.zeros(5, bool),
            quality=np.full(5, "flat"),
        )
        files = written(beats=beats, unscorable=((0.0, 10.0, "flat"),))
        assert "No beat was scored." in Page(files["html"].read_text()).text
        assert read_annotations(files["kdjax"]).symbol == ["?"] * 5
        assert numbers(files)["abnormal_per_hour"] is None

    def test_one_beat(self, written):
        beat = beats_of((300, 1e9, 1.0, True, "good", NAN))
        files = written(beats=beat, seconds=2.5, unscorable=())
        text = Page(files["html"].read_text()).text
        assert "Beats 1 1 scored" in text
        assert "The whole recording could be scored" in text

    def test_no_abnormal_beat(self, written):
        files = written(beats=FIVE._replace(abnormal=np.zeros(5, bool)))
        assert "Abnormal 0 0 % of the scored beats" in Page(files["html"].read_text()).text

    def test_a_threshold_that_nothing_exceeds(self, written):
        files = written(threshold=np.inf, fpr=None, shown=FIVE.sample[:0], x=[], x_hat=[])
        assert numbers(files)["threshold"] is None
        assert "most abnormal beats" not in files["html"].read_text()

    def test_a_day(self, written):
        count = 120_000
        stretches = tuple((20.0 * i, 20.0 * i + 2, "noisy") for i in range(4000))
        start = time.process_time()
        files = written(beats=many_beats(count), seconds=0.95 * count, unscorable=stretches)
        assert time.process_time() - start < 10
        assert files["html"].stat().st_size < 3e6
        assert "The 50 longest of 4,000 stretches" in files["html"].read_text()
        assert len(read_annotations(files["kdjax"]).sample) == count


@pytest.mark.usefixtures("no_page")
class TestWriting:
    def test_the_files_lie_in_the_folder(self, tmp_path):
        paths = outputs.write(detection_of(), tmp_path / "a" / "b")
        names = ["beats.csv", "holter.kdjax", "report.html", "summary.json"]
        assert [path.name for path in paths] == names
        assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == names

    def test_a_later_detection_replaces_its_own_files_alone(self, tmp_path):
        (tmp_path / "mine.txt").write_text("mine")
        outputs.write(detection_of(), tmp_path)
        outputs.write(detection_of(beats=beats_of()), tmp_path)
        assert len((tmp_path / "beats.csv").read_text().splitlines()) == 1
        assert (tmp_path / "mine.txt").read_text() == "mine"
        assert len(list(tmp_path.iterdir())) == 5

    @pytest.mark.parametrize("failing", [0, 1, 3])
    def test_a_full_disk_leaves_the_earlier_files(self, tmp_path, monkeypatch, failing):
        outputs.write(detection_of(), tmp_path)
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
            outputs.write(detection_of(beats=beats_of()), tmp_path)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before

    def test_a_page_that_fails_leaves_nothing(self, tmp_path, monkeypatch):
        def broken(*args):
            raise MemoryError

        monkeypatch.setattr(report, "render", broken)
        with pytest.raises(MemoryError):
            outputs.write(detection_of(), tmp_path / "out")
        assert not (tmp_path / "out").exists()
