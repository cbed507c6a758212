"""`kdjax prepare FILE.npz --name NAME`: windows of anything as a data set."""

import contextlib
import io
import json
import re
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
from hypothesis import given
from hypothesis import strategies as st
from record_files import files_below

import kdjax
from kdjax import beats, cli
from kdjax.beats import scale
from kdjax.datasets import load, own_windows, prepare_windows
from kdjax.datasets.own_windows import source
from kdjax.datasets.protocols import split
from kdjax.detection.detector import Detector
from kdjax.embedded import library
from kdjax.errors import InputError
from kdjax.models import networks, sizes
from kdjax.runs import directory, evaluation, export
from kdjax.training import loop

GUIDE = Path(__file__).parents[2] / "docs/guides/own_windows.md"
B, T, C = 12, 40, 2


def arrays(**changes):
    """Twelve windows of three groups; None leaves an array out."""
    rng = np.random.default_rng(0)
    found = {
        "x": rng.normal(5, 3, (B, T, C)),
        "label": np.arange(B) % 4 == 3,
        "group": np.array(["press", "lathe", "mill"])[np.arange(B) % 3],
        "time": np.arange(B)[::-1] / 2,
    } | changes
    return {name: values for name, values in found.items() if values is not None}


def written(folder: Path, **changes) -> Path:
    file = folder / "windows.npz"
    np.savez(file, **arrays(**changes))
    return file


def typed(*args) -> int:
    return cli.main(["prepare", *map(str, args)])


class TestRead:
    def test_windows_are_loaded_by_group_and_time(self, tmp_path):
        rows, remarks = prepare_windows(written(tmp_path), "mine", tmp_path / "data")
        found, given_ = load("mine", tmp_path / "data"), arrays()
        order = np.lexsort((given_["time"], given_["group"]))
        padded = np.pad(given_["x"], ((0, 0), (0, 24), (0, 0)), mode="edge").astype(np.float32)
        assert np.array_equal(found.x, scale(padded)[order])
        assert np.array_equal(found.label, given_["label"][order])
        assert found.record.tolist() == ["lathe"] * 4 + ["mill"] * 4 + ["press"] * 4
        assert np.array_equal(found.sample, given_["time"][order])
        assert (found.classes, found.ecg, found.unit) == (("normal", "abnormal"), False, "window")
        assert rows[0] == {"group": "lathe", "normal": 3, "abnormal": 1}
        assert remarks[0] == "windows of 40 samples, 2 channels"
        assert remarks[1].startswith("padded to 64 samples by repeating the last")
        assert len(remarks) == 2

    def test_classes_have_names_and_the_normal_one_is_first(self, tmp_path):
        label = np.array(["jam", "normal", "bent", "normal"] * 3)
        examples, classes, _ = own_windows.read(written(tmp_path, label=label, group=None))
        assert classes == ("normal", "bent", "jam")
        assert examples[0]["label"][::-1].tolist() == [2, 0, 1, 0] * 3

    def test_x_alone_is_enough_and_what_is_missing_is_said(self, tmp_path):
        file = written(tmp_path, label=None, group=None, time=None)
        (example,), _, remarks = own_windows.read(file)
        assert np.array_equal(example["x"][:, :T], arrays()["x"].astype(np.float32))
        assert (example["record"], example["label"].any()) == ("all", False)
        assert "no AUC" in remarks[2]
        assert remarks[3].startswith("groups: all; the protocol interpatient needs three")

    @pytest.mark.parametrize("dtype", [np.int16, np.uint8, np.float16, np.float64, ">f4"])
    def test_any_real_numbers_will_do(self, tmp_path, dtype):
        x = np.asfortranarray(arrays()["x"].astype(dtype))
        examples, *_ = own_windows.read(written(tmp_path, x=x, group=np.arange(B) % 3))
        assert examples[0]["record"] == "0"
        assert np.array_equal(examples[0]["x"][::-1, :T], x[::3].astype(np.float32))

    def test_the_length_is_what_the_networks_can_halve(self):
        assert beats.MULTIPLE == sizes.REDUCTION

    def test_windows_are_padded_as_they_were_prepared(self, tmp_path):
        """So that a detector takes new windows."""
        x = arrays()["x"].astype(np.float32)
        (example,) = own_windows.read(written(tmp_path, group=None, time=None)).examples
        assert beats.pad(x).shape == (B, 64, C)
        assert (beats.pad(x)[:, T:] == x[:, -1:]).all()
        assert beats.pad(x[:, :32]).shape == (B, 32, C)
        assert np.array_equal(beats.pad(x), example["x"])

    def test_compressed_archives_are_read(self, tmp_path):
        np.savez_compressed(tmp_path / "w.npz", **arrays())
        assert len(own_windows.read(tmp_path / "w.npz").examples) == 3


