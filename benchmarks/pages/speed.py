"""The sections of the performance page, one for each command of `benchmarks.speed`."""

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.shared import folded, table
from benchmarks.speed.convolutions import FORMS

# Names in the JSON, in a reader's words.
SOFTWARE = {
    "kdjax": "kdjax",
    "Detector.score": "kdjax",
    "eager": "PyTorch",
    "eager, savings": "PyTorch, same savings",
    "torch eager": "PyTorch",
    "torch.compile": "PyTorch, compiled",
    "torch.compile, savings": "PyTorch, compiled, same savings",
    "onnxruntime": "ONNX Runtime",
    "onnxruntime, one thread": "ONNX Runtime, 1 thread",
    "onnxruntime float32": "ONNX Runtime, float32",
    "onnxruntime float32, one thread": "ONNX Runtime, float32, 1 thread",
    "onnxruntime int8": "ONNX Runtime, int8",
    "onnxruntime int8, one thread": "ONNX Runtime, int8, 1 thread",
}
SHAPES = {"conv": "convolution", "transpose": "transpose", "gradient": "gradient of the kernel"}
STAGES = {
    "command": "whole command",
    "load": "load the detector",
    "work": "detect",
    "write": "write",
}
HARDLY = 1.25  # a factor below which the time of a step changes little
SWEEPS = {
    "width": "width",
    "batch": "batch (width 32)",
    "leads": "leads",
    "length": "samples of a beat",
    "beats": "training beats",
    "devices": "devices",
    "seeds": "seeds",
}


def training(found: Mapping[str, Any]) -> Iterable[str]:
    """kdjax's step against the peer's variants."""
    yield "## Is training faster than in PyTorch?"
    both = {
        name: " and ".join(
            times(found[what]["rows"][name]["kdjax_is_faster_by"])
            for what in ("teacher", "student")
            if name in found[what]["rows"]
        )
        for name in ("eager", "eager, savings")
    }
    yield (
        f"A PyTorch step takes {both['eager']} times as long as kdjax's (teacher and student). If "
        f"PyTorch makes the same savings as kdjax, it takes {both['eager, savings']} times as long."
    )
    yield table(
        ("network", "software", "ms per step", "beats per second", "ratio", "first call, s"),
        [
            (
                what,
                SOFTWARE[name],
                milliseconds(row["seconds_a_step"]),
                f"{row['beats_a_second']:,.0f}",
                "" if name == "kdjax" else times(row["kdjax_is_faster_by"]),
                f"{row['first_call_seconds']:.1f}",
            )
            for what in ("teacher", "student")
            for name, row in found[what]["rows"].items()
        ],
    )
    for what in ("teacher", "student"):
        yield from not_run(found[what]["failed"])
    yield (
        f"Width {found['width']}, batch {found['batch']}; {found['rounds']} rounds of "
        f"{found['steps']} steps; same weights and beats. Before anything is timed, all losses of "
        f"the first step must agree within {found['tolerances'][0]:g} and those of the second "
        f"within {found['tolerances'][1]:g}. PyTorch computes a step as the published code does: a "
        "pass of the generator for each update, all gradients, and a pass of the teacher at every "
        "step. *Compiled* uses `torch.compile` for the networks, but not for losses and Adam. "
        "*Same savings*: one shared pass, fused Adam, the teacher's outputs computed beforehand, "
        "and no gradient that is not used."
    )


def roofline(found: Mapping[str, Any]) -> Iterable[str]:
    """The step's arithmetic over the best matrix product."""
    yield "## How close is training to the machine's limit?"
    share, best = found["share"], found["best_product"]
    product = found["product_gflops"]
    yield (
        f"**A step reaches {between(share, '{:.0%}')} of the rate of the best float32 matrix "
        f"product:** {between(found['step_gflops'], '{:.0f}')} GFLOP/s, compared with "
        f"{between(product[best], '{:.0f}')} for {best} in the same process." + executed(found)
    )
    yield (
        f"A step has {found['flops_a_step'] / 1e9:.1f} GFLOP at width {found['width']} and batch "
        f"{found['batch']}: {found['formula']}, counted as if no multiplication were saved."
    )
    own = {
        name: rate["median"]
        for name, rate in product.items()
        if len(set(name.split(" ", 1)[1].split(" x "))) > 1
    }
    rows = [(name, between(rate, "{:.0f}")) for name, rate in product.items()]
    shapes = (
        "Products of the shapes that a step has are those that are not square. They run at "
        f"{min(own.values()):.0f} to {max(own.values()):.0f} GFLOP/s (medians)."
    )
    yield folded("Every product", f"{shapes}\n\n{table(('product', 'GFLOP/s'), rows)}")


