/* SPDX-License-Identifier: Apache-2.0 */
/* The one request of a session, as bytes with a gap for the token. */
#ifndef TW_NET_SESSION_REQUEST_H
#define TW_NET_SESSION_REQUEST_H

#include <stddef.h>

#include "ipc/message.h"

struct request {
    enum purpose purpose;
    unsigned port;
    struct span host;
    struct span url_path;      /* "" or "/api" */
    struct span connection_id; /* as given; percent-encoded here */
    const char *key;           /* Sec-WebSocket-Key; agent only */
};

/* What follows the token in its record: the line's end. */
#define REQUEST_SUFFIX "\r\n"
/*
 * The end of the request, in a TLS record of its own: encrypting it overwrites what the cipher's
 * state keeps of the token's record (AES-GCM leaves the tag there until the next one).
 */
#define REQUEST_END "\r\n"

/*
 * Writes the request up to where the token goes; a probe has none, and is complete but for suffix
 * and end as well. Returns its length, or 0 when it does not fit or a part of it has a byte that
 * cannot stand in a request.
 */
size_t request_prefix(const struct request *r, char *out, size_t size);

#endif
