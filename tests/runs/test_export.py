"""An exported file says what the Detector says, without kdjax."""

import contextlib
import errno
import hashlib
import json
import re
import sys
import tomllib
from pathlib import Path

import jax
import numpy as np
import onnx
import pytest
import scipy.signal
from drawn import drawn, settled

import kdjax
from kdjax import beats, cli
from kdjax import files as written
from kdjax.detection.detector import Detector
from kdjax.errors import InputError
from kdjax.files import write_json, write_sealed
from kdjax.models import folded as folding
from kdjax.models.networks import Discriminator, Generator
from kdjax.runs import checkpoints, directory, export, onnx_model
from kdjax.runs.export import FORMATS, ParityError

ROOT = Path(kdjax.__file__).parents[1]
DOCS = ROOT / "docs/guides/export.md"
FINGERPRINTS = {"data": "d" * 64, "split": "s" * 64, "config": "c" * 64, "model": "m" * 64}
READ = {"onnx": onnx_model.read_onnx, "stablehlo": export.read_stablehlo}
OUTPUTS = {"score", "abnormal", "x", "x_hat"}


def make_detector(width=2, latent_dim=3, leads=1, output_bias=True):
    """With a threshold that half of `probes` lie above."""
    generator = Generator(width, latent_dim, beats.WINDOW, leads, output_bias)
    noise = np.random.default_rng(0).normal(0, 0.5, (20 * beats.WINDOW, leads))
    x = beats.scale(beats.bandpass(noise, beats.FS).reshape(20, beats.WINDOW, leads))
    variables = settled(drawn(generator, (beats.WINDOW, leads)), x)
    detector = Detector(generator, variables)
    score = detector.score(beats.scale(export.probes(detector)))
    return Detector(generator, variables, float(np.median(score)) + 1e-9)


def write_run(folder, detector, **changes):
    """A finished run of the detector's network, as far as `load_run` looks."""
    g = detector.generator
    model = {"width": g.width, "latent_dim": g.latent_dim, "output_bias": g.output_bias}
    critic = Discriminator(g.width)
    variables = {
        "generator": jax.tree.map(np.asarray, detector.variables),
        "discriminator": jax.tree.map(np.asarray, drawn(critic, (g.length, g.channels))),
    }
    checkpoints.save_checkpoint(
        folder / checkpoints.LAST,
        1,
        variables,
        optimizer=None,
        progress={"channels": g.channels},
        keep=1,
    )
    write_json(folder / directory.CONFIG, {"imported": {}, "model": model})
    row = {"fpr_target": 0.02, "threshold": detector.threshold}
    result = {"auc": 0.9, "ap": 0.8, "label_free": [row], "oracle": {}, "dataset": "mitbih"}
    fingerprints = FINGERPRINTS | {"model": directory.load_model(folder).fingerprint}
    result |= {"protocol": "beatgan", "fold": 3, "fingerprints": fingerprints}
    write_sealed(folder / directory.RESULT, result | changes)
    return folder


@pytest.fixture(scope="module")
def detector():
    return make_detector()


@pytest.fixture(scope="module")
def run(detector, tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("export") / "run", detector)


@pytest.fixture(scope="module")
def files(run):
    """A file of the run in each format."""
    found = {form: run.parent / f"detector.{form}" for form in FORMATS}
    for form, out in found.items():
        export.export(run, form, out)
    return found


def kdjax_export(*args):
    try:
        return cli.main(["export", *map(str, args)])
    except SystemExit as exit:
        return exit.code


def metadata(files, form):
    if form == "onnx":
        properties = onnx.load(files[form]).metadata_props
        return {p.key: json.loads(p.value) for p in properties}
    return json.loads(Path(f"{files[form]}.json").read_text())


