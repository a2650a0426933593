/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request with the token in it: put together in a secret page, given to TLS in one write, and
 * gone before anything of the server's answer is read. Steps and order were found by searching a
 * process's memory for what they leave; see docs/design.md.
 */
#ifndef TW_NET_SESSION_TOKEN_H
#define TW_NET_SESSION_TOKEN_H

#include "base/secret.h"
#include "net/session/request.h"
#include "net/session/tls.h"

struct token {
    struct secret page;
    size_t prefix; /* bytes before the token */
    size_t len;    /* with token and suffix, once known */
    bool ending;   /* that is written; REQUEST_END is next */
};

enum token_outcome {
    TOKEN_SENT,      /* the request is out, no copy of it is left here */
    TOKEN_UNWRITTEN, /* encrypted and wiped, but the socket is full: token_resume when writable */
    TOKEN_MISSING,   /* the parent closed the channel without a token */
    TOKEN_BAD,       /* not a token: empty, too long, or a byte that cannot stand in a header */
    TOKEN_FAILED     /* TLS failed: see struct tls */
};

/* Maps the page and writes the request's prefix into it. 0 or -1 with errno. */
int token_init(struct token *t, const struct request *request);

/* Receives the one raw packet and sends the request. */
enum token_outcome token_exchange(struct token *t, int channel, struct tls *tls);

/* For a probe: sends the request without a token. */
enum token_outcome token_none(struct token *t, struct tls *tls);

enum token_outcome token_resume(struct token *t, struct tls *tls);

void token_finish(struct token *t);

#endif
