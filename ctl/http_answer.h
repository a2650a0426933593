/* SPDX-License-Identifier: Apache-2.0 */
/* What came of a request: bytes taken within bounds, then judged and put into words. */
#ifndef TW_CTL_HTTP_ANSWER_H
#define TW_CTL_HTTP_ANSWER_H

#include "base/buf.h"
#include "ctl/http.h"

struct answer {
    struct buf body;
    size_t header_bytes;
    bool upgrade;    /* 101 is waited for */
    bool switched;   /* and came */
    bool head_ended; /* the empty line behind the headers came */
    bool too_large;  /* why libcurl was stopped */
};

/* Where the request went, for the words. */
struct answer_way {
    const char *host, *proxy, *url, *error;
    uint16_t port;
    uint64_t timeout_ms;
    const struct secret *token;
};

void answer_begin(struct answer *a, bool upgrade);

/* For CURLOPT_HEADERFUNCTION and CURLOPT_WRITEFUNCTION; context is the answer. */
size_t answer_take_header(char *data, size_t size, size_t n, void *context);
size_t answer_take_body(char *data, size_t size, size_t n, void *context);

/* From code, status and the bytes: failure, detail and json of the result. */
void answer_judge(const struct answer *a, const struct answer_way *way, struct http_result *r);

#endif
