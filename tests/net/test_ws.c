/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "net/session/ws.h"
#include "tests/unit/test.h"

#define MESSAGE_MAX 1000

struct peer {
    struct ws ws;
    size_t messages, bytes;
    char last[64];
    bool held;
};

static void on_message(void *context, struct span message, bool binary)
{
    struct peer *p = context;
    assert_false(binary);
    p->messages++;
    p->bytes += message.len;
    span_copy(p->last, sizeof p->last, message);
}

static bool may_receive(void *context)
{
    const struct peer *p = context;
    return !p->held;
}

static struct peer *start(void)
{
    struct peer *p = calloc(1, sizeof *p);
    struct ws_owner owner = {p, on_message, may_receive};
    assert_int_equal(ws_init(&p->ws, &owner, MESSAGE_MAX, false), 0);
    return p;
}

static void end(struct peer *p)
{
    ws_finish(&p->ws);
    free(p);
}

static void give(struct peer *p, const char *data, size_t len, size_t piece)
{
    for (size_t at = 0; at < len; at += piece) {
        size_t room, n = len - at < piece ? len - at : piece;
        char *in = ws_room(&p->ws, &room);
        assert_true(room >= n);
        memcpy(in, data + at, n);
        ws_received(&p->ws, n);
        ws_process(&p->ws);
    }
}

/* The next outgoing frame, unmasked; false when there is none. */
static bool take(struct peer *p, unsigned *opcode, char *payload, size_t *len)
{
    bool ok;
    struct span out = frames_output(&p->ws.frames, &ok);
    const unsigned char *b = (const unsigned char *)out.data;
    assert_true(ok);
    if (out.len == 0)
        return false;
    assert_true(out.len >= 6 && (b[0] & 0xf0) == 0x80 && (b[1] & 0x80));
    *opcode = b[0] & 15;
    *len = b[1] & 127;
    assert_true(*len < 126 && out.len >= 6 + *len);
    for (size_t i = 0; i < *len; i++)
        payload[i] = (char)(b[6 + i] ^ b[2 + (i & 3)]);
    payload[*len] = '\0';
    frames_written(&p->ws.frames, 6 + *len);
    return true;
}

static unsigned close_code(struct peer *p)
{
    unsigned opcode;
    char payload[128];
    size_t len;
    while (take(p, &opcode, payload, &len))
        if (opcode == 8)
            return len >= 2 ? (unsigned)(unsigned char)payload[0] << 8 | (unsigned char)payload[1]
                            : 1005;
    return 0;
}

static void expect_failure(const char *data, size_t len, unsigned code)
{
    for (size_t piece = 1; piece <= len; piece += len > 1 ? len - 1 : 1) {
        struct peer *p = start();
        give(p, data, len, piece);
        assert_int_equal(p->ws.state, WS_FAILED);
        assert_int_equal(p->ws.code, code);
        assert_int_equal(close_code(p), code);
        assert_true(ws_flushed(&p->ws));
        end(p);
    }
}

#define FAILS(literal, code) expect_failure(literal, sizeof literal - 1, code)

static void test_failures(void **state)
{
    (void)state;
    FAILS("\x82\x01x", 1003);                         /* binary */
    FAILS("\x81\x7e\x03\xe9x", 1009);                 /* 1001 bytes, from the header alone */
    FAILS("\x81\x7f\0\0\0\0\x01\xc9\xc3\x80x", 1009); /* 30 MB */
    FAILS("\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xffx", 1009);
    FAILS("\x81\x81\1\2\3\4x", 1002);  /* masked */
    FAILS("\xc1\x01x", 1002);          /* RSV1 */
    FAILS("\x83\x01x", 1002);          /* reserved opcode */
    FAILS("\x80\x01x", 1002);          /* continuation of nothing */
    FAILS("\x01\x01x\x81\x01y", 1002); /* a message within a message */
    FAILS("\x09\x01x", 1002);          /* fragmented ping */
    FAILS("\x89\x7e\x00\x7e", 1002);   /* long ping */
    FAILS("\x81\x02\xc3\x28", 1007);
    FAILS("\x88\x01\x03", 1002);     /* half a code */
    FAILS("\x88\x02\x03\xed", 1002); /* 1005 */
    FAILS("\x88\x02\x03\xe7", 1002); /* 999 */
    FAILS("\x88\x02\x07\xd0", 1002); /* 2000 */
    FAILS("\x88\x02\x13\x88", 1002); /* 5000 */
    FAILS("\x88\x04\x03\xe8\xc3\x28", 1007);
}

