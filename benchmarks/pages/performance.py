"""docs/evidence/performance.md and its figure, from the committed JSON in docs/results/.

python -m benchmarks.pages.performance
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from benchmarks.shared import FOLDER, folded, table
from benchmarks.speed.convolutions import FORMS
from kdjax.files import read_json, write_text
from kdjax.pages import plots

PAGE = Path(__file__).parents[2] / "docs/evidence/performance.md"
FIGURE = FOLDER / "performance.png"

# Aims, set before they were measured.
FASTER_THAN_EAGER = 2.0
SHARE_OF_PRODUCTS = 0.6
COMPARED = ("torch eager", "onnxruntime", "onnxruntime, one thread")
DISTILLING = 1.15


def main() -> None:
    """Writes the page; a comparison whose file is not there is named as not run."""
    found = {
        name: read_json(FOLDER / file(name)) for name in SECTIONS if (FOLDER / file(name)).exists()
    }
    sections = [
        "# Performance",
        *conclusion(found),
        "`python -m benchmarks.all` makes the JSON in [results/](../results/), and "
        "`python -m benchmarks.pages.performance` this page. Every ratio compares two measurements "
        "on one device in one run. Each contestant is a process with all cores to itself; they "
        "take turns. Brackets after a median are the lowest and the highest of all rounds. "
        "Compiling is timed separately. `pip install -e '.[bench]'` installs torch and "
        "onnxruntime. Nothing here was measured on a GPU.",
    ]
    for name, section in SECTIONS.items():
        if name in found:
            sections += section(found[name])
        else:
            sections.append(f"Not run: `python -m benchmarks.speed.{name}`.")
    write_text(PAGE, "\n\n".join([*sections, *TRIED]) + "\n")
    print(PAGE)


def file(name: str) -> str:
    """Where `python -m benchmarks.speed.NAME` puts what it measured."""
    return f"perf-{name}.json"


def conclusion(found: Mapping[str, Any]) -> Iterable[str]:
    """What a reader should take away, and its figure."""
    ratios: dict[str, Mapping[str, float]] = {}
    if "train_step" in found:
        for what in ("teacher", "student"):
            rows = found["train_step"][what]["rows"]
            ratios[f"train {what}, eager"] = rows["eager"]["kdjax_is_faster_by"]
            ratios[f"train {what}, eager with savings"] = rows["eager, savings"][
                "kdjax_is_faster_by"
            ]
    for row in found.get("inference", {}).get("rows", ()):
        if row["software"] in COMPARED and row.get("batch") in (1, 256):
            beats = "1 beat" if row["batch"] == 1 else "256 beats"
            ratios[f"{beats}, width {row['width']}, {row['software']}"] = row["kdjax_is_faster_by"]
    if not ratios:
        return
    slower = [name for name, ratio in ratios.items() if ratio["median"] < 1]
    but = f", and slower in {len(slower)} ({'; '.join(slower)})" if slower else ""
    yield (
        f"**By the median, kdjax is faster in {len(ratios) - len(slower)} of {len(ratios)} "
        f"comparisons with PyTorch and ONNX Runtime on two CPU cores{but}.** Dots are the time of "
        "the other software divided by that of kdjax; lines are the range over rounds."
    )
    plots.save(drawn(ratios), FIGURE)
    yield "![Time of other software over the time of kdjax.](../results/performance.png)"


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


def training(found: Mapping[str, Any]) -> Iterable[str]:
    """kdjax's step against the peer's variants."""
    yield "## Training against PyTorch"
    yield (
        f"{made(found)}. Full size is width {found['width']}, batch {found['batch']}; "
        f"{found['steps']} steps a round, {found['rounds']} rounds. Weights and beats are the "
        "same. Before anything is timed, all losses of the first step must agree within "
        f"{found['tolerances'][0]:g} and those of the second within {found['tolerances'][1]:g}. "
        "*eager* and *torch.compile* compute a step as the published code does: with a pass of the "
        "generator for each update, all gradients, and a pass of the teacher at every step. "
        "*torch.compile* compiles the networks but not losses and Adam. *savings* does what kdjax "
        "does: one shared pass, fused Adam, the teacher's outputs computed beforehand, and no "
        "gradient that is not used."
    )
    for what in ("teacher", "student"):
        rows = found[what]["rows"]
        yield f"### {what.capitalize()}"
        yield table(
            ("", "ms a step", "beats a second", "kdjax is faster by", "first call, s"),
            [
                (
                    name,
                    milliseconds(row["seconds_a_step"]),
                    f"{row['beats_a_second']:,.0f}",
                    "" if name == "kdjax" else times(row["kdjax_is_faster_by"]),
                    f"{row['first_call_seconds']:.1f}",
                )
                for name, row in rows.items()
            ],
        )
        yield from not_run(found[what]["failed"])
        if "eager" in rows:
            faster = rows["eager"]["kdjax_is_faster_by"]
            yield aim(f"{FASTER_THAN_EAGER:g} times eager", faster, FASTER_THAN_EAGER)


def roofline(found: Mapping[str, Any]) -> Iterable[str]:
    """The step's arithmetic over the best matrix product."""
    yield "## Against the machine's limit"
    share, best = found["share"], found["best_product"]
    yield (
        f"{made(found)}. A step of {found['flops_a_step'] / 1e9:.1f} GFLOP ({found['formula']}, "
        "counted as if no multiplication were saved; "
        f"width {found['width']}, batch {found['batch']}) runs at "
        f"{between(found['step_gflops'], '{:.0f}')} GFLOP/s. The best float32 matrix product in "
        f"the same process, {best}, runs at {between(found['product_gflops'][best], '{:.0f}')}. "
        f"**The step reaches {between(share, '{:.0%}')} of that.**" + executed(found)
    )
    yield aim(f"{100 * SHARE_OF_PRODUCTS:.0f} %", share, SHARE_OF_PRODUCTS)
    own = {
        name: rate["median"]
        for name, rate in found["product_gflops"].items()
        if len(set(name.split(" ", 1)[1].split(" x "))) > 1
    }
    yield (
        "Products of the shapes in the step (those below that are not square) run at "
        f"{min(own.values()):.0f} to {max(own.values()):.0f} GFLOP/s (medians)."
    )
    rows = [(name, between(rate, "{:.0f}")) for name, rate in found["product_gflops"].items()]
    yield folded("Every product", table(("product", "GFLOP/s"), rows))


