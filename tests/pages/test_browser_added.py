"""Beats that were missed, added in a real browser."""

import json
from dataclasses import replace

import numpy as np
import pytest
from detections import synthetic
from in_browser import count, family, saved

from kdjax.detection import files, review

FS = synthetic().fs
SAMPLE = synthetic().beats.sample
MISSED = 12  # of the beats, an N


@pytest.fixture(scope="module")
def lacking(tmp_path_factory):
    """The folder of the synthetic person without a beat, and its detection."""
    whole = synthetic()
    kept = np.delete(np.arange(len(SAMPLE)), MISSED)
    beats = whole.beats._replace(
        **{name: values[kept] for name, values in whole.beats._asdict().items()}
    )
    rr = np.diff(beats.sample, prepend=np.nan) / FS
    sure = [{"N": 0.99, "S": 0.99}.get(kind, 0.3) for kind in beats.kind.tolist()]
    beats = beats._replace(rr=rr.astype(np.float32), confidence=np.float32(sure))
    families = [
        replace(
            one,
            examples=np.flatnonzero(beats.family == i)[-3:],
            count=int((beats.family == i).sum()),
        )
        for i, one in enumerate(whole.families)
    ]
    detection = replace(whole, beats=beats, families=tuple(families))
    folder = tmp_path_factory.mktemp("lacking")
    files.write(detection, folder)
    return folder, detection


def click(page, seconds):
    """In the first strip, which begins with the recording."""
    canvas = page.locator("#strips canvas").first
    canvas.click(position={"x": seconds * 25 * 96 / 25.4, "y": 60})


def status(page):
    return page.locator("#status").inner_text()


def test_a_click_and_a_letter_add_a_beat_on_its_peak(opened, lacking, tmp_path):
    page = opened(lacking[0])
    before = count(page, "V")
    click(page, SAMPLE[MISSED] / FS + 0.04)
    assert page.locator("#beat button.kind").all_inner_texts() == list("NSVFQ")
    page.keyboard.press("v")
    assert count(page, "V") == before + 1
    assert "V, ventricular" in status(page)
    content = saved(page)
    (decision,) = content["decisions"]
    assert decision["kind"] == "V"
    assert abs(decision["add"] - SAMPLE[MISSED]) < 0.02 * FS
    assert "added" in page.locator("#beat").inner_text()
    rr = round((decision["add"] - int(SAMPLE[MISSED - 1])) / FS * 1000)
    assert f"RR {rr} ms" in page.locator("#beat").inner_text()
    page.keyboard.press("s")  # it is selected: named once more
    assert (count(page, "V"), count(page, "S")) == (before, beats_of("S") + 1)
    page.keyboard.press("u")
    page.keyboard.press("u")
    assert "is gone" in status(page)
    assert count(page, "V") == before
    assert page.evaluate("app.selected") == MISSED - 1  # from where it is found again
    # What was saved loads again, here and in kdjax review.
    (tmp_path / "review.json").write_text(json.dumps(content))
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#file").set_input_files(tmp_path / "review.json")
    page.get_by_text("Loaded 1 decision").wait_for()
    assert count(page, "V") == before + 1
    files.write_reviewed(lacking[1], review.read(tmp_path / "review.json", lacking[1]), tmp_path)
    again = opened(tmp_path)
    assert count(again, "V") == before + 1
    again.locator("#undo").click()
    assert count(again, "V") == before


def beats_of(kind):
    return int((synthetic().beats.kind == kind).sum())


def test_keys_alone_add_a_beat_in_the_gap(opened, lacking):
    page = opened(lacking[0])
    page.locator("#strips").focus()
    for _ in range(MISSED):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    marker = page.evaluate("app.marker")
    assert abs(marker - SAMPLE[MISSED]) < 0.02 * FS
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Shift+ArrowLeft")
    moved = marker + round(0.01 * FS) - round(0.1 * FS)
    assert page.evaluate("app.marker") == moved
    page.keyboard.press("x")
    assert "no beat here that could be an artefact" in status(page)
    page.keyboard.press("Q")
    assert saved(page)["decisions"] == [{"add": moved, "kind": "Q"}]


