"""docs/evidence/reliability.md from docs/results/reliability.json.

python -m benchmarks.pages.reliability
"""

import json
import re
import statistics
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.robustness.reliability import FILE
from benchmarks.shared import table

PAGE = FILE.parent.parent / "evidence/reliability.md"

HEAD = """# Reliability

What kdjax does when a process dies, a disk fills or a file rots, and what was tried. The figures
come from [results/reliability.json](../results/reliability.json), which the commands under each
heading make; `python -m benchmarks.pages.reliability` makes this page."""

PROMISES = {
    "kill -9 at any moment": "the same command goes on from the last save, at worst the end of the "
    "epoch before, and ends with the very parameters of a run left alone",
    "SIGTERM, Ctrl-C": "from the first line to the last: one line, exit 128 + the signal's number, "
    "nothing half-written; between steps it saves first, at the end of the chunk of 100, unless a "
    "second signal comes",
    "any one call to the disk fails": "one line and exit 2, or it goes on where the file is no "
    "part of the run's state; the same command ends with the same bits",
    "the power fails": "what is renamed into place was flushed before, file and folder: the same "
    "command goes on from the last save, or begins anew where nothing was flushed yet",
    "the memory does not suffice": "one line, exit 2, where the library that asks for it says so "
    "instead of aborting",
    "the newest checkpoint is missing, renamed or another run's": "whatever loads the run refuses: "
    "weights, result and calibration are held to each other",
    "config.json or result.json is empty or damaged": "refused with the command that makes it anew",
    "the checkpoint of the best epoch is damaged": "the result comes without the oracle, and says "
    "so",
    "the disk is full, or may only be read": "one line, exit 2; what was saved is whole, a "
    "half-written save gives its room back",
    "the run directory is moved or deleted": "one line, exit 2, at the next save; nothing is "
    "written where it was",
    "two processes, one run directory": "the second one refuses",
    "the newest checkpoint is damaged": "training says so and goes on from the one before; "
    "everything else refuses",
    "a flipped bit in weights, config, result, calibration, prepared data or a shipped detector": (
        "refused in one line"
    ),
    "a loss, a weight or a moment of Adam is not finite": "training stops at the chunk's end, exit "
    "2, and names the figure, the step and the last good checkpoint; such a state is never saved",
}

LIMITS = """`grad_clip` in a config clips the gradients of each network to a global norm; None, the
default, does not. On a CPU the same seed, devices and versions give the same run to the last bit,
on any number of threads but for the calibration, whose last digits NumPy's linear algebra decides.
On a GPU that is not promised: its libraries choose their algorithms.

Checksums are SHA-256: of every file of a checkpoint in its `manifest.json`; of the config and the
data in the checkpoint's `progress.json`; of scores and calibration in `result.json`, which holds
its own; of prepared data in `SHA256SUMS` beside it, for `sha256sum -c`. They notice accidents. They
are no signatures: who can change a file can change its checksum.

Not tried: a real power failure (what follows is a simulation), disks that say that they have
flushed and have not, network file systems, other operating systems than Linux. Kills, two
processes, flipped bits, the long run and the wrong lines are of the dates that they give: loading
and saving have changed since, as the table above says. Within some limits of address space
libraries abort the process, which nothing can catch; so a limit is checked beforehand."""

SECURITY = """## Security

- No pickle is read: networks and calibrations are NumPy archives opened without pickles,
  checkpoints are Orbax arrays, BeatGAN's PyTorch files go through torch's loader of plain tensors.
- A config is a Python file that runs as you. Run no config that you have not read.
- No archive is unpacked. The download of MIT-BIH is checked against PhysioNet's SHA-256 list, which
  comes with the package, before a file gets its name.
- Recordings are data to their readers, which open no file outside the record's own folder, and no
  network.
- The dependencies were not audited: no database of advisories could be reached. Where one can,
  `pip-audit -r constraints.txt` does it."""


def main() -> None:
    """Writes the page."""
    found = json.loads(FILE.read_text())
    parts = [
        text for name, section in SECTIONS.items() if name in found for text in section(found[name])
    ]
    promises = table(("what happens", "what kdjax does"), PROMISES.items())
    PAGE.write_text("\n\n".join([HEAD, promises, LIMITS, *parts, SECURITY]) + "\n")
    print(PAGE)


def made(part: dict[str, Any]) -> str:
    """The command behind a section, where and when it ran."""
    return f"`{part['command']}`, {part['device']}, {part['date']}."


