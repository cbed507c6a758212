"""The page's script, in Node and without a page: what it unpacks, decides and draws from."""

import json
import subprocess
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
from javascript import calls, node

from kdjax.detection import index, report
from kdjax.pages import packing, page


@pytest.mark.parametrize("parts", [report.SCRIPTS, index.SCRIPTS], ids=["report", "index"])
def test_the_linter_has_nothing_to_say(parts, tmp_path):
    (tmp_path / "page.js").write_text(page.script(*parts), encoding="utf-8")
    rules = Path(__file__).parents[2] / ".oxlintrc.json"
    (program,) = (file.locate() for file in metadata.files("oxlint") or () if file.name == "oxlint")
    done = subprocess.run(
        [str(program), "--deny-warnings", "--config", rules, tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_arrays_arrive_as_they_were_packed():
    rng = np.random.default_rng(0)
    sent = [
        rng.integers(ends.min, ends.max, 300, ends.dtype, endpoint=True)
        for ends in map(np.iinfo, ("int8", "int16", "int32"))
    ]
    sent.append(rng.normal(size=300).astype(np.float32))
    for values, read in zip(
        sent, calls(*(["unpack", packing.packed(values)] for values in sent)), strict=True
    ):
        np.testing.assert_array_equal(np.array(read, values.dtype), values)


def test_chunks_of_the_tape_become_leads():
    parts = [np.arange(6, dtype=np.int16), np.arange(6, 14, dtype=np.int16)]
    chunks = [packing.text(packing.deflated(part)) for part in parts]
    (leads,) = calls(["unpackTape", {"leads": ["I", "II"], "length": 7, "chunks": chunks}])
    assert leads == [[0, 1, 2, 6, 7, 8, 9], [3, 4, 5, 10, 11, 12, 13]]


def test_the_first_value_from_another_on():
    values = [1, 3, 3, 7]
    found = calls(*(["firstFrom", values, at] for at in (0, 1, 2, 3, 4, 7, 8)))
    assert found == np.searchsorted(values, (0, 1, 2, 3, 4, 7, 8)).tolist()


def test_times_of_day():
    start = 1772409595000  # 2026-03-01 23:59:55
    found = calls(
        ["clock", 0], ["clock", 3725.9], ["clock", 3, start], ["clock", 5, start], ["clock", 90000]
    )
    assert found == ["0:00:00", "1:02:05", "23:59:58", "day 2 0:00:00", "25:00:00"]


def test_two_shapes_are_told_apart_whatever_their_level():
    rng = np.random.default_rng(1)
    narrow = np.exp(-0.5 * (np.linspace(-3, 3, 50) * 3) ** 2)
    wide = np.exp(-0.5 * np.linspace(-3, 3, 50) ** 2)
    is_wide = rng.random(40) < 0.3
    windows = np.where(is_wide[:, None], wide, narrow) + rng.normal(0, 1, (40, 1))
    windows += rng.normal(0, 0.02, windows.shape)
    apart, one, none = calls(
        ["twoShapes", windows.tolist()], ["twoShapes", [[1, 2]]], ["twoShapes", [[1, 2], [1, 2]]]
    )
    assert apart == is_wide.tolist()
    assert one is None
    assert none is None


def test_mean_and_spread_are_those_of_numpy():
    rng = np.random.default_rng(2)
    lead = rng.integers(-100, 100, 2000)
    tape = {"fs": 120, "step": 0.01}
    times = [2.0, 5.5, 9.25]
    (found,) = calls(["meanBeat", lead.tolist(), tape, times])
    cut = [lead[round((t - 0.39) * 120) :][:107] * 0.01 for t in times]
    np.testing.assert_allclose(found["mean"], np.mean(cut, axis=0), atol=1e-6)
    np.testing.assert_allclose(found["spread"], np.std(cut, axis=0), atol=1e-6)


def test_examples_are_the_typical_beats_that_are_left_then_some_of_every_time():
    members = list(range(10, 40))
    assert calls(
        ["examplesOf", members, [12, 30, 39]],
        ["examplesOf", members, [2, 30]],
        ["examplesOf", members, None],
        ["examplesOf", [5], [5]],
        ["examplesOf", [], [5]],
        ["examplesOf", members, [12, 30, 39], 20],
        ["examplesOf", members, [12, 30, 39], 30],
        ["examplesOf", members, [12, 30, 39], 2],
        ["examplesOf", members, [12], 20],
    ) == [
        [12, 30, 39],
        [15, 25, 30],
        [15, 25, 35],
        [5],
        [],
        [12, 20, 30],
        [12, 30, 39],
        [12, 30, 39],
        [12, 15, 20],
    ]


def test_the_order_stays_and_what_was_split_off_stands_beside_its_origin():
    families = [{}, {}, {}, {"origin": 0}, {"origin": 3}, {"origin": 9}, {"origin": 1}]
    order, members = [[0], [1, 2]], [[5], [6], [7], [8], [9], [1], []]
    asked = ["followedOrder", order, families]
    assert calls([*asked, members]) == [[[0], [3], [4], [1, 2], [5]]]
    members[0] = members[1] = []  # merged into others
    assert calls([*asked, members]) == [[[2], [3], [4], [5]]]


def test_gain_falls_until_a_beat_fits():
    assert calls(["gainFor", 0, 1, 100], ["gainFor", 0, 4, 100], ["gainFor", 0, 1e9, 100]) == [
        1,
        0.5,
        1 / 32,
    ]


def test_heart_rates_by_column():
    recording = {"times": [0.5, 1.5, 1.6, 9.5], "rate": [60, 80, 100, 0]}
    (columns,) = calls(["rateColumns", recording, 0, 10, 10])
    assert columns[0] == {"low": 60, "high": 60, "sum": 60, "count": 1}
    assert columns[1] == {"low": 80, "high": 100, "sum": 180, "count": 2}
    assert columns[2:] == [None] * 8
    (until,) = calls(["rateColumns", recording, 0, 1.5, 3])
    assert until == [None, columns[0], None]  # what begins at the end is of the next stretch


def test_a_place_in_the_overview_is_a_time_right_of_the_names():
    view = {"from": 60, "to": 160}
    places = [0, 46, 96, 146]  # the axis begins at pixel 46
    assert calls(*(["timeAt", x, 146, view] for x in places)) == [60, 60, 110, 160]


@pytest.mark.parametrize("width", [300, 1042, 2000])
def test_times_of_day_do_not_touch_on_the_axis(width):
    spans = [60, 600, 3600, 10 * 3600, 86665, 7 * 86400]
    steps = calls(*(["timeStep", seconds, width] for seconds in spans))
    for step, seconds in zip(steps, spans, strict=True):
        assert step / seconds * width > 90, (seconds, step)  # "day 2 10:00:00" takes 84


def test_the_highest_scores_come_first_and_those_without_one_never():
    scores = [1, None, 30, 4, None, 30]
    assert calls(["highest", scores, 3], ["highest", scores, 9], ["highest", [None], 3]) == [
        [2, 5, 3],
        [2, 5, 3, 0],
        [],
    ]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (({"name": "pause", "beats": 2}, 3.7), "pause, 3.7\u00a0s"),
        (({"name": "V couplet", "beats": 2}, 0.42), "V couplet, 2 beats, 0.4\u00a0s"),
        (({"name": "V run", "beats": 41}, 20), "V run, 41 beats, 20.0\u00a0s, 120 bpm"),
        (
            ({"name": "irregular rhythm", "beats": 500}, 407),
            "irregular rhythm, 500 beats, 6:47\u00a0min",
        ),
        (
            ({"name": "irregular rhythm", "beats": 80, "given": True}, 70),
            "irregular rhythm, 80 beats, 1:10\u00a0min, by hand",
        ),
        (
            ({"name": "irregular rhythm", "beats": 9000}, 7265),
            "irregular rhythm, 9,000 beats, 2:01:05\u00a0h",
        ),
    ],
)
def test_events_in_words(event, text):
    program = page.script("overview.js", "events.js", "report.js")
    program += f"process.stdout.write(eventText(...{json.dumps(event)}));"
    done = subprocess.run([str(node()), "-e", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, text), done.stderr


STEPS = """
const begun = { merging: null, marker: null, limit: null };
const app = { decisions: [], saved: 0, undone: 0, ...begun, data: { beats: {} } };
const refresh = () => {}, say = () => {}, renderCounts = () => {}, setTimeout = () => {};
const element = () => ({ click() {} });
const after = (...steps) => {
  for (const step of steps) step();
  return unsaved();
};
let family = 0;
const made = () => decide({ family: ++family, kind: "N" }, "");
const counts = [after(made, made, save), after(undo), after(made), after(save), after(undo, undo)];
process.stdout.write(JSON.stringify(counts));
"""


def test_what_was_undone_since_it_was_saved_is_not_saved():
    program = page.script("decisions.js") + STEPS
    done = subprocess.run([str(node()), "-e", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "[0,1,2,0,2]"), done.stderr


def made_strip(*peaks):
    """A lead at 120 Hz with a narrow peak, up or down, at each of these (seconds, height)."""
    time = np.arange(1200) / 120
    lead = sum(height * np.exp(-0.5 * ((time - at) / 0.015) ** 2) for at, height in peaks)
    return np.rint(20 + lead).tolist(), {"fs": 120, "step": 0.02}


def test_a_place_moves_to_the_peak_near_it_but_not_too_near_to_a_beat():
    lead, tape = made_strip((2, 90), (5, -70))
    room = [0, 3599]
    found = calls(
        ["snapped", lead, tape, 705, room, 360],  # 2 s is sample 720, 5 s is 1800
        ["snapped", lead, tape, 1815, room, 360],
        ["snapped", lead, tape, 1850, room, 360],  # 140 ms away
        ["snapped", lead, tape, 705, [0, 710], 360],
        ["snapped", [], tape, 705, room, 360],
        ["snapped", lead, tape, 3599, room, 360],
    )
    assert found[:2] == [720, 1800]
    assert abs(found[2] - 1850) <= 22
    assert found[3] <= 710
    assert found[4] == 705
    assert found[5] <= 3599


def test_the_steepest_complex_of_a_gap_is_found_but_not_a_t_wave():
    slow = 60 * np.exp(-0.5 * ((np.arange(1200) / 120 - 3.0) / 0.08) ** 2)
    lead, tape = made_strip((2, 90), (4, 50), (5.5, 90))
    lead = np.rint(np.array(lead) + slow).tolist()
    gap = [round(2.15 * 360) + 1, round(5.35 * 360) - 1]
    found, long, none = calls(
        ["steepestIn", lead, tape, gap, 360],
        ["steepestIn", lead, tape, [gap[0], 3599], 360],
        ["steepestIn", [], tape, gap, 360],
    )
    assert found == long == 4 * 360  # not 5.5 s, which is farther than two seconds
    assert gap[0] <= none <= gap[1]


def test_a_complex_is_steep_whether_it_rises_or_falls():
    """One that falls at once and comes back slowly, beside a wave that rises less fast."""
    time = np.arange(1200) / 120
    falls = np.where(time < 4, 0, -90 * np.exp(-(time - 4) / 0.2))
    wave = 60 * np.exp(-0.5 * ((time - 3) / 0.08) ** 2)
    lead, tape = np.rint(20 + falls + wave).tolist(), {"fs": 120, "step": 0.02}
    (found,) = calls(["steepestIn", lead, tape, [round(2.5 * 360), round(4.45 * 360)], 360])
    assert found == 4 * 360


def test_the_room_for_a_beat_between_two():
    state = {"samples": [100, 190, 500], "fs": 200, "seconds": 5}
    assert calls(*(["roomBefore", i, state] for i in range(4))) == [
        [0, 69],
        [131, 159],
        [221, 469],
        [531, 999],
    ]
    assert calls(["roomBefore", 1, state | {"samples": [100, 161]}]) == [None]