def executed(found: Mapping[str, Any]) -> str:
    """The share of the multiplications that are computed; older figures saved none."""
    if not found.get("flops_saved"):
        return ""
    part = 1 - found["flops_saved"] / found["flops_a_step"]
    share = {name: part * value for name, value in found["share"].items()}
    return (
        f" kdjax executes {100 * part:.0f} % of these operations and saves the rest by using three "
        f"products instead of four (below); what it executes runs at {between(share, '{:.0%}')} of "
        "the best product."
    )


def convolutions(found: Mapping[str, Any]) -> Iterable[str]:
    """One product or three."""
    yield "## Three products instead of four"
    yield (
        f"{made(found)}, {found['rounds']} rounds of {found['calls']} calls, both forms in turn in "
        "one process. The table shows how much faster three products with a quarter less work are "
        "than one product that holds all four (`kdjax.models.layers`): for the convolution, its "
        "transpose and the gradient of its kernel, by outputs of a beat and channels in and out. "
        "**Bold**: kdjax uses three, which it does only on CPUs."
    )
    rows = [
        (
            row["outputs"],
            " to ".join(map(str, row["channels"])),
            row["batch"],
            *(taken(row[form]) for form in FORMS),
        )
        for row in found["rows"]
    ]
    yield folded("Every size", table(("outputs", "channels", "batch", *FORMS), rows))


