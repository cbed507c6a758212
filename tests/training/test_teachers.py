"""Who teaches a student: its own teacher, a named one, a nearest neighbour, nobody."""

import json
import os
import shutil

import jax
import numpy as np
import pytest
import tiny
from run_directory import contents, newest, restored, rows

from kdjax import datasets
from kdjax.errors import InputError
from kdjax.files import read_json, write_json, write_sealed
from kdjax.runs import directory, evaluation
from kdjax.study import cells
from kdjax.training import assemble, loop, parallel

pytestmark = pytest.mark.usefixtures("small_world")


class TestTeacher:
    def test_a_student_changes_nothing_of_its_teacher(self, tmp_path):
        named = tiny.trained().path / "teacher"
        before = contents(named)
        held = []
        compile_steps = parallel.compile_steps

        def spy(trainer, devices):
            compiled = compile_steps(trainer, devices)

            def step(state, teacher, *rest):
                held.append(teacher.variables)
                return compiled(state, teacher, *rest)

            return step

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parallel, "compile_steps", spy)
            loop.train(tiny.config(epochs=1, teacher__workdir=str(named)), tmp_path / "run")
        assert contents(named) == before
        assert not (tmp_path / "run" / "teacher").exists()
        on_disk = directory.load_model(named).variables
        assert on_disk.keys() == {"generator", "discriminator"}
        for teacher in held:
            assert jax.tree.structure(teacher) == jax.tree.structure(on_disk)
            for a, b in zip(jax.tree.leaves(teacher), jax.tree.leaves(on_disk), strict=True):
                assert np.asarray(a).tobytes() == np.asarray(b).tobytes()
        assert len(held) == 3

    def test_a_student_goes_on_with_its_teacher_spelt_in_another_way(self, tmp_path, monkeypatch):
        named, run = str(tiny.trained().path / "teacher"), tmp_path / "run"
        first = loop.train(tiny.config(epochs=1, teacher__workdir=named), run)
        (run / "result.json").unlink()
        monkeypatch.chdir(tmp_path)
        again = tiny.config(epochs=1, teacher__workdir=os.path.relpath(named))
        assert loop.train(again, run)["auc"] == first["auc"]
        assert read_json(run / "config.json")["teacher"]["workdir"] == named
        directory.load_run(run)

    def test_a_student_s_checkpoint_holds_nothing_of_its_teacher(self):
        run = tiny.trained().path
        student, teacher = directory.load_model(run), directory.load_model(run / "teacher")
        assert student.variables.keys() == {"generator", "discriminator"}
        config = tiny.config()
        stored = restored(config, newest(run), teacher)
        names = json.loads((newest(run) / "model" / "_METADATA").read_text())["tree_metadata"]
        assert len(names) == len(jax.tree.leaves(student.variables))
        assert not [name for name in (*names, *stored) if "teacher" in name]
        assert "['projection']['kernel']" in "".join(stored)
        drawn = [a for a in jax.tree.leaves(teacher.variables) if np.size(a) > 50]
        assert len(drawn) > 10
        for array in stored.values():
            for other in drawn:
                assert array.shape != other.shape or not np.array_equal(array, other)

    def test_the_result_names_the_teacher_s_very_weights(self):
        run = tiny.trained()
        named = run.result["fingerprints"]["teacher"]
        assert named == directory.load_model(run.path / "teacher").fingerprint
        assert read_json(run.path / "teacher" / "result.json")["fingerprints"]["teacher"] is None

    @pytest.mark.parametrize(
        ("changes", "wanted"),
        [
            ({"data__fold": 1}, "its fold is 0, the student's is 1"),
            ({"data__split_seed": 3}, "made with split"),
        ],
    )
    def test_a_named_teacher_of_another_split_is_refused(self, tmp_path, changes, wanted):
        named = str(tiny.trained().path / "teacher")
        with pytest.raises(InputError, match=wanted) as caught:
            loop.train(tiny.config(teacher__workdir=named, **changes), tmp_path / "run")
        assert named in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run" / "config.json").exists()

    @pytest.mark.parametrize(
        ("field", "value"), [("protocol", "interpatient"), ("dataset", "mitbih"), ("fold", 4)]
    )
    def test_a_named_teacher_says_what_it_was_trained_on(self, tmp_path, field, value):
        named = shutil.copytree(tiny.trained().path / "teacher", tmp_path / "teacher")
        result = read_json(named / "result.json")
        write_sealed(named / "result.json", result | {field: value})
        with pytest.raises(InputError, match=f"its {field} is {value}"):
            loop.train(tiny.config(teacher__workdir=str(named)), tmp_path / "run")

    def test_a_teacher_of_other_data_is_refused_named_or_not(self, tmp_path, workdir):
        named = str(tiny.trained().path / "teacher")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(datasets, "load", lambda *_: tiny.beat_set("2.0.0"))
            with pytest.raises(InputError, match="made with data"):
                loop.train(tiny.config(teacher__workdir=named), tmp_path / "new")
            with pytest.raises(InputError, match="made with data"):
                loop.train(tiny.config(), workdir)

    def test_an_unfinished_imported_or_damaged_teacher_is_refused(self, tmp_path):
        named = shutil.copytree(tiny.trained().path / "teacher", tmp_path / "teacher")
        config = tiny.config(teacher__workdir=str(named))

        written = read_json(named / "config.json")
        write_json(named / "config.json", written | {"imported": {"generator": "G.pkl"}})
        with pytest.raises(InputError, match="imported"):
            loop.train(config, tmp_path / "run")
        write_json(named / "config.json", written)

        (newest(named) / "progress.json").write_text("{}")
        with pytest.raises(InputError, match="damaged checkpoint"):
            loop.train(config, tmp_path / "run")

        (named / "result.json").unlink()
        with pytest.raises(InputError, match="is not a finished run"):
            loop.train(config, tmp_path / "run")
        with pytest.raises(InputError, match="is not a finished run"):
            loop.train(tiny.config(teacher__workdir=str(tmp_path / "none")), tmp_path / "run")


