"""train(config, workdir): a real student and its teacher, tiny, from first step to result."""

import dataclasses
import json
import os
import re
import shutil
import signal
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from drawn import fresh
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax import datasets
from kdjax.errors import InputError
from kdjax.files import read_json, write_json, write_sealed
from kdjax.models.distillation import Teacher
from kdjax.runs import checkpoints, claim, directory, evaluation
from kdjax.runs import config as configs
from kdjax.runs.config import teacher_config
from kdjax.study import cells
from kdjax.training import assemble, loop, parallel
from kdjax.training.progress import Progress, _optimizer, model_tree, read_state, write_state

TERMS = (
    "reconstruction",
    "feature_matching",
    "kd_response",
    "kd_reconstruction",
    "kd_feature",
    "kd_latent",
)


@pytest.fixture(scope="module", autouse=True)
def small_world():
    tiny.trained()
    with tiny.small_world():
        yield


@pytest.fixture
def workdir(tmp_path):
    """A run directory that holds the finished teacher, so that only the student trains."""
    shutil.copytree(tiny.trained().path / "teacher", tmp_path / "run" / "teacher")
    return tmp_path / "run"


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


def assert_bitwise_the_uninterrupted(run):
    """All but what a clock says: variables, optimiser, every epoch's figures, every score."""
    whole = tiny.trained().path
    config = tiny.config()
    teacher = directory.load_model(whole / "teacher")
    a, b = (restored(config, newest(r), teacher) for r in (whole, run))
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

    def __call__(self, *args):
        self.left -= 1
        if self.left == 0:
            self.action()
        return self.line(*args)


def send(signum):
    return lambda: os.kill(os.getpid(), signum)


def crash():
    raise MemoryError("as if the machine had been switched off")


class TestRunDirectory:
    def test_holds_every_file(self):
        for run in (tiny.trained().path, tiny.trained().path / "teacher"):
            for name in (
                "config.json",
                "metrics.jsonl",
                "result.json",
                "scores.npz",
                "report.html",
            ):
                assert (run / name).stat().st_size > 0, name
            assert list((run / "tensorboard").glob("events.*"))
            assert not list(run.rglob("*.unfinished"))
        for name in ("roc_pr", "score_histogram", "beats", "loss_curves"):
            assert (tiny.trained().path / "figures" / f"{name}.png").stat().st_size > 0, name

    def test_keeps_the_config_as_it_was_typed(self):
        run = tiny.trained().path
        written = json.loads(json.dumps(tiny.config().to_dict()))
        assert read_json(run / "config.json") == written
        teacher = json.loads(json.dumps(teacher_config(tiny.config()).to_dict()))
        assert read_json(run / "teacher" / "config.json") == teacher

    def test_keeps_two_checkpoints_at_ends_of_epochs_and_one_best(self):
        run = tiny.trained().path
        last = tiny.EPOCHS * tiny.STEPS
        assert checkpoints.steps(run / checkpoints.LAST) == [last, last - tiny.STEPS]
        assert len(checkpoints.steps(run / checkpoints.BEST)) == 1
        for folder in (newest(run), newest(run, checkpoints.BEST)):
            checkpoints.verify(folder)

    def test_best_is_the_first_epoch_with_the_highest_validation_auc(self):
        run = tiny.trained().path
        aucs = [row["val_auc"] for row in rows(run)]
        best = 1 + int(np.argmax(aucs))
        assert checkpoints.steps(run / checkpoints.BEST) == [best]
        assert tiny.trained().result["oracle"]["epoch"] == best

    def test_metrics_have_a_line_an_epoch_with_each_term_and_its_gradient_s_norm(self):
        table = rows(tiny.trained().path)
        assert [row["epoch"] for row in table] == [1, 2, 3]
        for row in table:
            assert row["seconds"] > 0
            for name in (*TERMS, "G_loss", "D_real", "D_fake"):
                assert np.isfinite(row[name]), name
            for name in TERMS:
                assert row[f"grad_norm/{name}"] > 0
            assert {n for n in row if n.startswith("grad_norm/")} == {
                f"grad_norm/{name}" for name in TERMS
            }
            assert row["selected"] == 1
            assert 0 <= row["val_auc"] <= 1
            assert 0 <= row["val_ap"] <= 1

    def test_an_epoch_s_losses_are_means_over_its_steps(self):
        """The weighted terms sum to the loss, as they do at every step."""
        weights = {"reconstruction": 1, "feature_matching": 1, "kd_response": 0.1}
        weights |= {"kd_reconstruction": 0.5, "kd_feature": 0.5, "kd_latent": 0.5}
        for row in rows(tiny.trained().path):
            total = sum(weight * row[name] for name, weight in weights.items())
            assert row["G_loss"] == pytest.approx(total, rel=1e-5)

    def test_the_teacher_is_trained_without_distillation(self):
        for row in rows(tiny.trained().path / "teacher"):
            assert not [name for name in row if "kd_" in name or name == "selected"]


