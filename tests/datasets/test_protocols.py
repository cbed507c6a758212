"""Who trains, is held out and tests: what must hold for any beats, fold and seed."""

import dataclasses
import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdjax.datasets.protocols import FOLDS, MITBIH_GROUPS, split
from kdjax.datasets.storage import BeatSet
from kdjax.errors import InputError

PARTS = ("train", "select", "calibrate", "validation", "test")
RECORDS = ("101", "109", "230", "106", "223", "100", "202", "234", "201")


def beat_set(label, near_peak=None, record=None, name="mitbih"):
    """A BeatSet of which only what a protocol may look at has meaning."""
    count = len(label)
    near_peak = np.ones(count, bool) if near_peak is None else np.asarray(near_peak, bool)
    record = np.full(count, "100") if record is None else np.asarray(record)
    values = np.zeros(count, np.float32)
    return BeatSet(
        name=name,
        version="1.0.0",
        fs=360.0,
        x=np.zeros((count, 1, 1), np.float32),
        label=np.asarray(label, np.int8),
        symbol=np.full(count, "N"),
        record=record.astype("<U16"),
        sample=np.arange(count),
        rr_before=values,
        rr_after=values,
        rr_median=values,
        near_peak=near_peak,
        fingerprint=hashlib.sha256(repr((label, near_peak, record)).encode()).hexdigest(),
    )


@st.composite
def beat_sets(draw):
    count = draw(st.integers(0, 300))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    label = rng.choice(5, count, p=[0.6, 0.1, 0.1, 0.1, 0.1])
    return beat_set(label, rng.random(count) < 0.9, rng.choice(RECORDS, count))


seeds = st.integers(0, 2**40)
folds = st.integers(0, FOLDS - 1)


def assert_no_beat_in_two_parts(s):
    apart = np.concatenate([s.train, s.select, s.calibrate, s.test])
    assert len(np.unique(apart)) == len(apart)
    assert set(s.validation) >= set(s.select)
    rest = set(s.validation) - set(s.select)
    assert rest.isdisjoint(apart)


def assert_equal(a, b):
    for part in PARTS:
        np.testing.assert_array_equal(getattr(a, part), getattr(b, part))
    assert a.fingerprint == b.fingerprint


class TestBoth:
    @given(beats=beat_sets(), seed=seeds, protocol=st.sampled_from(["beatgan", "interpatient"]))
    @settings(deadline=None)
    def test_parts_are_disjoint_ascending_and_normal_where_they_must_be(
        self, beats, seed, protocol
    ):
        s = split(beats, protocol, 0, split_seed=seed)
        assert_no_beat_in_two_parts(s)
        for part in PARTS:
            indices = getattr(s, part)
            assert indices.dtype == np.int64
            assert (np.diff(indices) > 0).all()
        for part in ("train", "select", "calibrate"):
            assert (beats.label[getattr(s, part)] == 0).all()
            assert beats.near_peak[getattr(s, part)].all()
        assert (beats.label[sorted(set(s.validation) - set(s.select))] != 0).all()
        assert 0 <= len(s.calibrate) - len(s.select) <= 1

    @given(beats=beat_sets(), seed=seeds, protocol=st.sampled_from(["beatgan", "interpatient"]))
    @settings(deadline=None)
    def test_the_same_call_gives_the_same_split(self, beats, seed, protocol):
        assert_equal(
            split(beats, protocol, 0, split_seed=seed), split(beats, protocol, 0, split_seed=seed)
        )

    def test_the_fingerprint_is_of_data_protocol_fold_and_seed(self):
        beats = beat_set([0] * 50, record=["101", "100"] * 25)
        other = dataclasses.replace(beats, fingerprint="of other values of the same beats")
        splits = [
            split(beats, "beatgan", 0, split_seed=0),
            split(beats, "beatgan", 1, split_seed=0),
            split(beats, "beatgan", 0, split_seed=1),
            split(beats, "interpatient", 0, split_seed=0),
            split(other, "beatgan", 0, split_seed=0),
        ]
        assert len({s.fingerprint for s in splits}) == len(splits)

    def test_a_split_stays_what_it_was(self):
        # From this code's first version. It may not change: finished runs carry its fingerprint.
        s = split(beat_set([0] * 40 + [1] * 10), "beatgan", 2, split_seed=7)
        assert s.select.tolist() == [1, 27]
        assert s.test.tolist() == [
            9,
            13,
            14,
            25,
            26,
            29,
            30,
            36,
            40,
            41,
            42,
            43,
            44,
            45,
            47,
            48,
            49,
        ]

    @pytest.mark.parametrize(
        ("protocol", "fold", "seed", "words"),
        [
            ("beatgna", 0, 0, "data.protocol is 'beatgna'; choose one of beatgan, interpatient"),
            ("beatgan", 5, 0, "data.fold is 5; protocol beatgan has folds 0 to 4"),
            ("beatgan", -1, 0, "data.fold is -1"),
            ("interpatient", 1, 0, "data.fold is 1; protocol interpatient has one fold, 0"),
            ("beatgan", 0, -1, "data.split_seed is -1"),
        ],
    )
    def test_what_is_not_there_is_refused(self, protocol, fold, seed, words):
        with pytest.raises(InputError, match=words):
            split(beat_set([0] * 10), protocol, fold, split_seed=seed)


