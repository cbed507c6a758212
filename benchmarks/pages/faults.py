"""The sections of the reliability page, one for each of its commands."""

import re
import statistics
from collections.abc import Iterable, Sized
from typing import Any

from benchmarks.robustness.reliability import FILE
from benchmarks.shared import folded, source, table

# Endings in the JSON, in a reader's words.
ENDINGS = {
    "one line": "one line, exit status 2",
    "went on": "training continued",
    "went on without the oracle, said": "continued without the oracle and said so",
}


def made(part: dict[str, Any], *facts: str) -> str:
    """The line that ends a section: the JSON, the command, its code, the load and the date."""
    load = [f"load {part['load']:.1f}"] if "load" in part else []
    code = f"code `{part['code'][:8]}`"
    return source(FILE.name, f"`{part['command']}`", *facts, code, *load, part["date"])


def no(some: Sized) -> str:
    """How many there are, before a noun."""
    return f"{len(some):,}" if some else "no"


def none(some: Sized) -> str:
    """How many there are, without a noun."""
    return f"{len(some):,}" if some else "none"


def _tried(tried: int, of: int) -> str:
    return f"All {of:,}" if tried == of else f"{tried:,} of {of:,}"


def kills(part: dict[str, Any]) -> Iterable[str]:
    """Where processes were killed and how the runs ended."""
    yield "## Killed processes"
    yield (
        f"After {part['kills']} kills in {part['runs']} runs, {no(part['ended_otherwise'])} "
        f"figures differ from those of the undisturbed run, {no(part['failed_to_resume'])} starts "
        f"failed and {no(range(part['saves_lost']))} finished saves were lost."
    )
    yield table(("killed during", "times"), sorted(part["where"].items()))
    yield (
        f"`train.py` trains a teacher and a student of width 2 on "
        f"{part.get('data', 'synthetic beats')}, {part['epochs_of_each_network']} epochs each, "
        f"which takes {part['seconds_undisturbed']:.0f} s undisturbed. SIGKILL comes at random "
        "moments and the same command follows, until the run is finished; then the next run "
        "starts. Weights, Adam's moments, the figures of every epoch and every score are compared "
        "to the last bit."
    )
    yield made(part)


def processes(part: dict[str, Any]) -> Iterable[str]:
    """How the other process ended, and the run that went on."""
    yield "## One of two processes killed"
    rows = part["kills"]
    seconds = sorted(row["seconds"] for row in rows)
    yield (
        f"The other process ended by itself, {statistics.median(seconds):.1f} s later (median; "
        f"{seconds[0]:.1f} to {seconds[-1]:.1f} s), and said why in "
        f"{sum(row['says_so'] for row in rows)} of {len(rows)} cases. "
        f"In {part['runs']} run{'s' * (part['runs'] != 1)}, {no(part['failed_to_resume'])} "
        f"restarts failed, and {no(part['ended_otherwise'])} figures differ from those of the "
        "undisturbed run."
    )
    yield table(
        ("killed", "times", "the other said why", "exit status of the other"),
        [
            (
                f"process {victim}",
                len(of),
                sum(row["says_so"] for row in of),
                ", ".join(str(status) for status in sorted({row["status"] for row in of})),
            )
            for victim in (0, 1)
            if (of := [row for row in rows if row["killed"] == victim])
        ],
    )
    yield (
        "`train.py` trains on synthetic beats in two processes of two virtual devices on one "
        f"machine, {part['epochs_of_each_network']} epochs of a teacher and a student of width 2. "
        "The two are killed in turn, within a second of the first lines, until the run is "
        "finished. Three steps in float64 with all terms on differ from those of one process with "
        f"four devices by at most {part['largest_difference_in_float64']:.1g}."
    )
    yield made(part)


def signals(part: dict[str, Any]) -> Iterable[str]:
    """How a run ended on signals, by stage."""
    reasons = [re.sub(r"/\S+/", "", line) for line in part["failed_to_resume"]]
    otherwise = range(sum(row["otherwise"] for row in part["stages"]))
    yield "## Signals"
    yield (
        f"Of {part['signals']} runs that were sent a signal, {none(otherwise)} ended otherwise "
        "than promised. Of the "
        f"runs that were resumed, {none(part['failed_to_resume'])} failed"
        f"{''.join(f' ({line})' for line in reasons)}, and {no(part['ended_otherwise'])} figures "
        "differ from those of the undisturbed run."
    )
    yield table(
        (
            "stage",
            "signals",
            "status 128 + signal",
            "the signal's own status",
            "otherwise",
            "seconds to the end, median",
            "longest",
        ),
        [
            (
                row["stage"],
                row["signals"],
                row["left_with_128_and_the_signal"],
                row["left_by_python_itself"],
                row["otherwise"],
                row["seconds_median"],
                row["seconds_most"],
            )
            for row in part["stages"]
        ],
    )
    yield (
        "SIGTERM and SIGINT come in turn at random moments of the start (Python's own included), "
        "of the steps and of the last evaluation, while `train.py` trains a teacher of width 2 for "
        f"{part['epochs']} epochs on 300 windows. In the last two stages the processes were forked "
        "from one that had already imported everything. Before the first line of `train.py`, "
        "Python exits with the signal's own status. *Otherwise* is any other status, a traceback, "
        f"a half-written file, or a run that ended before its signal. {part['too_late']} more "
        "signals were due after their stage was over and do not count."
    )
    yield made(part)


