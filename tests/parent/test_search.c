/* SPDX-License-Identifier: Apache-2.0 */
/* The canary finds the token in every form, wherever it lies, and nothing else. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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
    return search_set(&search, span_of(token));
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

/* At every place in a text, for every length of a token that is searched at all. */
static void test_every_place(void **state)
{
    char text[160], long_token[100];
    (void)state;
    for (size_t i = 0; i < sizeof long_token; i++)
        long_token[i] = (char)('A' + (i * i + i / 7) % 58);
    for (size_t len = 16; len <= sizeof long_token; len++) {
        struct span t = {long_token, len};
        assert_int_equal(search_set(&search, t), 0);
        for (size_t place = 0; place + len <= sizeof text; place++) {
            memset(text, '-', sizeof text);
            memcpy(text + place, long_token, len);
            assert_true(found(text, sizeof text));
            assert_true(found(text, place + len)); /* the text's end */
            assert_false(found(text, place + len - 1));
            text[place + len - 1] ^= 1;
            assert_false(found(text, sizeof text));
        }
    }
}

static double seconds(const char *text, size_t len)
{
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    assert_false(found(text, len));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
}

static double by_memmem(const char *text, size_t len)
{
    struct timespec a, b;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &a);
    assert_null(memmem(text, len, token, strlen(token)));
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &b);
    return (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
}

static void fill_with(char *text, size_t len, const char *part, size_t part_len)
{
    for (size_t i = 0; i < len; i++)
        text[i] = part[i % part_len];
}

/* How many times as long it takes for one text as for the other: by the least of several runs, of
 * which one at least is undisturbed. In turns, so that a slow host is slow for both; on a busy one
 * it takes more of them until the least is found, which `runs` last ones did not lower. */
static double ratio(double (*run)(const char *, size_t), const char *one, const char *other,
                    size_t len)
{
    const int runs = 100, most = 5000;
    double best[2] = {run(one, len), run(other, len)};
    for (int i = 0, last = 0; i - last < runs && i < most; i++) {
        double t[2] = {run(one, len), run(other, len)};
        for (int k = 0; k < 2; k++) {
            if (t[k] < 0.95 * best[k])
                last = i;
            best[k] = t[k] < best[k] ? t[k] : best[k];
        }
    }
    return best[0] / best[1];
}

/*
 * A member can time it. Texts made of two bytes that stand late in the token make a search with a
 * skip table slower than others do, and so tell of the token; ours takes the same time.
 */
static void test_time_tells_nothing(void **state)
{
    /* So short that many runs are not interrupted, and that it stays in the cache: what others do
     * to the memory would count more than how the text is searched. */
    const size_t len = 128 << 10;
    char *with = malloc(len), *without = malloc(len);
    (void)state;
    fill_with(with, len, token + strlen(token) - 3, 2);
    fill_with(without, len, "#!", 2);
    double naive = ratio(by_memmem, with, without, len);
    double ours = ratio(seconds, with, without, len);
    print_message("memmem: %.2f times as long for a text of the token's bytes; here: %.2f\n", naive,
                  ours);
    assert_true(naive > 1.5);
    assert_true(ours > 0.8 && ours < 1.25);
    /* A third of the token, over and over. */
    fill_with(with, len, token, strlen(token) / 3);
    ours = ratio(seconds, with, without, len);
    assert_true(ours > 0.8 && ours < 1.25);
    free(with);
    free(without);
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
        T(test_every_place),
        T(test_time_tells_nothing),
        T(test_replaced),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
