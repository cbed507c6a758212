"""How messages are worded."""

import pytest

from kdjax.errors import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs"), (100, "100 epochs")]
)
def test_only_one_of_a_thing_is_singular(number, text):
    assert counted(number, "epoch") == text
