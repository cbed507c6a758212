/* What check.c needs of the machine it runs on. */
#ifndef PORT_H
#define PORT_H

#include <stdint.h>

int port_main(int count, char **names);
int port_open(const char *name);                 /* negative where it cannot */
int port_read(int file, void *to, int bytes);    /* bytes read, 0 at the end */
void port_print(const char *text);
uint32_t port_ticks(void);
uint32_t port_ticks_since(uint32_t before);
uint32_t port_instructions(void);                /* in 1000 ticks; 0 where they are not counted */
uint32_t port_stack(void);                       /* bytes that the stack has taken at most */

#endif
