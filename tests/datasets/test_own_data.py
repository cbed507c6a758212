"""`kdjax prepare FOLDER --name NAME`: own recordings as a data set."""

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from record_files import Beat, beats_of, files_below, mark, wave, write_csv, write_record

from kdjax import cli
from kdjax.datasets import load, prepare_own, storage
from kdjax.datasets.own_beats import source as own_source
from kdjax.errors import InputError
from kdjax.recordings import read_wfdb

NAMES = ("record", "N", "S", "V", "F", "Q")
NAMES += ("no whole window", "at a gap", "far from an R-peak", "lost")


def typed(*args) -> int:
    return cli.main(["prepare", *map(str, args)])


class TestAnnotated:
    def test_is_loaded_by_its_name_like_mitbih(self, folder, tmp_path):
        rows, _ = prepare_own(folder, "mine", data_dir=tmp_path / "data")
        loaded = load("mine", tmp_path / "data")
        assert (loaded.name, loaded.fs, loaded.leads) == ("mine", 360.0, ("MLII",))
        assert loaded.x.shape == (18, 320, 1)
        assert "".join(loaded.symbol[loaded.record == "a1"]) == "NNNNVNNANNN"
        assert [tuple(row) for row in rows] == [NAMES, NAMES]
        assert [tuple(row.values()) for row in rows] == [
            ("a1", 9, 1, 1, 0, 0, 0, 0, 0, 0.0),
            ("b2", 7, 0, 0, 0, 0, 0, 0, 0, 0.0),
        ]

    def test_gives_the_beats_that_mitbih_s_builder_gives(self, folder, tmp_path):
        prepare_own(folder, "mine", data_dir=tmp_path)
        examples = [storage.example(read_wfdb(folder / name), ["MLII"]) for name in ("a1", "b2")]
        expected = storage.beat_set("mine", "1.0.0", examples, leads=["MLII"])
        assert load("mine", tmp_path).fingerprint == expected.fingerprint

    def test_says_what_was_ignored(self, folder, tmp_path):
        _, remarks = prepare_own(folder, "mine", data_dir=tmp_path)
        assert remarks == [
            "leads: MLII",
            "annotations ignored because their symbol is not a beat: 1 '+'",
            "beats left out because their symbol has no class (see classes): 1 'B'",
        ]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("map.csv", "symbol,class\nN,N\nV,V\nB,Q\n"),
            ("map.csv", "class, symbol\nN, N\nV, V\nQ, B\n"),
            ("map.json", '{"N": "N", "V": "V", "B": "Q"}'),
        ],
    )
    def test_a_class_map_says_which_beats_there_are(self, folder, tmp_path, name, text):
        (folder / name).write_text(text)
        rows, remarks = prepare_own(
            folder, "mine", classes=folder / name, data_dir=tmp_path / "data"
        )
        assert [rows[0][c] for c in "NSVFQ"] == [9, 0, 1, 0, 1]
        assert remarks[2].endswith("1 'A'")

    @pytest.mark.parametrize(
        ("name", "text", "words"),
        [
            ("m.csv", "symbol,class\nN,normal\n", r"class 'normal' of symbol 'N'; choose one of N"),
            ("m.csv", "symbol,class\nPVC,V\n", "symbol 'PVC' is not one character"),
            ("m.csv", "symbol,class\nN,N\nN,V\n", "'N' has two classes"),
            ("m.csv", "symbol;class\nN;N\n", "must name the columns symbol,class"),
            ("m.csv", "symbol,class\nN\n", "fewer columns"),
            ("m.csv", "symbol,class\n", "maps no symbol"),
            ("m.csv", "", "must name the columns"),
            ("m.json", '["N"]', "not a map"),
            ("m.json", "[" * 10**5, "not a map"),
            ("m.json", '{"N": 3}', "class '3'"),
            ("m.json", '{"N": "N", "N": "V"}', "two classes"),
            ("gone.csv", None, "cannot be read"),
        ],
    )
    def test_a_class_map_that_is_none_is_named(self, folder, tmp_path, name, text, words):
        file = tmp_path / name
        if text is not None:
            file.write_text(text)
        with pytest.raises(InputError, match=words) as error:
            prepare_own(folder, "mine", classes=file, data_dir=tmp_path / "data")
        assert str(file) in str(error.value)

    @given(st.binary(max_size=60), st.sampled_from([".csv", ".json"]))
    @settings(deadline=None, max_examples=200)
    def test_whatever_stands_in_a_class_map_is_read_or_refused(self, tmp_path_factory, data, end):
        file = tmp_path_factory.getbasetemp() / f"any{end}"
        file.write_bytes(b"symbol,class\n" + data if end == ".csv" else data)
        try:
            labels = own_source.read_classes(file)
        except InputError:
            return
        assert labels
        assert all(len(s) == 1 and 0 <= k < 5 for s, k in labels.items())

    def test_csv_and_npy_have_their_annotations_beside_them(self, tmp_path):
        place = 180 + 300 * np.arange(8)
        made = tmp_path / "records"
        made.mkdir()
        write_csv(made, "x", 1000 * wave(place, 2700))
        mark(made, "x", place[::-1], "NNNVNNNS")  # in any order; S is MIT's symbol for S
        rows, _ = prepare_own(made, "mine", fs=360, units="uV", data_dir=tmp_path / "data")
        assert [rows[0][c] for c in "NSV"] == [6, 1, 1]
        loaded = load("mine", tmp_path / "data")
        assert "".join(loaded.symbol) == "SNNNVNNN"
        assert loaded.near_peak.all()

    def test_some_with_annotations_and_some_without_are_refused(self, folder, tmp_path):
        (folder / "b2.atr").unlink()
        with pytest.raises(InputError, match="recording b2 has no annotations, but others have"):
            prepare_own(folder, "mine", data_dir=tmp_path / "data")


