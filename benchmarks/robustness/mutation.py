"""Do the tests notice a wrong line? Small changes to losses and metrics, one at a time.

python -m benchmarks.robustness.mutation  # 60 mutants of each, half an hour on two cores
python -m benchmarks.robustness.mutation --sample 0  # all of them

A mutant is run in a fork of a process that has imported JAX and SciPy but not the module: the fork
compiles the changed source in its place and runs the module's tests up to the first failure.
"""

import argparse
import ast
import copy
import importlib
import importlib.abc
import importlib.util
import os
import random
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.robustness.reliability import FILE, keep

ROOT = Path(__file__).parents[2]
TESTS = {  # of each module
    "models/losses": ("models/test_losses.py", "models/test_relation.py"),
    "scores/metrics": ("scores/test_metrics.py",),
}
# Mutants that no test can catch, with the reason: line and change without the line's number.
EQUIVALENT = {
    "`_SERIES_RADIUS = 0.5`: `0.5` to `0.75`": "both forms are exact to rounding in between",
    "`_SERIES_TERMS = 14`: `14` to `15`": "one more term is below the last digit",
    "`small = jnp.where(near, d, 0)`: `0` to `1`": "the series of this value is not selected",
    "`rank = math.ceil(round((n + 1) * (1 - target), 9))`: `9` to `10`": (
        "rounding errors are far below either digit"
    ),
    "`constant = min(np.std(x + y), np.std(x - y)) < 1e-12`: `1e-12` to `1.5e-12`": (
        "it is 0, or orders of magnitude above"
    ),
    "`d = jnp.where(kept, (score_teacher - score_student) / temperature, 0)`: `0` to `1`": (
        "it is multiplied by a probability of 0"
    ),
}
TIMEOUT = 240  # seconds; a mutant that takes longer counts as caught
OPERATORS: dict[type, type] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def main() -> None:
    """Runs the mutants of each module and keeps the counts and the survivors."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--sample", type=int, default=60, help="mutants of a module; 0 is all")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with TemporaryDirectory(prefix="kdjax-") as folder:
        _import_what_is_not_mutated(folder)
        found = {name: assess(name, args.sample, args.seed) for name in TESTS}
    keep(args.out, "mutation", f"mutation --sample {args.sample}", found={"modules": found})


def assess(name: str, sample: int, seed: int) -> dict[str, Any]:
    """How many mutants of a module its tests catch, and those that they do not."""
    source = (ROOT / "kdjax" / f"{name}.py").read_text()
    everything = list(mutants(source))
    chosen = everything
    if sample:
        chosen = random.Random(seed).sample(everything, min(sample, len(everything)))
    if passes(name, ast.parse(source)) is not True:
        sys.exit(f"tests of {name} fail without any mutation: {', '.join(TESTS[name])}")
    survivors, slow, started = [], 0, time.perf_counter()
    for number, (what, tree) in enumerate(chosen, 1):
        passed = passes(name, tree)
        slow += passed is None
        if passed:
            reason = EQUIVALENT.get(what.partition(", ")[2])
            survivors.append(f"{what} (equivalent: {reason})" if reason else what)
            print(f"  survives: {what}", flush=True)
        if number % 10 == 0:
            print(f"{name}: {number} of {len(chosen)}, {len(survivors)} survive", flush=True)
    return {
        "possible": len(everything),
        "tried": len(chosen),
        "caught": len(chosen) - len(survivors),
        "of_these_by_time": slow,
        "survivors": sorted(survivors),
        "seconds": round(time.perf_counter() - started),
    }


def mutants(source: str) -> Iterator[tuple[str, ast.Module]]:
    """(line and change in words, the whole module with that one change) of a source."""
    tree = ast.parse(source)
    nodes, lines = list(_code(tree)), source.splitlines()
    for index, node in enumerate(nodes):
        for variant in range(len(_changes(node))):
            changed = copy.deepcopy(tree)
            twin = list(_code(changed))[index]
            before = ast.unparse(node).splitlines()[0]
            _changes(twin)[variant](twin)
            after = ast.unparse(twin).splitlines()[0]
            line = getattr(node, "lineno", 0)
            if before != after:
                where = f"line {line}, `{lines[line - 1].strip()}`"
                yield f"{where}: `{before}` to `{after}`", ast.fix_missing_locations(changed)


def _code(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a tree that are executed: no annotations, docstrings or messages."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if not isinstance(child, ast.AST) or isinstance(child, ast.JoinedStr):
                continue
            if not (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
                yield child
                yield from _code(child)


def _changes(node: ast.AST) -> list:
    """What can be done to a node, each a function that does it in place."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in OPERATORS:
        return [lambda n: setattr(n, "op", OPERATORS[type(n.op)]())]
    if isinstance(node, ast.Compare):
        return [
            lambda n, i=i: n.ops.__setitem__(i, OPERATORS[type(n.ops[i])]())
            for i, op in enumerate(node.ops)
            if type(op) in OPERATORS
        ]
    if isinstance(node, ast.UnaryOp):  # twice the same is none, whatever the type
        return [lambda n: setattr(n, "operand", ast.UnaryOp(n.op, n.operand))]
    if isinstance(node, ast.IfExp):
        return [lambda n: setattr(n, "test", ast.UnaryOp(ast.Not(), n.test))]
    if isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            return [lambda n: setattr(n, "value", not n.value)]
        if isinstance(node.value, int):
            return [lambda n: setattr(n, "value", n.value + 1)]
        if isinstance(node.value, float):
            return [lambda n: setattr(n, "value", n.value * 1.5 + 1e-3 * (n.value == 0))]
    if isinstance(node, ast.Return) and node.value is not None:
        return [lambda n: setattr(n, "value", ast.Constant(None))]
    if isinstance(node, ast.If | ast.For):
        return [lambda n: setattr(n, "body", [ast.Pass()])]
    return []


