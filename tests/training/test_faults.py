"""Full disks, vanished folders, flipped bits, numbers that are none: nothing lost, nothing wrong.

What happens to checkpoints by themselves is in test_runs.py, signals and kills between two chunks
in test_resume.py; the slow tests here kill real processes.
"""

import ast
import errno
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tiny
from run_directory import AtStep, assert_bitwise_the_uninterrupted, crash, newest, restored
from tensorboardX.event_file_writer import EventsWriter

from benchmarks.robustness import reliability, runs
from kdjax import datasets
from kdjax.detection import detector_files
from kdjax.errors import InputError
from kdjax.files import read_json, read_sealed, sha256, write_json, write_sealed
from kdjax.runs import checkpoints, directory, evaluation
from kdjax.runs import config as configs
from kdjax.training import loop, parallel

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("small_world")


@pytest.fixture
def copy(tmp_path):
    """A copy of the finished run."""
    return shutil.copytree(tiny.trained().path, tmp_path / "copy")


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


# --- the disk ----------------------------------------------------------------------------------


def nth(n, function, error):
    """`function`, but for its n-th call, which raises."""
    calls = []

    def replaced(*args, **kwargs):
        calls.append(args)
        if len(calls) == n:
            raise error
        return function(*args, **kwargs)

    return replaced


def full():
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_as_orbax_says_it():
    return ValueError(
        'RESOURCE_EXHAUSTED: Error writing "k": Failed to write 296914 bytes to file 14: '
        "No space left on device [os_error_code='28']"
    )


class TestFullDisk:
    @pytest.mark.slow
    def test_is_said_in_one_line_and_costs_nothing_that_was_saved(self, workdir):
        """One run meets it four times, and goes on each time."""
        # Each epoch saves a model and an optimiser, and a best model at times.
        for holder, name, call, error in (
            (ocp.Checkpointer, "save", 4, full_as_orbax_says_it),  # in the second epoch
            (Path, "write_text", 3, full),  # a checkpoint's progress
            (EventsWriter, "flush", 1, full),
            (Path, "write_bytes", 3, full),  # the result, after the log
        ):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(holder, name, nth(call, getattr(holder, name), error()))
                with pytest.raises(InputError, match="No space left on device") as caught:
                    loop.train(tiny.config(), workdir)
            assert "run the same command again to continue" in one_line(caught)
            assert str(workdir) in str(caught.value)
            assert not (workdir / "result.json").exists()
            whole = checkpoints.steps(workdir / checkpoints.LAST)
            assert whole, "the epochs before are saved"
            for step in whole:
                checkpoints.verify(workdir / checkpoints.LAST / str(step))
            assert not list(workdir.rglob("*.unfinished")), "what was begun gives its room back"
        loop.train(tiny.config(), workdir)
        assert_bitwise_the_uninterrupted(workdir)

    def test_a_folder_that_may_only_be_read_is_said_in_one_line(self, workdir, monkeypatch):
        def refuse(path, *_):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

        monkeypatch.setattr(Path, "write_bytes", refuse)
        with pytest.raises(InputError, match=r"config\.json: Read-only file system") as caught:
            loop.train(tiny.config(), workdir)
        one_line(caught)

    def test_other_failures_of_orbax_are_not_taken_for_the_disk_s(self, tmp_path, monkeypatch):
        def refuse(*_, **__):
            raise ValueError("INVALID_ARGUMENT: a defect of ours")

        monkeypatch.setattr(ocp.Checkpointer, "save", refuse)
        with pytest.raises(ValueError, match="a defect of ours"):
            checkpoints.save_checkpoint(
                tmp_path, 1, {"a": np.zeros(2)}, optimizer=None, progress={}, keep=1
            )


class TestVanishedDirectory:
    @pytest.mark.slow
    def test_stops_the_training_which_goes_on_where_it_was_moved_to(self, workdir, tmp_path):
        elsewhere = tmp_path / "elsewhere"
        with pytest.MonkeyPatch.context() as patch:
            AtStep(patch, 4, lambda: shutil.move(workdir, elsewhere))
            with pytest.raises(InputError, match=r"its config\.json is gone") as caught:
                loop.train(tiny.config(), workdir)
        one_line(caught)
        assert not workdir.exists(), "it is not made anew"
        loop.train(tiny.config(), elsewhere)
        assert_bitwise_the_uninterrupted(elsewhere)


