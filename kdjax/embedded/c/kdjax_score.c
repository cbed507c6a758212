/* Shape and timing of a beat, how surprising each is, and adaptation to the person. */
#include <string.h>

#include "kdjax.h"
#include "kdjax_fixed.h"
#include "kdjax_network.h"
#include "kdjax_tables.h"

#define WORD 32767
#define BLOCK 4
#define STEPS_MOST 46340 /* the largest whose square, doubled, is below 2^32 */

static int16_t away(int16_t value, int16_t centre) {
    return (int16_t)kdjax_clip((int32_t)value - centre, -WORD, WORD);
}

/* The sum of squares of a row of whitened numbers, 2^8 being one standard deviation each. */
static uint64_t square(const kdjax_distance *distance, uint16_t row, int32_t sum) {
    int32_t number = kdjax_rescale(sum, distance->multiplier[row], distance->shift[row]);
    number = kdjax_clip(number, -(1 << 27), 1 << 27);
    return (uint64_t)((int64_t)number * number);
}

/* log2 of the latent's squared Mahalanobis distance. */
static int32_t log_latent(const kdjax_state *state) {
    const int8_t *weight = kdjax_latent.whiten;
    uint64_t total = 0;
    for (uint16_t k = 0; k < KDJAX_LATENT; k++) {
        int32_t sum = 0;
        for (uint16_t j = k; j < KDJAX_LATENT; j++) {
            sum += *weight++ * away(state->latent[j], state->person.latent_centre[j]);
        }
        total += square(&kdjax_latent, k, sum);
    }
    return kdjax_log2(total ? total : 1);
}

/* The same of the residual: its means of four samples are whitened, the rest counts as white. */
static int32_t log_residual(kdjax_state *state) {
    const uint16_t blocks = KDJAX_WINDOW / BLOCK;
    const int8_t *weight = kdjax_residual.whiten;
    int32_t *block = state->scratch.blocks;
    uint64_t total, rest = 0;
    for (uint16_t k = 0; k < blocks; k++) {
        block[k] = 0;
        for (uint16_t i = k * BLOCK; i < (k + 1) * BLOCK; i++) {
            int32_t value = away(state->window[i], state->person.residual_centre[i]);
            block[k] += value;
            rest += (uint64_t)((int64_t)BLOCK * value * value);
        }
        rest -= (uint64_t)((int64_t)block[k] * block[k]);
    }
    total = (rest * KDJAX_REST_MULTIPLIER) >> KDJAX_REST_SHIFT;
    for (uint16_t k = 0; k < blocks; k++) {
        int32_t sum = 0;
        for (uint16_t j = k; j < blocks; j++) sum += *weight++ * block[j];
        total += square(&kdjax_residual, k, sum);
    }
    return kdjax_log2(total ? total : 1);
}

static void sort(uint16_t *values, uint16_t count) {
    for (uint16_t i = 1; i < count; i++) {
        uint16_t value = values[i], j = i;
        for (; j && values[j - 1] > value; j--) values[j] = values[j - 1];
        values[j] = value;
    }
}

/* How early a beat comes among the person's last 256 intervals; 0 where nothing is known. */
static int32_t prematurity(kdjax_state *state, uint32_t rr) {
    static const uint8_t up[4] = {1, 1, 3, 9}, down[4] = {4, 2, 4, 10};
    const kdjax_person *person = &state->person;
    uint16_t *sorted = state->scratch.sorted;
    int32_t rank[4], spread, width;
    int32_t before;
    uint32_t early;
    if (!rr || !person->intervals) return 0;
    memcpy(sorted, person->past, person->intervals * sizeof *sorted);
    sort(sorted, person->intervals);
    for (int i = 0; i < 4; i++) {
        uint32_t last = person->intervals - 1u;
        rank[i] = kdjax_log2(sorted[(2 * last * up[i] + down[i]) / (2u * down[i])]);
    }
    spread = (int32_t)(((int64_t)(rank[2] - rank[0]) * KDJAX_QUARTILES) >> 16);
    width = (int32_t)kdjax_square_root((uint64_t)((int64_t)KDJAX_TOLERANCE * KDJAX_TOLERANCE +
                                                 (int64_t)spread * spread));
    before = ((rank[1] + rank[3]) >> 1) - kdjax_log2(rr);
    early = kdjax_divide((uint64_t)(before < 0 ? -before : before) << 16, (uint32_t)width);
    if (early > KDJAX_PREMATURITY_MOST) early = KDJAX_PREMATURITY_MOST;
    return before < 0 ? -(int32_t)early : (int32_t)early;
}

static void remember(kdjax_person *person, uint32_t rr) {
    if (!rr) return;
    person->past[person->next] = (uint16_t)(rr < 65535 ? rr : 65535);
    person->next = (uint16_t)((person->next + 1) % 256);
    if (person->intervals < 256) person->intervals++;
}

