"""docs/evidence/reliability.md from docs/results/reliability.json.

python -m benchmarks.pages.reliability
"""

import json
import re
import statistics
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from benchmarks.robustness.reliability import FILE
from benchmarks.shared import folded, table

PAGE = FILE.parent.parent / "evidence/reliability.md"

HEAD = """# Reliability

{conclusion}

{tried}

After a kill, a signal, a failed call or a power failure, the same command was typed again. The
figures come from [results/reliability.json](../results/reliability.json), which the
commands below make; `python -m benchmarks.pages.reliability` makes this page. 'Code' is
the beginning of the SHA-256 of kdjax's source.{earlier}

## What kdjax does"""

PROMISES = {
    "kill -9 at any moment": "the same command continues from the last save, at worst the end of "
    "the epoch before, and ends with exactly the parameters of an undisturbed run",
    "SIGTERM, Ctrl-C": "at any time, one line, exit status 128 + the signal's number, nothing "
    "half-written; between steps it first saves at the end of the chunk of 100, unless a second "
    "signal comes",
    "any one call to the disk fails": "one line and exit status 2, or training continues if the "
    "file is not part of the run's state; the same command ends with the same bits",
    "the power fails": "files and folders are flushed before they are renamed into place: the same "
    "command continues from the last save, or starts again if nothing was flushed yet",
    "there is too little memory": "one line, exit status 2, unless the library that needs it "
    "aborts the process",
    "the newest checkpoint is missing, renamed or another run's": "every command that loads the "
    "run refuses, because weights, result and calibration must belong together",
    "config.json or result.json is empty or damaged": "refused; the message names the command that "
    "makes it again",
    "the checkpoint of the best epoch is damaged": "the result lacks the oracle, and says so",
    "the disk is full or read-only": "one line, exit status 2; what was saved is whole, and a "
    "half-written save is deleted",
    "the run directory is moved or deleted": "one line, exit status 2, at the next save; nothing "
    "is written at its old place",
    "two processes train in one run directory": "the second one refuses",
    "the newest checkpoint is damaged": "training says so and continues from the one before; every "
    "other command refuses",
    "a flipped bit in weights, config, result, calibration, prepared data or a shipped detector": (
        "refused in one line"
    ),
    "a loss, a weight or a moment of Adam is not finite": "training stops at the end of the chunk "
    "with exit status 2 and names the figure, the step and the last good checkpoint; such a state "
    "is never saved",
}

LIMITS = """`grad_clip` in a config clips the gradients of each network to a global norm; its
default, None, does not. On a CPU, the same seed, devices and versions give the same run to the last
bit, on any number of threads. Only the calibration may differ in its last digits, because NumPy's
linear algebra adds up in threads. On a GPU this is not promised, because its libraries choose their
algorithms.

Checksums are SHA-256. `manifest.json` has those of a checkpoint's files, `progress.json` those of
the config and the data, `result.json` those of scores, calibration and itself; `SHA256SUMS` beside
prepared data is for `sha256sum -c`. They detect accidents. They are not signatures: anyone who
can change a file can also change its checksum.

Not tried: a real power failure (see the simulation below), disks that report a flush they have not
done, network file systems, and operating systems other than Linux. Under some limits of address
space a library aborts the process, which cannot be caught, so kdjax checks the limit first. Until
kdjax's first line runs, and in the last microseconds of the process, Python handles a signal
itself."""

SECURITY = """## Security

- No pickle is loaded: networks and calibrations are NumPy archives opened without pickles,
  checkpoints are Orbax arrays, and BeatGAN's PyTorch files are read by torch's loader of plain
  tensors.
- A config is a Python file that runs with your permissions. Read a config before you run it.
- No archive is unpacked. The download of MIT-BIH is checked against PhysioNet's SHA-256 list, which
  comes with the package, before a file gets its name.
- Readers treat recordings as data only. They open no file outside the record's own folder and no
  network connection.
- The dependencies were not audited: no database of advisories could be reached.
  `pip-audit -r constraints.txt` audits them where one can."""