def shaped(header: str) -> bytes:
    """An array with that header and nothing after it."""
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


def archive(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, data in members.items():
            file.writestr(f"{name}.npy", data)
    return content.getvalue()


CLAIM = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 100000, 100), }"
OBJECTS = "{'descr': '|O', 'fortran_order': False, 'shape': (2, 64, 1), }"
NAN = arrays()["x"].copy()
NAN[3, 7, 1] = np.nan
WIDE, FAR = arrays()["x"].astype(np.float64), arrays()["x"].astype(np.float64)
WIDE[5, :2, 0] = -3e38, 3e38
FAR[2, :, 1] += 1e8


def test_constant_windows_are_remarked_on(tmp_path):
    file = written(tmp_path, x=np.concatenate([np.full((4, T, C), 7.0), arrays()["x"][4:]]))
    _, _, remarks = own_windows.read(file)
    assert remarks[1] == "constant: 4 of 12 windows, which say nothing of a shape"


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"x": None}, r"has no array x; put the windows"),
            ({"label": np.array(["normal", "lost"] * (B // 2))}, "holds 'lost', a column of"),
            ({"x": np.zeros((B, T))}, r"x has shape \(12, 40\); it must be \[windows, samples"),
            ({"x": np.zeros((0, T, C))}, r"x has shape \(0, 40, 2\)"),
            ({"x": np.zeros((B, T, 0))}, r"x has shape \(12, 40, 0\)"),
            ({"x": np.zeros(())}, r"x has shape \(\)"),
            ({"x": np.zeros((B, 15, C))}, "windows of 15 samples; 16 are the fewest"),
            ({"x": np.zeros((B, T, C), complex)}, "x holds complex128; give real numbers"),
            ({"x": np.full((B, T, C), "a")}, "x holds <U1; give real numbers"),
            ({"x": np.full((B, T, C), None)}, "x holds objects; write numbers or text"),
            ({"x": NAN}, r"1 windows hold NaN.*first is x\[3\]; leave them out"),
            ({"x": np.full((B, T, C), 1e300)}, r"12 windows hold NaN, infinity or numbers beyond"),
            ({"x": WIDE}, r"1 windows hold NaN, infinity or numbers beyond.*x\[5\]"),
            ({"x": FAR}, r"1 windows lie too far from 0 for float32.*x\[2\]; subtract each window"),
            ({"label": np.zeros(B - 1, int)}, r"label has shape \(11,\), x has 12 windows"),
            ({"label": np.zeros((B, 1), int)}, r"label has shape \(12, 1\)"),
            ({"label": np.arange(B)}, "label holds 2; give 0 for normal and 1 for abnormal"),
            ({"label": np.zeros(B)}, "label holds float64; give 0 for normal"),
            ({"label": np.array([None] * B)}, "label holds objects"),
            ({"label": np.array([b"normal"] * B)}, r"label holds \|S6; give 0"),
            ({"label": np.array(["N", "V"] * 6)}, "label holds N, V; the normal class must be"),
            ({"label": np.array(["normal", ""] * 6)}, "label holds ''; a name has 1 to 64"),
            ({"label": np.array(["normal", "a\x1b[2J"] * 6)}, r"label holds 'a\\x1b\[2J'"),
            ({"label": np.ones(B, int)}, "no window is labelled as normal"),
            ({"group": np.arange(B) / 3}, "group holds float64; give text or whole numbers"),
            ({"group": np.array(["a" * 65] * B)}, "a name has 1 to 64 printable characters"),
            ({"time": np.array(["now"] * B)}, "time holds <U3; give real numbers"),
            ({"time": np.append(np.arange(B - 1.0), np.inf)}, r"time\[11\] is not finite"),
            ({"y": np.zeros(B)}, r"holds y.npy; it may hold the arrays x, label, group, time"),
        ],
    )
    def test_arrays_that_cannot_be_are_named(self, tmp_path, changes, words, capsys):
        file = written(tmp_path, **changes)
        assert typed(file, "--name", "mine", "--data-dir", tmp_path / "data") == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(rf"kdjax prepare: {re.escape(str(file))}: [^\n]*{words}[^\n]*\n", err)
        assert files_below(tmp_path / "data") == []

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            (b"", "cannot be read"),
            (b"not a zip", "cannot be read"),
            (archive(x=b""), "cannot be read"),
            (archive(x=b"\x93NUMPY\x09\x00rest"), "cannot be read"),
            (archive(x=shaped(OBJECTS)), "x holds objects"),
            (archive(x=shaped(CLAIM)), "x is not as long as it says"),
            (archive(x=shaped("__import__('os')")), "cannot be read"),
            (archive(x=shaped("&40, 64, 1)")), "cannot be read"),  # a header with a wrong bit
            (archive(**{"../x": b""}), r"holds \.\./x\.npy; it may hold"),
        ],
    )
    def test_what_is_no_archive_of_arrays_is_one_line(self, tmp_path, content, words):
        (tmp_path / "w.npz").write_bytes(content)
        with pytest.raises(InputError, match=words) as error:
            own_windows.read(tmp_path / "w.npz")
        assert "\n" not in str(error.value)

    def test_a_flipped_bit_is_noticed(self, tmp_path):
        content = bytearray(written(tmp_path).read_bytes())
        content[2000] ^= 1
        (tmp_path / "w.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"cannot be read .*; write it with numpy.savez"):
            own_windows.read(tmp_path / "w.npz")

    def test_a_changed_byte_of_an_lzma_archive_is_noticed_or_harmless(self, tmp_path):
        with (
            zipfile.ZipFile(written(tmp_path)) as plain,
            zipfile.ZipFile(tmp_path / "w.npz", "w", zipfile.ZIP_LZMA) as packed,
        ):
            for name in plain.namelist():
                packed.writestr(name, plain.read(name))
        whole = (tmp_path / "w.npz").read_bytes()
        expected, *_ = own_windows.read(tmp_path / "w.npz")
        refused = 0
        for place in range(60, 200, 7):
            content = bytearray(whole)
            content[place] ^= 255
            (tmp_path / "w.npz").write_bytes(content)
            try:
                examples, *_ = own_windows.read(tmp_path / "w.npz")
            except InputError:
                refused += 1
            else:
                np.testing.assert_equal(examples, expected)
        assert refused > 10

    @given(st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
    def test_whatever_stands_in_an_archive_is_read_or_refused(self, tmp_path_factory, at, data):
        content = io.BytesIO()
        np.savez(content, **arrays())
        damaged = bytearray(content.getvalue())
        at %= len(damaged)
        damaged[at : at + len(data)] = data
        file = tmp_path_factory.getbasetemp() / "any.npz"
        file.write_bytes(damaged)
        try:
            examples, *_ = own_windows.read(file)
        except InputError:
            return
        assert sum(len(e["x"]) for e in examples) == B

    def test_more_than_the_memory_holds_is_refused_before_it_is_read(self, tmp_path, monkeypatch):
        file = written(tmp_path)
        monkeypatch.setattr(source.os, "sysconf", lambda name: 64)
        with pytest.raises(InputError, match=r"x needs 0 GB of memory.*prepare fewer windows"):
            own_windows.read(file)
        monkeypatch.undo()
        monkeypatch.setattr(source, "_LARGEST", 1000)
        with pytest.raises(InputError, match=r"windows of group lathe exceed .* divide the group"):
            own_windows.read(file)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(InputError, match=r"no such file; name an .npz file"):
            own_windows.read(tmp_path / "w.npz")
        (tmp_path / "w.npz").mkdir()
        with pytest.raises(InputError, match="cannot be read"):
            own_windows.read(tmp_path / "w.npz")

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            ([], "your own data needs a name; give one"),
            (["--name", "mine", "--download"], "--from and --download are for"),
            (["--name", "mine", "--fs", "250"], "--fs is for recordings; leave it out"),
            (["--name", "mine", "--lead", "II"], "--lead is for recordings; leave it out"),
            (["--name", "mitbih"], "--name is mitbih, a data set of kdjax"),
            (["--name", "a b"], "is a letter, followed by letters"),
        ],
    )
    def test_what_does_not_go_together(self, tmp_path, args, words, capsys):
        file = written(tmp_path)
        assert typed(file, *args, "--data-dir", tmp_path / "data") == 2
        assert re.fullmatch(rf"kdjax prepare: [^\n]*{words}[^\n]*\n", capsys.readouterr().err)
        assert files_below(tmp_path / "data") == []


