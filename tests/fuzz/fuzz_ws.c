/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket frames from a server, in one piece and in many, with the owner holding input back and
 * answering, against a plain reading of RFC 6455 (ws_model.c): the same messages, pongs, end and
 * code; no buffer above its cap; what is sent is well-formed, masked, and ends with a Close.
 *
 * Input: a byte of flags, a byte for the largest message, two bytes the seed of the pieces; then
 * the stream. Flag BUILD: the stream is made from descriptions of frames, so that lengths fit.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/text.h"
#include "net/session/ws.h"
#include "tests/fuzz/fuzz.h"
#include "tests/fuzz/ws_model.h"

enum {
    FLAG_BINARY = 1, /* binary messages are allowed */
    FLAG_ECHO = 2,   /* each message is answered with itself */
    FLAG_CLOSE = 4,  /* we close after the first message */
    FLAG_HOLD = 8,   /* input is held back now and then */
    FLAG_STALL = 16, /* output is taken in small pieces, and not always */
    FLAG_BUILD = 32,
    FLAG_RESULT = 64 /* or with a result around it */
};

#define STREAM_MAX   65536
#define RESULT_MOST  40000
#define RESULTS_MOST 65536
/* Memory of one WebSocket besides its message: both outgoing buffers (one of them while it grows),
 * wslay's context and queues, the echoes' copies. */
#define MEMORY_FIXED (4 * 65536)

struct peer { /* what the server sees */
    uint64_t messages[MODEL_MOST], pongs[MODEL_MOST];
    size_t n_messages, n_pongs;
    bool closed;
    unsigned close_code;
    unsigned char bytes[2 * STREAM_MAX + 131072];
    size_t len;
};

struct run {
    struct ws ws;
    unsigned flags;
    uint32_t seed;
    uint64_t messages[MODEL_MOST], answers[MODEL_MOST];
    size_t n_messages, n_answers, echoed_bytes;
    bool held;
    size_t memory;
    struct peer peer;
};

/* Random bytes of the agent's, the same each time. */
int __wrap_RAND_bytes(unsigned char *out, int n);
int __wrap_RAND_bytes(unsigned char *out, int n)
{
    static unsigned char next;
    for (int i = 0; i < n; i++)
        out[i] = next += 41;
    return 1;
}

/* The message, then an output in base64, of a length that the message's gives. */
static void send_result(struct run *r, struct span message)
{
    static char output[RESULT_MOST];
    static unsigned char base64[RESULT_MOST * 2];
    size_t len = message.len * 997 % RESULT_MOST;
    struct memfd_map body = {.bytes = {output, len}}; /* nothing to unmap */
    if (r->echoed_bytes > RESULTS_MOST)
        return;
    for (size_t i = 0; i < sizeof output; i++)
        output[i] = (char)(i * 7 + i / 251);
    CHECK(frames_result(&r->ws.frames, message, &body, "\"}"));
    int n = EVP_EncodeBlock(base64, (unsigned char *)output, (int)len);
    uint64_t sum = model_sum(MODEL_SUM, message.data, message.len);
    sum = model_sum(sum, base64, (size_t)n);
    r->answers[r->n_answers++] = model_sum(sum, "\"}", 2);
    r->echoed_bytes += message.len + (size_t)n + 128;
}

static void on_message(void *context, struct span message, bool binary)
{
    struct run *r = context;
    CHECK(message.len <= r->ws.message_max);
    CHECK(!binary || r->ws.allow_binary);
    CHECK(binary || text_is_utf8(message.data, message.len));
    CHECK(r->n_messages < MODEL_MOST);
    r->messages[r->n_messages++] = model_sum(MODEL_SUM + binary, message.data, message.len);
    if (r->flags & FLAG_RESULT) {
        send_result(r, message);
    } else if (r->flags & FLAG_ECHO) {
        CHECK(frames_message(&r->ws.frames, message, binary));
        r->answers[r->n_answers++] = r->messages[r->n_messages - 1];
        r->echoed_bytes += message.len + 128;
    }
    if (r->flags & FLAG_CLOSE)
        ws_close(&r->ws, 1000, "done");
}

static bool may_receive(void *context)
{
    const struct run *r = context;
    return !r->held;
}

