"""What was done to the signal stands in the notes and the summary."""

import numpy as np
from recorded import FS, ecg

from kdjax import beats
from kdjax.detection import quality
from kdjax.detection.cores import BeatStream
from kdjax.detection.notes import Handling

RATE = 250


def handled(signal):
    """What is said of a signal at 250 Hz once its cores have passed."""
    handling, stream = Handling(RATE), BeatStream(1, RATE)
    for _ in handling.passing(iter([*stream.push(signal), *stream.finish()])):
        pass
    return list(handling.notes()), handling.facts()


def test_resampling_hum_and_single_missing_samples_are_said():
    time = np.arange(30 * RATE) / RATE
    signal = np.exp(-0.5 * ((time % 0.8 - 0.4) / 0.012) ** 2)
    signal += 0.3 * np.sin(2 * np.pi * 50 * time)
    signal[[1000, 2000]] = np.nan
    notes, facts = handled(signal)
    assert notes == [
        "resampled from 250 to 360 Hz",
        "mains hum of 50 Hz was filtered out of 0:00:30",
        "2 missing samples were bridged by straight lines; gaps of more than 0.1 s are marked",
    ]
    assert facts == {"resampled_to_hz": 360, "notched_s": {"50": 30.0}, "bridged_samples": 2}


def test_a_heart_too_fast_for_the_detector_is_said():
    time = np.arange(30 * RATE) / RATE
    notes, _ = handled(np.exp(-0.5 * ((time % 0.1 - 0.05) / 0.01) ** 2))
    assert "repeats 600 times a minute for 0:00:30" in notes[-1]


def test_a_constant_offset_is_no_fast_heart():
    lead = beats.bandpass(ecg()[0][: 60 * FS, None] + 50, FS)[:, 0].astype(float)
    assert quality.repeats(lead) == 0
