#include "kdjax_fixed.h"

#include "kdjax_tables.h"

#define ONE 65536

/* Linear between the entries of a table, place in units of 2^-10 entries. */
static int32_t interpolated(const uint16_t *table, uint32_t place) {
    uint32_t cell = place >> 10, rest = place & 1023u;
    int32_t from = table[cell], step = table[cell + 1] - from;
    return from + ((step * (int32_t)rest + 512) >> 10);
}

int32_t kdjax_log2(uint64_t value) {
    int power = 63;
    for (; !(value >> 63); value <<= 1) power--;
    return power * ONE + interpolated(kdjax_table_log2, (uint32_t)(value >> 47) & (ONE - 1));
}

/* 2^-value for value >= 0. */
static int32_t exp2_negative(int32_t value) {
    int32_t power = value >> 16;
    if (power > 31) power = 31;
    return interpolated(kdjax_table_exp2, (uint32_t)value & (ONE - 1)) >> power;
}

int32_t kdjax_softplus2(int32_t value) {
    int32_t size = value < 0 ? -value : value;
    int32_t above = kdjax_log2((uint64_t)(ONE + exp2_negative(size))) - 16 * ONE;
    return (value > 0 ? value : 0) + above;
}

int32_t kdjax_tanh(int32_t value) {
    int32_t size = value < 0 ? -value : value;
    uint32_t power = (uint32_t)exp2_negative((size * KDJAX_TWO_LOG2_E) >> 8); /* e^(-2 size) */
    uint32_t above = ONE + power;
    int32_t found = (int32_t)((((ONE - power) << 14) + (above >> 1)) / above);
    return value < 0 ? -found : found;
}

/* Bit by bit: a library's 64-bit division takes more flash than it saves time here. */
uint32_t kdjax_divide(uint64_t value, uint32_t by) {
    uint32_t found = 0, rest = 0;
    for (int bit = 64; bit; bit--, value <<= 1) {
        rest = rest << 1 | (uint32_t)(value >> 63);
        found <<= 1;
        if (rest >= by) rest -= by, found |= 1u;
    }
    return found;
}

uint32_t kdjax_square_root(uint64_t value) {
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 26; bit; bit >>= 1) {
        if ((root + bit) * (root + bit) <= value) root += bit;
    }
    return (uint32_t)root;
}
