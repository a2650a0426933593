/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/session/http.h"
#include "net/session/upgrade.h"
#include "tests/unit/test.h"

static enum http_verdict feed(struct http *h, const char *text, size_t len, size_t cut)
{
    size_t used;
    enum http_verdict v = HTTP_MORE;
    http_init(h);
    if (cut)
        v = http_feed(h, text, cut, &used);
    if (v == HTTP_MORE && cut < len)
        v = http_feed(h, text + cut, len - cut, &used);
    return v;
}

static enum http_verdict once(struct http *h, const char *text)
{
    return feed(h, text, strlen(text), 0);
}

static void expect_bad(const char *text)
{
    struct http h;
    enum http_verdict v = once(&h, text);
    if (v == HTTP_MORE)
        v = http_eof(&h);
    if (v != HTTP_BAD)
        fail_msg("accepted: %.60s", text);
    assert_non_null(h.why);
    http_finish(&h);
}

static void split_everywhere(const char *text, unsigned status, const char *body)
{
    struct http h;
    for (size_t cut = 0; cut <= strlen(text); cut++) {
        enum http_verdict v = feed(&h, text, strlen(text), cut);
        assert_int_equal(v, HTTP_DONE);
        assert_int_equal(h.status, status);
        assert_int_equal(buf_len(&h.body), strlen(body));
        if (*body)
            assert_memory_equal(buf_data(&h.body), body, strlen(body));
        http_finish(&h);
    }
}

static void test_split(void **state)
{
    (void)state;
    split_everywhere("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nhello", 200, "hello");
    split_everywhere("HTTP/1.1 502 Bad\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde"
                     "\r\n0\r\nTrailer: t\r\n\r\n",
                     502, "abcde");
    split_everywhere("HTTP/1.1 204 No Content\r\n\r\n", 204, "");
    split_everywhere("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                     "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\n{}",
                     401, "{}");
}

