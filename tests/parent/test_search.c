/* SPDX-License-Identifier: Apache-2.0 */
/* The canary finds the token in every form, wherever it lies, and nothing else. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "ipc/memfd.h"
#include "parent/search.h"

#define PAGE 4096
/* Its base64 has + and /, so the two alphabets differ at some alignment. */
static const char token[] = "eyJ0aWQiOiA0Mn0.~~~?>?>?>?aB3_-zZ9";

static struct search search;

static int setup(void **state)
{
    (void)state;
    if (search_init(&search) != 0)
        return -1;
    search_set(&search, span_of(token));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    search_finish(&search);
    return 0;
}

/* Plain base64, padded, for comparison. */
static size_t encode(char *out, const char *in, size_t len, const char *last_two)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    size_t at = 0;
    for (size_t i = 0; i < len; i += 3) {
        unsigned v = (unsigned)(unsigned char)in[i] << 16;
        v |= i + 1 < len ? (unsigned)(unsigned char)in[i + 1] << 8 : 0;
        v |= i + 2 < len ? (unsigned char)in[i + 2] : 0;
        for (size_t k = 0; k < 4; k++) {
            unsigned six = v >> (18 - 6 * k) & 63;
            out[at++] = i + k > len ? '=' : six < 62 ? letters[six] : last_two[six - 62];
        }
    }
    return at;
}

static bool found(const char *text, size_t len)
{
    return search_found(&search, (struct span){text, len});
}

static void test_raw_at_borders(void **state)
{
    char *text = malloc(3 * PAGE);
    size_t len = strlen(token);
    const size_t places[] = {0,    1,        PAGE - 1,      PAGE - len, PAGE - len / 2,
                             PAGE, 2 * PAGE, 3 * PAGE - len};
    (void)state;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        memset(text, 'x', 3 * PAGE);
        memcpy(text + places[i], token, len);
        assert_true(found(text, 3 * PAGE));
        text[places[i] + len / 2] ^= 1;
        assert_false(found(text, 3 * PAGE));
    }
    /* Alone, and cut by one byte at either end. */
    assert_true(found(token, len));
    assert_false(found(token, len - 1));
    assert_false(found(token + 1, len - 1));
    assert_false(found(NULL, 0));
    free(text);
}

static void test_sealed_memfd(void **state)
{
    char *text = calloc(1, 2 * PAGE);
    struct memfd_map map;
    (void)state;
    memcpy(text + 2 * PAGE - strlen(token), token, strlen(token));
    int fd = memfd_of("output", text, 2 * PAGE);
    assert_int_equal(memfd_map(&map, fd, LIMIT_OUTPUT), 0);
    assert_true(search_found(&search, map.bytes));
    memfd_unmap(&map);
    int open_fd = memfd_new("not sealed");
    assert_int_equal(memfd_map(&map, open_fd, LIMIT_OUTPUT), -1);
    free(text);
}

static void test_hex(void **state)
{
    char text[sizeof token * 2 + 1];
    (void)state;
    for (size_t i = 0; i + 1 < sizeof token; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned char)token[i]);
    assert_true(found(text, strlen(text)));
    for (size_t i = 0; i + 1 < sizeof token; i++)
        snprintf(text + 2 * i, 3, "%02X", (unsigned char)token[i]);
    assert_true(found(text, strlen(text)));
}

/* Everything from 0 to 5 bytes before and behind it, in both alphabets. */
static void test_base64(void **state)
{
    char plain[256], coded[512];
    (void)state;
    for (size_t before = 0; before < 6; before++)
        for (size_t behind = 0; behind < 6; behind++)
            for (int url = 0; url < 2; url++) {
                memset(plain, '\xfb', sizeof plain);
                memcpy(plain + before, token, strlen(token));
                size_t n = encode(coded, plain, before + strlen(token) + behind, url ? "-_" : "+/");
                assert_true(found(coded, n));
            }
}

static void test_base64_of_other_text(void **state)
{
    char plain[64], coded[128];
    (void)state;
    memcpy(plain, token, sizeof token);
    plain[sizeof token / 2] ^= 1;
    for (size_t cut = 0; cut < 3; cut++)
        assert_false(found(coded, encode(coded, plain + cut, strlen(token) - cut, "+/")));
}

static void test_longest_token(void **state)
{
    char *text = malloc(LIMIT_TOKEN + 2);
    (void)state;
    for (size_t i = 0; i < LIMIT_TOKEN; i++)
        text[i] = (char)(0x21 + (i * 7 + i / 90) % 94);
    search_set(&search, (struct span){text, LIMIT_TOKEN});
    assert_true(found(text, LIMIT_TOKEN));
    assert_false(found(token, strlen(token)));
    free(text);
}

static void test_short_tokens_match_nothing_innocent(void **state)
{
    (void)state;
    search_set(&search, span_of("a"));
    assert_false(found("banana", 6));
    search_set(&search, span_of("ab"));
    assert_false(found("abababab", 8));
}

static void test_replaced(void **state)
{
    (void)state;
    search_set(&search, span_of("another-token-0123456789"));
    assert_false(found(token, strlen(token)));
    assert_true(found("is another-token-0123456789.", 28));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(test_raw_at_borders),
        T(test_sealed_memfd),
        T(test_hex),
        T(test_base64),
        T(test_base64_of_other_text),
        T(test_longest_token),
        T(test_short_tokens_match_nothing_innocent),
        T(test_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
