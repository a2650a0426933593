/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/duration.h"
#include "base/fds.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/secret.h"
#include "base/siphash.h"
#include "base/span.h"
#include "base/text.h"

static void durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: not a duration */
    } cases[] = {
        {"45s", 45000},
        {"2m", 120000},
        {"1500ms", 1500},
        {"1h", 3600000},
        {"PT45S", 45000},
        {"45", 45000},
        {"0", 0},
        {"1.5s", 1500},
        {"PT1H2M3.5S", 3723500},
        {"pt2m", 120000},
        {"P1DT1H", 90000000},
        {"1d", 86400000},
        {"0.25", 250},
        {"3650d", 315360000000},
        {"", -1},
        {"s", -1},
        {"-1s", -1},
        {"1 s", -1},
        {"1x", -1},
        {"PT", -1},
        {"P", -1},
        {"PT1", -1},
        {"PT1S2M", -1},
        {"P1H", -1},
        {"PTT1S", -1},
        {"1.s", -1},
        {"1e3", -1},
        {"3651d", -1},
        {"99999999999999999999", -1},
        {"PT1S1S", -1},
        {"18446744073709551616ms", -1},
        {"P1DT", -1},
        {"+5s", -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t ms = 0;
        bool ok = duration_parse(cases[i].text, &ms);
        if (ok != (cases[i].ms >= 0) || (ok && ms != (uint64_t)cases[i].ms))
            fail_msg("'%s': ok %d, %llu ms", cases[i].text, ok, (unsigned long long)ms);
    }
}

static void utf8(void **state)
{
    (void)state;
    assert_true(text_is_utf8("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", 12));
    static const char *const bad[] = {
        "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82",
        "\x80",     "\xff",         "\xe0\x80\x80",     "\xf0\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(text_is_utf8(bad[i], strlen(bad[i])));
}

static void escapes(void **state)
{
    char out[64];
    (void)state;
    text_escape(out, sizeof out, "a\x1b[31m\n\xe2\x80\xae\xff", 11, false);
    assert_string_equal(out, "a\\x1b[31m\\x0a\\xe2\\x80\\xae\\xff");
    text_escape(out, sizeof out, "\"\\\x01", 3, true);
    assert_string_equal(out, "\\\"\\\\\\u0001");
    /* Never half an escape. */
    assert_int_equal(text_escape(out, 7, "abc\x01", 4, false), 3);
    assert_int_equal(text_escape(out, 8, "abc\x01", 4, false), 7);
}

static void percent(void **state)
{
    char out[64];
    (void)state;
    static const char *const cases[][2] = {
        {"abc-1_2.~", "abc-1_2.~"},     {".", "%2E"},  {"..", "%2E%2E"}, {"a/b", "a%2Fb"},
        {"\xc3\xbc?#", "%C3%BC%3F%23"}, {"...", "..."}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(text_percent_encode(out, sizeof out, cases[i][0], strlen(cases[i][0])));
        assert_string_equal(out, cases[i][1]);
    }
    assert_false(text_percent_encode(out, 3, "/", 1));
    assert_true(text_percent_encode(out, 4, "/", 1));
}

/* Every component stays a legal file name, and different ids never meet. */
static void state_names(void **state)
{
    char long_id[301], longer[301];
    memset(long_id, 'x', 300);
    long_id[300] = '\0';
    memcpy(longer, long_id, 301);
    longer[299] = 'y';
    char slashes[301];
    memset(slashes, '/', 300);
    slashes[300] = '\0';
    char dots[301];
    memset(dots, '.', 300);
    dots[300] = '\0';
    const char *const ids[] = {".", "..",    "/",    "a",     "a/b", "a%2Fb", "A",
                               "~", long_id, longer, slashes, dots,  "a@h"};
    enum { N = sizeof ids / sizeof *ids };
    static char names[N][4 * LIMIT_CONNECTION_ID];
    (void)state;
    for (size_t i = 0; i < N; i++) {
        assert_true(text_state_name(names[i], sizeof names[i], ids[i], "login1.example"));
        assert_int_not_equal(names[i][0], '.');
        char copy[4 * LIMIT_CONNECTION_ID];
        strcpy(copy, names[i]);
        for (char *part = strtok(copy, "/"); part; part = strtok(NULL, "/")) {
            assert_true(strlen(part) <= 255);
            assert_true(part[0] != '.');
        }
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(names[i], names[k]);
    }
}

static void buffers(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 10000);
    char block[6000];
    memset(block, 'a', sizeof block);
    assert_true(buf_append(&b, block, 6000));
    assert_false(buf_append(&b, block, 4001));
    assert_true(buf_append(&b, block, 4000));
    assert_int_equal(buf_len(&b), 10000);
    buf_consume(&b, 9999);
    assert_true(buf_append(&b, block, 5000));
    assert_int_equal(buf_len(&b), 5001);
    assert_null(buf_reserve(&b, SIZE_MAX));
    buf_consume(&b, 5001);
    assert_int_equal(buf_len(&b), 0);
    buf_finish(&b);
}

