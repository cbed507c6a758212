"""Signals that are in memory already."""

import numpy as np
import pytest
from written import whole

from kdjax.recordings.in_memory import of_array


@pytest.mark.parametrize("dtype", [np.float32, np.int16])
def test_masked_samples_are_missing(dtype):
    signal = np.ma.masked_array(np.arange(200, dtype=dtype), np.arange(200) % 7 == 0)
    expected = np.where(signal.mask, np.nan, signal.data)[:, None]
    np.testing.assert_array_equal(whole(of_array(signal, 100)), expected)
