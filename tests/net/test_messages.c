/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json_scan.h"
#include "net/session/messages.h"
#include "net/session/request.h"
#include "tests/unit/test.h"

static enum message_kind kind(const char *text)
{
    struct message m;
    message_decode(&m, span_of(text));
    enum message_kind k = m.kind;
    if (k == MESSAGE_REFUSED)
        assert_non_null(m.why);
    message_finish(&m);
    return k;
}

static void test_decode(void **state)
{
    struct message m;
    (void)state;
    assert_int_equal(kind("{\"@type\":\"heartbeat\"}"), MESSAGE_HEARTBEAT);
    assert_int_equal(kind(" {\"x\":[1,{\"y\":null}],\"@type\":\"heartbeat\"}\n"),
                     MESSAGE_HEARTBEAT);
    message_decode(&m, span_of("{\"command\":\"a \\\"b\\\"\\n\\u00e9 \xf0\x9f\x98\x80\",\"more\":1,"
                               "\"id\":\"x\\u0001\",\"@type\":\"command-request\"}"));
    assert_int_equal(m.kind, MESSAGE_COMMAND);
    assert_true(span_is(m.command, "a \"b\"\n\xc3\xa9 \xf0\x9f\x98\x80"));
    assert_true(span_is(m.id, "x\x01"));
    message_finish(&m);
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "",
        " ",
        "{",
        "null",
        "[]",
        "\"@type\"",
        "{}",
        "{\"@type\":1}",
        "{\"@type\":null}",
        "{\"@type\":\"Heartbeat\"}",
        "{\"@type\":\"heartbeat\\u0000\"}",
        "{\"@type\":\"heartbeat\"}x",
        "{\"@type\":\"heartbeat\",}",
        "{\"@type\":\"heartbeat\",\"@type\":\"heartbeat\"}",
        "{\"@type\":\"heartbeat\",\"a\":1,\"a\":1}",
        "{'@type':'heartbeat'}",
        "{\"@type\":\"heartbeat\",\"n\":01}",
        "{\"@type\":\"heartbeat\",\"n\":1e999}",
        "{\"@type\":\"heartbeat\",\"n\":NaN}",
        "{\"@type\":\"heartbeat\",\"s\":\"\xff\"}",
        "{\"@type\":\"heartbeat\",\"s\":\"\\ud800\"}",
        "{\"@type\":\"command-request\"}",
        "{\"@type\":\"command-request\",\"id\":\"a\"}",
        "{\"@type\":\"command-request\",\"command\":\"a\"}",
        "{\"@type\":\"command-request\",\"id\":\"\",\"command\":\"a\"}",
        "{\"@type\":\"command-request\",\"id\":1,\"command\":\"a\"}",
        "{\"@type\":\"command-request\",\"id\":\"a\",\"command\":[\"a\"]}",
        "{\"@type\":\"command-request\",\"id\":\"a\",\"command\":null}",
        "{\"@type\":\"command-request\",\"id\":\"a\",\"command\":\"a\\u0000b\"}",
        "{\"@type\":\"command-request\",\"id\":\"a\",\"id\":\"b\",\"command\":\"a\"}",
        "{\"@type\":\"command-response\",\"id\":\"a\"}",
        "{\"@type\":\"info\"}",
    };
    char id[LIMIT_ID + 128];
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (kind(texts[i]) != MESSAGE_REFUSED)
            fail_msg("accepted: %s", texts[i]);
    for (size_t n = LIMIT_ID; n <= LIMIT_ID + 1; n++) {
        snprintf(id, sizeof id, "{\"@type\":\"command-request\",\"command\":\"\",\"id\":\"%0*d\"}",
                 (int)n, 0);
        assert_int_equal(kind(id), n == LIMIT_ID ? MESSAGE_COMMAND : MESSAGE_REFUSED);
    }
}

static char *repeat(const char *head, const char *piece, size_t n, const char *tail)
{
    size_t len = strlen(piece);
    char *text = malloc(strlen(head) + n * len + strlen(tail) + 1), *at = text;
    memcpy(at, head, strlen(head));
    at += strlen(head);
    for (size_t i = 0; i < n; i++, at += len)
        memcpy(at, piece, len);
    memcpy(at, tail, strlen(tail) + 1);
    return text;
}

static void expect_scan(char *text, bool ok)
{
    const char *why = json_scan(span_of(text), JSON_TOKENS_MAX);
    if (!why != ok)
        fail_msg("%.40s: %s", text, why ? why : "accepted");
    free(text);
}

static void test_scan(void **state)
{
    (void)state;
    expect_scan(repeat("", "[", JSON_DEPTH_MAX, ""), true);
    expect_scan(repeat("", "[", JSON_DEPTH_MAX + 1, ""), false);
    expect_scan(repeat("", "[", 1000000, ""), false);
    expect_scan(repeat("\"", "[", 1000000, "\""), true);
    expect_scan(repeat("\"", "\\\"", 1000000, "\""), true);
    expect_scan(repeat("\"\\\\\"", "[", 17, ""), false);
    expect_scan(repeat("[", "0,", JSON_TOKENS_MAX + 1, "0]"), false);
    expect_scan(repeat("[", "[],", JSON_TOKENS_MAX + 1, "0]"), false);
    expect_scan(repeat("", "[]", 100, ""), true);
    expect_scan(repeat("", "9", JSON_NUMBER_MAX, ""), true);
    expect_scan(repeat("", "9", JSON_NUMBER_MAX + 1, ""), false);
    expect_scan(repeat("]", "", 0, ""), false);
    expect_scan(repeat("\"\\", "", 0, ""), true); /* cut off: the decoder says so */
}