def inference(found: Mapping[str, Any]) -> Iterable[str]:
    """Latency of one beat and throughput of many."""
    yield "## Inference"
    yield (
        f"{made(found)}. {loaded(found)}`Detector.score` from NumPy to NumPy; the scores agree "
        f"within {found['tolerance']:g}. The ratio is the other's time divided by kdjax's: above "
        "1, kdjax is faster. kdjax computes large batches 256 beats at a time, the others at once. "
        "GFLOP/s count each multiply-accumulate of the convolutions as two operations."
    )
    rows = [row for row in found["rows"] if "failed" not in row]
    one = [row for row in rows if row["batch"] == 1]
    yield table(
        ("one beat", "width", "p50 ms", "p99 ms", "ratio", "first call, s"),
        [
            (
                row["software"],
                row["width"],
                f"{1e3 * row['p50']:.3f}",
                f"{1e3 * row['p99']:.3f}",
                "" if row["software"] == "kdjax" else times(row["kdjax_is_faster_by"]),
                f"{row['first_call_seconds']:.1f}",
            )
            for row in one
        ],
    )
    head = ("many beats", "width", "batch", "ms", "beats a second", "GFLOP/s", "ratio")
    many = {
        batch: [
            (
                row["software"],
                row["width"],
                row["batch"],
                milliseconds(row["seconds"]),
                f"{row['beats_a_second']:,.0f}",
                gflops(row),
                "" if row["software"] == "kdjax" else times(row["kdjax_is_faster_by"]),
            )
            for row in rows
            if row["batch"] == batch
        ]
        for batch in sorted({row["batch"] for row in rows} - {1})
    }
    yield table(head, many.pop(256, []))
    yield folded("Other batch sizes", table(head, [row for part in many.values() for row in part]))
    failed = {r["software"]: r["failed"] for r in found["rows"] if "failed" in r}
    yield from not_run(failed)
    ratio = {(r["software"], r["width"], r["batch"]): r["kdjax_is_faster_by"] for r in rows}
    for width in sorted({row["width"] for row in rows}, reverse=True):
        for software, batch, wanted in (
            ("torch eager", 256, 2.0),
            ("onnxruntime", 1, 1.0),
            ("onnxruntime, one thread", 1, 1.0),
        ):
            reached = ratio.get((software, width, batch))
            if reached is not None:
                what = f"{wanted:g} times {software} at batch {batch}, width {width}"
                yield aim(what, reached, wanted)


def additions(found: Mapping[str, Any]) -> Iterable[str]:
    """What distilling and augmenting add."""
    yield "## The cost of distilling and augmenting"
    yield (
        f"{made(found)}. A width-{found['width']} student of a width-{found['teacher_width']} "
        f"teacher, batch {found['batch']}, {found['rounds']} rounds of {found['steps']} steps. The "
        f"teacher computes its outputs for all {found['beats']:,} training beats once, before the "
        "first step (compiling included); with *time_warp*, for the warped beats at every step."
    )
    yield table(
        ("", "ms a step", "times the student alone", "teacher's outputs, s"),
        [
            (
                name,
                milliseconds(row["seconds_a_step"]),
                "" if name == "alone" else times(row["costs"]),
                f"{row['asking_once_seconds']:.1f}" if "asking_once_seconds" in row else "",
            )
            for name, row in found["rows"].items()
        ],
    )
    yield from not_run(found["failed"])
    for name, row in found["rows"].items():
        if name != "alone" and "time_warp" not in name:
            what = f"{name}: at most {DISTILLING:g} times the student alone"
            yield aim(what, row["costs"], DISTILLING, most=True)


def startup(found: Mapping[str, Any]) -> Iterable[str]:
    """Kept programs."""
    first, second = found["rows"]["first"], found["rows"]["second"]
    yield "## The second start"
    yield (
        f"{made(found)}. Compiled programs are kept in the user's cache folder "
        f"({found['kept_mib']:.1f} MiB for these). From the start of the process to the end of the "
        f"first training step at width {found['width']}: {between(first['first_step'], '{:.1f}')} "
        f"s the first time and {between(second['first_step'], '{:.1f}')} s the second, of which "
        f"{between(second['imports'], '{:.1f}')} s are imports."
    )


