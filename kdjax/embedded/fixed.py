"""Fixed-point functions in NumPy: the integers that the C library computes.

Q16 is an int32 in units of 2^-16. Arrays are int64 here so that nothing wraps; C uses int32 and
int64 as its comments say.
"""

import numpy as np

Q = 16
ONE = 1 << Q
LN2 = round(float(np.log(2)) * ONE)
CELLS = 64  # of the tables of log2 and 2^-x between two powers of two
_CELL_BITS = Q - 6

# Tables have 16 bits, so 1 is 65535 in them.
LOG2 = np.rint(np.log2(1 + np.arange(CELLS + 1) / CELLS) * ONE).clip(max=ONE - 1).astype(np.int64)
EXP2 = np.rint(2.0 ** (-np.arange(CELLS + 1) / CELLS) * ONE).clip(max=ONE - 1).astype(np.int64)

TANH_INPUT_BITS = 12  # the input is in units of 2^-12, and lies in [-8, 8)
TANH_BITS = 14  # the output is in units of 2^-14
_TANH_SHIFT = 8
TWO_LOG2_E = round(2 / np.log(2) * 2 ** (Q + _TANH_SHIFT - TANH_INPUT_BITS))


def log2(value: np.ndarray) -> np.ndarray:
    """log2 of integers from 1 to 2^63 - 1, Q16; wrong by at most 5e-5."""
    value = np.asarray(value, np.int64)
    power = np.frexp(value.astype(np.float64))[1].astype(np.int64) - 1
    power -= (value >> np.minimum(power, 62) >> np.maximum(power - 62, 0)) == 0  # rounded up
    below, above = np.minimum(power, Q), np.maximum(power - Q, 0)
    fraction = ((value >> above) << (Q - below)) & (ONE - 1)
    return (power << Q) + _interpolated(LOG2, fraction)


def exp2_negative(value: np.ndarray) -> np.ndarray:
    """2^-value for value >= 0 in Q16, in Q16."""
    value = np.asarray(value, np.int64)
    power = np.minimum(value >> Q, 31)
    return _interpolated(EXP2, value & (ONE - 1)) >> power


def softplus2(value: np.ndarray) -> np.ndarray:
    """log2(1 + 2^value), both Q16."""
    value = np.asarray(value, np.int64)
    return np.maximum(value, 0) + log2(ONE + exp2_negative(np.abs(value))) - (Q << Q)


def tanh(value: np.ndarray) -> np.ndarray:
    """tanh of a value in units of 2^-12, in units of 2^-14."""
    value = np.asarray(value, np.int64)
    power = exp2_negative((np.abs(value) * TWO_LOG2_E) >> _TANH_SHIFT)
    above = ONE + power
    return np.sign(value) * ((((ONE - power) << TANH_BITS) + (above >> 1)) // above)


def _interpolated(table: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Linear between the entries of a table, `place` in units of 2^-10 entries."""
    cell, rest = place >> _CELL_BITS, place & ((1 << _CELL_BITS) - 1)
    step = table[cell + 1] - table[cell]
    return table[cell] + ((step * rest + (1 << _CELL_BITS >> 1)) >> _CELL_BITS)


def square_root(value: np.ndarray) -> np.ndarray:
    """The integer part of the square root of integers from 0 to 2^52."""
    return np.floor(np.sqrt(np.asarray(value, np.float64))).astype(np.int64)


def divide(value: np.ndarray, by: np.ndarray) -> np.ndarray:
    """value / by towards zero, as C divides."""
    value, by = np.asarray(value, np.int64), np.asarray(by, np.int64)
    return np.sign(value) * np.sign(by) * (np.abs(value) // np.abs(by))


def rescale(value: np.ndarray, multiplier: np.ndarray | int, shift: np.ndarray | int) -> np.ndarray:
    """value * multiplier / 2^shift to the nearest, half up; the product fits an int64."""
    value = np.asarray(value, np.int64)
    half = np.int64(1) << (np.asarray(shift, np.int64) - 1)
    return (value * np.asarray(multiplier, np.int64) + half) >> shift


def multiplier_of(
    factor: float, *, bits: int = 15, least: int = 17, most: int = 48
) -> tuple[int, int]:
    """(multiplier, shift), the multiplier in [2^bits, 2^(bits + 1)), that stand for a factor.

    ValueError for a factor that needs a shift below `least` or above `most`.
    """
    mantissa, exponent = np.frexp(factor)
    multiplier, shift = round(float(mantissa) * 2 ** (bits + 1)), bits + 1 - int(exponent)
    if multiplier == 2 ** (bits + 1):
        multiplier, shift = multiplier // 2, shift - 1
    if not least <= shift <= most:
        raise ValueError(f"a factor of {factor:g} is beyond what integers rescale by")
    return multiplier, shift
