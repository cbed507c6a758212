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
        *recordings(),
    ]
    write_text(PAGE, "\n\n".join(sections) + "\n")


def recordings() -> Iterable[str]:
    """The shipped detector on whole recordings."""
    found = read("detection.json")
    at_360 = found["quality"][0]
    yield "## The fused score alone, without families and kinds"
    yield (
        "These figures are of an earlier R-peak detector and of the fused score alone; today "
        "families and kinds decide (above). "
        f"`{found['command']}`, {found['date']}, {found['made_by']['device']}: the shipped "
        f"`{found['detector']}` on the 22 records of DS2 with its own R-peaks, without "
        "annotations. A beat is detected if a peak lies within 150 ms of its annotation. The score "
        "is the fused one, adapted to the first 5 minutes, of the detected beats. One network; the "
        "intervals are a bootstrap over records."
    )
    yield table(
        ("Hz", "sensitivity", "positive predictivity", "AUC", "AP", "S", "V", "F", "not scored"),
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
    yield (
        f"With annotated beats the same network reaches {found['annotated']['auc']:.4f} AUC and "
        f"{found['annotated']['ap']:.3f} AP on all {found['annotated']['n']} beats. "
        f"{at_360['abnormal_beats_not_found']} abnormal beats, "
        f"{1 - at_360['sensitivity_to_abnormal_beats']:.1%} of them, are not detected at all, so "
        "they have no score. The limits of signal quality were set on all of MIT-BIH, which has "
        "little noise."
    )
    yield (
        "The effect of a threshold for 1 % of normal beats in the second half of each record. The "
        "threshold keeps that rate for beats like those of the calibration, which are of four "
        "people. False alarms include detections that are not beats; recall includes abnormal "
        "beats that were not detected. The calibrations were compared on DS1, whose normal beats "
        "trained the network, and then on DS2."
    )
    yield table(
        (
            "people",
            "calibration",
            "median false-positive rate of a record",
            "highest",
            "false alarms an hour",
            "recall",
        ),
        (
            (
                row["people"],
                row["calibration"],
                f"{row['fpr_median']:.2%}",
                f"{row['fpr_highest']:.1%}",
                f"{row['false_alarms_per_hour']:.0f}",
                f"{row['recall_of_all_annotated']:.1%}",
            )
            for row in found["thresholds"]
        ),
    )
    yield (
        "The last rows are why `kdjax calibrate` keeps other people's thresholds: if a person has "
        "abnormal beats, a threshold set on their own beats lies among these."
    )


def long_recordings() -> Iterable[str]:
    """What a day of signal costs."""
    found = read("perf-detect_long.json")
    yield "## Time and memory"
    yield (
        f"`{found['command']}`, {found['date']}, {found['device']}, {found['processor']}, load "
        f"{found['load']:g}: `kdjax detect` on the records joined (2 leads, 360 Hz), from the "
        "start of the program to the last table and the page. Processor seconds are those of all "
        "cores together; other work on the machine lengthens them less than clock seconds."
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
