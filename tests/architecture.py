"""The rooms of the package, drawn from its imports.

python -m tests.architecture         # floors, arrows, long files, the longest functions
python -m tests.architecture --draw  # writes docs/architecture.svg
"""

import ast
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "kdjax"
PICTURE = ROOT / "docs" / "architecture.svg"
_WIDTH, _ROW, _BOX = 960, 92, (112, 40)


def sources() -> list[Path]:
    """Every module of the package."""
    return sorted(PACKAGE.rglob("*.py"))


def room(source: Path) -> str:
    """The folder of a module, or the module itself where it lies beside the folders."""
    return source.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(source: Path) -> set[str]:
    """What a file imports, wherever in it, as dotted names: 'kdjax.models.losses.kl'."""
    names = set()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def arrows() -> dict[str, set[str]]:
    """Which rooms each room imports, itself left out."""
    names = {room(source) for source in sources()}
    found: dict[str, set[str]] = {name: set() for name in sorted(names)}
    for source in sources():
        for name in imports(source):
            parts = name.split(".")
            if parts[0] == "kdjax" and len(parts) > 1 and parts[1] in names:
                found[room(source)].add(parts[1])
    return {name: below - {name} for name, below in found.items()}


def with_many_positional(code: str) -> list[str]:
    """The functions that take more than three arguments by position, `self` not counted."""
    return [
        node.name
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for names in [[arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]]
        if len(names) - (names[:1] in (["self"], ["cls"])) > 3
    ]


def floors(below: dict[str, set[str]]) -> list[list[str]]:
    """Rooms from the ground up, each above all that it imports; ValueError for a circle."""
    floor: dict[str, int] = {}
    while len(floor) < len(below):
        ready = [n for n in below if n not in floor and below[n] <= floor.keys()]
        if not ready:
            raise ValueError(f"a circle among {', '.join(sorted(below.keys() - floor.keys()))}")
        level = {n: max((floor[b] + 1 for b in below[n]), default=0) for n in ready}
        floor |= level
    return [[n for n in below if floor[n] == i] for i in range(max(floor.values()) + 1)]


def functions() -> list[tuple[int, str]]:
    """The length of every function with its place, the longest first."""
    found = []
    for source in sources():
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                found.append((length, f"{source.relative_to(ROOT)}: {node.name}"))
    return sorted(found, key=lambda row: (-row[0], row[1]))


def drawing() -> str:
    """The picture as SVG: ground floor below, an arrow for each import that no other implies."""
    below = {n: b for n, b in arrows().items() if not n.startswith("__")}
    storeys = floors(below)
    height, (w, h) = _ROW * len(storeys) + 20, _BOX
    place = {
        name: (_WIDTH * (i + 1) / (len(row) + 1), height - _ROW * (floor + 0.5) - 10)
        for floor, row in enumerate(storeys)
        for i, name in enumerate(row)
    }
    lines = []
    for name, (x, y) in place.items():
        for other in sorted(_direct(name, below)):
            a, b = place[other]
            lines.append(
                f'<line x1="{x:.0f}" y1="{y + h / 2:.0f}" x2="{a:.0f}" y2="{b - h / 2:.0f}"/>'
            )
    boxes = [
        f'<rect x="{x - w / 2:.0f}" y="{y - h / 2:.0f}" width="{w}" height="{h}" rx="6"/>'
        f'<text x="{x:.0f}" y="{y + 5:.0f}">{escape(name)}</text>'
        for name, (x, y) in place.items()
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
            'aria-label="The rooms of kdjax: each imports those below that it points to">',
            "<style>rect{fill:#eef2fb;stroke:#3a57a0}text{font:15px sans-serif;"
            "text-anchor:middle;fill:#1a1a1a}line{stroke:#8a97b5;marker-end:url(#tip)}</style>",
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" '
            'orient="auto"><path d="M0 0 8 4 0 8z" fill="#8a97b5"/></marker></defs>',
            f'<path d="M0 0H{_WIDTH}V{height}H0z" fill="#fff"/>',
            *lines,
            *boxes,
            "</svg>\n",
        ]
    )


def _direct(name: str, below: dict[str, set[str]]) -> set[str]:
    """The rooms that a room imports and reaches through no other."""

    def reached(start: str) -> set[str]:
        return below[start].union(*(reached(b) for b in below[start]))

    return {b for b in below[name] if not any(b in reached(o) for o in below[name] - {b})}


def main() -> None:
    """Prints what the imports say, or draws it."""
    if "--draw" in sys.argv[1:]:
        PICTURE.write_text(drawing())
        return
    below = arrows()
    for floor, row in reversed(list(enumerate(floors(below)))):
        print(f"floor {floor}: {', '.join(row)}")
    print(f"{len(below)} rooms, {sum(map(len, below.values()))} arrows, no circle")
    for source in sources():
        length = len(source.read_text(encoding="utf-8").splitlines())
        if length > 500:
            print(f"{source.relative_to(ROOT)}: {length} lines")
    for length, place in functions()[:20]:
        print(f"{length:4} {place}")


if __name__ == "__main__":
    main()
