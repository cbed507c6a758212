"""What tests read of a run directory, and how they stop a run on its way."""

import functools
import json
import os
import shutil

import jax
import numpy as np
import tiny
from drawn import fresh

from kdjax.files import read_json
from kdjax.models.distillation import Teacher
from kdjax.runs import checkpoints, directory
from kdjax.training import assemble, loop
from kdjax.training.progress import _optimizer, model_tree


def copy_of_the_run(tmp_path, name="run"):
    return shutil.copytree(tiny.trained().path, tmp_path / name)


def contents(folder):
    """Every file with its bytes and its time of change."""
    return {
        p.relative_to(folder): (p.read_bytes(), p.stat().st_mtime_ns)
        for p in folder.rglob("*")
        if p.is_file()
    }


def rows(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def without_seconds(table):
    return [{name: value for name, value in row.items() if name != "seconds"} for row in table]


def newest(run, folder=checkpoints.LAST):
    return run / folder / str(checkpoints.steps(run / folder)[0])


def restored(config, checkpoint, model=None):
    """Every array of a checkpoint, by its path in the tree; `model` is the teacher's."""
    trainer = assemble.make_trainer(config, (320, 1))
    state = fresh(trainer, np.zeros(1), Teacher(model.generator) if model else None)
    trees = (
        checkpoints.read_model(checkpoint, model_tree(state)),
        checkpoints.read_optimizer(checkpoint, _optimizer(state)),
    )
    return {
        jax.tree_util.keystr(path): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(trees)
    }


@functools.cache
def of_the_uninterrupted():
    """The arrays of the finished run, and its teacher."""
    whole = tiny.trained().path
    teacher = directory.load_model(whole / "teacher")
    return restored(tiny.config(), newest(whole), teacher), teacher


def assert_bitwise_the_uninterrupted(run):
    """All but what a clock says: variables, optimiser, every epoch's figures, every score."""
    whole = tiny.trained().path
    a, teacher = of_the_uninterrupted()
    b = restored(tiny.config(), newest(run), teacher)
    assert a.keys() == b.keys()
    assert len(a) > 100
    for name in a:
        assert a[name].tobytes() == b[name].tobytes(), name
    assert without_seconds(rows(run)) == without_seconds(rows(whole))
    assert checkpoints.steps(run / checkpoints.BEST) == checkpoints.steps(whole / checkpoints.BEST)
    with np.load(run / "scores.npz") as c, np.load(whole / "scores.npz") as d:
        assert c.files == d.files
        for name in c.files:
            np.testing.assert_array_equal(c[name], d[name])
    first, second = (read_json(r / "result.json") for r in (whole, run))
    for timed in (first, second):
        del timed["epoch_seconds"], timed["date"], timed["sha256_of_the_rest"]
    assert first == second


class AtStep:
    """Does something when the student's n-th chunk of steps has been logged."""

    def __init__(self, monkeypatch, n, action):
        self.left, self.action, self.line = n, action, loop._step_line
        monkeypatch.setattr(loop, "_step_line", self)

    def __call__(self, *args, **named):
        self.left -= 1
        if self.left == 0:
            self.action()
        return self.line(*args, **named)


def send(signum):
    return lambda: os.kill(os.getpid(), signum)


def crash():
    raise MemoryError("as if the machine had been switched off")
