"""docs/evidence/detection.md, what `kdjax detect` is worth on whole recordings, from docs/results/.

python -m benchmarks.pages.detection
"""

from collections.abc import Iterable
from pathlib import Path

from benchmarks.pages import kinds as kinds_page
from benchmarks.pages import rpeaks as rpeaks_page
from benchmarks.shared import bracket, read, table
from kdjax.files import write_text

PAGE = Path(__file__).parents[2] / "docs/evidence/detection.md"


def main() -> None:
    """Writes the page; every figure on it is read from a file."""
    sections = [
        "# Detection",
        *kinds_page.verdict(),
        "`python -m benchmarks.pages.detection` makes this page from the JSON in "
        "[results/](../results/), which names device, versions, code and date. "
        "[Protocols](protocol.md) explains DS1 and DS2; [Results](results.md) is about networks "
        "and distillation.",
        *kinds_page.sections(),
        *rpeaks_page.sections(),
        *kinds_page.families(),
        *kinds_page.live(),
        *long_recordings(),
        *rates(),
    ]
    write_text(PAGE, "\n\n".join(sections) + "\n")


def rates() -> Iterable[str]:
    """The shipped detector at other sampling rates."""
    found = read("detection.json")
    lost = found["quality"][0]["abnormal_beats_not_found"]
    yield "## At other sampling rates"
    yield (
        f"`{found['command']}`, {found['date']}, {found['made_by']['device']}: `kdjax detect` on "
        "the 22 records of DS2, as they are and resampled, from their first second on. A beat is "
        "found if an R-peak lies within 150 ms of its annotation. AUC and AP tell abnormal from "
        "normal beats by the score that families and kinds decide with, escape beats counted as "
        "abnormal, as BeatGAN does; intervals are a bootstrap over records. At 360 Hz "
        f"{lost} abnormal beats have no R-peak and so no score. No choice was made by them."
    )
    yield table(
        ("Hz", "Se", "+P", "AUC", "AP", "AUC of S", "V", "F", "not scored"),
        (
            (
                row["fs"],
                f"{row['sensitivity']:.4f}",
                f"{row['positive_predictivity']:.4f}",
                f"{row['auc']:.4f} {bracket(row['ci95']['auc'])}",
                f"{row['ap']:.3f} {bracket(row['ci95']['ap'])}",
                *(f"{row['per_class'][name]['auc']:.3f}" for name in "SVF"),
                row["unscored"],
            )
            for row in found["quality"]
        ),
    )


def long_recordings() -> Iterable[str]:
    """What a day of signal costs."""
    found = read("perf-detect_long.json")
    yield "## Time and memory"
    yield (
        f"`{found['command']}`, {found['date']}, {found['device']}, {found['processor']}, load "
        f"{found['load']:g}: `kdjax detect` on the records joined (2 leads, 360 Hz), from the "
        "start of the program to the last table and the page. A second process finds the beats of "
        "recordings longer than an hour. Processor seconds are those of all cores together; other "
        "work on the machine lengthens them less than clock seconds."
    )
    yield table(
        ("hours", "processor, s", "clock, s", "peak memory, MiB", "page, MB"),
        (
            (
                row["hours"],
                f"{row['processor_s']:.1f}",
                f"{row['seconds']:.1f}",
                row["peak_mib"],
                f"{row['page_bytes'] / 1e6:.1f}",
            )
            for row in found["rows"]
        ),
    )


if __name__ == "__main__":
    main()
