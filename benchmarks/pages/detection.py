"""docs/evidence/detection.md, what `kdjax detect` is worth on whole recordings, from docs/results/.

python -m benchmarks.pages.detection
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pages import kinds as kinds_page
from benchmarks.pages import rhythms as rhythms_page
from benchmarks.pages import rpeaks as rpeaks_page
from benchmarks.pages.operating_point import operating_point
from benchmarks.shared import bracket, devices, page, read, source, table
from kdjax.files import write_text

PAGE = Path(__file__).parents[2] / "docs/evidence/detection.md"
NAMES = (
    *("kinds.json", "rpeaks.json", "noise-stress.json", "quality.json"),
    *("detection.json", "live.json", "perf-detect_long.json"),
)


def main() -> None:
    """Writes the page; every figure on it is read from a file."""
    sections = [
        "# Detection",
        *kinds_page.verdict(),
        *kinds_page.reading(),
        f"Everything was measured on {devices(NAMES)} with `kdjax detect` and the shipped detector "
        "`mitbih-w8`. `python -m benchmarks.pages.detection` makes this page from the JSON that "
        "each section names, which also holds versions and code. [Results](results.md) is about "
        "networks and distillation.",
        *kinds_page.sections(),
        *operating_point(),
        *rhythms_page.sections(),
        *kinds_page.noise(),
        *kinds_page.families(),
        *rpeaks_page.sections(),
        *rpeaks_page.noise(),
        *rates(),
        *live(),
        *long_recordings(),
    ]
    write_text(PAGE, page(sections))


def live() -> Iterable[str]:
    """How a stream's first decisions differ from its last ones."""
    live = read("live.json")
    gross = live["gross"]
    slowest = max(live["records"], key=lambda row: row["delay_95"])
    yield "## Do live decisions differ from final ones?"
    yield (
        f"Of {gross['beats']:,} beats in three minutes each of {len(live['records'])} records of "
        f"DS2, {gross['missed']} had no provisional decision, and {gross['changed']} "
        f"({kinds_page.percent(gross['changed_share'])}) got another kind in the "
        "stream's own final decision. If the signal is pushed second by second, provisional "
        f"decisions of the slowest record, {slowest['record']}, come "
        f"{slowest['delay_median']:.2f} s after the R-peak (median), {slowest['delay_95']:.2f} s "
        "at the 95th percentile. Irregular rhythms without P waves are reported only when a "
        "recording has ended, so in atrial fibrillation a stream calls more beats S or V than "
        "`kdjax detect`."
    )
    yield source("live.json", f"`{live['command']}`", live["date"])


def rates() -> Iterable[str]:
    """The shipped detector at other sampling rates."""
    found = read("detection.json")
    rows = found["quality"]
    lost = rows[0]["abnormal_beats_not_found"]
    auc = [row["auc"] for row in rows]
    yield "## Does the sampling rate matter?"
    yield (
        f"From {rows[-1]['fs']} to {rows[0]['fs']} Hz, AUC on DS2 is {min(auc):.4f} to "
        f"{max(auc):.4f}, and Se of the R-peaks {_range(rows, 'sensitivity')}."
    )
    yield table(
        ("Hz", "Se, %", "+P, %", "AUC", "AP", "AUC of S", "of V", "of F", "beats not scored"),
        (
            (
                row["fs"],
                f"{100 * row['sensitivity']:.2f}",
                f"{100 * row['positive_predictivity']:.2f}",
                f"{row['auc']:.4f} {bracket(row['ci95']['auc'])}",
                f"{row['ap']:.3f} {bracket(row['ci95']['ap'])}",
                *(f"{row['per_class'][name]['auc']:.3f}" for name in "SVF"),
                row["unscored"],
            )
            for row in rows
        ),
    )
    yield (
        "The 22 records of DS2, as they are and resampled, from their first second on. A beat is "
        "detected if an R-peak lies within 150 ms of its annotation. AUC and AP are those of "
        "abnormal against normal beats, by the score that decides kinds; escape beats count "
        f"as abnormal, as in BeatGAN. Brackets are 95 % bootstrap intervals over records. At 360 "
        f"Hz, {lost} abnormal beats have no R-peak and so no score. No choice was based on "
        "these figures."
    )
    yield source("detection.json", f"`{found['command']}`", found["date"])


def _range(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    low, high = (f"{100 * of(row[name] for row in rows):.2f} %" for of in (min, max))
    return low if low == high else f"{low} to {high}"


def long_recordings() -> Iterable[str]:
    """What a day of signal costs."""
    found = read("perf-detect_long.json")
    longest = found["rows"][-1]
    yield "## How long does a day of signal take?"
    yield (
        f"`kdjax detect` reads {longest['hours']} hours of two leads at 360 Hz in "
        f"{longest['seconds']:.1f} s, with at most {longest['peak_mib']} MiB of memory."
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
    yield (
        "The records of MIT-BIH joined, from the start of the program to the last table and the "
        "page. A second process finds the beats of recordings longer than an hour. Processor "
        "seconds are those of all cores together; other work on the machine lengthens them less "
        "than clock seconds."
    )
    yield source(
        "perf-detect_long.json",
        f"`{found['command']}`",
        found["processor"],
        f"load {found['load']:g}",
        found["date"],
    )


if __name__ == "__main__":
    main()