static void test_upgrade_split(void **state)
{
    static const char text[] = "HTTP/1.1 101 Switching\r\nUpgrade: WebSocket\r\n"
                               "Connection: keep-alive, Upgrade\r\n"
                               "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    static const char rest[] = "\x81\x02hi";
    struct upgrade u = {.key = "dGhlIHNhbXBsZSBub25jZQ=="}; /* RFC 6455 section 1.3 */
    char all[512];
    (void)state;
    upgrade_accept(&u);
    assert_string_equal(u.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    size_t head = strlen(text), len = head + strlen(rest);
    memcpy(all, text, head);
    memcpy(all + head, rest, strlen(rest));
    for (size_t cut = 0; cut < head; cut++) {
        struct http h;
        size_t used = 0;
        http_init(&h);
        if (cut)
            assert_int_equal(http_feed(&h, all, cut, &used), HTTP_MORE);
        assert_int_equal(http_feed(&h, all + cut, len - cut, &used), HTTP_UPGRADE);
        assert_int_equal(cut + used, head);
        assert_null(upgrade_check(&u, &h.headers));
        http_finish(&h);
    }
}

static const char *check(const char *headers)
{
    struct upgrade u = {.key = "dGhlIHNhbXBsZSBub25jZQ=="};
    struct http h;
    char text[1024];
    upgrade_accept(&u);
    snprintf(text, sizeof text, "HTTP/1.1 101 S\r\n%s\r\n", headers);
    assert_int_equal(once(&h, text), HTTP_UPGRADE);
    const char *why = upgrade_check(&u, &h.headers);
    http_finish(&h);
    return why;
}

#define UP     "Upgrade: websocket\r\n"
#define CONN   "Connection: upgrade\r\n"
#define ACCEPT "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"

static void test_upgrade_check(void **state)
{
    (void)state;
    assert_null(check(UP CONN ACCEPT));
    assert_non_null(check(CONN ACCEPT));
    assert_non_null(check(UP ACCEPT));
    assert_non_null(check(UP CONN));
    assert_non_null(check(UP UP CONN ACCEPT));
    assert_non_null(check(UP CONN ACCEPT ACCEPT));
    assert_non_null(check("Upgrade: h2c\r\n" CONN ACCEPT));
    assert_non_null(check("Upgrade: websocket, h2c\r\n" CONN ACCEPT));
    assert_non_null(check(UP "Connection: upgraded\r\n" ACCEPT));
    assert_non_null(check(UP CONN "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    assert_non_null(check(UP CONN "Sec-WebSocket-Accept: \r\n"));
    assert_non_null(check(UP CONN ACCEPT "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
    assert_non_null(check(UP CONN ACCEPT "Sec-WebSocket-Protocol: x\r\n"));
    /* A value longer than is kept does not hide its header. */
    char far[512];
    static const char *const names[] = {"Sec-WebSocket-Extensions", "Sec-WebSocket-Accept",
                                        "Upgrade"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(far, sizeof far, UP CONN ACCEPT "%s: %0300d\r\n", names[i], 0);
        assert_non_null(check(far));
    }
}

static void test_bad(void **state)
{
    (void)state;
    expect_bad("");
    expect_bad("HTTP/1.1 200");
    expect_bad("SSH-2.0-OpenSSH_9\r\n");
    expect_bad("HTTP/2.0 200 OK\r\n\r\n");
    expect_bad("HTTP/1.1 99 X\r\n\r\n");
    expect_bad("HTTP/1.1 999 X\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nBad Header: 5\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\rXA: b\r\n\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nA: b\r\n\rX");
    expect_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    expect_bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n");
    expect_bad("HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\n"
               "HTTP/1.1 100 C\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
}

static void test_floods(void **state)
{
    struct http h;
    size_t used, n = 0;
    enum http_verdict v = HTTP_MORE;
    static const char *const piece[] = {"X-Header: value\r\n", "X", " "};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        http_init(&h);
        v = http_feed(&h, "HTTP/1.1 200 OK\r\nA:", 19, &used);
        if (i == 0)
            http_feed(&h, "\r\n", 2, &used);
        for (n = 0; v == HTTP_MORE && n < 100000; n += strlen(piece[i]))
            v = http_feed(&h, piece[i], strlen(piece[i]), &used);
        assert_int_equal(v, HTTP_BAD);
        assert_true(n <= HTTP_HEAD_MAX);
        http_finish(&h);
    }
    /* A chunk size's leading zeros are bytes that the parser never tells us about. */
    http_init(&h);
    v = http_feed(&h, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 47, &used);
    for (n = 0; v == HTTP_MORE && n < 8u * HTTP_TOTAL_MAX; n += 8)
        v = http_feed(&h, "00000000", 8, &used);
    assert_int_equal(v, HTTP_BAD);
    http_finish(&h);
}

static void test_big_body(void **state)
{
    struct http h;
    size_t used;
    char *block = calloc(1, HTTP_BODY_MAX + 1);
    (void)state;
    assert_int_equal(once(&h, "HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\n"), HTTP_MORE);
    assert_int_equal(http_feed(&h, block, HTTP_BODY_MAX, &used), HTTP_MORE);
    assert_int_equal(buf_len(&h.body), HTTP_BODY_MAX);
    assert_int_equal(http_feed(&h, block, 1, &used), HTTP_DONE);
    assert_true(h.body_left_out);
    assert_int_equal(buf_len(&h.body), 0);
    assert_int_equal(h.status, 200);
    http_finish(&h);
    free(block);
}

static void test_eof(void **state)
{
    struct http h;
    (void)state;
    assert_int_equal(once(&h, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"a\":1}"), HTTP_MORE);
    assert_int_equal(http_eof(&h), HTTP_DONE);
    assert_int_equal(buf_len(&h.body), 7);
    http_finish(&h);
    assert_int_equal(once(&h, "HTTP/1.1 403 No\r\nContent-Length: 9\r\n\r\n{\"a"), HTTP_MORE);
    assert_int_equal(http_eof(&h), HTTP_DONE);
    assert_int_equal(h.status, 403);
    assert_true(h.body_left_out);
    http_finish(&h);
}

static uint64_t retry(const char *value, const char *date)
{
    struct http_headers h = {0};
    snprintf(h.retry_after, sizeof h.retry_after, "%s", value);
    snprintf(h.date, sizeof h.date, "%s", date);
    return http_retry_after(&h);
}

static void test_retry_after(void **state)
{
    static const char at[] = "Wed, 21 Oct 2026 07:28:00 GMT";
    (void)state;
    assert_int_equal(retry("120", ""), 120);
    assert_int_equal(retry("999999999", ""), 86400 * 7);
    assert_int_equal(retry("99999999999999999999", ""), 0);
    assert_int_equal(retry("", ""), 0);
    assert_int_equal(retry("-5", ""), 0);
    assert_int_equal(retry("soon", at), 0);
    assert_int_equal(retry("Wed, 21 Oct 2026 07:28:30 GMT", at), 30);
    assert_int_equal(retry("Wed, 21 Oct 2026 07:27:30 GMT", at), 0);
    assert_int_equal(retry("Wed, 21 Oct 2026 07:28:30 GMT", ""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split),         cmocka_unit_test(test_upgrade_split),
        cmocka_unit_test(test_upgrade_check), cmocka_unit_test(test_bad),
        cmocka_unit_test(test_floods),        cmocka_unit_test(test_big_body),
        cmocka_unit_test(test_eof),           cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
