/* SPDX-License-Identifier: Apache-2.0 */
#include "net/session/http.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/text.h"

/* Retry-After at most: what a message can carry. */
#define RETRY_AFTER_MAX (86400u * 7)

static struct http *of(llhttp_t *p)
{
    return p->data;
}

static int refuse(struct http *h, const char *why)
{
    h->why = why;
    return HPE_USER;
}

static int on_message_begin(llhttp_t *p)
{
    struct http *h = of(p);
    h->headers = (struct http_headers){0};
    h->n_headers = 0;
    h->name_len = h->value_len = 0;
    return 0;
}

static int on_header_field(llhttp_t *p, const char *at, size_t len)
{
    struct http *h = of(p);
    /* llhttp takes spaces in a name unless built strictly; RFC 9112 section 5.1 does not. */
    if (memchr(at, ' ', len))
        return refuse(h, "space in a header's name");
    for (size_t i = 0; i < len; i++, h->name_len++)
        if (h->name_len < sizeof h->name - 1)
            h->name[h->name_len] = at[i];
    return 0;
}

static int on_header_field_complete(llhttp_t *p)
{
    struct http *h = of(p);
    return ++h->n_headers > HTTP_HEADERS_MAX ? refuse(h, "too many headers") : 0;
}

static int on_header_value(llhttp_t *p, const char *at, size_t len)
{
    struct http *h = of(p);
    for (size_t i = 0; i < len; i++, h->value_len++)
        if (h->value_len < sizeof h->value - 1)
            h->value[h->value_len] = at[i];
    return 0;
}

static void keep(char *out, size_t size, const char *value)
{
    size_t n = strlen(value);
    if (n < size)
        memcpy(out, value, n + 1);
}

/* Whether a comma-separated list (RFC 9110 section 5.6.1) has the token. */
static bool has_token(const char *list, const char *token)
{
    size_t n = strlen(token);
    for (const char *at = list; *at;) {
        at += strspn(at, " \t,");
        size_t len = strcspn(at, ",");
        size_t word = len;
        while (word > 0 && (at[word - 1] == ' ' || at[word - 1] == '\t'))
            word--;
        if (word == n && strncasecmp(at, token, n) == 0)
            return true;
        at += len;
    }
    return false;
}

static void note_header(struct http_headers *h, const char *name, const char *value)
{
    if (strcasecmp(name, "sec-websocket-accept") == 0) {
        h->accepts++;
        keep(h->accept, sizeof h->accept, value);
    } else if (strcasecmp(name, "upgrade") == 0) {
        h->upgrades++;
        h->upgrade_websocket = strcasecmp(value, "websocket") == 0;
    } else if (strcasecmp(name, "connection") == 0) {
        h->connection_upgrade |= has_token(value, "upgrade");
    } else if (strcasecmp(name, "sec-websocket-extensions") == 0) {
        h->extension = true;
    } else if (strcasecmp(name, "sec-websocket-protocol") == 0) {
        h->subprotocol = true;
    } else if (strcasecmp(name, "retry-after") == 0) {
        keep(h->retry_after, sizeof h->retry_after, value);
    } else if (strcasecmp(name, "date") == 0) {
        keep(h->date, sizeof h->date, value);
    }
}

static int on_header_value_complete(llhttp_t *p)
{
    struct http *h = of(p);
    /* Trailers come after the head; nothing in them is for us. A long name is none that we know; a
     * long value says nothing that we want, but the header is there. */
    if (!h->head_done && h->name_len < sizeof h->name) {
        size_t n = h->value_len < sizeof h->value ? h->value_len : 0;
        while (n > 0 && (h->value[n - 1] == ' ' || h->value[n - 1] == '\t'))
            n--;
        h->name[h->name_len] = '\0';
        h->value[n] = '\0';
        if (memchr(h->value, '\0', n))
            return refuse(h, "NUL in a header");
        note_header(&h->headers, h->name, h->value);
    }
    h->name_len = h->value_len = 0;
    return 0;
}

static int on_headers_complete(llhttp_t *p)
{
    struct http *h = of(p);
    h->status = p->status_code;
    if (p->http_major != 1)
        return refuse(h, "another version than HTTP/1");
    if (h->status < 100 || h->status > 599)
        return refuse(h, "impossible status");
    if (h->status == 101) {
        h->head_done = true;
        return 2; /* pauses: what follows is another protocol */
    }
    if (h->status < 200)
        return ++h->interim > HTTP_INTERIM_MAX ? refuse(h, "too many interim answers") : 0;
    h->head_done = true;
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct http *h = of(p);
    if (buf_append(&h->body, at, len))
        return 0;
    h->body_left_out = true;
    buf_finish(&h->body);
    h->done = true;
    return HPE_PAUSED;
}

