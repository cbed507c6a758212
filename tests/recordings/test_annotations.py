"""Annotation files whose notes wfdb's reader never returns from."""

import signal

import numpy as np
import pytest
import wfdb

from kdjax.recordings import read_annotation_file


@pytest.fixture
def at_most_20_s():
    def late(*_):
        raise TimeoutError("the reader does not return")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def written(folder, notes, symbols="NV"):
    """An annotation file with comments at sample 0 and then beats 100 samples apart."""
    sample = np.array([0] * len(notes) + [100 * (k + 1) for k in range(len(symbols))])
    wfdb.wrann(
        "r",
        "atr",
        sample,
        symbol=['"'] * len(notes) + list(symbols),
        aux_note=[*notes, *([""] * len(symbols))],
        write_dir=str(folder),
    )
    return folder / "r.atr"


@pytest.mark.usefixtures("at_most_20_s")
@pytest.mark.parametrize(
    "notes",
    [
        ["## recorded on ward 3"],
        ["## time resolution: 360", "## time resolution: 250"],
        ["## time resolution: 360", "## recorded on ward 3"],
        ["## end of definitions"],
        ["## annotation type definitions of ours"],
    ],
)
def test_beats_behind_a_note_that_wfdb_hangs_on(tmp_path, notes):
    read = read_annotation_file(written(tmp_path, notes), 360)
    beats = np.isin(read.symbol, ["N", "V"])
    assert read.sample[beats].tolist() == [100, 200]
    assert read.symbol[beats].tolist() == ["N", "V"]


def test_a_time_resolution_counts_behind_another_note(tmp_path):
    file = written(tmp_path, ["## time resolution: 180", "## recorded on ward 3"])
    read = read_annotation_file(file, 360)
    assert read.sample[np.isin(read.symbol, ["N", "V"])].tolist() == [200, 400]
