"""Runs that are stopped or killed go on from their checkpoints, to the same bits."""

import signal

import jax
import numpy as np
import pytest
import tiny
from drawn import fresh
from run_directory import AtStep, assert_bitwise_the_uninterrupted, crash, newest, send

from kdjax import datasets
from kdjax.errors import InputError
from kdjax.files import read_json, write_sealed
from kdjax.runs import checkpoints, directory
from kdjax.training import assemble, loop, parallel
from kdjax.training.progress import model_tree, read_state, write_state

pytestmark = pytest.mark.usefixtures("small_world")


class TestResume:
    def test_a_run_stopped_between_chunks_ends_like_the_uninterrupted(self, workdir, capsys):
        """In the first epoch, in the second, and at its end: one run, stopped three times."""
        # Chunks of an epoch end at its steps 3, 6 and 7.
        stops = ((1, signal.SIGTERM, 3), (4, signal.SIGINT, 13), (1, signal.SIGTERM, 14))
        for chunk, signum, step in stops:
            with pytest.MonkeyPatch.context() as patch:
                AtStep(patch, chunk, send(signum))
                with pytest.raises(loop.Stopped, match=f"step {step}, saved") as stopped:
                    loop.train(tiny.config(), workdir)
            assert stopped.value.signum == signum
            assert checkpoints.steps(workdir / checkpoints.LAST)[0] == step
            assert not (workdir / "result.json").exists()
        loop.train(tiny.config(), workdir)
        said = capsys.readouterr().out
        for *_, step in stops:
            assert f"continues from {workdir / checkpoints.LAST / str(step)}" in said
        assert_bitwise_the_uninterrupted(workdir)

    def test_equal_trainings_share_one_program_in_these_tests(self):
        """The teacher's and the student's, once each: otherwise the tests take minutes more."""
        config = tiny.config(epochs=7, seed=3)
        trainers = [loop.make_trainer(c, (320, 1), parallel.AXIS) for c in (tiny.config(), config)]
        assert trainers[0] is trainers[1]
        steps = [parallel.compile_steps(t, jax.local_devices()) for t in trainers]
        assert steps[0] is steps[1]

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
        assert f"continues from {workdir / checkpoints.LAST / '7'}, step 7" in text
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
            with pytest.raises(loop.Stopped, match="step 7, saved"):
                loop.train(tiny.config(epochs=1), workdir)
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
        with pytest.raises(InputError, match="started with another teacher"):
            loop.train(tiny.config(), workdir)


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