static void test_close(void **state)
{
    static const char frame[] = "\x88\x09\x0f\xa0"
                                "a\xc3\xa9\xf0\x9f\x98\x80";
    (void)state;
    for (size_t piece = 1; piece < sizeof frame; piece++) {
        struct peer *p = start();
        give(p, frame, sizeof frame - 1, piece);
        assert_int_equal(p->ws.state, WS_CLOSED);
        assert_int_equal(p->ws.code, 4000);
        assert_string_equal(p->ws.reason, "a\xc3\xa9\xf0\x9f\x98\x80");
        assert_int_equal(close_code(p), 4000);
        end(p);
    }
    struct peer *p = start();
    give(p, "\x88\x00", 2, 1);
    assert_int_equal(p->ws.code, 1005);
    assert_int_equal(close_code(p), 1005);
    end(p);
    p = start();
    ws_close(&p->ws, 1000, "");
    assert_int_equal(close_code(p), 1000);
    give(p, "\x81\x01x\x88\x02\x03\xe9", 7, 7);
    assert_int_equal(p->ws.state, WS_CLOSED);
    assert_true(p->ws.answered);
    assert_int_equal(p->ws.code, 1000);
    assert_int_equal(p->messages, 0);
    assert_int_equal(close_code(p), 0);
    end(p);
}

static void test_messages(void **state)
{
    static const char data[] = "\x01\x02h\xc3\x89\x02!!\x80\x01\xa9\x81\x00\x81\x02ok";
    unsigned opcode;
    char payload[128];
    size_t len;
    (void)state;
    for (size_t piece = 1; piece < sizeof data; piece++) {
        struct peer *p = start();
        give(p, data, sizeof data - 1, piece);
        assert_int_equal(p->ws.state, WS_OPEN);
        assert_int_equal(p->messages, 3);
        assert_int_equal(p->bytes, 5);
        assert_string_equal(p->last, "ok");
        assert_true(take(p, &opcode, payload, &len));
        assert_int_equal(opcode, 10);
        assert_string_equal(payload, "!!");
        assert_false(take(p, &opcode, payload, &len));
        end(p);
    }
}

/* Every fragment is small; their sum is what counts. */
static void test_fragments_too_big(void **state)
{
    struct peer *p = start();
    size_t n = 1;
    (void)state;
    give(p, "\x01\x01x", 3, 3);
    for (; p->ws.state == WS_OPEN && n < 2 * MESSAGE_MAX; n++)
        give(p, "\x00\x01x", 3, 3);
    assert_int_equal(n, MESSAGE_MAX + 1);
    assert_int_equal(p->ws.code, 1009);
    assert_null(p->ws.message.data);
    end(p);
}

static void test_ping_flood(void **state)
{
    struct peer *p = start();
    char pings[WS_INPUT];
    size_t room, taken = 0;
    (void)state;
    for (size_t i = 0; i < sizeof pings; i += 2)
        memcpy(pings + i, "\x89\x00", 2);
    for (int i = 0; i < 1000; i++) {
        char *in = ws_room(&p->ws, &room);
        if (room) {
            memcpy(in, pings, room);
            ws_received(&p->ws, room);
            taken++;
        }
        ws_process(&p->ws);
    }
    assert_false(ws_wants_input(&p->ws));
    assert_true(buf_len(&p->ws.frames.control) < 20480);
    assert_int_equal(taken, 1);
    /* Written out, it goes on. */
    unsigned opcode;
    char payload[128];
    size_t len, pongs = 0;
    while (ws_process(&p->ws), take(p, &opcode, payload, &len))
        pongs++;
    assert_int_equal(pongs, WS_INPUT / 2);
    assert_true(ws_wants_input(&p->ws));
    end(p);
}

static void test_held(void **state)
{
    struct peer *p = start();
    (void)state;
    p->held = true;
    give(p, "\x81\x02ok", 4, 4);
    assert_int_equal(p->messages, 0);
    assert_false(ws_wants_input(&p->ws));
    p->held = false;
    ws_process(&p->ws);
    assert_int_equal(p->messages, 1);
    end(p);
}