class TestConsole:
    def test_prints_the_lines_that_people_know(self):
        text = tiny.trained().console
        step = r"Epoch: \[\d+\] \[ *\d+/ *7\] D_loss\(R/F\): [\d.]+/[\d.]+, G_loss: [\d.]+"
        assert len(re.findall(f"^{step}$", text, re.M)) == 3 * (tiny.EPOCHS + tiny.TEACHER_EPOCHS)
        epoch = r"\[\d+\] auc:[\d.]+ th:[\d.]+ f1:[\d.]+ \t best_auc:[\d.]+ in epoch\[\d+\]"
        assert len(re.findall(f"^{epoch}", text, re.M)) == tiny.EPOCHS + tiny.TEACHER_EPOCHS
        assert len(re.findall(r"^Avg one epoch time: [\d.]+, total \d epochs", text, re.M)) == 2
        assert re.findall(r"\[ *(\d+)/ *7\]", text)[:6] == ["3", "6", "7"] * 2

    def test_ends_with_the_result_blocks_of_teacher_and_student(self):
        text = tiny.trained().console
        teacher = read_json(tiny.trained().path / "teacher" / "result.json")
        blocks = [evaluation.result_block(r) for r in (teacher, tiny.trained().result)]
        assert 0 < text.index(blocks[0]) < text.index(blocks[1])
        assert text.rstrip().endswith(evaluation.beside_teacher(tiny.trained().result, teacher))
        assert f"\nReport: {tiny.trained().path / 'report.html'}\n" in text
        for block in blocks:
            assert re.search(r"^ap: [\d.]+", block, re.M)
            assert re.search(r"^auc: [\d.]+", block, re.M)
            assert re.search(r"^best th:[\d.]+ --> best f1:[\d.]+$", block, re.M)


