"""A long run: memory, open files and threads of one process over many short epochs."""

import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.robustness.runs import Process, teacher_options


def soak(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Many short epochs of one process: its memory, open files and threads at each epoch's end."""
    epochs = 12 if quick else 400
    flags = teacher_options(epochs, batch=512)
    flags.append(f"--config.seed={seed}")
    process, rows = Process(folder / "run", folder, *flags), []
    metrics = folder / "run/metrics.jsonl"
    while process.process.poll() is None:
        epoch = metrics.read_text().count("\n") if metrics.exists() else 0
        if epoch > (rows[-1]["epoch"] if rows else 0) and epoch < epochs:
            rows.append({"epoch": epoch} | usage(process.process.pid))
        time.sleep(0.05)
    if process.finish():
        sys.exit("\n".join([*process.lines[-5:], "the run itself fails"]))
    settled, end = rows[len(rows) // 4 : len(rows) // 2], rows[-len(rows) // 4 :]
    medians = {
        name: [statistics.median(row[name] for row in part) for part in (settled, end)]
        for name in ("mib", "files", "threads")
    }
    shown = rows[:: max(len(rows) // 20, 1)]
    return {"epochs": epochs, "second_and_last_quarter": medians, "curve": shown}


def usage(pid: int) -> dict[str, float]:
    """Resident MiB, open files and threads of a process (Linux)."""
    proc = Path(f"/proc/{pid}")
    pages = int((proc / "statm").read_text().split()[1])
    return {
        "mib": round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1),
        "files": len(list((proc / "fd").iterdir())),
        "threads": len(list((proc / "task").iterdir())),
    }