class TestBeatgan:
    @given(beats=beat_sets(), seed=seeds)
    @settings(deadline=None)
    def test_the_folds_together_test_every_normal_beat_once(self, beats, seed):
        near = np.flatnonzero((beats.label == 0) & beats.near_peak)
        tested = [split(beats, "beatgan", fold, split_seed=seed).test for fold in range(FOLDS)]
        normal = np.concatenate([t[beats.label[t] == 0] for t in tested])
        assert sorted(normal) == near.tolist()
        sizes = [np.sum(beats.label[t] == 0) for t in tested]
        assert max(sizes) - min(sizes) <= 1

    @given(beats=beat_sets(), seed=seeds, fold=folds)
    @settings(deadline=None)
    def test_every_beat_that_may_be_used_is_used(self, beats, seed, fold):
        s = split(beats, "beatgan", fold, split_seed=seed)
        used = np.concatenate([s.train, s.calibrate, s.validation, s.test])
        usable = np.flatnonzero((beats.label != 0) | beats.near_peak)
        assert sorted(used) == usable.tolist()

    @given(beats=beat_sets(), seed=seeds, fold=folds)
    @settings(deadline=None)
    def test_shares(self, beats, seed, fold):
        s = split(beats, "beatgan", fold, split_seed=seed)
        held_out = len(s.select) + len(s.calibrate)
        rest = len(s.train) + held_out
        assert held_out == -(-rest // 10)  # a tenth, rounded up
        for label in range(1, 5):
            count = np.sum(beats.label == label)
            assert np.sum(beats.label[s.validation] == label) == -(-count // 10)

    @given(beats=beat_sets(), seed=seeds)
    @settings(deadline=None)
    def test_abnormal_beats_that_validate_are_tested_in_no_fold(self, beats, seed):
        splits = [split(beats, "beatgan", fold, split_seed=seed) for fold in range(FOLDS)]
        validate = [set(s.validation) - set(s.select) for s in splits]
        assert all(v == validate[0] for v in validate)
        assert all(validate[0].isdisjoint(s.test) for s in splits)

    def test_normal_beats_and_each_class_are_shuffled_apart(self):
        label = [0] * 500 + [1] * 100
        first = split(beat_set(label), "beatgan", 0, split_seed=0)
        other = split(beat_set(label), "beatgan", 0, split_seed=1)
        more = split(beat_set([*label, 2, 2, 2]), "beatgan", 0, split_seed=0)
        assert set(first.train) != set(other.train)
        assert set(first.validation) != set(other.validation)
        np.testing.assert_array_equal(first.train, more.train)
        # Every fold draws from the whole data: its mean place is near the middle.
        normal = first.test[first.test < 500]
        assert abs(normal.mean() - 250) < 50


class TestInterpatient:
    @given(beats=beat_sets(), seed=seeds)
    @settings(deadline=None)
    def test_no_record_stands_on_both_sides(self, beats, seed):
        s = split(beats, "interpatient", 0, split_seed=seed)
        train, validation, test = (
            set(beats.record[getattr(s, p)]) for p in ("train", "validation", "test")
        )
        assert train.isdisjoint(validation)
        assert train.isdisjoint(test)
        assert validation.isdisjoint(test)
        assert set(beats.record[s.calibrate]).isdisjoint(train | test)
        assert "201" not in train | validation | test

    @given(beats=beat_sets(), seed=seeds)
    @settings(deadline=None)
    def test_all_beats_of_the_test_records_test_whatever_their_label(self, beats, seed):
        s = split(beats, "interpatient", 0, split_seed=seed)
        expected = np.flatnonzero(np.isin(beats.record, ["100", "202", "234"]))
        np.testing.assert_array_equal(s.test, expected)

    @given(beats=beat_sets(), seed=seeds)
    @settings(deadline=None)
    def test_training_and_held_out_records_give_what_they_should(self, beats, seed):
        s = split(beats, "interpatient", 0, split_seed=seed)
        normal = (beats.label == 0) & beats.near_peak
        train = np.isin(beats.record, ["101", "109", "230"])
        held_out = np.isin(beats.record, ["106", "223"])
        np.testing.assert_array_equal(s.train, np.flatnonzero(train & normal))
        both = np.sort(np.concatenate([s.calibrate, s.validation]))
        expected = held_out & (normal | (beats.label != 0))
        np.testing.assert_array_equal(both, np.flatnonzero(expected))

    def test_the_seed_only_moves_beats_between_the_halves(self):
        beats = beat_set([0] * 200, record=["101", "106", "100", "115"] * 50)
        a, b = (split(beats, "interpatient", 0, split_seed=seed) for seed in (0, 1))
        np.testing.assert_array_equal(a.train, b.train)
        np.testing.assert_array_equal(a.test, b.test)
        assert set(a.select) != set(b.select)
        assert set(a.select) | set(a.calibrate) == set(b.select) | set(b.calibrate)

    def test_the_mit_bih_groups_are_those_of_de_chazal_2004_without_201(self):
        ds1 = "101 106 108 109 112 114 115 116 118 119 122 124 201 203 205 207 208 209 215 220"
        ds1 += " 223 230"
        ds2 = "100 103 105 111 113 117 121 123 200 202 210 212 213 214 219 221 222 228 231 232"
        ds2 += " 233 234"
        assert sorted((*MITBIH_GROUPS["train"], *MITBIH_GROUPS["heldout"], "201")) == ds1.split()
        assert list(MITBIH_GROUPS["test"]) == ds2.split()
        assert set(MITBIH_GROUPS["heldout"]) == {"106", "115", "209", "223"}

    def test_synthetic_data_has_patients_of_its_own_on_both_sides(self):
        record = np.repeat([f"p{i:02d}" for i in range(1, 25)], 9)
        beats = beat_set([0, 1, 2] * 72, record=record, name="synthetic")
        s = split(beats, "interpatient", 0, split_seed=0)
        sides = [set(beats.record[i]) for i in (s.train, s.validation, s.test)]
        assert all(sides)
        assert sum(map(len, sides)) == len(set.union(*sides)) == 24
