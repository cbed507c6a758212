"""A study: who may teach whom, what a cell is, and that nothing is made twice."""

import dataclasses
import json
import re
import shutil
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
from ml_collections import ConfigDict

from kdjax import cli
from kdjax.datasets import protocols
from kdjax.errors import InputError
from kdjax.files import read_json, write_sealed
from kdjax.models.distillation import Distillation
from kdjax.runs import checkpoints, claim, config, directory, evaluation, provenance
from kdjax.study import cells, grid, scores
from kdjax.training import assemble, loop, parallel
from kdjax.training.step import gradient_norms

LOG_RATIO = {"kd": {"log_ratio": 1.0}}
VARIANTS: list[dict[str, Any]] = [
    {"name": "teacher", "role": "teacher", "fields": {"model": {"latent_dim": 8}}},
    {"name": "alone"},
    {"name": "taught", "teacher": "teacher", "fields": LOG_RATIO},
    {"name": "memory", "teacher": grid.SCORER, "fields": LOG_RATIO},
]


def make_grid(variants: list[dict[str, Any]] = VARIANTS, **fields: Any) -> ConfigDict:
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
    part = make_grid() if part is None else part
    variant = next(v for v in grid.variants(part) if v.name == name)
    return grid.cell_config(part, variant, ("beatgan", 1, 7), seed=seed, teacher=Path("there"))


def test_a_cell_is_the_base_with_its_variants_fields():
    taught = of("taught", seed=3)
    assert (taught.seed, taught.data.fold, taught.epochs) == (3, 1, 7)
    assert taught.kd.log_ratio == 1.0
    assert taught.teacher.workdir == "there"
    assert of("memory").teacher.scorer == grid.SCORER
    assert of("memory").teacher.workdir is None


def test_a_teacher_has_the_bases_size_but_for_its_fields():
    teacher = of("teacher")
    assert not config.is_student(teacher)
    assert (teacher.model.width, teacher.model.latent_dim) == (4, 8)
    assert teacher.epochs == 7


def test_students_of_a_seed_share_initialisation_and_batches_and_no_teacher_does():
    teacher, alone, taught = of("teacher"), of("alone"), of("taught")
    assert assemble.run_key(alone) == assemble.run_key(taught)
    assert assemble.run_key(alone) != assemble.run_key(teacher)
    np.testing.assert_array_equal(
        assemble.batch_order(alone, 100, 1), assemble.batch_order(taught, 100, 1)
    )
    assert (assemble.batch_order(alone, 100, 1) != assemble.batch_order(teacher, 100, 1)).any()
    assert assemble.run_key(alone) != assemble.run_key(of("alone", seed=1))


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ([{"name": "a"}, {"name": "a"}], "a is listed twice"),
        ([{"name": "a", "teacher": "b", "fields": LOG_RATIO}], "a learns from b"),
        ([{"name": "a", "teacher": "a", "fields": LOG_RATIO}], "a learns from a"),
        ([{"name": "a", "role": "pupil"}], "'pupil'"),
        ([{"name": "a", "teachers": "b"}], "teachers"),
        ([{"role": "teacher"}], "without a name"),
    ],
)
def test_a_grid_that_is_none_is_refused(variants, message):
    with pytest.raises(InputError, match=message):
        grid.variants(make_grid(variants))


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ({"name": "a", "teacher": grid.SCORER}, "a has a teacher but no kd weight"),
        ({"name": "a", "fields": LOG_RATIO}, "a has kd weights but no teacher"),
        (
            {"name": "a", "teacher": grid.SCORER, "fields": {"kd": {"latent": 1.0}}},
            "kd.latent",
        ),
        ({"name": "a", "fields": {"kd": {"temperature": 0.5}}}, "kd.temperature"),
        ({"name": "a", "fields": {"data": 3}}, "fields of a: .*; give parts of a config"),
        ({"name": "a", "fields": "w"}, "fields of a: 'w'; give parts of a config"),
        ({"name": "a", "fields": {"epochs": 50}}, "fields of a: epochs is the study's own"),
        (
            {"name": "a", "fields": {"data": {"split_seed": 5}}},
            "data.split_seed is the study",
        ),
        ({"name": "a", "fields": {"teacher": {"workdir": "x"}}}, "teacher.workdir is the study's"),
    ],
)
def test_a_variant_that_cannot_be_trained_is_refused(variant, message):
    with pytest.raises(InputError, match=message):
        of("a", part=make_grid([variant]))


