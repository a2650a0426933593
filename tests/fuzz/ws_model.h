/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 6455 read a second time, the plain way: what a client makes of a server's whole stream. */
#ifndef TW_TESTS_FUZZ_WS_MODEL_H
#define TW_TESTS_FUZZ_WS_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define MODEL_MOST 512 /* messages, and pings, that are kept apart */

enum model_end { MODEL_OPEN, MODEL_CLOSED, MODEL_FAILED };

struct model {
    /* Messages and the pings' payloads, as sums of their bytes. */
    uint64_t messages[MODEL_MOST], pings[MODEL_MOST];
    size_t n_messages, n_pings;
    enum model_end end;
    unsigned code;  /* received, or to be sent */
    size_t partial; /* of MODEL_OPEN: bytes of a message whose end is not there */
    /*
     * A receiver may know already that the last frame is bad, or know another reason: the stream
     * ends within its head or right behind it; or it is a Close with a reason that is not UTF-8.
     */
    bool vague;
};

struct model_rules {
    size_t message_max;
    bool allow_binary;
};

/* A sum of bytes that tells texts apart; begin with MODEL_SUM. */
#define MODEL_SUM UINT64_C(0xcbf29ce484222325)
uint64_t model_sum(uint64_t sum, const void *bytes, size_t len);

void model_read(struct model *m, const struct model_rules *rules, struct span stream);

#endif
