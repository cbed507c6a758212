"""What a page looks like where a reader's settings, or a recording's name, are unusual."""

import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from detections import detection_of, of_small_families, synthetic
from matplotlib.image import imread

from kdjax.detection import files, index

MM = 96 / 25.4  # CSS pixels
LONG = "a_name_as_long_as_they_come_" * 7


def test_traces_stand_on_white_where_the_system_forces_dark_colours(opened, person):
    page = opened(person)
    page.emulate_media(color_scheme="dark", forced_colors="active")
    for canvas in (".family canvas.mean", ".family figure canvas", "#overview", "#strips canvas"):
        seen = imread(BytesIO(page.locator(canvas).first.screenshot()))[..., :3]
        assert np.median(seen) > 0.9, canvas


def test_printed_strips_are_25_mm_a_second(opened, person):
    page = opened(person)
    width, height = map(int, re.search(rb"/MediaBox \[0 0 (\d+) (\d+)", page.pdf()).groups())
    assert width > height
    page.set_viewport_size({"width": int(width / 72 * 96 - 20 * MM), "height": 700})
    page.emulate_media(media="print")
    strip = page.locator("#strips canvas").first.bounding_box()
    assert strip["width"] == pytest.approx(10 * 25 * MM, abs=0.5)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_pictures_of_small_families_are_printed_in_their_size(opened, tmp_path):
    files.write(of_small_families(), tmp_path)
    page = opened(tmp_path)
    page.get_by_text("Their beats").click()
    page.locator(".frame .family canvas").first.wait_for()
    page.set_viewport_size({"width": int(259 * MM), "height": 700})  # letter paper
    page.emulate_media(media="print")
    picture = page.locator(".frame .family figure canvas").first
    drawn = picture.evaluate("(canvas) => parseFloat(canvas.style.width)")
    assert picture.bounding_box()["width"] == pytest.approx(drawn, abs=0.5)


def test_a_long_name_leaves_room_for_the_other_columns(opened, tmp_path):
    files.write(replace(synthetic(), recording=LONG), tmp_path / "long")
    files.write(detection_of(recording="short"), tmp_path / "short")
    index.write(tmp_path)
    page = opened(tmp_path, name="index.html")
    beats = page.get_by_role("button", name="Beats").bounding_box()
    assert beats["x"] + beats["width"] < 700
    page = opened(tmp_path / "long")
    about = page.get_by_text("a row per beat").bounding_box()
    assert about["width"] > 300
    assert about["height"] < 60


@pytest.mark.parametrize("action", ["pointerdown", "wheel"])
def test_a_press_ends_the_scrolling_to_a_beat(opened, person, action):
    """What is about to be clicked stays where it is."""
    page = opened(person, height=500)
    page.evaluate("show(3)")
    page.evaluate(f"document.dispatchEvent(new Event('{action}')); scrollTo(0, 0)")
    page.wait_for_timeout(300)
    assert page.evaluate("scrollY") == 0