def test_the_shipped_study_is_sound():
    """Every variant of every part is a config that train.py takes, and teaches no test beat."""
    from configs import study as shipped

    for name in shipped.PARTS:
        part = shipped.get_config(name)
        names = [variant.name for variant in grid.variants(part)]
        assert [name for name in names if re.fullmatch(r"alone(-\d+)?", name)]
        assert set(part.scored_fully) <= set(names)
        for variant in grid.variants(part):
            for split in part.splits:
                grid.cell_config(part, variant, tuple(split), seed=0, teacher=Path("there"))
        grid.check(part)
    with pytest.raises(ValueError, match="nowhere"):
        shipped.get_config("nowhere")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seeds": 3}, r"study\.seeds: 3; give a tuple, as \(3,\)"),
        ({"splits": 5}, r"study\.splits: 5; give a tuple"),
        ({"splits": (("beatgan", "one", 2),)}, r"study\.splits: .*one.*; each is \(protocol, fold"),
        ({"splits": ("beatgan",)}, r"study\.splits: 'beatgan'; each is"),
        ({"variants": "alone"}, r"study\.variants: 'alone'; give a tuple"),
        ({"variants": ("alone",)}, r"study\.variants: 'alone'; each is a dict with a name"),
        ({"scored_fully": "taught"}, r"study\.scored_fully: 'taught'; give a tuple"),
        ({"splits": ()}, r"study\.splits: is empty"),
        ({"variants": ()}, r"study\.variants: is empty"),
        ({"seeds": (True, False)}, r"study\.seeds: .*; two different whole numbers from 0"),
        ({"seeds": (0, -1)}, r"study\.seeds: .*; two different whole numbers from 0"),
        ({"splits": (("beatgan", 0, 1), ("beatgan", 0, 2))}, r"beatgan-0 is listed twice"),
        ({"base": ConfigDict({"epochs": 1})}, r"study\.base: is not a student's config"),
    ],
)
def test_a_field_of_another_type_is_refused_in_a_line(fields, message):
    with pytest.raises(InputError, match=message):
        grid.check(make_grid(**fields))


@pytest.mark.parametrize(
    "variants",
    [
        [{"name": "plain"}, {"name": "taught", "teacher": grid.SCORER, "fields": LOG_RATIO}],
        [{"name": "alone"}, {"name": "narrow", "fields": {"model": {"width": 2}}}],
        [{"name": "alone"}, {"name": "narrow-alone", "fields": {"model": {"width": 2}}}],
        [{"name": "alone", "teacher": grid.SCORER, "fields": LOG_RATIO}],
        [{"name": "alone", "role": "teacher"}, {"name": "other"}],
    ],
)
def test_a_student_without_one_of_its_size_that_learns_alone_is_refused(variants):
    named = r"has nothing to be compared with; .*, named alone or alone-\d+$"
    with pytest.raises(InputError, match=named):
        grid.check(make_grid(variants, scored_fully=()))
    sized = {"name": "alone-2", "fields": {"model": {"width": 2}}}
    grid.check(make_grid([{"name": "alone"}, sized], scored_fully=()))