class Tally(NamedTuple):
    """How often a fault was tried, and how often it ended otherwise than the page promises."""

    fault: str
    times: int
    otherwise: int


def main() -> None:
    """Writes the page."""
    found = json.loads(FILE.read_text())
    parts = [
        text for name, section in SECTIONS.items() if name in found for text in section(found[name])
    ]
    promises = table(("what happens", "what kdjax does"), PROMISES.items())
    PAGE.write_text("\n\n".join([head(found), promises, LIMITS, *parts, SECURITY]) + "\n")
    print(PAGE)


def head(found: dict[str, Any]) -> str:
    """The conclusion, and a table of all that was tried."""
    tallies = {name: TALLIES[name](found[name]) for name in TALLIES if name in found}
    wrong = [f"{t.otherwise} of {t.fault}" for t in tallies.values() if t.otherwise]
    total = sum(t.times for t in tallies.values())
    most = max(tallies.values(), key=lambda t: t.times)
    ends = f"all but {', '.join(wrong)}" if wrong else "all"
    newest = list(found.values())[-1].get("saving")
    old = [name for name in tallies if name in OF_SAVING and found[name].get("saving") != newest]
    rows = [
        (
            f"[{t.fault}](#{ANCHORS[name]})",
            f"{t.times:,}",
            t.otherwise,
            found[name]["date"] + (", earlier code" if name in old else ""),
            f"`{found[name]['code'][:8]}`",
        )
        for name, t in tallies.items()
    ]
    return HEAD.format(
        conclusion=f"**Of {total:,} faults ({most.times:,} times {most.fault}), {ends} ended as "
        "promised under 'What kdjax does', on the code named in each row; "
        f"{lost(found)} lost a finished save, changed a figure or let damaged data pass.**",
        tried=table(("fault", "tried", "ended otherwise", "date", "code"), rows),
        earlier="\n\n'Earlier code': before the last change to what saves and loads."
        if old
        else "",
    )


def lost(found: dict[str, Any]) -> str:
    """How many faults cost more than a line on the terminal."""
    worse = sum(len(part.get("ended_otherwise", [])) for part in found.values())
    worse += found["kills"]["saves_lost"]
    lines = [line for name in ("failing", "power") for line in found[name]["strange"]]
    lines += [line for kind in found["flips"]["kinds"].values() for line in kind["strange"]]
    worse += sum(bool(re.search("ended otherwise|save is lost|silently", line)) for line in lines)
    return str(worse) if worse else "none"


def made(part: dict[str, Any]) -> str:
    """The command behind a section, where, when and on which code it ran, and the load."""
    load = f", load {part['load']:.1f} in its last quarter hour" if "load" in part else ""
    where = f"{part['device']}, {part['date']}, code `{part['code'][:8]}`{load}"
    return f"`{part['command']}`, {where}."


def kills(part: dict[str, Any]) -> Iterable[str]:
    """Where processes were killed and how the runs ended."""
    yield "## Kills"
    yield (
        f"{made(part)} `train.py` on {part.get('data', 'synthetic beats')}, teacher and student of "
        f"width 2, {part['epochs_of_each_network']} epochs each, "
        f"{part['seconds_undisturbed']:.0f} s when nothing disturbs it. SIGKILL at random moments, "
        "each followed by the same command, until "
        "the run is finished; then the next run."
    )
    yield table(("killed during", "times"), sorted(part["where"].items()))
    yield (
        f"{part['kills']} kills over {part['runs']} runs. {len(part['ended_otherwise'])} figures "
        "ended otherwise than in the undisturbed run (weights, Adam's moments, figures of every "
        f"epoch, every score, compared to the last bit); {len(part['failed_to_resume'])} "
        f"starts failed; {part['saves_lost']} saves were lost."
    )


