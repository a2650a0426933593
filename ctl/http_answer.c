/* SPDX-License-Identifier: Apache-2.0 */
#include "ctl/http_answer.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/json_scan.h"
#include "policy/redact.h"

/* Of Tower's own words. */
#define MESSAGE_MAX 480

void answer_begin(struct answer *a, bool upgrade)
{
    buf_finish(&a->body);
    a->header_bytes = 0;
    a->upgrade = upgrade;
    a->switched = a->head_ended = a->too_large = false;
}

size_t answer_take_header(char *data, size_t size, size_t n, void *context)
{
    struct answer *a = context;
    size_t len = size * n;
    a->header_bytes += len;
    a->too_large = a->header_bytes > HTTP_HEADERS_MAX;
    if (a->upgrade && len > 12 && memcmp(data, "HTTP/1.1 101", 12) == 0)
        a->switched = true;
    a->head_ended = len <= 2;
    /* What follows is another protocol. */
    return a->too_large || (a->switched && a->head_ended) ? 0 : len;
}

size_t answer_take_body(char *data, size_t size, size_t n, void *context)
{
    struct answer *a = context;
    if (buf_append(&a->body, data, size * n))
        return size * n;
    a->too_large = true;
    return 0;
}

/* ---- words ---- */

static void __attribute__((format(printf, 3, 4)))
say(struct http_result *r, enum http_failure failure, const char *format, ...)
{
    va_list args;
    r->failure = failure;
    va_start(args, format);
    vsnprintf(r->detail, sizeof r->detail, format, args);
    va_end(args);
}

static void first_hop(char *out, size_t size, const struct answer_way *way)
{
    if (way->proxy[0])
        snprintf(out, size, "the proxy %s", way->proxy);
    else
        snprintf(out, size, "%s port %u", way->host, way->port);
}

static void explain_timeout(struct http_result *r, const struct answer_way *way, const char *hop)
{
    unsigned long long ms = way->timeout_ms;
    if (!r->resolved)
        say(r, HTTP_TIMEOUT, "the name service did not answer within %llu ms", ms);
    else if (!r->connected)
        say(r, HTTP_TIMEOUT, "no connection to %s within %llu ms", hop, ms);
    else if (!r->secured)
        say(r, HTTP_TIMEOUT, "%s: no TLS connection within %llu ms", way->host, ms);
    else
        say(r, HTTP_TIMEOUT, "%s did not answer within %llu ms", way->host, ms);
}

static void explain_tls(struct http_result *r, const struct answer_way *way)
{
    char words[CURL_ERROR_SIZE];
    if (r->chain.unpinned)
        say(r, HTTP_PIN, "%s: %s", way->host, r->chain.why);
    else if (r->chain.verified && r->code == CURLE_PEER_FAILED_VERIFICATION)
        say(r, HTTP_TLS, "%s: its certificate is refused: it is for another host", way->host);
    else if (r->chain.why[0])
        say(r, HTTP_TLS, "%s: its certificate is refused: %s", way->host, r->chain.why);
    else
        say(r, HTTP_TLS, "%s: TLS failed: %s", way->host,
            redact_foreign(
                words, sizeof words,
                span_of(way->error[0] ? way->error : curl_easy_strerror((CURLcode)r->code))));
}

static void explain_curl(struct http_result *r, const struct answer_way *way,
                         const struct answer *a)
{
    char hop[LIMIT_HOST + 64];
    const char *words = curl_easy_strerror((CURLcode)r->code);
    first_hop(hop, sizeof hop, way);
    if (a->too_large) {
        say(r, HTTP_ANSWER, "the answer of %s is too large", way->host);
        return;
    }
    if (r->code != CURLE_OPERATION_TIMEDOUT && r->proxy_status && r->proxy_status / 100 != 2) {
        say(r, HTTP_PROXY, "%s refused: %ld", hop, r->proxy_status);
        return;
    }
    switch (r->code) {
    case CURLE_OPERATION_TIMEDOUT:
        explain_timeout(r, way, hop);
        return;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
        say(r, HTTP_RESOLVE, "could not resolve %s", way->proxy[0] ? hop : way->host);
        return;
    case CURLE_COULDNT_CONNECT:
        say(r, HTTP_CONNECT, "could not connect to %s: %s", hop,
            r->os_error ? strerror(r->os_error) : words);
        return;
    case CURLE_PROXY:
        say(r, HTTP_PROXY, "%s: %s", hop, words);
        return;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        explain_tls(r, way);
        return;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        say(r, HTTP_INTERNAL, "libcurl: %s", words);
        return;
    default:
        break;
    }
    if (r->secured)
        say(r, HTTP_ANSWER, "%s gave no whole answer: %s", way->host, words);
    else
        say(r, way->proxy[0] ? HTTP_PROXY : HTTP_CONNECT, "%s: %s", hop, words);
}

