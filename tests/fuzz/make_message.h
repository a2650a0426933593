/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPC frames made from fuzz input by the message table, with an encoder of their own, and known to
 * be right or wrong: a mutator hardly ever gets a whole message right by chance.
 */
#ifndef TW_TESTS_FUZZ_MAKE_MESSAGE_H
#define TW_TESTS_FUZZ_MAKE_MESSAGE_H

#include "ipc/message.h"
#include "tests/fuzz/fuzz.h"

/* Room for the longest frame and more. */
#define MADE_MAX (2 * LIMIT_PACKET + 1024)

struct made {
    unsigned type;
    bool valid; /* every field within its bounds, and the whole within a packet */
    size_t len;
    unsigned char frame[MADE_MAX];
};

/* The type is the n-th of those that travel in these directions; 0: of all. */
unsigned made_type(unsigned directions, unsigned n);

/* Reads each field's value and its form from the input. */
void make_message(struct made *m, unsigned type, struct input *in);

#endif
