/* Fixed-point functions; Q16 is an int32_t in units of 2^-16. */
#ifndef KDJAX_FIXED_H
#define KDJAX_FIXED_H

#include <stdint.h>

/* A right shift of a negative number must be arithmetic, as it is with every usual compiler. */
typedef char kdjax_shifts_are_arithmetic[(-1 >> 1) == -1 ? 1 : -1];

int32_t kdjax_log2(uint64_t value);            /* Q16, of 1 to 2^63 - 1 */
int32_t kdjax_softplus2(int32_t value);        /* log2(1 + 2^value) */
int32_t kdjax_tanh(int32_t value);             /* of units of 2^-12, in units of 2^-14 */
uint32_t kdjax_square_root(uint64_t value);    /* of 0 to 2^52, rounded down */

static inline int32_t kdjax_clip(int64_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : (int32_t)value;
}

/* value * multiplier / 2^shift to the nearest, half up. */
static inline int64_t kdjax_rescale(int64_t value, int32_t multiplier, int shift) {
    return (value * multiplier + ((int64_t)1 << (shift - 1))) >> shift;
}

#endif