class TestLeftovers:
    def test_of_every_kind_are_cleared_away(self, workdir):
        with pytest.MonkeyPatch.context() as patch:
            AtStep(patch, 8, crash)
            with pytest.raises(MemoryError):
                loop.train(tiny.config(), workdir)
        assert checkpoints.steps(workdir / checkpoints.LAST) == [14, 7]
        (workdir / "config.json.unfinished").write_text('{"epo')
        (workdir / "metrics.jsonl").write_bytes(b'{"epoch": 1}\n\xff\xfe{"epo')
        for event in (workdir / "tensorboard").iterdir():
            event.write_bytes(event.read_bytes()[:-7])
        for name in ("14.unfinished", "21.unfinished"):
            (workdir / checkpoints.LAST / name / "model").mkdir(parents=True)
        loop.train(tiny.config(), workdir)
        assert not list((workdir / checkpoints.LAST).rglob("*.unfinished"))
        assert_bitwise_the_uninterrupted(workdir)

    def test_a_file_in_tensorboard_s_place_is_said_in_one_line(self, workdir):
        (workdir / "tensorboard").touch()
        (workdir / "config.json").write_text(json.dumps(tiny.config().to_dict()))
        with pytest.raises(InputError, match="tensorboard: File exists") as caught:
            loop.train(tiny.config(), workdir)
        one_line(caught)


# --- numbers -----------------------------------------------------------------------------------


class TestNotFinite:
    def test_is_never_saved_and_the_last_good_checkpoint_is_named(self, workdir):
        """Here the optimiser's moments alone, which no loss shows before the next step."""
        compile_steps = parallel.compile_steps

        def broken_in_the_second_epoch(trainer, devices):
            compiled = compile_steps(trainer, devices)
            calls = []

            def steps(state, *rest):
                state, means = compiled(state, *rest)
                calls.append(None)
                if len(calls) == 6:
                    moments = jax.tree.map(
                        lambda a: a * np.nan if a.dtype == np.float32 else a,
                        state.discriminator_opt,
                    )
                    state = state.replace(discriminator_opt=moments)
                return state, means

            return steps

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(parallel, "compile_steps", broken_in_the_second_epoch)
            with pytest.raises(InputError, match=r"discriminator_opt.* is nan .* up to 14 ") as e:
                loop.train(tiny.config(), workdir)
        assert "checkpoints/last/7 is the last good checkpoint" in one_line(e)
        assert "grad_clip" in str(e.value)
        assert checkpoints.steps(workdir / checkpoints.LAST) == [7]
        assert checkpoints.steps(workdir / checkpoints.BEST) == [1]
        teacher = directory.load_model(workdir / "teacher")
        saved = restored(tiny.config(), newest(workdir), teacher)
        assert all(np.isfinite(array).all() for array in saved.values())


# --- integrity ---------------------------------------------------------------------------------


def flipped(path, rng):
    content = bytearray(path.read_bytes())
    content[rng.integers(len(content))] ^= 1 << int(rng.integers(8))
    path.write_bytes(content)


class TestFlippedBits:
    @pytest.mark.parametrize("name", ["config.json", "result.json"])
    def test_of_a_run_s_json_are_refused_or_without_effect(self, copy, name):
        whole = (copy / name).read_bytes()
        before = reliability.told(directory.load_run(copy))
        rng, refused = np.random.default_rng(0), []
        for _ in range(40):
            flipped(copy / name, rng)
            try:
                now = reliability.told(directory.load_run(copy))
            except InputError as error:
                refused.append(str(error))
            else:
                assert now == before
            (copy / name).write_bytes(whole)
        assert len(refused) >= 36
        assert not [line for line in refused if "\n" in line]

    @pytest.mark.parametrize(
        ("field", "value"),
        [("seed", 1), ("learning_rate", 2e-3), ("epochs", 7), ("eval", {"fpr_targets": [0.02]})],
    )
    def test_a_config_that_was_changed_is_not_the_one_that_was_trained_with(
        self, copy, field, value
    ):
        changed = read_json(copy / "config.json") | {field: value}
        write_json(copy / "config.json", changed)
        for use in (
            lambda: directory.load_run(copy),
            lambda: evaluation.evaluate_run(copy, *evaluation.load_data(tiny.config())),
        ):
            with pytest.raises(InputError, match=r"config\.json: is not the config that") as caught:
                use()
            one_line(caught)

    def test_an_unfinished_run_does_not_go_on_with_a_config_that_was_changed(self, copy):
        """Even where the command says the same as the changed file."""
        run = copy / "teacher"
        (run / "result.json").unlink()
        changed = read_json(run / "config.json") | {"learning_rate": 2e-3}
        write_json(run / "config.json", changed)
        with pytest.raises(InputError, match="was not trained with its config") as caught:
            loop.train(tiny.teacher_config(learning_rate=2e-3), run)
        one_line(caught)

    @pytest.mark.parametrize("path", [("label_free", 0, "threshold"), ("fingerprints", "data")])
    def test_a_result_that_was_changed_is_refused(self, copy, path):
        result = read_json(copy / "result.json")
        inner = result
        for name in path[:-1]:
            inner = inner[name]
        inner[path[-1]] = 0.5
        write_json(copy / "result.json", result)
        with pytest.raises(InputError, match=r"result\.json: not what was written") as caught:
            directory.load_run(copy)
        one_line(caught)

    def test_the_result_names_the_scores_that_it_is_of(self):
        run = tiny.trained()
        assert run.result["fingerprints"]["scores"] == sha256(run.path / "scores.npz")

    def test_of_a_shipped_detector_are_refused(self, tmp_path):
        folder = shutil.copytree(next(iter(detector_files.shipped().values())), tmp_path / "one")
        rng = np.random.default_rng(1)
        for number in range(60):
            path = folder / ("card.json", "weights.npz", "calibration.npz")[number % 3]
            whole = path.read_bytes()
            flipped(path, rng)
            with pytest.raises(InputError) as caught:
                detector_files.read(folder)
            assert path.name in one_line(caught)
            path.write_bytes(whole)
        detector_files.read(folder)

    @pytest.mark.parametrize("name", ["result.json", "cell.json"])
    def test_a_seal_that_is_missing_is_a_damaged_file(self, copy, name):
        figures = {"scores": [0.125], "fingerprints": {"model": "a"}, "teacher": None}
        write_sealed(copy / "cell.json", figures)
        found = read_sealed(copy / name)
        del found["sha256_of_the_rest"]
        write_json(copy / name, found)
        with pytest.raises(InputError, match=name):
            read_sealed(copy / name)


