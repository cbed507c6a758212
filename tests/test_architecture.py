"""Imports go one way; see docs/architecture.md."""

import ast
import re
from pathlib import Path

import pytest

import kdjax

PACKAGE = Path(kdjax.__file__).parent

# Each room with the rooms of the package it may import, from the ground up.
ALLOWED = {
    "errors": "",
    "checksums": "",
    "layers": "",
    "recordings": "errors",
    "beats": "errors",
    "metrics": "",
    "plots": "metrics",
    "page": "",
    "report": "page",
    "datasets": "errors recordings beats datasets checksums",
    "models": "layers",
    "losses": "models",
    "augmentation": "beats",
    "baselines": "",
    "scoring": "",
    "distillation": "augmentation losses models",
    "train_step": "augmentation losses distillation models",
    "parallel": "errors distillation train_step",
    "processes": "errors",
    "compilation": "",
    "inference": "layers models",
    "calibration": "errors metrics scoring",
    "detector": "calibration inference models scoring",
    "detector_files": "checksums errors calibration detector models scoring",
    "detection": "errors beats recordings calibration detector scoring",
    "config": "errors augmentation distillation",
    "runs": "checksums detector_files errors config beats models detector",
    "export": "errors beats detector detector_files inference layers models runs",
    "detection_report": "beats detection page plots",
    "detection_files": "detection detection_report page runs errors",
    "interop": "errors beats models detector runs",
    "evaluation": "calibration detector_files errors config runs datasets detector models metrics "
    "plots report scoring",
    "benchmark": "errors detector models runs",
    "training": "errors config runs datasets detector metrics baselines distillation train_step "
    "parallel processes evaluation compilation",
    "comparison": "metrics",
    "study": "errors config runs datasets metrics baselines comparison scoring distillation "
    "train_step parallel evaluation training",
    "cli": "calibration detection detection_files detector_files recordings errors datasets runs "
    "evaluation interop study comparison export benchmark compilation plots",
    "__init__": "",
}


def imported(source: Path) -> set[str]:
    """The rooms that a file imports, wherever in it."""
    rooms = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "kdjax":
            rooms |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("kdjax."):
            rooms.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            rooms |= {a.name.split(".")[1] for a in node.names if a.name.startswith("kdjax.")}
    return rooms


def room(source: Path) -> str:
    return source.relative_to(PACKAGE).parts[0].removesuffix(".py")


@pytest.mark.parametrize("source", sorted(PACKAGE.rglob("*.py")), ids=lambda p: str(p.name))
def test_a_room_imports_only_what_lies_below_it(source):
    assert imported(source) <= set(ALLOWED[room(source)].split())


def test_the_rooms_in_use_are_the_rooms_described():
    described = re.findall(r"`(\w+)/?`", (PACKAGE.parent / "docs/architecture.md").read_text())
    rooms = {room(source) for source in PACKAGE.rglob("*.py")} - {"__init__", "errors"}
    assert rooms <= set(described)
