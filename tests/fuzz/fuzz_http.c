/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An HTTP answer in arbitrary pieces: the same verdict as in one piece, every bound holds, what is
 * made of it fits the message to core, and an accepted upgrade says what RFC 6455 asks, by a second
 * reading of the head.
 *
 * Input: two bytes, the seed of the pieces; the server's bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"
#include "net/session/messages.h"
#include "net/session/upgrade.h"
#include "tests/fuzz/fuzz.h"

/* RFC 6455 section 1.3. */
#define KEY    "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

#define READ 16384 /* one TLS record */

struct answer {
    struct http http;
    enum http_verdict verdict;
    size_t used;
};

static void check_bounds(const struct answer *a)
{
    const struct http *h = &a->http;
    CHECK(buf_len(&h->body) <= HTTP_BODY_MAX && h->body.size <= HTTP_BODY_MAX);
    CHECK(a->verdict == HTTP_BAD || h->n_headers <= HTTP_HEADERS_MAX);
    CHECK(a->verdict == HTTP_BAD || h->interim <= HTTP_INTERIM_MAX);
    CHECK(h->head_bytes <= HTTP_HEAD_MAX && h->total <= HTTP_TOTAL_MAX);
    CHECK(!h->head_done || (h->status >= 100 && h->status <= 599));
    CHECK((a->verdict == HTTP_BAD) <= (h->why != NULL));
    CHECK(a->verdict != HTTP_DONE || (h->head_done && h->status >= 200));
    CHECK(a->verdict != HTTP_UPGRADE || (h->head_done && h->status == 101));
    CHECK(!h->body_left_out || buf_len(&h->body) == 0);
}

/* In pieces; seed 0: as much as a read brings. */
static void feed(struct answer *a, struct span bytes, uint32_t seed)
{
    http_init(&a->http);
    a->verdict = HTTP_MORE;
    a->used = 0;
    while (a->verdict == HTTP_MORE && a->used < bytes.len) {
        size_t left = bytes.len - a->used, n = seed ? fuzz_piece(&seed, READ) : READ, used = 0;
        /* A copy of its own size, so that reading past its end shows. */
        char *piece = span_dup((struct span){bytes.data + a->used, n < left ? n : left});
        CHECK(piece);
        a->verdict = http_feed(&a->http, piece, n < left ? n : left, &used);
        free(piece);
        CHECK(used <= n && (used == n || used == left || a->verdict != HTTP_MORE));
        a->used += used;
        check_bounds(a);
    }
    if (a->verdict == HTTP_MORE)
        a->verdict = http_eof(&a->http);
    check_bounds(a);
}

static void check_same(const struct answer *a, const struct answer *b)
{
    const struct http *x = &a->http, *y = &b->http;
    CHECK(a->verdict == b->verdict);
    CHECK(x->head_done == y->head_done && x->body_left_out == y->body_left_out);
    if (a->verdict == HTTP_UPGRADE)
        CHECK(a->used == b->used);
    if (!x->head_done)
        return;
    CHECK(x->status == y->status && x->interim == y->interim);
    CHECK(memcmp(&x->headers, &y->headers, sizeof x->headers) == 0);
    CHECK(a->verdict == HTTP_BAD || buf_len(&x->body) == buf_len(&y->body));
    if (a->verdict != HTTP_BAD && buf_len(&x->body))
        CHECK(memcmp(buf_data(&x->body), buf_data(&y->body), buf_len(&x->body)) == 0);
}

/* ---- the head, read a second time ---- */

struct reading {
    unsigned accepts, right_accepts, upgrades, websockets, connections, extras;
    bool folded;
};

static bool header_is(struct span line, const char *name, struct span *value)
{
    size_t n = strlen(name);
    if (line.len <= n || line.data[n] != ':' || strncasecmp(line.data, name, n) != 0)
        return false;
    *value = (struct span){line.data + n + 1, line.len - n - 1};
    while (value->len && strchr(" \t", value->data[0]))
        value->data++, value->len--;
    while (value->len && strchr(" \t\r", value->data[value->len - 1]))
        value->len--;
    return true;
}

