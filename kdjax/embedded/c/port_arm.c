/* check.c on a Cortex-M without an operating system: files and text by semihosting, instructions by
 * SysTick. KDJAX_TICK: instructions in 1000 ticks under qemu -icount shift=0, where an instruction
 * takes a nanosecond. */
#include "port.h"

#define SYSTICK ((volatile uint32_t *)0xe000e010u)
#define MARK 0x5a5a5a5au
#define OWN 64 /* words of the stack that are in use when the rest is marked */

enum { OPEN = 1, WRITE0 = 4, READ = 6, GET_CMDLINE = 21, EXIT_EXTENDED = 32 };

extern uint32_t _stack_top[], _stack_end[], _data_from[], _data[], _data_end[], _bss[], _bss_end[];

static int call(int operation, const void *argument) {
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

int port_open(const char *name) {
    uintptr_t length = 0, block[3];
    while (name[length]) length++;
    block[0] = (uintptr_t)name, block[1] = 1 /* rb */, block[2] = length;
    return call(OPEN, block);
}

int port_read(int file, void *to, int bytes) {
    uintptr_t block[3];
    block[0] = (uintptr_t)file, block[1] = (uintptr_t)to, block[2] = (uintptr_t)bytes;
    return bytes - call(READ, block);
}

void port_print(const char *text) { call(WRITE0, text); }
uint32_t port_ticks(void) { return SYSTICK[2]; }
uint32_t port_ticks_since(uint32_t before) { return (before - SYSTICK[2]) & 0xffffffu; }
uint32_t port_instructions(void) { return KDJAX_TICK; }

uint32_t port_stack(void) {
    uint32_t *unused = _stack_end;
    while (*unused == MARK) unused++;
    return (uint32_t)((char *)_stack_top - (char *)unused);
}

static void finish(int status) {
    uintptr_t block[2] = {0x20026u, (uintptr_t)status};
    call(EXIT_EXTENDED, block);
    for (;;) {
    }
}

static void run(void) {
    static char text[256];
    char *names[2];
    int count = 0;
    uintptr_t block[2] = {(uintptr_t)text, sizeof text};
    call(GET_CMDLINE, block);
    for (char *at = text; *at && count < 3;) {
        if (count) names[count - 1] = at;
        count++;
        while (*at && *at != ' ') at++;
        if (*at) *at++ = 0;
    }
    finish(port_main(count - 1, names));
}

void reset(void) {
    uint32_t *from = _data_from;
    for (uint32_t *to = _data; to < _data_end;) *to++ = *from++;
    for (uint32_t *to = _bss; to < _bss_end;) *to++ = 0;
    for (uint32_t *to = _stack_end; to + OWN < _stack_top;) *to++ = MARK;
    SYSTICK[1] = 0xffffffu;
    SYSTICK[2] = 0;
    SYSTICK[0] = 5;
    run();
}

static void fault(void) { finish(3); }

__attribute__((section(".vectors"), used)) static void (*const vectors[16])(void) = {
    (void (*)(void))_stack_top, reset, fault, fault, fault, fault, fault, fault,
    fault, fault, fault, fault, fault, fault, fault, fault,
};
