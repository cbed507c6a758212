"""Imports go one way, by folder and where it matters by file; see docs/architecture.md."""

import re
from pathlib import Path

import architecture
import pytest

import kdjax

PACKAGE = Path(kdjax.__file__).parent
ROOT = PACKAGE.parent

# Each room with the rooms of the package it may import, from the ground up. A room is a folder, or
# a file that lies beside the folders.
ALLOWED = {
    "errors": "",
    "signals": "",
    "memory": "errors",
    "arguments": "errors",
    "files": "errors signals",
    "fields": "errors",
    "recordings": "errors files",
    "filters": "",
    "beats": "errors filters",
    "rpeaks": "beats filters",
    "ec57": "errors recordings",
    "datasets": "errors files recordings beats rpeaks",
    "models": "fields beats",
    "scores": "errors",
    "pages": "files scores",
    "detection": "errors files recordings filters beats rpeaks models scores pages",
    "embedded": "errors beats models scores detection",
    "runs": "errors files fields beats datasets models scores pages detection embedded",
    "training": "errors signals files beats datasets models scores detection runs",
    "study": "errors files datasets models scores runs training",
    "commands": "errors memory signals files recordings datasets scores detection ec57 pages runs "
    "training study",
    "cli": "arguments commands",
    "__main__": "signals cli",
    "__init__": "errors recordings detection runs ec57",
}
# Files that hold mathematics alone, with all that they may import of the package.
PURE = {
    "models/sizes": "",
    "models/folded": "models/sizes",
    "models/layers": "models/sizes",
    "models/networks": "models/layers models/sizes",
    "models/losses": "models/networks",
    "models/inference": "models/folded models/layers models/networks models/sizes",
    "models/augmentation": "beats",
    "models/objective": "fields",
    "models/distillation": "models/augmentation models/losses models/networks models/objective",
    "scores/metrics": "",
    "scores/fitted": "",
    "scores/baselines": "",
    "detection/detector": "errors models/folded models/inference models/sizes scores/calibration "
    "scores/fitted",
    "training/step": "models/augmentation models/losses models/distillation models/networks",
    "study/comparison": "scores/metrics",
}


def module(source: Path) -> str:
    """A file's name in PURE: 'models/losses'."""
    return source.relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__")


def room(source: Path) -> str:
    return module(source).split("/")[0]


def imported(source: Path) -> set[str]:
    """The files of the package that a file imports, wherever in it, as in PURE."""
    found = set()
    for name in architecture.imports(source):
        parts = name.split(".")
        if parts[0] != "kdjax":
            continue
        while parts[1:]:
            place = PACKAGE.joinpath(*parts[1:])
            if place.with_suffix(".py").exists() or (place / "__init__.py").exists():
                found.add("/".join(parts[1:]))
                break
            parts.pop()
    return found


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=module)
def test_a_room_imports_only_what_lies_below_it(source):
    rooms = {name.split("/")[0] for name in imported(source)} - {room(source)}
    assert rooms <= set(ALLOWED[room(source)].split())


def test_a_room_may_import_no_more_than_it_does():
    used: dict[str, set[str]] = {name: set() for name in ALLOWED}
    for source in SOURCES:
        used[room(source)] |= {name.split("/")[0] for name in imported(source)} - {room(source)}
    assert used == {name: set(below.split()) for name, below in ALLOWED.items()}


@pytest.mark.parametrize("name", PURE)
def test_mathematics_knows_nothing_of_files_configs_or_data_sets(name):
    assert imported(PACKAGE / f"{name}.py") <= set(PURE[name].split())


def test_the_rooms_lie_in_an_order():
    order = list(ALLOWED)
    for name, below in ALLOWED.items():
        assert name == "__init__" or all(order.index(b) < order.index(name) for b in below.split())


def test_no_file_imports_itself_in_a_circle():
    arrows = {module(source): imported(source) for source in SOURCES}
    finished: set[str] = set()

    def follow(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join([*path, name])
        if name not in finished:
            for below in arrows.get(name, ()):
                follow(below, (*path, name))
            finished.add(name)

    for name in arrows:
        follow(name, ())


def test_no_file_is_longer_than_500_lines():
    folders = ("kdjax", "benchmarks", "configs", "tests")
    everything = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    lengths = {file: len(file.read_text(encoding="utf-8").splitlines()) for file in everything}
    assert [str(file) for file, length in lengths.items() if length > 500] == []


# Mapped over devices, seeds or steps, which JAX does by position.
BY_POSITION = {
    "benchmarks/quality/regression.py": {"steps"},
    "benchmarks/quality/steadiness.py": {"epoch_of"},
    "kdjax/training/epochs.py": {"steps"},
    "kdjax/training/parallel.py": {"_norms"},
    "kdjax/training/step.py": {"run_steps"},
}
AS_IT_IS = "kdjax/datasets/synthetic_beats/generator.py"  # its text is the data set's version


@pytest.mark.parametrize("folder", ["kdjax", "configs", "benchmarks"])
def test_what_follows_three_arguments_is_named(folder):
    for path in (ROOT / folder).rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        long = set(architecture.with_many_positional(path.read_text(encoding="utf-8")))
        assert name == AS_IT_IS or long == BY_POSITION.get(name, set()), name


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f(a, b, c, *, d): ...", []),
        ("def f(a, b, c, d=1): ...", ["f"]),
        ("class A:\n    def f(self, a, b, c): ...", []),
        ("class A:\n    async def f(self, a, b, c, d): ...", ["f"]),
    ],
)
def test_self_is_no_argument(code, found):
    assert architecture.with_many_positional(code) == found


def test_the_rooms_in_use_are_the_rooms_described():
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    described = set(re.findall(r"^\| `(\w+)", page, flags=re.MULTILINE))
    assert {room(source) for source in SOURCES} - {"__init__", "__main__"} <= described


def test_the_picture_is_that_of_the_imports():
    assert architecture.PICTURE.read_text() == architecture.drawing()
