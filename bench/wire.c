/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/wire.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FIN      0x80
#define MASKED   0x80
#define LENGTH_7 125
#define RECORD   16384

void fail(const char *what)
{
    fprintf(stderr, "bench: %s\n", what);
    exit(1);
}

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        fail("cannot make a descriptor non-blocking");
}

/* ---- WebSocket ---- */

size_t ws_header(uint8_t out[WS_HEADER_MAX], unsigned opcode, uint64_t len, bool masked)
{
    size_t n = 2, width = len <= LENGTH_7 ? 0 : len < 65536 ? 2 : 8;
    out[0] = (uint8_t)(FIN | opcode);
    out[1] = (uint8_t)((masked ? MASKED : 0) | (width == 0 ? len : width == 2 ? 126 : 127));
    for (size_t i = 0; i < width; i++)
        out[n++] = (uint8_t)(len >> (8 * (width - 1 - i)));
    if (masked) {
        memset(out + n, 0, 4);
        n += 4;
    }
    return n;
}

/* Bytes that the header needs, as far as it is known. */
static size_t header_need(const struct ws_reader *r)
{
    if (r->header_len < 2)
        return 2;
    unsigned short_len = r->header[1] & 0x7F;
    return 2U + (short_len == 126 ? 2 : short_len == 127 ? 8 : 0) + (r->header[1] & MASKED ? 4 : 0);
}

static void header_done(struct ws_reader *r)
{
    unsigned short_len = r->header[1] & 0x7F;
    size_t width = short_len == 126 ? 2 : short_len == 127 ? 8 : 0;
    r->left = width ? 0 : short_len;
    for (size_t i = 0; i < width; i++)
        r->left = r->left << 8 | r->header[2 + i];
    memset(r->mask, 0, sizeof r->mask);
    if (r->header[1] & MASKED)
        memcpy(r->mask, r->header + 2 + width, 4);
    r->fin = r->header[0] & FIN;
    r->frame_opcode = r->header[0] & 0x0F;
    if (r->frame_opcode != 0 && r->frame_opcode < WS_CLOSE) {
        r->opcode = r->frame_opcode;
        r->size = r->tail_len = 0;
    }
    r->control_len = 0;
    r->at = 0;
    r->header_len = 0;
    r->in_payload = true;
}

static void unmask(const struct ws_reader *r, char *out, const uint8_t *data, uint64_t from,
                   size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (char)(data[i] ^ r->mask[(from + i) & 3]);
}

/* The last bytes of what there was and of this piece. */
static void keep_tail(struct ws_reader *r, const uint8_t *data, size_t len)
{
    size_t n = len < WS_TAIL_MAX ? len : WS_TAIL_MAX, old = WS_TAIL_MAX - n;
    if (old > r->tail_len)
        old = r->tail_len;
    memmove(r->tail, r->tail + r->tail_len - old, old);
    unmask(r, r->tail + old, data + len - n, r->at + len - n, n);
    r->tail_len = old + n;
}

static void payload_piece(struct ws_reader *r, const uint8_t *data, size_t len)
{
    if (r->frame_opcode >= WS_CLOSE) {
        size_t room = sizeof r->control - 1 - r->control_len, n = len < room ? len : room;
        unmask(r, r->control + r->control_len, data, r->at, n);
        r->control_len += n;
    } else {
        if (r->size < WS_HEAD_MAX) {
            size_t room = WS_HEAD_MAX - (size_t)r->size;
            unmask(r, r->head + r->size, data, r->at, len < room ? len : room);
        }
        keep_tail(r, data, len);
        r->size += len;
    }
    r->at += len;
    r->left -= len;
}

static void frame_done(struct ws_reader *r, ws_handler *on_message, void *context)
{
    struct ws_message m = {.opcode = r->frame_opcode, .head = r->control, .tail = ""};
    r->in_payload = false;
    if (r->frame_opcode >= WS_CLOSE) {
        m.len = m.head_len = r->control_len;
        r->control[r->control_len] = '\0';
        on_message(context, &m);
    } else if (r->fin) {
        m.opcode = r->opcode;
        m.len = r->size;
        m.head_len = r->size < WS_HEAD_MAX ? (size_t)r->size : WS_HEAD_MAX;
        m.head = r->head;
        m.tail = r->tail;
        r->head[m.head_len] = r->tail[r->tail_len] = '\0';
        on_message(context, &m);
    }
}

void ws_feed(struct ws_reader *r, const uint8_t *data, size_t len, ws_handler *on_message,
             void *context)
{
    while (len > 0) {
        size_t n = 1;
        if (r->in_payload) {
            n = r->left < len ? (size_t)r->left : len;
            payload_piece(r, data, n);
        } else {
            r->header[r->header_len++] = *data;
            if (r->header_len == header_need(r))
                header_done(r);
        }
        data += n;
        len -= n;
        if (r->in_payload && r->left == 0)
            frame_done(r, on_message, context);
    }
}

/* ---- JSON, of which we look for single members ---- */

const char *json_value(const char *text, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = text; (at = strstr(at, name)); at += len) {
        const char *value = at + len;
        if (at == text || at[-1] != '"' || *value != '"')
            continue;
        value += 1 + strspn(value + 1, " ");
        if (*value == ':')
            return value + 1 + strspn(value + 1, " ");
    }
    return NULL;
}

const char *message_value(const struct ws_message *m, const char *name)
{
    const char *value = json_value(m->head, name);
    return value ? value : json_value(m->tail, name);
}

/* ---- TLS ---- */

bool tls_write_all(SSL *tls, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        int n = SSL_write(tls, at, (int)(len < RECORD ? len : RECORD));
        if (n > 0) {
            at += n;
            len -= (size_t)n;
            continue;
        }
        int why = SSL_get_error(tls, n);
        struct pollfd p = {.fd = SSL_get_fd(tls),
                           .events = why == SSL_ERROR_WANT_WRITE ? POLLOUT : POLLIN};
        if (why != SSL_ERROR_WANT_WRITE && why != SSL_ERROR_WANT_READ) {
            ERR_clear_error();
            return false;
        }
        poll(&p, 1, -1);
    }
    return true;
}

int tls_read_some(SSL *tls, void *buffer, int size)
{
    int n = SSL_read(tls, buffer, size);
    if (n > 0)
        return n;
    int why = SSL_get_error(tls, n);
    if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
        return 0;
    ERR_clear_error();
    return -1;
}
