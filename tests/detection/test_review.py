"""Decisions of a person, applied by Python and by the page's script alike."""

import json
from dataclasses import replace

import numpy as np
import pytest
from detections import FIVE, NAN, detection_of, family_of, many_beats, synthetic
from javascript import calls

from kdjax.detection import decisions, files, review, tables
from kdjax.detection.events import WITHOUT_P, Event
from kdjax.detection.families import to_name
from kdjax.detection.notes import many_abnormal
from kdjax.detection.report import beats_digest, milliseconds
from kdjax.detection.summary import summary
from kdjax.errors import InputError

KINDS = "NSVFQX"
THREE = detection_of(
    FIVE._replace(family=np.array([-1, 0, 1, 2, 0], np.int32), kind=np.array(["", *"NVSN"])),
    families=(family_of([1, 4], "N"), family_of([2], "V"), family_of([3], "S")),
)
CASES = {
    "nothing": [],
    "a family": [{"family": 1, "kind": "S"}],
    "several families": [{"beat": 250, "kind": "X"}, {"families": [1, 3], "kind": "F"}],
    "a beat": [{"beat": 500, "kind": "F"}],
    "a beat without a kind": [{"beat": 50, "kind": "N"}],
    "a beat by hand stays": [{"beat": 250, "kind": "V"}, {"family": 1, "kind": "Q"}],
    "a merge takes the kind": [{"merge": [2, 1]}],
    "a merge of three": [{"merge": [3, 1, 2]}, {"family": 3, "kind": "N"}],
    "a merge keeps what was named by hand": [{"beat": 250, "kind": "X"}, {"merge": [2, 1]}],
    "a split keeps kinds": [{"split": 1, "beats": [1750]}],
    "a split, named": [{"split": 1, "beats": [1750]}, {"family": 4, "kind": "V"}],
    "a beat is added": [{"add": 900, "kind": "V"}],
    "the first and the last": [{"add": 0, "kind": "N"}, {"add": 2499, "kind": "S"}],
    "three, the last between": [
        {"add": 900, "kind": "V"},
        {"add": 300, "kind": "S"},
        {"add": 400, "kind": "Q"},
    ],
    "as near as can be": [{"add": 250 + 38, "kind": "F"}],
    "added, named and named again": [
        {"add": 1600, "kind": "N"},
        {"beat": 1600, "kind": "X"},
        {"family": 1, "kind": "V"},
        {"beat": 1750, "kind": "S"},
    ],
    "added before a split and a merge": [
        {"add": 100, "kind": "N"},
        {"split": 1, "beats": [1750]},
        {"merge": [2, 4]},
    ],
    "dismissed": [
        {"dismiss": [250, 1750], "event": WITHOUT_P},
        {"add": 900, "kind": "V"},
        {"dismiss": [900, 1500], "event": "irregular rhythm"},
    ],
    "given": [
        {"rhythm": [250, 500], "event": WITHOUT_P},
        {"rhythm": [500, 1750], "event": "irregular rhythm"},
        {"dismiss": [250, 500], "event": "irregular rhythm"},
        {"rhythm": [500, 1500], "event": WITHOUT_P},
    ],
    "a split, merged": [{"split": 1, "beats": [250]}, {"merge": [3, 4]}, {"merge": [2, 3]}],
}
WRONG = {
    "no such family": [{"family": 4, "kind": "N"}],
    "family 0": [{"family": 0, "kind": "N"}],
    "a family in words": [{"family": "1", "kind": "N"}],
    "no such kind": [{"family": 1, "kind": "A"}],
    "two kinds": [{"family": 1, "kind": "NS"}],
    "no kind": [{"family": 1}],
    "no families": [{"families": [], "kind": "N"}],
    "one of several families": [{"families": [1, 4], "kind": "N"}],
    "families in words": [{"families": "1", "kind": "N"}],
    "no such beat": [{"beat": 251, "kind": "N"}],
    "a merge of one": [{"merge": [1]}],
    "a merge with itself": [{"merge": [1, 1]}],
    "a merge of none": [{"merge": []}],
    "a split of no beats": [{"split": 1, "beats": []}],
    "a split of another's beats": [{"split": 1, "beats": [500]}],
    "added in words": [{"add": "900", "kind": "V"}],
    "added between samples": [{"add": 900.5, "kind": "V"}],
    "added as an artefact": [{"add": 900, "kind": "X"}],
    "added without a kind": [{"add": 900}],
    "added before the recording": [{"add": -1, "kind": "V"}],
    "added behind the recording": [{"add": 2500, "kind": "V"}],
    "added where one is": [{"add": 500, "kind": "V"}],
    "added too near behind": [{"add": 500 + 37, "kind": "V"}],
    "added too near before": [{"add": 500 - 37, "kind": "V"}],
    "dismissed couplet": [{"dismiss": [250, 1750], "event": "V couplet"}],
    "dismissed without an event": [{"dismiss": [250, 1750]}],
    "dismissed from no beat": [{"dismiss": [251, 1750], "event": WITHOUT_P}],
    "dismissed from one beat": [{"dismiss": [250], "event": WITHOUT_P}],
    "dismissed over three": [{"dismiss": [250, 500, 1750], "event": WITHOUT_P}],
    "dismissed backwards": [{"dismiss": [1750, 250], "event": WITHOUT_P}],
    "dismissed nothing": [{"dismiss": [250, 250], "event": WITHOUT_P}],
    "dismissed in words": [{"dismiss": ["250", "1750"], "event": WITHOUT_P}],
    "dismissed alone": [{"dismiss": None, "event": WITHOUT_P}],
    "a couplet given": [{"rhythm": [250, 1750], "event": "V couplet"}],
    "given without an event": [{"rhythm": [250, 1750]}],
    "given from no beat": [{"rhythm": [251, 1750], "event": WITHOUT_P}],
    "given over three": [{"rhythm": [250, 500, 1750], "event": WITHOUT_P}],
    "given backwards": [{"rhythm": [1750, 250], "event": WITHOUT_P}],
    "given alone": [{"rhythm": None, "event": WITHOUT_P}],
    "given and dismissed": [{"rhythm": [250, 1750], "dismiss": [250, 1750], "event": WITHOUT_P}],
    "added far behind the recording": [{"add": 10**400, "kind": "V"}],
    "two decisions in one": [{"add": 900, "kind": "V", "family": 1}],
    "a merge that names families": [{"merge": [1, 2], "families": 5}],
    "a dismissal that names none": [{"dismiss": [250, 1750], "event": WITHOUT_P, "family": None}],
    "a word too much": [{"family": 1, "kind": "N", "why": 0}],
    "no decision": [{}],
    "a number": [3],
    "null": [None],
}