static void expect_text(const struct buf *b, const char *text)
{
    assert_int_equal(buf_len(b), strlen(text));
    assert_memory_equal(buf_data(b), text, strlen(text));
}

static void test_encode(void **state)
{
    struct buf b;
    const char *tail;
    struct msg_info info = {.user_name = span_of("u\"s\\er\n"),
                            .work_dir = span_of("/w\xc3\xb6rk"),
                            .agent_version = span_of("1.0.0")};
    struct msg_result result = {.id = span_of("i\"\x01\x7f\xe2\x80\xae"), .status = 255};
    (void)state;
    buf_init(&b, 8192);
    assert_true(message_heartbeat(&b));
    expect_text(&b, "{\"@type\":\"heartbeat\"}");
    buf_finish(&b);
    assert_true(message_info(&b, &info));
    expect_text(
        &b, "{\"@type\":\"info\",\"userName\":\"u\\\"s\\\\er\\u000a\",\"workDir\":\"/w\xc3\xb6rk\","
            "\"agentVersion\":\"1.0.0\"}");
    buf_finish(&b);
    assert_true(message_response(&b, &tail, &result, false));
    expect_text(&b, "{\"@type\":\"command-response\",\"id\":\"i\\\"\\u0001\\u007f\xe2\x80\xae\","
                    "\"exitStatus\":255,\"result\":\"");
    assert_string_equal(tail, "\"}");
    buf_finish(&b);
    assert_true(message_response(&b, &tail, &result, true));
    assert_string_equal(tail, "}");
    assert_null(memmem(buf_data(&b), buf_len(&b), "result\"", 7));
    buf_finish(&b);
}

static bool version(const char *body, const char *expected)
{
    char out[65];
    bool ok = body_api_version(span_of(body), out, sizeof out);
    assert_string_equal(out, expected);
    return ok;
}

static void test_bodies(void **state)
{
    char out[16];
    (void)state;
    assert_true(version(
        "{\"serviceInfo\":{\"version\":\"24.1\",\"apiVersion\":\"1.198.0\",\"x\":[]}}", "1.198.0"));
    assert_false(version("{\"serviceInfo\":{\"apiVersion\":1.8}}", ""));
    assert_false(version("{\"serviceInfo\":{\"apiVersion\":\"\"}}", ""));
    assert_false(version("{\"serviceInfo\":{\"apiVersion\":\"1\\u00e9\"}}", ""));
    assert_false(version("{\"serviceInfo\":{\"apiVersion\":\"1\\n\"}}", ""));
    assert_false(version("{\"serviceInfo\":[]}", ""));
    assert_false(version("<html>", ""));
    assert_false(version("", ""));
    body_message(span_of("{\"message\":\"no\\n\\u001b[31m\\u0085way, at all\"}"), out, sizeof out);
    assert_string_equal(out, "no[31mway, at a");
    body_message(span_of("{\"message\":\"12345678901234\xc3\xa9\"}"), out, sizeof out);
    assert_string_equal(out, "12345678901234");
    body_message(span_of("{\"message\":[]}"), out, sizeof out);
    assert_string_equal(out, "");
    body_message(span_of("oops"), out, sizeof out);
    assert_string_equal(out, "");
}

static void expect_request(const struct request *r, const char *line, const char *host,
                           const char *end)
{
    char out[LIMIT_SECRET_PAGE];
    size_t n = request_prefix(r, out, sizeof out);
    assert_true(n > 0);
    assert_memory_equal(out, line, strlen(line));
    assert_non_null(memmem(out, n, host, strlen(host)));
    assert_memory_equal(out + n - strlen(end), end, strlen(end));
}

static void test_request(void **state)
{
    struct request r = {.purpose = PURPOSE_PROBE,
                        .port = 443,
                        .host = span_of("tower.example"),
                        .url_path = span_of("/api"),
                        .connection_id = span_of("a/../b c\xc3\xa9"),
                        .key = "KEY"};
    char out[64];
    (void)state;
    expect_request(&r, "GET /api/service-info HTTP/1.1\r\n", "\r\nHost: tower.example\r\n",
                   "\r\nConnection: close");
    r.purpose = PURPOSE_LOGIN;
    r.port = 8443;
    r.host = span_of("::1");
    r.url_path = span_of("");
    expect_request(&r, "GET /user HTTP/1.1\r\n", "\r\nHost: [::1]:8443\r\n",
                   "\r\nAuthorization: Bearer ");
    r.purpose = PURPOSE_AGENT;
    r.host = span_of("[::1]");
    expect_request(&r, "GET /agent/a%2F..%2Fb%20c%C3%A9/connect HTTP/1.1\r\n",
                   "\r\nHost: [::1]:8443\r\n", "\r\nAuthorization: Bearer ");
    assert_int_equal(request_prefix(&r, out, sizeof out), 0);
    r.connection_id = span_of("..");
    expect_request(&r, "GET /agent/%2E%2E/connect HTTP/1.1\r\n", "\r\nSec-WebSocket-Key: KEY\r\n",
                   "Bearer ");
    r.url_path = span_of("/a\r\nX: y");
    char page[LIMIT_SECRET_PAGE];
    assert_int_equal(request_prefix(&r, page, sizeof page), 0);
    r.url_path = span_of("");
    r.host = span_of("a b");
    assert_int_equal(request_prefix(&r, page, sizeof page), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_scan),   cmocka_unit_test(test_encode),
        cmocka_unit_test(test_bodies), cmocka_unit_test(test_request),
    };
    json_object_seed(1);
    return cmocka_run_group_tests_name("messages", tests, NULL, NULL);
}
