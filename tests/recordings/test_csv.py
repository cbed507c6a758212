"""Text tables."""

import numpy as np
import pytest
from file_bytes import ecg
from hypothesis import given, settings
from hypothesis import strategies as st
from written import GIVEN, whole, write_text

from kdjax.errors import InputError
from kdjax.recordings import csv, lines, open_source

ROWS = [[0.5, 1.0], [np.nan, -2.0], [0.25, np.nan]]
AS_TEXT = {
    "carriage returns": "I,II\r0.5,1\r,-2\r0.25,nan\r",
    "two carriage returns": "I,II\r\r\n0.5,1\r\r\n,-2\r\r\n0.25,nan\r\r\n",
    "sep": "sep=;\nI;II\n0,5;1\n;-2\n0,25;\n",
    "quoted sep": '"sep=,"\nI,II\n0.5,1\n,-2\n0.25,\n',
    "comments": "# a logger\n% of ours\nI,II\n0.5,1\n,-2\n0.25,\n",
    "units": "I,II\nmV,mV\n0.5,1\n,-2\n0.25,\n",
    "units of a logger": "A,A\nI,II\nCAL,CAL\n(mV),[mV]\n0.5,1\n,-2\n0.25,\n",
    "units in names": "I [mV],II (mV)\n0.5,1\n,-2\n0.25,\n",
    "metadata": "Name,A\nAge,30\n\nI,II\n0.5,1\n,-2\n0.25,\n",
    "padded metadata": "Name,A\n,\nI,II\n0.5,1\n,-2\n0.25,\n",
    "trailing signs": "I,II,\n0.5,1,\n,-2,\n0.25,,\n",
    "text beside": "I,II,remark\n0.5,1,good\n,-2,bad\n0.25,,good\n",
    "a unit that is none": "I [mV],II [mV],rate [bpm]\n0.5,1,60\n,-2,60\n0.25,,61\n",
    "as R writes": "I II\n1 0.5 1\n2 NA -2\n3 0.25 NA\n",
    "a header": "I,II\n0.5,1\n,-2\n0.25,nan\n",
    "no header": "0.5,1\n,-2\n0.25,nan",
    "CRLF": "I,II\r\n0.5,1\r\n-,-2\r\n0.25,NaN\r\n\r\n",
    "byte order mark": "\N{BYTE ORDER MARK}I,II\n0.5,1\n,-2\n0.25,-\n",
    "quotes": '"I",\'II\'\n0.5,1\n,-2\n"0.25",NA\n',
    "semicolons": "I;II\n0.5;1\n;-2\n0.25;\n",
    "decimal commas": "I;II\n0,5;1\n;-2\n,25;\n",
    "tabs": "I\tII\n0.5\t1\n\t-2\n0.25\t\n",
    "spaces": "  I  II\n 0.5  1.0\nnan  -2\n0.25   -  \n",
    "comma and space": "I, II\n0.5, 1\n, -2\n0.25, \n",
    "time": "time (s),I,II\n0,0.5,1\n0.003,,-2\n0.006,0.25,\n",
    "sample number at the end": "I,II,Sample #\n0.5,1,7\n,-2,8\n0.25,,9\n",
    "clock": "date time,I,II\n1.1. 10:00,0.5,1\n1.1. 10:00,,-2\n1.1. 10:00,0.25,\n",
    "an index without a name": ",I,II\n0,0.5,1\n1,,-2\n2,0.25,\n",
    "a comment sign": "# I II\n0.5 1\n- -2\n0.25 -\n",
    "exponents": "I,II\n5e-1,1E0\n,-2.\n+.25,\n",
}


@pytest.mark.parametrize("text", AS_TEXT.values(), ids=AS_TEXT)
def test_a_table_is_read_however_it_is_written(tmp_path, text):
    source = open_source(write_text(tmp_path, text), **GIVEN)
    named = not text.startswith("0.5")
    assert source.leads == (("I", "II") if named else ("lead 1", "lead 2"))
    assert (source.length, source.fs, source.notes) == (3, 360, ())
    np.testing.assert_array_equal(whole(source), ROWS)