class TestAgain:
    def test_a_finished_run_prints_its_results_and_trains_nothing(self, capsys):
        run = tiny.trained()
        before = contents(run.path)
        assert loop.train(tiny.config(), run.path) == run.result
        assert contents(run.path) == before
        text = capsys.readouterr().out
        assert evaluation.result_block(run.result) in text
        teacher = read_json(run.path / "teacher" / "result.json")
        assert evaluation.result_block(teacher) in text
        assert "Epoch:" not in text

    def test_another_config_is_refused_by_the_fields_that_differ(self):
        run = tiny.trained().path
        before = contents(run)
        with pytest.raises(InputError, match="--overwrite") as caught:
            loop.train(tiny.config(epochs=9, kd__temperature=2.0), run)
        message = str(caught.value)
        assert "epochs: 3 there, 9 now" in message
        assert "kd.temperature: 4.0 there, 2.0 now" in message
        assert "seed" not in message
        assert "\n" not in message
        assert contents(run) == before

    def test_the_folder_of_the_data_is_no_part_of_a_config(self):
        run = tiny.trained()
        assert loop.train(tiny.config(data__dir="/elsewhere"), run.path) == run.result

    def test_overwrite_starts_anew(self, tmp_path):
        run = copy_of_the_run(tmp_path)
        (run / "notes.txt").write_text("of the old run")
        loop.train(tiny.config(epochs=1, teacher__epochs=1), run, overwrite=True)
        assert not (run / "notes.txt").exists()
        assert len(rows(run)) == len(rows(run / "teacher")) == 1
        assert checkpoints.steps(run / checkpoints.LAST) == [tiny.STEPS]

    def test_overwrite_replaces_a_teacher_whose_student_was_not_begun(self, workdir):
        changed = tiny.config(epochs=1, teacher__epochs=1)
        with pytest.raises(InputError, match="--overwrite"):
            loop.train(changed, workdir)
        loop.train(changed, workdir, overwrite=True)
        assert len(rows(workdir / "teacher")) == 1

    @pytest.mark.parametrize(
        "changes", [{"batch_size": 4000}, {"epochs": 0}, {"data__fold": 9}, {"batch_size": 1}]
    )
    def test_overwrite_deletes_nothing_for_a_config_that_cannot_be_trained(self, tmp_path, changes):
        run = copy_of_the_run(tmp_path)
        before = contents(run)
        with pytest.raises(InputError):
            loop.train(tiny.config(**changes), run, overwrite=True)
        assert contents(run) == before

    @pytest.mark.parametrize("overwrite", [False, True])
    def test_a_second_process_is_kept_out(self, workdir, overwrite):
        before = contents(workdir)
        with (
            claim.locked(workdir),
            pytest.raises(claim.Busy, match="another process is training there"),
        ):
            loop.train(tiny.config(), workdir, overwrite)
        assert contents(workdir) == before

    @pytest.mark.parametrize("teacher", ["none", "student/teacher"])
    def test_overwrite_deletes_nothing_for_a_teacher_that_cannot_be_had(self, tmp_path, teacher):
        run = copy_of_the_run(tmp_path, "student")
        before = contents(run)
        named = tiny.config(teacher__workdir=str(tmp_path / teacher))
        with pytest.raises(InputError, match=r"teacher\.workdir"):
            loop.train(named, run, overwrite=True)
        assert contents(run) == before

    def test_a_finished_run_needs_neither_its_data_nor_its_teacher(self, tmp_path, capsys):
        run = copy_of_the_run(tmp_path)
        shutil.rmtree(run / "teacher")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(datasets, "load", lambda *_: pytest.fail("the data was asked for"))
            result = loop.train(tiny.config(), run)
        assert result == read_json(run / "result.json")
        assert "is finished" in capsys.readouterr().out

    def test_overwrite_replaces_a_run_whose_config_is_damaged(self, tmp_path):
        run = copy_of_the_run(tmp_path)
        (run / "config.json").write_text('{"epochs": ')
        with pytest.raises(InputError, match="cannot be read"):
            loop.train(tiny.config(epochs=1), run)
        loop.train(tiny.config(epochs=1, teacher__epochs=1), run, overwrite=True)
        assert len(rows(run)) == 1

    @pytest.mark.parametrize("where", ["", "teacher"])
    def test_a_config_that_cannot_be_read_is_restored_by_the_same_command(self, tmp_path, where):
        run = copy_of_the_run(tmp_path)
        whole = read_json(run / where / "config.json")
        (run / where / "config.json").write_bytes(b"")
        with pytest.raises(InputError, match="type the command that trained it again"):
            directory.load_run(run / where)
        loop.train(tiny.teacher_config() if where else tiny.config(), run / where)
        assert read_json(run / where / "config.json") == whole
        directory.load_run(run / where)

    def test_a_teacher_s_damaged_config_is_held_to_the_teacher_s_own(self, tmp_path):
        """Also before the student has a config there itself."""
        shutil.copytree(tiny.trained().path / "teacher", tmp_path / "teacher")
        (tmp_path / "teacher/config.json").write_text('{"epochs": ')
        claim.check_directory(tiny.config(), tmp_path, overwrite=False)
        with pytest.raises(InputError, match=r"teacher/config\.json: cannot be read") as caught:
            claim.check_directory(tiny.config(teacher__epochs=1), tmp_path, overwrite=False)
        assert "\n" not in str(caught.value)
        claim.restore_config(tiny.teacher_config(), tmp_path / "teacher")
        directory.load_run(tmp_path / "teacher")

    @pytest.mark.parametrize("overwrite", [False, True])
    @pytest.mark.parametrize("name", ["thesis.tex", "config.json", "teacher/marks.csv"])
    def test_a_folder_of_strangers_is_refused_and_kept(self, tmp_path, name, overwrite):
        stranger = tmp_path / name
        stranger.parent.mkdir(exist_ok=True)
        stranger.write_text("{}")
        with pytest.raises(InputError, match=f"holds {Path(name).parts[0]} and no run of ours"):
            loop.train(tiny.config(), tmp_path, overwrite)
        assert stranger.read_text() == "{}"

    def test_a_folder_that_cannot_be_is_refused(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="not a folder"):
            loop.train(tiny.config(), tmp_path / "file")
        with pytest.raises(InputError, match="cannot be written"):
            loop.train(tiny.config(), tmp_path / "file" / "run")