# --- the same numbers --------------------------------------------------------------------------

_DRAWN = """
import hashlib, json
import tiny
from kdjax.runs import config
from kdjax.training import assemble
from kdjax.datasets.protocols import split
order = assemble.batch_order(tiny.config(), 180, 3)
parts = split(tiny.beat_set(), "beatgan", fold=0, split_seed=0)
print(hashlib.sha256(order.tobytes()).hexdigest(), parts.fingerprint, tiny.beat_set().fingerprint)
print(config.fingerprint(tiny.config()), config.differences(tiny.config(seed=9), tiny.config()))
"""


@pytest.mark.slow
def test_nothing_that_is_drawn_depends_on_the_hashes_of_strings():
    told = set()
    for seed in ("0", "4242"):
        environment = os.environ | {
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}",
        }
        done = subprocess.run(
            [sys.executable, "-c", _DRAWN], env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        told.add(done.stdout)
    (only,) = told
    parts = evaluation.load_data(tiny.config())[1]
    assert parts.fingerprint in only
    assert configs.fingerprint(tiny.config()) in only


@pytest.mark.long
def test_a_run_does_not_depend_on_the_number_of_threads(tmp_path):
    """On one core and on all that there are: the same network and scores to the last bit.

    But for what NumPy's linear algebra fits for the calibration, which adds up in threads.
    """
    flags, cores = runs.options(2), os.sched_getaffinity(0)
    found = []
    for name, allowed in (("one", {min(cores)}), ("all", cores)):
        os.sched_setaffinity(0, allowed)
        try:
            runs.finished(tmp_path / name, tmp_path, *flags)
        finally:
            os.sched_setaffinity(0, cores)
        outcome = runs.outcome(tmp_path / name)
        for run in outcome.values():
            del run["result"]["device"], run["result"]["fingerprints"]["calibration"]
        found.append(outcome)
    assert found[0] == found[1]


# --- processes that are killed -----------------------------------------------------------------


@pytest.mark.long
def test_a_run_that_is_killed_again_and_again_ends_like_the_undisturbed(tmp_path):
    found = reliability.kills(tmp_path, 0, quick=True)
    assert found["kills"] == 3
    assert (found["ended_otherwise"], found["failed_to_resume"], found["saves_lost"]) == ([], [], 0)


@pytest.mark.long
def test_many_epochs_leak_neither_files_nor_threads(tmp_path):
    found = reliability.soak(tmp_path, 0, quick=True)["second_and_last_quarter"]
    for name in ("files", "threads"):
        before, after = found[name]
        assert after <= before + 2, name


# --- what is never read ------------------------------------------------------------------------


def calls(tree, name):
    """The calls of a function in a source, by the last part of its name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "attr", getattr(node.func, "id", None))
            if called == name:
                yield node


@pytest.mark.parametrize("source", sorted((ROOT / "kdjax").rglob("*.py")), ids=lambda p: p.name)
def test_no_file_is_unpickled_or_run(source):
    """But a study's config, which is Python and runs as the user who names it."""
    tree = ast.parse(source.read_text())
    imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    runners = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "tarfile"}
    assert not imported & runners
    assert "runpy" not in imported or source.name == "study.py"
    for name in ("eval", "exec", "unpack_archive", "extractall"):
        assert not [c for c in calls(tree, name) if isinstance(c.func, ast.Name)], name
    for call in calls(tree, "load"):
        holder = getattr(getattr(call.func, "value", None), "id", "")
        given = {word.arg: getattr(word.value, "value", None) for word in call.keywords}
        assert holder != "np" or given.get("allow_pickle") is False
        assert holder != "torch" or given.get("weights_only") is True


def test_a_data_set_s_name_is_no_path():
    for name in ("../other", "/etc", "a/b", "", ".", "a\0b"):
        with pytest.raises(InputError, match=re.escape("data.dataset")) as caught:
            datasets.check_prepared(name)
        one_line(caught)