def test_one_column_needs_no_delimiter_and_may_have_blank_lines(tmp_path):
    source = open_source(write_text(tmp_path, "II\n1\n\n-3\n", "r1.TXT"), **GIVEN)
    assert source.leads == ("II",)
    np.testing.assert_array_equal(whole(source)[:, 0], [1, np.nan, -3])


@pytest.mark.parametrize("word", ["-", "nan", "NaN", "NA", "N/A", "#N/A", "null", "NULL", "None"])
def test_a_word_for_a_missing_sample(tmp_path, word):
    rows = ["I,II", *["0.5,1.25"] * 40, f"{word},-2.0", f"0.25,{word}", *["0.5,1.25"] * 40]
    signal = whole(open_source(write_text(tmp_path, "\n".join(rows)), **GIVEN))
    np.testing.assert_array_equal(signal[40:42], [[np.nan, -2], [0.25, np.nan]])


@pytest.mark.parametrize("feed", ["\n", "\r\n", "\r", "\r\r\n"])
@pytest.mark.parametrize("chunk", [1 << 20, 64, 65, 66])
def test_empty_lines_of_one_column_are_counted(tmp_path, monkeypatch, feed, chunk):
    monkeypatch.setattr(lines, "CHUNK_BYTES", chunk)
    numbers = ["" if i % 23 in (5, 6, 11) else f"{i}" for i in range(400)] + ["1", "", ""]
    source = open_source(write_text(tmp_path, feed.join(["II", *numbers])), **GIVEN)
    assert source.length == 401
    missing = int(np.isnan(whole(source)).sum())
    assert source.notes == (f"empty lines read as missing samples: {missing}",)


@pytest.mark.parametrize("feed", ["\n", "\r\n"])
@pytest.mark.parametrize("head", ["", "II"])
@pytest.mark.parametrize("every", [0, 40])
def test_a_column_with_an_empty_line_between_all_rows_is_refused(tmp_path, feed, head, every):
    """The time of every beat was doubled."""
    rows = [f"{i}{feed}" if not every or i % every else f"{i}" for i in range(300)]
    path = write_text(tmp_path, feed.join([head, *rows]))
    with pytest.raises(
        InputError, match="every other line of the table is empty; remove the empty"
    ):
        open_source(path, **GIVEN)


@pytest.mark.parametrize(
    "text",
    [
        "II,V1\n" + "0,12,0,55\n-1,7,0,31\n" * 50,
        "time,II\n" + "".join(f"0,{i:03d},1,{i % 7}\n" for i in range(100)),
        "sample,II\n" + "".join(f"{i},1,{i % 7}\n" for i in range(100)),
        "Age,30\nII,V1\n" + "1,2,3\n" * 50,
    ],
)
def test_names_of_fewer_columns_than_the_rows_have_are_refused(tmp_path, text):
    with pytest.raises(
        InputError, match=r"line \d has 2 fields and line \d has \d; a line of names"
    ):
        open_source(write_text(tmp_path, text), **GIVEN)


@pytest.mark.parametrize(
    "above", ["Age,30", "Name: A, B", "# II,V1", "Unit,mV", "Date,2024-02-29", ","]
)
def test_a_line_that_gives_no_names_may_stand_above_the_rows(tmp_path, above):
    source = open_source(write_text(tmp_path, f"{above}\n" + "0.1,0.2,0.3\n" * 50), **GIVEN)
    assert source.leads == ("lead 1", "lead 2", "lead 3")


@pytest.mark.parametrize(
    "cell", ["3 145", "1F3A", "0x1f3a", "2.5 mV", "1'002", "10:00:00 CET", "29.02.2024"]
)
def test_numbers_and_times_that_cannot_be_read_are_left_out_and_it_is_said(tmp_path, cell):
    path = write_text(tmp_path, "II,other\n" + f"0.1,{cell}\n" * 100)
    source = open_source(path, **GIVEN)
    assert source.leads == ("II",)
    assert source.notes == (f"left out (cannot be read): column 'other' ({cell})",)


@pytest.mark.parametrize("cell", ["good", "lead 1 off", "N", "ADD", "10:00"])
def test_of_remarks_nothing_is_said(tmp_path, cell):
    path = write_text(tmp_path, "II,remark\n" + f"0.1,{cell}\n" * 100)
    assert open_source(path, **GIVEN).notes == ()