def passes(name: str, tree: ast.Module) -> bool | None:
    """Whether the module's tests pass with this source; None when they take too long."""
    child = os.fork()
    if child == 0:
        _run_tests(name, tree)
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.02)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return None


def _run_tests(name: str, tree: ast.Module) -> None:
    code = 1
    try:
        sys.meta_path.insert(0, _Mutant(_dotted(name), tree))
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        import pytest

        # A test that reads the sources as files sees the unchanged one; none of these does.
        options = ["-x", "-q", "-n0", "-p", "no:cacheprovider", "--hypothesis-profile=mutation"]
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]  # Hypothesis came before
        code = int(pytest.main([*options, *(str(ROOT / "tests" / file) for file in TESTS[name])]))
    finally:
        os._exit(code)


def _dotted(name: str) -> str:
    return f"kdjax.{name.replace('/', '.')}"


class _Mutant(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module from a syntax tree instead of its file."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name, self.tree = name, tree

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_loader(fullname, self)

    def exec_module(self, module: Any) -> None:
        exec(compile(self.tree, f"<mutant of {self.name}>", "exec"), module.__dict__)


def _import_what_is_not_mutated(programs: str) -> None:
    """Paid once for all forks. No device is started: its threads would not survive a fork.

    Compiled programs are kept in the folder `programs`: a mutant compiles what it has changed.
    """
    sys.path.insert(0, str(ROOT / "tests"))
    import flax.linen
    import hypothesis
    import hypothesis.extra.numpy
    import jax
    import pytest
    import scipy.stats
    import sklearn.metrics

    importlib.import_module("kdjax.models.networks")  # forks begin with it loaded

    jax.config.update("jax_enable_compilation_cache", True)
    jax.config.update("jax_compilation_cache_dir", programs)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.02)
    # Forks draw the same examples, and leave none of a mutant's behind. The first that fails is
    # enough: making it smaller would take minutes.
    hypothesis.settings.register_profile(
        "mutation",
        database=None,
        deadline=None,
        derandomize=True,
        print_blob=False,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
    )
    warnings.filterwarnings("ignore", message=".*fork")
    loaded = [name for name in TESTS if _dotted(name) in sys.modules]
    assert not loaded, loaded
    _ = (flax.linen, jax, pytest, scipy.stats, sklearn.metrics)


if __name__ == "__main__":
    main()
