/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/fuzz/fake_tls.h"

#include <string.h>

#include "net/session/tls.h"

struct fake_tls fake_tls;

void fake_tls_reset(uint32_t seed)
{
    struct fake_tls *f = &fake_tls;
    f->seed = seed;
    f->handshaken = f->eof = f->stalled = f->waiting = false;
    f->token = NULL;
    f->writes = 0;
    f->at = f->len = 0;
}

void fake_tls_say(struct span bytes)
{
    struct fake_tls *f = &fake_tls;
    if (bytes.len > sizeof f->bytes - f->len)
        return;
    if (bytes.len)
        memcpy(f->bytes + f->len, bytes.data, bytes.len);
    f->len += bytes.len;
}

int tls_init(struct tls *t, struct span host, struct span ca_pem, struct span pins)
{
    *t = (struct tls){0};
    (void)pins;
    return host.len && ca_pem.len ? 0 : -1;
}

void tls_finish(struct tls *t)
{
    (void)t;
}

int tls_attach(struct tls *t, int socket)
{
    (void)t;
    return socket >= 0 ? 0 : -1;
}

enum tls_io tls_handshake(struct tls *t)
{
    (void)t;
    if (fuzz_piece(&fake_tls.seed, 64) == 1)
        return TLS_WANT_WRITE;
    fake_tls.handshaken = true;
    return TLS_OK;
}

enum tls_io tls_read(struct tls *t, char *data, size_t size, size_t *n)
{
    struct fake_tls *f = &fake_tls;
    (void)t;
    /* No byte of the server's before the token is gone. */
    CHECK(f->handshaken && f->writes >= 2 && size > 0);
    if (f->at == f->len)
        return f->eof ? TLS_EOF : TLS_WANT_READ;
    size_t left = f->len - f->at;
    *n = fuzz_piece(&f->seed, 4 * size);
    *n = *n < size ? *n : size;
    *n = *n < left ? *n : left;
    memcpy(data, f->bytes + f->at, *n);
    f->at += *n;
    return TLS_OK;
}

bool tls_pending(const struct tls *t)
{
    (void)t;
    return fake_tls.at < fake_tls.len && (fake_tls.seed & 0x100);
}

static uint64_t sum_of(const char *data, size_t len)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ (unsigned char)data[i]) * UINT64_C(0x100000001b3);
    return sum;
}

/* The request: one record up to the token's line, and one with the end. */
static void check_request(const char *data, size_t len)
{
    struct fake_tls *f = &fake_tls;
    if (f->writes == 0) {
        CHECK(len > 4 && memcmp(data, "GET ", 4) == 0);
        const char *at = memmem(data, len, "Bearer ", 7);
        CHECK(!at || (f->token && memmem(data, len, f->token, strlen(f->token))));
        CHECK(memcmp(data + len - 2, "\r\n", 2) == 0);
    } else {
        CHECK(len == 2 && memcmp(data, "\r\n", 2) == 0);
    }
}

enum tls_io tls_write(struct tls *t, const char *data, size_t len, size_t *n)
{
    struct fake_tls *f = &fake_tls;
    (void)t;
    CHECK(f->handshaken && len > 0);
    /* The request's page is wiped before it is repeated: only its length is the same. */
    if (f->waiting)
        CHECK(len >= f->waiting_len &&
              (f->writes < 2 || sum_of(data, f->waiting_len) == f->waiting_sum));
    else if (f->writes < 2)
        check_request(data, len);
    if (f->stalled) {
        if (!f->waiting) {
            f->waiting_len = len;
            f->waiting_sum = sum_of(data, len);
        }
        f->waiting = true;
        return TLS_WANT_WRITE;
    }
    /* OpenSSL writes the record that waits, and no more. */
    *n = f->waiting ? f->waiting_len : len;
    f->waiting = false;
    f->writes++;
    return TLS_OK;
}

unsigned tls_version(const struct tls *t)
{
    (void)t;
    return 0x0304;
}

void tls_goodbye(struct tls *t)
{
    (void)t;
}
