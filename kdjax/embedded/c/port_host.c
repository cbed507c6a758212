#include <stdio.h>

#include "port.h"

static FILE *files[2];

int port_open(const char *name) {
    int file = files[0] ? 1 : 0;
    files[file] = fopen(name, "rb");
    return files[file] ? file : -1;
}

int port_read(int file, void *to, int bytes) {
    return (int)fread(to, 1, (size_t)bytes, files[file]);
}

void port_print(const char *text) { fputs(text, stdout); }
uint32_t port_ticks(void) { return 0; }
uint32_t port_ticks_since(uint32_t before) { return before; }
uint32_t port_instructions(void) { return 0; }
uint32_t port_stack(void) { return 0; }

int main(int count, char **names) { return port_main(count - 1, names + 1); }