def as_the_page_has_it(detection):
    codes = [KINDS.find(kind) if kind else -1 for kind in detection.beats.kind.tolist()]
    return {
        "samples": detection.beats.sample.tolist(),
        "kind": codes,
        "family": detection.beats.family.tolist(),
        "rr": milliseconds(detection.beats.rr).tolist(),
        "fs": detection.fs,
        "seconds": detection.seconds,
        "unscorable": detection.unscorable,
        "families": [{"kind": family.kind} for family in detection.families],
    }


def by_the_page(detection, cases, function="replay"):
    return calls(*([function, as_the_page_has_it(detection), case] for case in cases))


def test_the_page_and_kdjax_review_decide_alike():
    for case, state in zip(CASES.values(), by_the_page(THREE, CASES.values()), strict=True):
        reviewed = review.reviewed(THREE, case)
        assert [KINDS[code] if code >= 0 else "" for code in state["kind"]] == list(
            reviewed.beats.kind
        )
        assert state["family"] == reviewed.beats.family.tolist()
        assert state["samples"] == reviewed.beats.sample.tolist()
        assert state["rr"] == milliseconds(reviewed.beats.rr).tolist()
        replay = decisions.Replay(THREE)
        for decision in case:
            replay.apply(decision)
        assert [tuple(stretch) for stretch in state["dismissed"]] == replay.dismissed
        assert [tuple(stretch) for stretch in state["replaced"]] == replay.replaced
        assert [tuple(rhythm.values()) for rhythm in state["given"]] == replay.given
        there = np.searchsorted(reviewed.beats.sample, THREE.beats.sample)
        assert [i for i, source in enumerate(state["source"]) if source >= 0] == there.tolist()
        named = [family["kind"] for family in state["families"]]
        assert named == [family.kind for family in reviewed.families]