def kills(part: dict[str, Any]) -> Iterable[str]:
    """Where processes were killed and how the runs ended."""
    yield "## Kills"
    yield (
        f"{made(part)} `train.py` on synthetic beats, teacher and student of width 2, "
        f"{part['epochs_of_each_network']} epochs each, {part['seconds_undisturbed']:.0f} s when "
        "nothing disturbs it. SIGKILL at random moments, each followed by the same command, until "
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
        f"{made(part)} SIGTERM and SIGINT by turns, at random moments of a start (from the first "
        "moment of the process to the first steps), of the steps, and of the last evaluation of "
        f"`train.py`, a teacher of width 2 and {part['epochs']} epochs on synthetic beats."
    )
    yield table(
        (
            "stage",
            "signals",
            "128 + the signal",
            "the same, from Python itself",
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
        f"{part['signals']} signals. Otherwise means another status, a traceback or a half-written "
        "file. Python itself ends a process before the first line of `train.py` and after its "
        f"last. {len(part['ended_otherwise'])} figures of the runs that were typed again "
        "ended otherwise than in the undisturbed run; "
        f"{len(part['failed_to_resume'])} of them failed to go on"
        f"{''.join(f': {line}' for line in reasons) or '.'}"
    )


def failing(part: dict[str, Any]) -> Iterable[str]:
    """What came of each kind of call that failed."""
    yield "## Calls that fail"
    calls = " and ".join(f"{n:,} in {life}" for life, n in part["calls"].items())
    rows = [r for r in part["rows"] if r["call"] == "write" or r["error"] != "a short write"]
    tried = sum(row["times"] for row in rows)
    yield (
        f"{made(part)} The tiny teacher of the tests trains for two epochs behind a library that "
        "lets one call to the disk fail: open, read, write, fsync, rename or mkdir below the run "
        "directory, Orbax's own among them. Then the same command is typed again. "
        f"Of such calls there are {calls}; {tried:,} of them, drawn at random, were tried, "
        "each with one of the errors."
    )
    endings = sorted({row["ended"] for row in rows})
    counts: dict[tuple[str, str], dict[str, int]] = {}
    for row in rows:
        counts.setdefault((row["call"], row["error"]), {})[row["ended"]] = row["times"]
    yield table(
        ("call", "error", *endings),
        [(*key, *(found.get(name, 0) for name in endings)) for key, found in counts.items()],
    )
    yield (
        "One line: exit status 2, one line on stderr, nothing half-written, and the same command "
        "ended with the same bits. Went on: the run ended as if nothing had been. "
        f"{len(part['strange'])} ended in another way."
    )


def power(part: dict[str, Any]) -> Iterable[str]:
    """How runs resumed from what a power failure leaves."""
    yield "## Power failures"
    tried = sum(row["times"] for row in part["rows"]) // 2
    yield (
        f"{made(part)} A simulation: all that the tiny teacher of the tests does to the disk is "
        f"logged ({part['entries']:,} entries, Orbax's own among them). The power fails before one "
        f"of its {part['flushes']} flushes or at the end: {tried} of these points were tried, "
        "drawn at random. What is on the disk then is made of the log in two ways: the files and "
        "names that were flushed; or every name, and of the files what was flushed. "
        f"{part['states']} such disks differ. On each the same command is typed."
    )
    yield table(
        ("on the disk", "ended", "times"),
        [(row["disk"], row["ended"], row["times"]) for row in part["rows"]],
    )
    yield (
        "A save that was finished before the power failed must be there as well. Neither the last "
        "lines of metrics.jsonl nor TensorBoard's events are flushed: the lines are written anew "
        "from the checkpoint."
    )


def branches(part: dict[str, Any]) -> Iterable[str]:
    """The branches that tests take, file by file, and those they do not."""
    yield "## Branches"
    yield f"{made(part)} The tests: {', '.join(f'`{name}`' for name in part['tests'])}."
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
        f"{made(part)} One bit of one file at a time. Without effect: what was loaded is the same "
        "to the last bit (an E for an e in 1e-05, a time stamp in an archive)."
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
        "module are changed one at a time, and its test file runs."
    )
    yield table(
        ("module", "possible", "tried", "caught", "share"),
        [
            (f"`{name}`", r["possible"], r["tried"], r["caught"], f"{r['caught'] / r['tried']:.0%}")
            for name, r in part["modules"].items()
        ],
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


SECTIONS: dict[str, Callable[[dict[str, Any]], Iterable[str]]] = {
    "kills": kills,
    "processes": processes,
    "signals": signals,
    "failing": failing,
    "power": power,
    "branches": branches,
    "flips": flips,
    "fuzz": fuzz,
    "soak": soak,
    "mutation": mutation,
}

if __name__ == "__main__":
    main()
