/* SPDX-License-Identifier: Apache-2.0 */
/* The frame walk and the codec, against hostile frames. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "ipc/message.h"
#include "ipc/walk.h"

#define BYTES(...) (const char[]){__VA_ARGS__}, sizeof((const char[]){__VA_ARGS__})

static void refused_frame(const char *frame, size_t len)
{
    /* On the heap at its exact size, so that AddressSanitizer sees a read past the end. */
    char *copy = malloc(len ? len : 1);
    if (len)
        memcpy(copy, frame, len);
    const char *why = NULL;
    union ipc_message m;
    assert_int_equal(ipc_decode(copy, len, &m, &why), -1);
    assert_non_null(why);
    free(copy);
}

static void hostile(void **state)
{
    (void)state;
    refused_frame("", 0);
    refused_frame(BYTES('\xdd', 0x10, 0, 0, 0));   /* array32 that claims 2^28 elements */
    refused_frame(BYTES('\xdc', 0x7f, '\xff', 1)); /* array16 of 32767 */
    refused_frame(BYTES('\x90'));                  /* empty array */
    refused_frame(BYTES('\x81', 1, 1));            /* map */
    refused_frame(BYTES('\x92', 1, '\x91', 1));    /* nested array */
    refused_frame(BYTES('\x92', 1, '\xc6', '\xff', '\xff', '\xff', '\xff')); /* bin32 of 4 GiB */
    refused_frame(BYTES('\x92', 1, '\xdb', '\xff', '\xff', '\xff', '\xff', 'a'));
    refused_frame(BYTES('\x92', 1, '\xc4'));                         /* bin8 without its length */
    refused_frame(BYTES('\x92', 1, '\xa5', 'a'));                    /* fixstr cut short */
    refused_frame(BYTES('\x91', '\xcf', 0, 0, 0));                   /* uint64 cut short */
    refused_frame(BYTES('\x91', '\xc0'));                            /* nil */
    refused_frame(BYTES('\x91', '\xc2'));                            /* bool */
    refused_frame(BYTES('\x91', '\xca', 0, 0, 0, 0));                /* float */
    refused_frame(BYTES('\x91', '\xd4', 1, 1));                      /* ext */
    refused_frame(BYTES('\x91', '\xc1'));                            /* never used */
    refused_frame(BYTES('\x91', 0x7f));                              /* unknown type */
    refused_frame(BYTES('\x91', '\xff'));                            /* negative type */
    refused_frame(BYTES('\x91', '\xa1', 'a'));                       /* type is a text */
    refused_frame(BYTES('\x92', MSG_go, 0, 0));                      /* trailing byte */
    refused_frame(BYTES('\x91', MSG_go));                            /* field missing */
    refused_frame(BYTES('\x93', MSG_go, 0, 0));                      /* field too many */
    refused_frame(BYTES('\x92', MSG_go, 1));                         /* out of range */
    refused_frame(BYTES('\x92', MSG_go, '\xff'));                    /* -1 for unsigned */
    refused_frame(BYTES('\x93', MSG_search_result, 1, 2));           /* a truth that is neither */
    refused_frame(BYTES('\x93', MSG_command, '\xa0', '\xc4', 0));    /* empty id */
    refused_frame(BYTES('\x93', MSG_command, '\xa1', 0, '\xc4', 0)); /* NUL in a text */
    refused_frame(BYTES('\x93', MSG_command, '\xa1', '\xff', '\xc4', 0)); /* not UTF-8 */
    refused_frame(BYTES('\x93', MSG_command, '\xc4', 1, 'a', '\xc4', 0)); /* bytes for a text */
    refused_frame(BYTES('\x93', MSG_command, '\xa1', 'a', '\xa1', 'a'));  /* text for bytes */
}

/* Every prefix of a good frame, and every frame with one byte changed, is refused or decodes within
 * bounds. */
