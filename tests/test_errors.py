"""How messages are worded."""

import pytest

from kdjax.errors import counted, reason_of


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 epochs"), (1, "1 epoch"), (2, "2 epochs"), (100, "100 epochs")]
)
def test_only_one_of_a_thing_is_singular(number, text):
    assert counted(number, "epoch") == text


@pytest.mark.parametrize(
    ("error", "most", "reason"),
    [
        (ValueError("not\n a\x07 number"), 200, "not a number"),
        (ValueError("x" * 300), 200, "x" * 200),
        (ValueError("x" * 300), None, "x" * 300),
        (EOFError(), 200, "EOFError"),
    ],
)
def test_the_reason_of_an_exception_is_a_short_line_or_its_type(error, most, reason):
    assert reason_of(error, most) == reason
