/* From samples to beats: band-pass, R-peaks, windows.
 *
 * The band-pass from 3 to 45 Hz is a symmetric filter of 217 taps and runs 108 samples late. Places
 * are samples of its output, counted as the input is. R-peaks are found by the rules of Hamilton
 * ('Open source ECG analysis', Computers in Cardiology 29, 2002) in the difference of two
 * neighbouring means of the band-passed signal, its absolute value averaged over 80 ms.
 */
#include <string.h>

#include "kdjax.h"
#include "kdjax_fixed.h"
#include "kdjax_tables.h"

#define FARTHEST (1 << 28) /* microvolts */
#define REACHED (KDJAX_TAPS / 2)
#define RING(place) ((place) % KDJAX_RING)

static int32_t clip(int32_t value, int32_t most) {
    return value > most ? most : value < -most ? -most : value;
}

/* Keeps the newest sample; its lead's offset is another one where it is too far from it. */
static void keep(kdjax_front *front, int32_t microvolts) {
    int32_t input = clip(microvolts, FARTHEST);
    int32_t away = input - front->offset;
    if (!front->filled || away > KDJAX_SWING || away < -KDJAX_SWING) front->offset = input;
    front->input[front->oldest] = input;
    if (++front->oldest == KDJAX_TAPS) front->oldest = 0;
    if (front->filled < KDJAX_TAPS) front->filled++;
    front->samples++; /* past 2^32 from 0 again, as all places do */
}

static int16_t bandpass(const kdjax_front *front) {
    uint32_t left = front->oldest, right = left ? left - 1 : KDJAX_TAPS - 1;
    int32_t twice = 2 * front->offset, sum = 0;
    for (uint16_t k = 0; k < REACHED; k++) {
        int32_t both = front->input[left] + front->input[right] - twice;
        sum += kdjax_taps[k] * clip(both, 2 * KDJAX_SWING);
        if (++left == KDJAX_TAPS) left = 0;
        right = right ? right - 1 : KDJAX_TAPS - 1;
    }
    sum += kdjax_taps[REACHED] * clip(front->input[left] - front->offset, KDJAX_SWING);
    return (int16_t)clip((sum + (1 << 12)) >> 13, 32767);
}

static int32_t middle(const int32_t values[8]) {
    int32_t sorted[8];
    for (int i = 0; i < 8; i++) {
        int j = i;
        for (; j && sorted[j - 1] > values[i]; j--) sorted[j] = sorted[j - 1];
        sorted[j] = values[i];
    }
    return (sorted[3] + sorted[4]) >> 1;
}

static int32_t threshold(const kdjax_front *front) {
    int32_t noise = middle(front->noise), height = middle(front->height);
    int32_t found = noise + (int32_t)(((int64_t)(height - noise) * KDJAX_RATIO) >> 8);
    return found > KDJAX_FLOOR ? found : KDJAX_FLOOR;
}

/* A maximum is a beat. */
static void accept(kdjax_front *front, int32_t value, uint32_t place) {
    front->height[front->heights++ % 8] = value;
    if (front->has_last) front->interval[front->intervals++ % 8] = place - front->last_place;
    front->has_last = 1;
    front->last = value;
    front->last_place = front->quiet = place;
    front->missed = 0;
}

/* Whether a maximum is a beat. */
static int judge(kdjax_front *front, int32_t value, uint32_t place) {
    uint32_t since = front->has_last ? place - front->last_place : KDJAX_T_WAVE;
    int low = front->has_last && since < KDJAX_T_WAVE && 2 * value < front->last;
    if (value > threshold(front) && !low) {
        accept(front, value, place);
        return 1;
    }
    front->noise[front->noises++ % 8] = value;
    if (since >= KDJAX_T_WAVE && value > front->missed) {
        front->missed = value;
        front->missed_place = place;
    }
    return 0;
}

/* Whether a beat is overdue, and a lower maximum is it. */
static int missing(kdjax_front *front, uint32_t place) {
    uint32_t sum = 0;
    if (!front->has_last || !front->missed) return 0;
    for (int i = 0; i < 8; i++) sum += front->interval[i];
    if (place - front->last_place <= 3 * sum / 16 + KDJAX_WAIT) return 0;
    if (2 * front->missed <= threshold(front)) return 0;
    accept(front, front->missed, front->missed_place);
    return 1;
}

