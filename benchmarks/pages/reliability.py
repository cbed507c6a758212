"""docs/evidence/reliability.md from docs/results/reliability.json.

python -m benchmarks.pages.reliability
"""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from benchmarks.pages import faults
from benchmarks.robustness.reliability import FILE
from benchmarks.shared import devices, page, table

PAGE = FILE.parent.parent / "evidence/reliability.md"

HEAD = """# Reliability

{conclusion}

{tried}

After a kill, a signal, a failed call or a power failure, the same command was typed again.

- *Code* is the beginning of the SHA-256 of kdjax's source.{earlier}
- *Load* is that of the whole machine over the last 15 minutes of a command.
- All commands ran on {device}. `python -m benchmarks.pages.reliability` makes this page.

## What does kdjax promise?

### While it runs"""

RUNNING = {
    "`kill -9` at any moment": "the same command continues from the last save, at worst the end of "
    "the epoch before, and ends with exactly the parameters of an undisturbed run",
    "SIGTERM or Ctrl-C": "one line, exit status 128 plus the signal's number, nothing "
    "half-written; between steps, kdjax first saves at the end of the chunk of 100 steps, unless a "
    "second signal comes",
    "one call to the disk fails": "one line and exit status 2, or training continues if the file "
    "is not part of the run's state; the same command ends with the same bits",
    "the power fails": "the same command continues from the last save, or starts again if nothing "
    "had been flushed; files and folders are flushed before they are renamed into place",
    "the disk is full or read-only": "one line and exit status 2; what was saved is whole, and a "
    "half-written save is deleted",
    "memory runs out": "one line and exit status 2, unless the library that needs the memory "
    "aborts the process",
    "the run directory is moved or deleted": "one line and exit status 2 at the next save; nothing "
    "is written in the old place",
    "another process trains in the same run directory": "the second process refuses",
    "a loss, a weight or a moment of Adam is not finite": "training stops at the end of the chunk "
    "with exit status 2 and names the figure, the step and the last good checkpoint; such a state "
    "is never saved",
}
LOADING = {
    "the newest checkpoint is damaged": "training says so and continues from the one before; every "
    "other command refuses",
    "the newest checkpoint is missing, renamed or another run's": "every command that loads the "
    "run refuses, because weights, result and calibration must belong together",
    "the checkpoint of the best epoch is damaged": "the result has no oracle figures and says so",
    "`config.json` or `result.json` is empty or damaged": "refused; the message names the command "
    "that makes it again",
    "one bit is flipped in weights, config, result, calibration, prepared data or a shipped "
    "detector": "refused in one line",
}

LIMITS = """### Limits

- **Reproducibility.** On a CPU, the same seed, devices and versions give the same run to the last
  bit, on any number of threads. Only the calibration may differ in its last digits, because NumPy's
  linear algebra adds up in threads. On a GPU this is not promised, because its libraries choose
  their algorithms.
- **Checksums** are SHA-256. They detect accidents, but are not signatures: anyone who can change a
  file can change its checksum. `manifest.json` has those of a checkpoint's files, `progress.json`
  those of the config and the data, `result.json` those of scores, calibration and itself;
  `sha256sum -c` reads the `SHA256SUMS` beside prepared data.
- **Gradients.** `grad_clip` in a config clips the gradients of each network to a global norm. By
  default they are not clipped.
- **Not tried**: a real power failure (it was simulated), disks that report a flush they have not
  done, network file systems, and operating systems other than Linux.
- **Memory.** Under some limits of address space a library aborts the process, which cannot be
  caught, so kdjax checks the limit first.
- **Signals.** Until kdjax's first line runs, and in the last microseconds of the process, Python
  handles a signal itself."""

SECURITY = """## How is kdjax protected against harmful files?

- No pickle is loaded: networks and calibrations are NumPy archives opened without pickles,
  checkpoints are Orbax arrays, and BeatGAN's PyTorch files are read by torch's loader of plain
  tensors.
- A config is a Python file that runs with your permissions. Read a config before you run it.
- No archive is unpacked. The download of MIT-BIH is checked against PhysioNet's SHA-256 list, which
  comes with the package, before a file gets its name.
- Readers treat recordings as data only. They open no file outside the record's own folder and no
  network connection.
- The dependencies were not audited, because no database of advisories could be reached.
  `pip-audit -r constraints.txt` audits them where one can be."""


class Tally(NamedTuple):
    """How often a fault was tried, and how often it ended otherwise than the page promises."""

    fault: str
    times: int
    otherwise: int


def main() -> None:
    """Writes the page."""
    found = json.loads(FILE.read_text())
    head = ("what happens", "what kdjax does")
    promises = [
        table(head, RUNNING.items()),
        "### When it loads files",
        table(head, LOADING.items()),
    ]
    parts = [
        text for name, section in SECTIONS.items() if name in found for text in section(found[name])
    ]
    PAGE.write_text(page([opening(found), *promises, LIMITS, *parts, SECURITY]))
    print(PAGE)


def opening(found: dict[str, Any]) -> str:
    """The conclusion, and a table of all that was tried."""
    tallies = {name: TALLIES[name](found[name]) for name in TALLIES if name in found}
    wrong = [f"{t.otherwise} of {t.fault}" for t in tallies.values() if t.otherwise]
    total = sum(t.times for t in tallies.values())
    most = max(tallies.values(), key=lambda t: t.times)
    kept = f"in all but {', '.join(wrong)}" if wrong else "in all of them"
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
        conclusion=f"**{total:,} faults were tried, {most.times:,} of them {most.fault}. kdjax "
        f"kept its [promises](#what-does-kdjax-promise) {kept}; {lost(found)} lost a finished "
        "save, changed a figure or let damaged data pass.** Each was tried on the code that its "
        "row names.",
        tried=table(("fault", "tried", "ended otherwise", "date", "code"), rows),
        earlier=" *Earlier code* is from before the last change to what saves and loads."
        if old
        else "",
        device=devices([FILE.name]),
    )


def lost(found: dict[str, Any]) -> str:
    """How many faults cost more than a line on the terminal."""
    worse = sum(len(part.get("ended_otherwise", [])) for part in found.values())
    worse += found["kills"]["saves_lost"]
    lines = [line for name in ("failing", "power") for line in found[name]["strange"]]
    lines += [line for kind in found["flips"]["kinds"].values() for line in kind["strange"]]
    worse += sum(bool(re.search("ended otherwise|save is lost|silently", line)) for line in lines)
    return str(worse) if worse else "none"


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
    "fuzz": lambda p: Tally("damaged recordings", p["tried"], len(p["strange"])),
}
OF_SAVING = {"kills", "processes", "signals", "failing", "power", "flips"}
ANCHORS = {
    "kills": "killed-processes",
    "processes": "one-of-two-processes-killed",
    "signals": "signals",
    "failing": "failing-calls-to-the-disk",
    "power": "power-failures",
    "flips": "flipped-bits",
    "fuzz": "damaged-recordings",
}
SECTIONS: dict[str, Callable[[dict[str, Any]], Iterable[str]]] = {
    "kills": faults.kills,
    "processes": faults.processes,
    "signals": faults.signals,
    "failing": faults.failing,
    "power": faults.power,
    "flips": faults.flips,
    "fuzz": faults.fuzz,
    "same_as_wfdb": faults.same_as_wfdb,
    "soak": faults.soak,
    "branches": faults.branches,
    "mutation": faults.mutation,
}

if __name__ == "__main__":
    main()
