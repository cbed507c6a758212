"""Rules of the comparison, one by one, and what holds for any two annotators."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax import ec57
from kdjax.ec57 import pairing, rates, runs
from kdjax.errors import InputError
from kdjax.recordings import Annotations

FS = 360
ROW = {letter: k for k, letter in enumerate("NSVFQOX")}
SYMBOLS = 'NLRBejAaJSnVErF/fQ?~+|"x'


def annotator(text: str, every: int = 300, first: int = 1000, **notes: str) -> Annotations:
    """A symbol every 300 samples; '_' is no annotation. `notes`: by place, as at3="(AFIB"."""
    kept = [k for k, symbol in enumerate(text) if symbol != "_"]
    return Annotations(
        np.array([first + every * k for k in kept], np.int64),
        np.array([text[k].replace("X", "~") for k in kept], "<U1"),
        np.array([-1 if text[k] == "X" else 0 for k in kept], np.int64),
        np.array([notes.get(f"at{k}", "") for k in kept], "<U8"),
    )


def compare(
    reference: Annotations, test: Annotations, start: float = 0.0, classes=ec57.CLASSES["wfdb"]
) -> ec57.Comparison:
    return ec57.compare(reference, test, FS, start=start, classes=classes)


def cells(result: ec57.Comparison) -> dict[str, int]:
    """The cells that are not empty, as {'Nv': 1}."""
    rows, columns = result.beats.matrix.nonzero()
    counts = result.beats.matrix[rows, columns].tolist()
    names = ["NSVFQOX"[r] + "nsvfqox"[c] for r, c in zip(rows, columns, strict=True)]
    return dict(zip(names, counts, strict=True))


def test_the_example_of_the_package_runs(capsys):
    places = {"sample": np.arange(1, 4) * 120_000, "symbol": np.array(list("NVN"))}
    exec(ec57.__doc__.partition("\n\n")[2], places)
    assert "Test annotator: kdjax" in capsys.readouterr().out


class TestBeats:
    def test_a_beat_150_ms_away_is_the_same_and_one_sample_more_is_not(self):
        reference = annotator("N", first=1000)
        assert cells(compare(reference, annotator("V", first=1054))) == {"Nv": 1}
        assert cells(compare(reference, annotator("V", first=1055))) == {"No": 1, "Ov": 1}

    def test_the_window_is_150_ms_at_any_rate(self):
        reference = annotator("N", first=1000)
        for apart, same in ((37, True), (38, False)):
            test = annotator("N", first=1000 + apart)
            assert ("Nn" in cells(ec57.compare(reference, test, 250, start=0.0))) == same

    def test_the_nearer_of_two_beats_is_the_partner(self):
        assert cells(compare(annotator("NS", every=40), annotator("V", first=1030))) == {
            "No": 1,
            "Sv": 1,
        }
        assert cells(compare(annotator("V", first=1030), annotator("NS", every=40))) == {
            "On": 1,
            "Vs": 1,
        }

    def test_of_two_beats_equally_near_the_earlier_is_the_partner(self):
        assert cells(compare(annotator("NS", every=40), annotator("V", first=1020))) == {
            "Nv": 1,
            "So": 1,
        }
        assert cells(compare(annotator("V", first=1020), annotator("NS", every=40))) == {
            "Vn": 1,
            "Os": 1,
        }

    def test_the_first_five_minutes_are_left_out(self):
        reference = annotator("NV", every=1, first=300 * FS - 1)
        assert cells(ec57.compare(reference, reference, FS)) == {"Vv": 1}

    def test_beats_missed_in_shutdown_are_counted_apart(self):
        result = compare(annotator("NNNVNN"), annotator("NX__~N", first=1000))
        assert cells(result) == {"Nn": 2, "Nx": 3, "Vx": 1}
        assert result.beats.shutdown == pytest.approx(900 / FS)

    def test_one_mark_of_shutdown_reaches_from_the_beat_before_to_the_one_after(self):
        result = compare(annotator("NNVNNN"), annotator("N__X_N", first=1000))
        assert cells(result) == {"Nn": 2, "Nx": 3, "Vx": 1}
        assert result.beats.shutdown == pytest.approx((5 * 300 - 2 * 54) / FS)

    @pytest.mark.parametrize(("start", "samples"), [(0, 600), (1600, 300), (2000, 0)])
    def test_shutdown_before_the_test_period_is_not_counted(self, start, samples):
        result = compare(annotator("NNNNN"), annotator("NX_~N"), start=start / FS)
        assert result.beats.shutdown == pytest.approx(samples / FS)

    def test_noise_on_one_signal_of_two_is_no_shutdown(self):
        """Only where both cannot be read did the detector have nothing to go by."""
        place, symbol = np.array([1000, 1300, 2500]), np.array(["N", "~", "N"])
        for subtype, column in ((0x10, "o"), (0x20, "o"), (0x01, "o"), (0x30, "x")):
            test = Annotations(place, symbol, np.array([0, subtype, 0]))
            found = cells(compare(annotator("NNNVNN"), test))
            assert found == {"Nn": 2, f"N{column}": 3, f"V{column}": 1}

    def test_shutdown_of_the_reference_excuses_nothing_but_has_its_row(self):
        assert cells(compare(annotator("NX_~N"), annotator("NNVNN"))) == {
            "Nn": 2,
            "Xn": 2,
            "Xv": 1,
        }

    def test_beats_in_flutter_are_not_extra(self):
        assert cells(compare(annotator("N[!!]N"), annotator("NVVVVN"))) == {"Nn": 2}

    def test_escape_beats_are_supraventricular_to_bxb_and_normal_to_aami(self):
        reference, test = annotator("ejN"), annotator("NNN")
        assert cells(compare(reference, test)) == {"Sn": 2, "Nn": 1}
        assert cells(compare(reference, test, classes=ec57.CLASSES["aami"])) == {"Nn": 3}

    def test_rr_error(self):
        reference = annotator("NNN")
        test = Annotations(np.array([1000, 1336, 1600]), np.array(["N"] * 3))
        expected = 100 * np.sqrt((1 + 1) / 2)  # both intervals are 100 ms off
        assert compare(reference, test).beats.rr_error == pytest.approx(expected)

    @pytest.mark.parametrize(
        "option", [{"start": -1.0}, {"start": np.inf}, {"match": np.nan}, {"fs": 0.0}]
    )
    def test_an_impossible_setting_is_refused(self, option):
        with pytest.raises(InputError, match="must"):
            ec57.compare(annotator("N"), annotator("N"), **({"fs": FS} | option))

    def test_many_beats_and_shutdowns_take_little_time(self):
        text = annotator("NNX~NVVN" * 5_000)
        began = time.process_time()
        assert compare(text, text).beats.matrix.sum() == 6 * 5_000
        assert time.process_time() - began < 5


class TestRates:
    def test_fusion_and_unclassifiable_beats_called_ventricular_are_neither(self):
        matrix = np.zeros((7, 7), np.int64)
        matrix[[ROW[row] for row in "NSVFQO"], ROW["V"]] = [1, 2, 10, 4, 5, 3]
        assert rates.of_beats(matrix)["V +P"] == (10, 16)

    def test_fusion_beats_called_supraventricular_are_false_for_a_record_but_not_gross(self):
        matrix = np.zeros((7, 7), np.int64)
        matrix[[ROW[row] for row in "NSVFQO"], ROW["S"]] = [1, 10, 2, 4, 5, 3]
        assert rates.of_beats(matrix)["S +P"] == (10, 20)
        assert rates.of_beats(matrix, gross=True)["S +P"] == (10, 16)

    def test_false_positive_rate_counts_beats_of_other_classes(self):
        matrix = np.zeros((7, 7), np.int64)
        matrix[0, 0], matrix[0, 2], matrix[5, 2], matrix[2, 2] = 97, 2, 1, 50
        assert rates.of_beats(matrix)["V FPR"] == (3, 100)


def lengths(counts: np.ndarray) -> tuple[int, ...]:
    return tuple(counts.tolist())


class TestRuns:
    @pytest.mark.parametrize(
        ("beats", "expected"),
        [(1, (0, 0, 0)), (2, (1, 0, 0)), (3, (0, 1, 0)), (5, (0, 1, 0)), (6, (0, 0, 1))],
    )
    def test_lengths(self, beats, expected):
        text = annotator("N" + "V" * beats + "N")
        assert lengths(compare(text, text).ventricular.detected) == expected
        assert lengths(compare(text, annotator("N" * (beats + 2))).ventricular.missed) == expected

    def test_a_longer_run_detects_a_shorter_one_but_not_the_reverse(self):
        couplet, run = annotator("NVVNNN"), annotator("NVVVVN")
        assert lengths(compare(couplet, run).ventricular.detected) == (1, 0, 0)
        assert lengths(compare(run, couplet).ventricular.missed) == (0, 1, 0)

    @pytest.mark.parametrize(("off", "same"), [(54, True), (-54, True), (55, False), (-55, False)])
    def test_runs_are_at_the_same_time_up_to_150_ms(self, off, same):
        result = compare(annotator("NVVN"), annotator("NVVN", first=1000 + off)).ventricular
        assert (lengths(result.detected)[0], lengths(result.missed)[0]) == (same, not same)

    def test_fusion_beats_and_flutter_are_ventricular(self):
        assert lengths(compare(annotator("NFVN"), annotator("NVFN")).ventricular.detected)[0] == 1
        assert lengths(compare(annotator("N[!]N"), annotator("NNNNN")).ventricular.missed)[2] == 1

    def test_a_shutdown_ends_a_run(self):
        result = compare(annotator("NVNNVVN"), annotator("NVX~VVN"))
        assert lengths(result.ventricular.true) == (1, 0, 0)

    def test_normal_beats_in_atrial_fibrillation_are_a_long_run_where_it_begins(self):
        reference = annotator("VN+NNVNNV+N", at2="(AFIB", at9="(N")
        result = compare(reference, annotator("VNNNNVNNVNN"))
        assert lengths(result.supraventricular.missed) == (1, 0, 1)

    def test_atrial_flutter_in_a_run_goes_on_counting(self):
        reference = annotator("NA+NNN+N", at2="(AFL", at6="(N")
        result = compare(reference, annotator("NNNNNNNN"))
        assert lengths(result.supraventricular.missed) == (0, 1, 0)

    def test_fibrillation_that_began_before_the_test_period_is_a_long_run(self):
        reference = annotator("+NNNNNVN", at0="(AFIB")
        result = compare(reference, annotator("NNNNNNNN"), start=(1000 + 4.5 * 300) / FS)
        assert lengths(result.supraventricular.missed) == (0, 0, 1)


@st.composite
def annotators(draw):
    gaps = draw(st.lists(st.integers(1, 400), max_size=60))
    symbols = draw(st.lists(st.sampled_from(SYMBOLS), min_size=len(gaps), max_size=len(gaps)))
    subtypes = draw(st.lists(st.sampled_from([0, -1]), min_size=len(gaps), max_size=len(gaps)))
    notes = draw(
        st.lists(st.sampled_from(["", "(AFIB", "(N"]), min_size=len(gaps), max_size=len(gaps))
    )
    return Annotations(
        np.cumsum(np.array(gaps, np.int64)),
        np.array(symbols, "<U1"),
        np.array(subtypes, np.int64),
        np.array(notes, "<U8"),
    )


BEATS = list(ec57.CLASSES["wfdb"])


class TestAnyAnnotators:
    @settings(max_examples=60, deadline=None)
    @given(annotators())
    def test_an_annotator_agrees_with_itself(self, one):
        result = compare(one, one)
        assert (result.beats.matrix == np.diag(np.diag(result.beats.matrix))).all()
        assert result.beats.matrix.sum() == np.isin(one.symbol, BEATS).sum()
        assert result.beats.rr_error == 0 or np.isnan(result.beats.rr_error)
        for found in (result.ventricular, result.supraventricular):
            assert not found.missed.any()
            assert not found.false.any()
            assert (found.detected == found.true).all()

    @settings(max_examples=60, deadline=None)
    @given(annotators(), annotators())
    def test_every_beat_is_counted_once(self, reference, test):
        matrix = compare(reference, test).beats.matrix
        assert matrix[:5].sum() == np.isin(reference.symbol, BEATS).sum()
        assert matrix[:, :5].sum() == np.isin(test.symbol, BEATS).sum()
        assert not matrix[5:, 5:].any()

    @settings(max_examples=60, deadline=None)
    @given(annotators(), annotators())
    def test_exchanged_annotators_give_the_transpose(self, one, other):
        forth, back = compare(one, other), compare(other, one)
        np.testing.assert_array_equal(forth.beats.matrix, back.beats.matrix.T)
        np.testing.assert_allclose(forth.beats.rr_error, back.beats.rr_error)
        for origin in runs.ORIGINS:
            there, here = getattr(forth, origin), getattr(back, origin)
            assert (there.detected == here.true).all()
            assert (there.missed == here.false).all()

    @settings(max_examples=60, deadline=None)
    @given(annotators(), annotators(), st.integers(0, 10**6))
    def test_a_shift_in_time_changes_nothing(self, reference, test, shift):
        moved = [
            Annotations(one.sample + shift, one.symbol, one.subtype, one.note)
            for one in (reference, test)
        ]
        before = compare(reference, test)
        after = compare(moved[0], moved[1], start=shift / FS)
        np.testing.assert_array_equal(before.beats.matrix, after.beats.matrix)
        np.testing.assert_allclose(before.beats.rr_error, after.beats.rr_error)

    @settings(max_examples=60, deadline=None)
    @given(annotators(), annotators(), st.integers(0, 100))
    def test_pairs_are_in_order_and_within_the_window(self, reference, test, window):
        one, other = reference.sample.tolist(), test.sample.tolist()
        pairs = pairing.align(one, other, window)
        for column, beats in ((pairs[:, 0], one), (pairs[:, 1], other)):
            assert column[column >= 0].tolist() == list(range(len(beats)))
        both = pairs[(pairs >= 0).all(axis=1)]
        assert all(abs(one[r] - other[t]) <= window for r, t in both)