class TestUnannotated:
    def test_every_r_peak_is_a_normal_beat(self, plain, tmp_path):
        rows, remarks = prepare_own(plain, "mine", fs=360, units="mV", data_dir=tmp_path / "data")
        loaded = load("mine", tmp_path / "data")
        assert (loaded.label == 0).all()
        assert set(loaded.symbol) == {"N"}
        assert loaded.near_peak.all()
        assert all(row["N"] >= 10 for row in rows)
        place = 180 + 300 * np.arange(12)
        assert np.isin(loaded.sample[:, None] + np.arange(-2, 3), place).any(axis=1).all()
        assert len(remarks) == 2
        assert "counts as normal" in remarks[1]

    def test_a_class_map_has_nothing_to_map(self, plain, tmp_path):
        (tmp_path / "map.csv").write_text("symbol,class\nN,N\n")
        with pytest.raises(InputError, match=r"no recording in .* has annotations"):
            prepare_own(
                plain,
                "mine",
                (),
                classes=tmp_path / "map.csv",
                fs=360,
                units="mV",
                data_dir=tmp_path / "data",
            )


class TestFolders:
    def test_other_files_are_left_out_and_it_is_said(self, folder, tmp_path):
        (folder / "notes.txt").write_text("ward 3\n")
        (folder / "patients.csv").write_text("name,sex\nA,f\n")
        rows, remarks = prepare_own(folder, "mine", data_dir=tmp_path / "data")
        assert [row["record"] for row in rows] == ["a1", "b2"]
        assert remarks[-1] == "skipped, not recordings: notes.txt, patients.csv"

    def test_annotations_of_another_annotator_are_named_and_taken(self, folder, tmp_path):
        for name in ("a1", "b2"):
            (folder / f"{name}.atr").rename(folder / f"{name}.ecg")
        _, remarks = prepare_own(folder, "none", data_dir=tmp_path / "data")
        assert "give annotator='ecg'" in remarks[-1]
        rows, _ = prepare_own(folder, "mine", data_dir=tmp_path / "data", annotator="ecg")
        assert rows[0]["V"] == 1
        with pytest.raises(InputError, match=r"no record in it has annotations \.qrs"):
            prepare_own(folder, "other", data_dir=tmp_path / "data", annotator="qrs")

    def test_what_a_reader_says_is_passed_on(self, folder, tmp_path):
        data = (folder / "b2.dat").read_bytes()
        (folder / "b2.dat").write_bytes(data[: len(data) // 2])
        _, remarks = prepare_own(folder, "mine", data_dir=tmp_path / "data")
        assert any(r.startswith("b2: its header says") and "b2.dat holds" in r for r in remarks)


class TestNames:
    @pytest.mark.parametrize("name", ["1a", "", "a b", "a/b", "../a", "ä", "a.b", "a" * 65, "a\n"])
    def test_a_name_that_cannot_be_is_refused(self, folder, tmp_path, name):
        with pytest.raises(InputError, match=r"name is .* is a letter, followed by"):
            prepare_own(folder, name, data_dir=tmp_path / "data")
        with pytest.raises(InputError, match=r"data\.dataset is .* is a letter, followed"):
            load(name, tmp_path / "data")
        assert not (tmp_path / "data").exists()

    @pytest.mark.parametrize("name", ["mitbih", "synthetic"])
    def test_names_of_ours_are_refused(self, folder, tmp_path, name):
        with pytest.raises(InputError, match=f"{name}, a data set of kdjax"):
            prepare_own(folder, name, data_dir=tmp_path)

    @pytest.mark.parametrize("name", ["A", "my-Holters_2", "train", "a" * 64])
    def test_other_names_are_taken(self, folder, tmp_path, name):
        prepare_own(folder, name, data_dir=tmp_path)
        assert load(name, tmp_path).name == name

    def test_what_is_not_prepared_says_how_to(self, tmp_path):
        with pytest.raises(InputError) as error:
            load("mine", tmp_path)
        assert "kdjax prepare FOLDER --name mine" in str(error.value)
        assert str(tmp_path) in str(error.value)

    def test_long_names_of_records_stay_apart(self, tmp_path):
        made = tmp_path / "records"
        made.mkdir()
        long = ["the-same-first-sixteen-" + end for end in "ab"]
        for name in long:
            write_csv(made, name, wave([300, 600], 1000))
            mark(made, name, [300, 600], "NN")
        prepare_own(made, "mine", fs=360, units="mV", data_dir=tmp_path / "data")
        assert sorted(set(load("mine", tmp_path / "data").record)) == long


class TestAgain:
    def test_the_same_recordings_give_the_same_and_write_nothing(self, folder, tmp_path):
        first = prepare_own(folder, "mine", data_dir=tmp_path / "data")
        before = {p: p.stat().st_mtime_ns for p in (tmp_path / "data").rglob("*") if p.is_file()}
        assert prepare_own(folder, "mine", data_dir=tmp_path / "data") == first
        after = {p: p.stat().st_mtime_ns for p in (tmp_path / "data").rglob("*") if p.is_file()}
        assert after == before

    def test_other_beats_under_the_same_name_are_refused(self, folder, tmp_path):
        prepare_own(folder, "mine", data_dir=tmp_path / "data")
        kept = load("mine", tmp_path / "data").fingerprint
        write_record(folder, "c3", beats_of("NNNN"))
        with pytest.raises(InputError, match=r"other data .* name mine in .*; delete that folder"):
            prepare_own(folder, "mine", data_dir=tmp_path / "data")
        with pytest.raises(InputError, match="other data"):
            prepare_own(folder, "mine", ["V5"], data_dir=tmp_path / "data")
        assert load("mine", tmp_path / "data").fingerprint == kept
        prepare_own(folder, "other", data_dir=tmp_path / "data")

    @pytest.mark.parametrize(
        "file", ["dataset_info.json", "features.json", "metadata.json", "mine"]
    )
    def test_damaged_data_is_one_line_with_the_remedy(self, folder, tmp_path, file):
        prepare_own(folder, "mine", data_dir=tmp_path / "data")
        (damaged,) = (tmp_path / "data/mine").rglob(f"{file}*")
        damaged.write_bytes(damaged.read_bytes()[:10])
        with pytest.raises(InputError, match=r"(?s)damaged.*delete that folder") as error:
            load("mine", tmp_path / "data")
        assert "\n" not in str(error.value)


class TestRefusals:
    def refused(self, tmp_path, made, words, **kwargs):
        with pytest.raises(InputError, match=words):
            prepare_own(made, "mine", data_dir=tmp_path / "data", **kwargs)
        assert files_below(tmp_path / "data") == []

    def test_an_empty_folder(self, tmp_path):
        (tmp_path / "empty").mkdir()
        self.refused(tmp_path, tmp_path / "empty", "holds no recordings")
        self.refused(tmp_path, tmp_path / "none", "is not a folder")

    def test_a_damaged_recording_is_named(self, folder, tmp_path):
        data = (folder / "b2.dat").read_bytes()
        (folder / "b2.dat").write_bytes(b"")
        self.refused(tmp_path, folder, "b2")
        (folder / "b2.dat").write_bytes(data)
        (folder / "b2.atr").write_bytes(b"\x01")
        self.refused(tmp_path, folder, r"b2\.atr")

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("sample,symbol\n1.5,N\n", "sample '1.5' is not a whole number; count samples from 0$"),
            ("sample,symbol\n99999999999999999999999,N\n", "is not a whole number; count"),
            ('sample,symbol\n1,N\n2,"N\n', "line 3 is not CSV; check its quotes$"),
            ("time,symbol\n1,N\n", "must name the columns sample,symbol"),
        ],
    )
    def test_damaged_annotations_are_named(self, tmp_path, text, words):
        made = tmp_path / "records"
        made.mkdir()
        write_csv(made, "x", wave([300], 800))
        (made / "x.annotations.csv").write_text(text)
        self.refused(tmp_path, made, rf"x\.annotations\.csv.*{words}", fs=360, units="mV")

    def test_two_recordings_of_one_name(self, folder, tmp_path):
        write_csv(folder, "a1", wave([300], 800))
        self.refused(tmp_path, folder, "the folder has the name a1", fs=360, units="mV")

    def test_a_format_without_rate_and_unit_asks_for_them(self, plain, tmp_path):
        self.refused(tmp_path, plain, "fs=360, units='mV'")

    def test_a_short_recording_has_no_beats_and_the_others_count(self, folder, tmp_path):
        write_record(folder, "c3", [Beat(0)])
        rows, _ = prepare_own(folder, "mine", data_dir=tmp_path / "data")
        assert rows[2]["record"] == "c3"
        assert (rows[2]["N"], rows[2]["no whole window"], rows[2]["lost"]) == (0, 1, 1.0)
        assert set(load("mine", tmp_path / "data").record) == {"a1", "b2"}


