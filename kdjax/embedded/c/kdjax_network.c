/* Layers are rows of dot products over contiguous inputs. Between layers an activation is
 * [time][channel] with one time step before it and one after it that hold its zero point.
 *
 * A convolution of kernel 4 and stride 2 takes four time steps from 2 t - 1 on. A transposed one
 * takes two: t - 1 and t for output 2 t, t and t + 1 for output 2 t + 1.
 */
#include "kdjax_network.h"

#include <string.h>

#include "kdjax_fixed.h"
#include "kdjax_tables.h"

#define STAGES 5

/* Weights that meet int16 inputs stand in the order 0 2 1 3 in every whole group of four. Where the
 * core has them (Cortex-M4), instructions that multiply two pairs at once give the same sums. */
#if defined(__ARM_FEATURE_SIMD32) && !defined(__ARM_BIG_ENDIAN)
#include <arm_acle.h>

static uint32_t word(const void *from) {
    uint32_t found;
    memcpy(&found, from, sizeof found);
    return found;
}

/* Bytes 0 and 2 as two numbers of 16 bits. */
static int16x2_t bytes(uint32_t four) { return __sxtb16((int8x4_t)four); }

static int32_t four8(const int8_t *weights, const int8_t *inputs, int32_t sum) {
    uint32_t w = word(weights), x = word(inputs);
    sum = __smlad(bytes(w), bytes(x), sum);
    return __smlad(bytes(w >> 8), bytes(x >> 8), sum);
}

static int32_t four16(const int8_t *weights, const int16_t *inputs, int32_t sum) {
    uint32_t w = word(weights);
    sum = __smlad(bytes(w), (int16x2_t)word(inputs), sum);
    return __smlad(bytes(w >> 8), (int16x2_t)word(inputs + 2), sum);
}
#else
static int32_t four8(const int8_t *weights, const int8_t *inputs, int32_t sum) {
    return sum + weights[0] * inputs[0] + weights[1] * inputs[1] + weights[2] * inputs[2] +
           weights[3] * inputs[3];
}

static int32_t four16(const int8_t *weights, const int16_t *inputs, int32_t sum) {
    return sum + weights[0] * inputs[0] + weights[2] * inputs[1] + weights[1] * inputs[2] +
           weights[3] * inputs[3];
}
#endif

static int32_t dot8(const int8_t *weights, const int8_t *inputs, uint32_t count) {
    const int8_t *whole = weights + (count & ~3u), *end = weights + count;
    int32_t sum = 0;
    for (; weights != whole; weights += 4, inputs += 4) sum = four8(weights, inputs, sum);
    while (weights != end) sum += *weights++ * *inputs++;
    return sum;
}

static int32_t dot16(const int8_t *weights, const int16_t *inputs, uint32_t count) {
    const int8_t *whole = weights + (count & ~3u), *end = weights + count;
    int32_t sum = 0;
    for (; weights != whole; weights += 4, inputs += 4) sum = four16(weights, inputs, sum);
    while (weights != end) sum += *weights++ * *inputs++;
    return sum;
}

static const int8_t *weights_of(const kdjax_layer *layer, int phase, uint16_t row) {
    return layer->weights + ((uint32_t)phase * layer->rows + row) * layer->inputs;
}

/* A channel's output of its dot product. */
static int32_t output(const kdjax_layer *layer, const kdjax_channel *channel, int32_t sum) {
    int32_t multiplier = channel->multiplier, found;
    sum += channel->bias * (1 << layer->bias_shift);
    if (layer->activation == KDJAX_LEAKY && sum < 0) {
        multiplier = (multiplier * KDJAX_SLOPE + (1 << KDJAX_SLOPE_BITS >> 1)) >> KDJAX_SLOPE_BITS;
    }
    found = kdjax_rescale(sum, (uint16_t)multiplier, layer->shift);
    return kdjax_clip(found, layer->activation == KDJAX_RELU ? 0 : -layer->most, layer->most);
}

/* All rows of a layer of the encoder. */
static void encode(const kdjax_layer *layer, const int8_t *inputs, int8_t *out) {
    for (uint16_t o = 0; o < layer->rows; o++) {
        out[o] = (int8_t)output(layer, layer->channel + o, dot8(weights_of(layer, 0, o), inputs, layer->inputs));
    }
}

/* All rows of a phase of a layer after the latent. */
static void decode(const kdjax_layer *layer, int phase, const int16_t *inputs, int16_t *out) {
    uint16_t channel = 0;
    for (uint16_t o = 0; o < layer->rows; o++) {
        int32_t sum = dot16(weights_of(layer, phase, o), inputs, layer->inputs);
        out[o] = (int16_t)output(layer, layer->channel + channel, sum);
        if (++channel == layer->channels) channel = 0;
    }
}

/* Beat to latent; activations alternate between the two buffers. */
static void encoder(const int16_t beat[KDJAX_WINDOW], int16_t latent[KDJAX_LATENT], int8_t *in,
                    int8_t *out) {
    const kdjax_layer *layer = kdjax_layers;
    uint16_t steps = KDJAX_WINDOW, channels = 1;
    int8_t *other;
    for (uint16_t t = 0; t < steps; t++) in[t + 1] = (int8_t)((beat[t] * 127 + (1 << 13)) >> 14);
    in[0] = in[steps + 1] = 0;
    for (int stage = 0; stage < STAGES; stage++, layer++) {
        steps /= 2;
        for (uint16_t t = 0; t < steps; t++) {
            encode(layer, in + 2 * t * channels, out + (t + 1) * layer->rows);
        }
        channels = layer->rows;
        memset(out, 0, channels);
        memset(out + (steps + 1) * channels, 0, channels);
        other = in, in = out, out = other;
    }
    for (uint16_t o = 0; o < KDJAX_LATENT; o++) {
        int32_t sum = dot8(weights_of(layer, 0, o), in + channels, layer->inputs);
        latent[o] = (int16_t)output(layer, layer->channel + o, sum);
    }
}

/* Latent to residual, which replaces the beat. */
static void decoder(const int16_t latent[KDJAX_LATENT], int16_t beat[KDJAX_WINDOW], int16_t *in,
                    int16_t *out) {
    const kdjax_layer *layer = kdjax_layers + STAGES + 1;
    uint16_t channels = layer->channels, steps = layer->rows / channels;
    int16_t *other;
    decode(layer++, 0, latent, in + channels);
    for (int stage = 0; stage < STAGES; stage++, layer++) {
        memset(in, 0, channels * sizeof *in);
        memset(in + (steps + 1) * channels, 0, channels * sizeof *in);
        if (stage == STAGES - 1) break;
        for (uint16_t t = 0; t < steps; t++) {
            decode(layer, 0, in + t * channels, out + (2 * t + 1) * layer->rows);
            decode(layer, 1, in + (t + 1) * channels, out + (2 * t + 2) * layer->rows);
        }
        steps *= 2;
        channels = layer->rows;
        other = in, in = out, out = other;
    }
    for (uint16_t t = 0; t < KDJAX_WINDOW; t++) {
        int16_t found;
        decode(layer, t & 1, in + (t + 1) / 2 * channels, &found);
        beat[t] = (int16_t)kdjax_clip(kdjax_tanh(found) - beat[t], -32767, 32767);
    }
}

void kdjax_forward(int16_t beat[KDJAX_WINDOW], int16_t latent[KDJAX_LATENT],
                   int16_t layer[2][KDJAX_LAYER]) {
    encoder(beat, latent, (int8_t *)layer[0], (int8_t *)layer[1]);
    decoder(latent, beat, layer[0], layer[1]);
}
