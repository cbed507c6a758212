/* Fixed-point functions; Q16 is an int32_t in units of 2^-16. */
#ifndef KDJAX_FIXED_H
#define KDJAX_FIXED_H

#include <stdint.h>

/* A right shift of a negative number must be arithmetic, as it is with every usual compiler. */
typedef char kdjax_shifts_are_arithmetic[(-1 >> 1) == -1 ? 1 : -1];

int32_t kdjax_log2(uint64_t value);                    /* Q16, of 1 to 2^63 - 1 */
int32_t kdjax_softplus2(int32_t value);                /* log2(1 + 2^value) */
int32_t kdjax_tanh(int32_t value);                     /* units of 2^-12 in, of 2^-14 out */
uint32_t kdjax_square_root(uint64_t value);            /* of 0 to 2^52, rounded down */
uint32_t kdjax_divide(uint64_t value, uint32_t by);    /* rounded down; by < 2^31 */

static inline int32_t kdjax_clip(int32_t value, int32_t low, int32_t high) {
    return value < low ? low : value > high ? high : value;
}

/* value * multiplier / 2^shift to the nearest, half up; shift is 17 to 48. The product is taken in
 * halves, which needs no 64-bit arithmetic. */
static inline int32_t kdjax_rescale(int32_t value, uint16_t multiplier, uint8_t shift) {
    uint32_t low = ((uint32_t)value & 65535u) * multiplier >> 16;
    int32_t high = (value >> 16) * (int32_t)multiplier + (int32_t)low;
    return ((high >> (shift - 17)) + 1) >> 1;
}

#endif