def test_a_cell_whose_teacher_is_no_longer_there_is_refused(tmp_path):
    study = make_grid(seeds=(0, 1), scored_fully=())
    _, _, taught, _ = grid.variants(study)
    group = grid.Group(study, tmp_path, taught, ("beatgan", 0, 1))
    rows = [{"score": kind, "adaptation": how} for kind, how in grid.cell_scores(study, False)]
    every = {"teacher": {"model": "t"}, "taught": {"model": "s", "teacher": "t"}}
    for seed in study.seeds:
        for name, prints in every.items():
            path = group.of(name) / f"seed{seed}" / grid.CELL
            path.parent.mkdir(parents=True)
            write_sealed(path, {"scores": rows, "teacher": None, "fingerprints": prints})
    assert len(grid.cells_of(group)) == 2
    other = {"scores": rows, "teacher": None, "fingerprints": {"model": "another"}}
    write_sealed(group.of("teacher") / "seed1" / grid.CELL, other)
    with pytest.raises(InputError, match=r"taught/seed1: did not learn from .*teacher/seed1"):
        grid.cells_of(group)


def test_a_study_that_lacks_a_field_is_refused():
    with pytest.raises(InputError, match=r"study\.seeds: missing"):
        grid.check(ConfigDict({"base": 1}))


@pytest.mark.parametrize(
    ("part", "message"),
    [("validation", "for validation"), ("test", "for test"), ("train", "trains on 5 beats")],
)
def test_a_split_with_too_few_beats_is_refused_before_anything_is_trained(
    monkeypatch, tmp_path, part, message
):
    beats = tiny.beat_set()
    parts = protocols.split(beats, "beatgan", 0, split_seed=0)
    normal = getattr(parts, part)[beats.label[getattr(parts, part)] == 0]
    fewer = dataclasses.replace(parts, **{part: normal[:5]})
    monkeypatch.setattr(evaluation, "load_data", lambda config: (beats, fewer))
    scores.load_data.cache_clear()
    with pytest.raises(InputError, match=message):
        cells.run_study(make_grid(), tmp_path, lambda line: None)
    scores.load_data.cache_clear()
    assert not any(tmp_path.iterdir())


