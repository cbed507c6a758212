"""A run directory's files: written whole or not at all, and every damage noticed."""

import asyncio
import errno
import json
import re
import resource
import shutil
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tiny
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as stn

from kdjax.commands import recordings
from kdjax.detection import detector_files as packed
from kdjax.errors import InputError
from kdjax.files import read_json, sha256, write_json, write_sealed
from kdjax.runs import checkpoints, claim, cost, directory, export
from kdjax.training import compilation, loop

names = st.text("abcdefghij_0123", min_size=1, max_size=8)
arrays = st.sampled_from([np.float32, np.int32, np.float64]).flatmap(
    lambda dtype: stn.arrays(dtype, stn.array_shapes(min_dims=0, max_dims=3, max_side=4))
)
trees = st.recursive(
    arrays, lambda inner: st.dictionaries(names, inner, min_size=1, max_size=3), max_leaves=6
).filter(lambda tree: isinstance(tree, dict))


def model_tree(value=1.0):
    return {
        "generator": {"params": {"kernel": np.full((2, 3), value, np.float32)}},
        "discriminator": {"params": {"bias": np.arange(4, dtype=np.float32)}},
    }


def optimizer_tree():
    return {"step": np.int32(5), "generator": (np.zeros((2, 3), np.float32), np.int32(5))}


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        left, right = np.asarray(left), np.asarray(right)
        assert (left.dtype, left.shape) == (right.dtype, right.shape)
        assert left.tobytes() == right.tobytes()


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A small whole checkpoint, step 5. Copy it before changing it."""
    folder = tmp_path_factory.mktemp("saved")
    checkpoints.save_checkpoint(
        folder, 5, model_tree(), optimizer=optimizer_tree(), progress={"epoch": 1}, keep=2
    )
    return folder / "5"


@pytest.fixture
def copy(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "5")


class TestCheckpoint:
    @given(model=trees, progress=st.dictionaries(names, st.floats(allow_nan=False, width=32)))
    @settings(
        max_examples=5,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    def test_gives_back_bit_for_bit_what_was_saved(self, tmp_path, model, progress):
        progress = {k: v for k, v in progress.items() if abs(v) != float("inf")}
        checkpoints.save_checkpoint(tmp_path, 3, model, optimizer=None, progress=progress, keep=1)
        checkpoints.verify(tmp_path / "3")
        assert_same(checkpoints.read_model(tmp_path / "3", model), model)
        assert checkpoints.read_progress(tmp_path / "3") == progress

    def test_holds_model_optimizer_and_progress(self, saved):
        assert_same(checkpoints.read_model(saved, model_tree(0)), model_tree())
        assert_same(checkpoints.read_optimizer(saved, optimizer_tree()), optimizer_tree())
        assert checkpoints.read_progress(saved) == {"epoch": 1}

    def test_keeps_the_newest_by_number_not_by_name(self, tmp_path):
        for step in (8, 9, 10):
            checkpoints.save_checkpoint(
                tmp_path, step, model_tree(step), optimizer=None, progress={}, keep=2
            )
        assert checkpoints.steps(tmp_path) == [10, 9]
        newest = checkpoints.read_model(tmp_path / "10", model_tree())
        assert_same(newest, model_tree(10))

    def test_drops_later_ones_of_a_course_that_was_given_up(self, tmp_path):
        for step in (900, 1000, 100):
            checkpoints.save_checkpoint(
                tmp_path, step, model_tree(step), optimizer=None, progress={}, keep=2
            )
        assert checkpoints.steps(tmp_path) == [100]

    def test_replaces_a_checkpoint_of_the_same_step(self, tmp_path):
        for value in (1.0, 2.0):
            checkpoints.save_checkpoint(
                tmp_path, 4, model_tree(value), optimizer=None, progress={"v": value}, keep=2
            )
        checkpoints.verify(tmp_path / "4")
        assert_same(checkpoints.read_model(tmp_path / "4", model_tree()), model_tree(2.0))

    def test_a_save_that_was_killed_is_ignored_and_then_removed(self, copy):
        folder = copy.parent
        shutil.copytree(copy, folder / "6.unfinished")
        assert checkpoints.steps(folder) == [5]
        assert checkpoints.newest_whole(folder, print) == copy
        checkpoints.save_checkpoint(folder, 7, model_tree(), optimizer=None, progress={}, keep=2)
        assert sorted(p.name for p in folder.iterdir()) == ["5", "7"]

    def test_a_save_that_fails_leaves_the_older_checkpoints(self, copy):
        with pytest.raises(ValueError, match="JSON"):
            checkpoints.save_checkpoint(
                copy.parent, 6, model_tree(), optimizer=None, progress={"auc": np.nan}, keep=1
            )
        assert checkpoints.newest_whole(copy.parent, print) == copy

    def test_a_write_that_fails_leaves_no_writer_behind(self, copy, capfd):
        """Orbax writes arrays side by side; the others end before their folder is taken away."""
        trees = {f"array{i}": np.random.default_rng(i).random(50_000) for i in range(8)}
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large") as caught:
                checkpoints.save_checkpoint(
                    copy.parent, 6, trees, optimizer=None, progress={}, keep=1
                )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert str(copy.parent) in caught.value.filename
        assert capfd.readouterr() == ("", "")
        assert [p.name for p in copy.parent.iterdir()] == ["5"]
        checkpoints.save_checkpoint(copy.parent, 6, trees, optimizer=None, progress={}, keep=1)
        checkpoints.verify(copy.parent / "6")

    def test_a_read_that_fails_leaves_no_reader_behind(self, tmp_path, monkeypatch, capfd):
        """Orbax reads arrays side by side; when one fails, the others end before their loop."""
        trees = {f"array{i}": np.random.default_rng(i).random(50_000) for i in range(8)}
        checkpoints.save_checkpoint(tmp_path, 6, trees, optimizer=None, progress={}, keep=1)
        left = []
        close = checkpoints._PatientLoop.close

        def closing(loop):
            closed = loop.is_closed()
            close(loop)
            left.extend([] if closed else asyncio.all_tasks(loop))

        monkeypatch.setattr(checkpoints._PatientLoop, "close", closing)
        monkeypatch.setattr(asyncio, "new_event_loop", lambda: pytest.fail("not a patient loop"))
        for data in (tmp_path / "6/model").rglob("d/*"):
            data.write_bytes(b"")
        with pytest.raises(InputError):
            checkpoints.read_model(tmp_path / "6", trees)
        assert (left, capfd.readouterr()) == ([], ("", ""))

    def test_a_disk_that_cannot_be_read_is_not_taken_for_other_networks(self, saved, monkeypatch):
        def refuse(*_, **__):
            raise ValueError("UNKNOWN: Error reading \"d/1\": [os_error_code='5']")

        monkeypatch.setattr(ocp.Checkpointer, "restore", refuse)
        with pytest.raises(OSError, match="Input/output error") as caught:
            checkpoints.read_model(saved, model_tree())
        assert caught.value.filename == str(saved / "model")

    def test_no_folder_holds_no_checkpoint(self, tmp_path):
        assert checkpoints.steps(tmp_path / "absent") == []
        assert checkpoints.newest_whole(tmp_path / "absent", print) is None

    @pytest.mark.parametrize(
        "other",
        [
            pytest.param({"generator": {"params": {"kernel": (3, 3)}}}, id="shape"),
            pytest.param({"generator": {"params": {"weight": (2, 3)}}}, id="name"),
            pytest.param({"generator": {"params": {}}}, id="one too many in the file"),
            pytest.param(
                {"generator": {"params": {"kernel": (2, 3), "b": (1,)}}}, id="one missing"
            ),
        ],
    )
    def test_refuses_networks_that_it_does_not_fit(self, saved, other):
        shaped = jax.tree.map(
            lambda shape: np.zeros(shape, np.float32), other, is_leaf=lambda v: isinstance(v, tuple)
        )
        with pytest.raises(InputError, match=re.escape(str(saved))):
            checkpoints.read_model(saved, model_tree() | shaped)


class TestFingerprint:
    def test_is_of_names_types_shapes_and_values_alone(self):
        tree = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": {"c": np.int32(3)}}
        named = directory.fingerprint(tree)
        assert re.fullmatch("[0-9a-f]{64}", named)
        assert (
            directory.fingerprint({"b": {"c": jnp.int32(3)}, "a": jnp.asarray(tree["a"])}) == named
        )
        others = (
            {"a": tree["a"].reshape(3, 2), "b": tree["b"]},
            {"a": tree["a"].astype(np.float64), "b": tree["b"]},
            {"a": tree["a"] + np.float32(1e-7), "b": tree["b"]},
            {"a": tree["a"], "b": {"d": np.int32(3)}},
        )
        assert len({named, *map(directory.fingerprint, others)}) == 5


class TestVerify:
    @pytest.mark.parametrize("flip", [0x01, 0x80, 0xFF])
    def test_notices_any_flipped_byte_of_any_file(self, copy, flip):
        files = sorted(p for p in copy.rglob("*") if p.is_file())
        assert len(files) > 8
        for path in files:
            whole = path.read_bytes()
            for position in {0, len(whole) // 3, len(whole) // 2, len(whole) - 1} - {-1}:
                if not whole:
                    continue
                damaged = bytearray(whole)
                damaged[position] ^= flip
                path.write_bytes(damaged)
                with pytest.raises(checkpoints.DamagedCheckpointError, match="damaged checkpoint"):
                    checkpoints.verify(copy)
            path.write_bytes(whole)
        checkpoints.verify(copy)

    def test_notices_a_file_cut_short_missing_or_too_many(self, copy):
        for path in sorted(p for p in copy.rglob("*") if p.is_file()):
            whole = path.read_bytes()
            if whole:
                path.write_bytes(whole[:-1])
                with pytest.raises(checkpoints.DamagedCheckpointError):
                    checkpoints.verify(copy)
            path.unlink()
            with pytest.raises(checkpoints.DamagedCheckpointError):
                checkpoints.verify(copy)
            path.write_bytes(whole)
        (copy / "model" / "more").touch()
        with pytest.raises(checkpoints.DamagedCheckpointError, match="model/more"):
            checkpoints.verify(copy)

    @pytest.mark.parametrize("text", ["", "null", "1", "[]", '["model"]', "{}"])
    def test_notices_a_manifest_that_is_none(self, copy, text):
        (copy / "manifest.json").write_text(text)
        with pytest.raises(checkpoints.DamagedCheckpointError):
            checkpoints.verify(copy)

    def test_an_empty_folder_with_a_number_is_no_checkpoint(self, copy):
        (copy.parent / "9").mkdir()
        said = []
        assert checkpoints.newest_whole(copy.parent, said.append) == copy
        assert len(said) == 1
        assert said[0].startswith("skipped: ")
        assert str(copy.parent / "9") in said[0]


class TestLoadRun:
    def test_gives_the_last_epoch_s_detector_with_its_first_known_threshold(self):
        run = tiny.trained()
        detector = directory.load_run(run.path)
        with np.load(run.path / "scores.npz") as scores:
            score = detector.score(tiny.beat_set().x[scores["index"]])
            np.testing.assert_allclose(score, scores["score"], rtol=1e-6)
        thresholds = [row["threshold"] for row in run.result["label_free"]]
        assert detector.threshold == next(one for one in thresholds if one is not None)

    def test_refuses_a_run_that_is_missing_unfinished_or_damaged(self, tmp_path):
        with pytest.raises(
            InputError, match=r"none: no such run; name a run directory, or mitbih-w8"
        ):
            directory.load_run(tmp_path / "none")
        with pytest.raises(
            InputError, match=r"is not a run directory, because it has no config\.json"
        ):
            directory.load_run(tmp_path)
        run = shutil.copytree(tiny.trained().path, tmp_path / "run")
        newest = run / checkpoints.LAST / str(checkpoints.steps(run / checkpoints.LAST)[0])
        progress = newest / "progress.json"
        progress.write_text(json.dumps(json.loads(progress.read_text()) | {"epoch": 99}))
        with pytest.raises(checkpoints.DamagedCheckpointError, match=r"progress\.json"):
            directory.load_run(run)
        (newest / "manifest.json").write_text("[" * 100_000)
        with pytest.raises(checkpoints.DamagedCheckpointError, match="RecursionError"):
            checkpoints.verify(newest)
        shutil.rmtree(run / checkpoints.LAST)
        with pytest.raises(InputError, match="no checkpoint"):
            directory.load_run(run)

    def test_refuses_a_result_that_lacks_a_field(self, tmp_path):
        write_sealed(tmp_path / directory.RESULT, {"auc": 0.9})
        with pytest.raises(InputError, match=r"result\.json: lacks ap; make it again"):
            directory.read_result(tmp_path)

    def test_knows_the_shipped_detectors_by_name(self):
        assert directory.load_run("mitbih-w8").calibration is not None

    def test_a_run_of_a_shipped_detector_s_name_comes_first(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert packed.is_shipped("mitbih-w8")
        (tmp_path / "mitbih-w8").mkdir()
        assert not packed.is_shipped("mitbih-w8")
        with pytest.raises(InputError, match="is not a run directory"):
            directory.load_run("mitbih-w8")

    def test_names_the_shipped_detectors_where_there_is_no_run(self, tmp_path):
        with pytest.raises(InputError, match=r"none: no such run; name a run .*, or mitbih-w"):
            directory.load_run(tmp_path / "none")

    def test_takes_the_calibration_of_its_result_and_weights_alone(self, tmp_path):
        shutil.copy(packed.shipped()["mitbih-w8"] / packed.CALIBRATION, tmp_path)
        file = tmp_path / packed.CALIBRATION
        model = SimpleNamespace(fingerprint=packed.read_calibration(file).model)
        result = {"fingerprints": {"calibration": sha256(file)}}
        assert directory._calibration(tmp_path, model, result).model == model.fingerprint
        result["fingerprints"]["calibration"] = "0" * 64
        with pytest.raises(InputError, match=r"not the one that result\.json was made with"):
            directory._calibration(tmp_path, model, result)

    @pytest.mark.parametrize("done", ["deleted", "renamed", "another's result", "calibration"])
    def test_refuses_weights_that_are_not_the_result_s(self, tmp_path, monkeypatch, done):
        """Nobody gets an earlier epoch's weights with the last epoch's threshold."""
        run = shutil.copytree(tiny.trained().path, tmp_path / "run")
        last, (newest, older) = run / checkpoints.LAST, checkpoints.steps(run / checkpoints.LAST)
        if done == "another's result":
            for name in (directory.RESULT, directory.CALIBRATION):
                if (run / "teacher" / name).exists():
                    shutil.copy(run / "teacher" / name, run / name)
        elif done == "calibration":
            shutil.copy(packed.shipped()["mitbih-w8"] / packed.CALIBRATION, run)
            result = read_json(run / directory.RESULT)
            result["fingerprints"]["calibration"] = sha256(run / directory.CALIBRATION)
            write_sealed(run / directory.RESULT, result)
        else:
            shutil.rmtree(last / str(newest))
            if done == "renamed":
                (last / str(older)).rename(last / str(newest))
        with pytest.raises(InputError, match=f"kdjax evaluate {run}|delete .*result.json") as e:
            directory.load_run(run)
        assert "\n" not in str(e.value)
        if done == "renamed":
            monkeypatch.setattr(compilation, "keep_programs", lambda: None)
            for load in (
                cost._detector,  # kdjax benchmark
                lambda run: loop._named_teacher(run, None, None),
                lambda run: recordings._detector(str(run)),  # kdjax detect
                lambda run: export.export(run, "stablehlo", tmp_path / "out"),
                lambda run: export.export_c(run, tmp_path / "out"),
            ):
                with pytest.raises(InputError, match=re.escape(str(e.value))):
                    load(run)

    def test_refuses_a_run_without_the_calibration_of_its_result(self, tmp_path):
        run = shutil.copytree(tiny.trained().path, tmp_path / "run")
        result = read_json(run / directory.RESULT)
        result["fingerprints"]["calibration"] = "0" * 64
        write_sealed(run / directory.RESULT, result)
        with pytest.raises(InputError, match=r"calibration\.npz: no such file, although"):
            directory.load_run(run)

    @pytest.mark.parametrize("text", ["{}", "[]", '{"model": 3}', '{"model": {"width": 4}}'])
    def test_refuses_a_config_that_is_none(self, tmp_path, text):
        run = shutil.copytree(tiny.trained().path, tmp_path / "run")
        (run / "config.json").write_text(text)
        with pytest.raises(InputError, match=r"config\.json"):
            directory.load_run(run)

    def test_refuses_a_config_of_another_size(self, tmp_path):
        run = shutil.copytree(tiny.trained().path, tmp_path / "run")
        config = read_json(run / "config.json")
        config["model"]["latent_dim"] += 1
        write_json(run / "config.json", config)
        with pytest.raises(InputError, match="not the config that"):
            directory.load_run(run)


class TestClaim:
    def test_an_unreadable_config_without_a_checkpoint_is_nobody_s(self, tmp_path):
        (tmp_path / directory.CONFIG).touch()
        with pytest.raises(InputError, match=r"config\.json: cannot be read"):
            claim.check_directory(tiny.teacher_config(), tmp_path, overwrite=False)

    @pytest.mark.parametrize("there", [False, True])
    def test_a_missing_file_is_told_from_a_missing_run(self, tmp_path, there):
        if there:
            (tmp_path / directory.CONFIG).touch()
        missing = FileNotFoundError(errno.ENOENT, "No such file or directory", "scores.npz")
        wanted = r"scores\.npz: No such file" if there else "was moved or deleted"
        with pytest.raises(InputError, match=wanted), claim.disk_errors(tmp_path):
            raise missing


@pytest.mark.parametrize(
    ("thresholds", "used"), [([3.0, 2.0], 0), ([None, 2.0, 1.0], 1), ([None, None], 0)]
)
def test_a_run_decides_by_the_first_threshold_that_is_known(thresholds, used):
    rows = [{"fpr_target": 0.01 * i, "threshold": one} for i, one in enumerate(thresholds)]
    assert directory.decided_by({"label_free": rows}) is rows[used]
