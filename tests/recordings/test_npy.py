"""NumPy arrays."""

import numpy as np
import pytest
from written import GIVEN, whole, write_npy

from kdjax.errors import InputError
from kdjax.recordings import open_source


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int16, np.uint8, ">i4"])
@pytest.mark.parametrize("turn", [np.asarray, np.asfortranarray, np.transpose])
def test_arrays_of_any_real_numbers_either_way_round(tmp_path, dtype, turn):
    signal = np.arange(900).reshape(300, 3) % 120
    if turn is np.transpose:
        signal = np.repeat(signal, 2, axis=0)  # 3 rows of 600: more than a hundred times as many
    source = open_source(write_npy(tmp_path, turn(signal.astype(dtype))), **GIVEN)
    assert source.leads == ("lead 1", "lead 2", "lead 3")
    np.testing.assert_array_equal(whole(source), signal)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros(900, bool), np.zeros(900, complex), np.zeros((900, 2, 1)), np.zeros((900, 65)),
        np.zeros((16, 1600)), np.array(1.0), np.array([{}] * 900), np.zeros(900, [("a", float)]),
    ],
    ids=["bool", "complex", "3-D", "leads", "square", "scalar", "object", "fields"],
)  # fmt: skip
def test_other_arrays_are_refused(tmp_path, array):
    np.save(tmp_path / "r1.npy", array)
    with pytest.raises(InputError, match=r"r1\.npy: .*(write it|not a recording)"):
        open_source(tmp_path / "r1.npy", **GIVEN)


def test_an_array_behind_the_first_is_left_out_and_it_is_said(tmp_path):
    for signal in (np.arange(720.0), np.ones((720, 2), np.int16)):
        with (tmp_path / "r1.npy").open("wb") as file:
            np.save(file, signal)
            alone = file.tell()
            np.save(file, signal)
            more = file.tell() - alone
        source = open_source(tmp_path / "r1.npy", fs=360, units="mV")
        assert source.length == 720
        assert source.notes == (f"{more} bytes after the first array were left out",)
        np.save(tmp_path / "r1.npy", signal)
        assert open_source(tmp_path / "r1.npy", fs=360, units="mV").notes == ()


@pytest.mark.parametrize("shape", [0, (0, 2), (2, 0)])
def test_an_array_without_samples_is_refused(tmp_path, shape):
    np.save(tmp_path / "r1.npy", np.zeros(shape))
    with pytest.raises(InputError, match=r"r1\.npy: (holds no samples|.*is not a recording)"):
        open_source(tmp_path / "r1.npy", **GIVEN)
