"""What stands above a table and in its names: which of it is the unit, which the sampling rate."""

import numpy as np
import pytest
from written import whole, write_text

from kdjax.errors import InputError
from kdjax.recordings import open_source

COUNTS = "".join(f"{i * 37 % 400 - 200}\n" for i in range(300))


def written(tmp_path, above):
    return write_text(tmp_path, f"{above}\n{COUNTS}")


@pytest.mark.parametrize(
    "above",
    [
        "LSB 2.44 uV", "LSB: 2.44 uV", "Resolution 5 uV", "# Range 5 mV", "Input range +-5 mV",
        "Calibration 1 mV", "# Scale 10 mm per mV", "Scale mm/mV", "Skala 10 mm pro mV",
        "ECG 200/mV", "ECG_200_per_mV", "ECG [2.44 uV]", "ECG 10 uV", "ECG counts/mV",
        "ECG_2.44_uV",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["", "\nII"])
def test_the_unit_of_a_scale_is_not_the_unit_of_the_numbers(tmp_path, above, name):
    with pytest.raises(InputError, match="does not state the unit of its samples; give it"):
        open_source(written(tmp_path, above + name), fs=250)


@pytest.mark.parametrize(
    "above",
    [
        "ECG uV", "V1_uV", "Lead 2 uV", "channel_1_uV", "EKG/uV", "ECG [uV]", "Amplitude: uV\nII",
        "Unit,uV\nII", "Ableitung II uV", "Einheit der Werte: uV",
    ],
)  # fmt: skip
def test_a_unit_behind_a_name_is_the_unit_of_the_numbers(tmp_path, above):
    source = open_source(written(tmp_path, above), fs=250)
    assert whole(source)[1, 0] == pytest.approx(-0.163)


@pytest.mark.parametrize(
    "above",
    [
        "LPF: 150 Hz", "HPF 150 Hz", "Frequency response 150 Hz", "Frequenzgang: 150 Hz",
        "Display 100 Hz", "Pacing 100 Hz", "Netzfrequenz: 60 Hz", "Rhythm: SR, 92/min",
        "Rhythm,SR,92", "Ventricular frequency: 120", "Heart frequency: 120",
        "Frequency: 120/min", "Original sampling rate: 1000 Hz", "Orig. fs: 1000",
        "orig_fs: 1000 Hz", "Respiration sampling rate: 125 Hz", "acc_fs = 100",
        "ACC sampling rate: 100 Hz", "ECG 0.05-150 Hz", "ECG 0.5 Hz to 100 Hz", "Samples: 5000",
        "Model X 500 Hz", "Rate: 72", "AC frequency: 60 Hz", "Stimulation rate 100 Hz",
    ],
)  # fmt: skip
def test_not_every_number_of_hertz_is_the_sampling_rate(tmp_path, above):
    path = written(tmp_path, f"{above}\nII")
    with pytest.raises(InputError, match="does not state its sampling rate; give it"):
        open_source(path, units="uV")
    source = open_source(path, fs=360, units="uV")
    assert (source.fs, source.notes) == (360, ())


@pytest.mark.parametrize(
    "above",
    [
        "fs=500", "fs=500 gain=200", "PowerLab,fs: 500 Hz, II", "# Fs: 500 Hz", "SR = 500",
        "Frequency: 500 Hz", "Frequency,500", "Fs (Hz): 500", "Sampling rate: 500",
        "samplerate 500", "Sampling: 500 Hz", "Sampling rate of ECG is 500 Hz",
        "sampling_rate_hz: 500", "Sample Rate,0.5 kHz", "Sampled at 500 Hz",
        "500 samples/s at 500 Hz", "Abtastfrequenz: 500 Hz",
        "Fréquence d'échantillonnage : 500 Hz", "Frecuencia de muestreo: 500 Hz", "采样率,500 Hz",
        "Device,fs: 500", "Sampling rate: 500 sps",
    ],
)  # fmt: skip
def test_a_sampling_rate_that_is_called_so_may_not_be_contradicted(tmp_path, above):
    path = written(tmp_path, f"LPF: 150 Hz\n{above}\nOriginal sampling rate: 1000 Hz\nII")
    assert open_source(path, units="uV").fs == 500
    with pytest.raises(InputError, match="it says 500 Hz, not 360; leave fs out"):
        open_source(path, fs=360, units="uV")


@pytest.mark.parametrize(
    "above",
    [
        "# 500 Hz",
        "II @ 500 Hz",
        "ECG, 500 Hz",
        "rate,0.5 kHz",
        "Acquisition frequency: 500 Hz",
        "500Hz",
    ],
)
def test_a_lone_number_of_hertz_is_the_rate_unless_the_user_gives_another(tmp_path, above):
    path = written(tmp_path, f"{above}\nII")
    assert (open_source(path, units="uV").fs, open_source(path, units="uV").notes) == (500, ())
    assert open_source(path, fs=500, units="uV").notes == ()
    source = open_source(path, fs=360, units="uV")
    assert (source.fs, source.notes) == (360, ("read at 360 Hz instead of the file's 500 Hz",))
    np.testing.assert_array_equal(source.length, 300)
