#include "kdjax_fixed.h"

#include "kdjax_tables.h"

#define ONE 65536

/* Linear between the entries of a table, place in units of 2^-bits entries. */
static int32_t interpolated(const uint32_t *table, uint32_t place, int bits) {
    uint32_t cell = place >> bits, rest = place & ((1u << bits) - 1u);
    int32_t from = (int32_t)table[cell], step = (int32_t)table[cell + 1] - from;
    return from + ((step * (int32_t)rest + (1 << bits >> 1)) >> bits);
}

int32_t kdjax_log2(uint64_t value) {
    int power = 0;
    uint32_t fraction;
    for (int step = 32; step; step >>= 1) {
        if (value >> power >> step) power += step;
    }
    fraction = (uint32_t)(power > 16 ? value >> (power - 16) : value << (16 - power)) & (ONE - 1);
    return power * ONE + interpolated(kdjax_table_log2, fraction, 10);
}

/* 2^-value for value >= 0. */
static int32_t exp2_negative(int32_t value) {
    int32_t power = value >> 16;
    if (power > 31) power = 31;
    return interpolated(kdjax_table_exp2, (uint32_t)value & (ONE - 1), 10) >> power;
}

int32_t kdjax_softplus2(int32_t value) {
    int32_t size = value < 0 ? -value : value;
    int32_t above = kdjax_log2((uint64_t)(ONE + exp2_negative(size))) - 16 * ONE;
    return (value > 0 ? value : 0) + above;
}

int32_t kdjax_tanh(int32_t value) {
    int32_t size = value < 0 ? -value : value, last = ((KDJAX_TANH_CELLS - 1) << 7) - 1;
    int32_t found = interpolated(kdjax_table_tanh, (uint32_t)(size < last ? size : last), 7);
    return value < 0 ? -found : found;
}

uint32_t kdjax_square_root(uint64_t value) {
    uint64_t root = 0;
    for (uint64_t bit = (uint64_t)1 << 26; bit; bit >>= 1) {
        if ((root + bit) * (root + bit) <= value) root += bit;
    }
    return (uint32_t)root;
}