static bool value_is(struct span value, const char *word)
{
    return value.len == strlen(word) && strncasecmp(value.data, word, value.len) == 0;
}

static void read_line(struct reading *r, struct span line)
{
    struct span value;
    r->folded |= line.len && (line.data[0] == ' ' || line.data[0] == '\t');
    const char *colon = line.len ? memchr(line.data, ':', line.len) : NULL;
    CHECK(!colon || r->folded || !memchr(line.data, ' ', (size_t)(colon - line.data)));
    if (header_is(line, "sec-websocket-accept", &value)) {
        r->accepts++;
        r->right_accepts += span_is(value, ACCEPT);
    } else if (header_is(line, "upgrade", &value)) {
        r->upgrades++;
        r->websockets += value_is(value, "websocket");
    } else if (header_is(line, "connection", &value)) {
        char *text = span_dup(value);
        CHECK(text);
        r->connections += strcasestr(text, "upgrade") != NULL;
        free(text);
    } else if (header_is(line, "sec-websocket-extensions", &value) ||
               header_is(line, "sec-websocket-protocol", &value)) {
        r->extras++;
    }
}

/* The last head counts: a status line begins a new one. */
static void check_upgrade(struct span head)
{
    struct input in = {(const uint8_t *)head.data, head.len};
    struct reading r = {0};
    CHECK(head.len > 2 && head.data[head.len - 1] == '\n');
    while (in.left) {
        struct span line = input_line(&in);
        CHECK(!memchr(line.data, '\r', line.len ? line.len - 1 : 0));
        if (line.len > 7 && memcmp(line.data, "HTTP/1.", 7) == 0)
            r = (struct reading){0};
        else
            read_line(&r, line);
    }
    if (r.folded) /* a value over several lines: the second reader does not join them */
        return;
    CHECK(r.accepts == 1 && r.right_accepts == 1);
    CHECK(r.upgrades == 1 && r.websockets == 1);
    CHECK(r.connections >= 1 && r.extras == 0);
}

/* ---- what the session makes of it ---- */

static void check_text(const char *text, size_t size)
{
    CHECK(strlen(text) < size && text_is_utf8(text, strlen(text)));
    for (const char *c = text; *c; c++)
        CHECK((unsigned char)*c >= 0x20 && *c != 0x7f);
}

static void check_message(const struct http *h)
{
    static char frame[LIMIT_PACKET];
    char version[65], message[LIMIT_DETAIL + 1];
    struct span body = {buf_len(&h->body) ? buf_data(&h->body) : "", buf_len(&h->body)};
    struct msg_response m = {.status = h->status, .retry_after_s = http_retry_after(&h->headers)};
    m.is_tower = body_api_version(body, version, sizeof version);
    body_message(body, message, sizeof message);
    check_text(version, sizeof version);
    check_text(message, sizeof message);
    CHECK(!m.is_tower == !*version);
    m.api_version = span_of(version);
    m.message = span_of(message);
    CHECK(ipc_encode(frame, sizeof frame, MSG_response, &m) > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct answer whole, pieces;
    struct input in = {data, size};
    uint32_t seed = input_word(&in) | 0x10000u;
    struct span bytes = input_take(&in, SIZE_MAX);
    struct upgrade u = {.key = KEY};
    upgrade_accept(&u);
    CHECK(strcmp(u.accept, ACCEPT) == 0);
    feed(&whole, bytes, 0);
    feed(&pieces, bytes, seed);
    check_same(&whole, &pieces);
    if (whole.verdict == HTTP_UPGRADE && !upgrade_check(&u, &whole.http.headers))
        check_upgrade((struct span){bytes.data, whole.used});
    if (whole.http.head_done)
        check_message(&whole.http);
    http_finish(&whole.http);
    http_finish(&pieces.http);
    return 0;
}
