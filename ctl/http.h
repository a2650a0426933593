/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests to Tower by libcurl, under the agent's rules: the configured host alone, by https, over
 * verified TLS, through the configured proxy; no redirects, cookies, ~/.netrc or other variables of
 * the environment; answers bounded in size, depth and time.
 */
#ifndef TW_CTL_HTTP_H
#define TW_CTL_HTTP_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/secret.h"
#include "config/settings.h"
#include "ctl/ctl.h"
#include "ctl/http_tls.h"

#define HTTP_TIMEOUT_MS  30000   /* of a request, connecting included */
#define HTTP_ANSWER_MAX  2097152 /* bytes of a body: some thousand credentials or workspaces */
#define HTTP_HEADERS_MAX 65536   /* bytes of all headers of an answer, interim ones included */
#define HTTP_VALUES_MAX  65536   /* values in an answer's JSON */

/* What ended a request, in the order of the way to Tower. */
enum http_failure {
    HTTP_NONE,     /* answered with 2xx, or with 101 when that was asked for */
    HTTP_INTERNAL, /* here: memory, libcurl */
    HTTP_RESOLVE,  /* the name of the host or of the proxy */
    HTTP_CONNECT,  /* TCP */
    HTTP_PROXY,    /* it refused, or its answer was none */
    HTTP_TLS,      /* handshake or certificate */
    HTTP_PIN,
    HTTP_TIMEOUT,
    HTTP_ANSWER, /* not an answer: too large, cut short, not JSON */
    HTTP_STATUS  /* an answer of another status than 2xx */
};

struct http_request {
    const char *method;         /* "GET", "POST", "PUT", "DELETE" */
    const char *path;           /* below the API endpoint, percent-encoded, query included */
    const json_t *body;         /* borrowed; NULL: none */
    const char *const *headers; /* further lines "Name: value", NULL at the end; NULL: none */
    bool anonymous;             /* without the token */
    bool upgrade;               /* 101 is success, and ends it there */
};

struct http_result {
    enum http_failure failure;
    long status;  /* 0: none came */
    json_t *json; /* owned; NULL: no body, or none that was read */
    /* What went wrong, in words, Tower's own included: redacted, to be escaped. Empty: nothing. */
    char detail[768];
    unsigned retry_after; /* seconds, when Tower says so */
    bool sent;            /* the request may have reached Tower */
    /* The way, for doctor. */
    int code;     /* CURLcode */
    int os_error; /* errno of the last connect */
    long proxy_status;
    char address[64]; /* of the host or the proxy; empty: not connected */
    bool resolved, connected, secured;
    struct http_chain chain;
};

struct http;

/*
 * For the API endpoint of these settings; they, the options and the token (NULL: every request is
 * anonymous) outlive it. Reads the CA certificates. NULL after an error is logged. Released by
 * http_free.
 */
struct http *http_new(const struct settings *s, const struct options *o,
                      const struct secret *token);

/* Of each request from now on. */
void http_set_timeout(struct http *h, uint64_t milliseconds);

/* One request, one answer. http_result_finish releases the result, whatever came of it. */
void http_perform(struct http *h, const struct http_request *request, struct http_result *result);

void http_result_finish(struct http_result *r);

/* The exit code that a failed result comes to; CTL_WELL for one that did not fail. */
enum ctl_exit http_exit_code(const struct http_result *r);

/* NULL is fine. Wipes what held the token. */
void http_free(struct http *h);

#endif