def executed(found: Mapping[str, Any]) -> str:
    """The share of the multiplications that are computed; older figures saved none."""
    if not found.get("flops_saved"):
        return ""
    part = 1 - found["flops_saved"] / found["flops_a_step"]
    share = {name: part * value for name, value in found["share"].items()}
    return (
        f" kdjax carries out only {100 * part:.0f} % of these operations, because it replaces four "
        "products by three (next section). Counting only what it carries out, a step reaches "
        f"{between(share, '{:.0%}')} of that rate."
    )


def convolutions(found: Mapping[str, Any]) -> Iterable[str]:
    """One product or three."""
    yield "## Are three products faster than four?"
    used = [
        row[form]["three_is_faster_by"]["median"]
        for row in found["rows"]
        for form in FORMS
        if row[form]["taken"]
    ]
    yield (
        f"Three products are faster by the median in {sum(ratio > 1 for ratio in used)} of the "
        f"{len(used)} cases in which kdjax uses them (ratios {min(used):.2f} to {max(used):.2f}). "
        "They need a quarter less work than the one product that holds all four "
        "(`kdjax.models.layers`), and kdjax uses them on CPUs only."
    )
    head = ("samples of the output", "channels", "batch", *(SHAPES[form] for form in FORMS))
    rows = {
        number: (
            row["outputs"],
            " to ".join(map(str, row["channels"])),
            row["batch"],
            *(taken(row[form]) for form in FORMS),
        )
        for number, row in enumerate(found["rows"])
    }
    shown = [n for n, row in enumerate(found["rows"]) if any(row[form]["taken"] for form in FORMS)]
    yield table(head, [rows[number] for number in shown])
    yield (
        "Time with one product divided by the time with three, for the convolution, its transpose "
        "and the gradient of its kernel. **Bold**: kdjax uses three. "
        f"{found['rounds']} rounds of {found['calls']} calls, both forms in turn in one process."
    )
    yield folded("Every size", table(head, rows.values()))


