"""A study: who may teach whom, what a cell is, and that nothing is made twice."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from ml_collections import ConfigDict

from kdjax import cli, config, evaluation, runs, study, training
from kdjax.distillation import Distillation
from kdjax.errors import InputError

LOG_RATIO = {"kd": {"log_ratio": 1.0}}
VARIANTS: list[dict[str, Any]] = [
    {"name": "teacher", "role": "teacher", "fields": {"model": {"latent_dim": 8}}},
    {"name": "alone"},
    {"name": "taught", "teacher": "teacher", "fields": LOG_RATIO},
    {"name": "memory", "teacher": study.SCORER, "fields": LOG_RATIO},
]


def grid(variants: list[dict[str, Any]] = VARIANTS, **fields: Any) -> ConfigDict:
    base = tiny.config()
    base.kd = ConfigDict(dataclasses.asdict(Distillation()))
    return ConfigDict(
        {
            "base": base,
            "seeds": (0, 1),
            "splits": (("beatgan", 0, 1),),
            "variants": variants,
            "scores": ("mahalanobis",),
            "scored_fully": ("taught",),
        }
        | fields
    )


def of(name: str, seed: int = 0, part: ConfigDict | None = None) -> Any:
    part = grid() if part is None else part
    variant = next(v for v in study.variants(part) if v.name == name)
    return study.cell_config(part, variant, ("beatgan", 1, 7), seed, Path("there"))


def test_a_cell_is_the_base_with_its_variants_fields():
    taught = of("taught", seed=3)
    assert (taught.seed, taught.data.fold, taught.epochs) == (3, 1, 7)
    assert taught.kd.log_ratio == 1.0
    assert taught.teacher.workdir == "there"
    assert of("memory").teacher.scorer == study.SCORER
    assert of("memory").teacher.workdir is None


def test_a_teacher_has_the_bases_size_but_for_its_fields():
    teacher = of("teacher")
    assert not config.is_student(teacher)
    assert (teacher.model.width, teacher.model.latent_dim) == (4, 8)
    assert teacher.epochs == 7


def test_students_of_a_seed_share_initialisation_and_batches_and_no_teacher_does():
    teacher, alone, taught = of("teacher"), of("alone"), of("taught")
    assert training.run_key(alone) == training.run_key(taught)
    assert training.run_key(alone) != training.run_key(teacher)
    np.testing.assert_array_equal(
        training.batch_order(alone, 100, 1), training.batch_order(taught, 100, 1)
    )
    assert (training.batch_order(alone, 100, 1) != training.batch_order(teacher, 100, 1)).any()
    assert training.run_key(alone) != training.run_key(of("alone", seed=1))


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([{"name": "a"}, {"name": "a"}], "a stands there twice"),
        ([{"name": "a", "teacher": "b", "fields": LOG_RATIO}], "a learns from b"),
        ([{"name": "a", "teacher": "a", "fields": LOG_RATIO}], "a learns from a"),
        ([{"name": "a", "role": "pupil"}], "'pupil'"),
        ([{"name": "a", "teachers": "b"}], "teachers"),
        ([{"role": "teacher"}], "without a name"),
    ],
)
def test_a_grid_that_is_none_is_refused(variants, message):
    with pytest.raises(InputError, match=message):
        study.variants(grid(variants))


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"name": "a", "teacher": study.SCORER}, "a has a teacher but no kd weight"),
        ({"name": "a", "fields": LOG_RATIO}, "a has kd weights but no teacher"),
        (
            {"name": "a", "teacher": study.SCORER, "fields": {"kd": {"latent": 1.0}}},
            "kd.latent",
        ),
        ({"name": "a", "fields": {"kd": {"temperature": 0.5}}}, "kd.temperature"),
    ],
)
def test_a_variant_that_cannot_be_trained_is_refused(variant, message):
    with pytest.raises(InputError, match=message):
        of("a", part=grid([variant]))


def test_the_shipped_study_is_sound():
    """Every variant of every part is a config that train.py takes, and teaches no test beat."""
    from configs import study as shipped

    for part in shipped.PARTS:
        grid = shipped.get_config(part)
        names = [variant.name for variant in study.variants(grid)]
        assert "alone" in names
        assert set(grid.scored_fully) <= set(names)
        for variant in study.variants(grid):
            for split in grid.splits:
                study.cell_config(grid, variant, tuple(split), 0, Path("there"))
        study.check(grid)
    with pytest.raises(ValueError, match="nowhere"):
        shipped.get_config("nowhere")


def test_config_file(tmp_path):
    """The file may import its neighbours, and what is wrong with it is said in one line."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "helper.py").write_text("SEEDS = (7,)")
    good = folder / "grid.py"
    good.write_text(
        "from own import helper\n"
        "def get_config(part='x'):\n"
        "    return dict(base=part, seeds=helper.SEEDS, splits=(), variants=(), scores=(), "
        "scored_fully=())\n"
    )
    assert study.read_config(str(good))["seeds"] == (7,)
    assert study.read_config(f"{good}:part")["base"] == "part"
    with pytest.raises(InputError, match="no study config"):
        study.read_config(str(folder / "absent.py"))
    good.write_text("def get_config():\n    return dict(base=1)\n")
    with pytest.raises(InputError, match=r"study\.seeds: missing"):
        study.check(study.read_config(str(good)))


