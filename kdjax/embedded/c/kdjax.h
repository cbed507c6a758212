/* Decides on the beats of a one-lead ECG, sample by sample, in integers.
 *
 * C99, no dynamic memory, no floating point; of the C library only memcpy and memset.
 * The state of one person is one struct; you may copy it, and store it for use with the same build.
 */
#ifndef KDJAX_H
#define KDJAX_H

#include <stdint.h>

#include "kdjax_sizes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KDJAX_FS 360 /* samples a second */

/* One decision. Scores are Q16: 65536 is 1.
 *
 * sample: the R-peak, counted from the first sample; after 2^32 - 1 it starts again at 0.
 * rr: samples since the beat before, 0 where unknown.
 * score: shape + timing, how surprising each is among normal beats, as -ln p.
 * error: the mean squared error of the reconstruction; 2^28 is 1.
 * kind: 'N' if the score is not above the threshold; 'V' if it is and the shape alone reaches half
 * of the threshold; 'S' if it is, but the shape does not reach half of it: the beat is early and
 * has the person's usual shape; 'Q' if there is no decision.
 * scored: 0 if the window is incomplete, flat or out of range; then the scores are 0.
 * learning: 1 for the first five minutes, in which the score adapts to the person and nothing is
 * decided.
 */
typedef struct {
    uint32_t sample;
    uint32_t rr;
    int32_t score;
    int32_t shape;
    int32_t timing;
    uint32_t error;
    char kind;
    uint8_t scored;
    uint8_t learning;
} kdjax_beat;

/* A beat whose window is not complete. */
typedef struct {
    uint32_t sample, rr;
} kdjax_waiting;

/* R-peak detection; see kdjax_beats.c. The arrays of eight and four are rings. Large arrays come
 * last: a Cortex-M0 reaches what is near the beginning with less code. */
typedef struct {
    uint32_t samples;
    int32_t offset;
    int32_t difference;
    int32_t value, before;
    int32_t candidate, missed, last;
    uint32_t candidate_place, missed_place, last_place;
    uint32_t quiet;
    uint32_t r_peak;
    uint16_t learnt;
    uint8_t oldest, filled; /* of input */
    uint8_t waits, waits_first;
    uint8_t heights, noises, intervals;
    uint8_t has_last, begun;
    int32_t height[8], noise[8];
    uint32_t interval[8];
    kdjax_waiting waiting[4];
    int32_t slopes[32];
    int32_t input[KDJAX_TAPS];
    int16_t filtered[KDJAX_RING];
} kdjax_front;

/* What is known of the person; see kdjax_score.c. */
typedef struct {
    int32_t residual_usual, latent_usual;
    uint32_t first;
    uint16_t intervals, next;
    uint16_t kept;
    uint16_t steps;
    uint8_t started, learning;
    uint16_t past[256];
    uint16_t residual_kept[KDJAX_USUAL_MOST], latent_kept[KDJAX_USUAL_MOST];
    int16_t residual_centre[KDJAX_WINDOW];
    int16_t latent_centre[KDJAX_LATENT];
    uint32_t residual_deviation[KDJAX_WINDOW];
    uint32_t latent_deviation[KDJAX_LATENT];
} kdjax_person;

/* Working memory: nothing in it outlives a call. */
typedef union {
    int16_t layer[2][KDJAX_LAYER];
    uint16_t sorted[256];
    int32_t blocks[KDJAX_WINDOW / 4];
} kdjax_scratch;

typedef struct {
    kdjax_front front;
    kdjax_person person;
    int16_t window[KDJAX_WINDOW]; /* then the scaled beat, then the residual */
    int16_t latent[KDJAX_LATENT];
    kdjax_scratch scratch;
} kdjax_state;

/* Begins a recording of a new person. */
void kdjax_init(kdjax_state *state);

/* Takes the next sample, in microvolts. Returns 1 if it has filled in *beat, about 0.8 s after the
 * beat's R-peak, and 0 otherwise. */
int kdjax_push(kdjax_state *state, int32_t microvolts, kdjax_beat *beat);

/* Scores one beat whose window of band-passed half microvolts is in state->window. kdjax_push
 * calls it; call it yourself if R-peaks come from elsewhere. Set beat->rr and beat->sample, which
 * goes on counting from beat to beat; the rest is filled in. */
void kdjax_score(kdjax_state *state, kdjax_beat *beat);

#ifdef __cplusplus
}
#endif

#endif
