/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of the WebSocket handshake, RFC 6455 section 4.1. */
#ifndef TW_NET_SESSION_UPGRADE_H
#define TW_NET_SESSION_UPGRADE_H

#include "net/session/http.h"

struct upgrade {
    char key[25];    /* Sec-WebSocket-Key: 16 random bytes in base64 */
    char accept[29]; /* what the server must answer */
};

/* A fresh key. 0, or -1: no randomness. */
int upgrade_init(struct upgrade *u);

/* For a given key: the answer to it. */
void upgrade_accept(struct upgrade *u);

/* NULL when the 101 is the answer to our key and adds nothing; else why it is not. */
const char *upgrade_check(const struct upgrade *u, const struct http_headers *headers);

#endif