def test_both_refuse_the_same():
    for case, said in zip(
        WRONG.values(), by_the_page(THREE, WRONG.values(), "problem"), strict=True
    ):
        assert said == "decision 1 does not fit this recording", case
        with pytest.raises(InputError, match="decision 1 does not fit this recording"):
            review.reviewed(THREE, case)
    assert set(by_the_page(THREE, CASES.values(), "problem")) == {""}


def test_what_was_added_has_to_be_away_from_what_was_added():
    twice = [{"add": 900, "kind": "V"}, {"add": 930, "kind": "N"}]
    assert by_the_page(THREE, [twice], "problem") == ["decision 2 does not fit this recording"]
    says = (
        "decision 2 does not fit this recording: a beat at sample 930 would be within 150 ms of "
        "that at 900; name that one"
    )
    with pytest.raises(InputError, match=f"^{says}$"):
        review.reviewed(THREE, twice)


def kinds(decisions):
    return list(review.reviewed(THREE, decisions).beats.kind)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        ("a family", ["", "S", "V", "S", "S"]),
        ("several families", ["", "X", "V", "F", "F"]),
        ("a beat by hand stays", ["", "V", "V", "S", "Q"]),
        ("a merge takes the kind", ["", "V", "V", "S", "V"]),
        ("a merge keeps what was named by hand", ["", "X", "V", "S", "V"]),
        ("a split, named", ["", "N", "V", "S", "V"]),
        ("three, the last between", ["", "N", "S", "Q", "V", "V", "S", "N"]),
        ("added, named and named again", ["", "V", "V", "S", "X", "S"]),
    ],
)
def test_what_decisions_mean(case, expected):
    assert kinds(CASES[case]) == expected


def test_what_to_name_first_is_the_same_on_the_page():
    rng = np.random.default_rng(0)
    count = 400
    family = np.minimum(rng.geometric(0.14, count) - 1, 30).astype(np.int32)
    kind = np.array(list("NSVQ"))[family % 4]
    beats = many_beats(count)._replace(
        family=family,
        kind=kind,
        abnormal=kind != "N",
        confidence=np.round(rng.uniform(0.5, 1, count), 2).astype(np.float32),
    )
    families = tuple(
        family_of([0], "NSVQ"[i % 4], count=int((family == i).sum()), artefact=i % 7 == 3)
        for i in range(31)
    )
    members = [np.flatnonzero(family == i).tolist() for i in range(31)]
    asked = {
        "kind": [KINDS.find(name) for name in kind],
        "confidence": np.rint(beats.confidence * 100).tolist(),
    }
    shown = [{"kind": one.kind, "artefact": one.artefact} for one in families]
    order = to_name(beats, families)
    assert order == calls(["toName", asked, shown, members])[0]
    assert order[0] == [0]
    assert max(map(len, order)) > 1  # small ones together
    assert [families[group[0]].artefact for group in order] == sorted(
        families[group[0]].artefact for group in order
    )


def test_what_was_detected_is_left_as_it_was():
    before = beats_digest(THREE)
    review.reviewed(THREE, [{"family": 1, "kind": "V"}, {"merge": [1, 2]}])
    assert beats_digest(THREE) == before


def test_families_follow():
    person = synthetic()
    third = person.beats.sample[person.beats.family == 0][::3].tolist()
    reviewed = review.reviewed(person, [{"split": 1, "beats": third}, {"merge": [2, 3]}])
    assert [family.count for family in reviewed.families] == [
        int((reviewed.beats.family == i).sum()) for i in range(len(reviewed.families))
    ]
    assert reviewed.families[2].count == 0
    part, new = person.families[0], reviewed.families[-1]
    assert (new.first, new.last) == (third[0], third[-1])
    # Brought to the band of all beats: the mean of a third of them is like that of all.
    assert np.corrcoef(part.mean[:, 0], new.mean[:, 0])[0, 1] > 0.98
    assert np.abs(part.mean - new.mean).max() < 0.15
    assert new.qrs_ms == pytest.approx(part.qrs_ms, abs=60)
    rows = tables.families(reviewed).splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "4", str(len(reviewed.families))]


