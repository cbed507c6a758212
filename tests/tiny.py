"""A student of width 4 and its teacher, trained once for all tests that need a run directory.

Compiling is nearly all the cost, so trainings of equal networks share their programs as well.
"""

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from drawn import fresh
from matplotlib.figure import Figure

from configs import student, teacher
from kdjax import datasets
from kdjax.beats import scale
from kdjax.datasets.storage import CLASSES, BeatSet
from kdjax.pages import plots
from kdjax.runs import config as configs
from kdjax.runs import evaluation, provenance
from kdjax.scores import metrics
from kdjax.study import cells
from kdjax.training import assemble, epochs, loop, parallel

EPOCHS, TEACHER_EPOCHS = 3, 2
BATCH = 24
STEPS = 7  # of an epoch: 250 normal beats near a peak, 50 test, 20 held out, 180 train
CHUNK = 3  # so that an epoch is chunks of 3, 3 and 1 steps
COMPILED = "/jax/core/compile/backend_compile_duration"


@functools.cache
def beat_set(version: str = "1.0.0") -> BeatSet:
    """Pulses of 320 samples under the name 'synthetic': wide, low or late ones are abnormal."""
    rng = np.random.default_rng(7)
    count = {"N": 256, "S": 20, "V": 20, "F": 10, "Q": 0}
    shape = {"N": (12, 1, 140), "S": (12, 1, 170), "V": (40, -1, 140), "F": (25, 1, 150)}
    label = np.repeat(np.arange(5), list(count.values())).astype(np.int8)
    width, height, centre = np.array([shape[CLASSES[k]] for k in label]).T[:, :, None]
    time = np.arange(320) + rng.normal(0, 3, (len(label), 1))
    pulse = height * np.exp(-0.5 * np.square((time - centre) / width))
    x = scale((pulse + rng.normal(0, 0.05, pulse.shape)).astype(np.float32)[:, :, None])
    seconds = np.full(len(label), 0.8, np.float32)
    return BeatSet(
        name="synthetic",
        version=version,
        fs=360.0,
        x=x,
        label=label,
        symbol=np.array(list("NAVF/"))[label],
        record=np.array(["p1", "p2", "p3", "p4"])[np.arange(len(label)) % 4].astype("<U16"),
        sample=np.arange(len(label), dtype=np.int64) * 300,
        rr_before=seconds,
        rr_after=seconds,
        rr_median=seconds,
        near_peak=np.arange(len(label)) >= 6,
        fingerprint=hashlib.sha256(version.encode() + x.tobytes()).hexdigest(),
    )


def config(**changes: Any) -> Any:
    """configs/student.py, shrunk, with terms of scores, reconstructions, attention and latents.

    Its latent is projected, so that checkpoints hold a projection. Changes name fields with two
    underscores for a dot: `data__fold=1`.
    """
    return _changed(
        student.get_config(),
        {
            "epochs": EPOCHS,
            "batch_size": BATCH,
            "learning_rate": 1e-3,
            "model.width": 4,
            "model.latent_dim": 5,
            "teacher.epochs": TEACHER_EPOCHS,
            "teacher.model.width": 4,
            "teacher.model.latent_dim": 6,
            "kd.reconstruction": 0.5,
            "kd.feature": 0.5,
            "kd.latent": 0.5,
        }
        | changes,
    )


def teacher_config(**changes: Any) -> Any:
    """configs/teacher.py, shrunk to the teacher that `config()` asks for."""
    small = {"batch_size": BATCH, "learning_rate": 1e-3, "model.width": 4, "model.latent_dim": 6}
    return _changed(teacher.get_config(), {"epochs": TEACHER_EPOCHS} | small | changes)


def _changed(config: Any, changes: dict[str, Any]) -> Any:
    with config.unlocked():
        config.update_from_flattened_dict(
            {name.replace("__", "."): value for name, value in changes.items()}
        )
    return config


@functools.cache
def _trainer(key: str, shape: tuple[int, int]) -> loop.Trainer:
    return _make_trainer(*_makings.pop(key))


_make_trainer = assemble.make_trainer
_makings: dict[str, tuple] = {}


def _shared_trainer(
    config: Any, shape: tuple[int, int], axis_name: str | None = None
) -> loop.Trainer:
    plain = config.to_dict()
    names = ["model", "loss", "learning_rate", "grad_clip", "precision", "average_decay"]
    names += ["kd"] if configs.distils(config) else []
    what = {name: plain[name] for name in names} | {"augment": plain["data"]["augment"]}
    key = json.dumps([what, axis_name], sort_keys=True)
    _makings[key] = (config, shape, axis_name)
    return _trainer(key, shape)


