/* SPDX-License-Identifier: Apache-2.0 */
/* Why there is no connection, in the terms of the message table. */
#ifndef TW_NET_CONNECT_FAILURE_H
#define TW_NET_CONNECT_FAILURE_H

#include <stdbool.h>

#include "net/connect/target.h"

/* What libcurl knows about an attempt that did not succeed. */
struct attempt_facts {
    bool timed_out;    /* our deadline passed; result says nothing then */
    int result;        /* CURLcode */
    int os_error;      /* errno of the last connect(2), or 0 */
    long proxy_status; /* HTTP status of the proxy's answer, or 0 */
    bool resolved;     /* the name service answered */
    bool connected;    /* TCP is up, to the proxy if there is one */
};

struct failure {
    enum stage stage;
    unsigned code;
    char detail[LIMIT_DETAIL];
};

/* Says it without a word that a server, a proxy or the name service chose. */
void failure_describe(struct failure *f, const struct target *t, const struct attempt_facts *a);

#endif