def test_the_leads_of_a_mean_beat_stay_apart():
    person = synthetic()
    lead = person.tape.signal()[:, 0]
    times = person.beats.sample[5:60] / person.fs
    two = np.stack([lead, -2 * lead], axis=1)
    mean, spread = review._mean_and_spread(two, times, person.families[0])
    assert mean.shape == spread.shape == (320, 2)
    np.testing.assert_allclose(mean[:, 1], -2 * mean[:, 0], atol=1e-4)
    np.testing.assert_allclose(spread[:, 1], 2 * spread[:, 0], atol=1e-4)


def test_events_follow():
    person = synthetic()
    runs = [event for event in person.events if event.name.startswith("V")]
    reviewed = review.reviewed(person, [{"family": 1, "kind": "V"}])
    assert runs
    assert any(event.name == "V run" and event.beats > 50 for event in reviewed.events)
    artefacts = [
        {"family": i + 1, "kind": "X"} for i, f in enumerate(person.families) if f.kind == "V"
    ]
    assert not [e for e in review.reviewed(person, artefacts).events if e.name.startswith("V")]


@pytest.mark.parametrize(
    ("decision", "says"),
    [
        ({"merge": []}, "a merge needs two or more different families"),
        ({"merge": None}, "None is not a list; give one in brackets"),
        ({"families": 5, "kind": "N"}, "5 is not a list; give one in brackets"),
        ({"split": 1, "beats": None}, "None is not a list; give one in brackets"),
    ],
)
def test_a_decision_that_is_none_is_said_in_our_words(decision, says):
    with pytest.raises(InputError, match=f"decision 1 does not fit this recording: {says}$"):
        review.reviewed(THREE, [decision])


@pytest.mark.parametrize(("kind", "stays"), [("S", True), ("N", True), ("V", False), ("X", False)])
def test_fibrillation_is_as_long_as_its_beats_are_supraventricular_or_normal(kind, stays):
    person = synthetic()
    event = Event(WITHOUT_P, *person.beats.sample[[10, 190]].tolist(), 181)
    found = replace(person, events=(*person.events, event))
    decisions = [{"family": i + 1, "kind": kind} for i in range(len(person.families))]
    assert (event in review.reviewed(found, decisions).events) == stays


def test_a_rhythm_of_which_less_than_a_minute_is_left_is_none():
    person = synthetic()
    sample = person.beats.sample
    event = Event(WITHOUT_P, *sample[[10, 190]].tolist(), 181)
    found = replace(person, events=(event,))
    for kept, there in ((85, False), (110, True)):  # beats, in less and in more than a minute
        assert bool(sample[10 + kept - 1] - sample[10] > 60 * person.fs) == there
        others = [{"beat": int(at), "kind": "V"} for at in sample[10 + kept : 191]]
        left = [e for e in review.reviewed(found, others).events if e.name == WITHOUT_P]
        assert bool(left) == there


def test_what_is_abnormal_follows():
    person = synthetic()
    bad = np.arange(len(person.beats.sample)) < 3
    beats = person.beats._replace(
        score=np.where(bad, NAN, person.beats.score),
        kind=np.where(bad, "", person.beats.kind),
        family=np.where(bad, -1, person.beats.family),
    )
    unscored = [{"beat": int(sample), "kind": "V"} for sample in beats.sample[:2]]
    decisions = [{"family": 1, "kind": "V"}, {"family": 2, "kind": "N"}, *unscored]
    reviewed = review.reviewed(replace(person, beats=beats), decisions)
    kinds = reviewed.beats.kind
    np.testing.assert_array_equal(
        reviewed.beats.abnormal, (kinds == "V") | (kinds == "S") | (kinds == "F") | (kinds == "Q")
    )
    table = [row.split(",") for row in tables.beats(reviewed).splitlines()]
    place = table[0].index("abnormal")
    assert [row[place] for row in table[1:4]] == ["1", "1", ""]
    told = summary(reviewed)
    assert told["abnormal_share"] == reviewed.beats.abnormal.sum() / (kinds != "").sum() < 1


