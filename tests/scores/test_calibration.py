"""What a calibration promises, and its way into a file and back."""

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdjax.detection import detector_files
from kdjax.errors import InputError
from kdjax.files import write_sealed
from kdjax.runs import directory
from kdjax.scores import calibration
from kdjax.scores.calibration import Calibration, own_threshold
from kdjax.scores.fitted import Evidence, FittedScore


def made(normal):
    score = FittedScore("mse", "none", {})
    normal = np.sort(normal)
    beat = np.zeros((4, 1), np.float32)
    return Calibration(
        score=score,
        normal=normal,
        moved=normal + 1,
        leads=("MLII",),
        beat=beat,
        model="model",
        source="made up",
    )


def evidence(n, seed=0, people=3):
    rng = np.random.default_rng(seed)
    record = np.sort(rng.integers(people, size=n))
    residual = rng.normal(0, 0.1, (n, 32, 1)) * (1 + record)[:, None, None]
    rhythm = np.stack([np.log(0.8) * np.ones(n), rng.normal(0, 0.2, n)], axis=1)
    sample = 290 * np.arange(n)
    return Evidence(
        residual, rng.normal(size=(n, 5)), np.full(n, np.nan), rhythm, record, sample, 360
    )


@given(st.integers(1, 400), st.floats(0.005, 0.9))
def test_at_most_the_asked_share_of_normal_beats_is_above_the_threshold(n, fpr):
    """Of n + 1 exchangeable scores, whichever is the new one: Vovk et al. 2005."""
    scores = np.random.default_rng(n).permutation(n + 1).astype(float)
    above = []
    try:
        for new in range(n + 1):
            above.append(scores[new] > made(np.delete(scores, new)).threshold(fpr))
    except InputError:
        assert n < 1 / fpr - 1 + 1e-6
    else:
        assert np.mean(above) <= fpr + 1e-9


@pytest.mark.parametrize(("fpr", "says"), [(0.0, "between 0 and 1"), (1e-3, "ask for 0.091")])
def test_a_rate_that_cannot_be_promised_is_refused(fpr, says):
    with pytest.raises(InputError, match=says):
        made(np.arange(10.0)).threshold(fpr)


def test_half_of_the_beats_fit_the_score_and_the_others_are_its_normal_ones():
    normal = evidence(400)
    x = np.zeros((400, 32, 1), np.float32)
    found = calibration.calibrate(normal, x, ["II"], model="model", source="somebody")
    rest = np.sort(np.lexsort([normal.sample, normal.record])[1::2])
    expected = np.sort(found.score.score(normal.of(rest)))
    np.testing.assert_array_equal(found.normal, expected)
    moved = calibration.adapting_to_all(found.score).score(normal.of(rest))
    np.testing.assert_array_equal(found.moved, np.sort(moved))
    assert (found.leads, found.model, found.source) == (("II",), "model", "somebody")


def test_the_beats_that_set_the_thresholds_have_no_part_in_the_score():
    """Their scores are like those of new normal beats only if the score never saw them."""
    normal, x = evidence(400), np.zeros((400, 32, 1), np.float32)
    rest = np.lexsort([normal.sample, normal.record])[1::2]
    residual, z = normal.residual.copy(), normal.z.copy()
    residual[rest] **= 3
    z[rest] **= 3
    one, other = (
        calibration.calibrate(some, x, ["II"], model="model", source="somebody")
        for some in (normal, normal._replace(residual=residual, z=z))
    )
    assert one.score.arrays.keys() == other.score.arrays.keys()
    for name, values in one.score.arrays.items():
        np.testing.assert_array_equal(values, other.score.arrays[name], err_msg=name)
    assert not np.allclose(one.normal, other.normal)


def test_too_few_beats_are_refused():
    with pytest.raises(InputError, match="199 beats"):
        calibration.calibrate(
            evidence(199), np.zeros((199, 32, 1)), ["II"], model="m", source="somebody"
        )


def test_a_file_gives_the_same_calibration_back(tmp_path):
    normal = evidence(400)
    found = calibration.calibrate(
        normal, np.ones((400, 32, 1), np.float32), ["II"], model="m", source="me"
    )
    file = tmp_path / "c.npz"
    file.write_bytes(detector_files.calibration_bytes(found))
    back = detector_files.read_calibration(file)
    np.testing.assert_array_equal(back.score.score(normal), found.score.score(normal))
    np.testing.assert_array_equal(back.normal, found.normal)
    np.testing.assert_array_equal(back.moved, found.moved)
    np.testing.assert_array_equal(back.beat, found.beat)
    assert (back.leads, back.model, back.source) == (("II",), "m", "me")
    assert back.score.kind == "fusion"
    assert detector_files.calibration_bytes(back) == file.read_bytes()