def failing(part: dict[str, Any]) -> Iterable[str]:
    """What came of each kind of call that failed."""
    yield "## Failing calls to the disk"
    calls = " and ".join(f"{n:,} in {life}" for life, n in part["calls"].items())
    rows = part["rows"]
    drawn = f", {n:,} of them drawn from all calls" if (n := part["drawn_from_all"]) else ""
    yield (
        f"Of {part['tried']:,} failing calls{drawn}, {none(part['strange'])} ended otherwise than "
        "promised."
    )
    if part["strange"]:
        yield "\n".join(f"- `{line}`" for line in part["strange"])
    endings = sorted({row["ended"] for row in rows})
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        counts.setdefault((row["call"], row["error"]), {})[row["ended"]] = row["times"]
    by_call: dict[str, dict[str, int]] = {}
    for (call, _), some in counts.items():
        sums = by_call.setdefault(call, dict.fromkeys(endings, 0))
        for ended, times in some.items():
            sums[ended] += times
    words = [ENDINGS.get(name, name) for name in endings]
    yield table(
        ("call", *words),
        [(call, *(sums[name] for name in endings)) for call, sums in by_call.items()],
    )
    each = [(*key, *(found.get(name, 0) for name in endings)) for key, found in counts.items()]
    yield folded("By call and error", table(("call", "error", *words), each))
    yield (
        "The tests' tiny teacher trains behind a library that makes one call to the disk fail: an "
        "open, read, write, fsync, rename or mkdir below the run directory, by Python, Orbax or "
        f"any other library. There are {calls}: one epoch, and a second after a stop. Calls "
        "count as one kind if they do the same to the same file. "
        f"{_tried(part['kinds_tried'], part['kinds'])} kinds were tried with at least one error. A "
        f"kind with an error makes a pair; {part['kinds_and_errors_tried']:,} of "
        f"{part['kinds_and_errors']:,} pairs were tried. After *one line*, nothing is "
        "half-written and the same command ends with the same bits; it was typed once for all "
        "disks that hold the same."
    )
    if part["mended"]:
        yield (
            f"{part['of_earlier_code']} of these calls failed under earlier code, and these ended "
            "otherwise there. They were fixed and tried again:"
        )
        yield "\n".join(f"- `{line}`" for line in part["mended"])
    yield made(part)


def power(part: dict[str, Any]) -> Iterable[str]:
    """How runs resumed from what a power failure leaves."""
    yield "## Power failures"
    tried = sum(row["times"] for row in part["rows"])
    yield (
        f"In a simulation of {tried:,} disks that a power failure can leave, "
        f"{none(part['strange'])} made the same command end otherwise than promised."
    )
    if part["strange"]:
        yield "\n".join(f"- `{line}`" for line in part["strange"])
    yield table(
        ("what the disk holds", "how the command ended", "times"),
        [(DISKS.get(row["disk"], row["disk"]), row["ended"], row["times"]) for row in part["rows"]],
    )
    yield (
        "Everything that the tests' tiny teacher does to the disk is logged "
        f"({part['entries']:,} entries, Orbax's included). The power fails before one of its "
        f"{part['flushes']} flushes or at the end; {tried // 2} of these {part['flushes'] + 1} "
        f"moments were tried. Each leaves one of the two disks; {part['states']} of all disks are "
        "distinct, and on each of these the same command is typed. A save that was finished before "
        "the power failed must be there. Until a run is finished, the last lines of "
        "`metrics.jsonl` are not flushed but written again from the checkpoint; TensorBoard's "
        "events are never flushed."
    )
    yield made(part)


def flips(part: dict[str, Any]) -> Iterable[str]:
    """Counts by kind of file."""
    rows = part["kinds"]
    sums = {name: sum(r[name] for r in rows.values()) for name in ("tried", "refused")}
    sums["without_effect"] = sum(r["without_effect"] for r in rows.values())
    strange = sum(len(r["strange"]) for r in rows.values())
    yield "## Flipped bits"
    yield (
        f"Of {sums['tried']:,} files with one flipped bit, {sums['refused']:,} were refused in one "
        f"line, {sums['without_effect']:,} loaded the same to the last bit, and "
        f"{none(range(strange))} ended otherwise."
    )
    yield table(
        ("file", "tried", "refused in one line", "no effect", "neither"),
        [
            (kind, r["tried"], r["refused"], r["without_effect"], len(r["strange"]))
            for kind, r in rows.items()
        ],
    )
    yield (
        "A bit has no effect if, for instance, it turns the e of 1e-05 into an E or belongs to a "
        "time stamp in an archive."
    )
    yield made(part)