@pytest.mark.parametrize("name", ["S", "D", "T", "min", "h"])
def test_a_letter_names_times_only_where_they_go_on(tmp_path, name):
    ecg_like = np.sin(np.arange(200)).round(3)
    rows = "".join(f"{v:.3f},{v:.3f}\n" for v in ecg_like)
    source = open_source(write_text(tmp_path, f"{name},II\n{rows}"), **GIVEN)
    assert source.leads == (name, "II")
    np.testing.assert_allclose(whole(source)[:, 0], ecg_like, rtol=1e-6)
    per = {"min": 60, "h": 3600, "D": 86400}.get(name, 1)
    rows = "".join(f"{i / 360 / per:.9f},{v:.3f}\n" for i, v in enumerate(ecg_like))
    source = open_source(write_text(tmp_path, f"{name},II\n{rows}"), units="mV")
    assert (source.leads, source.fs) == (("II",), 360)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("1", "line 402 has 1 fields, not 2"),
        ("1,2,3", "line 402 has 3 fields, not 2"),
        ("", "line 402 has 1 fields, not 2"),
        ("1,2,3\n1", "line 402 has 3 fields, not 2"),
        ("1,oops", "line 402: 'oops' is not a number"),
        ("0x1,2", "line 402: '0x1' is not a number"),
        ("1 2,3", "line 402: '1 2' is not a number"),
        ("1;2", "line 402 has 1 fields, not 2"),
    ],
)
@pytest.mark.parametrize("line_bytes", [100, 1 << 20])
def test_a_bad_line_is_named(tmp_path, monkeypatch, line, words, line_bytes):
    path = write_text(tmp_path, "I,II\n" + "0.1,0.2\n" * 400 + line + "\n" + "0.1,0.2\n" * 400)
    monkeypatch.setattr(lines, "CHUNK_BYTES", line_bytes)
    source = open_source(path, **GIVEN)
    with pytest.raises(InputError, match=f"r1.csv: {words}; repair it$"):
        whole(source)


def test_a_zero_byte_ends_no_number(tmp_path, monkeypatch):
    monkeypatch.setattr(csv, "HEAD_BYTES", 100)
    source = open_source(write_text(tmp_path, "0.1,0.2\n" * 400 + "0.1\0009,1\n"), **GIVEN)
    with pytest.raises(InputError, match=r"line 401: '0\.1 9' is not a number"):
        whole(source)


@pytest.mark.parametrize("header", ["seconds", "time [s]", "time", "Time (ms)", "t", "sample"])
def test_a_time_column_that_agrees_with_fs_is_left_out(tmp_path, header):
    per_row = {"Time (ms)": 1e3 / 360, "t": 1.0, "sample": 1.0}.get(header, 1 / 360)
    rows = "".join(f"{i * per_row:.3f},0.1\n" for i in range(200))
    assert open_source(write_text(tmp_path, f"{header},I\n{rows}"), **GIVEN).leads == ("I",)


@pytest.mark.parametrize("header", ["seconds", "time [s]", "time"])
def test_a_time_column_that_contradicts_fs_is_an_error(tmp_path, header):
    rows = "".join(f"{i / 250:.3f},0.1\n" for i in range(200))
    with pytest.raises(InputError, match=r"advances by 0\.004 s a row, which is 250 Hz, not 360"):
        open_source(write_text(tmp_path, f"{header},I\n{rows}"), **GIVEN)


THOUSANDS = {
    "quoted commas": '{},"{:,}"\n',
    "quoted commas in the only column": '"{1:,}"\n',
    "points": "{};{:.}\n",
    "commas": "{};{:,}\n",
    "commas and tabs": "{}\t{:,}\n",
}


