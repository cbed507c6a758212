"""Own recordings of any rate and lead, with gaps, and marks beside their R-peaks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_files import beats_of, files_below, mark, wave, write_csv, write_record

from kdjax.datasets import load, prepare_own
from kdjax.datasets.own_beats import source as own_source
from kdjax.errors import InputError


class TestRates:
    @pytest.mark.parametrize("fs", [128, 250, 500, 1000])
    def test_beats_of_another_rate_are_those_at_360_hz(self, tmp_path, fs):
        seconds = np.arange(1, 18)  # on the grid of either rate
        for rate, name in ((360, "at360"), (fs, "other")):
            made = tmp_path / name
            made.mkdir()
            place = np.rint(seconds * rate).astype(int)
            time = np.arange(18 * rate)[:, None] / rate
            clean = np.exp(-0.5 * ((time - place / rate) / 0.012) ** 2).sum(axis=1)
            write_csv(made, "r", clean)
            mark(made, "r", place, "N" * 17)
            prepare_own(made, name, fs=rate, units="mV", data_dir=tmp_path / "data")
        here, other = (load(name, tmp_path / "data") for name in ("at360", "other"))
        np.testing.assert_array_equal(other.sample, here.sample)
        np.testing.assert_array_equal(other.sample, 360 * seconds)
        assert np.abs(other.x - here.x).max() < 0.005
        np.testing.assert_allclose(other.rr_before[1:], 1, atol=1 / 360)

    def test_a_rate_too_low_for_the_band_is_refused_by_the_record_s_name(self, tmp_path):
        made = tmp_path / "records"
        made.mkdir()
        write_csv(made, "slow", np.zeros(900))
        with pytest.raises(InputError, match="recording slow: a signal at 80 Hz"):
            prepare_own(made, "mine", fs=80, units="mV", data_dir=tmp_path / "data")


class TestGaps:
    PLACE = 180 + 300 * np.arange(12)

    def prepare(self, tmp_path, gap):
        made = tmp_path / "records"
        made.mkdir()
        signal = wave(self.PLACE, 4000)
        signal[gap] = np.nan
        write_csv(made, "r", signal)
        mark(made, "r", self.PLACE, "NNNNVNNNNNNN")
        rows, _ = prepare_own(made, "mine", fs=360, units="mV", data_dir=tmp_path / "data")
        return rows[0], load("mine", tmp_path / "data")

    def test_a_tenth_of_a_second_is_bridged(self, tmp_path):
        row, loaded = self.prepare(tmp_path, slice(1550, 1586))
        assert (row["at a gap"], len(loaded.x)) == (0, 12)
        assert np.isfinite(loaded.x).all()

    def test_beats_whose_window_touches_a_longer_gap_are_left_out(self, tmp_path):
        # Windows are 140 before to 180 after: those of the beats at 1380 (V) and 1680 are touched.
        row, loaded = self.prepare(tmp_path, slice(1550, 1587))
        assert (row["at a gap"], row["V"], len(loaded.x)) == (2, 0, 10)
        assert set(loaded.sample) == set(self.PLACE) - {1380, 1680}
        assert row["lost"] == pytest.approx(2 / 12)

    def test_a_recording_of_nothing_but_gaps_has_no_beats(self, tmp_path):
        with pytest.raises(InputError, match="no beats in any of the 1 recordings"):
            self.prepare(tmp_path, slice(None))


class TestLeads:
    def test_two_leads_become_two_channels(self, folder, tmp_path):
        prepare_own(folder, "mine", ["V5", "MLII"], data_dir=tmp_path)
        loaded = load("mine", tmp_path)
        assert loaded.x.shape[1:] == (320, 2)
        assert loaded.leads == ("V5", "MLII")

    def test_a_record_without_the_lead_is_named(self, folder, tmp_path):
        write_record(folder, "c3", beats_of("NNN"), leads=("V1", "MLII"))
        with pytest.raises(InputError, match=r"c3 has no lead V5, only V1, MLII"):
            prepare_own(folder, "mine", ["V5"], data_dir=tmp_path)
        assert files_below(tmp_path / "data") == []

    def test_without_a_usual_lead_one_must_be_chosen(self, folder, tmp_path):
        write_record(folder, "c3", beats_of("NNN"), leads=("V1", "V5"))
        wanted = r"a1 has V5, MLII; choose one that all of them have with leads"
        with pytest.raises(InputError, match=wanted):
            prepare_own(folder, "mine", data_dir=tmp_path)

    @given(st.lists(st.lists(st.sampled_from("ABC"), min_size=1, unique=True), min_size=1))
    def test_what_is_chosen_is_in_all(self, leads):
        sources = [
            own_source.Source(
                name=f"r{i}", fs=360, leads=tuple(names), length=1, read=lambda _: iter(())
            )
            for i, names in enumerate(leads)
        ]
        try:
            (chosen,), columns = own_source.choose_leads(sources)
        except InputError:
            assert len(leads[0]) > 1 or not all(leads[0][0] in names for names in leads)
        else:
            assert [chosen] == leads[0]
            assert all(names[i] == chosen for names, (i,) in zip(leads, columns, strict=True))

    @pytest.mark.parametrize("lead", ["v5", "1", "ECG V5"])
    def test_a_lead_has_the_names_that_detect_takes(self, folder, tmp_path, lead):
        _, remarks = prepare_own(folder, "mine", [lead], data_dir=tmp_path)
        assert load("mine", tmp_path).leads == ("V5",)
        assert remarks[0] == "leads: V5"

    def test_a_lead_that_has_other_names_elsewhere_is_said(self, folder, tmp_path):
        write_record(folder, "c3", beats_of("NNN"), leads=("V1", "II"))
        _, remarks = prepare_own(folder, "mine", data_dir=tmp_path)
        assert load("mine", tmp_path).leads == ("MLII",)
        assert "c3: II read as MLII" in remarks

    def test_one_lead_under_two_names_is_refused(self, folder, tmp_path):
        with pytest.raises(InputError, match="two of these are one lead; name it once"):
            prepare_own(folder, "mine", ["MLII", "2"], data_dir=tmp_path)


class TestWhereAnnotationsStand:
    """128 Hz, as many wearables have; annotations beside the peaks."""

    PLACE = 90 + 128 * np.arange(40)

    def prepare(self, tmp_path, offset, jitter=0.0, symbols="N" * 40):
        made = tmp_path / "records"
        made.mkdir()
        write_csv(made, "r", wave(self.PLACE, 5400, fs=128.0))
        moved = np.random.default_rng(0).normal(offset, jitter, 40)
        mark(made, "r", np.rint(self.PLACE + moved).astype(int), symbols)
        rows, remarks = prepare_own(made, "mine", fs=128, units="mV", data_dir=tmp_path / "data")
        return rows[0], remarks, load("mine", tmp_path / "data")

    @pytest.mark.parametrize(("offset", "side"), [(-4, "before"), (4, "after"), (-11, "before")])
    def test_a_steady_offset_is_said_and_beats_are_centred(self, tmp_path, offset, side):
        row, remarks, loaded = self.prepare(tmp_path, offset)
        assert (row["N"], row["far from an R-peak"]) == (40, 0)
        assert np.abs(loaded.sample - self.PLACE * 360 / 128).max() <= 2
        shown = abs(offset) / 128 * 1e3
        (said,) = [remark for remark in remarks if "annotations are" in remark]
        assert f"ms {side} the R-peaks; beats are centred on the peaks" in said
        assert abs(int(said.split()[3]) - shown) <= 4

    def test_a_small_one_stays(self, tmp_path):
        row, remarks, loaded = self.prepare(tmp_path, 1)
        assert row["N"] == 40
        assert np.abs(loaded.sample - (self.PLACE + 1) * 360 / 128).max() <= 1
        assert len(remarks) == 1

    def test_beats_that_stand_anywhere_are_counted_and_it_is_said(self, tmp_path):
        row, remarks, _ = self.prepare(tmp_path, 0, jitter=20)
        assert row["far from an R-peak"] > 10
        assert "of its normal beats are annotated far from every R-peak" in remarks[-1]

    def test_abnormal_beats_do_not_say_where_normal_ones_stand(self, tmp_path):
        row, remarks, _ = self.prepare(tmp_path, -6, symbols="V" * 35 + "N" * 5)
        assert row["V"] == 35
        assert not [remark for remark in remarks if "annotations are" in remark]
