"""The pages in a real browser: Chromium, driven by Playwright."""

import json
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from detections import detection_of, family_of, of_small_families, synthetic
from in_browser import count, family, saved
from matplotlib.image import imread

from kdjax.detection import files, index, review


def beats_of_kind(kind):
    return int((synthetic().beats.kind == kind).sum())


def test_families_strips_and_counts_are_there(opened, person):
    page = opened(person)
    assert page.locator(".family").count() == len(synthetic().families)
    assert count(page, "N") == beats_of_kind("N")
    assert count(page, "V") == beats_of_kind("V")
    for canvas in (".family canvas.mean", ".family figure canvas", "#overview", "#strips canvas"):
        drawn = page.locator(canvas).first.evaluate(
            "c => new Set(new Uint32Array(c.getContext('2d')"
            ".getImageData(0, 0, c.width, c.height).data.buffer)).size"
        )
        assert drawn > 10, canvas


def test_a_family_is_named_by_key_and_by_click_and_undone(opened, person):
    page = opened(person)
    both = beats_of_kind("N") + beats_of_kind("V")
    assert family(page, 1).locator(".proposed").inner_text() == "N"
    assert family(page, 1).locator("[aria-pressed=true]").count() == 0
    family(page, 1).focus()
    page.keyboard.press("v")
    assert family(page, 1).locator(".proposed").count() == 0
    assert family(page, 1).locator("[aria-pressed=true]").inner_text() == "V"
    assert (count(page, "N"), count(page, "V")) == (0, both)
    assert "Family 1 named V, ventricular" in page.locator("#status").inner_text()
    assert page.evaluate("document.activeElement.dataset.number") == "1"
    page.keyboard.press("u")
    assert count(page, "V") == beats_of_kind("V")
    family(page, 1).get_by_role("button", name="V", exact=True).click()
    assert count(page, "V") == both


def test_a_beat_is_named_alone(opened, person):
    page = opened(person)
    page.locator("#strips").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("f")
    sample = int(synthetic().beats.sample[1])
    assert saved(page)["decisions"] == [{"beat": sample, "kind": "F"}]
    assert "family 1" in page.locator("#beat").inner_text()


def test_a_beat_is_chosen_by_a_click(opened, person):
    page = opened(person)
    time = synthetic().beats.sample[3] / synthetic().fs
    page.locator("#strips canvas").first.click(position={"x": time * 25 * 96 / 25.4, "y": 60})
    page.locator("#beat").get_by_role("button", name="X").click()
    assert saved(page)["decisions"] == [{"beat": int(synthetic().beats.sample[3]), "kind": "X"}]


def test_what_is_split_off_stands_beside_its_family_and_undo_leads_back(opened, person):
    page = opened(person)
    family(page, 1).focus()
    page.keyboard.press("p")
    cards = page.locator(".family")
    numbers = [cards.nth(i).get_attribute("data-number") for i in range(2)]
    assert numbers == ["1", str(cards.count())]
    assert page.evaluate("document.activeElement.dataset.number") == numbers[1]
    page.keyboard.press("u")
    assert page.evaluate("document.activeElement.dataset.number") == "1"
    assert "Undone: family 1 is whole again" in page.locator("#status").inner_text()


def test_cards_stay_where_they_are_when_beats_move_between_families(opened, person):
    page = opened(person)
    cards = "[...document.querySelectorAll('.family')].map((card) => Number(card.dataset.number))"
    first, second, *others, last = page.evaluate(cards)
    page.evaluate(f"decide({{ merge: [{last}, {second}] }}, '')")
    assert page.evaluate(cards) == [first, *others, last]


def test_the_qrs_width_of_a_part_comes_with_kdjax_review(opened, person, tmp_path):
    page = opened(person)
    assert "QRS 80 ms" in family(page, 1).inner_text()
    family(page, 1).focus()
    page.keyboard.press("p")
    new = int(page.evaluate("document.activeElement.dataset.number"))
    for number in (1, new):
        assert "QRS width after kdjax review" in family(page, number).inner_text()
        assert " ms" not in family(page, number).locator(".about").inner_text()
    (tmp_path / "review.json").write_text(json.dumps(saved(page)))
    decisions = review.read(tmp_path / "review.json", synthetic())
    reviewed = files.write_reviewed(synthetic(), decisions, tmp_path).detection
    after = opened(tmp_path)
    for number in (1, new):
        width = f"QRS {reviewed.families[number - 1].qrs_ms:.0f} ms"
        assert width in family(after, number).inner_text()
    after.evaluate("decide({ merge: [2, 3] }, '')")
    assert "QRS width after kdjax review" in family(after, 1).inner_text()
    after.keyboard.press("u")
    assert width in family(after, new).inner_text()