class TestAgain:
    def test_the_same_windows_are_kept_and_others_refused(self, tmp_path):
        first = prepare_windows(written(tmp_path), "mine", tmp_path / "data")
        assert prepare_windows(written(tmp_path), "mine", tmp_path / "data") == first
        for changes in ({"x": arrays()["x"] + 1e-3}, {"label": np.array(["normal", "b"] * 6)}):
            other = written(tmp_path, **changes)
            with pytest.raises(InputError, match="other data is prepared under the name mine"):
                prepare_windows(other, "mine", tmp_path / "data")

    def test_damaged_data_is_one_line(self, tmp_path):
        prepare_windows(written(tmp_path), "mine", tmp_path / "data")
        (damaged,) = (tmp_path / "data/mine").rglob("metadata.json")
        damaged.write_text("{}")
        with pytest.raises(InputError, match=r"holds no data set of kdjax, or it is damaged"):
            load("mine", tmp_path / "data")


# --- training on them ----------------------------------------------------------------------------


def blocks() -> list[str]:
    """The Python of the guide: made-up windows, their scores, ECG5000 as an archive."""
    return re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """The folder in which the guide's made-up windows are prepared, two channels of 128 samples."""
    folder = tmp_path_factory.mktemp("presses")
    with contextlib.chdir(folder):
        exec(blocks()[0], {})
    prepare_windows(folder / "windows.npz", "presses", folder)
    return folder


