"""Arrays in pages, packed and unpacked."""

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdjax.pages import packing


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32"])
def test_whole_numbers_to_the_ends_of_their_type_survive(dtype):
    ends = np.iinfo(dtype)
    rng = np.random.default_rng(0)
    values = rng.integers(ends.min, ends.max, 1000, dtype, endpoint=True)
    values[:4] = ends.min, ends.max, ends.min, 0
    back = packing.inflated(packing.deflated(values), dtype)
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back, values)


@given(st.lists(st.floats(width=32)))
def test_floats_survive_to_the_bit(values):
    values = np.array(values, np.float32)
    back = packing.inflated(packing.deflated(values), "float32")
    np.testing.assert_array_equal(back.view(np.uint32), values.view(np.uint32))


def test_a_slow_signal_shrinks():
    values = np.round(500 * np.sin(np.arange(10_000) / 50)).astype(np.int16)
    assert len(packing.deflated(values)) < values.nbytes / 4


def test_packed_is_what_json_holds():
    packed = packing.packed(np.arange(5, dtype=np.int8))
    assert packed["type"] == "int8"
    back = packing.inflated(base64.b64decode(packed["data"]), "int8")
    assert back.tolist() == [0, 1, 2, 3, 4]


def test_other_types_are_refused():
    with pytest.raises(ValueError, match="int64 cannot be packed"):
        packing.deflated(np.arange(3))