LONG = "day 2 0:27:25 · supraventricular · family 104 · RR 1497 ms · score 12.3 · confidence 0.91"


@pytest.mark.parametrize("said", ["", LONG])
def test_the_bar_is_as_high_in_a_long_review_as_in_none(opened, person, said):
    page = opened(person)
    before = page.locator(".bar").bounding_box()["height"]
    assert before < 80
    page.evaluate(
        "said => { app.decisions = Array.from({ length: 212 }, (_, i) =>"
        "({ family: 1 + i % 2, kind: 'V' })); refresh(); say(said); }",
        said,
    )
    assert "212 decisions, 212 not saved; " in page.locator("#decisions").inner_text()
    assert page.locator(".bar").bounding_box()["height"] == before
    status = page.locator("#status")
    assert status.evaluate("one => one.scrollHeight <= one.clientHeight")
    assert page.locator("#undo").bounding_box()["y"] == page.locator("#save").bounding_box()["y"]
    page.evaluate("app.decisions = []; keepSaved();")


def test_the_same_decision_again_is_none(opened, person):
    page = opened(person)
    family(page, 2).focus()
    for key in "qqv":
        page.keyboard.press(key)
    assert page.locator("#decisions").inner_text().startswith("2 decisions")
    page.keyboard.press("u")
    assert page.locator("#status").inner_text() == "Undone: family 2 named V."


def test_on_a_card_nothing_says_that_a_letter_names_a_beat(opened, person):
    page = opened(person)
    family(page, 1).focus()
    page.keyboard.press(".")
    assert "family 1" in page.locator("#status").inner_text()
    page.keyboard.press("Escape")
    assert page.locator("#status").inner_text() == ""


def test_families_are_split_and_merged(opened, person):
    page = opened(person)
    before = page.locator(".family").count()
    family(page, 1).focus()
    page.keyboard.press("p")
    assert page.locator(".family").count() == before + 1
    page.keyboard.press("m")
    family(page, 1).focus()
    page.keyboard.press("m")
    assert page.locator(".family").count() == before
    split, merge = saved(page)["decisions"]
    assert split["split"] == 1
    assert 0 < len(split["beats"]) <= beats_of_kind("N") / 2
    assert merge == {"merge": [1, before + 1]}


def test_what_is_saved_loads_again_and_kdjax_review_reads_it(opened, person, tmp_path):
    page = opened(person)
    family(page, 2).focus()
    page.keyboard.press("q")
    content = saved(page)
    (tmp_path / "review.json").write_text(json.dumps(content))
    assert review.read(tmp_path / "review.json", synthetic()) == content["decisions"]
    again = opened(person)
    again.locator("#file").set_input_files(tmp_path / "review.json")
    again.get_by_text("Loaded 1 decision.").wait_for()
    assert count(again, "Q") == count(page, "Q") > 0


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"beats": "0"}, "another recording"),
        ({"format": 2}, "it is not a review in format 1"),
        ({"beats": None}, "it is not a review in format 1"),
        ({"decisions": [{"family": 99, "kind": "N"}]}, "decision 1 does not fit"),
    ],
)
def test_a_review_that_does_not_fit_is_refused(opened, person, tmp_path, change, says):
    page = opened(person)
    content = review.as_json(synthetic(), []) | change
    (tmp_path / "review.json").write_text(json.dumps(content))
    page.locator("#file").set_input_files(tmp_path / "review.json")
    page.get_by_text("was not loaded").wait_for()
    assert says in page.locator("#status").inner_text()
    assert page.locator("#decisions").inner_text() == "0 decisions"


def test_decisions_that_were_applied_stand_in_the_page_and_can_be_undone(opened, tmp_path):
    decisions = [{"family": 1, "kind": "S"}]
    files.write_reviewed(synthetic(), decisions, tmp_path)
    page = opened(tmp_path)
    assert page.locator("#decisions").inner_text().startswith("1 decision; ")
    assert count(page, "N") == 0
    page.locator("#undo").click()
    assert count(page, "N") == beats_of_kind("N")


def test_events_lead_to_their_place(opened, person):
    page = opened(person)
    event = synthetic().events[-1]
    page.locator("#events button").last.click()
    first = page.locator("#strips figcaption").first.inner_text()
    hours, minutes, seconds = map(int, first.split()[-1].split(":"))
    start = 23 * 3600 + 59 * 60 + 55  # of detection_of
    at = (hours * 3600 + minutes * 60 + seconds - start) % 86400
    assert at <= event.first / synthetic().fs < at + 30
    page.keyboard.press("[")
    assert page.locator("#events button.now").count() == 1


