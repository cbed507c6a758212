"""Filters of signals along their first axis: designs, use without phase, change of rate, peaks.

They give what SciPy's functions give, up to rounding; `tests/test_filters.py` compares them. SciPy
itself is not used because importing scipy.signal takes about as long as detecting the beats in half
an hour of ECG.

A filter is its impulse response, that of a recursive filter down to what rounding leaves of it. So
all filters are used in one way, by FFT.
"""

import math
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

_LONGEST = 8192  # samples of a recursive filter's response
_KEPT = 2**18  # samples: spectra of whole recordings are not kept
_NEGLIGIBLE = 1e-15  # of a response's largest value


def windowed_sinc(window: np.ndarray, low: float, high: float) -> np.ndarray:
    """A linear-phase FIR response [N] that passes `low` to `high`, as `scipy.signal.firwin`.

    window: [N], N odd. low, high: of the Nyquist frequency; low may be 0. The gain in the middle of
    the band is 1, or at frequency 0 where the band begins there.
    """
    place = np.arange(len(window)) - (len(window) - 1) / 2
    taps = (high * np.sinc(high * place) - low * np.sinc(low * place)) * window
    middle = (low + high) / 2 if low else 0.0
    return taps / (taps @ np.cos(np.pi * middle * place))


def resampling(up: int, down: int, lobes: int = 10, *, beta: float = 5.0) -> np.ndarray:
    """A low-pass for `resample` that cuts off at the lower of the two Nyquist frequencies.

    A Kaiser window, `lobes` periods of the lower rate on each side; by default SciPy's.
    """
    longer = max(up, down)
    return windowed_sinc(np.kaiser(2 * lobes * longer + 1, beta), 0, 1 / longer)