class TestParity:
    @pytest.mark.parametrize("form", FORMATS)
    def test_a_file_gives_the_detectors_answers_for_any_batch(self, files, detector, form):
        call = READ[form](files[form].read_bytes())
        windows = export.probes(detector)
        for n in (1, 2, 3, 50):
            part = windows[-n:]
            found = {name: np.asarray(array) for name, array in call(part).items()}
            assert found.keys() == OUTPUTS
            x = beats.scale(part)
            score = detector.score(x)
            np.testing.assert_allclose(found["x"], x, rtol=0, atol=1e-6)
            np.testing.assert_allclose(found["x_hat"], detector.reconstruct(x), atol=1e-6)
            np.testing.assert_allclose(found["score"], score, rtol=1e-5)
            np.testing.assert_array_equal(found["abnormal"], score > detector.threshold)
            assert found["abnormal"].dtype == bool

    @pytest.mark.parametrize("form", FORMATS)
    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_window_that_holds_no_number_is_abnormal(self, files, detector, form, value):
        windows = export.probes(detector)[-3:].copy()
        windows[1, 9, 0] = value
        found = READ[form](files[form].read_bytes())(windows)
        assert np.isposinf(found["score"]).tolist() == [False, True, False]
        assert found["abnormal"][1]
        with np.errstate(invalid="ignore"):
            x = beats.scale(windows)
        for score in (detector.score(x), detector.score(x[1:2])):
            assert np.isposinf(score).sum() == 1

    @pytest.mark.slow
    def test_of_another_size_with_twelve_leads_as_well(self):
        detector = make_detector(width=3, latent_dim=1, leads=12, output_bias=False)
        assert export.check(onnx_model.read_onnx(onnx_model.to_onnx(detector, {})), detector) < 1e-5
        assert export.check(export.read_stablehlo(export.to_stablehlo(detector)), detector) < 1e-5

    def test_the_probes_are_of_both_decisions_and_hold_what_is_odd(self):
        detector = make_detector(leads=2)
        windows = export.probes(detector)
        abnormal = detector.score(beats.scale(windows)) > detector.threshold
        assert 0.25 < abnormal.mean() < 0.75
        flat = np.ptp(windows, axis=1) == 0
        assert flat.all(axis=1).any()
        assert (flat[:, 0] & ~flat[:, 1]).any()
        span = np.ptp(windows[~flat.any(axis=1)], axis=1)
        assert span.min() < 0.01
        assert span.max() > 100
        np.testing.assert_array_equal(windows, export.probes(detector))

    @pytest.mark.parametrize(
        ("name", "wrong"),
        [
            pytest.param("score", lambda a: a * np.float32(1 + 3e-5), id="score"),
            pytest.param("score", lambda a: np.where(a == a.max(), np.nan, a), id="NaN"),
            pytest.param("x", lambda a: a + np.float32(1e-4), id="scaling"),
            pytest.param("x_hat", lambda a: a[:, ::-1], id="reconstruction"),
            pytest.param("abnormal", lambda a: ~a, id="decisions"),
        ],
    )
    def test_a_file_that_differs_in_one_output_is_refused(self, files, detector, name, wrong):
        call = onnx_model.read_onnx(files["onnx"].read_bytes())
        assert export.check(call, detector) < 1e-5
        with pytest.raises(ParityError, match=name):
            export.check(lambda w: (found := call(w)) | {name: wrong(found[name])}, detector)

    @pytest.mark.parametrize("form", FORMATS)
    def test_a_file_of_other_weights_is_never_written(self, run, tmp_path, monkeypatch, form):
        def fold(variables):
            folded = folding.fold(variables)
            bias = folded.tail.bias + np.float32(1e-3)
            return folded._replace(tail=folded.tail._replace(bias=bias))

        for module in (export, onnx_model):
            monkeypatch.setattr(module, "fold", fold)
        with pytest.raises(ParityError, match="on one of"):
            kdjax_export(run, "--format", form, "--out", tmp_path / f"file.{form}")
        assert list(tmp_path.iterdir()) == []


