"""Clocks of text tables: what their cells may look like, and what is no steady clock."""

import datetime

import numpy as np
import pytest
from written import write_text

from kdjax.recordings import open_source

START = datetime.datetime(2024, 2, 29, 23, 59, 50)
SECONDS = np.arange(5000) / 250


def stamps(form, seconds=SECONDS, start=START):
    """Times in a form of strftime; %f has three digits."""
    moments = (start + datetime.timedelta(seconds=round(float(t), 3)) for t in seconds)
    return [m.strftime(form.replace("%f", f"{m.microsecond // 1000:03d}")) for m in moments]


def table(folder, times, above="", name="time"):
    rows = "".join(f"{t},{i * 37 % 400}\n" for i, t in enumerate(times))
    return write_text(folder, f"{above}{name},II\n{rows}")


@pytest.mark.parametrize(
    "form", ['"%d.%m.%Y, %H:%M:%S.%f"', '"%m/%d/%Y, %I:%M:%S.%f %p"', '"%Y-%m-%d %H:%M:%S,%f"']
)
@pytest.mark.parametrize("options", [{}, {"fs": 250}])
def test_a_comma_between_date_and_time_is_part_of_the_time(tmp_path, form, options):
    late = SECONDS + 7.0 * (np.arange(5000) >= 3000)
    source = open_source(table(tmp_path, stamps(form, late)), units="uV", **options)
    assert (source.fs, source.length, source.start) == (250, 5000 + 1750, START)
