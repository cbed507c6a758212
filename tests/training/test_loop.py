"""train(config, workdir): a real student and its teacher, tiny, from first step to result."""

import dataclasses
import json
import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from hypothesis import given, settings
from hypothesis import strategies as st
from run_directory import newest, rows
from sklearn.metrics import average_precision_score, roc_auc_score

from kdjax import datasets
from kdjax.detection.detector import Detector
from kdjax.errors import InputError
from kdjax.files import read_json
from kdjax.runs import checkpoints, directory, evaluation
from kdjax.runs.config import teacher_config
from kdjax.training import assemble, loop, parallel
from kdjax.training.progress import Progress

pytestmark = pytest.mark.usefixtures("small_world")


TERMS = (
    "reconstruction",
    "feature_matching",
    "kd_response",
    "kd_reconstruction",
    "kd_feature",
    "kd_latent",
)


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

    def test_an_epoch_is_validated_on_the_validation_beats_alone(self):
        """The best epoch is chosen by them: by the test beats its figures would be too good."""
        run = tiny.trained().path
        beats, parts = evaluation.load_data(directory.read_config(run))
        abnormal = beats.label[parts.validation] > 0
        for folder in (checkpoints.LAST, checkpoints.BEST):
            model = directory.load_model(run, folder)
            detector = Detector(model.generator, model.variables["generator"])
            score = detector.score(beats.x[parts.validation])
            row = rows(run)[model.progress["epoch"] - 1]
            assert row["val_auc"] == pytest.approx(roc_auc_score(abnormal, score))
            assert row["val_ap"] == pytest.approx(average_precision_score(abnormal, score))

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


def test_an_epochs_time_is_the_median_without_the_first():
    """A start that goes on compiles again: one slow epoch among the others says nothing."""
    progress = Progress(channels=1, fingerprints={}, teacher=None, made_by={})
    progress.rows = [{"seconds": seconds} for seconds in (60.0, 2.0, 30.0, 2.0, 2.0)]
    assert progress.plain()["epoch_seconds"] == 2.0


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