def test_the_guide_s_recipe_reads_files_of_the_ucr_archive(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).normal(size=(12, 141))
    rows[:, 0] = np.arange(12) % 5 + 1
    np.savetxt("ECG5000_TRAIN.txt", rows[:6])
    np.savetxt("ECG5000_TEST.txt", rows[6:])
    exec(blocks()[2], {})
    (example,), classes, remarks = own_windows.read(Path("ecg5000.npz"))
    assert example["x"].shape == (12, 160, 1)
    assert np.array_equal(example["x"][:, :140, 0], rows[:, 1:].astype(np.float32))
    assert [classes[k] for k in example["label"][:5]] == ["normal", "R-on-T", "PVC", "SP", "UB"]
    assert remarks[1].startswith("padded to 160 samples")


@pytest.mark.parametrize("protocol", ["beatgan", "interpatient"])
def test_both_protocols_part_the_windows(prepared, protocol):
    found = load("presses", prepared)
    parts = split(found, protocol, 0, split_seed=0)
    tested, trained = (set(found.record[p]) for p in (parts.test, parts.train))
    assert (found.label[parts.train] == 0).all()
    assert (found.label[parts.test] == 1).any()
    assert tested.isdisjoint(trained) == (protocol == "interpatient")
    assert len(parts.train) + len(parts.select) + len(parts.calibrate) > 3000


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data__augment": "time_warp"}, "around their R-peak, but presses holds"),
        ({"batch_size": 50000}, "interpatient split of presses trains on .* windows; lower it"),
    ],
)
def test_what_only_beats_allow_is_refused_before_anything_is_written(
    prepared, tmp_path, changes, words
):
    wanted = {"data__dataset": "presses", "data__dir": str(prepared)}
    config = tiny.teacher_config(**wanted, data__protocol="interpatient", **changes)
    with pytest.raises(InputError, match=words):
        loop.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda detector: kdjax.StreamingDetector(detector, 360), "cannot detect any"),
        (library.check_fits, "finds heartbeats, this run was trained on other windows"),
    ],
)
def test_a_detector_of_windows_is_refused_where_an_ecg_is_needed(use, words):
    detector = Detector(networks.Generator(2, 3, 320, 1), {}, 0.5, ecg=False)
    with pytest.raises(InputError, match=words):
        use(detector)