def detect_start(found: Mapping[str, Any]) -> Iterable[str]:
    """What a user of `kdjax detect` waits for."""
    rows = found["rows"]
    yield "## The start of `kdjax detect`"
    rounds = "one start" if found["rounds"] == 1 else f"{found['rounds']} starts"
    yield (
        f"{made(found)}. {loaded(found)}Half an hour of one lead, `{found['detector']}`, {rounds}: "
        "clock seconds, and processor seconds, which other work on the machine lengthens less. "
        "`command` is the whole command; its stages were measured in another process."
    )
    stages = [stage for stage in rows if not stage.endswith(", processor")]
    yield table(
        ("", "clock", "processor"),
        [
            [stage, *(between(rows[key], "{:.2f}") for key in (stage, f"{stage}, processor"))]
            for stage in stages
        ],
    )


def onnx_int8(found: Mapping[str, Any]) -> Iterable[str]:
    """int8 beside float32 in ONNX Runtime."""
    yield "## int8 in ONNX Runtime"
    auc, sizes = found["auc"], found["bytes"]
    yield (
        f"{made(found)}, {found['rounds']} rounds. {loaded(found)}`{found['detector']}` takes "
        f"{sizes['float32']:,} and {sizes['int8']:,} bytes. AUC of the plain score on "
        f"{auc['beats']:,} beats of DS2: {auc['float32']:.4f} in float32, {auc['int8']:.4f} in "
        f"int8; {100 * auc['decisions_that_differ']:.2f} % of the decisions differ."
    )
    yield table(
        ("", "batch", "ms a call", "times as fast as float32 on all cores"),
        [
            (
                row["software"],
                row["batch"],
                milliseconds(row["seconds"]),
                times(row["faster_than_onnxruntime_float32_by"]),
            )
            for row in found["rows"]
        ],
    )


def memory(found: Mapping[str, Any]) -> Iterable[str]:
    """Resident size over epochs."""
    yield "## Memory of a training run"
    yield (
        f"{made(found)}. `train.py`'s loop at width {found['width']} on {found['beats']:,} beats, "
        f"as many as MIT-BIH's. The process held {found['before_mib']:,.0f} MiB before training "
        f"and at most {found['peak_mib']:,.0f} MiB."
    )
    rows = [
        (row["part"], f"{row['highest_mib']:,.0f}", f"{row['last_mib']:,.0f}")
        for row in found["rows"]
    ]
    yield folded("By epoch", table(("", "highest, MiB", "last, MiB"), rows))


def scaling(found: Mapping[str, Any]) -> Iterable[str]:
    """How a step grows."""
    yield "## Scaling"
    yield (
        f"{made(found)}, {found['rounds']} rounds. Each row is a process. Unless stated otherwise: "
        "width 8, batch 64, one lead of 320 samples, 3,200 beats. Memory is the peak resident "
        "size, compiling included. Virtual devices share the cores. Seeds train together."
    )
    for name, rows in found["sweeps"].items():
        also = " (width 32)" if name == "batch" else ""
        rows_of = table(
            (name + also, "ms a step", "beats a second", "peak, MiB", "first call, s"),
            [
                (
                    f"{row[name]:,}",
                    milliseconds(row["seconds_a_step"]),
                    f"{row['batch'] * max(row['seeds'], 1) / row['seconds_a_step']['median']:,.0f}",
                    f"{row['peak_mib']:,.0f}",
                    f"{row['first_call_seconds']:.1f}",
                )
                for row in rows
            ],
        )
        yield folded(f"By {name}", rows_of)


def made(found: Mapping[str, Any]) -> str:
    """The command, the device, the software and the date."""
    versions = found["versions"]
    shown = [n for n in ("jax", "torch", "onnxruntime") if n in versions]
    software = ", ".join(f"{name} {versions[name]}" for name in shown)
    device = f"{found['device']}, {found['processor']}"
    return f"`{found['command']}`, {device}, {software}, code {found['code'][:8]}, {found['date']}"


def loaded(found: Mapping[str, Any]) -> str:
    """What a busy machine means for the figures."""
    busy = f"Load {found['load']:g} on {found['threads']} cores: other work slowed this down. "
    return busy if found["load"] > found["threads"] else ""


def between(values: Mapping[str, float], form: str) -> str:
    """Median [lowest, highest]."""
    median, low, high = (form.format(values[name]) for name in ("median", "low", "high"))
    return f"{median} [{low}, {high}]".replace("%", " %")