class TestResume:
    # Chunks of an epoch end at its steps 3, 6 and 7.
    @pytest.mark.parametrize(
        ("chunk", "signum", "step"),
        [(1, signal.SIGTERM, 3), (5, signal.SIGINT, 13), (6, signal.SIGTERM, 14)],
        ids=["in the first epoch", "in the second", "at the end of an epoch"],
    )
    def test_a_run_stopped_between_chunks_ends_like_the_uninterrupted(
        self, workdir, chunk, signum, step, capsys
    ):
        with pytest.MonkeyPatch.context() as patch:
            AtStep(patch, chunk, send(signum))
            with pytest.raises(loop.Stopped, match=f"step {step}, saved") as stopped:
                loop.train(tiny.config(), workdir)
        assert stopped.value.signum == signum
        assert checkpoints.steps(workdir / checkpoints.LAST)[0] == step
        assert not (workdir / "result.json").exists()
        capsys.readouterr()
        loop.train(tiny.config(), workdir)
        assert f"goes on from {workdir / checkpoints.LAST / str(step)}" in capsys.readouterr().out
        assert_bitwise_the_uninterrupted(workdir)

    def test_equal_trainings_share_one_program_in_these_tests(self):
        """The teacher's and the student's, once each: otherwise the tests take minutes more."""
        config = tiny.config(epochs=7, seed=3)
        trainers = [loop.make_trainer(c, (320, 1), parallel.AXIS) for c in (tiny.config(), config)]
        assert trainers[0] is trainers[1]
        steps = [parallel.compile_steps(t, jax.local_devices()) for t in trainers]
        assert steps[0] is steps[1]

    def test_a_run_that_was_killed_goes_on_from_its_last_epoch(self, workdir, monkeypatch):
        with pytest.MonkeyPatch.context() as patch:
            AtStep(patch, 8, crash)
            with pytest.raises(MemoryError):
                loop.train(tiny.config(), workdir)
        assert checkpoints.steps(workdir / checkpoints.LAST) == [14, 7]
        # What a kill between the checkpoint and the log would leave, and a half-written save.
        with (workdir / "metrics.jsonl").open("a") as file:
            file.write('{"epoch": 3')
        (workdir / checkpoints.LAST / "21.unfinished" / "model").mkdir(parents=True)
        loop.train(tiny.config(), workdir)
        assert_bitwise_the_uninterrupted(workdir)

    def test_a_damaged_newest_checkpoint_is_skipped_and_said(self, workdir, capsys):
        with pytest.MonkeyPatch.context() as patch:
            AtStep(patch, 8, crash)
            with pytest.raises(MemoryError):
                loop.train(tiny.config(), workdir)
        newest_one = newest(workdir)
        victim = max((newest_one / "model").rglob("*"), key=lambda p: p.stat().st_size)
        data = bytearray(victim.read_bytes())
        data[len(data) // 2] ^= 1
        victim.write_bytes(data)
        capsys.readouterr()
        loop.train(tiny.config(), workdir)
        text = capsys.readouterr().out
        assert f"skipped: {newest_one}: damaged checkpoint" in text
        assert f"goes on from {workdir / checkpoints.LAST / '7'}, step 7" in text
        assert_bitwise_the_uninterrupted(workdir)

    def test_a_signal_in_the_teacher_s_last_chunk_does_not_begin_the_student(self, tmp_path):
        with pytest.MonkeyPatch.context() as patch:
            AtStep(patch, 3 * tiny.TEACHER_EPOCHS, send(signal.SIGTERM))
            with pytest.raises(loop.Stopped):
                loop.train(tiny.config(), tmp_path)
        assert not (tmp_path / "config.json").exists()
        assert (
            checkpoints.steps(tmp_path / "teacher" / checkpoints.LAST)[0]
            == tiny.TEACHER_EPOCHS * tiny.STEPS
        )

    def test_a_signal_at_the_very_end_of_training_is_not_lost(self, workdir, monkeypatch):
        """After the last look at it, and before the evaluation has begun."""
        close = loop.EventsWriter.close

        def closing(writer):
            send(signal.SIGTERM)()
            close(writer)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loop.EventsWriter, "close", closing)
            with pytest.raises(loop.Stopped, match="step 21, saved"):
                loop.train(tiny.config(), workdir)
        assert not (workdir / "result.json").exists()

    def test_a_signal_before_the_first_chunk_is_not_held(self, workdir):
        """Nothing would be saved by waiting for the program to be compiled."""
        before = signal.signal(signal.SIGTERM, lambda *_: pytest.exit("not held"))
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(loop.epochs, "on_devices", lambda *_, **__: send(signal.SIGTERM)())
                with pytest.raises(pytest.exit.Exception, match="not held"):
                    loop.train(tiny.config(), workdir)
        finally:
            signal.signal(signal.SIGTERM, before)

    def test_signals_are_given_back(self, workdir):
        before = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
        with pytest.MonkeyPatch.context() as patch:
            AtStep(patch, 1, send(signal.SIGTERM))
            with pytest.raises(loop.Stopped):
                loop.train(tiny.config(), workdir)
        assert [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)] == before

    def test_a_second_signal_is_not_held_back(self, workdir):
        held = []

        def twice():
            send(signal.SIGINT)()
            held.append(True)
            send(signal.SIGINT)()

        # Python's own, also where the tests run in the background and SIGINT is ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            with pytest.MonkeyPatch.context() as patch:
                AtStep(patch, 1, twice)
                with pytest.raises(KeyboardInterrupt):
                    loop.train(tiny.config(), workdir)
        finally:
            signal.signal(signal.SIGINT, before)
        assert held

    def test_other_data_or_another_teacher_is_refused(self, workdir):
        with pytest.MonkeyPatch.context() as patch:
            AtStep(patch, 4, send(signal.SIGTERM))
            with pytest.raises(loop.Stopped):
                loop.train(tiny.config(), workdir)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(datasets, "load", lambda *_: tiny.beat_set("2.0.0"))
            with pytest.raises(InputError, match="prepare the same data"):
                loop.train(tiny.config(), workdir)
        # The same teacher saved anew would do; one of other weights does not.
        teacher = directory.load_model(workdir / "teacher")
        other = jax.tree.map(lambda a: np.asarray(a) * np.float32(2), teacher.variables)
        last = workdir / "teacher" / checkpoints.LAST
        checkpoints.save_checkpoint(
            last,
            checkpoints.steps(last)[0],
            other,
            optimizer=None,
            progress=teacher.progress,
            keep=1,
        )
        with pytest.raises(InputError, match=r"result\.json is not that of the newest checkpoint"):
            loop.train(tiny.config(), workdir)
        result = read_json(workdir / "teacher" / "result.json")
        result["fingerprints"]["model"] = directory.load_model(workdir / "teacher").fingerprint
        write_sealed(workdir / "teacher" / "result.json", result)
        with pytest.raises(InputError, match="begun with another teacher"):
            loop.train(tiny.config(), workdir)


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
            ({"data__fold": 1}, "its fold is 0, the student's 1"),
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
        with pytest.raises(InputError, match="not a finished run"):
            loop.train(config, tmp_path / "run")
        with pytest.raises(InputError, match="not a finished run"):
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


