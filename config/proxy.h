/* SPDX-License-Identifier: Apache-2.0 */
/* Whether the one host is reached through a proxy, and which. */
#ifndef TW_CONFIG_PROXY_H
#define TW_CONFIG_PROXY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"
#include "config/options.h"

struct proxy {
    char address[LIMIT_HOST + 32];        /* http://host:port; empty: direct */
    char credentials[LIMIT_URL_PATH + 1]; /* user:password, decoded */
};

/* Decides by options, variables and file. 0, or an exit code after an error is logged. */
int proxy_take(struct proxy *p, const struct options *o, const char *host, uint16_t port);

/* Parses [http://][user:password@]host:port. NULL, or a static text that says what is wrong. */
const char *proxy_parse(struct proxy *p, const char *text);

/* True when the NO_PROXY list exempts host:port: "*", "host", "domain" with all below it, each
 * with ":port" or without, addresses literally. */
bool proxy_exempt(const char *list, const char *host, uint16_t port);

#endif
