"""Events that follow the decisions, are dismissed or given, in a real browser."""

import json
from dataclasses import replace

import numpy as np
import pytest
from detections import synthetic
from in_browser import count, family, saved

from kdjax.detection import files, review
from kdjax.detection.deciding import Beats
from kdjax.detection.events import WITHOUT_P, Event, find_events
from kdjax.detection.notes import long_pauses

SAMPLE = synthetic().beats.sample
FALSE = Event(WITHOUT_P, *SAMPLE[[10, 190]].tolist(), 181)
FOUND = replace(synthetic(), events=tuple(sorted((*synthetic().events, FALSE), key=lambda e: e[1])))
DISMISSAL = {"dismiss": [FALSE.first, FALSE.last], "event": WITHOUT_P}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("rhythm")
    files.write(FOUND, made)
    return made


def rhythms(page):
    return page.locator("#events .event", has_text=WITHOUT_P).count()


def test_a_button_dismisses_a_rhythm_and_undo_brings_it_back(opened, folder):
    page = opened(folder)
    kinds = [count(page, kind) for kind in "NSV"]
    total = page.locator("#events .event").count()
    assert page.get_by_role("button", name="Dismiss").count() == 1  # couplets and pauses have none
    page.get_by_role("button", name="Dismiss").click()
    assert rhythms(page) == 0
    assert f"({total - 1})" in page.locator("#which option").first.inner_text()
    assert WITHOUT_P not in page.locator("#which").inner_text()
    assert [count(page, kind) for kind in "NSV"] == kinds
    assert saved(page)["decisions"] == [DISMISSAL]
    page.keyboard.press("u")
    assert rhythms(page) == 1
    assert "is an event again" in page.locator("#status").inner_text()


def test_a_key_dismisses_it_and_the_next_event_follows(opened, folder):
    page = opened(folder)
    page.locator("#strips").focus()
    page.keyboard.press("d")
    assert "Choose an irregular rhythm" in page.locator("#status").inner_text()
    names = page.locator("#events .event").all_inner_texts()
    place = [WITHOUT_P in name for name in names].index(True)
    for _ in range(place + 1):
        page.keyboard.press("]")
    assert "key d" in page.locator("#status").inner_text()
    page.keyboard.press("d")
    assert rhythms(page) == 0
    page.keyboard.press("]")
    assert page.locator("#events .now").inner_text() == names[place + 1]
    page.keyboard.press("d")
    assert saved(page)["decisions"] == [DISMISSAL]


def test_the_key_dismisses_only_what_is_shown(opened, tmp_path):
    first = Event(WITHOUT_P, *SAMPLE[[10, 150]].tolist(), 141)
    second = Event(WITHOUT_P, *SAMPLE[[160, 300]].tolist(), 141)
    files.write(replace(FOUND, events=(first, second)), tmp_path)
    page = opened(tmp_path)
    page.locator("#which").select_option(WITHOUT_P)
    page.locator("#strips").focus()
    page.keyboard.press("]")
    page.keyboard.press("]")
    page.keyboard.press("d")
    page.keyboard.press("d")  # the first was looked at and kept
    assert rhythms(page) == 1
    page.locator("#events .event").first.click()
    page.keyboard.press("PageDown")
    page.keyboard.press("d")  # something else is shown now
    assert "Choose an irregular rhythm" in page.locator("#status").inner_text()
    assert saved(page)["decisions"] == [
        {"dismiss": [second.first, second.last], "event": WITHOUT_P}
    ]


def test_keys_of_events_and_of_saving_work_in_the_choice_of_events(opened, folder):
    page = opened(folder)
    page.locator("#which").focus()
    page.keyboard.press("]")
    assert page.locator("#events .now").count() == 1
    page.locator("#which").focus()
    assert saved(page)["decisions"] == []


