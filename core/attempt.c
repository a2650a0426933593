/* SPDX-License-Identifier: Apache-2.0 */
#include "core/attempt.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "policy/redact.h"

/* Tower's own close codes. */
#define CLOSE_DUPLICATE      4000
#define CLOSE_REAUTHENTICATE 4001

static void say(struct attempt *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct attempt *a, const char *format, ...)
{
    char text[sizeof a->reason];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    redact(a->reason, sizeof a->reason, span_of(text));
}

/* A server's words, fit for a log, after a comma; nothing when it has none. */
struct words {
    char text[LIMIT_DETAIL + 3];
};

static const char *words(struct words *w, struct span text)
{
    w->text[0] = '\0';
    if (text.len) {
        memcpy(w->text, ", ", 3);
        redact_foreign(w->text + 2, sizeof w->text - 2, text);
    }
    return w->text;
}

/* Decimal digits at *s, at most 6. -1 when there are none. */
static long take_digits(const char **s, const char *end)
{
    long v = -1;
    for (int n = 0; *s < end && **s >= '0' && **s <= '9' && n < 6; n++, (*s)++)
        v = (v < 0 ? 0 : v) * 10 + (**s - '0');
    return v;
}

int attempt_version_ok(struct span text)
{
    const char *s = text.data, *end = text.data + text.len;
    long minor = 0, major = text.len ? take_digits(&s, end) : -1;
    if (major < 0)
        return -1;
    if (s < end && *s == '.') {
        s++;
        minor = take_digits(&s, end);
        if (minor < 0)
            return -1;
    }
    return major > API_MAJOR || (major == API_MAJOR && minor >= API_MINOR);
}

/* The public agent's words, which sites' log watchers know. */
#define NOT_AVAILABLE "Tower API endpoint '%s' it is not available: "

/* A hint in parentheses when the URL does not end in /api. */
struct hint {
    char text[sizeof((struct core_config *)0)->url + 32];
};

static const char *did_you_mean(struct hint *h, const struct core *core)
{
    const char *url = core->config.url;
    size_t n = strlen(url);
    h->text[0] = '\0';
    if (n < 4 || strcmp(url + n - 4, "/api") != 0)
        snprintf(h->text, sizeof h->text, " (did you mean '%s/api'?)", url);
    return h->text;
}

static void judge_probe(struct attempt *a, const struct core *core, const struct msg_response *m)
{
    const char *url = core->config.url;
    struct words w;
    struct hint h;
    int ok = m->is_tower ? attempt_version_ok(m->api_version) : -1;
    if (m->status == 200 && ok > 0) {
        a->verdict = ATTEMPT_OK;
        return;
    }
    if (m->status == 200 && ok == 0) {
        a->verdict = ATTEMPT_FATAL;
        a->exit_code = 5;
        say(a,
            "the server at %s is too old: its API version is %s, and this agent needs %d.%d or "
            "later",
            url, words(&w, m->api_version) + 2, API_MAJOR, API_MINOR);
        return;
    }
    if (m->status >= 300 && m->status < 400)
        say(a, NOT_AVAILABLE "it answers with a redirect (status %u), which is never followed%s",
            url, (unsigned)m->status, did_you_mean(&h, core));
    else if (m->status == 200)
        say(a, NOT_AVAILABLE "what answers there is not a Tower%s", url, did_you_mean(&h, core));
    else
        say(a, NOT_AVAILABLE "status %u%s%s", url, (unsigned)m->status, words(&w, m->message),
            did_you_mean(&h, core));
}

static void judge_refused(struct attempt *a, const struct core *core, const struct msg_response *m)
{
    struct words w;
    if (!core->link.logged_in) {
        a->verdict = ATTEMPT_FATAL;
        a->exit_code = 4;
        say(a,
            "the access token was refused by %s (status %u%s): check the token, or create a "
            "new one there",
            core->config.url, (unsigned)m->status, words(&w, m->message));
        return;
    }
    a->kind = RETRY_REFUSED;
    say(a,
        "ALARM: the access token, accepted before, is now refused (status %u): replace it; it is "
        "read again at each attempt",
        (unsigned)m->status);
}

void attempt_judge(struct attempt *a, const struct core *core, enum purpose purpose,
                   const struct msg_response *m)
{
    static const unsigned good[] = {
        [PURPOSE_PROBE] = 200, [PURPOSE_LOGIN] = 200, [PURPOSE_AGENT] = 101};
    static const char *const what[] = {"service-info", "login", "connection"};
    struct words w;
    *a = (struct attempt){
        .verdict = ATTEMPT_RETRY, .kind = RETRY_FAILED, .retry_after_ms = m->retry_after_s * 1000};
    if (purpose == PURPOSE_PROBE)
        judge_probe(a, core, m);
    else if (m->status == good[purpose])
        a->verdict = ATTEMPT_OK;
    else if (m->status == 401 || m->status == 403)
        judge_refused(a, core, m);
    else
        say(a, "%s: Tower answers with status %u%s", what[purpose], (unsigned)m->status,
            words(&w, m->message));
}

static void explain_close(struct attempt *a, const struct msg_ended *m)
{
    if (m->code == CLOSE_DUPLICATE) {
        a->kind = RETRY_STANDBY;
        say(a, "standby: another agent with this connection ID is connected (close code 4000)");
    } else if (m->code == CLOSE_REAUTHENTICATE) {
        a->kind = RETRY_AT_ONCE;
        say(a, "Tower asks to authenticate again (close code 4001)");
    } else {
        struct words w;
        say(a, "Tower closed the connection (code %lld%s)", (long long)m->code,
            words(&w, m->detail));
    }
}

void attempt_explain(struct attempt *a, const struct core *core, const struct msg_ended *m)
{
    static const char *const words[] = {
        [STAGE_RESOLVE] = "the host name cannot be resolved",
        [STAGE_CONNECT] = "cannot connect",
        [STAGE_PROXY] = "the proxy gives no connection",
        [STAGE_TLS] = "the server's TLS is not accepted, nothing was sent to it",
        [STAGE_PIN] =
            "the server's certificate is valid but none of the pinned keys, nothing was sent to it",
        [STAGE_TOKEN] = "the session got no token",
        [STAGE_HTTP] = "the server's answer is not acceptable HTTP",
        [STAGE_UPGRADE] = "the server's WebSocket upgrade is not acceptable",
        [STAGE_CLOSED] = "closed",
        [STAGE_CLOSING] = "the connection was closed",
        [STAGE_DROPPED] = "the connection dropped",
        [STAGE_PROTOCOL] = "the server broke the protocol",
        [STAGE_TIMEOUT] = "the server does not answer in time",
        [STAGE_INTERNAL] = "the network session failed",
    };
    *a = (struct attempt){.verdict = ATTEMPT_RETRY, .kind = RETRY_FAILED};
    if (m->stage == STAGE_CLOSED) {
        explain_close(a, m);
        return;
    }
    const char *advice = m->stage == STAGE_TLS ? " (a private CA is given with --ca-file)" : "";
    say(a, core->link.probed ? "%s: %s%s%.*s%s" : NOT_AVAILABLE "%s%s%.*s%s", core->config.url,
        words[m->stage], m->detail.len ? ": " : "", (int)m->detail.len,
        m->detail.data ? m->detail.data : "", advice);
}
