"""docs/evidence/performance.md and its figure, from the committed JSON in docs/results/.

python -m benchmarks.pages.performance
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from benchmarks.pages import speed
from benchmarks.pages.speed import SOFTWARE, beats, times
from benchmarks.pages.tried import TRIED
from benchmarks.shared import FOLDER, captioned, devices, folded, page, source, table
from kdjax.files import read_json, write_text
from kdjax.pages import plots

PAGE = Path(__file__).parents[2] / "docs/evidence/performance.md"
FIGURE = FOLDER / "performance.png"

# Aims, set before they were measured.
FASTER_THAN_EAGER = 2.0
SHARE_OF_PRODUCTS = 0.6
COMPARED = ("torch eager", "onnxruntime", "onnxruntime, one thread")
DISTILLING = 1.15


class Aim(NamedTuple):
    """A ratio that was asked for before it was measured: at least `wanted`, or at most."""

    what: str
    found: Mapping[str, float]
    wanted: float
    most: bool = False

    @property
    def verdict(self) -> str:
        """Whether the median reaches the aim, and whether every round does."""
        low, middle, high = (
            self.found[name] <= self.wanted if self.most else self.found[name] >= self.wanted
            for name in ("low", "median", "high")
        )
        if not middle:
            return MISSED
        return REACHED if low and high else "by the median, not in every round"


MISSED, REACHED = "**no**", "in every round"


def main() -> None:
    """Writes the page; a comparison whose file is not there is named as not run."""
    names = [name for name in SECTIONS if (FOLDER / file(name)).exists()]
    found = {name: read_json(FOLDER / file(name)) for name in names}
    processors = " and ".join(sorted({part["processor"] for part in found.values()}))
    sections = [
        "# Performance",
        *conclusion(found),
        *aims(found),
        "## How to read this page",
        "- **Ratios** compare two measurements on one device in one run. Each contestant is a "
        "process with all cores to itself; they take turns. Above 1, kdjax is faster.\n"
        "- **Brackets** after a median are the lowest and the highest of all rounds.\n"
        "- **First call** includes compiling, which the other times do not.\n"
        "- **Load** was recorded for scoring, int8 and `kdjax detect`. It is named where more "
        "other work ran than the machine has cores; it slowed all contestants.\n"
        f"- **Machine**: {devices(map(file, names))}, {processors}. Nothing was measured on a GPU.",
        "`python -m benchmarks.all` makes the JSON that each section names, and "
        "`python -m benchmarks.pages.performance` this page. `pip install -e '.[bench]'` installs "
        "PyTorch and ONNX Runtime.",
    ]
    for name, section in SECTIONS.items():
        if name in found:
            sections += [*section(found[name]), made(name, found[name])]
        else:
            sections.append(f"Not run: `python -m benchmarks.speed.{name}`.")
    write_text(PAGE, page([*sections, *TRIED]))
    print(PAGE)


def file(name: str) -> str:
    """Where `python -m benchmarks.speed.NAME` puts what it measured."""
    return f"perf-{name}.json"


def conclusion(found: Mapping[str, Any]) -> Iterable[str]:
    """What a reader should take away, and its figure."""
    ratios: dict[str, Mapping[str, float]] = {}
    if "train_step" in found:
        for what in ("teacher", "student"):
            for name in ("eager", "eager, savings"):
                row = found["train_step"][what]["rows"][name]
                ratios[f"{SOFTWARE[name]}: train {what}"] = row["kdjax_is_faster_by"]
    for row in found.get("inference", {}).get("rows", ()):
        if row["software"] in COMPARED and row.get("batch") in (1, 256):
            name = f"{SOFTWARE[row['software']]}: score {beats(row['batch'])}, width {row['width']}"
            ratios[name] = row["kdjax_is_faster_by"]
    if not ratios:
        return
    slower = [name for name, ratio in ratios.items() if ratio["median"] < 1]
    but = f", and slower in {len(slower)} ({'; '.join(slower)})" if slower else ""
    yield (
        f"**By the median, kdjax is faster in {len(ratios) - len(slower)} of {len(ratios)} "
        f"comparisons with PyTorch and ONNX Runtime on two CPU cores{but}.**"
    )
    plots.save(drawn(ratios), FIGURE)
    yield captioned(
        FIGURE.name,
        "Time of the other software divided by the time of kdjax: median and range over rounds, on "
        "a logarithmic axis. To the right of the line, in blue, kdjax is faster.",
    )


def aims(found: Mapping[str, Any]) -> Iterable[str]:
    """How many of the aims were reached, and each of them."""
    every = [aim for name in AIMS if name in found for aim in AIMS[name](found[name])]
    always = sum(aim.verdict == REACHED for aim in every)
    missed = [aim.what for aim in every if aim.verdict == MISSED]
    yield (
        f"Of {len(every)} aims set before measuring, {always} were reached in every round, "
        f"{len(every) - always - len(missed)} by the median alone, and {len(missed)} were missed"
        f"{': ' if missed else ''}{'; '.join(missed)}."
    )
    rows = [
        (
            aim.what,
            f"at {'most' if aim.most else 'least'} {aim.wanted:g}",
            times(aim.found),
            aim.verdict,
        )
        for aim in every
    ]
    yield folded("Every aim", table(("ratio", "aim", "measured", "reached"), rows))


def training_aims(found: Mapping[str, Any]) -> Iterable[Aim]:
    """A step beside PyTorch's."""
    for what in ("teacher", "student"):
        rows = found[what]["rows"]
        if "eager" in rows:
            ratio = rows["eager"]["kdjax_is_faster_by"]
            yield Aim(f"PyTorch / kdjax, train {what}", ratio, FASTER_THAN_EAGER)


