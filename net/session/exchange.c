/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ipc/birth.h"
#include "net/session/messages.h"
#include "net/session/session.h"

/* Of a server's own version, what is passed on. */
#define SERVER_VERSION 65
/* Reads from the socket in one turn of the loop. */
#define READS 16

static void after_write(struct session *s, enum token_outcome outcome)
{
    switch (outcome) {
    case TOKEN_SENT:
        s->step = STEP_RESPONSE;
        event_add(s->readable, NULL);
        return;
    case TOKEN_UNWRITTEN:
        s->step = STEP_REQUEST;
        event_add(s->writable, NULL);
        return;
    case TOKEN_MISSING:
        session_ended(s, STAGE_TOKEN, 0, "the parent gave none");
        return;
    case TOKEN_BAD:
        session_ended(s, STAGE_TOKEN, 0, "not 1 to 4096 printable characters");
        return;
    case TOKEN_FAILED:
        session_tls_ended(s, TLS_FAILED);
        return;
    }
}

void exchange_begin(struct session *s)
{
    struct msg_token_request m = {0};
    event_del(s->closed);
    session_deadline(s, s->timeout_ms);
    if (s->purpose == PURPOSE_PROBE) {
        close(BIRTH_FD_FIRST);
        after_write(s, token_none(&s->token, &s->tls));
        return;
    }
    s->step = STEP_TOKEN;
    if (packet_send_message(BIRTH_FD_FIRST, MSG_token_request, &m, -1) != 0)
        session_ended(s, STAGE_TOKEN, 0, "the parent cannot be asked");
    else
        event_add(s->token_readable, NULL);
}

void exchange_on_token(evutil_socket_t fd, short what, void *arg)
{
    struct session *s = arg;
    (void)what;
    enum token_outcome outcome = token_exchange(&s->token, fd, &s->tls);
    event_free(s->token_readable);
    s->token_readable = NULL;
    close(fd);
    after_write(s, outcome);
}

void exchange_writable(struct session *s)
{
    if (s->step == STEP_REQUEST)
        after_write(s, token_resume(&s->token, &s->tls));
    else
        exchange_readable(s); /* a read that had to write first */
}

static struct span body_of(const struct http *h)
{
    return buf_len(&h->body) ? (struct span){buf_data(&h->body), buf_len(&h->body)}
                             : (struct span){"", 0};
}

static void send_answer(struct session *s)
{
    char version[65] = "", message[LIMIT_DETAIL + 1] = "";
    struct span body = body_of(&s->http);
    struct msg_response m = {.status = s->http.status,
                             .retry_after_s = http_retry_after(&s->http.headers)};
    if (s->purpose == PURPOSE_PROBE && m.status == 200) {
        m.is_tower = body_api_version(body, version, sizeof version);
        if (m.is_tower)
            body_server_version(body, message, SERVER_VERSION);
    } else if (m.status >= 300) {
        body_message(body, message, sizeof message);
    }
    m.api_version = span_of(version);
    m.message = span_of(message);
    send_response(s->core, &m, -1);
}

/* The answer is complete, as far as it will be. */
static void answered(struct session *s)
{
    send_answer(s);
    http_finish(&s->http);
    session_leave(s);
}

static void upgraded(struct session *s, const char *rest, size_t len)
{
    const char *why = s->purpose != PURPOSE_AGENT ? "a 101 that was not asked for"
                                                  : upgrade_check(&s->upgrade, &s->http.headers);
    if (why) {
        session_ended(s, STAGE_UPGRADE, 0, why);
        return;
    }
    send_answer(s);
    http_finish(&s->http);
    conversation_begin(s, rest, len);
}

static void judge(struct session *s, enum http_verdict v, const char *rest, size_t len)
{
    switch (v) {
    case HTTP_MORE:
        break;
    case HTTP_DONE:
        answered(s);
        break;
    case HTTP_UPGRADE:
        upgraded(s, rest, len);
        break;
    case HTTP_BAD:
        if (s->http.head_done && s->http.status != 101)
            answered(s); /* the status holds, whatever follows it */
        else
            session_ended(s, STAGE_HTTP, 0, s->http.why);
        break;
    }
}

void exchange_readable(struct session *s)
{
    char data[WS_INPUT];
    for (int i = 0; i < READS && s->step == STEP_RESPONSE; i++) {
        size_t n = 0, used = 0;
        enum tls_io how = tls_read(&s->tls, data, sizeof data, &n);
        if (how == TLS_WANT_WRITE) {
            event_add(s->writable, NULL);
            return;
        }
        if (how == TLS_WANT_READ)
            break;
        if (how == TLS_OK) {
            enum http_verdict v = http_feed(&s->http, data, n, &used);
            judge(s, v, data + used, n - used);
        } else if (how == TLS_EOF || s->http.head_done) {
            judge(s, http_eof(&s->http), NULL, 0);
        } else {
            session_tls_ended(s, how);
        }
    }
    if (s->step == STEP_RESPONSE)
        event_add(s->readable, NULL);
}

void exchange_timeout(struct session *s)
{
    if (s->step == STEP_TOKEN)
        session_ended(s, STAGE_TOKEN, 0, "the parent does not answer");
    else if (s->step == STEP_RESPONSE && s->http.head_done)
        answered(s);
    else
        session_ended(s, STAGE_TIMEOUT, 0, "no complete answer in time");
}