@given(data=st.data())
def test_a_file_that_is_no_calibration_is_refused_in_one_line(data, tmp_path_factory):
    file = tmp_path_factory.mktemp("c") / "c.npz"
    content = detector_files.calibration_bytes(made(np.arange(10.0)))
    cut = data.draw(st.integers(0, len(content) - 1))
    file.write_bytes(content[:cut])
    with pytest.raises(InputError, match=r"c\.npz: not a calibration"):
        detector_files.read_calibration(file)


def test_a_file_of_another_kind_is_refused_in_words_of_our_own(tmp_path):
    np.save(tmp_path / "array.npy", np.arange(10.0))
    np.savez(tmp_path / "windows.npz", x=np.arange(10.0))
    (tmp_path / "table.npz").write_text("II\n0.25\n")
    for file in tmp_path.iterdir():
        with pytest.raises(InputError) as refused:
            detector_files.read_calibration(file)
        assert str(refused.value) == (
            f"{file}: not a calibration, or damaged; name an .npz file that kdjax calibrate wrote, "
            "or make it again"
        )
    with pytest.raises(InputError, match="is a folder; name the"):
        detector_files.read_calibration(tmp_path)
    content = detector_files.calibration_bytes(made(np.arange(10.0)))
    with np.load(io.BytesIO(content)) as arrays:
        np.savez(tmp_path / "old.npz", **{**arrays, "format": np.array(0)})
    with pytest.raises(InputError, match=r"another version of kdjax \(its format is 0, not 1\)"):
        detector_files.read_calibration(tmp_path / "old.npz")


def test_a_calibration_of_another_network_is_refused(tmp_path):
    """Its numbers would fit no beat of this one."""
    detector = directory.load_run("mitbih-w8")
    file = tmp_path / "other.npz"
    file.write_bytes(detector_files.calibration_bytes(made(np.arange(10.0))))
    with pytest.raises(InputError, match=r"other\.npz: made for another detector"):
        detector_files.recalibrated(detector, file)
    own = replace(detector.calibration, source="me")
    file.write_bytes(detector_files.calibration_bytes(own))
    assert detector_files.recalibrated(detector, file).calibration.source == "me"


def test_a_pickle_is_never_loaded(tmp_path):
    file = tmp_path / "c.npz"
    np.savez(file, format=np.array([print], object))
    with pytest.raises(InputError, match="not a calibration"):
        detector_files.read_calibration(file)


def test_thresholds_by_a_person_s_own_beats_leave_out_those_believed_abnormal():
    """100 normal scores 0..99 and 25 abnormal ones above: a fifth is abnormal."""
    score = np.concatenate([np.arange(100.0), 1000 + np.arange(25.0)])
    assert (score[:100] > own_threshold(score, 0.05, 0.2)).mean() == pytest.approx(0.05, abs=0.01)
    assert own_threshold(score, 0.05, 0.0) > 1000
    assert own_threshold(score, 0.05, 0.5) < 60
    half = np.concatenate([np.arange(100.0), 1000 + np.arange(100.0)])
    assert (half[:100] > own_threshold(half, 0.1, 0.5)).mean() == pytest.approx(0.1, abs=0.01)


# --- the detector that comes with the package ---------------------------------------------------


def test_the_shipped_detector_is_whole_and_says_what_it_is():
    ((name, folder),) = detector_files.shipped().items()
    assert name == "mitbih-w8"
    card = detector_files.read_card(folder)["card"]
    assert "ODC-BY" in card["data"]
    assert card["figures"]["mean squared error"]["auc"]["n"] == 10
    detector = directory.load_run(name)
    assert detector.generator.width == 8
    assert detector.calibration.leads == ("MLII",)
    assert 0 < detector.calibration.threshold(0.01) < np.inf


def test_a_card_nested_too_deeply_is_refused(tmp_path):
    (tmp_path / detector_files.CARD).write_text("[" * 100_000)
    with pytest.raises(InputError, match=detector_files.CARD):
        detector_files.read_card(tmp_path)


def test_a_card_of_another_format_is_refused(tmp_path):
    write_sealed(tmp_path / detector_files.CARD, {"format": 0})
    with pytest.raises(InputError, match=r"card\.json: its format is not 1; install kdjax again"):
        detector_files.read_card(tmp_path)


def test_a_damaged_shipped_file_is_noticed(tmp_path):
    folder = detector_files.shipped()["mitbih-w8"]
    for name in (detector_files.WEIGHTS, detector_files.CALIBRATION):
        for file in folder.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        content = bytearray((folder / name).read_bytes())
        content[len(content) // 2] ^= 1
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=f"{name}: damaged"):
            detector_files.read(tmp_path)