def test_a_dismissal_is_saved_applied_and_undone_in_the_page_that_follows(opened, folder, tmp_path):
    page = opened(folder)
    page.locator("#which").select_option(WITHOUT_P)
    page.get_by_role("button", name="Dismiss").click()
    assert page.locator("#which").input_value() == ""
    (tmp_path / "review.json").write_text(json.dumps(saved(page)))
    decisions = review.read(tmp_path / "review.json", FOUND)
    files.write_reviewed(FOUND, decisions, tmp_path)
    assert WITHOUT_P not in (tmp_path / "events.csv").read_text()
    after = opened(tmp_path)
    assert rhythms(after) == 0
    after.locator("#undo").click()
    assert rhythms(after) == 1
    after.once("dialog", lambda dialog: dialog.accept())
    after.locator("#file").set_input_files(tmp_path / "review.json")
    after.get_by_text("Loaded 1 decision").wait_for()
    assert rhythms(after) == 0


def status(page):
    return page.locator("#status").inner_text()


def select_beat(page, index):
    page.evaluate(f"show({index})")


def test_two_keys_give_a_rhythm_in_place_of_the_one_that_it_overlaps(opened, folder, tmp_path):
    page = opened(folder)
    kinds = [count(page, kind) for kind in "NSV"]
    select_beat(page, 150)  # its last beat first
    page.keyboard.press("r")
    assert "choose the other end" in status(page)
    page.keyboard.press("r")
    assert "another beat" in status(page)
    select_beat(page, 30)
    page.keyboard.press("r")
    given = {"rhythm": SAMPLE[[30, 150]].tolist(), "event": WITHOUT_P}
    assert "In place of " in status(page)
    assert f"{WITHOUT_P}, 181 beats" in status(page)
    assert saved(page)["decisions"] == [given]
    assert rhythms(page) == 1
    text = page.locator("#events .event", has_text=WITHOUT_P).inner_text()
    assert "121 beats" in text
    assert text.endswith("by hand")
    assert [count(page, kind) for kind in "NSV"] == kinds
    (tmp_path / "review.json").write_text(json.dumps(saved(page)))
    files.write_reviewed(FOUND, review.read(tmp_path / "review.json", FOUND), tmp_path)
    rows = [row for row in (tmp_path / "events.csv").read_text().splitlines() if WITHOUT_P in row]
    assert len(rows) == 1
    assert rows[0].split(",")[-1] == "121"
    page.keyboard.press("u")
    assert "that you gave" in status(page)
    assert "181 beats" in page.locator("#events .event", has_text=WITHOUT_P).inner_text()


def test_buttons_give_a_rhythm_with_p_waves(opened, folder):
    page = opened(folder)
    select_beat(page, 200)
    page.get_by_role("button", name="Rhythm from here").click()
    page.get_by_role("button", name="30 s ▶").click()
    page.get_by_role("button", name="30 s ▶").click()
    assert page.get_by_role("button", name="Rhythm to here").count() == 0  # no beat is selected
    assert page.get_by_role("button", name="Cancel rhythm").is_visible()
    select_beat(page, 290)
    page.get_by_role("button", name="Rhythm to here, P waves").click()
    assert saved(page)["decisions"] == [
        {"rhythm": SAMPLE[[200, 290]].tolist(), "event": "irregular rhythm"}
    ]


@pytest.mark.parametrize("how", ["Escape", "Undo", "Cancel rhythm"])
def test_an_end_of_a_rhythm_is_taken_back(opened, folder, how):
    page = opened(folder)
    select_beat(page, 100)
    page.keyboard.press("r")
    if how == "Escape":
        page.keyboard.press(how)
    else:
        page.get_by_role("button", name=how).click()
    assert "was removed" in status(page)
    assert page.evaluate("document.activeElement.id") == "strips"  # where keys go on
    assert page.get_by_role("button", name="Rhythm from here").is_visible()
    assert saved(page)["decisions"] == []
    page.keyboard.press("Shift+R")
    assert "choose the other end" in status(page)