def run_of(config):
    """A Run for what depends on config and data alone."""
    beats, parts = evaluation.load_data(config)
    return loop.Run(
        config=config,
        workdir=Path(),
        trainer=None,
        teacher=None,
        beats=beats,
        parts=parts,
        devices=(),
    )


class TestOrder:
    @given(seed=st.integers(0, 2**32 - 1), epoch=st.integers(1, 10**4))
    @settings(max_examples=15, deadline=None)
    def test_is_a_permutation_and_a_function_of_seed_role_and_epoch(self, seed, epoch):
        student, teacher = run_of(tiny.config(seed=seed)), run_of(tiny.teacher_config(seed=seed))
        order = student.order(epoch)
        assert order.shape == (tiny.STEPS, tiny.BATCH)
        assert order.dtype == np.int32
        assert len(np.unique(order)) == order.size
        assert order.min() >= 0
        assert order.max() < len(student.parts.train)
        np.testing.assert_array_equal(order, run_of(tiny.config(seed=seed)).order(epoch))
        for other in (
            student.order(epoch + 1),
            teacher.order(epoch),
            run_of(tiny.config(seed=(seed + 1) % 2**32)).order(epoch),
        ):
            assert not np.array_equal(order, other)

    def test_leaves_no_beat_out_for_ever(self):
        run = run_of(tiny.config())
        seen = np.unique(np.concatenate([run.order(epoch).ravel() for epoch in range(1, 20)]))
        assert len(seen) == len(run.parts.train)

    def test_a_student_draws_other_weights_than_its_teacher_of_the_same_seed(self):
        keys = [
            tuple(np.asarray(jax.random.key_data(run_of(config).key)).tolist())
            for config in (
                tiny.config(),
                tiny.teacher_config(),
                tiny.config(seed=1),
                tiny.teacher_config(seed=1),
            )
        ]
        assert len(set(keys)) == 4