class TestFile:
    @pytest.mark.parametrize("form", FORMATS)
    def test_the_same_run_gives_the_same_bytes_without_paths(self, files, run, tmp_path, form):
        export.export(run, form, tmp_path / "again")
        again = (tmp_path / "again").read_bytes()
        assert hashlib.sha256(again).digest() == hashlib.sha256(files[form].read_bytes()).digest()
        assert str(Path(kdjax.__file__).parent).encode() not in again
        assert str(run).encode() not in again

    @pytest.mark.parametrize("form", FORMATS)
    def test_metadata_says_how_the_input_is_made_and_what_is_decided(
        self, files, run, detector, form
    ):
        about = metadata(files, form)
        numbers = {"window": 320, "before": 140, "sampling_rate": 360, "leads": 1}
        assert numbers.items() <= about.items()
        assert about["threshold"] == detector.threshold
        assert about["kdjax"] == kdjax.__version__
        assert about["weights"] == directory.fingerprint(detector.variables)
        assert about["lead_names"] is None
        source = {"fpr_target": 0.02, "dataset": "mitbih", "protocol": "beatgan", "fold": 3}
        fingerprints = FINGERPRINTS | {"model": directory.load_model(run).fingerprint}
        assert about["source"] == source | {"fingerprints": fingerprints}

    def test_the_filter_is_the_one_that_metadata_names(self, files):
        about = metadata(files, "onnx")["filter"]
        low, high, order = map(int, re.match(r"band-pass (\d+)-(\d+) .* (\d+) \(", about).groups())
        signal = np.random.default_rng(0).normal(size=3000)
        taps = scipy.signal.firwin(order + 1, [low, high], pass_zero=False, fs=360)
        named = scipy.signal.filtfilt(taps, 1, signal)
        np.testing.assert_allclose(beats.bandpass(signal, 360), named, rtol=0, atol=2.0**-14)

    def test_an_onnx_file_is_checked_and_its_batch_is_free(self, files):
        model = onnx.load(files["onnx"])
        onnx.checker.check_model(model, full_check=True)
        (windows,) = model.graph.input
        sizes = [d.dim_param or d.dim_value for d in windows.type.tensor_type.shape.dim]
        assert (windows.name, sizes) == ("windows", ["batch", 320, 1])
        assert {output.name for output in model.graph.output} == OUTPUTS

    def test_a_file_that_is_there_is_replaced(self, run, files, tmp_path):
        out = tmp_path / "deep" / "detector.onnx"
        out.parent.mkdir()
        out.write_text("older")
        assert kdjax_export(run, "--format", "onnx", "--out", out) == 0
        assert out.read_bytes() == files["onnx"].read_bytes()
        assert [p.name for p in out.parent.iterdir()] == ["detector.onnx"]


class TestWrongInput:
    @pytest.fixture
    def refused(self, capsys, tmp_path):
        """Asserts exit status 2, one line with the words, and no file."""

        def check(*args, wanted, out=None):
            before = sorted(tmp_path.rglob("*"))
            ending = args[args.index("--format") + 1] if "--format" in args else ""
            status = kdjax_export(*args, "--out", out or tmp_path / f"file.{ending}")
            said = capsys.readouterr().err
            assert status == 2
            assert said.count("\n") == 1
            for word in wanted:
                assert word in said
            assert sorted(tmp_path.rglob("*")) == before

        return check

    def test_another_format(self, refused, run):
        refused(run, "--format", "tflite", wanted=["tflite", "onnx", "stablehlo"])

    def test_no_format(self, refused, run):
        refused(run, wanted=["--format"])

    def test_a_recording_is_not_written_over(self, run, refused, tmp_path):
        (tmp_path / "ecg.npy").write_text("of mine")
        refused(
            run, "--format", "onnx", out=tmp_path / "ecg.npy", wanted=["ecg.npy", "a .onnx file"]
        )
        assert (tmp_path / "ecg.npy").read_text() == "of mine"

    def test_no_run(self, refused, tmp_path):
        refused(tmp_path / "none", "--format", "onnx", wanted=["none"])

    def test_an_unfinished_run(self, refused, tmp_path):
        (tmp_path / "started").mkdir()
        refused(tmp_path / "started", "--format", "onnx", wanted=["started", "no config.json"])

    @pytest.mark.parametrize("form", FORMATS)
    def test_a_folder_for_a_file(self, refused, run, tmp_path, form):
        refused(run, "--format", form, out=tmp_path, wanted=[str(tmp_path), "name a file"])

    def test_a_file_for_a_folder(self, refused, run, tmp_path):
        (tmp_path / "taken").write_text("")
        out = tmp_path / "taken" / "file.onnx"
        refused(run, "--format", "onnx", out=out, wanted=["taken"])

    def test_a_run_without_a_threshold(self, refused, run, detector, tmp_path):
        rows = [{"fpr_target": 1e-4, "threshold": None}]
        bare = write_run(tmp_path / "bare", detector, label_free=rows)
        refused(bare, "--format", "stablehlo", wanted=["bare", "no threshold", "fpr_targets"])

    def test_a_run_without_its_first_threshold_says_which_it_has(self, detector, tmp_path, capsys):
        rows = [
            {"fpr_target": 0.01, "threshold": None},
            {"fpr_target": 0.05, "threshold": detector.threshold},
        ]
        run, out = write_run(tmp_path / "run", detector, label_free=rows), tmp_path / "x.stablehlo"
        assert cli.main(["export", str(run), "--format", "stablehlo", "--out", str(out)]) == 0
        assert "false-positive rate of 0.05; what was held out is too little for 0.01" in (
            capsys.readouterr().err
        )
        about = json.loads((tmp_path / "x.stablehlo.json").read_text())
        assert about["source"]["fpr_target"] == 0.05
        assert about["threshold"] == detector.threshold

    @pytest.mark.parametrize("missing", ["onnx", "onnxruntime"])
    def test_onnx_that_is_not_installed(self, refused, run, monkeypatch, missing):
        monkeypatch.setitem(sys.modules, missing, None)  # as Python marks what it must not find
        wanted = [f"needs {missing},", "pip install -e '.[onnx]'"]
        refused(run, "--format", "onnx", wanted=wanted)

    def test_what_jax_needs_to_write_stablehlo_is_no_extra(self):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert any(name.startswith("flatbuffers") for name in project["dependencies"])

    def test_stablehlo_has_no_int8(self, run, refused):
        refused(run, "--format", "stablehlo", "--int8", wanted=["--int8 goes with"])

    def test_in_python_another_format_is_wrong_input_too(self, run, tmp_path):
        with pytest.raises(InputError, match="'tflite'; choose from onnx, stablehlo"):
            export.export(run, "tflite", tmp_path / "file")