static void mutations(void **state)
{
    char frame[LIMIT_PACKET];
    struct msg_command m = {.id = span_of("id-1"), .text = span_of("squeue -h")};
    size_t len = ipc_encode(frame, sizeof frame, MSG_command, &m);
    (void)state;
    assert_true(len > 0);
    for (size_t cut = 0; cut < len; cut++)
        refused_frame(frame, cut);
    for (size_t i = 0; i < len; i++)
        for (int v = 0; v < 256; v++) {
            char *copy = malloc(len);
            memcpy(copy, frame, len);
            copy[i] = (char)v;
            union ipc_message out;
            const char *why;
            int type = ipc_decode(copy, len, &out, &why);
            if (type == MSG_command)
                assert_true(out.command.id.len >= 1 && out.command.id.data >= copy &&
                            out.command.id.data + out.command.id.len <= copy + len &&
                            out.command.text.data + out.command.text.len <= copy + len);
            free(copy);
        }
}

static void round_trip(void **state)
{
    char frame[LIMIT_PACKET];
    static char text[LIMIT_INLINE_TEXT];
    struct msg_finished f = {.ticket = UINT64_MAX, .status = 255, .dropped = 7, .timed_out = 1};
    struct msg_ended e = {
        .stage = STAGE_CLOSED, .code = -1, .detail = span_of("gr\xc3\xbc\xc3\x9f")};
    struct msg_run r = {.ticket = 3, .text = {text, sizeof text}};
    union ipc_message m;
    const char *why = NULL;
    (void)state;
    size_t len = ipc_encode(frame, sizeof frame, MSG_finished, &f);
    assert_int_equal(ipc_decode(frame, len, &m, &why), MSG_finished);
    assert_true(m.finished.ticket == UINT64_MAX && m.finished.status == 255 &&
                m.finished.timed_out == 1);
    len = ipc_encode(frame, sizeof frame, MSG_ended, &e);
    assert_int_equal(ipc_decode(frame, len, &m, &why), MSG_ended);
    assert_true(m.ended.code == -1 && span_is(m.ended.detail, "gr\xc3\xbc\xc3\x9f"));
    /* In place: the decoder must not copy what may be large. */
    assert_true(m.ended.detail.data > frame && m.ended.detail.data < frame + len);
    memset(text, '\xff', sizeof text);
    len = ipc_encode(frame, sizeof frame, MSG_run, &r);
    assert_int_equal(ipc_decode(frame, len, &m, &why), MSG_run);
    assert_int_equal(m.run.text.len, sizeof text);
    assert_memory_equal(m.run.text.data, text, sizeof text);
}

static void sender_is_checked_too(void **state)
{
    char frame[LIMIT_PACKET];
    static char big[LIMIT_INLINE_TEXT + 1];
    struct msg_run r = {.text = {big, sizeof big}};
    struct msg_finish f = {.code = 6};
    struct msg_command c = {.id = {"a\0b", 3}};
    (void)state;
    assert_int_equal(ipc_encode(frame, sizeof frame, MSG_run, &r), 0);
    assert_int_equal(ipc_encode(frame, sizeof frame, MSG_finish, &f), 0);
    assert_int_equal(ipc_encode(frame, sizeof frame, MSG_command, &c), 0);
}

/* Random bytes: nothing but a verdict comes out, and memory does not grow with what frames claim.
 */
static void random_frames(void **state)
{
    unsigned seed = 12345;
    struct rusage before, after;
    (void)state;
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < 200000; i++) {
        char frame[64];
        size_t len = (size_t)(rand_r(&seed) % 64);
        for (size_t k = 0; k < len; k++)
            frame[k] = (char)rand_r(&seed);
        if (len > 1 && i % 2) {
            frame[0] = (char)(0x90 | (rand_r(&seed) % 5 + 1));
            frame[1] = (char)(rand_r(&seed) % MSG_COUNT);
        }
        union ipc_message m;
        const char *why = NULL;
        assert_true(ipc_decode(frame, len, &m, &why) >= 0 || why);
    }
    getrusage(RUSAGE_SELF, &after);
#ifndef TW_SANITIZE
    assert_true(after.ru_maxrss - before.ru_maxrss < 4096);
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hostile),       cmocka_unit_test(mutations),
        cmocka_unit_test(round_trip),    cmocka_unit_test(sender_is_checked_too),
        cmocka_unit_test(random_frames),
    };
    return cmocka_run_group_tests_name("frames", tests, NULL, NULL);
}
