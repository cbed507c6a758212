"""What a text table says of itself: clock, rate and units, as devices and programs write them."""

import datetime
import json

import numpy as np
import pytest
from file_bytes import ecg
from written import GIVEN, whole, write_text

from kdjax.errors import InputError
from kdjax.recordings import lines, open_source

BEATS = ecg(20, np.random.default_rng(0), fs=250)[:, 0].round(4)
START = datetime.datetime(2024, 2, 29, 23, 59, 50)
UNIX = START.replace(tzinfo=datetime.UTC).timestamp()


def rows(times, signal=BEATS, sign=","):
    return "".join(f"{t}{sign}{v:.4f}\n" for t, v in zip(times, signal, strict=True))


def stamp(form, start=START, fs=250):
    """Times of n rows in a form of strftime, %f with three digits."""
    moments = (start + datetime.timedelta(seconds=i / fs) for i in range(len(BEATS)))
    return [
        moment.strftime(form.replace("%f", f"{round(moment.microsecond / 1000) % 1000:03d}"))
        for moment in moments
    ]


SECONDS = np.arange(len(BEATS)) / 250
TIMES = {
    "seconds": ("time", [f"{t:.3f}" for t in SECONDS], None),
    "seconds by name": ("seconds", [f"{t:.6f}" for t in SECONDS], None),
    "milliseconds": ("Time (ms)", [f"{1e3 * t:.0f}" for t in SECONDS], None),
    "milliseconds of no name": ("t", [f"{1e3 * t:.1f}" for t in SECONDS], None),
    "microseconds": ("time", [f"{1e6 * t:.0f}" for t in SECONDS], None),
    "nanoseconds": ("elapsed [ns]", [f"{1e9 * t:.0f}" for t in SECONDS], None),
    "minutes": ("time (min)", [f"{t / 60:.8f}" for t in SECONDS], None),
    "Zeit": ("Zeit", [f"{t:.3f}" for t in SECONDS], None),
    "another alphabet": ("\u65f6\u95f4", [f"{t:.3f}" for t in SECONDS], None),
    "Unix seconds": ("timestamp", [f"{UNIX + t:.3f}" for t in SECONDS], "UTC"),
    "Unix milliseconds": ("timestamp", [f"{1e3 * (UNIX + t):.0f}" for t in SECONDS], "UTC"),
    "Unix nanoseconds": ("ts", [f"{round(1e3 * (UNIX + t))}000000" for t in SECONDS], "UTC"),
    "Polar": ("sensor timestamp [ns]", [
        f"{round(1e3 * (UNIX + t - 946684800))}000000" for t in SECONDS], "naive"),
    "Excel": ("Time", [f"{(UNIX + t) / 86400 + 25569:.11f}" for t in SECONDS], "naive"),
    "ISO": ("time", stamp("%Y-%m-%dT%H:%M:%S.%f"), "naive"),
    "ISO in UTC": ("time", stamp("%Y-%m-%dT%H:%M:%S.%fZ"), "UTC"),
    "ISO in a zone": ("x", stamp("%Y-%m-%d %H:%M:%S.%f+05:30"), "zone"),
    "ISO with a comma": ("time", [f'"{t}"' for t in stamp("%Y-%m-%d %H:%M:%S,%f")], "naive"),
    "German": ("Datum", stamp("%d.%m.%Y %H:%M:%S.%f"), "naive"),
    "American": ("Date", stamp("%m/%d/%Y %I:%M:%S.%f %p"), "naive"),
    "MATLAB": ("date", stamp("%d-%b-%Y %H:%M:%S.%f"), "naive"),
    "PhysioBank": ("'Time and date'", stamp("'[%H:%M:%S.%f %d/%m/%Y]'"), "naive"),
    "time of day": ("clock", stamp("%H:%M:%S.%f"), None),
    "minutes and seconds": ("'Elapsed time'", [
        f"'{int(t // 60)}:{t % 60:06.3f}'" for t in SECONDS], None),
    "whole seconds": ("time", [f"{int(t)}" for t in SECONDS], None),
    "whole seconds of day": ("time", stamp("%H:%M:%S"), None),
    "whole ISO seconds": ("time", stamp("%Y-%m-%d %H:%M:%S"), "naive"),
}  # fmt: skip


