"""Events that are dismissed, in a real browser."""

import json
from dataclasses import replace

import pytest
from detections import synthetic
from in_browser import count, saved

from kdjax.detection import files, review
from kdjax.detection.events import WITHOUT_P, Event

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
    assert page.get_by_role("button", name="Not so").count() == 1  # couplets and pauses have none
    page.get_by_role("button", name="Not so").click()
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
    first = Event(WITHOUT_P, *SAMPLE[[10, 90]].tolist(), 81)
    second = Event(WITHOUT_P, *SAMPLE[[100, 190]].tolist(), 91)
    files.write(replace(FOUND, events=(first, second)), tmp_path)
    page = opened(tmp_path)
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
    page.get_by_role("button", name="Not so").click()
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