@pytest.mark.parametrize("form", THOUSANDS.values(), ids=THOUSANDS)
@pytest.mark.parametrize("name", [True, False])
@pytest.mark.parametrize("base", [0, 990, 1000, 1200, 999_990])
def test_thousands_separators_are_refused(tmp_path, form, name, base):
    """Excel writes them into columns that are shown so; 1,002 is 1002 here, not 1.002."""
    values = [base + i * 37 % 300 if i % 60 else 5 for i in range(400)]
    values[200] = 1002
    text = "".join(form.replace(":.", ":,").format(i % 7, v) for i, v in enumerate(values))
    if ":." in form:
        text = text.replace(",", ".")
    head = ("a;II" if ";" in form else "a,II" if form[0] == "{" else "II") if name else ""
    head = head.replace(",", "\t") if "\t" in form else head
    with pytest.raises(InputError, match=r"r1.csv: column ('II'|1|2): [\d.,]+ has a thousands sep"):
        open_source(write_text(tmp_path, f"{head}\n{text}"), fs=250, units="uV")


def test_a_late_thousands_separator_is_refused_when_it_is_read(tmp_path):
    text = "a,II\n" + "1,995\n" * 3000 + '1,"1,002"\n'
    source = open_source(write_text(tmp_path, text), fs=250, units="uV")
    with pytest.raises(InputError, match=r"line 3002: '1,002' is not a number; repair it"):
        whole(source)


@pytest.mark.parametrize("cells", [["1.002", "1.25", "3"], ["1.002", "0.998"], ["1002", "1.002"]])
def test_three_decimals_are_no_thousands(tmp_path, cells):
    text = "II\n" + "\n".join(cells * 20)
    read = whole(open_source(write_text(tmp_path, text), fs=250, units="uV"))
    np.testing.assert_allclose(1000 * read[: len(cells), 0], list(map(float, cells)), rtol=1e-6)


# What is no table of samples