def test_an_event_is_in_full_view_and_the_next_follows_it(opened, person):
    page = opened(person)
    buttons = page.locator("#events button")
    for at in (buttons.count() - 1, 1):
        buttons.nth(at).click()
        bar, beat = page.locator(".bar").bounding_box(), page.locator("#beat").bounding_box()
        strip = page.locator("#strips figure").first.bounding_box()
        assert bar["y"] + bar["height"] <= beat["y"] < strip["y"]
        assert strip["y"] + strip["height"] <= 900
    page.keyboard.press("]")
    assert buttons.nth(2).get_attribute("class") == "event now"
    assert page.locator("#events .now").count() == 1


def test_on_a_phone_the_beat_of_an_event_is_in_view(opened, person):
    page = opened(person, width=390, height=800)
    page.locator("#events button").last.click()
    beat = page.evaluate("(app.times[app.selected] - app.at) % STRIP * PER_SECOND")
    left = page.evaluate("byId('strips').scrollLeft")
    assert left < beat < left + 390


def test_on_a_phone_show_brings_the_beat_into_view_while_cards_are_drawn(opened, person):
    page = opened(person, width=390, height=844)
    family(page, 2).get_by_role("button", name="Show").click()
    page.wait_for_timeout(600)
    row = page.evaluate("Math.floor((app.times[app.selected] - app.at) / STRIP)")
    strip = page.locator("#strips figure").nth(row).bounding_box()
    top, bottom = strip["y"], strip["y"] + strip["height"]
    assert 0 <= top < bottom <= 844 + 1
    page.locator("#next").click()
    shown = page.evaluate("app.selected")
    page.locator("#like").click()
    after = page.evaluate("[app.state.family[app.selected], app.selected]")
    assert after[0] == page.evaluate(f"app.state.family[{shown}]")
    page.locator("#previous").click()
    assert page.evaluate("app.selected") == after[1] - 1


def test_the_card_of_a_doubtful_family_says_so(opened, tmp_path):
    first, second, *others = synthetic().families
    doubtful = replace(second, doubtful=True)
    files.write(replace(synthetic(), families=(first, doubtful, *others)), tmp_path)
    page = opened(tmp_path)
    assert "doubtful" in family(page, 2).inner_text()
    assert "doubtful" not in family(page, 1).inner_text()


def test_naming_a_family_ends_a_merge_and_naming_by_button_keeps_the_place(opened, person):
    page = opened(person)
    family(page, 2).focus()
    page.keyboard.press("m")
    page.keyboard.press("n")
    assert page.evaluate("app.merging") is None
    page.keyboard.press(".")
    page.locator("#beat").get_by_role("button", name="S", exact=True).click()
    assert page.evaluate("document.activeElement.id") == "strips"


def test_all_events_are_reached_by_scrolling_down(opened, person):
    page = opened(person)
    assert page.evaluate("byId('events').scrollWidth <= byId('events').clientWidth")


def test_a_beat_that_is_paged_away_is_not_named(opened, person):
    page = opened(person)
    page.locator("#events button").first.click()
    for _ in range(3):
        page.keyboard.press("PageDown")
    page.keyboard.press("v")
    assert page.locator("#decisions").inner_text() == "0 decisions"
    assert "Choose a beat" in page.locator("#status").inner_text()


def test_stretches_that_were_not_scored_are_events(opened, tmp_path):
    bad = ((60.0, 68.0, "motion"), (68.0, 75.0, "muscle"), (120.0, 123.0, "flat"))
    files.write(replace(synthetic(), unscorable=bad), tmp_path)
    page = opened(tmp_path, height=500)
    page.locator("#strips").focus()
    page.keyboard.press("ArrowRight")
    page.locator("#which").select_option("not scored")
    (text,) = page.locator("#events button").all_inner_texts()
    assert text.endswith("not scored, 15\u00a0s, motion, muscle")
    page.locator("#events button").click()
    assert 50 < page.evaluate("app.at") <= 60
    assert page.locator("#strips figure").first.bounding_box()["y"] > 0
    assert "not scored" in page.locator("#status").inner_text()
    page.keyboard.press("v")
    assert page.locator("#decisions").inner_text() == "0 decisions"


def test_loading_asks_before_decisions_are_lost(opened, person, tmp_path):
    page = opened(person)
    (tmp_path / "review.json").write_text(json.dumps(review.as_json(synthetic(), [])))
    family(page, 1).focus()
    page.keyboard.press("v")
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.locator("#file").set_input_files(tmp_path / "review.json")
    assert page.locator("#decisions").inner_text().startswith("1 decision, 1 not saved")
    page.once("dialog", lambda dialog: dialog.accept())
    page.locator("#file").set_input_files(tmp_path / "review.json")
    page.get_by_text("Loaded 0 decisions.").wait_for()