/* ---- results ---- */

static struct memfd_map map_of(const char *data, size_t len)
{
    struct memfd_map map;
    int fd = memfd_of("test", data, len);
    assert_true(fd >= 0);
    assert_int_equal(memfd_map(&map, fd, len), 0);
    close(fd);
    return map;
}

/* Reads the whole output, `step` bytes at a time, into a fresh block. */
static unsigned char *drain(struct frames *f, size_t step, size_t *len)
{
    size_t size = 1 << 20;
    unsigned char *all = malloc(size);
    *len = 0;
    for (;;) {
        bool ok;
        struct span out = frames_output(f, &ok);
        assert_true(ok);
        if (out.len == 0)
            return all;
        size_t n = out.len < step ? out.len : step;
        assert_true(*len + n <= size);
        memcpy(all + *len, out.data, n);
        *len += n;
        frames_written(f, n);
    }
}

static void expect_result(size_t size, size_t step)
{
    struct frames f;
    size_t len, at = 2;
    char *body = malloc(size + 1);
    frames_init(&f);
    for (size_t i = 0; i < size; i++)
        body[i] = (char)(i * 7 + i / 251);
    struct memfd_map map = map_of(body, size);
    assert_true(frames_result(&f, span_of("{\"r\":\""), &map, "\"}"));
    assert_true(frames_message(&f, span_of("next"), false));
    unsigned char *all = drain(&f, step, &len);
    char *expected = malloc(size * 2 + 64);
    int n = snprintf(expected, 16, "{\"r\":\"");
    n += EVP_EncodeBlock((unsigned char *)expected + n, (const unsigned char *)body, (int)size);
    n += snprintf(expected + n, 8, "\"}");
    assert_int_equal(all[0], 0x81);
    size_t payload = all[1] & 127, width = payload < 126 ? 0 : payload == 126 ? 2 : 8;
    if (width)
        payload = 0;
    for (size_t i = 0; i < width; i++)
        payload = payload << 8 | all[at++];
    assert_int_equal(payload, n);
    for (size_t i = 0; i < payload; i++)
        all[at + 4 + i] ^= all[at + (i & 3)];
    assert_memory_equal(all + at + 4, expected, payload);
    assert_int_equal(len, at + 4 + payload + 10);
    assert_int_equal(f.results_written, 1);
    assert_int_equal(f.written, len);
    assert_int_equal(f.queued, 0);
    frames_finish(&f);
    free(all);
    free(body);
    free(expected);
}

static void test_result(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 3, 80, 86, 12287, 12288, 12289, 49152, 500000};
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        expect_result(sizes[i], 16384);
        expect_result(sizes[i], sizes[i] > 13000 ? 4099 : 1);
    }
}

static void test_control_between(void **state)
{
    struct frames f;
    size_t len;
    bool ok;
    static char body[200000];
    (void)state;
    frames_init(&f);
    struct memfd_map map = map_of(body, sizeof body);
    assert_true(frames_result(&f, span_of("x"), &map, "y"));
    assert_true(frames_message(&f, span_of("never sent"), false));
    assert_true(frames_output(&f, &ok).len > 16384);
    assert_true(frames_control(&f, 10, "pong", 4));
    assert_true(frames_close(&f, 1000, ""));
    assert_false(frames_control(&f, 10, "late", 4));
    assert_false(frames_message(&f, span_of("late"), false));
    unsigned char *all = drain(&f, 16384, &len);
    size_t frame = 2 + 8 + 4 + 1 + (sizeof body + 2) / 3 * 4 + 1;
    assert_int_equal(len, frame + 10 + 8);
    assert_int_equal(all[frame], 0x8a);
    assert_int_equal(all[frame + 10], 0x88);
    assert_int_equal(f.results_written, 1);
    frames_finish(&f);
    free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_failures),   cmocka_unit_test(test_close),
        cmocka_unit_test(test_messages),   cmocka_unit_test(test_fragments_too_big),
        cmocka_unit_test(test_ping_flood), cmocka_unit_test(test_held),
        cmocka_unit_test(test_result),     cmocka_unit_test(test_control_between),
    };
    return cmocka_run_group_tests_name("ws", tests, NULL, NULL);
}
