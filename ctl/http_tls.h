/* SPDX-License-Identifier: Apache-2.0 */
/* What ctl demands of TLS beyond libcurl: the agent's pins, and sight of the certificate chain. */
#ifndef TW_CTL_HTTP_TLS_H
#define TW_CTL_HTTP_TLS_H

#include <curl/curl.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/limits.h"

#define HTTP_CHAIN_MAX 8

/* As the server showed it, texts to be escaped. */
struct http_certificate {
    char subject[256], issuer[256];     /* one line each, as RFC 2253 has it */
    char not_before[32], not_after[32]; /* "2026-11-24T18:00:00Z" */
    char pin[2 * LIMIT_PIN_BYTES + 1];  /* what pin_spki takes */
};

struct http_chain {
    struct http_certificate certificates[HTTP_CHAIN_MAX]; /* the server's own first */
    size_t n;                                             /* as many as fit */
    bool seen;                                            /* the server showed certificates */
    bool verified;                                        /* but for the host's name */
    bool unpinned;                                        /* refused: no pin is among its keys */
    char why[128];                                        /* what is wrong; empty: nothing */
};

struct http_tls {
    const char *pins; /* LIMIT_PIN_BYTES each; borrowed */
    size_t pins_len;
    struct http_chain chain;
};

/*
 * For CURLOPT_SSL_CTX_FUNCTION: TLS 1.2 at least, and a chain that verifies and, if there are pins,
 * has one of their keys, before anything is sent. context is a struct http_tls, which outlives the
 * connection.
 */
CURLcode http_tls_prepare(CURL *easy, void *ssl_ctx, void *context);

#endif
