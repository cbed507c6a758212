"""What a user types: exit statuses, and wrong input said in one line."""

import errno
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny

from kdjax import arguments, cli, datasets, errors
from kdjax.commands.status import status_of
from kdjax.errors import InputError
from kdjax.files import read_json
from kdjax.recordings import open_source
from kdjax.runs import checkpoints, directory, evaluation, interop
from kdjax.training import loop

ROOT = Path(__file__).parents[1]
CONFIG = "--config=configs/student.py"


@pytest.fixture(scope="module")
def run():
    """A finished run, without its teacher and free to be changed back."""
    return tiny.trained().path


@pytest.fixture
def copy(run, tmp_path):
    return shutil.copytree(run, tmp_path / "run", ignore=shutil.ignore_patterns("teacher"))


@pytest.fixture
def small_world():
    with tiny.small_world() as patch:
        yield patch


def assert_one_line(text, *wanted):
    assert text.endswith("\n")
    assert text.count("\n") == 1, text
    assert "Traceback" not in text
    for word in wanted:
        assert word in text


def python(*args, **env):
    """Runs another Python, with nothing but the CPU and without TFDS's data."""
    return subprocess.run(
        [sys.executable, *args],
        cwd=ROOT,
        env=os.environ | {"JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)} | env,
        capture_output=True,
        text=True,
        timeout=300,
    )


class TestImport:
    def test_of_kdjax_starts_no_device_and_imports_neither_jax_nor_plotting(self):
        done = python(
            "-c",
            "import sys, kdjax, kdjax.cli\n"
            "assert not {'jax', 'matplotlib', 'tensorflow_datasets'} & set(sys.modules)\n"
            "kdjax.load_run, kdjax.Detector\n"
            "assert 'matplotlib' not in sys.modules\n"
            "import kdjax.training, jax\n"
            "assert 'tensorflow' not in sys.modules\n"
            "jax.config.update('jax_num_cpu_devices', 3)\n"  # refused once a device is started
            "assert jax.local_device_count() == 3\n",
        )
        assert (done.returncode, done.stderr) == (0, "")


# Mistakes and what is said of each; {} holds an empty folder, a text and an empty CSV.
TYPED_WRONG = {
    "train student --set epochs=0": "epochs is 0",
    "train student --process 1": "--coordinator is missing",
    "train student --workdir {}/text": "not a folder",
    "train student:mitbih --set data.dir={}": "mitbih is not prepared",
    "train student:mitbh --set data.dir={}": "did you mean mitbih?",
    "train student:nowhere --set data.dir={} --workdir {}/none": "'nowhere', which is not prepared",
    "train study": "use kdjax study",
    "study student": "use kdjax train",
    "study study:none": "no part 'none'",
    "study study:confirm --data-dir {} --workdir {}/st": "mitbih is not prepared",
    "evaluate {}/none": "no such run",
    "evaluate {}/empty": "has no config.json",
    "evaluate mitbih-w8": "a shipped detector",
    "benchmark {}/empty": "has no config.json",
    "export {}/empty --format c --out {}/c": "has no config.json",
    "detect mitbih-w9 a.hea": "no such run; name a run directory, or mitbih-w8",
    "detect mitbih-w8 {}/a.hea --out {}/text": "text: is a file, not a folder",
    "detect mitbih-w8 {}/a.hea --out {}/none": "a.hea: no such file",
    "detect mitbih-w8 {}/a.hea --against atr": "a.hea: no such file",
    "detect mitbih-w8 {}/a.hea --against x/atr": "--against 'x/atr': not an annotator's name",
    "prepare {}/empty --name me --annotator x/atr": "--annotator 'x/atr': not an annotator's name",
    "ec57 {}/empty --test x/atr": "--test 'x/atr': not an annotator's name",
    "detect mitbih-w8 {}/empty.csv --out {}/none": "the file is empty",
    "calibrate mitbih-w8 {}/a.hea --out {}/text/a.npz": "text: is a file, not a folder",
    "ec57 {}/empty --test kdjax --json {}/text/a.json": "text: is a file, not a folder",
    "export mitbih-w9 --format onnx --out {}/text/a": "text: is a file, not a folder",
    "benchmark {}/empty --json {}/text/a.json": "text: is a file, not a folder",
    "study study:confirm --data-dir {} --json {}/text/a.json": "text: is a file, not a folder",
    "import-beatgan --generator {}/G --discriminator D --out R": "G: no such file",
}


def test_mistakes_are_told_before_jax_is_imported_and_leave_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("text")
    (tmp_path / "empty.csv").write_text("")
    before = sorted(tmp_path.rglob("*"))
    commands = [line.replace("{}", str(tmp_path)) for line in TYPED_WRONG]
    done = python(
        "-c",
        "import sys\nfrom kdjax import cli\nfor line in sys.argv[1:]:\n"
        "    assert cli.main(line.split()) == 2, line\n    assert 'jax' not in sys.modules, line",
        *commands,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    for line, wanted, said in zip(
        commands, TYPED_WRONG.values(), done.stderr.splitlines(), strict=True
    ):
        assert said.startswith(f"kdjax {line.split()[0]}: "), said
        assert wanted in said
    assert sorted(tmp_path.rglob("*")) == before


class TestTrainArguments:
    """What is wrong before JAX is even imported."""

    @pytest.mark.parametrize(
        ("args", "wanted"),
        [
            pytest.param([CONFIG, "--config.epoch=3"], ["'epoch'", "epochs"], id="unknown field"),
            pytest.param([CONFIG, "--config.kd.weight=3"], ["weight"], id="unknown inner field"),
            pytest.param([CONFIG, "--config.epochs=abc"], ["epochs", "abc"], id="wrong type"),
            pytest.param(["--config=configs/none.py"], ["configs/none.py"], id="no such file"),
            pytest.param(["--config"], ["config is missing"], id="a flag without its value"),
            pytest.param([], ["config is missing"], id="no config"),
            pytest.param([CONFIG, "stray", "s"], ["unrecognized", "s"], id="stray argument"),
            pytest.param([CONFIG, "--wrkdir=x"], ["wrkdir"], id="unknown flag"),
            pytest.param(["--config=configs/study.py"], ["kdjax study"], id="a study"),
        ],
    )
    def test_wrong_input_is_said_in_one_line(self, capsys, args, wanted):
        try:
            status = cli.main(["train", *arguments.of_flags(args)], program="train.py")
        except SystemExit as left:  # argparse's own
            status = left.code
        out, err = capsys.readouterr()
        assert (status, out) == (2, "")
        assert_one_line(err, *wanted)

    def test_train_py_and_kdjax_train_are_one(self):
        told = [
            python("train.py", "--config=configs/student.py", "--config.epochs=x"),
            python("-m", "kdjax", "train", "student", "--set", "epochs=x"),
        ]
        assert [done.returncode for done in told] == [2, 2]
        assert told[0].stderr == "train.py: epochs: 'x' is not a whole number\n"
        assert told[1].stderr == "kdjax train: epochs: 'x' is not a whole number\n"

    def test_the_help_of_train_py_is_about_train_py(self, capsys):
        with pytest.raises(SystemExit):
            cli.main(["train", "--help"], program="train.py")
        assert capsys.readouterr().out.startswith("usage: train.py [-h] [--workdir DIR]")


class TestTrain:
    def typed(self, *args):
        given = [f"--config={ROOT / 'configs/student.py'}", *args]
        return cli.main(["train", *arguments.of_flags(given)], program="train.py")

    def test_data_that_are_not_prepared(self, tmp_path, monkeypatch, capsys):
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
        given = f"{CONFIG}:mitbih", f"--workdir={tmp_path / 'run'}"
        assert cli.main(["train", *arguments.of_flags(given)], program="train.py") == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert_one_line(err, "train.py: mitbih is not prepared in", "run kdjax prepare mitbih")
        assert not (tmp_path / "run").exists()

    def test_a_finished_run_prints_its_results(self, run, capsys, small_world):
        overrides = [
            f"--config.{name}={value}"
            for name, value in {
                "epochs": tiny.EPOCHS,
                "batch_size": tiny.BATCH,
                "learning_rate": 1e-3,
                "model.width": 4,
                "model.latent_dim": 5,
                "teacher.epochs": tiny.TEACHER_EPOCHS,
                "teacher.model.width": 4,
                "teacher.model.latent_dim": 6,
                "kd.reconstruction": 0.5,
                "kd.feature": 0.5,
                "kd.latent": 0.5,
            }.items()
        ]
        assert self.typed(*overrides, f"--workdir={run}") == 0
        out, err = capsys.readouterr()
        assert out.endswith(evaluation.result_block(tiny.trained().result) + "\n")
        assert err == ""

        assert self.typed(*overrides, f"--workdir={run}", "--config.seed=1") == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert_one_line(err, "train.py: ", str(run), "seed: 0 there, 1 now", "--overwrite")

    @pytest.mark.parametrize(
        ("override", "wanted"),
        [
            ("epochs=0", "epochs is 0; it must be a whole number, at least 1"),
            ("batch_size=63", "batch_size is 63, which 4 devices cannot share"),
            ("data.protocol=mine", "data.protocol is 'mine'"),
            ("data.fold=5", "data.fold is 5"),
            ("kd.select=best", "kd.select is 'best'; it must be one of all,"),
            ("seed=4294967296", "seed is 4294967296"),
        ],
    )
    def test_a_config_that_cannot_be_trained(self, monkeypatch, capsys, tmp_path, override, wanted):
        monkeypatch.setattr(datasets, "load", lambda *_: tiny.beat_set())
        run = tmp_path / "run"
        assert self.typed(f"--workdir={run}", f"--config.{override}") == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert_one_line(err, "train.py: ", wanted)
        assert not run.exists()

    def test_without_workdir_the_run_is_named_by_config_and_data(self, monkeypatch):
        asked = []
        monkeypatch.setattr(loop, "train", lambda *args: asked.append(args))
        assert self.typed() == 0
        assert [(str(a[1]), a[2]) for a in asked] == [("runs/student-synthetic", False)]

    def test_a_stopped_run_ends_as_its_signal_does(self, monkeypatch, capsys):
        def stopped(*_):
            raise loop.Stopped(15, 300)

        monkeypatch.setattr(loop, "train", stopped)
        assert self.typed() == 128 + 15
        assert_one_line(capsys.readouterr().err, "stopped at step 300, saved")


class TestEvaluate:
    def test_gives_the_figures_of_training_s_end(self, copy, capsys, small_world):
        first = read_json(copy / "result.json")
        (copy / "result.json").unlink()
        assert cli.main(["evaluate", str(copy)]) == 0
        out, err = capsys.readouterr()
        assert out == evaluation.result_block(first) + "\n"
        assert err == ""
        second = read_json(copy / "result.json")
        assert (second["auc"], second["ap"]) == (first["auc"], first["ap"])
        assert second | {"date": first["date"]} == first

    def test_reads_the_beats_where_it_is_told(self, copy, small_world):
        asked = []

        def load(name, data_dir):
            asked.append((name, data_dir))
            return tiny.beat_set()

        small_world.setattr(datasets, "load", load)
        assert cli.main(["evaluate", str(copy), "--data-dir", "/there"]) == 0
        assert asked == [("synthetic", "/there")]
        assert read_json(copy / "config.json")["data"]["dir"] is None

    def refused(self, capsys, folder, *wanted):
        assert cli.main(["evaluate", str(folder)]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert_one_line(err, "kdjax evaluate: ", *wanted)

    def test_refuses_what_is_no_run(self, tmp_path, capsys):
        self.refused(capsys, tmp_path / "none", "no such run", str(tmp_path / "none"))
        self.refused(capsys, tmp_path, "has no config.json")
        (tmp_path / "config.json").write_text("{}")
        self.refused(capsys, tmp_path, str(tmp_path))

    def test_refuses_an_unfinished_run(self, copy, capsys, small_world):
        last = sorted((copy / checkpoints.LAST).iterdir(), key=lambda p: int(p.name))
        shutil.rmtree(last[-1])
        (copy / "result.json").unlink()
        self.refused(capsys, copy, "2 of 3 epochs trained; ")
        shutil.rmtree(copy / checkpoints.LAST)
        self.refused(capsys, copy, "no checkpoint")

    def test_prints_the_result_on_a_disk_that_may_only_be_read(self, copy, capsys, small_world):
        """And says then what could not be written."""

        def refuse(path, *_):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))

        before = (copy / "result.json").read_bytes()
        small_world.setattr(Path, "write_bytes", refuse)
        assert cli.main(["evaluate", str(copy)]) == 2
        out, err = capsys.readouterr()
        assert "########  Result  ########" in out
        assert_one_line(err, "kdjax evaluate: ", "Read-only file system", str(copy))
        assert (copy / "result.json").read_bytes() == before

    @pytest.mark.parametrize("content", [b"", b'{"auc": 0.'])
    def test_makes_a_result_anew_that_cannot_be_read(self, copy, capsys, small_world, content):
        whole = read_json(copy / "result.json")
        (copy / "result.json").write_bytes(content)
        with pytest.raises(InputError, match=f"make it again with kdjax evaluate {copy}"):
            directory.load_run(copy)
        assert cli.main(["evaluate", str(copy)]) == 0
        assert read_json(copy / "result.json")["auc"] == whole["auc"]
        directory.load_run(copy)

    @pytest.mark.parametrize("name", ["progress.json", "manifest.json", "model/manifest.ocdbt"])
    def test_refuses_a_damaged_checkpoint(self, copy, capsys, small_world, name):
        newest = copy / checkpoints.LAST / str(checkpoints.steps(copy / checkpoints.LAST)[0])
        before = (copy / "result.json").read_bytes()
        data = bytearray((newest / name).read_bytes())
        data[len(data) // 2] ^= 1
        (newest / name).write_bytes(data)
        self.refused(capsys, copy, "damaged checkpoint", str(newest))
        assert (copy / "result.json").read_bytes() == before

    def test_refuses_other_data(self, copy, capsys, small_world):
        small_world.setattr(datasets, "load", lambda *_: tiny.beat_set("2.0.0"))
        self.refused(capsys, copy, "made with data", "prepare the same data")


class TestPrepare:
    def test_prints_a_row_a_record_and_their_sum(self, capsys, monkeypatch, tmp_path):
        asked = []

        def prepare(*args):
            asked.append(args)
            row = {"record": "100", "N": 6, "S": 1, "V": 0, "F": 0, "Q": 0}
            row |= {"no whole window": 1, "far from an R-peak": 2, "lost": 0.3}
            other = row | {"record": "232", "N": 27, "S": 3, "no whole window": 0, "lost": 2 / 32}
            return [row, other]

        monkeypatch.setattr(datasets, "prepare_mitbih", prepare)
        assert cli.main(["prepare", "mitbih", "--from", str(tmp_path), "--data-dir", "d"]) == 0
        assert asked == [(tmp_path, Path("d"), False)]
        *out, last = capsys.readouterr().out.splitlines()
        assert last == "train on it with: kdjax train student:mitbih --set data.dir=d"
        assert len({len(line) for line in out}) == 1
        cells = [re.split(r"\s{2,}", line.strip()) for line in out]
        names = ["record", "N", "S", "V", "F", "Q", "no whole window", "far from an R-peak", "lost"]
        assert cells[0] == names
        assert cells[1] == ["100", "6", "1", "0", "0", "0", "1", "2", "30.0%"]
        # 37 kept, 1 + 4 lost of 42.
        assert cells[3] == ["all", "33", "4", "0", "0", "0", "1", "4", "11.9%"]

    @pytest.mark.parametrize("exists", [True, False])
    def test_refuses_a_folder_without_records(self, capsys, tmp_path, exists):
        source = tmp_path / "records"
        if exists:
            source.mkdir()
        args = ["prepare", "mitbih", "--from", str(source), "--data-dir", str(tmp_path / "data")]
        assert cli.main(args) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert_one_line(err, "kdjax prepare: ", str(source))


class TestImportBeatgan:
    def test_makes_a_run_of_both_files_each_in_its_place(self, tmp_path, monkeypatch, capsys):
        """What else a run holds is in test_interop.py."""
        with np.load(ROOT / "tests/data/beatgan_w4_c2.npz") as file:
            found = {
                tmp_path / f"{who}.pkl": {
                    name.removeprefix(f"{who}3/"): file[name]
                    for name in file.files
                    if name.startswith(f"{who}3/")
                }
                for who in ("G", "D")
            }
        for path in found:
            path.write_bytes(path.stem.encode())
        monkeypatch.setattr(interop, "read_torch", found.__getitem__)
        generator, discriminator = found
        out = tmp_path / "run"
        args = ["--generator", generator, "--discriminator", discriminator, "--out", out]
        assert cli.main(["import-beatgan", *map(str, args)]) == 0
        assert f"kdjax evaluate {out}" in capsys.readouterr().out
        variables = directory.load_model(out).variables
        for who, state, name in (
            ("generator", found[generator], "encoder1.14.weight"),
            ("discriminator", found[discriminator], "classifier.0.weight"),
        ):
            head = variables[who]["params"]["encoder"]["head"]  # PyTorch's has its axes reversed
            np.testing.assert_array_equal(head, np.transpose(state[name], (2, 1, 0)))

    def test_refuses_files_that_are_not_there(self, tmp_path, capsys):
        args = ["--generator", "none.pkl", "--discriminator", "D.pkl", "--out", str(tmp_path / "r")]
        assert cli.main(["import-beatgan", *args]) == 2
        assert_one_line(capsys.readouterr().err, "kdjax import-beatgan: ")
        assert not (tmp_path / "r").exists()


class TestArguments:
    @pytest.mark.parametrize(
        ("args", "wanted"),
        [
            ([], "COMMAND"),
            (["sing"], "sing"),
            (["detct"], "did you mean detect?"),
            (["detect", "RUN", "a", "--frp", "0.1"], "did you mean --fpr?"),
            (["detect", "RUN", "a", "--unit", "mV"], "did you mean --units?"),
            (["prepare"], "FOLDER"),
            (["prepare", "mitbih", "--from", "here", "--download"], "not allowed with"),
            (["evaluate"], "RUN"),
            (["evaluate", "a", "b"], "b"),
            (["import-beatgan", "--generator", "G"], "--discriminator"),
        ],
    )
    def test_wrong_ones_are_said_in_one_line(self, args, wanted, capsys):
        with pytest.raises(SystemExit) as ended:
            cli.main(args)
        assert ended.value.code == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert_one_line(err, "kdjax", wanted)

    def test_help_is_no_error(self, capsys):
        with pytest.raises(SystemExit) as ended:
            cli.main(["--help"])
        assert ended.value.code == 0
        assert "evaluate" in capsys.readouterr().out


def test_a_broken_pipe_is_no_fault_of_the_input(capsys):
    def work():
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    args = arguments.parser().parse_args(["ec57", "x", "--test", "y"])
    args.called = "kdjax ec57"
    assert status_of(args, work) == 128 + signal.SIGPIPE
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room or choose another"),
        (errno.EACCES, "allow writing there or choose another"),
        (errno.ENOTDIR, "; choose another"),
    ],
)
def test_full_forbidden_and_missing_are_told_apart(number, remedy):
    said = errors.of_disk(OSError(number, os.strerror(number), "a/b.csv"))
    assert said.startswith(f"a/b.csv: {os.strerror(number)}; ")
    assert f"{remedy} folder" in said


class TestArgumentsInMessages:
    def test_they_are_named_as_the_caller_types_them(self, tmp_path, capsys):
        np.save(tmp_path / "a.npy", np.zeros(9000))
        with pytest.raises(InputError, match=r"give them, for example fs=360, units='mV'$"):
            open_source(tmp_path / "a.npy")
        assert cli.main(["detect", "mitbih-w8", str(tmp_path / "a.npy")]) == 2
        said = "give them, for example --fs 360 --units mV\n"
        assert capsys.readouterr().err.endswith(said)
        assert errors.option("leads") == "leads"  # again, after a command
