"""A recording's page in a browser: what stands in it, and what it saves."""

import json
import shutil

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


def count(page, kind):
    return int(page.locator(f'.count[data-kind="{kind}"]').inner_text().split()[1])


def family(page, number):
    return page.locator(f'.family[data-number="{number}"]')


def saved(page):
    with page.expect_download() as download:
        page.keyboard.press("Control+s")
    assert download.value.suggested_filename == "review.json"
    return json.loads(download.value.path().read_text())
