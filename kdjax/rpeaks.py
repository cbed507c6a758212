"""R-peaks of one lead."""

import numpy as np
from sleepecg.heartbeats import detect_heartbeats

_REFINE = 0.05  # s


def r_peaks(raw: np.ndarray, filtered: np.ndarray, fs: float) -> np.ndarray:
    """R-peaks int64 [P], ascending, of one lead given `raw` and `filtered` [T] in mV.

    Detected on the raw lead (Pan & Tompkins as sleepecg has it), each then moved to the maximum
    of the filtered lead within 50 ms. A signal that varies for less than a second has none.
    """
    reach = round(_REFINE * fs)
    moved = []
    for peak in _detections(np.asarray(raw, np.float64), fs):
        first = max(peak - reach, 0)
        moved.append(first + np.argmax(filtered[first : peak + reach + 1]))
    return np.unique(np.array(moved, np.int64))


def _detections(raw: np.ndarray, fs: float) -> np.ndarray:
    """sleepecg's heartbeats in `raw` [T], kept from the inputs on which its C code fails.

    That code (0.6.0) leaves out a flat start, reads two seconds whether there are as many or not,
    and has room for a beat each 200 ms but one: on short signals it reads and writes beyond its
    arrays. Its Python code finds the same beats and raises instead, on nothing but noise.
    """
    varying = np.flatnonzero(raw != raw[0])
    length = len(raw) - varying[0] if len(varying) else 0
    if length < fs:
        return np.empty(0, np.int64)
    refractory = 0.2 * fs  # two beats lie at least a sample more apart: enough room from here on
    backend = "c" if length > 4 * refractory**2 else "python"
    try:
        return detect_heartbeats(raw, fs, backend=backend)
    except (IndexError, ZeroDivisionError):
        return np.empty(0, np.int64)
