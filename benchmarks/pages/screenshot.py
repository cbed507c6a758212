"""A picture of a recording's page, for the docs: synthetic ECG, detected and half reviewed.

python -m benchmarks.pages.screenshot

Needs Chromium and Playwright. Writes docs/guides/review.png.
"""

import io
import shutil
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import sync_playwright

from kdjax import cli
from kdjax.datasets.synthetic_beats import generator

OUT = Path("docs/guides/review.png")
PERSON = 9  # of generator.PATIENTS: atrial and ventricular beats


def main() -> None:
    """Detects, opens the page, names a family and takes the picture."""
    with tempfile.TemporaryDirectory() as scratch:
        np.save(Path(scratch, "synthetic.npy"), generator.recording(PERSON).signal)
        typed = ["detect", "mitbih-w8", f"{scratch}/synthetic.npy", "--out", scratch]
        if cli.main([*typed, "--fs", "360", "--units", "mV"]):
            raise SystemExit("kdjax detect failed")
        take(Path(scratch, "synthetic", "report.html"), OUT)
    print(f"{OUT}: {OUT.stat().st_size / 1e3:.0f} kB")


def take(report: Path, out: Path) -> None:
    """The toolbar, the largest families and no more."""
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1120, "height": 640})
        page.goto(report.resolve().as_uri())
        page.wait_for_selector("html[data-ready]")
        page.locator(".family").nth(1).focus()
        page.keyboard.press("v")  # it is wide
        page.locator(".bar").evaluate("bar => bar.scrollIntoView()")
        page.wait_for_timeout(500)  # pictures are drawn as they come near
        picture = Image.open(io.BytesIO(page.screenshot()))
        browser.close()
    out.parent.mkdir(parents=True, exist_ok=True)
    few = picture.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE)
    few.save(out, optimize=True)  # a quarter of its size, each badge in its own colour


if __name__ == "__main__":
    main()