@pytest.mark.parametrize("sign", [",", ";", "\t", " "])
@pytest.mark.parametrize("n", [2500, 400_000])
def test_a_table_on_its_side_is_said_to_be_one(tmp_path, sign, n):
    beats = ecg(10, np.random.default_rng(0), fs=250)[:, 0]
    line = sign.join([f"{v:.3f}" for v in beats] * (n // 2500))
    text = "\n".join([line] * 3)
    with pytest.raises(
        InputError, match=r"numbers in a line, probably one lead per line; transpose"
    ):
        open_source(write_text(tmp_path, text), **GIVEN)


@pytest.mark.parametrize(
    "text",
    ["", "hello\n", "id,age,sex\nx,y,z\n", "a,b\n" * 300, "time,event\n10:00:00.1,x\n" * 9],
)
def test_what_holds_no_numbers_is_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"r1\.csv: (the file is empty|holds no table of numbers)"):
        open_source(write_text(tmp_path, text), **GIVEN)


LAYOUTS = st.fixed_dictionaries(
    {
        "sign": st.sampled_from(list(",;\t ")),
        "feed": st.sampled_from(["\n", "\r\n", "\r"]),
        "comma": st.booleans(),
        "names": st.booleans(),
        "units": st.sampled_from([None, "row", "names"]),
        "time": st.sampled_from([None, "s", "ms", "ns"]),
        "above": st.lists(
            st.sampled_from(["# note", "Device: x1", "", "fs: 250 Hz", "Name,A B"]), max_size=4
        ),
        "quoted": st.booleans(),
        "mark": st.booleans(),
        "ended": st.booleans(),
        "text": st.booleans(),
    }
)


def test_under_one_name_commas_part_decimals(tmp_path):
    units, decimals = np.arange(400) * 7 % 300 - 150, 10 + np.arange(400) * 37 % 90

    def signal(head, first):
        rows = "".join(f"{a},{b}\n" for a, b in zip(first, decimals, strict=True))
        (tmp_path / "a.csv").write_text(f"{head}\n{rows}")
        return 1000 * whole(open_source(tmp_path / "a.csv", 250.0, "uV"))

    as_one = np.array([float(f"{a}.{b}") for a, b in zip(units, decimals, strict=True)])
    np.testing.assert_allclose(signal("aVR", units)[:, 0], as_one, rtol=1e-5)
    np.testing.assert_allclose(signal("I,II", units), np.stack([units, decimals], 1), rtol=1e-5)
    numbered = signal("ecg", np.arange(400))  # as R writes it, with the rows' numbers
    np.testing.assert_allclose(numbered[:, 0], decimals, rtol=1e-5)


def test_without_names_single_digits_behind_commas_are_decimals(tmp_path):
    units, digits = np.arange(400) * 7 % 300 - 150, np.arange(400) * 37 % 90 % 10

    def leads(second):
        rows = "".join(f"{a},{b}\n" for a, b in zip(units, second, strict=True))
        (tmp_path / "a.csv").write_text(rows)
        return 1000 * whole(open_source(tmp_path / "a.csv", 250.0, "uV"))

    as_one = np.array([float(f"{a}.{b}") for a, b in zip(units, digits, strict=True)])
    np.testing.assert_allclose(leads(digits)[:, 0], as_one, rtol=1e-5)
    (note,) = open_source(tmp_path / "a.csv", 250.0, "uV").notes
    assert note == "commas were read as decimal signs, so there is one column"
    marks = digits % 3
    np.testing.assert_allclose(leads(marks), np.stack([units, marks], 1), rtol=1e-5)


@given(layout=LAYOUTS, n=st.integers(20, 60), leads=st.integers(1, 3), chunk=st.integers(9, 14))
@settings(max_examples=80, deadline=None)
def test_any_layout_of_a_table_gives_the_same_signal(tmp_path_factory, layout, n, leads, chunk):
    sign, decimal = layout["sign"], layout["comma"] and layout["sign"] != ","
    rng = np.random.default_rng(n)
    signal = rng.normal(0, 1, (n, leads)).round(3)
    signal[3, 0] = np.nan
    signal[-2, 0] = 0.012  # a part that begins with 0 tells a column of decimal commas from two
    cells = [["nan" if v != v else f"{v:.3f}" for v in row] for row in signal]
    names = [f"V{i + 1}" for i in range(leads)]
    units = ["mV"] * leads
    if layout["units"] == "names":
        names = [f"{name}_mV" for name in names]
    if layout["time"]:
        per = {"s": 0.004, "ms": 4, "ns": 4_000_000}[layout["time"]]
        cells = [
            [f"{per * i:.3f}" if per < 1 else str(per * i), *row] for i, row in enumerate(cells)
        ]
        names, units = ["time", *names], [layout["time"], *units]
    if layout["text"]:
        cells = [[*row, "ok"] for row in cells]
        names, units = [*names, "remark"], [*units, ""]
    if decimal:
        cells = [[cell.replace(".", ",") for cell in row] for row in cells]
    if layout["quoted"] and sign != " ":
        names = [f'"{name}"' for name in names]
    rows = [sign.join(row) for row in cells]
    named = layout["names"] or layout["units"] == "names"
    head = [sign.join(names)] if named else []
    if layout["units"] == "row" and sign != " ":
        head.append(sign.join(units))
    text = layout["feed"].join([*layout["above"], *head, *rows]) + layout["feed"] * layout["ended"]
    path = write_text(
        tmp_path_factory.getbasetemp(), ("\N{BYTE ORDER MARK}" if layout["mark"] else "") + text
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lines, "CHUNK_BYTES", 1 << chunk)
        source = open_source(path, fs=250, units="mV")
        assert source.fs == 250
        if layout["time"] is None or len(head) or n >= 50:
            assert len(source.leads) == leads
            np.testing.assert_allclose(whole(source), signal, rtol=1e-6)


@pytest.mark.parametrize(
    ("head", "times"),
    [
        ("time II V1\ns mV mV", [f"{i / 250:.6f}".replace(".", ",") for i in range(60)]),
        ("sample II V1\n- mV mV", list(map(str, range(60)))),
        ("time II V1", [f"12:30:{i / 250:09.6f}" for i in range(60)]),
    ],
)
def test_blanks_part_fields_with_decimal_commas(tmp_path, head, times):
    """They were parted at the commas, and one lead of the last digits was read."""
    signal = np.random.default_rng(0).normal(0, 1, (60, 2)).round(3)
    rows = [
        " ".join([t, *(f"{v:.3f}".replace(".", ",") for v in row)])
        for t, row in zip(times, signal, strict=True)
    ]
    source = open_source(write_text(tmp_path, "\n".join([head, *rows, ""])), fs=250, units="mV")
    assert source.leads == ("II", "V1")
    np.testing.assert_allclose(whole(source), signal, rtol=1e-6)


def test_a_ramp_in_millivolts_is_no_time(tmp_path):
    rows = "".join(f"{i / 250:.3f},{i % 7}\n" for i in range(100))
    source = open_source(write_text(tmp_path, "II [mV],V1 [mV]\n" + rows), fs=250)
    assert source.leads == ("II", "V1")


NUMBERED = {
    "an index": (",0", lambda i, v: f"{i},{v:.3f}", 1),
    "an index over whole numbers": (",0,1", lambda i, v: f"{i},{1000 * v:.0f},7", 2),
    "an index of seconds": (",0", lambda i, v: f"{i / 250},{v:.3f}", 1),
    "an index of times": (",0", lambda i, v: f"2024-02-29 10:00:00.{4 * i:03d},{v:.3f}", 1),
    "no index": ("0,1", lambda i, v: f"{v:.3f},1.0", 2),
    "no index, one column": ("0", lambda i, v: f"{v:.3f}", 1),
    "decimal commas": (";0", lambda i, v: f"{i};{v:.3f}".replace(".", ","), 1),
}


@pytest.mark.parametrize(("head", "row", "leads"), NUMBERED.values(), ids=NUMBERED)
def test_names_that_pandas_made_up_are_no_sample(tmp_path, head, row, leads):
    signal = np.random.default_rng(0).normal(0, 1, 200).round(3)
    text = "\n".join([head, *(row(i, v) for i, v in enumerate(signal))])
    source = open_source(write_text(tmp_path, text), fs=250, units="mV")
    assert (len(source.leads), source.length) == (leads, 200)
    scale = 1000 if head == ",0,1" else 1
    np.testing.assert_allclose(whole(source)[:, 0], signal * scale, rtol=1e-6)
    said = () if head[0] in ",;" else ("line 1 was read as the columns' numbers, not as a sample",)
    assert source.notes == said


@pytest.mark.parametrize("text", ["0,1\n0.5,2\n3,0.25\n", "0\n0.5\n0\n", "0,1\n1,2\n2,3\n"])
def test_a_first_row_of_whole_numbers_among_others_is_a_sample(tmp_path, text):
    assert open_source(write_text(tmp_path, text), **GIVEN).length == 3


def test_decimal_commas_are_seen_where_zeros_behind_them_are_rare(tmp_path):
    values = np.tile([0.101, 0.925], 800)
    values[1200] = 0.012
    path = write_text(tmp_path, "".join(f"{v:.3f}\n".replace(".", ",") for v in values))
    np.testing.assert_allclose(whole(open_source(path, **GIVEN))[:, 0], values, atol=0.001)


@pytest.mark.parametrize("sign", [",", ";", "\t"])
def test_blanks_behind_fields_are_no_part_of_them(tmp_path, sign):
    rows = ["I{0}II", *["0.1{0}0.2"] * 300, "NaN {0}0.2", "0.1{0}nan  ", "0.1 {0} 0.2 ", "  {0}0.2"]
    path = write_text(tmp_path, "".join(f"{row}\n".format(sign) for row in rows))
    nan = np.nan
    last = [[nan, 0.2], [0.1, nan], [0.1, 0.2], [nan, 0.2]]
    np.testing.assert_allclose(whole(open_source(path, **GIVEN))[300:], last, rtol=1e-6)


def test_one_blank_behind_a_word_is_enough_to_look_for(tmp_path):
    path = write_text(tmp_path, "I,II\n" + "0.1,0.2\n" * 300 + "NaN ,0.2\n")
    np.testing.assert_allclose(whole(open_source(path, **GIVEN))[300], [np.nan, 0.2], rtol=1e-6)


def test_what_is_no_number_is_shown_as_it_stands_in_the_file(tmp_path):
    path = write_text(tmp_path, "I,II\n" + "0.1,0.2\n" * 300 + "\N{MINUS SIGN}0.1,0.2\n")
    with pytest.raises(InputError, match="\N{MINUS SIGN}0"):
        whole(open_source(path, **GIVEN))