def test_keys_start_and_return_without_a_mouse(opened, person):
    page = opened(person)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press(".")
    page.keyboard.press("]")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.dataset.number") == "2"
    page.keyboard.press("p")
    page.keyboard.press("Enter")
    page.keyboard.press("u")
    page.keyboard.press("Escape")
    assert page.evaluate("app.all") is False
    page.keyboard.press("V")
    page.keyboard.press("U")
    assert page.locator("#decisions").inner_text() == "0 decisions"


def test_a_phone_shows_all_without_scrolling_sideways_and_keeps_the_toolbar(opened, person):
    page = opened(person, width=390, height=800)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    tops = "[...document.querySelectorAll('.family .buttons')].map(row => row.offsetHeight)"
    assert max(page.evaluate(tops)) < 90  # kinds in one row, split, merge and show in another
    page.evaluate("window.scrollTo(0, 1200)")
    bar = page.locator(".bar").bounding_box()
    assert bar["y"] == 0
    assert bar["height"] < 125


def test_a_table_has_a_shadow_where_more_of_it_is_hidden(opened, person):
    page = opened(person, width=390, height=800)
    table = page.locator(".wide").first
    table.evaluate("one => { one.firstElementChild.style.minWidth = '60rem' }")
    assert _edge(table) < 0.95
    table.evaluate("one => { one.scrollLeft = one.scrollWidth }")
    assert _edge(table) > 0.99


def _edge(element):
    """How bright the last column of an element's pixels is, from 0 to 1."""
    return float(imread(BytesIO(element.screenshot()))[:, -1, :3].mean())


def test_keys_alone_reach_families_overview_and_strips(opened, person):
    page = opened(person)
    reached = set()
    for _ in range(120):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id || document.activeElement.className"))
    assert {"save", "load", "family", "overview", "strips", "which"} <= reached


def test_the_index_sorts(opened, tmp_path):
    files.write(detection_of(recording="small"), tmp_path / "small")
    files.write(synthetic(), tmp_path / "large")
    index.write(tmp_path)
    page = opened(tmp_path, name="index.html")
    names = page.locator("tbody th")
    assert names.all_inner_texts() == ["synthetic", "small"]
    heading = page.get_by_role("button", name="Beats")
    heading.click()
    assert names.all_inner_texts() == ["synthetic", "small"]
    heading.click()
    assert names.all_inner_texts() == ["small", "synthetic"]


def test_small_families_are_named_together(opened, tmp_path):
    person = of_small_families()
    files.write(person, tmp_path)
    page = opened(tmp_path)
    assert page.locator(".frame .family").count() == len(person.families) - 1
    assert not page.locator(".frame .family").first.is_visible()
    page.get_by_text("Their beats").click()
    page.locator(".frame .family canvas").first.wait_for()
    for key, shown in (("Enter", False), (".", True)):
        page.locator(".frame").focus()
        page.keyboard.press(key)
        assert page.locator(".frame .family").first.is_visible() == shown
    page.keyboard.press("ArrowDown")
    assert page.evaluate("document.activeElement.matches('.frame .family:first-child')")
    page.locator(".frame > .buttons").get_by_role("button", name="X").click()
    page.keyboard.press("u")
    family(page, 1).focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("x")
    assert count(page, "X") == (person.beats.kind == "V").sum()
    numbers = list(range(2, len(person.families) + 1))
    assert saved(page)["decisions"] == [{"families": numbers, "kind": "X"}]
    buttons = page.locator(".frame > .buttons")
    assert "All named" in buttons.inner_text()
    assert buttons.locator("button[aria-pressed=true]").inner_text() == "X"
    buttons.get_by_role("button", name="V").click()
    assert saved(page)["decisions"][1:] == [{"families": numbers, "kind": "V"}]
    assert buttons.locator("button[aria-pressed=true]").inner_text() == "V"


def test_many_families_are_shown_when_asked_for(opened, tmp_path):
    person = synthetic()
    scored = np.flatnonzero(person.beats.family >= 0)
    own = person.beats.family.copy()
    own[scored] = np.maximum(np.arange(len(scored)) // 4 - 20, 0)
    families = [
        family_of(np.flatnonzero(own == i), "N", count=int((own == i).sum()))
        for i in range(own.max() + 1)
    ]
    beats = person.beats._replace(family=own)
    files.write(replace(person, beats=beats, families=tuple(families)), tmp_path)
    page = opened(tmp_path, width=390, height=800)
    others = page.locator("#others")
    assert page.locator(".family").count() == 12
    hidden = len(families) - 12
    assert others.inner_text().startswith(f"Show the other {hidden} families")
    family(page, 1).focus()
    page.keyboard.press("o")
    assert page.locator(".family").count() == len(families)
    assert page.evaluate("document.activeElement.matches('#families > :nth-child(13)')")
    page.keyboard.press("o")
    assert page.locator(".family").count() == 12
    assert others.evaluate("one => one === document.activeElement")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