def butterworth(order: int, low: float, high: float, *, fs: float) -> np.ndarray:
    """The response of a Butterworth band-pass, as of `scipy.signal.butter`.

    order: that of the low-pass prototype. low, high: in Hz; with high = fs / 2 it is a high-pass.
    """
    s = 1j * np.tan(np.pi * np.arange(_LONGEST // 2 + 1) / _LONGEST)  # the bilinear transform
    first, last = math.tan(math.pi * low / fs), math.tan(math.pi * high / fs)
    t = s / first if high >= fs / 2 else (last - first) * s / (s**2 + first * last)
    numbers = 2 * np.arange(order)[:, None] + order + 1
    poles = np.exp(1j * np.pi * numbers / (2 * order))
    return _response(np.prod(t / (1 - poles * t), axis=0))


def notch(hertz: float, quality: float, fs: float) -> np.ndarray:
    """The response of a second-order notch at `hertz`, as of `scipy.signal.iirnotch`."""
    gain = 1 / (1 + math.tan(math.pi * hertz / quality / fs))
    cosine = math.cos(2 * math.pi * hertz / fs)
    z = np.exp(-2j * np.pi * np.arange(_LONGEST // 2 + 1) / _LONGEST)
    above = gain * (1 - 2 * cosine * z + z**2)
    return _response(above / (1 - 2 * gain * cosine * z + (2 * gain - 1) * z**2))


def _response(spectrum: np.ndarray) -> np.ndarray:
    """The response that a spectrum on an even grid from 0 to the Nyquist frequency belongs to."""
    response = np.fft.irfft(spectrum, _LONGEST)
    size = np.abs(response)
    return response[: np.flatnonzero(size > _NEGLIGIBLE * size.max())[-1] + 1]


def without_phase(response: np.ndarray, signal: np.ndarray, pad: int) -> np.ndarray:
    """`signal` [T] or [T, C] filtered forwards and backwards, float64, as `scipy.signal.filtfilt`.

    It is continued by `pad` samples, less than T, point-symmetrically at both ends; each pass
    begins as if its first sample had stood there for ever.
    """
    ends = ((pad, pad), *[(0, 0)] * (np.ndim(signal) - 1))
    filtered = np.pad(np.asarray(signal, np.float64), ends, mode="reflect", reflect_type="odd")
    length = _fast_length(len(filtered) + len(response) - 1)
    spectrum_of = _gain if length <= _KEPT else _gain.__wrapped__
    gains = spectrum_of(response.tobytes(), length)
    gain, power = (values.reshape(-1, *[1] * (filtered.ndim - 1)) for values in gains)
    if pad >= 2 * (len(response) - 1):  # nothing that is kept knows how the passes began
        first, kept = filtered[0], slice(pad, len(filtered) - pad)
        spectrum = np.fft.rfft(filtered - first, length, axis=0) * power
        return np.fft.irfft(spectrum, length, axis=0)[kept] + first * response.sum() ** 2
    for _ in range(2):
        first = filtered[0]
        spectrum = np.fft.rfft(filtered - first, length, axis=0) * gain
        passed = np.fft.irfft(spectrum, length, axis=0)[: len(filtered)]
        filtered = (passed + first * response.sum())[::-1]
    return filtered[pad : len(filtered) - pad]


@lru_cache(maxsize=16)
def _gain(response: bytes, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The spectrum of a response, and its power: a core's filters meet the same length often."""
    spectrum = np.fft.rfft(np.frombuffer(response), length)
    return spectrum, np.square(np.abs(spectrum))


def _fast_length(least: int) -> int:
    """A length of at least so many samples that an FFT takes quickly."""
    eighth = 1 << max((least - 1).bit_length() - 4, 0)
    return next(part * eighth for part in (8, 9, 10, 12, 15, 16) if part * eighth >= least)


def resample(signal: np.ndarray, up: int, down: int, *, taps: np.ndarray) -> np.ndarray:
    """`signal` [T] or [T, C] at `up / down` times its rate, float64 [ceil(T up / down), ...].

    As `scipy.signal.resample_poly` with padtype "edge". taps: a low-pass [N] for `up` times the
    signal's rate, N odd. up and down have no common divisor.
    """
    signal = np.asarray(signal, np.float64)
    half = len(taps) // 2
    reach = half // up + 1  # samples of the signal
    ends = ((reach, reach + 1), *[(0, 0)] * (signal.ndim - 1))
    padded = np.pad(signal, ends, mode="edge")
    out = np.empty((-(-len(signal) * up // down), *signal.shape[1:]))
    for first in range(min(up, len(out))):
        # Outputs first, first + up, ... meet the same taps, and every down-th stretch of samples.
        newest, phase = divmod(half + first * down, up)
        own = up * taps[phase::up][::-1]
        count = len(range(first, len(out), up))
        begin = reach + newest - len(own) + 1
        stretches = sliding_window_view(padded, len(own), axis=0)[begin::down][:count]
        out[first::up] = stretches @ own
    return out


def find_peaks(values: np.ndarray, distance: int) -> np.ndarray:
    """The places int64 [P] of maxima of `values` [T], as `scipy.signal.find_peaks`.

    Of two that are less than `distance` samples apart the lower one goes, the highest first. A
    plateau's maximum is its middle.
    """
    ends = np.flatnonzero(np.append(np.diff(values), 1))
    starts = np.append(0, ends[:-1] + 1)
    rises = np.diff(values[starts])
    tops = 1 + np.flatnonzero((rises[:-1] > 0) & (rises[1:] < 0))
    peaks = (starts[tops] + ends[tops]) // 2
    order, places, kept = np.argsort(values[peaks])[::-1].tolist(), peaks.tolist(), set()
    gone = [False] * len(places)
    for peak in order:
        if not gone[peak]:
            kept.add(peak)
            for step in (-1, 1):
                other = peak + step
                while 0 <= other < len(places) and abs(places[other] - places[peak]) < distance:
                    gone[other] = True
                    other += step
    return peaks[sorted(kept)]
