"""Recordings that several files prepare."""

import numpy as np
import pytest
import wfdb
from record_files import FS, Beat, beats_of, checksums_of, wave, write_csv, write_record

from kdjax.datasets import prepare_mitbih

ALL_SYMBOLS = "NLRaJASjeVEF/fQ"


@pytest.fixture(scope="session")
def source(tmp_path_factory):
    """Two records: a1 has every symbol of the class map and four beats that are dropped."""
    folder = tmp_path_factory.mktemp("records")
    marks = beats_of("NN" + ALL_SYMBOLS + "+~|xNNNN")
    marks[0] = Beat(100)  # its window begins before the record
    marks[-3] = Beat(marks[-3].sample, off=60)  # normal, and far from its R-peak
    marks[-2] = Beat(marks[-2].sample, "V", off=60)  # abnormal beats stay however far they lie
    marks.append(Beat(marks[-1].sample + 390, "S"))
    write_record(folder, "a1", marks)
    # The last beat ends the record too early: cut 250 samples off the signal.
    signal = wfdb.rdrecord(str(folder / "a1"), physical=False)
    wfdb.wrsamp(
        "a1",
        fs=FS,
        units=["mV"] * 2,
        sig_name=["V5", "MLII"],
        d_signal=signal.d_signal[:-250],
        fmt=["212"] * 2,
        adc_gain=[200.0] * 2,
        baseline=[0] * 2,
        write_dir=str(folder),
    )
    write_record(folder, "b2", beats_of("NNNNVNNNN"))
    return folder


@pytest.fixture(scope="session")
def prepared(source, tmp_path_factory):
    """The data_dir in which `source` is prepared, and the table of its preparation."""
    data_dir = tmp_path_factory.mktemp("data")
    rows = prepare_mitbih(source, data_dir, checksums=checksums_of(source))
    return data_dir, rows


@pytest.fixture
def folder(tmp_path):
    """Two annotated WFDB records with the leads V5 and MLII."""
    made = tmp_path / "records"
    made.mkdir()
    write_record(made, "a1", beats_of("NNNNVNNAN+NBN"))
    write_record(made, "b2", beats_of("NNNNNNN"))
    return made


@pytest.fixture
def plain(tmp_path):
    """Three recordings without annotations: WFDB, CSV and NPY, all with one lead."""
    made = tmp_path / "plain"
    made.mkdir()
    write_record(made, "a", beats_of("N" * 12), leads=("ECG",))
    (made / "a.atr").unlink()
    place = 180 + 300 * np.arange(12)
    write_csv(made, "b", wave(place, 3880), ["ECG"])
    write_csv(made, "c", wave(place, 3880), ["ECG"])
    return made
