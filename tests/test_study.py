"""A study: who may teach whom, what a cell is, and that nothing is made twice."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from ml_collections import ConfigDict

from kdjax import cli, config, evaluation, parallel, runs, study, training
from kdjax.distillation import Distillation
from kdjax.errors import InputError
from kdjax.train_step import gradient_norms

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
    with pytest.raises(InputError, match=r"absent\.py: no such file; name a study"):
        study.read_config(str(folder / "absent.py"))
    (folder / "none.py").write_text("seeds = 1")
    with pytest.raises(InputError, match="no study config"):
        study.read_config(str(folder / "none.py"))
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

    def test_a_group_that_was_stopped_goes_on_and_ends_like_one_that_was_not(
        self, made, tmp_path, monkeypatch
    ):
        """To the last bit: networks and the figures of every epoch but its seconds."""
        folder, *_ = made
        monkeypatch.setattr(study, "SAVE_EVERY", 0)
        variant = next(v for v in study.variants(grid()) if v.name == "taught")

        def group(name: str) -> study.Group:
            there = tmp_path / name
            shutil.copytree(folder / "beatgan-0" / "teacher", there / "beatgan-0" / "teacher")
            return study.Group(grid(), there, variant, ("beatgan", 0, 3))

        def stop(line: str) -> None:
            if "epoch 3/3" in line:
                raise KeyboardInterrupt

        whole, stopped = group("whole"), group("stopped")
        study.train_group(whole, (0, 1), lambda line: None)
        with pytest.raises(KeyboardInterrupt):
            study.train_group(stopped, (0, 1), stop)
        assert runs.steps(stopped.folder / study.TOGETHER) == [2, 1]
        assert stopped.missing() == [0, 1]
        lines: list[str] = []
        study.train_group(stopped, (0, 1), lines.append)
        assert [line for line in lines if "goes on from epoch 2" in line]
        for seed in (0, 1):
            a, b = (runs.load_model(g.cell(seed)) for g in (whole, stopped))
            assert a.fingerprint == b.fingerprint
            rows = [
                [{k: v for k, v in row.items() if k != "seconds"} for row in m.progress["rows"]]
                for m in (a, b)
            ]
            assert rows[0] == rows[1]
            assert len(rows[0]) == 3

    def test_a_group_whose_cells_could_not_all_be_written_trains_none_again(
        self, made, tmp_path, monkeypatch
    ):
        """The disk was full after the first cell, and the folder has been moved since."""
        folder, *_ = made
        monkeypatch.setattr(study, "SAVE_EVERY", 0)
        variant = next(v for v in study.variants(grid()) if v.name == "taught")
        shutil.copytree(folder / "beatgan-0" / "teacher", tmp_path / "a/beatgan-0/teacher")
        group = study.Group(grid(), tmp_path / "a", variant, ("beatgan", 0, 2))
        save = runs.save_checkpoint

        def full(where: Path, *args: Any, **rest: Any) -> None:
            if where.parts[-3:-2] == ("seed1",):
                raise OSError(28, "No space left on device", str(where))
            save(where, *args, **rest)

        with monkeypatch.context() as patch:
            patch.setattr(runs, "save_checkpoint", full)
            with pytest.raises(OSError, match="No space"):
                study.train_group(group, (0, 1), lambda line: None)
        (tmp_path / "a").rename(tmp_path / "b")
        moved = dataclasses.replace(group, workdir=tmp_path / "b")
        assert moved.missing() == [1]
        lines: list[str] = []
        assert study._make(moved, lines.append)
        assert not [line for line in lines if ": epoch" in line]
        assert moved.missing() == []
        assert not (moved.folder / study.TOGETHER).exists()
        networks = [runs.load_model(moved.cell(seed)).fingerprint for seed in (0, 1)]
        assert networks[0] != networks[1]

    def test_a_group_of_other_seeds_or_code_begins_anew(self, made, tmp_path, monkeypatch):
        monkeypatch.setattr(study, "SAVE_EVERY", 0)
        variant = study.variants(grid())[1]
        group = study.Group(grid(), tmp_path, variant, ("beatgan", 0, 1))
        study.train_group(group, (0, 1), lambda line: None)
        lines: list[str] = []
        study.train_group(group, (2,), lines.append)
        assert "begun anew" in lines[0]
        made_by = runs.made_by() | {"code": "of another day"}
        monkeypatch.setattr(runs, "made_by", lambda: made_by)
        study.train_group(group, (2,), lines.append)
        assert len([line for line in lines if "begun anew" in line]) == 2

    def test_weights_that_are_not_finite_are_never_saved(self, made, tmp_path, monkeypatch):
        """One seed's last update of the epoch: its losses were finite still."""
        monkeypatch.setattr(study, "SAVE_EVERY", 0)
        group = study.Group(grid(), tmp_path, study.variants(grid())[1], ("beatgan", 0, 1))
        compiled = parallel.compile_seeds

        def spoilt(*args: Any) -> Any:
            steps = compiled(*args)

            def run(*given: Any) -> Any:
                state, means = steps(*given)
                head = state.generator["params"]["encoder"]["head"]
                state.generator["params"]["encoder"]["head"] = head.at[1].set(np.nan)
                return state, means

            return run

        monkeypatch.setattr(parallel, "compile_seeds", spoilt)
        with pytest.raises(InputError, match=r"is not finite in epoch 1; lower learning_rate"):
            study.train_group(group, (0, 1), lambda line: None)
        assert not list(group.folder.rglob("*"))

    def test_gradient_norms_are_those_of_one_seed_by_itself(self, made):
        """Every term's, in the first batch of the epoch, as `train.py` logs them."""
        folder, *_ = made
        run = folder / "beatgan-0" / "taught" / "seed1"
        model = runs.load_model(run)
        row = model.progress["rows"][-1]
        assert {"grad_norm/reconstruction", "grad_norm/kd_log_ratio"} <= row.keys()
        cell = ConfigDict(runs.read_config(run))
        beats, parts = evaluation.load_data(cell)
        x = beats.x[parts.train]
        teacher = runs.load_model(Path(cell.teacher.workdir))
        trainer = training.make_trainer(cell, x.shape[2], teacher)
        state = training.init_state(trainer, training.run_key(cell), x.mean(axis=(0, 1)))
        state = state.replace(**model.variables)
        batch = training.batch_order(cell, len(x), 1)[0]
        lesson = training.make_lesson(cell, x, teacher).at(batch)
        norms = gradient_norms(trainer, state, teacher.variables, x[batch], lesson)
        for name, norm in norms.items():
            assert row[f"grad_norm/{name}"] == pytest.approx(float(norm), rel=1e-4), name

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
