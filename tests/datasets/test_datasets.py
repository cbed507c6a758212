"""Preparing and loading: small WFDB records written here, and the real ones where they are."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from record_files import beats_of, checksums_of, files_below, write_record

from kdjax import beats, rpeaks
from kdjax.datasets import CLASSES, load, loss_table, mitbih_beats, prepare_mitbih, storage
from kdjax.datasets.protocols import split
from kdjax.errors import InputError
from kdjax.files import discard_unfinished
from kdjax.recordings import Annotations, Recording, read_wfdb

FS = 360


class TestPrepare:
    def test_gives_a_row_for_each_record_with_what_was_kept_and_dropped(self, prepared):
        first, second = prepared[1]
        # a1 by hand: N is N, L, R, the second and three of the last four marks save the far one;
        # S is a J A S j e; V is V E and the far one; F; Q is / f Q.
        assert first == {
            "record": "a1",
            "N": 1 + 3 + 2,
            "S": 6,
            "V": 3,
            "F": 1,
            "Q": 3,
            "no whole window": 2,
            "far from an R-peak": 1,
            "lost": pytest.approx(3 / 22),
        }
        assert second == {
            "record": "b2",
            "N": 8,
            "S": 0,
            "V": 1,
            "F": 0,
            "Q": 0,
            "no whole window": 0,
            "far from an R-peak": 0,
            "lost": 0.0,
        }

    def test_again_gives_the_same_table_and_rewrites_nothing(self, source, prepared):
        data_dir, rows = prepared
        before = {p: p.stat().st_mtime_ns for p in data_dir.rglob("*") if p.is_file()}
        assert prepare_mitbih(source, data_dir, checksums=checksums_of(source)) == rows
        assert {p: p.stat().st_mtime_ns for p in data_dir.rglob("*") if p.is_file()} == before

    def test_takes_a_folder_or_a_download_and_not_both(self, source, tmp_path):
        for arguments in ((source, tmp_path, True), (None, tmp_path, False)):
            with pytest.raises(InputError, match="either the folder of the records"):
                prepare_mitbih(*arguments)

    def test_a_missing_file_is_named(self, source, tmp_path):
        copy = shutil.copytree(source, tmp_path / "copy")
        (copy / "b2.atr").unlink()
        with pytest.raises(InputError, match=r"b2\.atr is missing \(1 of 6 files are\)"):
            prepare_mitbih(copy, tmp_path / "data", checksums=checksums_of(source))
        assert not (tmp_path / "data").exists()

    @pytest.mark.parametrize("spoil", [lambda c: c[:-1], lambda c: c[:-1] + bytes([c[-1] ^ 1])])
    def test_a_truncated_or_changed_file_is_named(self, source, tmp_path, spoil):
        copy = shutil.copytree(source, tmp_path / "copy")
        (copy / "b2.dat").write_bytes(spoil((copy / "b2.dat").read_bytes()))
        with pytest.raises(InputError, match=r"b2\.dat differs from the published file"):
            prepare_mitbih(copy, tmp_path / "data", checksums=checksums_of(source))
        assert not (tmp_path / "data").exists()

    def test_a_folder_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(InputError, match="nowhere is not a folder"):
            prepare_mitbih(tmp_path / "nowhere", tmp_path / "data")

    def test_other_files_in_the_folder_are_left_alone(self, source, prepared, tmp_path):
        copy = shutil.copytree(source, tmp_path / "copy")
        (copy / "c3.hea").write_text("not a record")
        rows = prepare_mitbih(copy, tmp_path / "data", checksums=checksums_of(source))
        assert rows == prepared[1]

    def test_records_come_in_the_order_of_their_names(self, tmp_path):
        folder = tmp_path / "records"
        folder.mkdir()
        for name in ("d4", "a1", "c3", "b2", "e5"):
            write_record(folder, name, beats_of("NNNN"))
        rows = prepare_mitbih(folder, tmp_path / "data", checksums=checksums_of(folder))
        assert [row["record"] for row in rows] == ["a1", "b2", "c3", "d4", "e5"]
        loaded = load("mitbih", tmp_path / "data")
        assert loaded.record.tolist() == sorted(loaded.record)

    def test_a_failure_on_the_way_leaves_nothing_that_would_be_read(self, tmp_path):
        folder = tmp_path / "records"
        folder.mkdir()
        write_record(folder, "a1", beats_of("NNNNNN"))
        write_record(folder, "b2", beats_of("NNNNNN"), leads=("V5", "V2"))
        with pytest.raises(InputError, match=r"^record b2 has no lead MLII: its leads are V5, V2"):
            prepare_mitbih(folder, tmp_path / "data", checksums=checksums_of(folder))
        assert files_below(tmp_path / "data") == []
        with pytest.raises(InputError, match="mitbih is not prepared in"):
            load("mitbih", tmp_path / "data")

    def test_a_data_dir_that_cannot_be_written_is_named(self, source, tmp_path):
        (tmp_path / "data").write_text("a file where a folder should be")
        for arguments in ((source, tmp_path / "data"), (None, tmp_path / "data", True)):
            with pytest.raises(InputError, match=r"cannot write .*data"):
                prepare_mitbih(*arguments, checksums=checksums_of(source))

    def test_what_is_not_finished_goes_with_the_process(self, source, tmp_path):
        """Whether a signal ends it or a kill: the next one begins anew."""
        builder = storage.builder(mitbih_beats.MitbihBeats, tmp_path, records=["a1", "b2"])
        generate, place = builder._generate_examples, Path(builder.data_path)

        def stopped(folder):
            assert [p.name for p in place.parent.iterdir()] == [f"{place.name}.unfinished"]
            discard_unfinished()  # as a signal has it done
            assert not list(place.parent.iterdir())
            yield from generate(folder)

        builder._generate_examples = stopped
        with pytest.raises(InputError, match="cannot write"):
            storage.prepare(builder, source)
        left = place.with_name(f"{place.name}.unfinished")
        left.mkdir(parents=True)
        (left / "half").touch()
        prepare_mitbih(source, tmp_path, checksums=checksums_of(source))
        assert [p.name for p in place.parent.iterdir()] == [place.name]

    def test_another_process_that_was_faster_is_no_failure(self, source, prepared, tmp_path):
        records = ["a1", "b2"]
        builder = storage.builder(mitbih_beats.MitbihBeats, tmp_path, records=records)
        generate = builder._generate_examples
        place = Path(builder.data_path)

        def generate_while_another_finishes(folder):
            shutil.copytree(prepared[0] / place.relative_to(tmp_path), place)
            yield from generate(folder)

        builder._generate_examples = generate_while_another_finishes
        storage.prepare(builder, source)
        assert load("mitbih", tmp_path).fingerprint == load("mitbih", prepared[0]).fingerprint


class TestLoad:
    def test_gives_every_beat_with_a_whole_window(self, prepared):
        loaded = load("mitbih", prepared[0])
        assert (loaded.name, loaded.fs) == ("mitbih", 360.0)
        count = 6 + 6 + 3 + 1 + 3 + 1 + 9  # the far normal beat is there too
        assert {f: getattr(loaded, f).shape for f in ("x", "label", "symbol", "sample")} == {
            "x": (count, 320, 1),
            "label": (count,),
            "symbol": (count,),
            "sample": (count,),
        }
        kinds = {f: str(getattr(loaded, f).dtype) for f in ("x", "label", "sample", "near_peak")}
        assert kinds == {"x": "float32", "label": "int8", "sample": "int64", "near_peak": "bool"}
        assert (loaded.symbol.dtype, loaded.record.dtype) == (np.dtype("<U1"), np.dtype("<U16"))
        assert loaded.rr_before.dtype == loaded.rr_median.dtype == np.float32

    def test_beats_are_those_of_the_pipeline_step_by_step(self, source, prepared):
        loaded = load("mitbih", prepared[0])
        mine = loaded.record == "b2"
        recording = read_wfdb(source / "b2")
        raw = recording.lead("MLII")
        filtered = beats.bandpass(raw, recording.fs)
        peaks = rpeaks.protocol_r_peaks(raw, filtered, recording.fs)
        centres = recording.annotations.sample
        np.testing.assert_array_equal(loaded.sample[mine], centres)
        expected = beats.scale(beats.windows(filtered[:, None], centres))
        np.testing.assert_array_equal(loaded.x[mine], expected)
        rr = beats.rr_intervals(centres, peaks, recording.fs)
        for got, want in zip(
            (loaded.rr_before, loaded.rr_after, loaded.rr_median), rr, strict=True
        ):
            np.testing.assert_array_equal(got[mine], want)
        np.testing.assert_allclose(loaded.rr_before[mine][1:], 300 / FS, atol=2 / FS)

    def test_each_beat_keeps_its_symbol_class_and_record(self, prepared):
        loaded = load("mitbih", prepared[0])
        assert "".join(loaded.symbol[loaded.record == "b2"]) == "NNNNVNNNN"
        by_class = {name: set() for name in CLASSES}
        for label, symbol in zip(loaded.label, loaded.symbol, strict=True):
            by_class[CLASSES[label]].add(str(symbol))
        assert by_class == {
            "N": set("NLR"),
            "S": set("aJASje"),
            "V": set("VE"),
            "F": {"F"},
            "Q": set("/fQ"),
        }

    def test_only_beats_off_their_peak_are_not_near_it(self, prepared):
        loaded = load("mitbih", prepared[0])
        assert loaded.symbol[~loaded.near_peak].tolist() == ["N", "V"]

    def test_x_is_scaled(self, prepared):
        x = load("mitbih", prepared[0]).x
        np.testing.assert_array_equal(x.min(axis=1), -1)
        np.testing.assert_array_equal(x.max(axis=1), 1)

    def test_what_is_not_prepared_says_how_to(self, tmp_path):
        with pytest.raises(InputError) as error:
            load("mitbih", tmp_path)
        assert str(tmp_path) in str(error.value)
        assert "run kdjax prepare mitbih --download or --from DIR" in str(error.value)
        assert files_below(tmp_path) == []

    def test_an_unknown_data_set_is_named(self, tmp_path):
        with pytest.raises(InputError, match=r"'mitbhi', which .*; did you mean mitbih"):
            load("mitbhi", tmp_path)

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda f: f.write_bytes(f.read_bytes()[: f.stat().st_size // 2]),
            lambda f: f.write_bytes(b""),
            lambda f: f.unlink(),
        ],
        ids=["truncated", "empty", "gone"],
    )
    @pytest.mark.parametrize("sums", [True, False])
    def test_damaged_data_is_one_line_with_the_remedy(self, prepared, tmp_path, spoil, sums):
        data_dir = shutil.copytree(prepared[0], tmp_path / "copy")
        (shard,) = data_dir.rglob("*array_record*")
        spoil(shard)
        if not sums:
            next(data_dir.rglob("SHA256SUMS")).unlink()
        with pytest.raises(InputError, match=r"is damaged .*delete that folder") as error:
            load("mitbih", data_dir)
        assert "\n" not in str(error.value)

    def test_a_flipped_bit_of_any_file_is_noticed(self, prepared, tmp_path):
        data_dir = shutil.copytree(prepared[0], tmp_path / "copy")
        rng, files = np.random.default_rng(0), [p for p in data_dir.rglob("*") if p.is_file()]
        assert len(files) >= 4
        for path in files:
            whole = path.read_bytes()
            for _ in range(12):
                flipped = bytearray(whole)
                flipped[rng.integers(len(whole))] ^= 1 << int(rng.integers(8))
                path.write_bytes(flipped)
                with pytest.raises(InputError, match="is damaged"):
                    load("mitbih", data_dir)
            path.write_bytes(whole)
        load("mitbih", data_dir)

    def test_data_without_checksums_gets_them_when_it_is_prepared_again(
        self, source, prepared, tmp_path
    ):
        data_dir = shutil.copytree(prepared[0], tmp_path / "copy")
        (sums,) = data_dir.rglob("SHA256SUMS")
        written = sums.read_bytes()
        sums.unlink()
        load("mitbih", data_dir)
        assert not sums.exists()
        prepare_mitbih(source, data_dir, checksums=checksums_of(source))
        assert sums.read_bytes() == written

    def test_a_data_dir_may_begin_with_a_tilde(self, prepared, monkeypatch):
        monkeypatch.setenv("HOME", str(prepared[0].parent))
        loaded = load("mitbih", f"~/{prepared[0].name}")
        assert loaded.fingerprint == load("mitbih", prepared[0]).fingerprint


class TestFingerprint:
    @staticmethod
    def examples(folder):
        return [storage.example(read_wfdb(folder / r), ["MLII"]) for r in ("a1", "b2")]

    def test_is_of_the_beats_and_not_of_the_files(self, source, prepared):
        loaded = load("mitbih", prepared[0])
        here = storage.beat_set("mitbih", loaded.version, self.examples(source))
        assert here.fingerprint == loaded.fingerprint

    @pytest.mark.parametrize(
        "change",
        [
            lambda e: e["x"].__setitem__((3, 200, 0), e["x"][3, 200, 0] + 0.01),
            lambda e: e["label"].__setitem__(0, 2),
            lambda e: e["sample"].__setitem__(0, e["sample"][0] + 1),
            lambda e: e["rr_median"].__setitem__(5, 0.5),
            lambda e: e["near_peak"].__setitem__(0, 1 - e["near_peak"][0]),
            lambda e: e.update(symbol="L" + e["symbol"][1:]),
            lambda e: e.update(record="a9"),
        ],
    )
    def test_changes_with_any_value(self, source, change):
        untouched, changed = self.examples(source), self.examples(source)
        change(changed[0])
        before = storage.beat_set("mitbih", "1.0.0", untouched).fingerprint
        assert storage.beat_set("mitbih", "1.0.0", changed).fingerprint != before

    def test_the_pipeline_gives_what_its_number_promises(self):
        # Computed by this pipeline, version 1. When this fails a step has changed: raise
        # beats.PIPELINE, so that data prepared before is not taken for the new, and renew this.
        rng = np.random.default_rng(0)
        steps = rng.integers(-20, 20, (7200, 1))
        steps[rng.integers(250, 350, 20).cumsum()] += 400
        signal = (np.cumsum(steps, axis=0) % 800).astype(np.float32) / 200
        symbols = np.array(["N", "V"] * 10, "<U4")
        annotations = Annotations(np.arange(300, 6300, 300), symbols)
        recording = Recording(
            name="r", signal=signal, fs=360.0, leads=("MLII",), annotations=annotations
        )
        made = storage.beat_set("pinned", "", [storage.example(recording, ["MLII"])])
        assert (beats.PIPELINE, made.fingerprint[:16]) == (1, "9e1fe12ccb515185")


class TestExample:
    def test_more_leads_become_channels(self, source):
        recording = read_wfdb(source / "b2")
        both = storage.example(recording, ["MLII", "V5"])
        assert both["x"].shape == (9, 320, 2)
        alone = storage.example(recording, ["MLII"])
        np.testing.assert_array_equal(both["x"][..., :1], alone["x"])

    def test_another_rate_and_missing_annotations_are_refused(self):
        signal = np.zeros((1000, 1), np.float32)
        with pytest.raises(InputError, match="record x is sampled at 250 Hz"):
            storage.example(Recording(name="x", signal=signal, fs=250.0, leads=("MLII",)), ["MLII"])
        with pytest.raises(InputError, match="record x has no annotations"):
            storage.example(Recording(name="x", signal=signal, fs=360.0, leads=("MLII",)), ["MLII"])

    def test_a_recording_without_beats_gives_none(self):
        none = Annotations(np.array([], np.int64), np.array([], "<U4"))
        nothing = np.zeros((1000, 1), np.float32)
        recording = Recording(name="x", signal=nothing, fs=360.0, leads=("MLII",), annotations=none)
        example = storage.example(recording, ["MLII"])
        assert example["x"].shape == (0, 320, 1)
        assert loss_table([example])[0]["lost"] == 0


@pytest.mark.skipif(
    "KDJAX_MITDB" not in os.environ,
    reason="KDJAX_MITDB does not name a folder with the MIT-BIH records",
)
def test_the_real_records_give_the_counts_of_the_reference(tmp_path):
    # 86,666 of 89,836: the reference's run had 86,667 to 86,755 normal beats.
    rows = prepare_mitbih(os.environ["KDJAX_MITDB"], tmp_path)
    kept = {name: sum(row[name] for row in rows) for name in CLASSES}
    assert kept == {"N": 86_666, "S": 3_026, "V": 7_008, "F": 802, "Q": 15}
    by_record = {row["record"]: row for row in rows}
    assert len(by_record) == 44
    assert (by_record["207"]["N"], by_record["108"]["N"]) == (78, 885)
    loaded = load("mitbih", tmp_path)
    assert np.bincount(loaded.label).tolist() == [89_836, 3_026, 7_008, 802, 15]
    assert loaded.fingerprint.startswith("52782c8f44e7b8df")
    intra, inter = (
        split(loaded, "beatgan", 0, split_seed=0),
        split(loaded, "interpatient", 0, split_seed=0),
    )
    assert (len(intra.train), len(intra.test)) == (62_399, 27_097)
    assert len(inter.train) + len(inter.select) + len(inter.calibrate) == 41_688
    assert np.bincount(loaded.label[inter.test]).tolist() == [44_025, 2_050, 3_220, 388, 7]