class TestPrograms:
    def test_nothing_is_compiled_after_a_network_s_first_epoch(self):
        counts = tiny.trained().compiled
        teacher, student = counts[: tiny.TEACHER_EPOCHS], counts[tiny.TEACHER_EPOCHS :]
        assert len(student) == tiny.EPOCHS
        assert teacher[0] > 0
        assert student[0] > teacher[-1]
        assert len(set(teacher)) == 1
        assert len(set(student)) == 1

    def test_no_host_transfer_inside_a_chunk(self):
        config = tiny.teacher_config()
        devices = jax.local_devices()
        run = run_of(config)
        trainer = assemble.make_trainer(config, (320, 1), parallel.AXIS)
        precision = assemble.products(config)  # as in `train`
        with precision:
            state = loop.init_state(trainer, run.key, np.zeros(1, np.float32))
        compiled = parallel.compile_steps(trainer, devices)
        beats = parallel.broadcast(run.beats.x[run.parts.train], devices)
        order = parallel.shard_order(run.order(1), devices)
        bounds = parallel.replicate(np.array([0, 2], np.int32), devices)
        key = parallel.replicate(jax.random.key_data(run.key), devices)
        placed = parallel.replicate(jax.device_get(state), devices)
        with precision, jax.transfer_guard("disallow"):
            placed, means = compiled(placed, None, beats, order, bounds, key)
            jax.block_until_ready(means)
            with pytest.raises(Exception, match=r"[Dd]isallowed host-to-device"):  # it is awake
                jax.jit(jnp.sin)(np.ones(3, np.float32))


def test_a_checkpoint_holds_the_average_and_goes_on_from_the_weights_themselves(tmp_path):
    config = tiny.teacher_config(average_decay=0.9)
    trainer = assemble.make_trainer(config, (320, 1))
    state = fresh(trainer, np.zeros(1))
    moved = state.replace(average=jax.tree.map(lambda leaf: leaf + 1, state.average))
    write_state(tmp_path, 3, moved, progress={}, keep=1)
    saved = checkpoints.read_model(tmp_path / "3", model_tree(state))
    jax.tree.map(np.testing.assert_array_equal, saved["generator"], moved.average)
    back = read_state(tmp_path / "3", state)
    jax.tree.map(np.testing.assert_array_equal, back, moved)