def test_none_is_added_within_150_ms_of_another(opened, lacking):
    page = opened(lacking[0])
    time = SAMPLE[MISSED - 1] / FS
    click(page, time + 0.14)
    assert page.evaluate("[app.marker, app.selected]") == [None, MISSED - 1]
    page.evaluate(f"pick({time + 0.25}, 2 * APART)")  # as a finger does
    assert page.evaluate("[app.marker, app.selected]") == [None, MISSED - 1]
    page.keyboard.press("a")
    for _ in range(20):
        page.keyboard.press("Shift+ArrowLeft")
    assert "more than 150 ms" in status(page)
    assert page.evaluate("app.marker") == SAMPLE[MISSED - 1] + int(0.15 * FS) + 1
    page.keyboard.press("n")
    (decision,) = saved(page)["decisions"]
    assert review.reviewed(lacking[1], [decision]).beats.kind[MISSED] == "N"


def test_the_marker_goes_with_escape_and_with_its_place(opened, lacking):
    page = opened(lacking[0])
    family(page, 2).focus()
    page.keyboard.press("a")
    assert page.evaluate("document.activeElement.id") == "strips"
    first = page.evaluate("app.marker")
    page.keyboard.press("a")
    assert page.evaluate("app.marker") > first
    page.keyboard.press("Escape")
    assert page.evaluate("[app.marker, document.activeElement.id]") == [None, "strips"]
    page.locator("#beat").get_by_role("button", name="Add a beat").click()
    page.locator("#beat").get_by_role("button", name="Remove marker").click()
    assert page.evaluate("app.marker") is None
    page.keyboard.press("a")
    page.keyboard.press("PageDown")
    page.keyboard.press("v")
    assert "Choose a beat" in status(page)
    assert saved(page)["decisions"] == []


def test_after_the_marker_the_walk_goes_on_where_it_was(opened, lacking):
    page = opened(lacking[0])
    family(page, 1).focus()
    page.keyboard.press(".")
    page.keyboard.press(".")
    assert "beat 2 of" in status(page)
    walked = page.evaluate("app.selected")
    page.keyboard.press("a")
    page.keyboard.press("u")  # takes the marker away, no decision
    assert page.evaluate("[app.marker, app.selected]") == [None, walked]
    page.keyboard.press("a")
    page.keyboard.press("Escape")
    page.keyboard.press(".")
    assert "beat 3 of" in status(page)


def test_the_marker_goes_when_a_family_is_in_focus(opened, lacking):
    page = opened(lacking[0])
    family(page, 1).focus()
    page.keyboard.press(".")
    page.keyboard.press("a")
    page.keyboard.press("ArrowDown")
    assert page.evaluate("app.marker") is None
    page.keyboard.press("v")
    assert [list(one) for one in saved(page)["decisions"]] in (
        [["family", "kind"]],
        [["families", "kind"]],
    )


def test_pictures_and_their_order_stay_those_of_the_same_beats(opened, lacking):
    page = opened(lacking[0])
    captions = page.locator(".family figcaption")
    captions.first.wait_for()
    before = captions.all_inner_texts()
    cards = page.locator(".family")
    numbers = [card.get_attribute("data-number") for card in cards.all()]
    assert numbers != sorted(numbers)  # the uncertain ones come before the many
    click(page, SAMPLE[MISSED] / FS)
    page.keyboard.press("n")
    captions.first.wait_for()
    assert captions.all_inner_texts() == before
    assert [card.get_attribute("data-number") for card in cards.all()] == numbers


def test_adding_by_a_click_keeps_place_and_focus(opened, person):
    page = opened(person)
    page.locator("#strips").scroll_into_view_if_needed()
    page.locator("#strips").focus()
    page.keyboard.press("a")
    before = page.locator("#strips").bounding_box()["y"]
    page.locator("#beat").get_by_role("button", name="V", exact=True).click()
    assert page.evaluate("document.activeElement.id") == "strips"
    assert abs(page.locator("#strips").bounding_box()["y"] - before) < 3