def milliseconds(values: Mapping[str, float]) -> str:
    """Seconds as milliseconds, three digits or whole numbers."""
    form = "{:,.0f}" if 1e3 * min(values.values()) >= 100 else "{:.3g}"
    return between({name: 1e3 * value for name, value in values.items()}, form)


def times(values: Mapping[str, float]) -> str:
    """A ratio."""
    return between(values, "{:.2f}")


def taken(form: Mapping[str, Any]) -> str:
    """The ratio, in bold where it is made use of."""
    ratio = times(form["three_is_faster_by"])
    return f"**{ratio}**" if form["taken"] else ratio


def aim(what: str, found: Mapping[str, float], wanted: float, most: bool = False) -> str:
    """Whether the median is at least `wanted`, or at most, and whether every round is."""
    low, middle, high = (
        found[name] <= wanted if most else found[name] >= wanted
        for name in ("low", "median", "high")
    )
    reached = "reached in every round" if low and high else "reached, but not in every round"
    return f"Aim: {what}: {reached if middle else '**not reached**'}."


def gflops(row: Mapping[str, Any]) -> str:
    """Multiply-accumulates, twice; older figures do not have them."""
    if "flops_a_beat" not in row:
        return ""
    return f"{1e-9 * row['flops_a_beat'] * row['beats_a_second']:.0f}"


def not_run(failed: Mapping[str, str]) -> Iterable[str]:
    """Contestants that could not be prepared, with the reason."""
    for name, why in failed.items():
        yield f"{name} could not be run: {why}"


# What `benchmarks.all` runs.
SECTIONS = {
    "train_step": training,
    "roofline": roofline,
    "convolutions": convolutions,
    "inference": inference,
    "onnx_int8": onnx_int8,
    "additions": additions,
    "startup": startup,
    "detect_start": detect_start,
    "memory": memory,
    "scaling": scaling,
}

TRIED = (
    "## What was tried",
    folded(
        "Changes that were kept, and others",
        """Code before and after a change ran in turn in one process on two cores. No figures are
given, because repeating them would need the code that was not kept.

- Convolutions whose products have no superfluous row (neighbouring pairs laid side by side before
  the product, outputs added after it) instead of one more row a beat: faster at widths 32 and 8;
  the best of several forms, and therefore measured once more. Kept.
- Backward passes written by hand, each convolution the other's adjoint, instead of derived ones: a
  step is faster at widths 32 and 8. Kept.
- A transposed convolution that adds the neighbours' shares to the middle two outputs, instead of
  adding two padded halves: scoring is faster, most at width 8; a step takes as long. Kept.
- A transposed convolution as one product over three neighbours, with half of its kernel zero:
  slower at width 32.
- A barrier between gradients and updates, so that no weight is copied before it is overwritten: no
  change. The conditional re-initialisation of the discriminator costs nothing either.
- One beat with the weights as constants of the program instead of arguments: faster. Kept. Waiting
  for it without sleeping, while yielding the processor to other threads: faster, most at width 8,
  where waking up took as long as the beat. Kept. The same without yielding: slower at width 32.
  JAX computing in the calling thread: about as fast, but an option of the whole process. XLA's
  options that were tried, a client of one thread, the same products in NumPy, and products cut in
  two changed nothing.
- Three products instead of four where seeds train together: the same or faster at width 32, the
  same at width 16. Kept.
- A revived discriminator's weights from one draw, instead of one draw per layer inside the step:
  the step compiles in little more than half the time. Kept. The first state compiled with few
  optimisations: half the time. Kept.
- Beats that all devices share without an axis of devices, instead of a copy each: that axis cost a
  copy of the data set at every chunk. Kept.
- Large batches scored 32 to 128 beats at a time inside one program, or in two threads: no gain at
  width 8, on a machine with other work.
- Both halves of the discriminator's update as one batch of twice the size under vmap: no gain at
  width 8; not measured at width 32.
- XLA without its YNN matrix products, or with the concurrency-optimised scheduler: slower. With
  vectors of 512 bits: the same median. XLA's defaults stay.""",
    ),
)

if __name__ == "__main__":
    main()