@pytest.mark.slow
def test_windows_are_trained_distilled_evaluated_and_exported(
    prepared, tmp_path, capsys, monkeypatch
):
    device = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: device)
    config = tiny.config(
        data__dataset="presses",
        data__dir=str(prepared),
        data__protocol="interpatient",
        batch_size=64,
        epochs=4,
        teacher__epochs=4,
        **{f"kd__{term}": 0.0 for term in ("reconstruction", "feature", "latent")},  # to compile
    )
    run = tmp_path / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "draw", lambda *_, **__: {})  # `kdjax evaluate` draws them below
        result = loop.train(config, run)
    teacher = directory.read_result(run / "teacher")
    assert min(result["auc"], teacher["auc"]) > 0.9
    assert set(result["per_record"]) < {f"press {n}" for n in range(6)}
    assert not (run / directory.CALIBRATION).exists()
    detector = directory.load_run(run)
    assert (detector.generator.length, detector.generator.channels) == (128, 2)
    with np.load(run / "scores.npz") as scores:
        again = detector.score(load("presses", prepared).x[scores["index"]])
        np.testing.assert_allclose(again, scores["score"], rtol=1e-5)
    monkeypatch.setattr(kdjax, "load_run", lambda _: detector)
    capsys.readouterr()
    monkeypatch.chdir(tmp_path)
    exec("".join(blocks()[:2]), {})
    assert capsys.readouterr().out == "True\n"
    assert cli.main(["evaluate", str(run)]) == 0
    assert capsys.readouterr().out == evaluation.result_block(result) + "\n"
    assert (run / "figures/beats.png").is_file()
    page = (run / "report.html").read_text()
    assert "test windows of 1 group" in page
    hidden = r"<style.*?</style>|<details>.*?</details>|<[^>]*>"
    text = re.sub(hidden, " ", page, flags=re.DOTALL)
    assert not re.search(r"\b(beats?|records?|ECG)\b", text)
    export.export(run, "stablehlo", tmp_path / "run.stablehlo")
    about = json.loads((tmp_path / "run.stablehlo.json").read_text())
    assert (about["window"], about["leads"], about["source"]["dataset"]) == (128, 2, "presses")
    assert not about.keys() & {"sampling_rate", "centre", "before", "filter"}
    for args in (
        ["detect", str(run), "any.hea"],
        ["calibrate", str(run), "any.hea", "--out", str(tmp_path / "c.npz")],
        ["export", str(run), "--format", "c", "--out", str(tmp_path / "c")],
        ["export", str(run), "--format", "onnx", "--int8", "--out", str(tmp_path / "o.onnx")],
    ):
        assert cli.main(args) == 2
        assert re.fullmatch(r"kdjax \w+: [^\n]*windows[^\n]*\n", capsys.readouterr().err)
    assert not (tmp_path / "c").exists()