/* ---- the body ---- */

/* True when the token stands in a text of this value: an answer like that is shown to nobody. */
static bool holds_token(const json_t *value, const struct secret *token)
{
    const char *key;
    const json_t *member;
    size_t i;
    if (json_is_string(value))
        return memmem(json_string_value(value), json_string_length(value), token->data,
                      token->len) != NULL;
    union {
        const json_t *given;
        json_t *wanted;
    } open = {value};
    json_object_foreach(open.wanted, key, member)
    {
        if (memmem(key, strlen(key), token->data, token->len) || holds_token(member, token))
            return true;
    }
    json_array_foreach(value, i, member)
    {
        if (holds_token(member, token))
            return true;
    }
    return false;
}

/* NULL, or what is wrong with it. */
static const char *parse(const struct answer *a, const struct secret *token, json_t **json)
{
    struct span text = {buf_len(&a->body) ? buf_data(&a->body) : "", buf_len(&a->body)};
    if (text.len == 0)
        return NULL;
    const char *why = json_scan(text, HTTP_VALUES_MAX);
    if (why)
        return why;
    *json = json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (!*json)
        return "it is not JSON";
    if (!token || token->len == 0 || !holds_token(*json, token))
        return NULL;
    json_decref(*json);
    *json = NULL;
    return "it repeats the access token";
}

/* What a status means where Tower adds no words of its own. */
static const char *meaning(long status)
{
    switch (status) {
    case 400:
        return "bad request";
    case 401:
        return "the token is not valid";
    case 403:
        return "this token may not do that";
    case 404:
        return "not found";
    case 409:
        return "conflict";
    case 429:
        return "too many requests";
    case 502:
    case 503:
    case 504:
        return "Tower is not available at the moment";
    default:
        return "no reason given";
    }
}

static void explain_status(struct http_result *r, const struct answer_way *way)
{
    char words[MESSAGE_MAX];
    const char *message = json_string_value(json_object_get(r->json, "message"));
    if (r->status / 100 == 3)
        say(r, HTTP_STATUS,
            "%s answered %ld: redirects are not followed, since the token is for this host alone; "
            "give the endpoint itself by --url",
            way->url, r->status);
    else if (message && *message)
        say(r, HTTP_STATUS, "Tower answered %ld: %s", r->status,
            redact_foreign(words, sizeof words, span_of(message)));
    else
        say(r, HTTP_STATUS, "Tower answered %ld: %s", r->status, meaning(r->status));
}

void answer_judge(const struct answer *a, const struct answer_way *way, struct http_result *r)
{
    if (a->switched && !a->too_large) {
        r->failure = HTTP_NONE;
        r->status = 101;
        return;
    }
    if (r->code != CURLE_OK) {
        explain_curl(r, way, a);
        return;
    }
    if (!a->head_ended) {
        say(r, HTTP_ANSWER, "%s gave no whole answer: it ended within the headers", way->host);
        return;
    }
    const char *why = parse(a, way->token, &r->json);
    r->failure = HTTP_NONE;
    if (r->status / 100 != 2)
        explain_status(r, way);
    else if (why)
        say(r, HTTP_ANSWER, "the answer of %s is not usable: %s%s", way->url, why,
            r->status == 200 && !strstr(way->url, "/api")
                ? " (did you mean the URL with /api behind it?)"
                : "");
}
