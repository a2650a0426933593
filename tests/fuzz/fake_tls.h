/* SPDX-License-Identifier: Apache-2.0 */
/* net/session/tls.h without TLS: the server's bytes come from the harness, in pieces. */
#ifndef TW_TESTS_FUZZ_FAKE_TLS_H
#define TW_TESTS_FUZZ_FAKE_TLS_H

#include "tests/fuzz/fuzz.h"

#define FAKE_MOST 262144

struct fake_tls {
    uint32_t seed;
    bool handshaken, eof;
    bool stalled;       /* nothing can be written */
    bool waiting;       /* and a write has been told so: */
    size_t waiting_len; /* its bytes */
    uint64_t waiting_sum;
    const char *token; /* what may stand in the request; NULL: none */
    unsigned writes;
    size_t at, len; /* of the server's bytes */
    char bytes[FAKE_MOST];
};
extern struct fake_tls fake_tls;

void fake_tls_reset(uint32_t seed);

/* The server sends this; dropped when there is no room. */
void fake_tls_say(struct span bytes);

#endif