static void check_bounds(const struct run *r)
{
    const struct ws *ws = &r->ws;
    CHECK(buf_len(&ws->message) <= ws->message_max);
    CHECK(ws->message.size <= ws->message_max || ws->message.size == 0);
    CHECK(ws->frames.out.size <= FRAMES_AHEAD && ws->frames.control.size <= FRAMES_CONTROL);
    CHECK(ws->in_at <= ws->in_len && ws->in_len <= sizeof ws->in);
    CHECK(ws->close_have <= ws->close_len && ws->close_len <= sizeof ws->close);
    CHECK(memchr(ws->reason, '\0', sizeof ws->reason));
    CHECK(!ws->broken);
    size_t now = fuzz_allocated();
    CHECK(now <= r->memory + 2 * ws->message_max + r->echoed_bytes + MEMORY_FIXED);
}

static void take_output(struct run *r, bool all)
{
    for (;;) {
        bool ok;
        struct span out = frames_output(&r->ws.frames, &ok);
        CHECK(ok);
        if (out.len == 0)
            return;
        size_t n = all ? out.len : fuzz_piece(&r->seed, 4096);
        n = n < out.len ? n : out.len;
        CHECK(n <= sizeof r->peer.bytes - r->peer.len);
        memcpy(r->peer.bytes + r->peer.len, out.data, n);
        r->peer.len += n;
        frames_written(&r->ws.frames, n);
        if (!all)
            return;
    }
}

/* As conversation_turn does it. */
static void turn(struct run *r)
{
    size_t at;
    do {
        at = r->ws.in_at;
        ws_process(&r->ws);
        check_bounds(r);
        take_output(r, !(r->flags & FLAG_STALL));
    } while (ws_has_input(&r->ws) && r->ws.in_at != at);
}

static void run(struct run *r, const struct model_rules *rules, struct span stream, uint32_t seed,
                unsigned flags)
{
    struct ws_owner owner = {.context = r, .on_message = on_message, .may_receive = may_receive};
    size_t at = 0;
    r->flags = flags;
    r->seed = seed;
    r->n_messages = r->n_answers = r->echoed_bytes = 0;
    r->held = false;
    r->peer.len = r->peer.n_messages = r->peer.n_pongs = 0;
    r->peer.closed = false;
    r->memory = fuzz_allocated();
    CHECK(ws_init(&r->ws, &owner, rules->message_max, rules->allow_binary) == 0);
    while (at < stream.len) {
        size_t room, n = seed ? fuzz_piece(&r->seed, WS_INPUT) : WS_INPUT;
        r->held = (flags & FLAG_HOLD) && fuzz_piece(&r->seed, 64) < 4;
        char *in = ws_room(&r->ws, &room);
        if (room && ws_wants_input(&r->ws)) {
            n = n < room ? n : room;
            n = n < stream.len - at ? n : stream.len - at;
            memcpy(in, stream.data + at, n);
            at += n;
            ws_received(&r->ws, n);
        } else if (!r->held) {
            take_output(r, true); /* it waits for us, and for nothing else */
        }
        turn(r);
    }
    r->held = false;
    r->flags &= ~(unsigned)FLAG_STALL;
    take_output(r, true);
    turn(r);
    CHECK(!ws_has_input(&r->ws) && ws_flushed(&r->ws));
}

/* ---- what was sent ---- */

static uint64_t sum_unmasked(uint64_t sum, const unsigned char *mask, unsigned char *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        p[i] ^= mask[i & 3];
    return model_sum(sum, p, len);
}

static void take_sent(struct peer *peer, unsigned opcode, const unsigned char *mask,
                      unsigned char *p, size_t len)
{
    uint64_t sum = sum_unmasked(MODEL_SUM + (opcode == 2), mask, p, len);
    CHECK(!peer->closed);
    switch (opcode) {
    case 1:
    case 2:
        CHECK(peer->n_messages < MODEL_MOST);
        peer->messages[peer->n_messages++] = sum;
        break;
    case 8:
        CHECK(len != 1 && len <= 125);
        peer->closed = true;
        peer->close_code = len ? (unsigned)p[0] << 8 | p[1] : 1005;
        break;
    case 10:
        CHECK(len <= 125 && peer->n_pongs < MODEL_MOST);
        peer->pongs[peer->n_pongs++] = sum;
        break;
    default:
        CHECK(opcode == 10); /* a client has no use for others */
    }
}

static void read_sent(struct peer *peer)
{
    unsigned char *p = peer->bytes, *end = p + peer->len;
    while (p < end) {
        CHECK(end - p >= 6 && (p[0] & 0xf0) == 0x80 && (p[1] & 0x80));
        unsigned opcode = p[0] & 15;
        size_t len = p[1] & 0x7f, width = len < 126 ? 0 : len == 126 ? 2 : 8;
        CHECK((size_t)(end - p) >= 6 + width);
        if (width)
            len = 0;
        for (size_t i = 0; i < width; i++)
            len = len << 8 | p[2 + i];
        CHECK((width == 2) == (len >= 126 && len < 65536) && (width == 8) == (len >= 65536));
        p += 2 + width;
        CHECK((size_t)(end - p) >= 4 + len);
        take_sent(peer, opcode, p, p + 4, len);
        p += 4 + len;
    }
}