@pytest.mark.parametrize(("name", "times", "dated"), TIMES.values(), ids=TIMES)
def test_a_time_column_gives_rate_and_start(tmp_path, name, times, dated):
    source = open_source(write_text(tmp_path, f"{name},II\n{rows(times)}"), units="mV")
    assert (source.fs, source.leads, source.notes) == (250, ("II",), ())
    np.testing.assert_allclose(whole(source)[:, 0], BEATS, atol=1e-6)
    if dated is None:
        assert source.start is None
        return
    zone = {"UTC": datetime.UTC, "zone": datetime.timezone(datetime.timedelta(hours=5.5))}
    expected = START.replace(tzinfo=zone.get(dated))
    assert source.start is not None
    assert source.start.utcoffset() == expected.utcoffset()
    assert abs((source.start - expected).total_seconds()) < 0.005


def test_the_first_column_may_be_the_time_without_a_name(tmp_path):
    source = open_source(write_text(tmp_path, rows(TIMES["seconds"][1])), units="mV")
    assert (source.fs, source.leads) == (250, ("lead 1",))


@pytest.mark.parametrize("fs", [90.5, 128, 130, 245.5, 256, 333.33, 360, 500, 1000, 2000])
@pytest.mark.parametrize("digits", [3, 6])
def test_the_rate_is_the_clock_s(tmp_path, fs, digits):
    times = [f"{i / fs:.{digits}f}" for i in range(6000)]
    text = f"time,II\n{rows(times, np.resize(BEATS, 6000))}"
    source = open_source(write_text(tmp_path, text), units="mV")
    assert source.fs == pytest.approx(fs, rel=5e-5 if digits == 3 else 1e-6)
    assert source.fs == fs or fs != int(fs)
    assert source.length == 6000


def test_a_clock_that_runs_off_the_rate_given_counts_and_it_is_said(tmp_path):
    times = [f"{t * 250 / 245.5:.5f}" for t in SECONDS]
    path = write_text(tmp_path, f"time,II\n{rows(times)}")
    source = open_source(path, fs=250, units="mV")
    assert source.fs == pytest.approx(245.5, rel=1e-6)
    assert source.notes == ("sampled at 245.5 Hz by the clock in the file, not at 250 Hz",)
    stated = write_text(tmp_path, f"# fs = 250 Hz\ntime,II\n{rows(times)}")
    assert open_source(stated, units="mV").notes == source.notes


@pytest.mark.parametrize("packet", [73, 36, 200])
def test_packets_with_a_stamp_each_give_the_rate(tmp_path, packet):
    place = np.arange(7800) // packet * packet
    times = 1.7e12 + np.round(place / 130 * 1e3)
    signal = np.resize(BEATS, 7800)
    path = write_text(tmp_path, "timestamp,ecg\n" + rows([f"{t:.0f}" for t in times], signal))
    source = open_source(path, units="mV")
    assert source.fs == pytest.approx(130, rel=1e-6)
    assert (source.length, source.notes) == (7800, ())


