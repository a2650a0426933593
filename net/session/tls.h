/* SPDX-License-Identifier: Apache-2.0 */
/* One TLS connection as a client: verification, pins, and a pump without hidden loops. */
#ifndef TW_NET_SESSION_TLS_H
#define TW_NET_SESSION_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/ssl.h>

#include "ipc/message.h"
#include "net/session/ca.h"

struct tls {
    SSL_CTX *ctx;
    SSL *ssl;
    struct ca ca;
    unsigned char pins[LIMIT_PINS * LIMIT_PIN_BYTES];
    size_t n_pins;
    /* Why the last call failed. */
    enum stage stage;
    int code;
    char detail[160];
};

enum tls_io {
    TLS_OK,
    TLS_WANT_READ,
    TLS_WANT_WRITE,
    TLS_EOF,   /* the peer ended its side, with or without saying so in TLS */
    TLS_FAILED /* see stage, code and detail */
};

/*
 * Everything that opens files or is slow: the system's OpenSSL configuration, the CA index, the
 * SSL. pins: SHA-256 of public keys, 32 bytes each. 0, or -1 with a text in detail.
 */
int tls_init(struct tls *t, struct span host, struct span ca_pem, struct span pins);

void tls_finish(struct tls *t);

/* The connected, non-blocking socket; stays the caller's. 0 or -1. */
int tls_attach(struct tls *t, int socket);

/* A step of the handshake. TLS_OK: certificate, host name, protocol and pins are verified. */
enum tls_io tls_handshake(struct tls *t);

enum tls_io tls_read(struct tls *t, char *data, size_t size, size_t *n);

/* True when decrypted bytes wait in OpenSSL: the socket does not tell of them. */
bool tls_pending(const struct tls *t);

/* After TLS_WANT_WRITE the next call begins with the same bytes; they may have moved. */
enum tls_io tls_write(struct tls *t, const char *data, size_t len, size_t *n);

/* 0x0303 or 0x0304. */
unsigned tls_version(const struct tls *t);

/* Says good-bye if the socket takes it at once. */
void tls_goodbye(struct tls *t);

#endif
