/* check SIGNAL [EXPECTED]: the decisions on a signal, printed, or compared with those expected.
 *
 * SIGNAL: int16, low byte first, microvolts at 360 Hz. A line has the fields of kdjax_beat in
 * their order, and a hash of the latent and the residual.
 */
#include "kdjax.h"
#include "port.h"

static kdjax_state state;

static uint32_t hash(uint32_t value, const int16_t *numbers, uint16_t count) {
    for (; count; count--, numbers++) {
        value = (value ^ ((uint16_t)*numbers & 255u)) * 16777619u;
        value = (value ^ ((uint16_t)*numbers >> 8)) * 16777619u;
    }
    return value;
}

static char *number(char *out, int64_t value) {
    char digits[20];
    int count = 0;
    uint64_t size = (uint64_t)(value < 0 ? -value : value);
    if (value < 0) *out++ = '-';
    do digits[count++] = (char)('0' + size % 10);
    while (size /= 10);
    while (count) *out++ = digits[--count];
    *out++ = ' ';
    return out;
}

/* Writes a beat as one line and gives its length. */
static int line(char *out, const kdjax_beat *beat) {
    char *end = out;
    uint32_t trace = 0;
    end = number(end, beat->sample);
    end = number(end, beat->rr);
    end = number(end, beat->score);
    end = number(end, beat->shape);
    end = number(end, beat->timing);
    end = number(end, beat->error);
    *end++ = beat->kind;
    *end++ = ' ';
    end = number(end, beat->scored);
    end = number(end, beat->learning);
    if (beat->scored) {
        trace = hash(2166136261u, state.latent, KDJAX_LATENT);
        trace = hash(trace, state.window, KDJAX_WINDOW);
    }
    end = number(end, trace);
    end[-1] = '\n';
    *end = 0;
    return (int)(end - out);
}

/* Whether the next line of a file is this one. */
static int expected(int file, const char *text, int length) {
    char read[128];
    if (port_read(file, read, length) != length) return 0;
    for (int i = 0; i < length; i++) {
        if (read[i] != text[i]) return 0;
    }
    return 1;
}

static void say(const char *text, int64_t value) {
    char digits[24];
    *number(digits, value) = 0;
    port_print(text);
    port_print(digits);
    port_print("\n");
}

int port_main(int count, char **names) {
    uint8_t bytes[512];
    char text[128];
    kdjax_beat beat;
    int signal, answers = -1, size;
    uint32_t beats = 0, scored = 0, most = 0;
    uint64_t front = 0, network = 0, samples = 0;
    if (count < 1 || (signal = port_open(names[0])) < 0) return 2;
    if (count > 1 && (answers = port_open(names[1])) < 0) return 2;
    kdjax_init(&state);
    while ((size = port_read(signal, bytes, sizeof bytes)) > 1) {
        for (int i = 0; i + 1 < size; i += 2) {
            uint32_t low = bytes[i], high = bytes[i + 1], before = port_ticks(), ticks;
            int decided = kdjax_push(&state, (int16_t)(low | high << 8), &beat);
            ticks = port_ticks_since(before);
            samples++;
            if (decided && beat.scored) {
                network += ticks;
                scored++;
                if (ticks > most) most = ticks;
            } else {
                front += ticks;
            }
            if (!decided) continue;
            beats++;
            if (answers < 0) {
                line(text, &beat);
                port_print(text);
            } else if (!expected(answers, text, line(text, &beat))) {
                port_print("not expected: ");
                port_print(text);
                return 1;
            }
        }
    }
    if (answers >= 0) {
        char more;
        if (port_read(answers, &more, 1) > 0) {
            port_print("beats are missing\n");
            return 1;
        }
        say("beats as expected: ", beats);
    }
    if (port_instructions() && scored) {
        say("instructions a beat: ", (int64_t)(network * port_instructions() / 1000 / scored));
        say("at most: ", (int64_t)((uint64_t)most * port_instructions() / 1000));
        say("instructions a sample: ",
            (int64_t)(front * port_instructions() / 1000 / (samples - scored)));
        say("stack in bytes: ", port_stack());
    }
    return 0;
}