def roofline_aims(found: Mapping[str, Any]) -> Iterable[Aim]:
    """A step beside the best matrix product."""
    yield Aim("step / best matrix product, GFLOP/s", found["share"], SHARE_OF_PRODUCTS)


def inference_aims(found: Mapping[str, Any]) -> Iterable[Aim]:
    """Scores beside those of other software."""
    rows = [row for row in found["rows"] if "failed" not in row]
    ratio = {(r["software"], r["width"], r["batch"]): r["kdjax_is_faster_by"] for r in rows}
    for width in sorted({row["width"] for row in rows}, reverse=True):
        for software, batch, wanted in (
            ("torch eager", 256, 2.0),
            ("onnxruntime", 1, 1.0),
            ("onnxruntime, one thread", 1, 1.0),
        ):
            if (software, width, batch) in ratio:
                what = f"{SOFTWARE[software]} / kdjax, score {beats(batch)}, width {width}"
                yield Aim(what, ratio[software, width, batch], wanted)


def additions_aims(found: Mapping[str, Any]) -> Iterable[Aim]:
    """Distillation beside the student alone."""
    for name, row in found["rows"].items():
        if name != "alone" and "time_warp" not in name:
            yield Aim(f"{name} / student alone", row["costs"], DISTILLING, most=True)


def drawn(ratios: Mapping[str, Mapping[str, float]]) -> Figure:
    """A dot with its range for every ratio, on a logarithmic axis."""
    figure = Figure(figsize=(7.2, 0.36 * len(ratios) + 1), layout="constrained")
    ax = figure.subplots()
    ax.axvline(1, color=plots.GREY, linewidth=1)
    for place, ratio in enumerate(ratios.values()):
        color = plots.BLUE if ratio["median"] > 1 else plots.ORANGE
        ax.plot([ratio["low"], ratio["high"]], [place, place], color=color, linewidth=2)
        ax.plot(ratio["median"], place, "o", color=color)
    ax.set_yticks(range(len(ratios)), list(ratios), fontsize=8)
    ax.invert_yaxis()
    ax.set_xscale("log")
    ax.set_xticks([0.5, 1, 2, 4, 8], ["0.5", "1", "2", "4", "8"])
    ax.minorticks_off()
    ax.set_xlabel("time of the other software / time of kdjax")
    return figure


def made(name: str, found: Mapping[str, Any]) -> str:
    """The line that ends a section: the JSON, the command, the software and the date."""
    versions = found["versions"]
    shown = [f"{n} {versions[n]}" for n in ("jax", "torch", "onnxruntime") if n in versions]
    code = f"code {found['code'][:8]}"
    return source(file(name), f"`{found['command']}`", *shown, code, found["date"])


# What `benchmarks.all` runs.
SECTIONS = {
    "train_step": speed.training,
    "roofline": speed.roofline,
    "convolutions": speed.convolutions,
    "inference": speed.inference,
    "onnx_int8": speed.onnx_int8,
    "additions": speed.additions,
    "startup": speed.startup,
    "detect_start": speed.detect_start,
    "memory": speed.memory,
    "scaling": speed.scaling,
}
AIMS: Mapping[str, Callable[[Mapping[str, Any]], Iterable[Aim]]] = {
    "train_step": training_aims,
    "roofline": roofline_aims,
    "inference": inference_aims,
    "additions": additions_aims,
}

if __name__ == "__main__":
    main()
