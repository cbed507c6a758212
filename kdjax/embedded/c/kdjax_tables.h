/* The numbers of one detector; kdjax_tables.c is written by kdjax export. */
#ifndef KDJAX_TABLES_H
#define KDJAX_TABLES_H

#include <stdint.h>

#include "kdjax.h"
#include "kdjax_network.h"

/* A squared Mahalanobis distance: whiten holds the rows of an upper triangular matrix from their
 * diagonals on; centre is in units of 2^8; usual is log2 of what normal beats have, Q16. */
typedef struct {
    const int8_t *centre;
    const int8_t *whiten;
    const uint16_t *multiplier;
    const uint8_t *shift;
    int32_t usual;
} kdjax_distance;

typedef struct {
    int32_t median, inverse;
} kdjax_tail;

extern const kdjax_layer kdjax_layers[12];
extern const kdjax_distance kdjax_residual, kdjax_latent;
extern const kdjax_tail kdjax_shape, kdjax_timing;
extern const int16_t kdjax_taps[KDJAX_TAPS / 2 + 1]; /* up to the middle one, units of 2^-14 */
extern const uint16_t kdjax_table_log2[65], kdjax_table_exp2[65];

#endif
