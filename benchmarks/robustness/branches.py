"""Which branches of what writes and reads runs the tests take."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.robustness.runs import ROOT

FILES = ("kdjax/files.py", "kdjax/runs/*", "kdjax/training/progress.py", "kdjax/training/loop.py")
TESTS = (
    "tests/test_files.py",
    "tests/runs",
    "tests/training/test_loop.py",
    "tests/training/test_again.py",
    "tests/training/test_resume.py",
    "tests/training/test_teachers.py",
    "tests/training/test_faults.py",
    "tests/datasets/test_own_training.py",
    "tests/embedded/test_library.py",
    "tests/test_cli.py",
)


def branches(folder: Path, seed: int, quick: bool) -> dict[str, Any]:
    """Branch coverage by the tests beside the code; quick: of kdjax/files.py alone."""
    files, tests = (FILES[:1], TESTS[:1]) if quick else (FILES, TESTS)
    environment = os.environ | {"COVERAGE_FILE": str(folder / "coverage")}
    measure = [sys.executable, "-m", "coverage"]
    tested = ["-m", "pytest", "-q", "-n", "0", *tests]
    included = "--include=" + ",".join(f"{ROOT}/{name}" for name in files)
    ran = subprocess.run(
        [*measure, "run", "--branch", included, *tested], cwd=ROOT, env=environment, check=False
    )
    if ran.returncode > 1:  # 1: a test failed, which the result says
        sys.exit("the tests did not run")
    out = folder / "coverage.json"
    subprocess.run([*measure, "json", "-q", "-o", out], cwd=ROOT, env=environment, check=True)
    rows = []
    for name, found in sorted(json.loads(out.read_text())["files"].items()):
        row = {
            "file": name,
            "branches": found["summary"]["num_branches"],
            "taken": found["summary"]["covered_branches"],
            "lines": found["summary"]["num_statements"],
            "lines_run": found["summary"]["covered_lines"],
            "missing": [
                f"{a} to {b if b > 0 else 'the end'}" for a, b in found["missing_branches"]
            ],
        }
        rows.append(row)
        print(row, flush=True)
    return {"tests": list(tests), "all_passed": ran.returncode == 0, "rows": rows}