def test_command_line_says_what_is_wrong(tmp_path, capsys):
    assert cli.main(["study", str(tmp_path / "absent.py")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


class TestOutlook:
    def groups(self, *left: int) -> list:
        study = types.SimpleNamespace(seeds=range(4))
        return [
            types.SimpleNamespace(
                study=study, split=("beatgan", 0, 3), missing=lambda n=n: [*range(n)], unscored=list
            )
            for n in left
        ]

    def test_counts_cells_and_says_how_long_the_others_take(self):
        before = cells._left(self.groups(4, 4, 2))
        assert before == (10, 30)
        line = cells._outlook(self.groups(0, 4, 2), before, 240)
        assert line == "6 of 12 cells are made; the others take about 6 min if they go as fast"
        assert "about 2.0 hours" in cells._outlook(self.groups(0, 4, 2), before, 4800)
        assert cells._outlook(self.groups(0, 0, 0), before, 9) == "12 of 12 cells are made"


def test_a_teacher_whose_figures_are_of_other_weights_is_refused(tmp_path):
    run = tmp_path / "teacher"
    shutil.copytree(tiny.trained().path / "teacher", run)
    figures = {"scores": [], "teacher": None, "fingerprints": {"model": "of others"}}
    write_sealed(run / grid.CELL, figures)
    with pytest.raises(InputError, match=r"cell\.json: not that of the checkpoint beside it"):
        cells._teacher(run, tiny.beat_set(), None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study of four variants, two seeds, made once."""
    folder = tmp_path_factory.mktemp("study")
    scores.load_data.cache_clear()
    with tiny.small_world():
        lines: list[str] = []
        cells.run_study(make_grid(), folder, lines.append)
        yield folder, grid.gather(make_grid(), folder), lines
    scores.load_data.cache_clear()


@pytest.mark.slow
class TestMade:
    def test_every_cell_is_a_run_with_its_figures(self, made):
        folder, result, lines = made
        for variant in ("teacher", "alone", "taught", "memory"):
            for seed in (0, 1):
                run = folder / "beatgan-0" / variant / f"seed{seed}"
                model = directory.load_model(run)
                cell = read_json(run / grid.CELL)
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
            teacher = directory.load_model(folder / "beatgan-0" / "teacher" / f"seed{seed}")
            cell = read_json(folder / "beatgan-0" / "taught" / f"seed{seed}" / grid.CELL)
            assert cell["fingerprints"]["teacher"] == teacher.fingerprint

    def test_a_cell_s_plain_score_is_that_of_the_run(self, made):
        """`kdjax evaluate` of a cell gives the figures that the study gave."""
        folder, *_ = made
        run = folder / "beatgan-0" / "taught" / "seed1"
        beats, parts = evaluation.load_data(directory.read_config(run))
        result = evaluation.evaluate_run(run, beats, parts)
        plain = read_json(run / grid.CELL)["scores"][0]
        assert result["auc"] == pytest.approx(plain["auc"], abs=1e-6)
        assert result["ap"] == pytest.approx(plain["ap"], abs=1e-6)

    def test_what_is_there_is_not_made_again(self, made, monkeypatch):
        folder, result, _ = made
        monkeypatch.setattr(cells, "train_group", None)
        monkeypatch.setattr(scores, "score_cell", None)
        cells.run_study(make_grid(), folder, lambda line: None)
        assert grid.gather(make_grid(), folder) == result

    def test_what_is_missing_is_named_and_the_rest_is_said(self, made):
        folder, result, _ = made
        more = make_grid([*VARIANTS, {"name": "autoencoder"}])
        partial = grid.gather(more, folder)
        assert partial["missing"] == ["beatgan-0/autoencoder"]
        assert partial["splits"] == result["splits"]
        assert result["missing"] == []

    def test_only_a_missing_seed_is_made(self, made, monkeypatch):
        folder, *_ = made
        asked = []
        monkeypatch.setattr(cells, "train_group", lambda g, seeds, say: asked.extend(seeds))
        group = grid.Group(
            make_grid(seeds=(0, 1, 2)), folder, grid.variants(make_grid())[1], ("beatgan", 0, 1)
        )
        monkeypatch.setattr(cells, "score_cell", lambda *_: None)
        monkeypatch.setattr(cells, "_progress_line", lambda *_: "")
        cells._make(group, lambda line: None)
        assert asked == [2]

    def test_a_group_that_was_stopped_goes_on_and_ends_like_one_that_was_not(
        self, made, tmp_path, monkeypatch
    ):
        """To the last bit: networks and the figures of every epoch but its seconds."""
        folder, *_ = made
        monkeypatch.setattr(cells, "SAVE_EVERY", 0)
        variant = next(v for v in grid.variants(make_grid()) if v.name == "taught")

        def group(name: str) -> grid.Group:
            there = tmp_path / name
            shutil.copytree(folder / "beatgan-0" / "teacher", there / "beatgan-0" / "teacher")
            return grid.Group(make_grid(), there, variant, ("beatgan", 0, 3))

        def stop(line: str) -> None:
            if "epoch 3/3" in line:
                raise KeyboardInterrupt

        whole, stopped = group("whole"), group("stopped")
        cells.train_group(whole, (0, 1), lambda line: None)
        with pytest.raises(KeyboardInterrupt):
            cells.train_group(stopped, (0, 1), stop)
        assert checkpoints.steps(stopped.folder / grid.TOGETHER) == [2, 1]
        assert stopped.missing() == [0, 1]
        lines: list[str] = []
        cells.train_group(stopped, (0, 1), lines.append)
        assert [line for line in lines if "continues from epoch 2" in line]
        for seed in (0, 1):
            a, b = (directory.load_model(g.cell(seed)) for g in (whole, stopped))
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
        monkeypatch.setattr(cells, "SAVE_EVERY", 0)
        variant = next(v for v in grid.variants(make_grid()) if v.name == "taught")
        shutil.copytree(folder / "beatgan-0" / "teacher", tmp_path / "a/beatgan-0/teacher")
        group = grid.Group(make_grid(), tmp_path / "a", variant, ("beatgan", 0, 2))
        save = checkpoints.save_checkpoint

        def full(where: Path, *args: Any, **rest: Any) -> None:
            if where.parts[-3:-2] == ("seed1",):
                raise OSError(28, "No space left on device", str(where))
            save(where, *args, **rest)

        with monkeypatch.context() as patch:
            patch.setattr(checkpoints, "save_checkpoint", full)
            with pytest.raises(OSError, match="No space"):
                cells.train_group(group, (0, 1), lambda line: None)
        (tmp_path / "a").rename(tmp_path / "b")
        moved = dataclasses.replace(group, workdir=tmp_path / "b")
        assert moved.missing() == [1]
        lines: list[str] = []
        assert cells._make(moved, lines.append)
        assert not [line for line in lines if ": epoch" in line]
        assert moved.missing() == []
        assert not (moved.folder / grid.TOGETHER).exists()
        networks = [directory.load_model(moved.cell(seed)).fingerprint for seed in (0, 1)]
        assert networks[0] != networks[1]

    def test_a_group_of_other_seeds_or_code_begins_anew(self, made, tmp_path, monkeypatch):
        monkeypatch.setattr(cells, "SAVE_EVERY", 0)
        variant = grid.variants(make_grid())[1]
        group = grid.Group(make_grid(), tmp_path, variant, ("beatgan", 0, 1))
        cells.train_group(group, (0, 1), lambda line: None)
        lines: list[str] = []
        cells.train_group(group, (2,), lines.append)
        assert "begun anew" in lines[0]
        made_by = provenance.made_by() | {"code": "of another day"}
        monkeypatch.setattr(provenance, "made_by", lambda: made_by)
        cells.train_group(group, (2,), lines.append)
        assert len([line for line in lines if "begun anew" in line]) == 2

    def test_weights_that_are_not_finite_are_never_saved(self, made, tmp_path, monkeypatch):
        """One seed's last update of the epoch: its losses were finite still."""
        monkeypatch.setattr(cells, "SAVE_EVERY", 0)
        group = grid.Group(make_grid(), tmp_path, grid.variants(make_grid())[1], ("beatgan", 0, 1))
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
        with pytest.raises(InputError, match=r"is nan in the steps up to \d+.*learning_rate"):
            cells.train_group(group, (0, 1), lambda line: None)
        assert not list(group.folder.rglob("*"))

    def test_gradient_norms_are_those_of_one_seed_by_itself(self, made):
        """Every term's, in the first batch of the epoch, as `train.py` logs them."""
        folder, *_ = made
        run = folder / "beatgan-0" / "taught" / "seed1"
        model = directory.load_model(run)
        row = model.progress["rows"][-1]
        assert {"grad_norm/reconstruction", "grad_norm/kd_log_ratio"} <= row.keys()
        cell = ConfigDict(directory.read_config(run))
        beats, parts = evaluation.load_data(cell)
        x = beats.x[parts.train]
        of_teacher = directory.load_model(Path(cell.teacher.workdir))
        trainer = assemble.make_trainer(cell, x.shape[1:])
        state = loop.init_state(trainer, assemble.run_key(cell), x.mean(axis=(0, 1)))
        state = state.replace(**model.variables)
        batch = assemble.batch_order(cell, len(x), 1)[0]
        teacher = assemble.make_teacher(cell, x, of_teacher).at(batch)
        norms = gradient_norms(trainer, state, teacher, x=x[batch])
        for name, norm in norms.items():
            assert row[f"grad_norm/{name}"] == pytest.approx(float(norm), rel=1e-4), name

    def test_a_group_that_another_process_makes_is_left_alone(self, made):
        folder, *_ = made
        group = grid.Group(make_grid(), folder, grid.variants(make_grid())[1], ("beatgan", 0, 1))
        with claim.locked(group.folder):
            assert not cells._make(group, lambda line: None)
        assert cells._make(group, lambda line: None)

    def test_a_cell_of_another_config_is_refused(self, made):
        folder, *_ = made
        other = make_grid()
        other.base.learning_rate = 0.5
        with pytest.raises(InputError, match=r"learning_rate: 0.001 there, 0.5 now"):
            cells.run_study(other, folder, lambda line: None)