/* Takes the measure's next value; 1 where the maximum of a beat is certain, at last_place. */
static int detect(kdjax_front *front, uint32_t place) {
    int rising = front->value > front->before, found = 0;
    front->before = front->value;
    if (front->learnt < KDJAX_LEARN * KDJAX_FS) {
        int32_t *height = &front->height[front->learnt / KDJAX_FS];
        if (front->value > *height) *height = front->value;
        front->learnt++;
        front->quiet = place;
        return 0;
    }
    if (rising && front->value > front->candidate) {
        front->candidate = front->value;
        front->candidate_place = place;
    } else if (front->candidate && place - front->candidate_place >= KDJAX_WAIT) {
        found = judge(front, front->candidate, front->candidate_place);
        front->candidate = 0;
        front->candidate_place = place;
    }
    if (!found) found = missing(front, place);
    if (!found && place - front->quiet >= 2 * KDJAX_SILENCE) {
        for (int i = 0; i < 8; i++) front->height[i] >>= 1;
        front->quiet += KDJAX_SILENCE;
    }
    return found;
}

/* The maximum within 50 ms, where the ring still holds them. */
static uint32_t r_peak(const kdjax_front *front, uint32_t near, uint32_t place) {
    uint32_t first = near - KDJAX_REACH, found = first;
    if (place - first >= KDJAX_RING) return near;
    for (uint32_t i = 1; i <= 2 * KDJAX_REACH; i++) {
        if (front->filtered[RING(first + i)] > front->filtered[RING(found)]) found = first + i;
    }
    return found;
}

/* A beat waits for its window, unless it lies before the last one or is too near to it. */
static void enqueue(kdjax_front *front, uint32_t found) {
    uint32_t rr = front->begun ? found - front->r_peak : 0;
    kdjax_waiting *waiting = &front->waiting[(front->waits_first + front->waits) % 4];
    if (front->begun && (rr < KDJAX_WAIT || 0u - rr < KDJAX_RING)) return;
    waiting->sample = found;
    waiting->rr = rr > 65535 ? 0 : rr;
    front->waits++;
    front->r_peak = found;
    front->begun = 1;
}

/* The next value of the measure. */
static void measure(kdjax_front *front, uint32_t place) {
    int32_t *slope = &front->slopes[place % 32], steep;
    front->difference += front->filtered[RING(place)] -
                         2 * front->filtered[RING(place - KDJAX_HALF)] +
                         front->filtered[RING(place - 2 * KDJAX_HALF)];
    steep = front->difference < 0 ? -front->difference : front->difference;
    front->value += steep - front->slopes[(place - KDJAX_SPREAD) % 32];
    *slope = steep;
}

static void centre(int16_t *to, const int8_t *from, uint16_t count) {
    for (; count; count--) *to++ = (int16_t)(*from++ * 256);
}

void kdjax_init(kdjax_state *state) {
    memset(state, 0, sizeof *state);
    for (int i = 0; i < 8; i++) state->front.interval[i] = KDJAX_FS;
    centre(state->person.residual_centre, kdjax_residual.centre, KDJAX_WINDOW);
    centre(state->person.latent_centre, kdjax_latent.centre, KDJAX_LATENT);
    state->person.residual_usual = kdjax_residual.usual;
    state->person.latent_usual = kdjax_latent.usual;
    state->person.learning = 1;
}

/* Decides on the beat that has waited longest. */
static void decide(kdjax_state *state, uint32_t place, kdjax_beat *beat) {
    kdjax_front *front = &state->front;
    const kdjax_waiting *waiting = &front->waiting[front->waits_first];
    uint32_t first = waiting->sample - KDJAX_BEFORE;
    beat->sample = waiting->sample;
    beat->rr = waiting->rr;
    front->waits_first = (uint8_t)((front->waits_first + 1) % 4);
    front->waits--;
    memset(state->window, 0, sizeof state->window); /* flat: not scored */
    if (place - first < KDJAX_RING) {
        for (uint16_t i = 0; i < KDJAX_WINDOW; i++) {
            state->window[i] = front->filtered[RING(first + i)];
        }
    }
    kdjax_score(state, beat);
}

int kdjax_push(kdjax_state *state, int32_t microvolts, kdjax_beat *beat) {
    kdjax_front *front = &state->front;
    uint32_t place;
    keep(front, microvolts);
    if (front->filled < KDJAX_TAPS) return 0;
    place = front->samples - 1 - REACHED;
    front->filtered[RING(place)] = bandpass(front);
    measure(front, place);
    if (detect(front, place)) enqueue(front, r_peak(front, front->last_place - KDJAX_LAG, place));
    if (!front->waits) return 0;
    int32_t since = (int32_t)(place - front->waiting[front->waits_first].sample);
    if (since < KDJAX_AFTER - 1) return 0;
    decide(state, place, beat);
    return 1;
}
