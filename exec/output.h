/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command's output: from its pipe, byte for byte, up to a limit; the rest is counted. Small ones
 * need a memfd at the end alone. While none can be had, the pipe is not read: the command waits,
 * and nothing is lost.
 */
#ifndef TW_EXEC_OUTPUT_H
#define TW_EXEC_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What is kept before a memfd is made. */
#define OUTPUT_HELD 4096
/* Lines of the agent's own find room beside that. */
#define OUTPUT_LINE 512

struct output {
    int pipe;  /* non-blocking; -1: none */
    int memfd; /* made when more is kept than is held; -1: none */
    size_t size;
    size_t max;
    uint64_t dropped;
    int lost; /* an errno: from some point on nothing could be kept */
    bool sealed;
    char last; /* the last byte kept */
    char held[OUTPUT_HELD + OUTPUT_LINE];
};

enum output_state {
    OUTPUT_OPEN,
    OUTPUT_END,  /* of the pipe: nobody can write any more */
    OUTPUT_STUCK /* more is there, and no memfd for it; errno */
};

void output_init(struct output *o, size_t max);

/* Reads what is there by way of scratch, at most a bounded number of times. */
enum output_state output_read(struct output *o, char *scratch, size_t scratch_size);

/* A line of the agent's own at the end; output gives way to it when the limit is reached. */
void output_say(struct output *o, const char *line);

/*
 * Seals what there is; once sealed it stays so. Its memfd (still the output's) or -1: empty. False
 * with errno: there is none now.
 */
bool output_seal(struct output *o);

void output_finish(struct output *o);

#endif
