/* SPDX-License-Identifier: Apache-2.0 */
/* The first part of the road: addresses of a name, and which of them can be connected to. Both are
 * asked as the network programs' user, in children with a deadline. */
#ifndef TW_CTL_REACH_H
#define TW_CTL_REACH_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/users.h"

#define REACH_ADDRESSES 16

struct reach_address {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } name;
    socklen_t len;
    char text[INET6_ADDRSTRLEN + 16];
    int error;   /* of connecting; 0: connected */
    unsigned ms; /* until then */
};

struct reach_answer {
    struct reach_address addresses[REACH_ADDRESSES];
    size_t n;
    char why[128]; /* the name service's reason; empty: none */
};

/* Asks the name service. False: it did not answer in time. */
bool reach_resolve(struct reach_answer *a, const struct identity *as, const char *host,
                   uint16_t port);

/* Connects to all of them at once. False: nothing could be tried. */
bool reach_connect(struct reach_answer *a, const struct identity *as);

#endif
