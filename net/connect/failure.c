/* SPDX-License-Identifier: Apache-2.0 */
#include "net/connect/failure.h"

#include <curl/curl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* The field's bound in messages.def. */
#define CODE_MAX 1000

static void __attribute__((format(printf, 4, 5)))
say(struct failure *f, enum stage stage, long code, const char *format, ...)
{
    va_list args;
    f->stage = stage;
    f->code = code >= 0 && code <= CODE_MAX ? (unsigned)code : 0;
    va_start(args, format);
    vsnprintf(f->detail, sizeof f->detail, format, args);
    va_end(args);
}

/* Where the TCP connection goes: "host:port", or the proxy's URL. */
static void first_hop(char *out, size_t size, const struct target *t)
{
    if (t->proxy[0] != '\0')
        snprintf(out, size, "the proxy %s", t->proxy);
    else
        snprintf(out, size, "%s port %u", t->host, t->port);
}

static void describe_timeout(struct failure *f, const struct target *t,
                             const struct attempt_facts *a, const char *hop)
{
    if (!a->resolved)
        say(f, STAGE_TIMEOUT, CURLE_OPERATION_TIMEDOUT,
            "the name service did not answer for %s within %u ms", t->proxy[0] ? hop : t->host,
            t->timeout_ms);
    else if (!a->connected)
        say(f, STAGE_TIMEOUT, CURLE_OPERATION_TIMEDOUT, "no connection to %s within %u ms", hop,
            t->timeout_ms);
    else
        say(f, STAGE_TIMEOUT, CURLE_OPERATION_TIMEDOUT, "%s opened no tunnel within %u ms", hop,
            t->timeout_ms);
}

void failure_describe(struct failure *f, const struct target *t, const struct attempt_facts *a)
{
    char hop[LIMIT_URL_PATH + 16];
    first_hop(hop, sizeof hop, t);
    if (a->timed_out || a->result == CURLE_OPERATION_TIMEDOUT) {
        describe_timeout(f, t, a, hop);
        return;
    }
    if (a->proxy_status != 0 && a->proxy_status / 100 != 2) {
        say(f, STAGE_PROXY, a->proxy_status, "the proxy refused: %ld", a->proxy_status);
        return;
    }
    switch (a->result) {
    case CURLE_COULDNT_RESOLVE_HOST:
        say(f, STAGE_RESOLVE, a->result, "could not resolve host %s", t->host);
        return;
    case CURLE_COULDNT_RESOLVE_PROXY:
        say(f, STAGE_RESOLVE, a->result, "could not resolve %s", hop);
        return;
    case CURLE_COULDNT_CONNECT:
        if (a->os_error != 0)
            say(f, STAGE_CONNECT, a->os_error, "could not connect to %s: %s", hop,
                strerror(a->os_error));
        else
            say(f, STAGE_CONNECT, a->result, "could not connect to %s", hop);
        return;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_FAILED_INIT:
        say(f, STAGE_INTERNAL, a->result, "libcurl: %s", curl_easy_strerror(a->result));
        return;
    default:
        say(f, t->proxy[0] ? STAGE_PROXY : STAGE_CONNECT, a->result, "%s: %s", hop,
            curl_easy_strerror((CURLcode)a->result));
        return;
    }
}