class TestWithoutANetworkToAsk:
    def test_a_student_without_any_term_is_trained_alone(self, tmp_path):
        """By its own terms, with no teacher made, and none needed where one is named."""
        off = {"response": 0.0, "reconstruction": 0.0, "feature": 0.0, "latent": 0.0}
        off = {f"kd__{name}": weight for name, weight in off.items()}
        config = tiny.config(
            epochs=1, model__latent_dim=6, teacher__workdir=str(tmp_path / "none"), **off
        )
        result = loop.train(config, tmp_path / "run")
        assert not (tmp_path / "run" / "teacher").exists()
        assert result["fingerprints"]["teacher"] is None
        (row,) = rows(tmp_path / "run")
        assert not [name for name in row if "kd_" in name or name == "selected"]
        assert assemble.make_teacher(config, tiny.beat_set().x, None) is None

    @pytest.mark.slow
    def test_a_nearest_neighbour_teaches_scores(self, tmp_path):
        """Of training beats, each without itself, and of perturbed ones; it leaves no files."""
        config = nearest_neighbours_student(epochs=2)
        result = loop.train(config, tmp_path / "run")
        assert not (tmp_path / "run" / "teacher").exists()
        assert result["fingerprints"]["teacher"] is None
        for row in rows(tmp_path / "run"):
            terms = {name for name in row if name.startswith("kd_")}
            assert terms == {"kd_response", "kd_log_ratio"}
            assert all(row[f"grad_norm/{name}"] > 0 for name in terms)
        directory.load_model(tmp_path / "run")

    def test_a_nearest_neighbours_lesson_is_its_squared_distance_as_a_mean(self):
        """Over the beat's samples, in the leading 32 principal components; see `baselines`."""
        config = nearest_neighbours_student()
        beats, parts = evaluation.load_data(config)
        x = beats.x[parts.train]
        lesson = assemble.make_teacher(config, x, None).lesson
        flat = x.reshape(len(x), -1).astype(float)
        mean = flat.mean(axis=0)
        directions = np.linalg.svd(flat - mean, full_matrices=False)[2][:32]
        memory, asked = (
            (b.reshape(len(b), -1) - mean) @ directions.T for b in (flat, lesson.transfer)
        )
        square = np.square(asked[:, None] - memory[None]).sum(axis=2)
        of_itself = np.square(memory[:, None] - memory[None]).sum(axis=2)
        for distance in (of_itself, square):  # a beat or its copy against the others
            np.fill_diagonal(distance, np.inf)
        for targets, distance in (
            (lesson.targets, of_itself),
            (lesson.transfer_targets, square),
        ):
            np.testing.assert_allclose(
                targets.score, distance.min(axis=1) / x[0].size, rtol=1e-4, atol=1e-7
            )
            assert targets.score.dtype == np.float32
            assert targets[1:] == (None,) * 4


class TestAugmented:
    @pytest.mark.slow
    def test_a_teacher_is_asked_about_the_beats_of_every_step(self, tmp_path):
        """There is no lesson beforehand; all else is as ever."""
        named = tmp_path / "teacher"
        shutil.copytree(tiny.trained().path / "teacher", named)
        config = tiny.config(epochs=1, teacher__workdir=str(named), data__augment="time_warp")
        result = loop.train(config, tmp_path / "run")
        assert result["fingerprints"]["teacher"] == directory.load_model(named).fingerprint
        (row,) = rows(tmp_path / "run")
        plain = rows(tiny.trained().path)[0]
        assert row.keys() == plain.keys()
        assert row["kd_reconstruction"] > 0
        assert row["G_loss"] != plain["G_loss"]

    def test_a_study_of_networks_that_are_asked_at_every_step_has_no_lessons(self):
        config = tiny.config(data__augment="time_warp")
        teacher = directory.load_model(tiny.trained().path / "teacher")
        made = cells._make_teacher([config, config], tiny.beat_set().x, [teacher, teacher])
        assert made.lesson is None
        assert {leaf.shape[0] for leaf in jax.tree.leaves(made)} == {2}


def nearest_neighbours_student(**changes):
    only = {"reconstruction": 0.0, "feature": 0.0, "latent": 0.0, "log_ratio": 0.1}
    only = {f"kd__{name}": weight for name, weight in only.items()}
    return tiny.config(
        teacher__scorer="nearest_neighbour", kd__transfer="perturbed", **only, **changes
    )
