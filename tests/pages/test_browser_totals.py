"""The boxes at the top of the page follow the decisions, as kdjax review counts them."""

import json
from dataclasses import replace

import numpy as np
from detections import synthetic
from in_browser import family, saved

from kdjax.detection import files, review
from kdjax.detection.notes import many_abnormal


def boxes(page):
    """The boxes, and the table of hours."""
    return [*page.locator(".card").all_inner_texts(), page.locator("#hours").inner_text()]


def notes(page):
    return [text for text in page.locator(".notes li:visible").all_inner_texts() if text]


def doubted():
    """The synthetic person with N and V exchanged, so that many beats are called abnormal."""
    person = synthetic()
    kind = np.where(person.beats.kind == "N", "V", person.beats.kind)
    beats = person.beats._replace(kind=kind, abnormal=kind != "N")
    families = (replace(person.families[0], kind="V", detected="V"), *person.families[1:])
    bad = ((100.0, 110.0, "motion"),)
    whole = replace(person, beats=beats, families=families, unscorable=bad)
    return replace(whole, notes=("another", *many_abnormal(beats)))


def without_script(browser, path):
    context = browser.new_context(
        java_script_enabled=False, viewport={"width": 1280, "height": 900}
    )
    page = context.new_page()
    page.goto(path.as_uri())
    found = boxes(page), notes(page)
    context.close()
    return found


def test_they_are_the_same_before_and_after_kdjax_review(opened, browser, tmp_path):
    person = doubted()
    files.write(person, tmp_path)
    page = opened(tmp_path)
    as_detected = boxes(page), notes(page)
    assert as_detected == without_script(browser, tmp_path / "report.html")
    assert len(as_detected[1]) == 2
    family(page, 2).focus()
    page.keyboard.press("x")
    page.locator("#strips").focus()
    for key in ("ArrowRight", "s", "a", "v"):
        page.keyboard.press(key)
    assert notes(page) == as_detected[1]
    family(page, 1).focus()
    page.keyboard.press("n")
    decided = boxes(page), notes(page)
    assert decided[1] == ["another"]
    assert [a == b for a, b in zip(decided[0], as_detected[0], strict=True)][:3] == [False] * 3
    (tmp_path / "review.json").write_text(json.dumps(saved(page)))
    decisions = review.read(tmp_path / "review.json", person)
    assert [*decisions[2]] == ["add", "kind"]
    files.write_reviewed(person, decisions, tmp_path)
    assert without_script(browser, tmp_path / "report.html") == decided
    after = opened(tmp_path)
    assert (boxes(after), notes(after)) == decided
    for _ in decisions:
        after.locator("#undo").click()
    assert (boxes(after), notes(after)) == as_detected
    for _ in decisions:
        page.locator("#undo").click()
    assert (boxes(page), notes(page)) == as_detected


def test_the_page_stays_a_tool_when_all_are_called_artefacts(opened, tmp_path):
    person = synthetic()
    everything = [{"families": [i + 1 for i in range(len(person.families))], "kind": "X"}]
    files.write_reviewed(person, everything, tmp_path)
    page = opened(tmp_path)
    assert boxes(page)[0].split("\n")[1] == "0"
    page.locator("#undo").click()
    assert boxes(page)[0].split("\n")[1] == str(len(person.beats.sample))