static int on_message_complete(llhttp_t *p)
{
    struct http *h = of(p);
    if (!h->head_done || h->status == 101)
        return 0; /* another answer follows, or another protocol */
    h->done = true;
    return HPE_PAUSED;
}

void http_init(struct http *h)
{
    *h = (struct http){0};
    llhttp_settings_init(&h->settings);
    h->settings.on_message_begin = on_message_begin;
    h->settings.on_header_field = on_header_field;
    h->settings.on_header_field_complete = on_header_field_complete;
    h->settings.on_header_value = on_header_value;
    h->settings.on_header_value_complete = on_header_value_complete;
    h->settings.on_headers_complete = on_headers_complete;
    h->settings.on_body = on_body;
    h->settings.on_message_complete = on_message_complete;
    llhttp_init(&h->parser, HTTP_RESPONSE, &h->settings);
    h->parser.data = h;
    buf_init(&h->body, HTTP_BODY_MAX);
}

void http_finish(struct http *h)
{
    buf_finish(&h->body);
}

static enum http_verdict bad(struct http *h, const char *why)
{
    if (!h->why)
        h->why = why;
    return HTTP_BAD;
}

static enum http_verdict feed_slice(struct http *h, const char *data, size_t len, size_t *used)
{
    llhttp_errno_t e = llhttp_execute(&h->parser, data, len);
    *used = len;
    if (e == HPE_PAUSED_UPGRADE && h->status == 101) {
        *used = (size_t)(llhttp_get_error_pos(&h->parser) - data);
        return HTTP_UPGRADE;
    }
    if (h->done)
        return HTTP_DONE;
    if (e != HPE_OK)
        return bad(h, "not an HTTP answer");
    return HTTP_MORE;
}

/* llhttp takes a CR and any byte behind it for the end of some lines; RFC 9112 section 2.2 forbids
 * it. */
static bool has_bare_cr(struct http *h, const char *line, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (h->cr && line[i] != '\n')
            return true;
        h->cr = line[i] == '\r';
    }
    return false;
}

enum http_verdict http_feed(struct http *h, const char *data, size_t len, size_t *used)
{
    *used = 0;
    while (*used < len) {
        /* No more than the bounds leave, so that they hold to the byte however the bytes come, and
         * count what the parser takes without telling us (white space). */
        size_t n = len - *used, taken;
        if (n > HTTP_TOTAL_MAX - h->total)
            n = HTTP_TOTAL_MAX - h->total;
        if (n == 0)
            return bad(h, "the answer is too long");
        if (!h->head_done && n > HTTP_HEAD_MAX - h->head_bytes)
            n = HTTP_HEAD_MAX - h->head_bytes;
        if (n == 0)
            return bad(h, "the head is too long");
        if (!h->head_done) {
            /* A line at a time: the piece that ends the head then holds nothing else. */
            const char *lf = memchr(data + *used, '\n', n);
            n = lf ? (size_t)(lf - (data + *used)) + 1 : n;
            if (has_bare_cr(h, data + *used, n))
                return bad(h, "a CR within a line");
            h->head_bytes += n;
        }
        h->total += n;
        enum http_verdict v = feed_slice(h, data + *used, n, &taken);
        *used += taken;
        if (v != HTTP_MORE)
            return v;
    }
    return HTTP_MORE;
}

enum http_verdict http_eof(struct http *h)
{
    if (h->done)
        return HTTP_DONE;
    if (!h->head_done)
        return bad(h, "the connection ended before an answer");
    /* Content-Length or chunks cut short: the status still holds, the body does not. */
    llhttp_finish(&h->parser);
    if (!h->done) {
        h->body_left_out = true;
        buf_finish(&h->body);
    }
    return HTTP_DONE;
}

/* IMF-fixdate, RFC 9110 section 5.6.7. -1: not one. */
static time_t parse_date(const char *text)
{
    struct tm tm = {0};
    const char *end = strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    return end && !*end ? timegm(&tm) : -1;
}

uint64_t http_retry_after(const struct http_headers *headers)
{
    uint64_t seconds;
    if (text_number(headers->retry_after, UINT64_MAX, &seconds))
        return seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : seconds;
    time_t until = parse_date(headers->retry_after), now = parse_date(headers->date);
    if (until < 0 || now < 0 || until <= now)
        return 0;
    seconds = (uint64_t)(until - now);
    return seconds > RETRY_AFTER_MAX ? RETRY_AFTER_MAX : seconds;
}