def inference(found: Mapping[str, Any]) -> Iterable[str]:
    """Latency of one beat and throughput of many."""
    yield "## How fast is scoring?"
    rows = [row for row in found["rows"] if "failed" not in row]
    own = {(r["width"], r["batch"]): r for r in rows if r["software"] == "kdjax"}
    widths = sorted({row["width"] for row in rows}, reverse=True)
    times_of = " and ".join(
        f"{1e3 * own[width, 1]['p50']:.2f} ms at width {width}" for width in widths
    )
    yield f"One beat takes {times_of} (median). " + " ".join(
        _slower(rows, batch) for batch in (1, 256)
    )
    yield table(
        ("one beat", "width", "median, ms", "99th percentile, ms", "ratio", "first call, s"),
        [
            (
                SOFTWARE[row["software"]],
                row["width"],
                f"{1e3 * row['p50']:.3f}",
                f"{1e3 * row['p99']:.3f}",
                "" if row["software"] == "kdjax" else times(row["kdjax_is_faster_by"]),
                f"{row['first_call_seconds']:.1f}",
            )
            for row in rows
            if row["batch"] == 1
        ],
    )
    head = ("many beats", "width", "batch", "ms", "beats per second", "GFLOP/s", "ratio")
    many = {
        batch: [
            (
                SOFTWARE[row["software"]],
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
    yield from not_run({r["software"]: r["failed"] for r in found["rows"] if "failed" in r})
    yield (
        f"{loaded(found)}Times are from NumPy to NumPy (`Detector.score`); the scores agree within "
        f"{found['tolerance']:g}. kdjax computes large batches 256 beats at a time, the others all "
        "at once. GFLOP/s count each multiply-accumulate of the convolutions as two operations."
    )


def _slower(rows: Iterable[Mapping[str, Any]], batch: int) -> str:
    """What is faster than kdjax at a size of batch."""
    faster = [
        f"{SOFTWARE[row['software']]} at width {row['width']} ({times(row['kdjax_is_faster_by'])})"
        for row in rows
        if row["batch"] == batch and row["kdjax_is_faster_by"]["median"] < 1
    ]
    if not faster:
        return f"For {beats(batch)}, kdjax is the fastest."
    return f"For {beats(batch)}, these are faster than kdjax: {', '.join(faster)}."


def additions(found: Mapping[str, Any]) -> Iterable[str]:
    """What distilling and augmenting add."""
    yield "## What do distillation and augmentation cost?"
    costs = "; ".join(
        f"{times(row['costs'])} for {_student(name)}"
        for name, row in found["rows"].items()
        if name != "alone"
    )
    yield f"Time of a step, relative to the student alone: {costs}."
    yield table(
        ("student", "ms per step", "times the student alone", "teacher's outputs, s"),
        [
            (
                _student(name),
                milliseconds(row["seconds_a_step"]),
                "" if name == "alone" else times(row["costs"]),
                f"{row['asking_once_seconds']:.1f}" if "asking_once_seconds" in row else "",
            )
            for name, row in found["rows"].items()
        ],
    )
    yield from not_run(found["failed"])
    yield (
        f"A student of width {found['width']} with a teacher of width {found['teacher_width']}, "
        f"batch {found['batch']}, {found['rounds']} rounds of {found['steps']} steps. The "
        f"teacher's outputs for all {found['beats']:,} training beats are computed once, before "
        "the first step (last column, compiling included). With `time_warp` they are computed at "
        "every step, for the warped beats."
    )


def _student(name: str) -> str:
    config, _, augmented = name.partition(", ")
    config = f"`{config}`" if config.endswith(".py") else config
    return f"{config} with `{augmented}`" if augmented else config


def startup(found: Mapping[str, Any]) -> Iterable[str]:
    """Kept programs."""
    first, second = found["rows"]["first"], found["rows"]["second"]
    yield "## How long does training take to start?"
    yield (
        f"The first training step ends {between(first['first_step'], '{:.1f}')} s after the "
        f"process starts the first time, and {between(second['first_step'], '{:.1f}')} s after it "
        f"the second time, of which imports take {between(second['imports'], '{:.1f}')} s (width "
        f"{found['width']}). Compiled programs are kept in the user's cache folder, where these "
        f"take {found['kept_mib']:.1f} MiB."
    )


def detect_start(found: Mapping[str, Any]) -> Iterable[str]:
    """What a user of `kdjax detect` waits for."""
    rows = found["rows"]
    yield "## How long does `kdjax detect` take?"
    rounds = "one run" if found["rounds"] == 1 else f"{found['rounds']} runs"
    whole, *_ = rows.values()
    yield (
        f"Half an hour of one lead takes {between(whole, '{:.2f}')} s with `{found['detector']}`, "
        f"from the start of the command to its end ({rounds})."
    )
    stages = [stage for stage in rows if not stage.endswith(", processor")]
    yield table(
        ("", "clock, s", "processor, s"),
        [
            [
                STAGES.get(stage, stage),
                *(between(rows[key], "{:.2f}") for key in (stage, f"{stage}, processor")),
            ]
            for stage in stages
        ],
    )
    yield (
        f"{loaded(found)}Processor seconds are those of all cores together; other work lengthens "
        "them less than clock seconds. The stages and the whole were measured in separate "
        "processes. "
        "[Detection](detection.md#how-long-does-a-day-of-signal-take) has the figures of a day."
    )


def onnx_int8(found: Mapping[str, Any]) -> Iterable[str]:
    """int8 beside float32 in ONNX Runtime."""
    yield "## What does int8 change in ONNX Runtime?"
    auc, sizes = found["auc"], found["bytes"]
    ratios = ", ".join(
        f"{times(row['faster_than_onnxruntime_float32_by'])} for {beats(row['batch'])}"
        for row in found["rows"]
        if row["software"] == "onnxruntime int8"
    )
    yield (
        f"`{found['detector']}` shrinks from {sizes['float32']:,} to {sizes['int8']:,} bytes. The "
        f"AUC of the plain score on {auc['beats']:,} beats of DS2 is {auc['float32']:.4f} in "
        f"float32 and {auc['int8']:.4f} in int8; {100 * auc['decisions_that_differ']:.2f} % of the "
        f"decisions differ. The time with float32 divided by that with int8 is {ratios}."
    )
    head = ("software", "batch", "ms per call", "time of ONNX Runtime, float32 / time")
    rows = [
        (
            SOFTWARE[row["software"]],
            row["batch"],
            milliseconds(row["seconds"]),
            times(row["faster_than_onnxruntime_float32_by"]),
        )
        for row in found["rows"]
    ]
    yield table(head, [row for row in rows if "1 thread" not in row[0]])
    yield folded("With one thread, too", table(head, rows))
    yield f"{loaded(found)}Medians of {found['rounds']} rounds."


def memory(found: Mapping[str, Any]) -> Iterable[str]:
    """Resident size over epochs."""
    yield "## How much memory does training need?"
    yield (
        f"Training at width {found['width']} on {found['beats']:,} beats of noise, about as many "
        "as the protocol `beatgan` takes from MIT-BIH ([Protocols](protocol.md#beats)), "
        f"takes at most {found['peak_mib']:,.0f} MiB; the process held {found['before_mib']:,.0f} "
        "MiB before training."
    )
    rows = [
        (row["part"], f"{row['highest_mib']:,.0f}", f"{row['last_mib']:,.0f}")
        for row in found["rows"]
    ]
    yield folded("By epoch", table(("", "highest, MiB", "last, MiB"), rows))


def scaling(found: Mapping[str, Any]) -> Iterable[str]:
    """How a step grows."""
    yield "## How does a step scale?"
    ends = {name: (rows[0], rows[-1]) for name, rows in found["sweeps"].items()}
    grown = {
        name: last["seconds_a_step"]["median"] / first["seconds_a_step"]["median"]
        for name, (first, last) in ends.items()
    }
    steady = [SWEEPS[name] for name, factor in grown.items() if factor < HARDLY]
    others = [SWEEPS[name] for name, factor in grown.items() if factor >= HARDLY]
    yield (
        f"The time of a step grows with {', '.join(others) or 'nothing'}. It changes little (less "
        f"than {HARDLY} times over the range) with {', '.join(steady) or 'nothing'}."
    )
    yield table(
        ("what changes", "from", "to", "time of a step, factor"),
        [
            (SWEEPS[name], f"{first[name]:,}", f"{last[name]:,}", f"{grown[name]:.1f}")
            for name, (first, last) in ends.items()
        ],
    )
    for name, rows in found["sweeps"].items():
        rows_of = table(
            (SWEEPS[name], "ms per step", "beats per second", "peak memory, MiB", "first call, s"),
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
        yield folded(f"By {SWEEPS[name]}", rows_of)
    yield (
        f"{found['rounds']} rounds; each row is a process. Unless stated otherwise: width 8, batch "
        "64, one lead of 320 samples, 3,200 beats. Memory is the peak resident size, compiling "
        "included. Devices are virtual and share the cores. Seeds train together."
    )


def beats(count: int) -> str:
    """A count of beats."""
    return "1 beat" if count == 1 else f"{count} beats"


def loaded(found: Mapping[str, Any]) -> str:
    """What a busy machine means for the figures."""
    busy = f"Load {found['load']:g} on {found['threads']} cores. "
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


def gflops(row: Mapping[str, Any]) -> str:
    """Multiply-accumulates, twice; older figures do not have them."""
    if "flops_a_beat" not in row:
        return ""
    return f"{1e-9 * row['flops_a_beat'] * row['beats_a_second']:.0f}"


def not_run(failed: Mapping[str, str]) -> Iterable[str]:
    """Contestants that could not be prepared, with the reason."""
    for name, why in failed.items():
        yield f"{SOFTWARE.get(name, name)} could not be run: {why}"
