"""What is begun, and then not done after all: a merge, a key meant for something else."""

import json

import pytest
from in_browser import family, saved


def begin_to_merge_what_was_split_off(page):
    family(page, 1).focus()
    page.keyboard.press("p")
    new = page.evaluate("document.activeElement.dataset.number")
    page.keyboard.press("m")
    assert f"merge family {new} into" in page.locator("#status").inner_text()


def test_undo_takes_back_a_merge_that_was_begun_and_then_the_split(opened, person):
    page = opened(person)
    begin_to_merge_what_was_split_off(page)
    page.keyboard.press("u")
    assert page.locator("#status").inner_text() == "The merge is taken back."
    page.keyboard.press("u")
    assert "family 1 is whole again" in page.locator("#status").inner_text()
    page.keyboard.press("m")
    page.keyboard.press("v")
    assert saved(page)["decisions"] == [{"family": 1, "kind": "V"}]


def test_a_merge_alone_can_be_taken_back(opened, person):
    page = opened(person)
    undo = page.locator("#undo")
    family(page, 2).get_by_role("button", name="Merge…").click()
    assert undo.is_enabled()
    undo.click()
    assert page.locator(".merging").count() == 0
    assert undo.is_disabled()


def test_a_merge_that_was_begun_ends_when_a_review_is_loaded(opened, person, tmp_path):
    page = opened(person)
    family(page, 1).focus()
    page.keyboard.press("v")
    (tmp_path / "review.json").write_text(json.dumps(saved(page)))
    begin_to_merge_what_was_split_off(page)
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#file").set_input_files(tmp_path / "review.json")
    page.get_by_text("Loaded 1 decision.").wait_for()
    assert page.locator(".merging").count() == 0
    assert page.get_by_role("button", name="Merge here").count() == 0


def test_to_redo_undoes_nothing_more(opened, person):
    page = opened(person)
    family(page, 1).focus()
    page.keyboard.press("v")
    page.keyboard.press("Control+Shift+Z")
    assert saved(page)["decisions"] == [{"family": 1, "kind": "V"}]


@pytest.mark.parametrize("with_ctrl", [False, True])
def test_brackets_that_need_alt_lead_to_events(opened, person, with_ctrl):
    page = opened(person)
    pressed = {"key": "]", "altKey": True, "ctrlKey": with_ctrl, "bubbles": True}
    typed = f"new KeyboardEvent('keydown', {json.dumps(pressed)})"
    page.evaluate(f"document.body.dispatchEvent({typed})")
    assert page.locator("#events .now").count() == 1


@pytest.mark.parametrize(("letter", "code"), [("м", "KeyV"), ("ω", "KeyV"), ("V", "KeyK")])
def test_letters_of_other_scripts_stand_for_the_latin_ones_in_their_place(
    opened, person, letter, code
):
    page = opened(person)
    family(page, 1).focus()
    pressed = {"key": letter, "code": code, "bubbles": True}
    typed = f"new KeyboardEvent('keydown', {json.dumps(pressed)})"
    page.evaluate(f"document.activeElement.dispatchEvent({typed})")
    assert saved(page)["decisions"] == [{"family": 1, "kind": "V"}]