def test_the_examples_of_the_docs_find_what_the_detector_finds(files, detector, tmp_path, capsys):
    marked = r"<!-- executed by tests/runs/test_export.py -->\n```python\n(.*?)```"
    with_onnx, with_jax = re.findall(marked, DOCS.read_text(), re.DOTALL)
    assert "kdjax" not in with_onnx + with_jax
    ecg = np.random.default_rng(5).normal(0, 0.5, 8000)
    peaks = np.arange(1000, 7000, 50)
    np.save(tmp_path / "ecg.npy", ecg)
    np.save(tmp_path / "r_peaks.npy", np.array([100, *peaks, 7900]))
    for file in files.values():
        (tmp_path / file.name).write_bytes(file.read_bytes())

    namespace = {}
    with contextlib.chdir(tmp_path):
        exec(with_onnx, namespace)
        windows = beats.windows(beats.bandpass(ecg, 360)[:, None], peaks)
        score = detector.score(beats.scale(windows))
        np.testing.assert_allclose(namespace["score"], score, rtol=1e-3)  # the filter's grid
        abnormal = namespace["abnormal"]
        assert capsys.readouterr().out.count("abnormal beat at") == abnormal.sum() > 0
        exec(with_jax, namespace)
    np.testing.assert_array_equal(namespace["abnormal"], abnormal)


def test_a_library_of_c_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    sources = {"kdjax.c": b"int main;", "Makefile": b"all:"}
    for room, name, value in (
        (export.directory, "load_run", None),
        (export.library, "integers", None),
        (export.library, "test_signal", None),
        (export.stream, "decide", None),
        (export.library, "check", "parity"),
        (export.library, "files", sources),
        (export.library, "readme", "read me"),
        (export, "metadata", {}),
    ):
        monkeypatch.setattr(room, name, lambda *_, value=value, **__: value)

    def full(path):
        if path.name.startswith("Makefile"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(written, "_flush", full)
        with pytest.raises(OSError, match="No space"):
            export.export_c("run", tmp_path / "library")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert export.export_c("run", tmp_path / "library") == "parity"
    assert {path.name for path in (tmp_path / "library").iterdir()} == {*sources, "README.md"}
