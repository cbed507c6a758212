"""How the seeds of a variant begin, and what is saved of each; nothing is trained here."""

from dataclasses import asdict

import numpy as np
import pytest
import tiny
from ml_collections import ConfigDict

from kdjax.datasets import protocols
from kdjax.models.distillation import Distillation
from kdjax.runs import checkpoints
from kdjax.study import cells, grid
from kdjax.training import assemble
from kdjax.training.progress import Progress
from kdjax.training.step import TrainState

SEEDS = (3, 5)


class EnoughError(Exception):
    """Training would begin here."""


@pytest.fixture
def group(tmp_path):
    base = tiny.config()
    base.kd = ConfigDict(asdict(Distillation()))
    study = ConfigDict(
        {
            "base": base,
            "seeds": SEEDS,
            "splits": (("beatgan", 0, 1),),
            "variants": [{"name": "alone"}],
            "scores": (),
            "scored_fully": (),
        }
    )
    (variant,) = grid.variants(study)
    return grid.Group(study, tmp_path, variant, ("beatgan", 0, 1))


def test_every_seed_begins_with_its_own_weights_and_draws_its_own_numbers(group, monkeypatch):
    """Otherwise figures over seeds would vary less than those of single runs."""
    beats = tiny.beat_set()
    parts = protocols.split(beats, "beatgan", 0, split_seed=0)
    begun = []

    def init_state(trainer, key, mean, *, teacher):
        begun.append(key)
        return {}

    def of_seeds(trainer, teacher, x, *, keys):
        raise EnoughError(keys)

    monkeypatch.setattr(cells, "data_of", lambda cell: (beats, parts, None))
    monkeypatch.setattr(cells, "init_state", init_state)
    monkeypatch.setattr(cells.epochs, "of_seeds", of_seeds)
    with pytest.raises(EnoughError) as stopped:
        cells.train_group(group, SEEDS, lambda line: None)
    alone = [assemble.run_key(group.config(seed)) for seed in SEEDS]
    assert begun == alone
    assert stopped.value.args[0] == alone
    assert alone[0] != alone[1]


def test_of_every_seed_its_own_average_is_saved(group, monkeypatch):
    saved = {}

    def save(folder, step, model, **rest):
        saved[folder.parents[1]] = step, model["generator"]["w"], model["discriminator"]["w"]

    monkeypatch.setattr(checkpoints, "save_checkpoint", save)
    nothing: dict = {}
    state = TrainState(
        step=np.array([7, 8]),
        generator={"w": np.array([0.0, 1.0])},
        discriminator={"w": np.array([20.0, 21.0])},
        projection=nothing,
        generator_opt=nothing,
        discriminator_opt=nothing,
        projection_opt=nothing,
        average={"w": np.array([10.0, 11.0])},
    )
    every = [Progress(channels=1, fingerprints={}, teacher=None, made_by={}) for _ in SEEDS]
    cells._save_cells(group, SEEDS, state, every=every)
    assert saved == {group.cell(3): (7, 10, 20), group.cell(5): (8, 11, 21)}
