"""Pages opened in Chromium, driven by Playwright."""

import pytest
from detections import synthetic
from in_browser import CHROMIUM
from playwright.sync_api import sync_playwright

from kdjax.detection import files


@pytest.fixture(scope="session")
def browser():
    # Decided: a laptop without a browser runs all other tests, and the summary names these as
    # skipped. .ci/run installs Chromium. Playwright is a test dependency: without it they fail.
    if CHROMIUM is None:
        pytest.skip("no chromium here: apt-get install it")
    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="session")
def person(tmp_path_factory):
    """The folder of a synthetic person."""
    folder = tmp_path_factory.mktemp("person")
    files.write(synthetic(), folder)
    return folder


@pytest.fixture
def opened(browser):
    """Opens a folder's report; fails the test on any error that the page throws."""
    pages = []

    def open_report(folder, width=1280, height=900, name="report.html"):
        page = browser.new_page(viewport={"width": width, "height": height})
        page.wrong, page.asked = [], []
        page.on("pageerror", lambda error: page.wrong.append(str(error)))
        page.on("console", lambda said: page.wrong.append(said.text))
        page.on("request", lambda asked: page.asked.append(asked.url))
        page.goto((folder / name).as_uri())
        if name == "report.html":
            page.wait_for_selector("html[data-ready]", timeout=60_000)
        pages.append(page)
        return page

    yield open_report
    for page in pages:
        assert page.wrong == []
        assert {url.split(":")[0] for url in page.asked} <= {"file", "blob"}
        page.close()
