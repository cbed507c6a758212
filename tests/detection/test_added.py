"""Beats that a person adds: in the arrays, in the files, and in what is counted."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
from detections import NAN, detection_of, family_of, synthetic

from kdjax.detection import files, review, tables
from kdjax.detection.report import beats_digest
from kdjax.detection.summary import summary
from kdjax.errors import InputError
from kdjax.recordings import read_annotation_file


def without(detection, missed):
    """The detection as if the beats of these indices had been missed."""
    whole = detection.beats
    kept = np.delete(np.arange(len(whole.sample)), missed)
    rr = np.diff(whole.sample[kept], prepend=0).astype(np.float32) / np.float32(detection.fs)
    rr[0] = NAN
    beats = whole._replace(**{name: values[kept] for name, values in whole._asdict().items()})
    beats = beats._replace(rr=rr)
    families = [
        replace(
            family,
            count=int((beats.family == i).sum()),
            examples=np.flatnonzero(beats.family == i)[-3:],
            unusual=int(np.flatnonzero(beats.family == i)[-1]),
        )
        for i, family in enumerate(detection.families)
    ]
    return replace(detection, beats=beats, families=tuple(families), events=())


WHOLE = synthetic()
MISSED = [40, 41, 120]
LACKING = without(WHOLE, MISSED)
ADDED = [
    {"add": int(WHOLE.beats.sample[i]), "kind": kind} for i, kind in zip(MISSED, "VVS", strict=True)
]


def test_it_is_in_its_place_with_the_intervals_on_both_sides():
    beats = review.reviewed(LACKING, ADDED).beats
    np.testing.assert_array_equal(beats.sample, WHOLE.beats.sample)
    np.testing.assert_allclose(beats.rr, WHOLE.beats.rr, atol=1e-6)
    assert beats.kind[MISSED].tolist() == ["V", "V", "S"]
    assert beats.abnormal[MISSED].all()
    assert beats.quality[MISSED].tolist() == ["added"] * 3
    assert beats.confidence[MISSED].tolist() == [1, 1, 1]
    assert beats.family[MISSED].tolist() == [-1, -1, -1]
    for unknown in (beats.score, beats.normalised, beats.height, beats.sqi):
        assert np.isnan(unknown[MISSED]).all()
    for name, values in beats._asdict().items():
        assert values.dtype.kind == getattr(LACKING.beats, name).dtype.kind, name


def test_the_order_in_which_beats_are_added_does_not_matter():
    one, other = (review.reviewed(LACKING, order).beats for order in (ADDED, ADDED[::-1]))
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)


def test_an_interval_over_bad_signal_stays_unknown():
    sample = (LACKING.beats.sample[[9, 10]] / LACKING.fs).tolist()
    middle = round((LACKING.beats.sample[9] + LACKING.beats.sample[10]) / 2)
    decisions = [{"add": middle, "kind": "N"}]
    before = (sample[0] + 0.01, sample[0] + 0.05, "motion")
    touching = (sample[1], sample[1] + 0.1, "motion")
    for bad, known in [((), (1, 1)), ((before,), (0, 1)), ((touching,), (1, 1))]:
        reviewed = review.reviewed(replace(LACKING, unscorable=bad), decisions)
        assert np.isfinite(reviewed.beats.rr[[10, 11]]).astype(int).tolist() == list(known)


def test_examples_of_families_are_the_same_beats_as_before():
    reviewed = review.reviewed(LACKING, ADDED)
    assert reviewed.families[0].examples.tolist() != LACKING.families[0].examples.tolist()
    for before, after in zip(LACKING.families, reviewed.families, strict=True):
        for old, new in [(before.examples, after.examples), (before.unusual, after.unusual)]:
            np.testing.assert_array_equal(LACKING.beats.sample[old], reviewed.beats.sample[new])
    unknown = replace(LACKING, families=(family_of([0], "N"), *LACKING.families[1:]))
    assert review.reviewed(unknown, ADDED).families[0].unusual == -1


def test_a_split_after_it_is_of_the_right_beats():
    own = LACKING.beats.sample[LACKING.beats.family == 0][-20:].tolist()
    reviewed = review.reviewed(LACKING, [*ADDED, {"split": 1, "beats": own}])
    new = reviewed.families[-1]
    assert (new.count, new.first, new.last) == (20, own[0], own[-1])
    assert set(reviewed.beats.sample[new.examples]) <= set(own)


def test_a_recording_that_could_not_be_judged_at_all_is_reviewed(tmp_path):
    bad = ((0.0, LACKING.seconds, "motion"),)
    unknown = np.full(len(LACKING.beats.sample), NAN)
    unscored = LACKING.beats._replace(
        score=unknown,
        kind=np.full(len(unknown), "", "<U1"),
        family=np.full(len(unknown), -1, np.int32),
        abnormal=unknown > 0,
    )
    found = replace(LACKING, beats=unscored, families=(), unscorable=bad)
    files.write_reviewed(found, ADDED, tmp_path)
    told = json.loads((tmp_path / "summary.json").read_text())
    assert (told["abnormal"], told["abnormal_per_hour"]) == (3, None)


def test_events_count_it():
    place = int(np.flatnonzero(np.convolve(LACKING.beats.kind == "N", np.ones(6), "valid") == 6)[0])
    first, second = LACKING.beats.sample[place + 2 : place + 4].tolist()
    third = (second - first) // 3
    couplet = [{"add": first + third, "kind": "V"}, {"add": first + 2 * third, "kind": "V"}]
    names = [
        (event.name, event.first, event.last) for event in review.reviewed(LACKING, couplet).events
    ]
    assert ("V couplet", first + third, first + 2 * third) in names


def test_a_pause_ends_where_a_missed_beat_is_added():
    sample = LACKING.beats.sample.copy()
    sample[50:] += round(2.5 * LACKING.fs)
    rr = (np.diff(sample, prepend=0) / LACKING.fs).astype(np.float32)
    rr[0] = NAN
    beats = LACKING.beats._replace(sample=sample, rr=rr)
    late = replace(LACKING, beats=beats, seconds=LACKING.seconds + 3)
    filled = [{"add": int(sample[49] + round(1.5 * LACKING.fs)), "kind": "N"}]
    before, after = (
        {(event.first, event.last) for event in review.reviewed(late, decisions).events}
        for decisions in ([], filled)
    )
    pause = (int(sample[49]), int(sample[50]))
    assert pause in before
    assert pause not in after


def test_the_summary_counts_it_with_its_kind():
    def told(detection):
        return summary(detection)

    before, after = told(LACKING), told(review.reviewed(LACKING, ADDED))
    assert after["beats"] == before["beats"] + 3
    assert after["scored"] == before["scored"]
    assert after["not_scored"] == {"added": 3}
    assert after["kinds"]["V"] == before["kinds"]["V"] + 2
    assert after["abnormal"] == before["abnormal"] + 3
    assert sum(row["S"] for row in after["hours"]) == after["kinds"]["S"]
    assert after["mean_heart_rate"] == pytest.approx(told(WHOLE)["mean_heart_rate"])


def test_the_files_have_it_and_a_second_review_starts_from_the_detection(tmp_path):
    files.write(LACKING, tmp_path)
    for again in (False, True):  # applied twice, it is there once
        decisions = review.read(tmp_path / "review.json", LACKING) if again else ADDED
        files.write_reviewed(files.read(tmp_path), decisions, tmp_path)
        rows = (tmp_path / "beats.csv").read_text().splitlines()
        assert len(rows) == 1 + len(WHOLE.beats.sample)
        cells = dict(zip(rows[0].split(","), rows[1 + MISSED[0]].split(","), strict=True))
        assert (cells["kind"], cells["quality"], cells["abnormal"]) == ("V", "added", "1")
        assert [cells[name] for name in ("family", "score", "height_mv")] == ["", "", ""]
        assert len((tmp_path / "rr.csv").read_text().splitlines()) == len(WHOLE.beats.sample)
        read = read_annotation_file(tmp_path / "synthetic.kdjax", WHOLE.fs)
        np.testing.assert_array_equal(read.sample, WHOLE.beats.sample)
        assert [read.symbol[i] for i in MISSED] == ["V", "V", "S"]
    assert beats_digest(files.read(tmp_path)) == beats_digest(LACKING)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "a reviewer added these beats" in page
    # As decided about that very detection, and only there:
    written = files.write(LACKING, tmp_path)
    assert re.search("3 decisions .* applied again", written.said)
    assert len(written.detection.beats.sample) == len(WHOLE.beats.sample)
    assert json.loads((tmp_path / "summary.json").read_text())["decisions"] == 3


def test_a_families_csv_of_the_reviewed_folder_still_fits(tmp_path):
    path = tmp_path / "families.csv"
    reviewed = review.reviewed(LACKING, ADDED)
    path.write_text(tables.families(reviewed).replace("1,N,", "1,S,", 1))
    assert review.from_table(path, reviewed) == [{"family": 1, "kind": "S"}]


def test_a_beat_is_added_where_none_was_detected():
    empty = detection_of(
        beats=review.Beats(*(values[:0] for values in LACKING.beats)), families=(), events=()
    )
    beats = review.reviewed(empty, [{"add": 300, "kind": "V"}]).beats
    assert beats.sample.tolist() == [300]
    assert np.isnan(beats.rr[0])


@pytest.mark.parametrize(
    ("decision", "says"),
    [
        ({"add": 10**9, "kind": "V"}, "sample 1000000000 is not in the recording; give one that"),
        ({"add": round(LACKING.seconds * LACKING.fs), "kind": "V"}, "is not in the recording"),
        ({"add": ADDED[0]["add"], "kind": "X"}, "kind 'X' is none of N, S, V, F, Q"),
        (
            {"add": int(LACKING.beats.sample[9]) + 54, "kind": "V"},
            "would be within 150 ms of that at .*; name that one",
        ),
    ],
)
def test_what_is_wrong_is_said_in_a_line(decision, says):
    with pytest.raises(InputError, match=f"^decision 1 does not fit this recording: .*{says}"):
        review.reviewed(LACKING, [decision])