def fuzz(part: dict[str, Any]) -> Iterable[str]:
    """Counts of damaged recordings."""
    yield "## Damaged recordings"
    yield (
        f"Of {part['tried']:,} damaged recordings, {part['read']:,} were read to their end, "
        f"{part['refused']:,} were refused in one line, and "
        f"{none(part['strange'])} ended otherwise. "
        "They are WFDB, EDF, BDF, ISHNE, CSV and NPY files that were cut, had bits flipped, or "
        "state false or absurd values."
    )
    yield made(part, f"{part['seeds']} seeds")


def same_as_wfdb(part: dict[str, Any]) -> Iterable[str]:
    """How records were read by kdjax and by wfdb."""
    formats = ", ".join(f"{name} ({count:,})" for name, count in part["signals"].items())
    yield "## Reading WFDB records as wfdb does"
    yield (
        f"Of {part['records']:,} valid WFDB records, {part['equal']:,} are read alike by kdjax and "
        "wfdb: all samples, missing ones included, and the start agree within one in a million. "
        f"{part['wfdb_fails']:,} are read by kdjax while wfdb fails, each with a skewed signal. "
        f"{none(part['strange']).capitalize()} differ."
    )
    if part["strange"]:
        yield "\n".join(f"- `{line}`" for line in part["strange"])
    yield (
        "The records have random samples and headers; a quarter of them have several segments. "
        f"Signals by format: {formats}."
    )
    yield made(part)


def soak(part: dict[str, Any]) -> Iterable[str]:
    """The curve of memory, files and threads."""
    yield "## A long run"
    medians = part["second_and_last_quarter"]
    words = {"mib": "MiB of memory", "files": "open files", "threads": "threads"}
    each = ", ".join(
        f"{medians[name][1]:.0f} {word} ({medians[name][0]:.0f})" for name, word in words.items()
    )
    yield (
        f"One process trained for {part['epochs']} epochs of a few steps and saved each of them. "
        f"In the last quarter it held {each}; in brackets is the second quarter. All are medians."
    )
    curve = table(
        ("epoch", "resident memory, MiB", "open files", "threads"),
        [(r["epoch"], r["mib"], r["files"], r["threads"]) for r in part["curve"]],
    )
    yield folded("By epoch", curve)
    yield made(part)


def branches(part: dict[str, Any]) -> Iterable[str]:
    """The branches that tests take, file by file, and those they do not."""
    yield "## Branches that tests take"
    taken, all_of_them = (sum(row[k] for row in part["rows"]) for k in ("taken", "branches"))
    yield (
        f"The default tests take {taken} of {all_of_them} branches of the code that saves and "
        f"loads.{'' if part['all_passed'] else ' A test failed meanwhile.'} These are not taken:"
    )
    if "note" in part:
        yield part["note"]
    head = ("file", "branches", "taken", "lines", "run", "not taken, from line to line")
    rows = [
        (
            f"`{row['file']}`",
            row["branches"],
            row["taken"],
            row["lines"],
            row["lines_run"],
            ", ".join(row["missing"]),
        )
        for row in part["rows"]
    ]
    yield table(head, [row for row in rows if row[-1]])
    tests = ", ".join(f"`{name}`" for name in part["tests"])
    yield folded("Every file", f"{table(head, rows)}\n\nTests: {tests}.")
    yield made(part)


def mutation(part: dict[str, Any]) -> Iterable[str]:
    """The share of mutants that are caught, and the others."""
    yield "## Wrong lines that tests catch"
    modules = part["modules"]
    caught = " and ".join(
        f"{r['caught']} of {r['tried']} changes of `{n}`" for n, r in modules.items()
    )
    yield f"The tests catch {caught}."
    yield table(
        ("module", "possible changes", "tried", "caught", "share"),
        [
            (
                f"`{n}`",
                r["possible"],
                r["tried"],
                r["caught"],
                f"{100 * r['caught'] / r['tried']:.0f} %",
            )
            for n, r in modules.items()
        ],
    )
    survivors = [f"- `{n}`, {line}" for n, r in modules.items() for line in r["survivors"]]
    if survivors:
        yield folded("Changes that were not caught", "\n".join(survivors))
    yield (
        "Operators, comparisons, constants, conditions and returned values are changed one at a "
        "time, and the tests of the module run."
    )
    yield made(part)


DISKS = {
    "every name, what was flushed of files": "every name, with the flushed content of its file",
    "what was flushed": "only flushed files and names",
}