/* -ln of the share of normal beats with a larger opinion. */
static int32_t surprise(const kdjax_tail *tail, int32_t opinion) {
    int64_t place = ((int64_t)(opinion - tail->median) * tail->inverse) >> 16;
    return (int32_t)(((int64_t)kdjax_softplus2((int32_t)place) * KDJAX_LN2) >> 16);
}

/* Moves a running median by 1.5 mean absolute deviations over the number of beats. */
static void step(int16_t *centre, uint32_t *deviation, int16_t value, uint32_t steps) {
    int32_t side = away(value, *centre), size;
    *deviation += (uint32_t)(side < 0 ? -side : side);
    size = (int32_t)(3 * *deviation / (2 * steps * steps)) + 1;
    *centre = (int16_t)kdjax_clip(*centre + (side > 0 ? size : side < 0 ? -size : 0), -WORD, WORD);
}

/* Running medians of residual and latent, and the medians of the distances from them. */
static void learn(kdjax_state *state, uint32_t sample, int in_time, int32_t residual,
                  int32_t latent) {
    kdjax_person *person = &state->person;
    uint32_t since;
    if (!person->started) person->started = 1, person->first = sample;
    since = sample - person->first;
    if (in_time) {
        if (person->steps >= KDJAX_UNSETTLED && person->kept < KDJAX_USUAL_MOST) {
            person->residual_kept[person->kept] = (uint16_t)(residual >> KDJAX_USUAL_BITS);
            person->latent_kept[person->kept++] = (uint16_t)(latent >> KDJAX_USUAL_BITS);
        }
        if (person->steps < STEPS_MOST) person->steps++;
        for (uint16_t i = 0; i < KDJAX_WINDOW; i++) {
            step(person->residual_centre + i, person->residual_deviation + i, state->window[i],
                 person->steps);
        }
        for (uint16_t i = 0; i < KDJAX_LATENT; i++) {
            step(person->latent_centre + i, person->latent_deviation + i, state->latent[i],
                 person->steps);
        }
    }
    if (since >= KDJAX_LEARNT * KDJAX_FS && person->kept >= KDJAX_USUAL_LEAST) {
        sort(person->residual_kept, person->kept);
        sort(person->latent_kept, person->kept);
        person->residual_usual = person->residual_kept[person->kept / 2] << KDJAX_USUAL_BITS;
        person->latent_usual = person->latent_kept[person->kept / 2] << KDJAX_USUAL_BITS;
        person->learning = 0;
    }
}

/* Maps the window to [-1, 1] in units of 2^-14; 0 where it holds no beat. */
static int scale(int16_t window[KDJAX_WINDOW]) {
    int32_t low = window[0], high = window[0];
    uint32_t span;
    for (uint16_t i = 1; i < KDJAX_WINDOW; i++) {
        if (window[i] < low) low = window[i];
        if (window[i] > high) high = window[i];
    }
    span = (uint32_t)(high - low);
    if (span < KDJAX_FLAT || low <= -WORD || high >= WORD) return 0;
    for (uint16_t i = 0; i < KDJAX_WINDOW; i++) {
        uint32_t above = (uint32_t)(window[i] - low);
        window[i] = (int16_t)((int32_t)(((above << 15) + (span >> 1)) / span) - (1 << 14));
    }
    return 1;
}

void kdjax_score(kdjax_state *state, kdjax_beat *beat) {
    kdjax_person *person = &state->person;
    int32_t early, residual, latent, shape;
    uint64_t squares = 0;
    beat->score = beat->shape = beat->timing = 0;
    beat->error = 0;
    beat->kind = 'Q';
    beat->learning = person->learning;
    beat->scored = (uint8_t)scale(state->window);
    if (!beat->scored) return;

    kdjax_forward(state->window, state->latent, state->scratch.layer);
    for (uint16_t i = 0; i < KDJAX_WINDOW; i++) {
        squares += (uint64_t)((int32_t)state->window[i] * state->window[i]);
    }
    beat->error = kdjax_divide(squares, KDJAX_WINDOW);
    early = prematurity(state, beat->rr);
    remember(person, beat->rr);
    residual = log_residual(state);
    latent = log_latent(state);
    shape = (residual - person->residual_usual + latent - person->latent_usual) >> 1;
    if (person->learning) learn(state, beat->sample, early < KDJAX_IN_TIME, residual, latent);

    beat->shape = surprise(&kdjax_shape, shape);
    beat->timing = surprise(&kdjax_timing, early);
    beat->score = beat->shape + beat->timing;
    if (beat->learning) return;
    if (beat->score <= KDJAX_THRESHOLD) {
        beat->kind = 'N';
    } else {
        beat->kind = beat->shape > KDJAX_THRESHOLD / 2 ? 'V' : 'S';
    }
}