static void secrets(void **state)
{
    struct secret s;
    (void)state;
    assert_int_equal(secret_init(&s), 0);
    assert_int_equal(s.size, LIMIT_SECRET_PAGE);
    printf("secret page: memfd_secret %d, locked %d\n", s.memfd, s.locked);
    memset(s.data, 'S', s.size);
    /* A forked child has no copy: it dies on the touch (DONTFORK) or reads zeros (WIPEONFORK). */
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGSEGV, SIG_DFL);
        _exit(((volatile char *)s.data)[0] == 'S' ? 9 : 0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 9);
    secret_finish(&s);
    assert_null(s.data);
    secret_finish(&s);
}

static void arrange(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        int pair[2], fds[3];
        /* Sources that collide with targets, in the worst order. */
        if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) != 0)
            _exit(1);
        /* Out of the way first: the numbers differ with what the test runner leaves open. */
        int high[2] = {fcntl(pair[0], F_DUPFD, 20), fcntl(pair[1], F_DUPFD, 20)};
        if (dup2(high[0], 5) < 0 || dup2(high[1], 3) < 0 || dup2(1, 4) < 0)
            _exit(1);
        fds[0] = 5;
        fds[1] = 4;
        fds[2] = 3;
        if (fds_arrange(3, fds, 3) != 0)
            _exit(2);
        if (!fds_is_channel(3) || fds_is_channel(4) || !fds_is_channel(5))
            _exit(3);
        if (write(3, "x", 1) != 1 || fcntl(6, F_GETFD) >= 0 || fcntl(high[0], F_GETFD) >= 0)
            _exit(4);
        char c;
        _exit(read(5, &c, 1) == 1 && c == 'x' ? 0 : 5);
    }
    int status = 0;
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
}

/* Vectors of the SipHash paper's reference implementation: key 00..0f, messages 00, 0001, … */
static void siphash_vectors(void **state)
{
    unsigned char key_bytes[16], message[15];
    uint64_t key[2];
    (void)state;
    for (unsigned char i = 0; i < 16; i++)
        key_bytes[i] = i;
    for (unsigned char i = 0; i < 15; i++)
        message[i] = i;
    memcpy(key, key_bytes, 16);
    assert_true(siphash(key, message, 0) == UINT64_C(0x726fdb47dd0e0e31));
    assert_true(siphash(key, message, 1) == UINT64_C(0x74f839c593dc67fd));
    assert_true(siphash(key, message, 8) == UINT64_C(0x93f5f5799a932462));
    assert_true(siphash(key, message, 15) == UINT64_C(0xa129ca6149be45e5));
}

static void logs(void **state)
{
    int pair[2];
    char line[8192];
    (void)state;
    assert_int_equal(pipe(pair), 0);
    int saved = dup(2);
    dup2(pair[1], 2);
    log_init("core", LOG_LEVEL_INFO, LOG_FORMAT_JSON);
    log_info("a \"quote\" and\n\x1b[2J");
    log_debug("not this");
    log_init("core", LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
    char big[5000];
    memset(big, 'b', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    log_info("%s", big);
    dup2(saved, 2);
    close(saved);
    ssize_t n = read(pair[0], line, sizeof line - 1);
    assert_true(n > 0);
    line[n] = '\0';
    assert_non_null(strstr(line, "\"message\":\"a \\\"quote\\\" and\\u000a\\u001b[2J\"}\n"));
    assert_null(strstr(line, "not this"));
    assert_int_equal(line[n - 1], '\n');
    assert_true((size_t)n < sizeof line - 1 && n < LOG_LINE_MAX + 200);
    close(pair[0]);
    close(pair[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),       cmocka_unit_test(utf8),
        cmocka_unit_test(escapes),         cmocka_unit_test(percent),
        cmocka_unit_test(state_names),     cmocka_unit_test(buffers),
        cmocka_unit_test(secrets),         cmocka_unit_test(arrange),
        cmocka_unit_test(siphash_vectors), cmocka_unit_test(logs),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
