/* The network in integers: int8 weights, int8 activations up to the latent and
 * int16 ones from there on, int32 sums. */
#ifndef KDJAX_NETWORK_H
#define KDJAX_NETWORK_H

#include <stdint.h>

#include "kdjax.h"

enum { KDJAX_NONE, KDJAX_LEAKY, KDJAX_RELU };

typedef struct {
    int16_t bias;
    uint16_t multiplier;
} kdjax_channel;

/* Row o of phase p: (weights[p][o] . inputs + bias * 2^bias_shift) * multiplier / 2^shift, clipped to
 * [-most, most], or to [0, most] after a ReLU. Row o belongs to channel o modulo channels. */
typedef struct {
    const int8_t *weights;
    const kdjax_channel *channel;
    uint16_t inputs, rows, channels;
    int16_t most;
    uint8_t bias_shift, shift;
    uint8_t activation;
} kdjax_layer;

/* Replaces the scaled beat by its residual, reconstruction less beat, both in units of 2^-14, and
 * gives the latent. */
void kdjax_forward(int16_t beat[KDJAX_WINDOW], int16_t latent[KDJAX_LATENT],
                   int16_t layer[2][KDJAX_LAYER]);

#endif
