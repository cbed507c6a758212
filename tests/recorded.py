"""A synthetic patient's ECG, and any signal as a recording."""

from functools import cache

import numpy as np

from kdjax.datasets.synthetic_beats import generator
from kdjax.recordings import Source

FS = 360
SECONDS = 450  # longer than the five minutes that the score is adapted to


@cache
def ecg(patient=3, seconds=SECONDS):
    """A patient's synthetic ECG [T], in mV at 360 Hz, and where it is annotated.

    This one's has no artefact.
    """
    recording = generator.recording(patient)
    once = recording.signal[:, 0]
    times = -(-seconds * FS // len(once))
    at = np.concatenate([recording.annotations.sample + k * len(once) for k in range(times)])
    return np.tile(once, times)[: seconds * FS], at[at < seconds * FS]


def source(signal, fs=FS, leads=("MLII",), block=50_000):
    """A signal [T] or [T, leads] as a recording, in blocks of so many samples."""
    signal = np.asarray(signal, np.float32).reshape(len(signal), -1)

    def read(columns):
        for start in range(0, len(signal), block):
            yield signal[start : start + block, columns]

    return Source(name="made up", fs=float(fs), leads=leads, length=len(signal), read=read)