# Trainers compare by what they hold, and `_trainer` makes equal ones one object.
_shared_steps = functools.cache(parallel.compile_steps)
_shared_norms = functools.cache(parallel.compile_gradient_norms)


def _share_seeds(make: Callable) -> Callable:
    """`make`, which looks at the teacher's structure alone, called once for each."""
    made: dict[Any, Callable] = {}

    def shared(trainer: loop.Trainer, teacher: Any) -> Callable:
        key = trainer, jax.tree.structure(teacher)
        if key not in made:
            made[key] = make(trainer, teacher)
        return made[key]

    return shared


_shared_seeds = _share_seeds(parallel.compile_seeds)
_shared_seed_norms = _share_seeds(parallel.compile_seed_norms)


def _drawn_state(trainer: loop.Trainer, key: Any, mean: Any, teacher: Any = None) -> Any:
    """Another for each key, as `init_state` makes."""
    return fresh(trainer, mean, teacher, seed=int(jax.random.key_data(key)[-1]))


# The code may be edited while the tests run.
_made_by = functools.cache(provenance.made_by)


def _replace(patch: pytest.MonkeyPatch, original: Any, replacement: Any) -> None:
    """Wherever the package has it, also in modules that imported it by name."""
    for module in [m for name, m in sys.modules.items() if name.startswith("kdjax.")]:
        if vars(module).get(original.__name__) is original:
            patch.setattr(module, original.__name__, replacement)


@contextlib.contextmanager
def small_world() -> Iterator[pytest.MonkeyPatch]:
    """One device, short chunks, the pulses as data, programs compiled once, no figures.

    Networks are drawn by NumPy, intervals are of few draws.
    """
    device = jax.local_devices()[:1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "local_devices", lambda: device)
        patch.setattr(datasets, "load", lambda name, data_dir=None: beat_set())
        patch.setattr(evaluation, "draw", lambda *_, **__: {})
        patch.setattr(provenance, "made_by", _made_by)
        patch.setattr(metrics, "bootstrap_ci", functools.partial(metrics.bootstrap_ci, samples=40))
        patch.setattr(epochs, "CHUNK", CHUNK)
        for module in (loop, cells):
            patch.setattr(module, "init_state", _drawn_state)
        for original, shared in (
            (_make_trainer, _shared_trainer),
            (parallel.compile_steps, lambda t, d: _shared_steps(t, tuple(d))),
            (parallel.compile_gradient_norms, lambda t, d: _shared_norms(t, tuple(d))),
            (parallel.compile_seeds, _shared_seeds),
            (parallel.compile_seed_norms, _shared_seed_norms),
        ):
            _replace(patch, original, shared)
        yield patch


@dataclasses.dataclass(frozen=True)
class Trained:
    """A finished run: its directory, `train`'s answer, the console's text, and how many programs
    had been compiled at the end of each of its epochs, the teacher's first."""

    path: Path
    result: dict
    console: str
    compiled: list[int]


@functools.cache
def trained() -> Trained:
    """The student and its teacher, trained in one call of `train`. Copy it before changing it.

    The processes of the tests share it: the first that asks trains it, the others wait.
    """
    note = _SHARED / "trained.json"
    with open(_SHARED / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not note.exists():
            note.write_text(json.dumps(_train(_SHARED / "student")))
    return Trained(_SHARED / "student", **json.loads(note.read_text()))


def _train(path: Path) -> dict[str, Any]:
    compiled, counts = [], []

    def listen(event: str, seconds: float, **_: Any) -> None:
        if event == COMPILED:
            compiled.append(seconds)

    finish, draw = loop._finish_epoch, evaluation.draw

    def finish_and_count(*args: Any, **named: Any) -> None:
        finish(*args, **named)
        counts.append(len(compiled))

    def draw_student(*args: Any, rows: list[dict], **rest: Any) -> dict[str, bytes]:
        """Whole figures, but a small picture in place of each: test_plots.py looks at them."""
        return draw(*args, rows=rows, **rest) if "kd_response" in rows[0] else {}

    jax.monitoring.register_event_duration_secs_listener(listen)
    # Whatever another file has compiled before: its programs are counted here.
    for shared in (_shared_steps, _shared_norms):
        shared.cache_clear()
    console = io.StringIO()
    with small_world() as patch, contextlib.redirect_stdout(console):
        patch.setattr(loop, "_finish_epoch", finish_and_count)
        patch.setattr(evaluation, "draw", draw_student)
        patch.setattr(plots, "png", lambda _, png=plots.png: png(Figure(figsize=(1, 1))))
        result = loop.train(config(), path)
    return {"result": result, "console": console.getvalue(), "compiled": counts}


_SHARED = Path(os.environ["KDJAX_TESTS_SHARED"])