def test_a_marker_is_no_end_of_a_rhythm(opened, folder):
    page = opened(folder)
    select_beat(page, 100)
    page.keyboard.press("a")
    page.keyboard.press("r")
    assert "Esc removes it" in status(page)
    page.keyboard.press("Escape")
    assert page.get_by_role("button", name="Rhythm from here").is_visible()
    assert saved(page)["decisions"] == []


def test_a_beat_at_the_end_of_a_rhythm_that_is_undone_takes_it_back(opened, folder):
    page = opened(folder)
    select_beat(page, 100)
    page.keyboard.press("a")
    page.keyboard.press("n")
    page.keyboard.press("r")
    assert page.get_by_role("button", name="Cancel rhythm").is_visible()
    page.evaluate("app.decisions = []; refresh()")  # as loading a review does
    assert page.get_by_role("button", name="Cancel rhythm").count() == 0


def listed(page):
    return [text.split(" ", 1)[1] for text in page.locator("#events .event").all_inner_texts()]


def test_the_list_follows_each_decision_as_events_csv_does_after_kdjax_review(opened, tmp_path):
    person = synthetic()
    files.write(person, tmp_path)
    page = opened(tmp_path)
    before = listed(page)
    family(page, 1).focus()
    page.keyboard.press("v")
    after = listed(page)
    assert any("V run" in text for text in after)
    assert after != before
    (tmp_path / "review.json").write_text(json.dumps(saved(page)))
    files.write_reviewed(person, review.read(tmp_path / "review.json", person), tmp_path)
    rows = (tmp_path / "events.csv").read_text().splitlines()[1:]
    assert len(rows) == len(after)
    assert listed(opened(tmp_path)) == after
    page.locator("#undo").click()
    assert listed(page) == before


def test_an_added_beat_ends_a_pause_and_the_note_about_it(opened, tmp_path):
    person = synthetic()
    kept = np.arange(len(SAMPLE)) != 12
    beats = Beats(*(values[kept] for values in person.beats))
    rr = beats.rr.copy()
    rr[12] = (beats.sample[12] - beats.sample[11]) / person.fs + 1  # s, so that it is a pause
    beats = beats._replace(rr=rr, sample=beats.sample + np.where(np.arange(len(rr)) < 12, 0, 360))
    families = tuple(replace(one, examples=one.examples[:0]) for one in person.families)
    notes = tuple(long_pauses(beats, person.fs))
    assert len(notes) == 1
    paused = replace(person, beats=beats, families=families, notes=notes)
    files.write(replace(paused, events=find_events(beats, person.fs)), tmp_path)
    page = opened(tmp_path)
    assert page.locator(".notes li").is_visible()
    page.locator("#which").select_option("pause")
    page.locator("#events .event").click()
    page.keyboard.press("a")
    page.keyboard.press("n")
    assert "pause" not in page.locator("#which").inner_text()
    assert not page.locator(".notes").is_visible()
    (tmp_path / "review.json").write_text(json.dumps(saved(page)))
    decisions = review.read(tmp_path / "review.json", files.read(tmp_path))
    assert files.write_reviewed(files.read(tmp_path), decisions, tmp_path).detection.notes == ()
    page.locator("#undo").click()
    assert page.locator(".notes li").is_visible()


@pytest.mark.parametrize(("key", "leads_to"), [("]", 2), ("[", 0)])
def test_bracket_goes_on_from_an_event_that_decisions_have_ended(opened, tmp_path, key, leads_to):
    files.write(synthetic(), tmp_path)
    page = opened(tmp_path)
    page.locator("#which").select_option("S couplet")
    names = page.locator("#events .event").all_inner_texts()
    assert len(names) > 2
    page.locator("#events .event").nth(1).click()
    page.keyboard.press("n")  # the first beat of the couplet
    assert page.locator("#events .event").all_inner_texts() == [names[0], *names[2:]]
    page.keyboard.press(key)
    assert page.locator("#events .now").inner_text() == names[leads_to]