def test_command_line_says_what_is_wrong(tmp_path, capsys):
    assert cli.main(["study", str(tmp_path / "absent.py")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of four variants, two seeds, made once."""
    folder = tmp_path_factory.mktemp("study")
    study._data.cache_clear()
    with tiny.small_world():
        lines: list[str] = []
        study.run_study(grid(), folder, lines.append)
        yield folder, study.gather(grid(), folder), lines
    study._data.cache_clear()


@pytest.mark.slow
class TestMade:
    def test_every_cell_is_a_run_with_its_figures(self, made):
        folder, result, lines = made
        for variant in ("teacher", "alone", "taught", "memory"):
            for seed in (0, 1):
                run = folder / "beatgan-0" / variant / f"seed{seed}"
                model = runs.load_model(run)
                cell = runs.read_json(run / study.CELL)
                assert cell["fingerprints"]["model"] == model.fingerprint
                assert cell["scores"][0]["score"] == "mse"
                assert cell["macs"] > 0
            assert any(variant in line and "AUC" in line for line in lines)
        taught = result["splits"][0]["variants"]["taught"]
        assert len(taught["scores"]) > len(result["splits"][0]["variants"]["alone"]["scores"])
        assert -1 <= taught["agreement"]["mean"] <= 1
        assert json.loads(json.dumps(result, allow_nan=False)) == result

    def test_a_seed_learns_from_the_teacher_of_its_seed(self, made):
        folder, *_ = made
        for seed in (0, 1):
            teacher = runs.load_model(folder / "beatgan-0" / "teacher" / f"seed{seed}")
            cell = runs.read_json(folder / "beatgan-0" / "taught" / f"seed{seed}" / study.CELL)
            assert cell["fingerprints"]["teacher"] == teacher.fingerprint

    def test_a_cell_s_plain_score_is_that_of_the_run(self, made):
        """`kdjax evaluate` of a cell gives the figures that the study gave."""
        folder, *_ = made
        run = folder / "beatgan-0" / "taught" / "seed1"
        beats, parts = evaluation.load_data(runs.read_config(run))
        result = evaluation.evaluate_run(run, beats, parts)
        plain = runs.read_json(run / study.CELL)["scores"][0]
        assert result["auc"] == pytest.approx(plain["auc"], abs=1e-6)
        assert result["ap"] == pytest.approx(plain["ap"], abs=1e-6)

    def test_what_is_there_is_not_made_again(self, made, monkeypatch):
        folder, result, _ = made
        monkeypatch.setattr(study, "train_group", None)
        monkeypatch.setattr(study, "score_cell", None)
        study.run_study(grid(), folder, lambda line: None)
        assert study.gather(grid(), folder) == result

    def test_what_is_missing_is_named_and_the_rest_is_said(self, made):
        folder, result, _ = made
        more = grid([*VARIANTS, {"name": "autoencoder"}])
        partial = study.gather(more, folder)
        assert partial["missing"] == ["beatgan-0/autoencoder"]
        assert partial["splits"] == result["splits"]
        assert result["missing"] == []

    def test_only_a_missing_seed_is_made(self, made, monkeypatch):
        folder, *_ = made
        asked = []
        monkeypatch.setattr(study, "train_group", lambda g, seeds, say: asked.extend(seeds))
        group = study.Group(
            grid(seeds=(0, 1, 2)), folder, study.variants(grid())[1], ("beatgan", 0, 1)
        )
        monkeypatch.setattr(study, "score_cell", lambda *_: None)
        monkeypatch.setattr(study, "_progress_line", lambda *_: "")
        study._make(group, lambda line: None)
        assert asked == [2]

    def test_a_group_that_another_process_makes_is_left_alone(self, made):
        folder, *_ = made
        group = study.Group(grid(), folder, study.variants(grid())[1], ("beatgan", 0, 1))
        with training.locked(group.folder):
            assert not study._make(group, lambda line: None)
        assert study._make(group, lambda line: None)

    def test_a_cell_of_another_config_is_refused(self, made):
        folder, *_ = made
        other = grid()
        other.base.learning_rate = 0.5
        with pytest.raises(InputError, match=r"learning_rate: 0.001 there, 0.5 now"):
            study.run_study(other, folder, lambda line: None)
