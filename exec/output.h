/* SPDX-License-Identifier: Apache-2.0 */
/* A command's output: from its pipe, byte for byte, into a memfd up to a limit; the rest is
 * counted. */
#ifndef TW_EXEC_OUTPUT_H
#define TW_EXEC_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct output {
    int pipe;  /* non-blocking; -1: none */
    int memfd; /* made at the first byte; -1: none */
    size_t size;
    size_t max;
    uint64_t dropped;
    char last; /* the last byte kept */
};

void output_init(struct output *o, size_t max);

/*
 * Reads what is there by way of scratch, at most a bounded number of times. True at the end of the
 * pipe: nobody can write any more.
 */
bool output_read(struct output *o, char *scratch, size_t scratch_size);

/* A line of the agent's own at the end; output gives way to it when the limit is reached. */
void output_say(struct output *o, const char *line);

/* Seals what there is. Its memfd (still the output's), or -1: empty. */
int output_seal(struct output *o);

void output_finish(struct output *o);

#endif