def test_the_doubt_about_the_first_family_ends_when_it_is_named():
    person = synthetic()
    beats = person.beats._replace(kind=np.where(person.beats.kind == "N", "V", "N"))
    (doubt,) = many_abnormal(beats)
    person = replace(person, beats=beats, notes=("another", doubt))
    assert review.reviewed(person, [{"family": 2, "kind": "V"}]).notes == ("another", doubt)
    assert review.reviewed(person, [{"families": [1, 2], "kind": "N"}]).notes == ("another",)


def test_named_by_a_person_is_sure():
    beats = review.reviewed(THREE, [{"family": 1, "kind": "N"}, {"beat": 500, "kind": "F"}]).beats
    np.testing.assert_array_equal(beats.confidence, np.float32([NAN, 1, 1, NAN, 1]))


class TestFiles:
    def test_a_review_comes_back(self, tmp_path):
        decisions = [{"family": 1, "kind": "S"}]
        path = tmp_path / "review.json"
        path.write_text(json.dumps(review.as_json(THREE, decisions)))
        assert review.read(path, THREE) == decisions

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            ({"format": 2}, "not a review in format 1"),
            ({"beats": "0" * 64}, "another recording or detection"),
            ({"decisions": {}}, "no list of decisions"),
        ],
    )
    def test_another_one_is_refused(self, tmp_path, change, says):
        path = tmp_path / "review.json"
        path.write_text(json.dumps(review.as_json(THREE, []) | change))
        with pytest.raises(InputError, match=says):
            review.read(path, THREE)

    def test_one_that_is_not_there_says_where_it_comes_from(self, tmp_path):
        with pytest.raises(InputError, match=r"review.json: no such file; save the review from"):
            review.read(tmp_path / "review.json", THREE)

    def test_kinds_changed_in_families_csv_are_decisions(self, tmp_path):
        path = tmp_path / "families.csv"
        text = tables.families(THREE).replace("2,V,", "2,f,")
        european = text.replace(",", ";").replace(".", ",")
        for written in (text, european, "family,kind\n 2 ,F\n 2,f\n"):
            path.write_text(written)
            assert review.from_table(path, THREE) == [{"family": 2, "kind": "F"}]
        path.write_text(text.splitlines()[0])  # of a recording without families
        assert review.from_table(path, THREE) == []

    @pytest.mark.parametrize("column", ["count", "first_s", "last_s"])
    def test_families_csv_of_another_detection_is_refused(self, tmp_path, column):
        path = tmp_path / "families.csv"
        head, first, *rest = tables.families(THREE).splitlines()
        cells = first.split(",")
        cells[head.split(",").index(column)] = "7.25"
        path.write_text("\n".join([head, ",".join(cells), *rest]))
        with pytest.raises(InputError, match="family 1 is another one here; it belongs to another"):
            review.from_table(path, THREE)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("family,kind\n9,N\n", "no family 9"),
            ("family,kind\n1,A\n", "family 1 has kind 'A'; use one of N, S, V, F, Q, X"),
            ("family,kind\nx,N\n", "no family x"),
            (
                f"family,kind\n{'9' * 5000},N\n",
                "no family 99999999999999999999; families are numbered",
            ),
            ("family,kind\n2,N\n2,V\n", "family 2 has two kinds"),
            ("", "needs the columns family and kind"),
            ("a,b\n1,2\n", "needs the columns family and kind"),
            ("family,kind\n1\n", "needs the columns family and kind"),
        ],
    )
    def test_a_wrong_table_is_said(self, tmp_path, text, says):
        path = tmp_path / "families.csv"
        path.write_text(text)
        with pytest.raises(InputError, match=says):
            review.from_table(path, THREE)

    def test_the_folder_follows_and_the_detection_stays(self, tmp_path):
        person = synthetic()
        files.write(person, tmp_path)
        whole = (tmp_path / "detection.npz").read_bytes()
        decisions = [{"family": 1, "kind": "V"}, {"beat": int(person.beats.sample[5]), "kind": "S"}]
        files.write_reviewed(person, decisions, tmp_path)
        assert (tmp_path / "detection.npz").read_bytes() == whole
        summary = json.loads((tmp_path / "summary.json").read_text())
        assert summary["kinds"]["N"] == 0
        assert summary["decisions"] == 2
        assert review.read(tmp_path / "review.json", files.read(tmp_path)) == decisions
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert f'"decisions":{json.dumps(decisions, separators=(",", ":"))}' in page