def signals(part: dict[str, Any]) -> Iterable[str]:
    """How a run ended on signals, by stage."""
    reasons = [re.sub(r"/\S+/", "", line) for line in part["failed_to_resume"]]
    yield "## Signals"
    yield (
        f"{made(part)} SIGTERM and SIGINT in turn, at random moments of the start (Python's own "
        "included), of the steps and of the last evaluation of `train.py`: a teacher of width 2, "
        f"{part['epochs']} epochs on 300 windows. In the last two stages the processes were "
        "forked from one that had already imported everything."
    )
    yield table(
        (
            "stage",
            "signals",
            "128 + the signal",
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
        f"{part['signals']} signals; {part['too_late']} more were due after their stage was over "
        "and do not count. Before the first line of `train.py`, Python exits with the signal's own "
        "status. 'Otherwise' is any other status, a traceback, a half-written file or a run that "
        "ended by itself before its signal. "
        f"Of the runs that were resumed, {len(part['ended_otherwise'])} figures differ from those "
        f"of the undisturbed run and {len(part['failed_to_resume'])} runs failed to resume"
        f"{''.join(f': {line}' for line in reasons) or '.'}"
    )


def failing(part: dict[str, Any]) -> Iterable[str]:
    """What came of each kind of call that failed."""
    yield "## Failing calls"
    calls = " and ".join(f"{n:,} in {life}" for life, n in part["calls"].items())
    rows = part["rows"]
    drawn = f", {n:,} of them drawn from all calls" if (n := part["drawn_from_all"]) else ""
    yield (
        f"{made(part)} The tests' tiny teacher trains behind a library that makes one call to the "
        "disk fail: an open, read, write, fsync, rename or mkdir below the run directory, by "
        f"Python, Orbax or any other library. There are {calls}: one epoch, and "
        "a second after a stop. "
        f"Calls that do the same to the same file are of one kind: {part['kinds']} kinds, "
        f"{part['kinds_tried']} of them tried, in {part['kinds_and_errors_tried']:,} of "
        f"{part['kinds_and_errors']:,} pairs of a kind and an error. {part['tried']:,} calls "
        f"failed in all{drawn}."
    )
    endings = sorted({row["ended"] for row in rows})
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        counts.setdefault((row["call"], row["error"]), {})[row["ended"]] = row["times"]
    yield (
        "'One line': exit status 2, one line on stderr, nothing half-written, and the same command "
        "resumed to the same bits; it was typed once for all disks that hold the same. 'Went on': "
        "the run ended as if nothing had happened. "
        f"{len(part['strange'])} ended in another way."
    )
    if part["mended"]:
        yield (
            f"{part['of_earlier_code']} of these calls failed under earlier code, and these ended "
            "otherwise there. They were mended and tried again:"
        )
        yield "\n".join(f"- `{line}`" for line in part["mended"])
    yield folded(
        "By call and error",
        table(
            ("call", "error", *endings),
            [(*key, *(found.get(name, 0) for name in endings)) for key, found in counts.items()],
        ),
    )
    if part["strange"]:
        yield "Ended in another way:"
        yield "\n".join(f"- `{line}`" for line in part["strange"])


def power(part: dict[str, Any]) -> Iterable[str]:
    """How runs resumed from what a power failure leaves."""
    yield "## Power failures"
    tried = sum(row["times"] for row in part["rows"]) // 2
    yield (
        f"{made(part)} A simulation. Everything that the tests' tiny teacher does to the disk is "
        f"logged ({part['entries']:,} entries, Orbax's included). The power fails before one of "
        f"its {part['flushes']} flushes or at the end; {tried} of these {part['flushes'] + 1} "
        "moments were tried. The disk then holds either the flushed files and names alone, or "
        f"every name with the flushed content of its file; {part['states']} such disks differ. "
        "On each the same command is typed."
    )
    yield table(
        ("on the disk", "ended", "times"),
        [(row["disk"], row["ended"], row["times"]) for row in part["rows"]],
    )
    yield (
        "A save that was finished before the power failed must be there too. Until a run is "
        "finished, the last lines of `metrics.jsonl` are not flushed: they are written again from "
        "the checkpoint. TensorBoard's events are never flushed."
    )


def branches(part: dict[str, Any]) -> Iterable[str]:
    """The branches that tests take, file by file, and those they do not."""
    yield "## Branches"
    taken, all_of_them = (sum(row[k] for row in part["rows"]) for k in ("taken", "branches"))
    yield (
        f"{made(part)} The default tests beside the code take {taken} of {all_of_them} branches: "
        f"{', '.join(f'`{name}`' for name in part['tests'])}."
        f"{'' if part['all_passed'] else ' A test failed meanwhile.'}"
    )
    if "note" in part:
        yield part["note"]
    yield table(
        ("file", "branches", "taken", "lines", "run", "not taken, from line to line"),
        [
            (
                f"`{row['file']}`",
                row["branches"],
                row["taken"],
                row["lines"],
                row["lines_run"],
                ", ".join(row["missing"]),
            )
            for row in part["rows"]
        ],
    )


def flips(part: dict[str, Any]) -> Iterable[str]:
    """Counts by kind of file."""
    yield "## Flipped bits"
    yield (
        f"{made(part)} One bit of one file at a time. 'Without effect' means that "
        "the same was loaded to the last bit (an E for an e in 1e-05, a time stamp in an archive)."
    )
    rows = part["kinds"].items()
    yield table(
        ("file", "tried", "refused in one line", "without effect", "neither"),
        [
            (kind, r["tried"], r["refused"], r["without_effect"], len(r["strange"]))
            for kind, r in rows
        ]
        + [
            (
                "all",
                sum(r["tried"] for _, r in rows),
                sum(r["refused"] for _, r in rows),
                sum(r["without_effect"] for _, r in rows),
                sum(len(r["strange"]) for _, r in rows),
            )
        ],
    )


def fuzz(part: dict[str, Any]) -> Iterable[str]:
    """Counts of damaged recordings."""
    yield "## Damaged recordings"
    yield (
        f"{made(part)} WFDB, EDF, BDF, ISHNE, CSV and NPY files that are cut, flipped, false or "
        f"absurd, with {part['seeds']} seeds: {part['tried']} tried, {part['read']} read to their "
        f"end, {part['refused']} refused in one line, {len(part['strange'])} neither."
    )


def same_as_wfdb(part: dict[str, Any]) -> Iterable[str]:
    """How records were read by kdjax and by wfdb."""
    formats = ", ".join(f"{name} ({count:,})" for name, count in part["signals"].items())
    yield "## The same as wfdb"
    yield (
        f"{made(part)} Valid WFDB records of random samples and headers, a quarter of them of "
        f"several segments: {part['records']:,} read by kdjax and by wfdb. In "
        f"{part['equal']:,} of them all samples, missing ones among them, and the start are the "
        "same within one in a million. "
        f"{part['wfdb_fails']:,} are read by kdjax while wfdb fails, each with a skewed "
        f"signal. {len(part['strange'])} differ. Signals by format: {formats}."
    )
    if part["strange"]:
        yield "\n".join(f"- `{line}`" for line in part["strange"])


def soak(part: dict[str, Any]) -> Iterable[str]:
    """The curve of memory, files and threads."""
    yield "## A long run"
    yield f"{made(part)} One process, {part['epochs']} epochs of a few steps, each of them saved."
    yield table(
        ("epoch", "resident MiB", "open files", "threads"),
        [(r["epoch"], r["mib"], r["files"], r["threads"]) for r in part["curve"]],
    )
    medians = part["second_and_last_quarter"]
    words = {"mib": "MiB", "files": "open files", "threads": "threads"}
    yield (
        "Medians of the second and of the last quarter: "
        + ", ".join(
            f"{medians[name][0]:.0f} and {medians[name][1]:.0f} {word}"
            for name, word in words.items()
        )
        + "."
    )


def mutation(part: dict[str, Any]) -> Iterable[str]:
    """The share of mutants that are caught, and the others."""
    yield "## Wrong lines"
    yield (
        f"{made(part)} Operators, comparisons, constants, conditions and returned values of a "
        "module are changed one at a time, and its tests run."
    )
    rows = [(n, r["possible"], r["tried"], r["caught"]) for n, r in part["modules"].items()]
    yield table(
        ("module", "possible", "tried", "caught", "share"),
        [(f"`{n}`", *counts, f"{100 * counts[2] / counts[1]:.0f} %") for n, *counts in rows],
    )
    survivors = [f"- `{n}`, {line}" for n, r in part["modules"].items() for line in r["survivors"]]
    if survivors:
        yield "Not caught:"
        yield "\n".join(survivors)


def processes(part: dict[str, Any]) -> Iterable[str]:
    """How the other process ended, and the run that went on."""
    yield "## Two processes"
    rows = part["kills"]
    seconds = sorted(row["seconds"] for row in rows)
    middle = statistics.median(seconds)
    yield (
        f"{made(part)} Two processes of two virtual devices on one machine, `train.py` on "
        f"synthetic beats, {part['epochs_of_each_network']} epochs of teacher and student of "
        "width 2. One is killed within a second of its first lines, the two by turns, until the "
        "run is finished; then the next run."
    )
    yield table(
        ("killed", "times", "the other said so", "its exit statuses"),
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
        f"The other ended {middle:.1f} s after (median; {seconds[0]:.1f} to {seconds[-1]:.1f}). "
        f"{len(part['failed_to_resume'])} of {part['runs']} runs failed to go on, "
        f"{len(part['ended_otherwise'])} figures ended otherwise than in the undisturbed run. "
        "Three steps in float64 with all terms on differ from those of one process with four "
        f"devices by at most {part['largest_difference_in_float64']:.1g}."
    )


def _total(rows: Iterable[dict[str, Any]], key: str) -> int:
    return sum(row[key] for row in rows)


TALLIES: dict[str, Callable[[dict[str, Any]], Tally]] = {
    "kills": lambda p: Tally(
        "kill -9",
        p["kills"],
        len(p["ended_otherwise"]) + len(p["failed_to_resume"]) + p["saves_lost"],
    ),
    "processes": lambda p: Tally(
        "one of two processes killed",
        len(p["kills"]),
        len(p["ended_otherwise"])
        + len(p["failed_to_resume"])
        + sum(not row["says_so"] for row in p["kills"]),
    ),
    "signals": lambda p: Tally(
        "SIGTERM or SIGINT",
        p["signals"],
        _total(p["stages"], "otherwise") + len(p["ended_otherwise"]) + len(p["failed_to_resume"]),
    ),
    "failing": lambda p: Tally("a call to the disk fails", p["tried"], len(p["strange"])),
    "power": lambda p: Tally(
        "the power fails (simulated)", _total(p["rows"], "times"), len(p["strange"])
    ),
    "flips": lambda p: Tally(
        "a flipped bit",
        _total(p["kinds"].values(), "tried"),
        sum(len(row["strange"]) for row in p["kinds"].values()),
    ),
    "fuzz": lambda p: Tally("a damaged recording", p["tried"], len(p["strange"])),
}
OF_SAVING = {"kills", "processes", "signals", "failing", "power", "flips"}
ANCHORS = {
    "kills": "kills",
    "processes": "two-processes",
    "signals": "signals",
    "failing": "failing-calls",
    "power": "power-failures",
    "flips": "flipped-bits",
    "fuzz": "damaged-recordings",
}
SECTIONS: dict[str, Callable[[dict[str, Any]], Iterable[str]]] = {
    "kills": kills,
    "processes": processes,
    "signals": signals,
    "failing": failing,
    "power": power,
    "branches": branches,
    "flips": flips,
    "fuzz": fuzz,
    "same_as_wfdb": same_as_wfdb,
    "soak": soak,
    "mutation": mutation,
}

if __name__ == "__main__":
    main()