@pytest.mark.parametrize("form", ["rows", "packets", "late packets", "seconds"])
@pytest.mark.parametrize("chunk", [1 << 20, 1 << 14])
def test_gaps_of_the_clock_are_missing(tmp_path, monkeypatch, form, chunk):
    """Three gaps, at any place of a chunk, one of them where the chunks are read in part."""
    monkeypatch.setattr(lines, "CHUNK_BYTES", chunk)
    fs, n, size = 250, 40_000, 50
    rng = np.random.default_rng(0)
    signal = rng.normal(0, 1, n).round(4)
    gaps = {10_000: 7500, 10_250: 250, 33_000: 12_000}  # at the beginning of packets and seconds
    clock = np.arange(n)
    for row, missing in gaps.items():
        clock[row:] += missing
    taken = clock if form == "rows" else clock // size * size
    if form == "seconds":
        taken = clock // fs * fs
    seconds = taken / fs
    if form == "late packets":
        late = rng.exponential(0.02, n // size) * (rng.random(n // size) < 0.3)
        seconds = seconds + np.repeat(late, size)
    text = "time,II\n" + rows([f"{t:.4f}" for t in seconds], signal)
    source = open_source(write_text(tmp_path, text), units="mV")
    assert source.fs == pytest.approx(fs, rel=3e-5 if form == "late packets" else 1e-9)
    expected = np.full(n + sum(gaps.values()), np.nan)
    expected[clock] = signal
    slack = 10 if form == "late packets" else 0
    assert abs(source.length - len(expected)) <= slack
    read = whole(source)[:, 0]
    assert np.isfinite(read).sum() == n
    where = np.flatnonzero(np.diff(np.isfinite(read).astype(int)))
    true = np.flatnonzero(np.diff(np.isfinite(expected).astype(int)))
    np.testing.assert_allclose(where, true, atol=slack)
    if not slack:
        np.testing.assert_allclose(read, expected, rtol=1e-6)
        assert source.notes == (
            "79 s missing in 3 gaps, the longest 48 s, 0:02:43 after the start, "
            "by the clock in the file",
        )


def test_a_time_of_day_goes_on_after_midnight(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "CHUNK_BYTES", 1 << 12)
    times = stamp("%H:%M:%S.%f")
    assert times[0] > times[-1]
    times[4000:] = stamp("%H:%M:%S.%f", START + datetime.timedelta(seconds=90))[4000:]
    source = open_source(write_text(tmp_path, f"time,II\n{rows(times)}"), units="mV")
    assert source.length == 5000 + 90 * 250
    assert np.isnan(whole(source)[4000 : 4000 + 90 * 250]).all()


@pytest.mark.parametrize("every", [2, 10, 250])
def test_a_time_of_day_in_some_rows_goes_on_after_midnight(tmp_path, every):
    times = [time if i % every == 0 else "" for i, time in enumerate(stamp("%H:%M:%S.%f"))]
    assert times[0] > times[-every]
    source = open_source(write_text(tmp_path, f"time,II\n{rows(times)}"), units="mV")
    assert (source.length, source.fs, source.notes) == (5000, 250, ())


def test_the_first_date_may_stand_in_a_later_row(tmp_path):
    dates = stamp("%Y-%m-%d %H:%M:%S.%f")
    times = [time if i % 10 == 3 else "" for i, time in enumerate(dates)]
    source = open_source(write_text(tmp_path, f"time,II\n{rows(times)}"), units="mV")
    assert (source.length, source.fs, source.start) == (5000, 250, START)


def test_a_clock_that_is_set_back_moves_no_sample_and_is_said(tmp_path):
    times = [f"{t - (30 if i >= 3000 else 0) + 100:.3f}" for i, t in enumerate(SECONDS)]
    source = open_source(write_text(tmp_path, f"time,II\n{rows(times)}"), units="mV")
    assert (source.length, source.fs) == (5000, 250)
    assert source.notes[0].startswith("the clock in the file was set back (1 times, by up to 30 s)")


def test_a_counter_of_samples_shows_gaps_but_no_rate(tmp_path):
    numbers = [i + (500 if i >= 3000 else 0) for i in range(5000)]
    path = write_text(tmp_path, f"sample #,II\n{rows(numbers)}")
    with pytest.raises(
        InputError, match=r"does not state its sampling rate; give it, for example fs=360$"
    ):
        open_source(path, units="mV")
    source = open_source(path, fs=250, units="mV")
    assert source.length == 5500
    assert source.notes[0] == "2 s missing, 0:00:12 after the start, by the column 'sample #'"
    ring = [i % 16 for i in range(5000)]
    path = write_text(tmp_path, f"nSeq,II\n{rows(ring)}")
    assert open_source(path, fs=250, units="mV").length == 5000


@pytest.mark.parametrize(("every", "by"), [(1, 2), (10, 1), (10, 3)])
@pytest.mark.parametrize("name", ["sample", "seq", "Frame", "index", "No."])
def test_a_counter_by_its_name_gives_no_rate_whatever_its_step(tmp_path, name, every, by):
    numbers = [i // every * by for i in range(5000)]
    path = write_text(tmp_path, f"{name},II\n{rows(numbers)}")
    with pytest.raises(InputError, match="does not state its sampling rate; give it"):
        open_source(path, units="mV")
    assert open_source(path, fs=360, units="mV").length == 5000
    lost = [n + (50 * by if i >= 3000 else 0) for i, n in enumerate(numbers)]
    source = open_source(write_text(tmp_path, f"{name},II\n{rows(lost)}"), fs=250, units="mV")
    assert source.length == 5000 + 50 * every


@pytest.mark.parametrize("name", ["sample [ms]", "index (s)", "index"])
def test_a_counter_s_name_over_times_is_a_clock(tmp_path, name):
    times = [f"{1e3 * t:.0f}" if "ms" in name else f"{t:.3f}" for t in SECONDS]
    source = open_source(write_text(tmp_path, f"{name},II\n{rows(times)}"), units="mV")
    assert source.fs == 250


def test_a_clock_that_leaps_for_years_is_refused(tmp_path):
    times = [f"{t + (1e9 if i >= 3000 else 0):.3f}" for i, t in enumerate(SECONDS)]
    with pytest.raises(InputError, match=r"all but 20 s of its .* hours are missing"):
        open_source(write_text(tmp_path, f"time,II\n{rows(times)}"), units="mV")


def test_a_clock_that_runs_backwards_is_refused(tmp_path):
    times = [f"{100 - t:.3f}" for t in SECONDS]
    with pytest.raises(InputError, match="'time' runs backwards; sort the rows by time"):
        open_source(write_text(tmp_path, f"time,II\n{rows(times)}"), fs=250, units="mV")


def test_of_several_time_columns_the_finest_gives_the_rate(tmp_path):
    phone = np.repeat(stamp("%Y-%m-%dT%H:%M:%S.%f")[::50], 50)
    sensor = [f"{599616000000000000 + round(t * 1e3) * 10**6}" for t in SECONDS]
    text = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]\n"
    for a, b, t, v in zip(phone, sensor, SECONDS, BEATS, strict=True):
        text += f"{a};{b};{1e3 * t:.1f};{1000 * v:.0f}\n"
    source = open_source(write_text(tmp_path, text, "polar.txt"))
    assert (source.fs, source.leads, source.length) == (250, ("ecg",), 5000)
    np.testing.assert_allclose(whole(source)[:, 0], BEATS, atol=6e-4)


# Exports of devices and programs


@pytest.mark.parametrize(
    ("words", "decimal"),
    [
        (["Name", "Recorded Date", "Sample Rate", "hertz", "Lead", "Unit"], "."),
        (["Name", "Aufgezeichnet am", "Messrate", "Hertz", "Ableitung", "Einheit"], ","),
        (["名称", "记录日期", "采样率", "Hz", "Lead", "单位"], "."),
    ],
    ids=["English", "German", "Chinese"],
)  # fmt: skip
@pytest.mark.parametrize("quote", ["", '"'])
def test_an_ecg_of_an_apple_watch(tmp_path, words, decimal, quote):
    name, date, rate, hertz, lead, unit = words
    text = (
        f"{name},A\n{date},2024-02-29 23:59:50 +0100\nSoftware Version,1.90\n"
        f'Device,"Watch6,1"\n{rate},512 {hertz}\n\n\n{lead},Lead I\n{unit},\N{MICRO SIGN}V\n\n\n'
    )
    text += "".join(f"{quote}{1000 * v:.3f}{quote}\n".replace(".", decimal) for v in BEATS)
    source = open_source(write_text(tmp_path, text))
    assert (source.fs, source.leads, source.length) == (512, ("Lead I",), 5000)
    assert source.start is not None
    assert source.start.isoformat() == "2024-02-29T23:59:50+01:00"
    np.testing.assert_allclose(whole(source)[:, 0], BEATS, atol=1e-6)


def opensignals(device, bits, converted=0, sensor="ECG"):
    header = {
        "00:07:80:79:6F:DB": {
            "sensor": ["EDA", sensor], "device": device, "column": ["nSeq", "DI", "CH1", "CH2"],
            "time": "23:59:50.250", "date": "2024-2-29", "sampling rate": 250,
            "resolution": [bits, bits], "convertedValues": converted, "label": ["CH1", "CH2"],
        }
    }  # fmt: skip
    top = f"# OpenSignals Text File Format\n# {json.dumps(header)}\n# EndOfHeader\n"
    values = BEATS if converted else np.rint((BEATS / 3 + 0.5) * 2**bits)
    return top + "".join(f"{i % 16}\t0\t77\t{v:.10g}\t\n" for i, v in enumerate(values))


@pytest.mark.parametrize(
    ("device", "bits", "converted"), [("biosignalsplux", 16, 0), ("bitalino", 10, 0), ("x", 16, 1)]
)
def test_a_recording_of_opensignals(tmp_path, device, bits, converted):
    path = write_text(tmp_path, opensignals(device, bits, converted), "r1.txt")
    source = open_source(path)
    assert (source.fs, source.leads, source.length) == (250, ("CH2",), 5000)
    assert source.start == START.replace(microsecond=250_000)
    read = whole(source)[:, 0]
    np.testing.assert_allclose(read - read.mean(), BEATS - BEATS.mean(), atol=2 * 3 / 2**bits)
    assert ("data sheet" in " ".join(source.notes)) != converted
    doubled = open_source(path, gain=2**bits / 6)
    if not converted:
        np.testing.assert_allclose(whole(doubled)[:, 0], 2 * read, rtol=1e-4)


def test_opensignals_without_a_known_sensor_needs_a_gain(tmp_path):
    path = write_text(tmp_path, opensignals("biosignalsplux", 16, sensor="RAW"), "r1.txt")
    with pytest.raises(InputError, match="does not state the unit"):
        open_source(path)
    assert open_source(path, gain=21845).leads == ("CH1", "CH2")


def test_a_table_of_shimmer(tmp_path):
    text = '"sep=\t"\nS_Timestamp_Unix_CAL\tS_ECG_LL-RA_24BIT_CAL\tS_Accel_X_CAL\nms\tmV\tm/(s^2)\n'
    for t, v in zip(SECONDS, BEATS, strict=True):
        text += f"{1e3 * (UNIX + t):.3f}\t{v:.4f}\t9.81\t\n"
    source = open_source(write_text(tmp_path, text))
    assert (source.fs, source.leads) == (250, ("S_ECG_LL-RA_24BIT_CAL",))
    assert source.start == START.replace(tzinfo=datetime.UTC)
    np.testing.assert_allclose(whole(source)[:, 0], BEATS, atol=1e-6)


def test_a_table_of_openbci(tmp_path):
    text = "%OpenBCI Raw EXG Data\n%Number of channels = 1\n%Sample Rate = 250 Hz\n%Board = x\n"
    text += "Sample Index, EXG Channel 0, Timestamp, Timestamp (Formatted)\n"
    moments = stamp("%Y-%m-%d %H:%M:%S.%f")
    for i, v in enumerate(BEATS):
        packet = i // 10 * 10
        text += f"{i % 256}, {v:.4f}, {UNIX + packet / 250:.6f}, {moments[packet]}\n"
    source = open_source(write_text(tmp_path, text), units="mV")
    assert (source.fs, source.leads) == (250, ("EXG Channel 0",))
    assert source.length == 5000


@pytest.mark.parametrize(
    ("above", "fs", "unit"),
    [
        ("# fs=250", 250, None), ("Sampling rate: 250", 250, None), ("SamplingRate;250", 250, None),
        ("sampling_frequency = 250.0 Hz", 250, None), ("Sample rate (Hz): 250", 250, None),
        ("rate,0.25 kHz", 250, None), ("Interval=\t0.004 s", 250, None),
        ("sampling period: 4 ms", 250, None), ("Abtastrate: 250 Hz", 250, None),
        ("Unit: uV", None, "uV"), ("Einheit;mV", None, "mV"), ("units = microvolts", None, "uV"),
        ("Unit\tV", None, "V"), ("signal units: V", None, "V"), ("Amplitude;volts", None, "V"),
        ("Lead: V", None, None), ("ADC range 5 volts", None, None),
        ("Filter: 0.5-100 Hz", None, None), ("Notch,50 Hz", None, None),
        ("heart rate: 72", None, None), ("Sampling rate: 2", None, None),
        ("a: 100 Hz\nb: 200 Hz", None, None), ("Name: mV Smith", None, None),
    ],
)  # fmt: skip
def test_what_stands_above_says_rate_and_unit(tmp_path, above, fs, unit):
    path = write_text(tmp_path, above + "\nII\n" + "".join(f"{v:.4f}\n" for v in BEATS))
    options = ({} if fs else {"fs": 250}) | ({} if unit else {"units": "mV"})
    source = open_source(path, **options)
    assert source.fs == 250
    scale = {"uV": 1e-3, "V": 1e3}.get(unit, 1)
    np.testing.assert_allclose(whole(source)[:, 0], BEATS * scale, 1e-5)
    for name in options:
        with pytest.raises(InputError, match="does not state"):
            open_source(path, **{key: value for key, value in options.items() if key != name})


def test_a_rate_that_stands_above_may_not_be_contradicted(tmp_path):
    path = write_text(tmp_path, "# fs=250\nII\n" + "0.1\n" * 500)
    with pytest.raises(InputError, match="it says 250 Hz, not 360; leave fs out"):
        open_source(path, **GIVEN)


def test_units_in_a_table_are_overridden_and_it_is_said(tmp_path):
    path = write_text(tmp_path, "II [mV]\n" + "250\n" * 500)
    assert open_source(path, fs=250).notes == ()
    assert open_source(path, fs=250, units="mV").notes == ()
    source = open_source(path, fs=250, units="uV")
    assert source.notes == ("read as uV instead of the file's mV",)
    np.testing.assert_allclose(whole(source), 0.25)
    gained = open_source(path, fs=250, gain=200)
    assert gained.notes == ("read with 200 steps per mV instead of the file's unit",)
    np.testing.assert_allclose(whole(gained), 1.25)


def test_columns_of_no_unit_beside_volts_are_left_out_and_it_is_said(tmp_path):
    path = write_text(tmp_path, "II [mV],marker\n" + "0.25,1\n" * 500)
    source = open_source(path, fs=250)
    assert source.leads == ("II",)
    assert source.notes == ("left out (no unit stated): marker",)
    assert open_source(path, fs=250, units="mV").leads == ("II", "marker")


@pytest.mark.parametrize(
    "above",
    ["Unit: °C\nskin", "Unit,°C", "skin [°C]", "skin\n°C", "°C", "skin (Celsius)"],
)
@pytest.mark.parametrize("options", [{"fs": 250}, {"fs": 250, "units": "mV"}])
def test_a_table_of_something_else_than_voltages_is_not_read_as_one(tmp_path, above, options):
    path = write_text(tmp_path, above + "\n" + "36.55\n" * 500)
    with pytest.raises(InputError, match=r"no column is a voltage \(units: (°C|celsius)\); choose"):
        open_source(path, **options)


def test_a_temperature_beside_a_voltage_is_left_out(tmp_path):
    path = write_text(tmp_path, "Unit: mV\nUnit: °C\nII,skin [°C]\n" + "0.25,36.5\n" * 500)
    source = open_source(path, fs=250)
    assert source.leads == ("II",)
    np.testing.assert_allclose(whole(source), 0.25)
