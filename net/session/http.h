/* SPDX-License-Identifier: Apache-2.0 */
/* One HTTP/1.1 answer, bounded in every part. No I/O: bytes go in, a verdict comes out. */
#ifndef TW_NET_SESSION_HTTP_H
#define TW_NET_SESSION_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <llhttp.h>

#include "base/buf.h"

#define HTTP_HEAD_MAX    16384
#define HTTP_HEADERS_MAX 100
#define HTTP_BODY_MAX    262144
#define HTTP_INTERIM_MAX 4       /* 1xx answers before the final one */
#define HTTP_TOTAL_MAX   2097152 /* framing of chunks included */

enum http_verdict {
    HTTP_MORE,
    HTTP_DONE,    /* complete; or too long a body, which is then left out */
    HTTP_UPGRADE, /* 101; what was not consumed belongs to the next protocol */
    HTTP_BAD
};

/* What the headers say, as far as anyone asks. */
struct http_headers {
    char accept[64]; /* Sec-WebSocket-Accept */
    unsigned accepts;
    unsigned upgrades; /* Upgrade headers, and whether they say websocket */
    bool upgrade_websocket;
    bool connection_upgrade;
    bool extension, subprotocol;
    char retry_after[40], date[40];
};

struct http {
    llhttp_t parser;
    llhttp_settings_t settings;
    const char *why; /* of HTTP_BAD */
    unsigned status;
    struct http_headers headers;
    bool head_done; /* the final head is complete: status and headers hold */
    bool body_left_out;
    struct buf body;
    /* Of the parser alone. */
    bool done;
    bool cr; /* the head's last byte so far is a CR */
    unsigned n_headers, interim;
    size_t head_bytes, total;
    char name[32], value[256];
    size_t name_len, value_len;
};

void http_init(struct http *h);
void http_finish(struct http *h);

/* Parses; *used gets the bytes taken (all, but for HTTP_UPGRADE). */
enum http_verdict http_feed(struct http *h, const char *data, size_t len, size_t *used);

/* End of file: HTTP_DONE when that ends the body properly. */
enum http_verdict http_eof(struct http *h);

/* Seconds of Retry-After: a number, or a date against the answer's own Date; 0: none, or neither.
 */
uint64_t http_retry_after(const struct http_headers *headers);

#endif