class TestTyped:
    def test_prints_the_table_and_what_to_know(self, folder, tmp_path, capsys):
        assert typed(folder, "--name", "mine", "--data-dir", tmp_path / "data") == 0
        lines = capsys.readouterr().out.splitlines()
        cells = [re.split(r"\s{2,}", line.strip()) for line in lines[:4]]
        assert cells[0] == list(NAMES)
        assert cells[3] == ["all", "16", "1", "1", "0", "0", "0", "0", "0", "0.0%"]
        assert lines[4] == "leads: MLII"

    @pytest.mark.parametrize(
        ("args", "words"),
        [
            (["mitbih"], "either the folder of the records, --from, or --download"),
            (["mitbih", "--download", "--name", "x"], "takes no --name; .* ./mitbih"),
            (["mitbih", "--download", "--lead", "V1"], "takes no --lead"),
            (["ptbxl", "--download"], "ptbxl: --from and --download are for"),
            (["here"], "here: your own data needs a name; give one"),
            (["here", "--name", "x"], "here"),
        ],
    )
    def test_what_does_not_go_together_is_one_line(self, args, words, capsys, tmp_path):
        assert typed(*args, "--data-dir", tmp_path) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert re.fullmatch(rf"kdjax prepare: [^\n]*{words}[^\n]*\n", err)