/* ---- comparisons ---- */

static bool is_prefix(const uint64_t *a, size_t n, const uint64_t *of, size_t m)
{
    return n <= m && memcmp(a, of, n * sizeof *a) == 0;
}

static void check_end(const struct run *r, const struct model *m)
{
    const struct ws *ws = &r->ws;
    bool ours = r->flags & FLAG_CLOSE && r->n_messages > 0;
    if (ours) {
        CHECK(ws->state == WS_CLOSING || ws->state == WS_CLOSED);
        CHECK(ws->state != WS_CLOSED || ws->answered);
        CHECK(ws->code == 1000 && r->peer.closed && r->peer.close_code == 1000);
        return;
    }
    if (m->vague && ws->state == WS_FAILED) {
        CHECK(ws->code == 1002 || ws->code == 1003 || ws->code == 1007 || ws->code == 1009);
        return;
    }
    static const enum ws_state states[] = {WS_OPEN, WS_CLOSED, WS_FAILED};
    CHECK(ws->state == states[m->end]);
    CHECK(m->end == MODEL_OPEN || ws->code == m->code);
    CHECK(ws_message_length(ws) == m->partial);
    CHECK(r->peer.closed == (m->end != MODEL_OPEN));
    CHECK(!r->peer.closed || r->peer.close_code == m->code);
}

static void check(struct run *r, const struct model *m)
{
    const struct peer *peer = &r->peer;
    bool ours = r->flags & FLAG_CLOSE && r->n_messages > 0;
    read_sent(&r->peer);
    CHECK(is_prefix(r->messages, r->n_messages, m->messages, m->n_messages));
    CHECK(r->n_messages == (ours ? 1 : m->n_messages));
    CHECK(is_prefix(peer->pongs, peer->n_pongs, m->pings, m->n_pings));
    CHECK(ours || peer->n_pongs == m->n_pings);
    CHECK(is_prefix(peer->messages, peer->n_messages, r->answers, r->n_answers));
    CHECK(r->ws.state != WS_OPEN || peer->n_messages == r->n_answers);
    check_end(r, m);
}

/* Each frame: opcode with its flags, a byte for the length, payload. */
static size_t build(unsigned char *out, struct input *in)
{
    size_t at = 0;
    while (in->left && at + 14 + 1024 < STREAM_MAX) {
        unsigned char first = input_byte(in), shape = input_byte(in);
        struct span payload = input_take(in, shape & 0x80 ? (shape & 0x7f) * 8u : shape);
        out[at++] = first;
        if (payload.len < 126) {
            out[at++] = (unsigned char)payload.len;
        } else {
            out[at++] = 126;
            out[at++] = (unsigned char)(payload.len >> 8);
            out[at++] = (unsigned char)payload.len;
        }
        if (payload.len)
            memcpy(out + at, payload.data, payload.len);
        at += payload.len;
    }
    return at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct run whole, pieces;
    static struct model m;
    static unsigned char stream[STREAM_MAX];
    struct input in = {data, size};
    unsigned flags = input_byte(&in), bound = input_byte(&in);
    uint32_t seed = input_word(&in) | 0x10000u;
    struct model_rules rules = {.message_max = bound & 0x80 ? STREAM_MAX : bound * 4u,
                                .allow_binary = flags & FLAG_BINARY};
    size_t len = flags & FLAG_BUILD ? build(stream, &in) : 0;
    if (!(flags & FLAG_BUILD)) {
        struct span rest = input_take(&in, sizeof stream);
        len = rest.len;
        if (len)
            memcpy(stream, rest.data, len);
    }
    struct span bytes = {(const char *)stream, len};
    model_read(&m, &rules, bytes);
    if (m.n_messages == MODEL_MOST || m.n_pings == MODEL_MOST)
        return 0;
    run(&whole, &rules, bytes, 0, flags & (FLAG_ECHO | FLAG_CLOSE | FLAG_RESULT));
    run(&pieces, &rules, bytes, seed, flags);
    check(&whole, &m);
    check(&pieces, &m);
    if (whole.ws.state == WS_CLOSED)
        CHECK(strcmp(whole.ws.reason, pieces.ws.reason) == 0);
    ws_finish(&whole.ws);
    ws_finish(&pieces.ws);
    return 0;
}