def test_an_epochs_time_is_the_median_without_the_first():
    """A start that goes on compiles again: one slow epoch among the others says nothing."""
    progress = Progress(channels=1, fingerprints={}, teacher=None, made_by={})
    progress.rows = [{"seconds": seconds} for seconds in (60.0, 2.0, 30.0, 2.0, 2.0)]
    assert progress.plain()["epoch_seconds"] == 2.0


class TestPrecision:
    @pytest.mark.parametrize("name", configs.PRECISIONS)
    def test_products_are_of_the_precision_asked_for(self, name):
        with assemble.products(tiny.config(precision=name)):
            asked = str(jax.make_jaxpr(jnp.matmul)(np.eye(2), np.eye(2)))
        wanted = {"float32": "HIGHEST", "tensorfloat32": "HIGH", "bfloat16": "BF16_BF16_F32"}
        assert re.search(rf"(precision=|Precision\.){wanted[name]}\b", asked), asked

    def test_a_cpu_computes_them_all_in_float32(self):
        x = np.random.default_rng(0).standard_normal((2, 32, 32)).astype(np.float32)
        found = []
        for name in configs.PRECISIONS:
            with assemble.products(tiny.config(precision=name)):
                found.append(np.asarray(jax.jit(jnp.matmul)(*x)))
        for other in found[1:]:
            np.testing.assert_array_equal(other, found[0])


class TestDivergence:
    def test_a_loss_that_is_not_finite_stops_with_its_name_and_step(self, workdir):
        beats = tiny.beat_set()
        parts = evaluation.load_data(tiny.config())[1]
        broken = beats.x.copy()
        broken[parts.train] = np.nan
        run = run_of(tiny.teacher_config())
        # `BeatSet` is frozen: a copy that differs in x alone.
        damaged = type(beats)(**(vars(beats) | {"x": broken}))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(datasets, "load", lambda *_: damaged)
            with pytest.raises(InputError, match=r"\w+ is nan in the steps up to 3 and") as caught:
                loop.train(tiny.config(), workdir)
        assert run.steps_per_epoch == tiny.STEPS
        message = str(caught.value)
        assert str(workdir) in message
        assert "\n" not in message
        assert checkpoints.steps(workdir / checkpoints.LAST) == []

    def test_an_epoch_s_last_update_is_looked_at_too(self, workdir):
        """The loss of a step is of the weights before its update."""
        compile_steps = parallel.compile_steps

        def broken_at_the_end(trainer, devices):
            compiled = compile_steps(trainer, devices)

            def steps(state, teacher, beats, order, bounds, *rest):
                last = int(bounds[0, 1]) == tiny.STEPS
                state, means = compiled(state, teacher, beats, order, bounds, *rest)
                if last:
                    state = state.replace(
                        generator=jax.tree.map(lambda a: a * np.float32(np.nan), state.generator)
                    )
                return state, means

            return steps

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parallel, "compile_steps", broken_at_the_end)
            with pytest.raises(InputError, match=r"is nan in the steps up to 7 and so"):
                loop.train(tiny.config(), workdir)
        assert checkpoints.steps(workdir / checkpoints.LAST) == []


class TestBatch:
    def test_must_divide_by_the_devices_and_fit_the_data(self, tmp_path):
        with pytest.raises(InputError, match="batch_size is 181"):
            loop.train(tiny.config(batch_size=181), tmp_path / "run")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jax, "local_devices", lambda: [None] * 5)
            with pytest.raises(InputError, match="batch_size is 24, which 5 devices"):
                loop.train(tiny.config(), tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_data_that_a_config_cannot_train_on_is_refused():
    beats, parts = evaluation.load_data(tiny.config())
    windows = dataclasses.replace(beats, ecg=False)
    with pytest.raises(InputError, match="warps heartbeats around their R-peak"):
        loop._check_parts(tiny.config(data__augment="warp"), windows, parts)
    nobody = dataclasses.replace(parts, validation=parts.validation[:0])
    with pytest.raises(InputError, match="leaves no beats for validation"):
        loop._check_parts(tiny.config(), beats, nobody)
