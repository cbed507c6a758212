/* The network in integers: int8 weights, int8 activations up to the latent and
 * int16 ones from there on, int32 sums. */
#ifndef KDJAX_NETWORK_H
#define KDJAX_NETWORK_H

#include <stdint.h>

#include "kdjax.h"

enum { KDJAX_NONE, KDJAX_LEAKY, KDJAX_RELU };

/* Row o of phase p: (weights[p][o] . inputs + bias[c]) * multiplier[c] / 2^shift[c], c being o
 * modulo channels, clipped to -most or, after a ReLU, to 0, and to most. */
typedef struct {
    const int8_t *weights;
    const int32_t *bias;
    const int32_t *multiplier;
    const uint8_t *shift;
    uint16_t inputs, rows, channels;
    uint8_t activation;
    int16_t most;
} kdjax_layer;

/* Replaces the scaled beat by its residual, reconstruction less beat, both in units of 2^-14, and
 * gives the latent. */
void kdjax_forward(int16_t beat[KDJAX_WINDOW], int16_t latent[KDJAX_LATENT],
                   int16_t layer[2][KDJAX_LAYER]);

#endif
