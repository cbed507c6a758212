"""The page of a recording as text: what it says, embeds and escapes. tests/pages tests its use."""

import json
import re

import numpy as np
import pytest
from detections import FIVE, beats_of, detection_of, synthetic, tape_of
from pages import Page

from kdjax.detection import report
from kdjax.detection.summary import summary

HOSTILE = "\"'></script><script>alert(1)</script><img src=x onerror=alert(1)>\n&amp;<!--"


def page_of(detection=None, decisions=()):
    detection = detection or detection_of()
    numbers = summary(detection)
    numbers["decisions"] = len(decisions)
    return report.render(detection, detection, summary=numbers, decisions=decisions)


def data_of(html):
    (content,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', html)
    return json.loads(content)


@pytest.fixture(scope="module")
def usual():
    return page_of()


def test_the_headline(usual):
    text = Page(usual).text
    assert "0:00:10 (h:mm:ss) at 250 Hz; starts 2026-03-01 23:59:55; lead MLII" in text
    assert "Beats 5 3 scored" in text
    assert "Not normal 1 0 S, 1 V, 0 F, 0 Q; 514 per hour" in text
    assert "lead ECG was taken" in text


def test_stretches_that_touch_are_one_with_all_their_reasons():
    bad = [(100.0, 130.0, "gap"), (0.0, 20.0, "flat"), (15.0, 40.0, "motion"), (60.0, 65.0, "hum")]
    assert report._not_scored(bad) == [[0.0, 40.0, "flat, motion"], [100.0, 130.0, "gap"]]


def test_what_a_rate_promises_and_what_it_does_not():
    text = Page(page_of(detection_of(fpr=0.5))).text
    assert "about 2 would score above it (771 per hour)" in text
    assert "many times as many" in text
    assert "of 44,023 normal beats of other people, 50 % score above it" in text
    assert "for any one person, recording or electrode placement" in text


def test_a_threshold_given_as_a_number_promises_nothing():
    text = Page(page_of(detection_of(fpr=None))).text
    assert "promises no false-positive rate" in text
    assert "What it promises" not in text
    assert "would score above it" not in text


def test_the_page_asks_the_network_for_nothing(usual):
    seen = Page(usual)
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest", usual)
    assert not set(seen.tags) & {"link", "iframe", "object", "embed", "base", "form"}
    assert not [v for _, name, v in seen.attributes if name in ("src", "srcset", "href", "action")]
    assert "default-src 'none'" in usual


def test_the_policy_allows_this_script_alone(usual):
    assert re.search(r"script-src 'sha256-[\w+/]{43}='\"", usual)
    assert Page(usual).tags.count("script") == 2  # the data is the other
    assert not [name for _, name, _ in Page(usual).attributes if name.startswith("on")]


def test_the_data_is_what_was_detected():
    person = synthetic()
    data = data_of(page_of(person, [{"family": 1, "kind": "V"}]))
    assert data["beats"]["sha256"] == report.beats_digest(person)
    assert [family["kind"] for family in data["families"]] == [f.kind for f in person.families]
    assert data["decisions"] == [{"family": 1, "kind": "V"}]
    assert data["tape"]["length"] == 300 * 120


def test_the_digest_knows_beats_kinds_and_families():
    digests = {
        report.beats_digest(detection_of(beats))
        for beats in (
            FIVE,
            FIVE._replace(sample=FIVE.sample + 1),
            FIVE._replace(kind=np.array(["", "N", "S", "", "N"])),
            FIVE._replace(family=np.array([-1, 0, 0, -1, 0])),
        )
    }
    assert len(digests) == 4


def test_hostile_names_are_only_text():
    html = page_of(
        detection_of(
            recording=HOSTILE,
            leads=(HOSTILE,),
            tape=tape_of(np.zeros((2500, 1)), 250.0, [HOSTILE]),
            notes=(HOSTILE,),
            score=HOSTILE,
            detector=HOSTILE,
            calibration=HOSTILE,
            unscorable=((1.0, 2.0, HOSTILE),),
            made_by={HOSTILE: {HOSTILE: HOSTILE}},
        ),
        [{"family": 1, "kind": HOSTILE}],
    )
    seen = Page(html)
    assert seen.tags.count("script") == 2
    assert "img" not in seen.tags
    assert not [name for _, name, _ in seen.attributes if name.startswith("on")]
    assert seen.text.count("<script>alert(1)</script>") >= 8
    data = data_of(html)
    assert data["recording"] == HOSTILE
    assert data["tape"]["leads"] == [HOSTILE]


def test_no_beats_found():
    nothing = detection_of(beats_of(), families=(), events=(), unscorable=((0.0, 10.0, "flat"),))
    html = page_of(nothing)
    text = Page(html).text
    assert "No beats found." in text
    assert "Check the families below" not in text
    assert "1 0:00:10 100 % 0" in text
    assert "script" not in Page(html).tags


def test_one_beat():
    beats = beats_of((300, 1e9, 1.0, True, "good", np.nan, "V", 0, 0.5, 1.0))
    html = page_of(detection_of(beats, unscorable=()))
    assert "Beats 1 1 scored" in Page(html).text
    assert "Check the families below" in Page(html).text
    assert "The whole recording could be scored" in Page(html).text


def test_a_threshold_that_nothing_exceeds():
    assert "inf" in Page(page_of(detection_of(threshold=np.inf, fpr=None))).text
